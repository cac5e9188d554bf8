//! Users, whatever their state.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite, Transaction};

use super::{
    SqliteRepository, append_event, lock_user, page::List, storage_error, user, user_columns,
    verifications::delete_unspent_keys,
};
use crate::{
    domain::{
        Timestamp,
        email_address::EmailAddress,
        event::EventKind,
        page::{Page, PageKey, PageSize},
        user::{User, UserFilter, UserId, UserState},
        username::UsernameKey,
    },
    repository::{StorageError, UserRefusal, Users},
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

    async fn list_users(
        &self,
        filter: &UserFilter,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<User>, StorageError> {
        let mut transaction = self.readers.begin().await.map_err(storage_error)?;
        filter.page(&mut transaction, size, after.as_ref()).await
    }

    async fn activate_user(
        &self,
        id: UserId,
        now: Timestamp,
    ) -> Result<Result<User, UserRefusal>, StorageError> {
        let mut transaction = self.begin().await?;
        let Some(locked) = lock_user(&mut transaction, id).await? else {
            return Ok(Err(UserRefusal::UserNotFound));
        };
        match locked.state {
            UserState::Disabled => return Ok(Err(UserRefusal::Disabled)),
            UserState::Active => return Ok(Ok(locked)),
            UserState::Pending => {}
        }
        let switched = User { state: UserState::Active, activate_time: Some(now), ..locked };
        switch(transaction, switched, EventKind::UserActivated, now).await.map(Ok)
    }

    async fn disable_user(&self, id: UserId, now: Timestamp) -> Result<Option<User>, StorageError> {
        let mut transaction = self.begin().await?;
        let Some(locked) = lock_user(&mut transaction, id).await? else { return Ok(None) };
        if locked.state == UserState::Disabled {
            return Ok(Some(locked));
        }
        let switched = User { state: UserState::Disabled, disable_time: Some(now), ..locked };
        switch(transaction, switched, EventKind::UserDisabled, now).await.map(Some)
    }

    async fn enable_user(&self, id: UserId, now: Timestamp) -> Result<Option<User>, StorageError> {
        let mut transaction = self.begin().await?;
        let Some(locked) = lock_user(&mut transaction, id).await? else { return Ok(None) };
        if locked.state != UserState::Disabled {
            return Ok(Some(locked));
        }
        let was_active = locked.activate_time.is_some();
        if !was_active {
            sqlx::query("DELETE FROM activation_keys WHERE user_id = $1")
                .bind(id.0)
                .execute(&mut *transaction)
                .await
                .map_err(storage_error)?;
        }
        delete_unspent_keys(&mut transaction, id).await?;
        let state = if was_active { UserState::Active } else { UserState::Pending };
        let switched = User { state, disable_time: None, ..locked };
        switch(transaction, switched, EventKind::UserEnabled, now).await.map(Some)
    }

    async fn delete_user(&self, id: UserId, now: Timestamp) -> Result<Option<User>, StorageError> {
        let mut transaction = self.begin().await?;
        let gone = sqlx::query(concat!("DELETE FROM users WHERE id = $1 RETURNING ", user_columns!()))
            .bind(id.0)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(storage_error)?;
        let Some(row) = gone else { return Ok(None) };
        sqlx::query(
            "INSERT INTO events (kind, create_time, user_id, deletion_reason)
             VALUES ('user_deleted', $1, $2, 'requested')",
        )
        .bind(now.timestamp_micros())
        .bind(id.0)
        .execute(&mut *transaction)
        .await
        .map_err(storage_error)?;
        transaction.commit().await.map_err(storage_error)?;
        user(&row).map(Some)
    }

    async fn record_login(
        &self,
        id: UserId,
        login_time: Timestamp,
    ) -> Result<Result<User, UserRefusal>, StorageError> {
        let mut transaction = self.begin().await?;
        let Some(locked) = lock_user(&mut transaction, id).await? else {
            return Ok(Err(UserRefusal::UserNotFound));
        };
        if locked.state == UserState::Disabled {
            return Ok(Err(UserRefusal::Disabled));
        }
        let recorded = sqlx::query(concat!(
            "UPDATE users SET last_login_time = max(coalesce(last_login_time, $2), $2) WHERE id = $1 RETURNING ",
            user_columns!()
        ))
        .bind(id.0)
        .bind(login_time.timestamp_micros())
        .fetch_one(&mut *transaction)
        .await
        .map_err(storage_error)?;
        transaction.commit().await.map_err(storage_error)?;
        user(&recorded).map(Ok)
    }
}

impl List for UserFilter {
    fn username_prefix(&self) -> Option<&UsernameKey> {
        self.username_prefix.as_ref()
    }

    fn push_served(&self, query: &mut QueryBuilder<Sqlite>) {
        if let Some(state) = self.state {
            query.push(" AND state = ").push_bind(state.as_str());
        }
    }
}

/// Writes the state of a locked user and since when, says so in an event, and commits.
async fn switch(
    mut transaction: Transaction<'_, Sqlite>,
    switched: User,
    kind: EventKind,
    now: Timestamp,
) -> Result<User, StorageError> {
    sqlx::query("UPDATE users SET state = $2, activate_time = $3, disable_time = $4 WHERE id = $1")
        .bind(switched.id.0)
        .bind(switched.state.as_str())
        .bind(switched.activate_time.map(|time| time.timestamp_micros()))
        .bind(switched.disable_time.map(|time| time.timestamp_micros()))
        .execute(&mut *transaction)
        .await
        .map_err(storage_error)?;
    append_event(&mut transaction, kind, switched.id, now.timestamp_micros()).await?;
    transaction.commit().await.map_err(storage_error)?;
    Ok(switched)
}
