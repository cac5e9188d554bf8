//! The event log.

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};

use super::{PostgresRepository, Transaction, storage_error};
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
impl EventLog for PostgresRepository {
    async fn number_events(&self, limit: u32) -> Result<Numbered, StorageError> {
        let look = sqlx::query(concat!(
            "SELECT ",
            first_unnumbered!(),
            " IS NOT NULL AS unnumbered, ",
            last_number!(),
            " AS last_number FROM event_log"
        ))
        .fetch_one(&self.pool)
        .await
        .map_err(storage_error)?;
        let last_number = look.try_get("last_number").map_err(storage_error)?;
        if !look.try_get::<bool, _>("unnumbered").map_err(storage_error)? {
            return Ok(Numbered { last_number, more: false });
        }
        let Some(mut transaction) = self.hold_event_log().await? else {
            return Ok(Numbered { last_number, more: true });
        };
        let numbered: Option<i64> = sqlx::query_scalar(NUMBER)
            .bind(i64::from(limit))
            .fetch_one(&mut *transaction)
            .await
            .map_err(storage_error)?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(Numbered { last_number: numbered.unwrap_or(last_number), more: true })
    }

    async fn read_events(&self, after: i64, limit: u32) -> Result<EventBatch, StorageError> {
        let rows = sqlx::query(concat!(
            "SELECT log_id, trimmed_number, ",
            last_number!(),
            " AS last_number, number, kind, create_time, user_id, mail_id, deletion_reason
             FROM event_log LEFT JOIN (
                 SELECT number, kind, create_time, user_id, mail_id, deletion_reason FROM events
                 -- What is trimmed away is passed over, and not looked for.
                 WHERE number > greatest($1, (SELECT trimmed_number FROM event_log))
                 ORDER BY number LIMIT $2
             ) AS following ON true
             ORDER BY number"
        ))
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(storage_error)?;
        let first = rows.first().ok_or(StorageError::Corrupt("the event log"))?;
        let events = rows.iter().filter_map(|row| event(row).transpose()).collect::<Result<_, _>>()?;
        Ok(EventBatch { extent: extent(first)?, events })
    }

    async fn trim_events(&self, before: Timestamp, limit: u32) -> Result<u32, StorageError> {
        let Some(mut transaction) = self.hold_event_log().await? else { return Ok(0) };
        let trimmed: i64 = sqlx::query_scalar(
            "WITH oldest AS MATERIALIZED (
                 SELECT number, create_time FROM events
                 WHERE number > (SELECT trimmed_number FROM event_log)
                 ORDER BY number LIMIT $2
             ), gone AS (
                 DELETE FROM events
                 WHERE number IN (SELECT number FROM oldest)
                     AND number < coalesce(
                         (SELECT min(number) FROM oldest WHERE create_time >= $1), 9223372036854775807
                     )
                 RETURNING number
             ), remembered AS (
                 UPDATE event_log SET trimmed_number = (SELECT max(number) FROM gone)
                 WHERE EXISTS (SELECT FROM gone)
             )
             SELECT count(*) FROM gone",
        )
        .bind(before)
        .bind(i64::from(limit))
        .fetch_one(&mut *transaction)
        .await
        .map_err(storage_error)?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(u32::try_from(trimmed).unwrap_or(u32::MAX))
    }

    async fn renew_event_log(&self, log: LogId) -> Result<Extent, StorageError> {
        let row = sqlx::query(concat!(
            "UPDATE event_log SET log_id = $1 RETURNING log_id, trimmed_number, ",
            last_number!(),
            " AS last_number"
        ))
        .bind(log.0)
        .fetch_one(&self.pool)
        .await
        .map_err(storage_error)?;
        extent(&row)
    }
}

/// The number of the log's last event, in a statement on `event_log`.
macro_rules! last_number {
    () => {
        "greatest((SELECT max(number) FROM events), trimmed_number)"
    };
}
use last_number;

/// The lowest id without a number. An index scan, which also removes what it finds dead from the index.
macro_rules! first_unnumbered {
    () => {
        "(SELECT id FROM events WHERE number IS NULL ORDER BY id LIMIT 1)"
    };
}
use first_unnumbered;

/// Run by whoever holds the log: its snapshot is younger than the commit of whoever numbered before.
///
/// A range of ids instead of a limit, so that no plan sorts more than that, however many wait.
const NUMBER: &str = concat!(
    "WITH unnumbered AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY id) AS place
    FROM events WHERE number IS NULL AND id < $1 + ",
    first_unnumbered!(),
    "
), numbered AS (
    UPDATE events SET number = place + (SELECT ",
    last_number!(),
    " FROM event_log)
    FROM unnumbered WHERE events.id = unnumbered.id AND events.number IS NULL
    RETURNING events.number
)
SELECT max(number) FROM numbered"
);

impl PostgresRepository {
    /// Holds the log against others who number or trim; `None` while somebody else holds it. No act does, so that none
    /// waits for this, and this for none.
    async fn hold_event_log(&self) -> Result<Option<Transaction>, StorageError> {
        // Each statement has to see what was committed before it, whatever the role's default is.
        let mut transaction = self.begin("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        let held = sqlx::query("SELECT id FROM event_log FOR UPDATE SKIP LOCKED")
            .fetch_optional(&mut *transaction)
            .await
            .map_err(storage_error)?;
        Ok(held.map(|_| transaction))
    }
}

fn extent(row: &PgRow) -> Result<Extent, StorageError> {
    Ok(Extent {
        log: LogId(row.try_get("log_id").map_err(storage_error)?),
        trimmed_number: row.try_get("trimmed_number").map_err(storage_error)?,
        last_number: row.try_get("last_number").map_err(storage_error)?,
    })
}

/// The event of a row; `None` where there is only the log.
fn event(row: &PgRow) -> Result<Option<Event>, StorageError> {
    let number: Option<i64> = row.try_get("number").map_err(storage_error)?;
    let Some(number) = number else { return Ok(None) };
    let kind: &str = row.try_get("kind").map_err(storage_error)?;
    let deletion_reason: Option<&str> = row.try_get("deletion_reason").map_err(storage_error)?;
    let deletion_reason = deletion_reason
        .map(|reason| {
            DeletionReason::from_name(reason).ok_or(StorageError::Corrupt("an event's deletion reason"))
        })
        .transpose()?;
    let mail_id: Option<uuid::Uuid> = row.try_get("mail_id").map_err(storage_error)?;
    Ok(Some(Event {
        number,
        kind: EventKind::from_name(kind).ok_or(StorageError::Corrupt("an event's kind"))?,
        create_time: row.try_get("create_time").map_err(storage_error)?,
        user_id: UserId(row.try_get("user_id").map_err(storage_error)?),
        mail_id: mail_id.map(MailId),
        deletion_reason,
    }))
}
