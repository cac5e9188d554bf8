//! The addresses that get no mail, since mail to them has bounced for good.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Row as _, postgres::PgRow};

use super::{PostgresRepository, storage_error};
use crate::{
    domain::{
        email_address::EmailAddress,
        mail::MailId,
        page::{Page, PageKey, PageSize},
        suppression::Suppression,
    },
    repository::{PermanentBounce, StorageError, Suppressions},
};

/// The columns of `suppressions` that [`suppression`] reads.
macro_rules! suppression_columns {
    () => {
        "email, create_time, last_bounce_time, reason, mail_id"
    };
}

#[async_trait]
impl Suppressions for PostgresRepository {
    async fn suppress(&self, bounce: &PermanentBounce) -> Result<Suppression, StorageError> {
        let row = sqlx::query(concat!(
            "INSERT INTO suppressions (email, create_time, last_bounce_time, reason, mail_id)
             VALUES ($1, $2, $2, $3, $4)
             ON CONFLICT (email) DO UPDATE SET
                 last_bounce_time = excluded.last_bounce_time, reason = excluded.reason, mail_id = excluded.mail_id
             RETURNING ",
            suppression_columns!()
        ))
        .bind(bounce.email.as_str())
        .bind(bounce.now)
        .bind(bounce.reason.as_str())
        .bind(bounce.mail_id.map(|id| id.0))
        .fetch_one(&self.pool)
        .await
        .map_err(storage_error)?;
        suppression(&row)
    }

    async fn find_suppression(&self, email: &EmailAddress) -> Result<Option<Suppression>, StorageError> {
        sqlx::query(concat!("SELECT ", suppression_columns!(), " FROM suppressions WHERE email = $1"))
            .bind(email.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(storage_error)?
            .as_ref()
            .map(suppression)
            .transpose()
    }

    async fn list_suppressions(
        &self,
        email: Option<&EmailAddress>,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<Suppression>, StorageError> {
        let mut query =
            QueryBuilder::new(concat!("SELECT ", suppression_columns!(), " FROM suppressions WHERE true"));
        if let Some(email) = email {
            query.push(" AND email = ").push_bind(email.as_str().to_owned());
        }
        if let Some(PageKey::Email(last)) = after {
            query.push(" AND email > ").push_bind(last);
        }
        let limit = i64::try_from(size.get() + 1).unwrap_or(i64::MAX);
        query.push(" ORDER BY email LIMIT ").push_bind(limit);
        // Planned for its arguments each time, as the lists of users are.
        let rows = query.build().persistent(false).fetch_all(&self.pool).await.map_err(storage_error)?;
        let mut items = rows.iter().map(suppression).collect::<Result<Vec<_>, _>>()?;
        if items.len() <= size.get() {
            return Ok(Page { items, next: None });
        }
        items.truncate(size.get());
        Ok(Page { next: items.last().map(Suppression::page_key), items })
    }

    async fn lift_suppression(&self, email: &EmailAddress) -> Result<Option<Suppression>, StorageError> {
        sqlx::query(concat!("DELETE FROM suppressions WHERE email = $1 RETURNING ", suppression_columns!()))
            .bind(email.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(storage_error)?
            .as_ref()
            .map(suppression)
            .transpose()
    }
}

fn suppression(row: &PgRow) -> Result<Suppression, StorageError> {
    let mail_id: Option<_> = row.try_get("mail_id").map_err(storage_error)?;
    Ok(Suppression {
        email: row.try_get("email").map_err(storage_error)?,
        create_time: row.try_get("create_time").map_err(storage_error)?,
        last_bounce_time: row.try_get("last_bounce_time").map_err(storage_error)?,
        reason: row.try_get("reason").map_err(storage_error)?,
        mail_id: mail_id.map(MailId),
    })
}
