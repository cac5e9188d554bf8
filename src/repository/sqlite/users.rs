//! Users, whatever their state.

use async_trait::async_trait;

use super::{SqliteRepository, append_event, lock_user, storage_error, user, user_columns};
use crate::{
    domain::{
        Timestamp,
        email_address::EmailAddress,
        event::EventKind,
        user::{User, UserId, UserState},
        username::UsernameKey,
    },
    repository::{StorageError, Users},
};

#[async_trait]
impl Users for SqliteRepository {
    async fn find_user(&self, id: UserId) -> Result<Option<User>, StorageError> {
        sqlx::query(concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1"))
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await
            .map_err(storage_error)?
            .as_ref()
            .map(user)
            .transpose()
    }

    async fn find_user_by_username(&self, key: &UsernameKey) -> Result<Option<User>, StorageError> {
        sqlx::query(concat!("SELECT ", user_columns!(), " FROM users WHERE username_key = $1"))
            .bind(key.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(storage_error)?
            .as_ref()
            .map(user)
            .transpose()
    }

    async fn find_user_by_verified_email(&self, email: &EmailAddress) -> Result<Option<User>, StorageError> {
        sqlx::query(concat!(
            "SELECT ",
            user_columns!(),
            " FROM users
             WHERE id = (SELECT user_id FROM verified_email_addresses WHERE email = $1)"
        ))
        .bind(email.as_str())
        .fetch_optional(&self.readers)
        .await
        .map_err(storage_error)?
        .as_ref()
        .map(user)
        .transpose()
    }

    async fn list_pending_claims(
        &self,
        email: &EmailAddress,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<User>, StorageError> {
        sqlx::query(concat!(
            "SELECT ",
            user_columns!(),
            " FROM users
             WHERE email = $1 AND state = 'PENDING' AND profile_expire_time > $2
                 AND NOT EXISTS (
                     SELECT 1 FROM verified_email_addresses v WHERE v.email = $1 AND v.user_id <> users.id
                 )
             ORDER BY create_time DESC, id DESC LIMIT $3"
        ))
        .bind(email.as_str())
        .bind(now.timestamp_micros())
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(storage_error)?
        .iter()
        .map(user)
        .collect()
    }

    async fn disable_user(&self, id: UserId, now: Timestamp) -> Result<Option<User>, StorageError> {
        let mut transaction = self.begin().await?;
        let Some(locked) = lock_user(&mut transaction, id).await? else { return Ok(None) };
        if locked.state == UserState::Disabled {
            return Ok(Some(locked));
        }
        let disabled = sqlx::query(concat!(
            "UPDATE users SET state = 'DISABLED', disable_time = $2 WHERE id = $1 RETURNING ",
            user_columns!()
        ))
        .bind(id.0)
        .bind(now.timestamp_micros())
        .fetch_one(&mut *transaction)
        .await
        .map_err(storage_error)?;
        append_event(&mut transaction, EventKind::UserDisabled, id, now.timestamp_micros()).await?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(Some(user(&disabled)?))
    }
}
