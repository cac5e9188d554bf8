//! The mails that wait to be sent.

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{PostgresRepository, Transaction, storage_error};
use crate::{
    domain::{
        Timestamp,
        mail::{ClaimedMail, MailId, MailKind, NewMail, Settlement, SuppressedMail, UnreadableMail},
        user::UserId,
    },
    repository::{Claim, Outbox, StorageError, outbox::carries_activation_key},
};

#[async_trait]
impl Outbox for PostgresRepository {
    async fn claim_mails(
        &self,
        now: Timestamp,
        lease_expire_time: Timestamp,
        claim_token: Uuid,
        limit: u32,
    ) -> Result<Claim, StorageError> {
        let rows = sqlx::query(
            // Materialised: a planner that ran the limited query once for each row would claim beyond the limit.
            "WITH due AS MATERIALIZED (
                 SELECT id FROM mails
                 WHERE state = 'QUEUED' AND next_attempt_time <= $1
                     AND (lease_expire_time IS NULL OR lease_expire_time <= $1)
                 ORDER BY next_attempt_time, id LIMIT $4
                 FOR UPDATE SKIP LOCKED
             )
             UPDATE mails SET attempt = attempt + 1, lease_expire_time = $2, claim_token = $3
             WHERE id IN (SELECT id FROM due)
             RETURNING id, user_id, kind, recipient, sealed_text, attempt,
                 -- The driver panics at an infinite instant; a missing one it can tell.
                 CASE WHEN isfinite(create_time) THEN create_time END AS create_time,
                 CASE WHEN isfinite(expire_time) THEN expire_time END AS expire_time,
                 CASE WHEN isfinite(next_attempt_time) THEN next_attempt_time ELSE $1 END AS due_time,
                 EXISTS (SELECT FROM suppressions WHERE email = mails.recipient) AS suppressed",
        )
        .bind(now)
        .bind(lease_expire_time)
        .bind(claim_token)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(storage_error)?;
        let mut mails = Vec::new();
        let (mut unreadable, mut suppressed) = (Vec::new(), Vec::new());
        for row in &rows {
            let mail_id = MailId(row.try_get("id").map_err(storage_error)?);
            if row.try_get("suppressed").map_err(storage_error)? {
                suppressed.push(SuppressedMail { id: mail_id, claim_token });
                continue;
            }
            match claimed(row, claim_token) {
                Ok(mail) => mails.push(mail),
                Err(error) => {
                    unreadable.push(UnreadableMail { id: mail_id, claim_token, what: error.corrupt_part() });
                }
            }
        }
        mails.sort_by_key(|(due, mail)| (*due, mail.id));
        Ok(Claim { mails: mails.into_iter().map(|(_, mail)| mail).collect(), unreadable, suppressed })
    }

    async fn settle_mail(
        &self,
        id: MailId,
        claim_token: Uuid,
        settlement: &Settlement,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let query = match settlement {
            Settlement::Retry { next_attempt_time, error } => sqlx::query(
                "UPDATE mails SET lease_expire_time = NULL, claim_token = NULL,
                     next_attempt_time = $3, last_error = $4
                 WHERE id = $1 AND claim_token = $2 RETURNING id",
            )
            .bind(id.0)
            .bind(claim_token)
            .bind(*next_attempt_time)
            .bind(error),
            Settlement::Delivered => sqlx::query(FINISH)
                .bind(id.0)
                .bind(claim_token)
                .bind(now)
                .bind("DELIVERED")
                .bind(None::<&str>)
                .bind("activation_mail_sent"),
            Settlement::Discarded { error } => sqlx::query(FINISH)
                .bind(id.0)
                .bind(claim_token)
                .bind(now)
                .bind("DISCARDED")
                .bind(Some(error))
                .bind("activation_mail_failed"),
        };
        let settled = query.fetch_optional(&self.pool).await.map_err(storage_error)?;
        Ok(settled.is_some())
    }
}

/// The user's row is held, so that every other act on the user comes wholly before or wholly after, and so do their
/// events (X20).
const FINISH: &str = concat!(
    "
WITH concerned AS (
    SELECT id FROM users WHERE id = (SELECT user_id FROM mails WHERE id = $1) FOR NO KEY UPDATE
), finished AS (
    UPDATE mails SET state = $4, finish_time = $3, last_error = coalesce($5, last_error),
        sealed_text = NULL, lease_expire_time = NULL, claim_token = NULL
    WHERE id = $1 AND claim_token = $2 AND user_id IN (SELECT id FROM concerned)
    RETURNING id, user_id, kind
), new_event AS (
    INSERT INTO events (kind, create_time, user_id, mail_id)
    SELECT $6, $3, user_id, id FROM finished WHERE ",
    carries_activation_key!(),
    "
)
SELECT id FROM finished"
);

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
        "INSERT INTO mails (id, user_id, kind, recipient, state, sealed_text, next_attempt_time, create_time, expire_time)
         VALUES ($1, $2, $3, $4, 'QUEUED', $5, $6, $6, $7)",
    )
    .bind(mail.id.0)
    .bind(user_id.0)
    .bind(mail.kind.as_str())
    .bind(recipient)
    .bind(&mail.sealed_text)
    .bind(now)
    .bind(mail.expire_time)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(())
}
