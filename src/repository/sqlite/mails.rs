//! The mails as an operator looks at them, and what an operator can do about one.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};

use super::{SqliteRepository, id, instant, optional_instant, storage_error};
use crate::{
    domain::{
        Timestamp,
        mail::{Mail, MailFilter, MailId, MailKind, MailState},
        page::{Page, PageKey, PageSize},
        user::UserId,
    },
    repository::{
        MailRefusal, Mails, StorageError, outbox::carries_activation_key, unverified::MAX_ROWS_EXAMINED,
    },
};

/// The columns of `mails` that [`mail`] reads.
macro_rules! mail_columns {
    () => {
        "id, user_id, kind, recipient, state, attempt, next_attempt_time, last_error, create_time, finish_time, \
         expire_time"
    };
}

#[async_trait]
impl Mails for SqliteRepository {
    async fn list_mails(
        &self,
        filter: &MailFilter,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<Mail>, StorageError> {
        let mut transaction = self.readers.begin().await.map_err(storage_error)?;
        let mut query = QueryBuilder::new(concat!("SELECT ", mail_columns!(), " FROM (SELECT * FROM mails"));
        push_walk(&mut query, filter, after.as_ref());
        query.push(" ORDER BY create_time, id LIMIT ").push_bind(i64::from(MAX_ROWS_EXAMINED));
        query.push(") AS examined WHERE true");
        push_residual(&mut query, filter);
        let limit = i64::try_from(size.get() + 1).unwrap_or(i64::MAX);
        query.push(" ORDER BY create_time, id LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&mut *transaction).await.map_err(storage_error)?;
        let mut items = rows.iter().map(mail).collect::<Result<Vec<_>, _>>()?;
        if items.len() > size.get() {
            items.truncate(size.get());
            return Ok(Page { next: items.last().map(Mail::page_key), items });
        }
        let mut query = QueryBuilder::new("SELECT create_time, id FROM mails");
        push_walk(&mut query, filter, after.as_ref());
        let skipped = i64::from(MAX_ROWS_EXAMINED) - 1;
        query.push(" ORDER BY create_time, id LIMIT 1 OFFSET ").push_bind(skipped);
        let last_examined = query.build().fetch_optional(&mut *transaction).await.map_err(storage_error)?;
        let next = last_examined.map(|row| {
            Ok::<_, StorageError>(PageKey::Created {
                create_time: instant(&row, "create_time")?,
                id: id(&row, "id")?,
            })
        });
        Ok(Page { items, next: next.transpose()? })
    }

    async fn find_mail(&self, id: MailId) -> Result<Option<Mail>, StorageError> {
        sqlx::query(concat!("SELECT ", mail_columns!(), " FROM mails WHERE id = $1"))
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await
            .map_err(storage_error)?
            .as_ref()
            .map(mail)
            .transpose()
    }

    async fn retry_mail(
        &self,
        id: MailId,
        now: Timestamp,
    ) -> Result<Result<Mail, MailRefusal>, StorageError> {
        let due = sqlx::query(concat!(
            "UPDATE mails SET next_attempt_time = min(next_attempt_time, $2)
             WHERE id = $1 AND state = 'QUEUED' RETURNING ",
            mail_columns!()
        ))
        .bind(id.0)
        .bind(now.timestamp_micros())
        .fetch_optional(&self.writer)
        .await
        .map_err(storage_error)?;
        match due {
            Some(row) => Ok(Ok(mail(&row)?)),
            None if self.find_mail(id).await?.is_some() => Ok(Err(MailRefusal::Finished)),
            None => Ok(Err(MailRefusal::MailNotFound)),
        }
    }

    async fn discard_mail(
        &self,
        id: MailId,
        now: Timestamp,
    ) -> Result<Result<Mail, MailRefusal>, StorageError> {
        let mut transaction = self.begin().await?;
        let discarded = sqlx::query(DISCARD)
            .bind(id.0)
            .bind(now.timestamp_micros())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(storage_error)?;
        if let Some(row) = discarded {
            sqlx::query(concat!(
                "INSERT INTO events (kind, create_time, user_id, mail_id)
                 SELECT 'activation_mail_failed', $2, user_id, id FROM mails
                 WHERE id = $1 AND ",
                carries_activation_key!()
            ))
            .bind(id.0)
            .bind(now.timestamp_micros())
            .execute(&mut *transaction)
            .await
            .map_err(storage_error)?;
            transaction.commit().await.map_err(storage_error)?;
            return Ok(Ok(mail(&row)?));
        }
        drop(transaction);
        Ok(match self.find_mail(id).await? {
            None => Err(MailRefusal::MailNotFound),
            Some(mail) if mail.state == MailState::Discarded => Ok(mail),
            Some(_) => Err(MailRefusal::Finished),
        })
    }
}

const DISCARD: &str = concat!(
    "UPDATE mails SET state = 'DISCARDED', finish_time = $2,
         sealed_text = NULL, lease_expire_time = NULL, claim_token = NULL
     WHERE id = $1 AND state = 'QUEUED' RETURNING ",
    mail_columns!()
);

/// The mails that a page may examine: along one index, that of the condition which fewest mails meet.
fn push_walk(query: &mut QueryBuilder<Sqlite>, filter: &MailFilter, after: Option<&PageKey>) {
    query.push(" WHERE true");
    if let Some(PageKey::Created { create_time, id }) = after {
        query.push(" AND (create_time, id) > (").push_bind(create_time.timestamp_micros());
        query.push(", ").push_bind(*id).push(")");
    }
    if let Some(user_id) = filter.user_id {
        query.push(" AND user_id = ").push_bind(user_id.0);
    } else if let Some(recipient) = &filter.recipient {
        query.push(" AND recipient = ").push_bind(recipient.as_str().to_owned());
    } else if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
}

/// The conditions that are checked mail by mail.
fn push_residual(query: &mut QueryBuilder<Sqlite>, filter: &MailFilter) {
    if let Some(recipient) = &filter.recipient {
        query.push(" AND recipient = ").push_bind(recipient.as_str().to_owned());
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
}

fn mail(row: &SqliteRow) -> Result<Mail, StorageError> {
    let kind: &str = row.try_get("kind").map_err(storage_error)?;
    let state: &str = row.try_get("state").map_err(storage_error)?;
    let attempt: i64 = row.try_get("attempt").map_err(storage_error)?;
    Ok(Mail {
        id: MailId(id(row, "id")?),
        user_id: UserId(id(row, "user_id")?),
        kind: MailKind::from_name(kind).ok_or(StorageError::Corrupt("a mail's kind"))?,
        recipient: row.try_get("recipient").map_err(storage_error)?,
        state: MailState::from_name(state).ok_or(StorageError::Corrupt("a mail's state"))?,
        attempt: u32::try_from(attempt).map_err(|_| StorageError::Corrupt("a mail's attempt"))?,
        next_attempt_time: instant(row, "next_attempt_time")?,
        last_error: row.try_get("last_error").map_err(storage_error)?,
        create_time: instant(row, "create_time")?,
        finish_time: optional_instant(row, "finish_time")?,
        expire_time: instant(row, "expire_time")?,
    })
}
