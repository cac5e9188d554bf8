//! The mails that wait to be sent.

use async_trait::async_trait;
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};
use uuid::Uuid;

use super::{SqliteRepository, id, instant, storage_error};
use crate::{
    domain::{
        Timestamp,
        mail::{ClaimedMail, MailId, MailKind, NewMail, Settlement, SuppressedMail, UnreadableMail},
        user::UserId,
    },
    repository::{Claim, Outbox, StorageError, outbox::carries_activation_key},
};

#[async_trait]
impl Outbox for SqliteRepository {
    async fn claim_mails(
        &self,
        now: Timestamp,
        lease_expire_time: Timestamp,
        claim_token: Uuid,
        limit: u32,
    ) -> Result<Claim, StorageError> {
        let mut transaction = self.begin().await?;
        let rows = sqlx::query(
            "UPDATE mails SET attempt = attempt + 1, lease_expire_time = $2, claim_token = $3
             WHERE id IN (
                 SELECT id FROM mails
                 WHERE state = 'QUEUED' AND next_attempt_time <= $1
                     AND (lease_expire_time IS NULL OR lease_expire_time <= $1)
                 ORDER BY next_attempt_time, id LIMIT $4
             )
             RETURNING id, user_id, kind, recipient, sealed_text, attempt, create_time, expire_time, next_attempt_time,
                 EXISTS (SELECT 1 FROM suppressions WHERE email = mails.recipient) AS suppressed",
        )
        .bind(now.timestamp_micros())
        .bind(lease_expire_time.timestamp_micros())
        .bind(claim_token)
        .bind(i64::from(limit))
        .fetch_all(&mut *transaction)
        .await
        .map_err(storage_error)?;
        transaction.commit().await.map_err(storage_error)?;
        let mut mails = Vec::new();
        let (mut unreadable, mut suppressed) = (Vec::new(), Vec::new());
        for row in &rows {
            let mail_id = MailId(id(row, "id")?);
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
        let (query, event) = match settlement {
            Settlement::Retry { next_attempt_time, error } => (
                sqlx::query(
                    "UPDATE mails SET lease_expire_time = NULL, claim_token = NULL,
                         next_attempt_time = $3, last_error = $4
                     WHERE id = $1 AND claim_token = $2",
                )
                .bind(id.0)
                .bind(claim_token)
                .bind(next_attempt_time.timestamp_micros())
                .bind(error),
                None,
            ),
            Settlement::Delivered => (
                sqlx::query(FINISH)
                    .bind(id.0)
                    .bind(claim_token)
                    .bind(now.timestamp_micros())
                    .bind("DELIVERED")
                    .bind(None::<&str>),
                Some("activation_mail_sent"),
            ),
            Settlement::Discarded { error } => (
                sqlx::query(FINISH)
                    .bind(id.0)
                    .bind(claim_token)
                    .bind(now.timestamp_micros())
                    .bind("DISCARDED")
                    .bind(Some(error)),
                Some("activation_mail_failed"),
            ),
        };
        let mut transaction = self.begin().await?;
        let settled = query.execute(&mut *transaction).await.map_err(storage_error)?;
        if settled.rows_affected() == 0 {
            return Ok(false);
        }
        if let Some(event) = event {
            sqlx::query(concat!(
                "INSERT INTO events (kind, create_time, user_id, mail_id)
                 SELECT $3, $2, user_id, id FROM mails WHERE id = $1 AND ",
                carries_activation_key!()
            ))
            .bind(id.0)
            .bind(now.timestamp_micros())
            .bind(event)
            .execute(&mut *transaction)
            .await
            .map_err(storage_error)?;
        }
        transaction.commit().await.map_err(storage_error)?;
        Ok(true)
    }
}

const FINISH: &str = "
UPDATE mails SET state = $4, finish_time = $3, last_error = coalesce($5, last_error),
    sealed_text = NULL, lease_expire_time = NULL, claim_token = NULL
WHERE id = $1 AND claim_token = $2";

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
        "INSERT INTO mails (id, user_id, kind, recipient, state, sealed_text, next_attempt_time, create_time, expire_time)
         VALUES ($1, $2, $3, $4, 'QUEUED', $5, $6, $6, $7)",
    )
    .bind(mail.id.0)
    .bind(user_id.0)
    .bind(mail.kind.as_str())
    .bind(recipient)
    .bind(&mail.sealed_text)
    .bind(now)
    .bind(mail.expire_time.timestamp_micros())
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(())
}
