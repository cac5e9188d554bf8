//! Passwords: what a guess is held against, and what becomes of it.

use async_trait::async_trait;
use chrono::Duration;
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{PostgresRepository, Transaction, devices, storage_error, user, user_columns};
use crate::{
    domain::{
        Timestamp,
        password::PasswordHash,
        password_guess::{Credentials, Guess, GuessDigest, GuessFailures, MAX_FORGOTTEN},
        user::{User, UserId, UserName, UserState},
    },
    repository::{CountedGuess, PasswordLogin, Passwords, StorageError},
};

#[async_trait]
impl Passwords for PostgresRepository {
    async fn find_credentials(&self, name: &UserName) -> Result<Option<Credentials>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        find_credentials(&mut transaction, name).await
    }

    async fn count_guess(
        &self,
        guess: &Guess,
        now: Timestamp,
    ) -> Result<Result<CountedGuess, Duration>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        let digest = devices::counted_by(&mut transaction, guess, now).await?;
        loop {
            let before = lock_failures(&mut transaction, &digest).await?;
            let failures = match GuessFailures::count(before, now) {
                Err(wait) => return Ok(Err(wait)),
                Ok(failures) => failures,
            };
            let written = match before {
                Some(_) => update_failures(&mut transaction, &digest, &failures).await?,
                None => insert_failures(&mut transaction, &digest, &failures, now).await?,
            };
            if written {
                break;
            }
            // Somebody else was first with a name that nobody had guessed at; now there is a row to lock.
        }
        let credentials = find_credentials(&mut transaction, guess.name()).await?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(Ok(CountedGuess { digest, credentials }))
    }

    async fn uncount_guess(&self, digest: &GuessDigest, now: Timestamp) -> Result<(), StorageError> {
        // A row that counts nothing would only take room.
        sqlx::query(
            "WITH gone AS (DELETE FROM password_guesses WHERE digest = $1 AND failure_count = 1)
             UPDATE password_guesses SET failure_count = failure_count - 1, retry_time = $2
             WHERE digest = $1 AND failure_count > 1",
        )
        .bind(digest.as_bytes())
        .bind(now)
        .execute(&self.pool)
        .await
        .map_err(storage_error)?;
        Ok(())
    }

    async fn record_password_login(&self, login: &PasswordLogin) -> Result<Option<User>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        // An update that has waited for the row looks at its conditions again (X17).
        let logged_in = sqlx::query(concat!(
            "WITH logged_in AS (
                 UPDATE users
                 SET last_login_time = greatest(last_login_time, $4), password_hash = coalesce($3, password_hash)
                 WHERE id = $1 AND state = 'ACTIVE' AND password_hash = $2 RETURNING ",
            user_columns!(),
            "
             ), forgotten AS (
                 DELETE FROM password_guesses WHERE digest IN ($5, $6) AND EXISTS (SELECT FROM logged_in)
             )
             SELECT ",
            user_columns!(),
            " FROM logged_in"
        ))
        .bind(login.user_id.0)
        .bind(login.verified_hash.expose())
        .bind(login.new_hash.as_ref().map(PasswordHash::expose))
        .bind(login.now)
        .bind(login.digest.as_bytes())
        .bind(login.device.as_ref().map(|device| device.as_bytes().as_slice()))
        .fetch_optional(&mut *transaction)
        .await
        .map_err(storage_error)?;
        let Some(row) = logged_in else { return Ok(None) };
        devices::know(&mut transaction, login).await?;
        transaction.commit().await.map_err(storage_error)?;
        user(&row).map(Some)
    }

    async fn set_password(&self, id: UserId, hash: &PasswordHash) -> Result<Option<User>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        let updated = sqlx::query(concat!(
            "UPDATE users SET password_hash = $2 WHERE id = $1 RETURNING ",
            user_columns!()
        ))
        .bind(id.0)
        .bind(hash.expose())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(storage_error)?;
        let Some(row) = updated else { return Ok(None) };
        devices::forget_all(&mut transaction, id).await?;
        transaction.commit().await.map_err(storage_error)?;
        user(&row).map(Some)
    }
}

/// Finds what a guess is held against by one statement, whatever the user is named by.
async fn find_credentials(
    transaction: &mut Transaction,
    name: &UserName,
) -> Result<Option<Credentials>, StorageError> {
    let query = match name {
        UserName::Id(id) => {
            sqlx::query("SELECT id, state, password_hash FROM users WHERE id = $1").bind(id.0)
        }
        UserName::Username(username) => {
            sqlx::query("SELECT id, state, password_hash FROM users WHERE username_key = $1")
                .bind(username.key().as_str())
        }
        UserName::Email(email) => sqlx::query(
            "SELECT id, state, password_hash FROM users
             WHERE id = (SELECT user_id FROM verified_email_addresses WHERE email = $1)",
        )
        .bind(email.as_str()),
    };
    let row = query.fetch_optional(&mut **transaction).await.map_err(storage_error)?;
    row.as_ref().map(credentials).transpose()
}

fn credentials(row: &PgRow) -> Result<Credentials, StorageError> {
    let state: &str = row.try_get("state").map_err(storage_error)?;
    let password_hash: Option<String> = row.try_get("password_hash").map_err(storage_error)?;
    Ok(Credentials {
        user_id: UserId(row.try_get::<Uuid, _>("id").map_err(storage_error)?),
        state: UserState::from_name(state).ok_or(StorageError::Corrupt("a user's state"))?,
        password_hash: password_hash.map(PasswordHash::new),
    })
}

/// The failures at a name, which nobody else counts at until the transaction ends.
async fn lock_failures(
    transaction: &mut Transaction,
    digest: &GuessDigest,
) -> Result<Option<GuessFailures>, StorageError> {
    sqlx::query(
        "SELECT failure_count, retry_time, expire_time FROM password_guesses WHERE digest = $1 FOR UPDATE",
    )
    .bind(digest.as_bytes())
    .fetch_optional(&mut **transaction)
    .await
    .map_err(storage_error)?
    .as_ref()
    .map(failures)
    .transpose()
}

fn failures(row: &PgRow) -> Result<GuessFailures, StorageError> {
    let count: i64 = row.try_get("failure_count").map_err(storage_error)?;
    Ok(GuessFailures {
        count: u32::try_from(count).unwrap_or(u32::MAX),
        retry_time: row.try_get("retry_time").map_err(storage_error)?,
        expire_time: row.try_get("expire_time").map_err(storage_error)?,
    })
}

async fn update_failures(
    transaction: &mut Transaction,
    digest: &GuessDigest,
    failures: &GuessFailures,
) -> Result<bool, StorageError> {
    let updated = sqlx::query(
        "UPDATE password_guesses SET failure_count = $2, retry_time = $3, expire_time = $4 WHERE digest = $1",
    )
    .bind(digest.as_bytes())
    .bind(i64::from(failures.count))
    .bind(failures.retry_time)
    .bind(failures.expire_time)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(updated.rows_affected() > 0)
}

/// Writes the first failure at a name, unless somebody else did meanwhile, and deletes some whose time is over.
async fn insert_failures(
    transaction: &mut Transaction,
    digest: &GuessDigest,
    failures: &GuessFailures,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let inserted = sqlx::query(
        "WITH forgotten AS (
             -- Passing over those that somebody holds, so that nobody waits here.
             DELETE FROM password_guesses WHERE digest IN (
                 SELECT digest FROM password_guesses WHERE expire_time <= $5 AND digest <> $1
                 ORDER BY expire_time LIMIT $6 FOR UPDATE SKIP LOCKED
             )
         )
         INSERT INTO password_guesses (digest, failure_count, retry_time, expire_time)
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(digest.as_bytes())
    .bind(i64::from(failures.count))
    .bind(failures.retry_time)
    .bind(failures.expire_time)
    .bind(now)
    .bind(i64::from(MAX_FORGOTTEN))
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(inserted.rows_affected() > 0)
}
