//! Users, whatever their state.

use async_trait::async_trait;
use sqlx::{Postgres, QueryBuilder};

use super::{
    PostgresRepository, Transaction, append_event, lock_user, page::List, storage_error, user, user_columns,
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
impl Users for PostgresRepository {
    async fn find_user(&self, id: UserId) -> Result<Option<User>, StorageError> {
        sqlx::query(concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1"))
            .bind(id.0)
            .fetch_optional(&self.pool)
            .await
            .map_err(storage_error)?
            .as_ref()
            .map(user)
            .transpose()
    }

    async fn find_user_by_username(&self, key: &UsernameKey) -> Result<Option<User>, StorageError> {
        sqlx::query(concat!("SELECT ", user_columns!(), " FROM users WHERE username_key = $1"))
            .bind(key.as_str())
            .fetch_optional(&self.pool)
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
        .fetch_optional(&self.pool)
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
                     SELECT FROM verified_email_addresses v WHERE v.email = $1 AND v.user_id <> users.id
                 )
             ORDER BY create_time DESC, id DESC LIMIT $3"
        ))
        .bind(email.as_str())
        .bind(now)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
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
        let mut transaction = self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        filter.page(&mut transaction, size, after.as_ref()).await
    }

    async fn activate_user(
        &self,
        id: UserId,
        now: Timestamp,
    ) -> Result<Result<User, UserRefusal>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
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
        let mut transaction = self.begin("BEGIN").await?;
        let Some(locked) = lock_user(&mut transaction, id).await? else { return Ok(None) };
        if locked.state == UserState::Disabled {
            return Ok(Some(locked));
        }
        let switched = User { state: UserState::Disabled, disable_time: Some(now), ..locked };
        switch(transaction, switched, EventKind::UserDisabled, now).await.map(Some)
    }

    async fn enable_user(&self, id: UserId, now: Timestamp) -> Result<Option<User>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
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
        sqlx::query(concat!(
            "WITH gone AS (
                 DELETE FROM users WHERE id = $1 RETURNING ",
            user_columns!(),
            "
             ), new_event AS (
                 INSERT INTO events (kind, create_time, user_id, deletion_reason)
                 SELECT 'user_deleted', $2, id, 'requested' FROM gone
             )
             SELECT ",
            user_columns!(),
            " FROM gone"
        ))
        .bind(id.0)
        .bind(now)
        .fetch_optional(&self.pool)
        .await
        .map_err(storage_error)?
        .as_ref()
        .map(user)
        .transpose()
    }

    async fn record_login(
        &self,
        id: UserId,
        login_time: Timestamp,
    ) -> Result<Result<User, UserRefusal>, StorageError> {
        let recorded = sqlx::query(concat!(
            "UPDATE users SET last_login_time = greatest(last_login_time, $2)
             WHERE id = $1 AND state <> 'DISABLED' RETURNING ",
            user_columns!()
        ))
        .bind(id.0)
        .bind(login_time)
        .fetch_optional(&self.pool)
        .await
        .map_err(storage_error)?;
        match recorded {
            Some(row) => Ok(Ok(user(&row)?)),
            None if self.find_user(id).await?.is_some() => Ok(Err(UserRefusal::Disabled)),
            None => Ok(Err(UserRefusal::UserNotFound)),
        }
    }
}

impl List for UserFilter {
    fn username_prefix(&self) -> Option<&UsernameKey> {
        self.username_prefix.as_ref()
    }

    fn push_served(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(state) = self.state {
            query.push(" AND state = ").push_bind(state.as_str());
        }
    }
}

/// Writes the state of a locked user and since when, says so in an event, and commits.
async fn switch(
    mut transaction: Transaction,
    switched: User,
    kind: EventKind,
    now: Timestamp,
) -> Result<User, StorageError> {
    sqlx::query("UPDATE users SET state = $2, activate_time = $3, disable_time = $4 WHERE id = $1")
        .bind(switched.id.0)
        .bind(switched.state.as_str())
        .bind(switched.activate_time)
        .bind(switched.disable_time)
        .execute(&mut *transaction)
        .await
        .map_err(storage_error)?;
    append_event(&mut transaction, kind, switched.id, now).await?;
    transaction.commit().await.map_err(storage_error)?;
    Ok(switched)
}
