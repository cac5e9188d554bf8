//! The mails that wait to be sent.

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{PostgresRepository, Transaction, storage_error};
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
impl Outbox for PostgresRepository {
    async fn claim_mails(&self, request: &ClaimRequest) -> Result<Claim, StorageError> {
        let rows = sqlx::query(CLAIM)
            .bind(request.now)
            .bind(request.lease_expire_time)
            .bind(request.claim_token)
            .bind(i64::from(request.limit))
            .bind(request.resting.iter().map(|resting| resting.domain.clone()).collect::<Vec<_>>())
            .bind(request.resting.iter().map(|resting| resting.until).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await
            .map_err(storage_error)?;
        Claim::sort(rows.iter().map(|row| found(row, request.claim_token)))
    }

    async fn renew_mail_leases(
        &self,
        leases: &[MailLease],
        lease_expire_time: Timestamp,
    ) -> Result<Vec<MailId>, StorageError> {
        let renewed: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE mails SET lease_expire_time = $3
             FROM unnest($1::uuid[], $2::uuid[]) AS held (id, claim_token)
             WHERE mails.id = held.id AND mails.claim_token = held.claim_token
             RETURNING mails.id",
        )
        .bind(leases.iter().map(|lease| lease.id.0).collect::<Vec<_>>())
        .bind(leases.iter().map(|lease| lease.claim_token).collect::<Vec<_>>())
        .bind(lease_expire_time)
        .fetch_all(&self.pool)
        .await
        .map_err(storage_error)?;
        Ok(renewed.into_iter().map(MailId).collect())
    }

    async fn settle_mails(&self, settled: &[Settled], now: Timestamp) -> Result<Vec<MailId>, StorageError> {
        let ends: Vec<_> = settled.iter().map(|settled| End::of(&settled.settlement)).collect();
        let settled: Vec<Uuid> = sqlx::query_scalar(SETTLE)
            .bind(settled.iter().map(|settled| settled.lease.id.0).collect::<Vec<_>>())
            .bind(settled.iter().map(|settled| settled.lease.claim_token).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| end.state.as_str()).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| end.next_attempt_time).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| end.uncounted).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| end.error).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| end.event).collect::<Vec<_>>())
            .bind(now)
            .fetch_all(&self.pool)
            .await
            .map_err(storage_error)?;
        Ok(settled.into_iter().map(MailId).collect())
    }
}

const CLAIM: &str = concat!(
    // Materialised: a planner that ran the limited query once for each row would claim beyond the limit.
    "
WITH due AS MATERIALIZED (
    SELECT id, recipient FROM mails
    WHERE state = 'QUEUED' AND next_attempt_time <= $1
        AND (lease_expire_time IS NULL OR lease_expire_time <= $1)
    ORDER BY next_attempt_time, id LIMIT $4
    FOR UPDATE SKIP LOCKED
), sorted AS (
    SELECT due.id, resting.until
    FROM due LEFT JOIN unnest($5::text[], $6::timestamptz[]) AS resting (domain, until)
        ON resting.domain = split_part(due.recipient, '@', 2)
)
UPDATE mails SET
    attempt = CASE WHEN until IS NULL THEN attempt + 1 ELSE attempt END,
    lease_expire_time = CASE WHEN until IS NULL THEN $2 END,
    claim_token = CASE WHEN until IS NULL THEN $3 END,
    next_attempt_time = coalesce(until, next_attempt_time)
FROM sorted WHERE mails.id = sorted.id
RETURNING mails.id, user_id, kind, recipient, sealed_text, attempt,
    -- The driver panics at an infinite instant; a missing one it can tell.
    CASE WHEN isfinite(create_time) THEN create_time END AS create_time,
    CASE WHEN isfinite(expire_time) THEN expire_time END AS expire_time,
    CASE WHEN isfinite(next_attempt_time) THEN next_attempt_time ELSE $1 END AS due_time,
    until IS NOT NULL AS put_off,
    EXISTS (SELECT FROM suppressions WHERE email = mails.recipient) AS suppressed, ",
    is_pointless!(),
    " AS pointless"
);

/// The users' rows are held, those of several in the order of their ids, so that every other act on a user comes wholly
/// before or wholly after, and so do their events (X20).
const SETTLE: &str = concat!(
    "
WITH settlement AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::boolean[], $6::text[], $7::text[]
    ) AS s (mail_id, token, new_state, next_time, uncounted, error, event)
), concerned AS MATERIALIZED (
    SELECT id FROM users
    WHERE id IN (SELECT user_id FROM mails JOIN settlement ON mails.id = mail_id)
    ORDER BY id FOR NO KEY UPDATE
), settled AS (
    UPDATE mails SET
        state = new_state, finish_time = CASE WHEN new_state <> 'QUEUED' THEN $8 END,
        sealed_text = CASE WHEN new_state = 'QUEUED' THEN sealed_text END,
        last_error = coalesce(error, last_error), next_attempt_time = coalesce(next_time, next_attempt_time),
        attempt = CASE WHEN uncounted THEN greatest(attempt - 1, 0) ELSE attempt END,
        lease_expire_time = NULL, claim_token = NULL
    FROM settlement
    WHERE id = mail_id AND claim_token = token AND user_id IN (SELECT id FROM concerned)
    RETURNING id, user_id, kind, event
), new_event AS (
    INSERT INTO events (kind, create_time, user_id, mail_id)
    SELECT event, $8, user_id, id FROM settled WHERE event IS NOT NULL AND ",
    carries_activation_key!(),
    " ORDER BY id
)
SELECT id FROM settled"
);

fn found(row: &PgRow, claim_token: Uuid) -> Result<Found, StorageError> {
    Ok(Found {
        lease: MailLease { id: MailId(row.try_get("id").map_err(storage_error)?), claim_token },
        put_off: row.try_get("put_off").map_err(storage_error)?,
        pointless: row.try_get("pointless").map_err(storage_error)?,
        suppressed: row.try_get("suppressed").map_err(storage_error)?,
        mail: claimed(row, claim_token),
    })
}

/// A mail, and since when it is due.
fn claimed(row: &PgRow, claim_token: Uuid) -> Result<(Timestamp, ClaimedMail), StorageError> {
    let kind: &str = row.try_get("kind").map_err(storage_error)?;
    let attempt: i32 = row.try_get("attempt").map_err(storage_error)?;
    let mail = ClaimedMail {
        id: MailId(row.try_get("id").map_err(storage_error)?),
        user_id: UserId(row.try_get("user_id").map_err(storage_error)?),
        kind: MailKind::from_name(kind).ok_or(StorageError::Corrupt("a mail's kind"))?,
        recipient: row.try_get("recipient").map_err(storage_error)?,
        sealed_text: row.try_get("sealed_text").map_err(storage_error)?,
        attempt: u32::try_from(attempt).map_err(|_| StorageError::Corrupt("a mail's attempt"))?,
        claim_token,
        create_time: row.try_get("create_time").map_err(storage_error)?,
        expire_time: row.try_get("expire_time").map_err(storage_error)?,
    };
    Ok((row.try_get("due_time").map_err(storage_error)?, mail))
}

/// Queues a mail.
pub(super) async fn insert_mail(
    transaction: &mut Transaction,
    user_id: UserId,
    recipient: &str,
    mail: &NewMail,
    now: Timestamp,
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
    .bind(mail.expire_time)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(())
}
