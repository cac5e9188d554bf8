//! The mails as an operator looks at them, and what an operator can do about one.

use async_trait::async_trait;
use sqlx::{Postgres, QueryBuilder, Row as _, postgres::PgRow};

use super::{PostgresRepository, storage_error};
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
impl Mails for PostgresRepository {
    async fn list_mails(
        &self,
        filter: &MailFilter,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<Mail>, StorageError> {
        let mut transaction = self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        let mut query = QueryBuilder::new(concat!("SELECT ", mail_columns!(), " FROM (SELECT * FROM mails"));
        push_walk(&mut query, filter, after.as_ref());
        query.push(" ORDER BY create_time, id LIMIT ").push_bind(i64::from(MAX_ROWS_EXAMINED));
        query.push(") AS examined WHERE true");
        push_residual(&mut query, filter);
        let limit = i64::try_from(size.get() + 1).unwrap_or(i64::MAX);
        query.push(" ORDER BY create_time, id LIMIT ").push_bind(limit);
        // Planned for its arguments each time, as the lists of users are.
        let rows =
            query.build().persistent(false).fetch_all(&mut *transaction).await.map_err(storage_error)?;
        let mut items = rows.iter().map(mail).collect::<Result<Vec<_>, _>>()?;
        if items.len() > size.get() {
            items.truncate(size.get());
            return Ok(Page { next: items.last().map(Mail::page_key), items });
        }
        let mut query = QueryBuilder::new("SELECT create_time, id FROM mails");
        push_walk(&mut query, filter, after.as_ref());
        let skipped = i64::from(MAX_ROWS_EXAMINED) - 1;
        query.push(" ORDER BY create_time, id LIMIT 1 OFFSET ").push_bind(skipped);
        let last_examined =
            query.build().persistent(false).fetch_optional(&mut *transaction).await.map_err(storage_error)?;
        let next = last_examined.map(|row| {
            Ok::<_, StorageError>(PageKey::Created {
                create_time: row.try_get("create_time").map_err(storage_error)?,
                id: row.try_get("id").map_err(storage_error)?,
            })
        });
        Ok(Page { items, next: next.transpose()? })
    }

    async fn find_mail(&self, id: MailId) -> Result<Option<Mail>, StorageError> {
        sqlx::query(concat!("SELECT ", mail_columns!(), " FROM mails WHERE id = $1"))
            .bind(id.0)
            .fetch_optional(&self.pool)
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
            "UPDATE mails SET next_attempt_time = least(next_attempt_time, $2)
             WHERE id = $1 AND state = 'QUEUED' RETURNING ",
            mail_columns!()
        ))
        .bind(id.0)
        .bind(now)
        .fetch_optional(&self.pool)
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
        let discarded = sqlx::query(DISCARD)
            .bind(id.0)
            .bind(now)
            .fetch_optional(&self.pool)
            .await
            .map_err(storage_error)?;
        if let Some(row) = discarded {
            return Ok(Ok(mail(&row)?));
        }
        Ok(match self.find_mail(id).await? {
            None => Err(MailRefusal::MailNotFound),
            Some(mail) if mail.state == MailState::Discarded => Ok(mail),
            Some(_) => Err(MailRefusal::Finished),
        })
    }
}

/// The user's row is held, as when a mail is settled.
const DISCARD: &str = concat!(
    "
WITH concerned AS (
    SELECT id FROM users WHERE id = (SELECT user_id FROM mails WHERE id = $1) FOR NO KEY UPDATE
), discarded AS (
    UPDATE mails SET state = 'DISCARDED', finish_time = $2,
        sealed_text = NULL, lease_expire_time = NULL, claim_token = NULL
    WHERE id = $1 AND state = 'QUEUED' AND user_id IN (SELECT id FROM concerned)
    RETURNING *
), new_event AS (
    INSERT INTO events (kind, create_time, user_id, mail_id)
    SELECT 'activation_mail_failed', $2, user_id, id FROM discarded WHERE ",
    carries_activation_key!(),
    "
)
SELECT ",
    mail_columns!(),
    " FROM discarded"
);

/// The mails that a page may examine: along one index, that of the condition which fewest mails meet.
fn push_walk(query: &mut QueryBuilder<Postgres>, filter: &MailFilter, after: Option<&PageKey>) {
    query.push(" WHERE true");
    if let Some(PageKey::Created { create_time, id }) = after {
        query.push(" AND (create_time, id) > (").push_bind(*create_time);
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
fn push_residual(query: &mut QueryBuilder<Postgres>, filter: &MailFilter) {
    if let Some(recipient) = &filter.recipient {
        query.push(" AND recipient = ").push_bind(recipient.as_str().to_owned());
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
}

fn mail(row: &PgRow) -> Result<Mail, StorageError> {
    let kind: &str = row.try_get("kind").map_err(storage_error)?;
    let state: &str = row.try_get("state").map_err(storage_error)?;
    let attempt: i32 = row.try_get("attempt").map_err(storage_error)?;
    Ok(Mail {
        id: MailId(row.try_get("id").map_err(storage_error)?),
        user_id: UserId(row.try_get("user_id").map_err(storage_error)?),
        kind: MailKind::from_name(kind).ok_or(StorageError::Corrupt("a mail's kind"))?,
        recipient: row.try_get("recipient").map_err(storage_error)?,
        state: MailState::from_name(state).ok_or(StorageError::Corrupt("a mail's state"))?,
        attempt: u32::try_from(attempt).map_err(|_| StorageError::Corrupt("a mail's attempt"))?,
        next_attempt_time: row.try_get("next_attempt_time").map_err(storage_error)?,
        last_error: row.try_get("last_error").map_err(storage_error)?,
        create_time: row.try_get("create_time").map_err(storage_error)?,
        finish_time: row.try_get("finish_time").map_err(storage_error)?,
        expire_time: row.try_get("expire_time").map_err(storage_error)?,
    })
}
