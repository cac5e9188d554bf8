//! The mails that wait to be sent.

use async_trait::async_trait;
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};
use uuid::Uuid;

use super::{SqliteRepository, id, instant, storage_error};
use crate::{
    domain::{
        Timestamp,
        delivery::{ClaimedMail, MailLease, Settled},
        mail::{MailId, MailKind, NewMail},
        user::UserId,
    },
    repository::{
        Claim, ClaimRequest, Outbox, StorageError,
        outbox::{End, Found, carries_activation_key, is_pointless},
    },
};

#[async_trait]
impl Outbox for SqliteRepository {
    async fn claim_mails(&self, request: &ClaimRequest) -> Result<Claim, StorageError> {
        let resting: serde_json::Map<_, _> = request
            .resting
            .iter()
            .map(|resting| (resting.domain.clone(), resting.until.timestamp_micros().into()))
            .collect();
        let mut transaction = self.begin().await?;
        let rows = sqlx::query(CLAIM)
            .bind(request.now.timestamp_micros())
            .bind(request.lease_expire_time.timestamp_micros())
            .bind(request.claim_token)
            .bind(i64::from(request.limit))
            .bind(serde_json::Value::Object(resting).to_string())
            .fetch_all(&mut *transaction)
            .await
            .map_err(storage_error)?;
        transaction.commit().await.map_err(storage_error)?;
        Claim::sort(rows.iter().map(|row| found(row, request.claim_token)))
    }

    async fn renew_mail_leases(
        &self,
        leases: &[MailLease],
        lease_expire_time: Timestamp,
    ) -> Result<Vec<MailId>, StorageError> {
        let leases = leases.iter().map(|lease| serde_json::json!([hex(lease.id.0), hex(lease.claim_token)]));
        let rows = sqlx::query(
            "UPDATE mails SET lease_expire_time = $2
             FROM (SELECT unhex(value ->> 0) AS mail_id, unhex(value ->> 1) AS token FROM json_each($1))
             WHERE id = mail_id AND claim_token = token
             RETURNING id",
        )
        .bind(leases.collect::<serde_json::Value>().to_string())
        .bind(lease_expire_time.timestamp_micros())
        .fetch_all(&self.writer)
        .await
        .map_err(storage_error)?;
        rows.iter().map(|row| id(row, "id").map(MailId)).collect()
    }

    async fn settle_mails(&self, settled: &[Settled], now: Timestamp) -> Result<Vec<MailId>, StorageError> {
        let ends = settled.iter().map(end).collect::<serde_json::Value>().to_string();
        let mut transaction = self.begin().await?;
        // First, while the rows still say whose leases they are.
        sqlx::query(TELL)
            .bind(&ends)
            .bind(now.timestamp_micros())
            .execute(&mut *transaction)
            .await
            .map_err(storage_error)?;
        let rows = sqlx::query(SETTLE)
            .bind(&ends)
            .bind(now.timestamp_micros())
            .fetch_all(&mut *transaction)
            .await
            .map_err(storage_error)?;
        transaction.commit().await.map_err(storage_error)?;
        rows.iter().map(|row| id(row, "id").map(MailId)).collect()
    }
}

/// The index is named since SQLite would take another that has the state, and sort all mails that wait for each claim.
const CLAIM: &str = concat!(
    "
UPDATE mails SET
    attempt = CASE WHEN until IS NULL THEN attempt + 1 ELSE attempt END,
    lease_expire_time = CASE WHEN until IS NULL THEN $2 END,
    claim_token = CASE WHEN until IS NULL THEN $3 END,
    next_attempt_time = coalesce(until, next_attempt_time)
FROM (
    SELECT due.id AS due_id, resting.value AS until
    FROM (
        SELECT id, recipient FROM mails INDEXED BY mails_queued
        WHERE state = 'QUEUED' AND next_attempt_time <= $1
            AND (lease_expire_time IS NULL OR lease_expire_time <= $1)
        ORDER BY next_attempt_time, id LIMIT $4
    ) AS due LEFT JOIN json_each($5) AS resting ON resting.key = substr(due.recipient, instr(due.recipient, '@') + 1)
) WHERE id = due_id
RETURNING id, user_id, kind, recipient, sealed_text, attempt, create_time, expire_time, next_attempt_time,
    claim_token IS NULL AS put_off,
    EXISTS (SELECT 1 FROM suppressions WHERE email = mails.recipient) AS suppressed, ",
    is_pointless!(),
    " AS pointless"
);

/// How a lease ends, for [`SETTLE`] and [`TELL`].
fn end(settled: &Settled) -> serde_json::Value {
    let end = End::of(&settled.settlement);
    serde_json::json!({
        "id": hex(settled.lease.id.0),
        "claim_token": hex(settled.lease.claim_token),
        "state": end.state.as_str(),
        "next_attempt_time": end.next_attempt_time.map(|time| time.timestamp_micros()),
        "uncounted": end.uncounted,
        "error": end.error,
        "event": end.event,
    })
}

/// An id as JSON has it.
fn hex(id: Uuid) -> String {
    id.simple().to_string()
}

const SETTLE: &str = "
UPDATE mails SET
    state = new_state, finish_time = CASE WHEN new_state <> 'QUEUED' THEN $2 END,
    sealed_text = CASE WHEN new_state = 'QUEUED' THEN sealed_text END,
    last_error = coalesce(error, last_error), next_attempt_time = coalesce(next_time, next_attempt_time),
    attempt = CASE WHEN uncounted THEN max(attempt - 1, 0) ELSE attempt END,
    lease_expire_time = NULL, claim_token = NULL
FROM (
    SELECT unhex(value ->> 'id') AS mail_id, unhex(value ->> 'claim_token') AS token, value ->> 'state' AS new_state,
        value ->> 'next_attempt_time' AS next_time, value ->> 'uncounted' AS uncounted, value ->> 'error' AS error
    FROM json_each($1)
) WHERE id = mail_id AND claim_token = token
RETURNING id";

const TELL: &str = concat!(
    "
INSERT INTO events (kind, create_time, user_id, mail_id)
SELECT event, $2, user_id, id
FROM (
    SELECT unhex(value ->> 'id') AS mail_id, unhex(value ->> 'claim_token') AS token, value ->> 'event' AS event
    FROM json_each($1) WHERE value ->> 'event' IS NOT NULL
) CROSS JOIN mails ON id = mail_id AND claim_token = token
WHERE ",
    carries_activation_key!()
);

fn found(row: &SqliteRow, claim_token: Uuid) -> Result<Found, StorageError> {
    Ok(Found {
        lease: MailLease { id: MailId(id(row, "id")?), claim_token },
        put_off: row.try_get("put_off").map_err(storage_error)?,
        pointless: row.try_get("pointless").map_err(storage_error)?,
        suppressed: row.try_get("suppressed").map_err(storage_error)?,
        mail: claimed(row, claim_token),
    })
}

/// A mail, and since when it is due.
fn claimed(row: &SqliteRow, claim_token: Uuid) -> Result<(Timestamp, ClaimedMail), StorageError> {
    let kind: &str = row.try_get("kind").map_err(storage_error)?;
    let attempt: i64 = row.try_get("attempt").map_err(storage_error)?;
    let mail = ClaimedMail {
        id: MailId(id(row, "id")?),
        user_id: UserId(id(row, "user_id")?),
        kind: MailKind::from_name(kind).ok_or(StorageError::Corrupt("a mail's kind"))?,
        recipient: row.try_get("recipient").map_err(storage_error)?,
        sealed_text: row.try_get("sealed_text").map_err(storage_error)?,
        attempt: u32::try_from(attempt).map_err(|_| StorageError::Corrupt("a mail's attempt"))?,
        claim_token,
        create_time: instant(row, "create_time")?,
        expire_time: instant(row, "expire_time")?,
    };
    Ok((instant(row, "next_attempt_time")?, mail))
}

/// Queues a mail.
pub(super) async fn insert_mail(
    transaction: &mut Transaction<'_, Sqlite>,
    user_id: UserId,
    recipient: &str,
    mail: &NewMail,
    now: i64,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO mails (
             id, user_id, kind, recipient, state, sealed_text, key_digest, next_attempt_time, create_time, expire_time
         ) VALUES ($1, $2, $3, $4, 'QUEUED', $5, $6, $7, $7, $8)",
    )
    .bind(mail.id.0)
    .bind(user_id.0)
    .bind(mail.kind.as_str())
    .bind(recipient)
    .bind(&mail.sealed_text)
    .bind(mail.key_digest.as_ref().map(|digest| digest.as_bytes().to_vec()))
    .bind(now)
    .bind(mail.expire_time.timestamp_micros())
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Repository as _;

    #[tokio::test]
    async fn a_claim_sorts_nothing_and_walks_no_table() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteRepository::open(&folder.path().join("vestibule.db").to_string_lossy(), 1).unwrap();
        store.migrate().await.unwrap();
        for statement in [CLAIM, SETTLE, TELL] {
            let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
                .fetch_all(&store.writer)
                .await
                .unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            assert!(plan.iter().any(|step| step.starts_with("SEARCH mails USING INDEX")), "{plan:#?}");
            assert!(
                !plan.iter().any(|step| step.contains("TEMP B-TREE") || step.starts_with("SCAN mails")),
                "{plan:#?}"
            );
        }
    }
}
