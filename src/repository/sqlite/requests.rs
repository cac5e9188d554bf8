//! What was done for calls that brought a `request_id`.

use async_trait::async_trait;
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{SqliteRepository, id, instant, optional_instant, storage_error};
use crate::{
    domain::{
        Timestamp,
        mail::MailState,
        request::{Mac, RequestId, RequestKey},
        site::SiteId,
        user::UserId,
    },
    repository::{MailCount, RemindCount, RequestRecord, Requests, StorageError},
};

#[async_trait]
impl Requests for SqliteRepository {
    async fn find_request(&self, key: &RequestKey) -> Result<Option<RequestRecord>, StorageError> {
        sqlx::query(
            "SELECT caller, request_id, fields_mac, create_time, user_id, expire_time, site, mails_delivered,
                 last_mail_state, remind_count, remind_more
             FROM requests WHERE caller = $1 AND request_id = $2",
        )
        .bind(&key.caller)
        .bind(key.id.0)
        .fetch_optional(&self.readers)
        .await
        .map_err(storage_error)?
        .as_ref()
        .map(record)
        .transpose()
    }

    async fn remember_request(&self, record: &RequestRecord) -> Result<bool, StorageError> {
        let mut transaction = self.begin().await?;
        let is_new = remember(&mut transaction, Some(record)).await?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(is_new)
    }

    async fn forget_requests(&self, before: Timestamp, limit: u32) -> Result<u32, StorageError> {
        self.forget(
            "DELETE FROM requests WHERE (caller, request_id) IN (
                 SELECT caller, request_id FROM requests WHERE create_time <= $1
                 ORDER BY create_time LIMIT $2
             )",
            before,
            limit,
        )
        .await
    }
}

fn record(row: &SqliteRow) -> Result<RequestRecord, StorageError> {
    let fields_mac: Vec<u8> = row.try_get("fields_mac").map_err(storage_error)?;
    let has_user = row.try_get::<Option<&[u8]>, _>("user_id").map_err(storage_error)?.is_some();
    let site: Option<&str> = row.try_get("site").map_err(storage_error)?;
    let delivered: Option<i32> = row.try_get("mails_delivered").map_err(storage_error)?;
    let last_state: Option<&str> = row.try_get("last_mail_state").map_err(storage_error)?;
    let reminded: Option<i32> = row.try_get("remind_count").map_err(storage_error)?;
    let more: Option<bool> = row.try_get("remind_more").map_err(storage_error)?;
    let site = site.map(|site| SiteId::parse(site).map_err(|_| StorageError::Corrupt("a request's site")));
    Ok(RequestRecord {
        key: RequestKey {
            caller: row.try_get("caller").map_err(storage_error)?,
            id: RequestId(id(row, "request_id")?),
        },
        fields_mac: Mac(fields_mac.try_into().map_err(|_| StorageError::Corrupt("a request's MAC"))?),
        create_time: instant(row, "create_time")?,
        user_id: if has_user { Some(UserId(id(row, "user_id")?)) } else { None },
        expire_time: optional_instant(row, "expire_time")?,
        site: site.transpose()?,
        mails: delivered.map(|delivered| MailCount::read(delivered.into(), last_state)).transpose()?,
        reminders: reminded.zip(more).map(|(count, more)| RemindCount { count: count.unsigned_abs(), more }),
    })
}

/// Remembers what the transaction is about to do; false if it was done before.
pub(super) async fn remember(
    transaction: &mut Transaction<'_, Sqlite>,
    request: Option<&RequestRecord>,
) -> Result<bool, StorageError> {
    let Some(record) = request else { return Ok(true) };
    let inserted = sqlx::query(
        "INSERT INTO requests (caller, request_id, fields_mac, create_time, user_id, expire_time, site,
             mails_delivered, last_mail_state, remind_count, remind_more)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
    )
    .bind(&record.key.caller)
    .bind(record.key.id.0)
    .bind(record.fields_mac.0.as_slice())
    .bind(record.create_time.timestamp_micros())
    .bind(record.user_id.map(|id| id.0))
    .bind(record.expire_time.map(|time| time.timestamp_micros()))
    .bind(record.site.as_ref().map(SiteId::as_str))
    .bind(record.mails.map(|mails| i32::try_from(mails.delivered).unwrap_or(i32::MAX)))
    .bind(record.mails.and_then(|mails| mails.last_state).map(MailState::as_str))
    .bind(record.reminders.map(|reminders| i32::try_from(reminders.count).unwrap_or(i32::MAX)))
    .bind(record.reminders.map(|reminders| reminders.more))
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(inserted.rows_affected() == 1)
}
