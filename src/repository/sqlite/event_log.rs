//! The event log: one transaction writes at a time, so ids become visible in their order and are the numbers.

use async_trait::async_trait;
use sqlx::{Row as _, sqlite::SqliteRow};
use uuid::Uuid;

use super::{SqliteRepository, id, instant, storage_error};
use crate::{
    domain::{
        Timestamp,
        event::{DeletionReason, EventKind},
        event_log::{Event, Extent, LogId},
        mail::MailId,
        user::UserId,
    },
    repository::{EventBatch, EventLog, Numbered, StorageError},
};

#[async_trait]
impl EventLog for SqliteRepository {
    async fn number_events(&self, _limit: u32) -> Result<Numbered, StorageError> {
        let last_number = sqlx::query_scalar(concat!("SELECT ", last_number!(), " FROM event_log"))
            .fetch_one(&self.readers)
            .await
            .map_err(storage_error)?;
        Ok(Numbered { last_number, more: false })
    }

    async fn read_events(&self, after: i64, limit: u32) -> Result<EventBatch, StorageError> {
        let rows = sqlx::query(concat!(
            "SELECT log_id, trimmed_number, ",
            last_number!(),
            " AS last_number, number, kind, create_time, user_id, mail_id, deletion_reason
             FROM event_log LEFT JOIN (
                 SELECT id AS number, kind, create_time, user_id, mail_id, deletion_reason FROM events
                 WHERE id > $1 ORDER BY id LIMIT $2
             ) AS following
             ORDER BY number"
        ))
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(storage_error)?;
        let first = rows.first().ok_or(StorageError::Corrupt("the event log"))?;
        let events = rows.iter().filter_map(|row| event(row).transpose()).collect::<Result<_, _>>()?;
        Ok(EventBatch { extent: extent(first)?, events })
    }

    async fn trim_events(&self, before: Timestamp, limit: u32) -> Result<u32, StorageError> {
        let mut transaction = self.begin().await?;
        let trimmed: Vec<i64> = sqlx::query_scalar(
            "WITH oldest AS MATERIALIZED (SELECT id, create_time FROM events ORDER BY id LIMIT $2)
             DELETE FROM events
             WHERE id IN (SELECT id FROM oldest)
                 AND id < coalesce(
                     (SELECT min(id) FROM oldest WHERE create_time >= $1), 9223372036854775807
                 )
             RETURNING id",
        )
        .bind(before.timestamp_micros())
        .bind(i64::from(limit))
        .fetch_all(&mut *transaction)
        .await
        .map_err(storage_error)?;
        if let Some(last) = trimmed.iter().max() {
            sqlx::query("UPDATE event_log SET trimmed_number = $1")
                .bind(last)
                .execute(&mut *transaction)
                .await
                .map_err(storage_error)?;
        }
        transaction.commit().await.map_err(storage_error)?;
        Ok(u32::try_from(trimmed.len()).unwrap_or(u32::MAX))
    }

    async fn renew_event_log(&self, log: LogId) -> Result<Extent, StorageError> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query(concat!(
            "UPDATE event_log SET log_id = $1 RETURNING log_id, trimmed_number, ",
            last_number!(),
            " AS last_number"
        ))
        .bind(log.0)
        .fetch_one(&mut *transaction)
        .await
        .map_err(storage_error)?;
        let renewed = extent(&row)?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(renewed)
    }
}

/// The number of the log's last event, in a statement on `event_log`.
macro_rules! last_number {
    () => {
        "max(coalesce((SELECT max(id) FROM events), 0), trimmed_number)"
    };
}
use last_number;

fn extent(row: &SqliteRow) -> Result<Extent, StorageError> {
    Ok(Extent {
        log: LogId(id(row, "log_id")?),
        trimmed_number: row.try_get("trimmed_number").map_err(storage_error)?,
        last_number: row.try_get("last_number").map_err(storage_error)?,
    })
}

/// The event of a row; `None` where there is only the log.
fn event(row: &SqliteRow) -> Result<Option<Event>, StorageError> {
    let number: Option<i64> = row.try_get("number").map_err(storage_error)?;
    let Some(number) = number else { return Ok(None) };
    let kind: &str = row.try_get("kind").map_err(storage_error)?;
    let deletion_reason: Option<&str> = row.try_get("deletion_reason").map_err(storage_error)?;
    let deletion_reason = deletion_reason
        .map(|reason| {
            DeletionReason::from_name(reason).ok_or(StorageError::Corrupt("an event's deletion reason"))
        })
        .transpose()?;
    let mail_id: Option<Uuid> = row.try_get("mail_id").map_err(storage_error)?;
    Ok(Some(Event {
        number,
        kind: EventKind::from_name(kind).ok_or(StorageError::Corrupt("an event's kind"))?,
        create_time: instant(row, "create_time")?,
        user_id: UserId(id(row, "user_id")?),
        mail_id: mail_id.map(MailId),
        deletion_reason,
    }))
}
