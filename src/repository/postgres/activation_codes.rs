//! The codes that activation mails carry beside their links, and the guesses at them.

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};

use super::{PostgresRepository, Transaction, storage_error};
use crate::{
    domain::{
        Timestamp,
        activation_code::{CodeHash, GuessWindow, MAX_COMPARED, MAX_GUESSES, MAX_TRIES},
        activation_key::KeyDigest,
        user::UserId,
    },
    repository::{ActivationCodes, CodeGuess, LiveCode, NewCode, StorageError},
};

#[async_trait]
impl ActivationCodes for PostgresRepository {
    async fn count_code_guess(
        &self,
        guess: &CodeGuess,
        now: Timestamp,
    ) -> Result<Vec<LiveCode>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        let window = GuessWindow::at(now);
        // Whoever else guesses at the address waits here until the transaction ends.
        let guess_count: i64 = sqlx::query_scalar(
            "INSERT INTO activation_code_guesses AS g (counter, guess_count, expire_time) VALUES ($1, 1, $3)
             ON CONFLICT (counter) DO UPDATE SET
                 guess_count = CASE WHEN g.expire_time <= $2 OR g.expire_time > $4 THEN 1 ELSE g.guess_count + 1 END,
                 expire_time = CASE WHEN g.expire_time <= $2 OR g.expire_time > $4 THEN $3 ELSE g.expire_time END
             RETURNING guess_count",
        )
        .bind(guess.counter.0)
        .bind(now)
        .bind(window.expire_time)
        .bind(window.latest)
        .fetch_one(&mut *transaction)
        .await
        .map_err(storage_error)?;
        let codes = if guess_count > i64::from(MAX_GUESSES) {
            Vec::new()
        } else {
            count_tries(&mut transaction, guess, now).await?
        };
        transaction.commit().await.map_err(storage_error)?;
        Ok(codes)
    }

    async fn uncount_code_guess(&self, guess: &CodeGuess, codes: &[LiveCode]) -> Result<(), StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        sqlx::query(
            "UPDATE activation_code_guesses SET guess_count = guess_count - 1 WHERE counter = $1 AND guess_count > 0",
        )
        .bind(guess.counter.0)
        .execute(&mut *transaction)
        .await
        .map_err(storage_error)?;
        let keys: Vec<&[u8]> = codes.iter().map(|code| code.key.as_bytes()).collect();
        sqlx::query(
            "WITH counted AS (
                 SELECT user_id FROM activation_codes WHERE key_digest = ANY($1) AND try_count > 0
                 FOR UPDATE SKIP LOCKED
             )
             UPDATE activation_codes SET try_count = try_count - 1 WHERE user_id IN (SELECT user_id FROM counted)",
        )
        .bind(keys)
        .execute(&mut *transaction)
        .await
        .map_err(storage_error)?;
        transaction.commit().await.map_err(storage_error)
    }

    async fn forget_activation_codes(&self, now: Timestamp, limit: u32) -> Result<u32, StorageError> {
        self.forget(
            "DELETE FROM activation_codes WHERE user_id IN (
                 SELECT user_id FROM activation_codes WHERE expire_time <= $1
                 ORDER BY expire_time LIMIT $2 FOR UPDATE SKIP LOCKED
             )",
            now,
            limit,
        )
        .await
    }

    async fn forget_code_guesses(&self, now: Timestamp, limit: u32) -> Result<u32, StorageError> {
        self.forget(
            "DELETE FROM activation_code_guesses WHERE counter IN (
                 SELECT counter FROM activation_code_guesses WHERE expire_time <= $1
                 ORDER BY expire_time LIMIT $2 FOR UPDATE SKIP LOCKED
             )",
            now,
            limit,
        )
        .await
    }
}

/// Counts a try at each code that a guess is compared with. A code that somebody holds is just being replaced or
/// deleted: it is passed over, so that nobody who holds another one waits here.
async fn count_tries(
    transaction: &mut Transaction,
    guess: &CodeGuess,
    now: Timestamp,
) -> Result<Vec<LiveCode>, StorageError> {
    sqlx::query(
        "WITH compared AS (
             SELECT user_id FROM activation_codes WHERE email = $1 AND expire_time > $2 AND try_count < $3
             ORDER BY issue_time DESC, user_id LIMIT $4 FOR UPDATE SKIP LOCKED
         )
         UPDATE activation_codes SET try_count = try_count + 1 WHERE user_id IN (SELECT user_id FROM compared)
         RETURNING key_digest, code_hash",
    )
    .bind(guess.email.as_str())
    .bind(now)
    .bind(i64::from(MAX_TRIES))
    .bind(i64::from(MAX_COMPARED))
    .fetch_all(&mut **transaction)
    .await
    .map_err(storage_error)?
    .iter()
    .map(live_code)
    .collect()
}

fn live_code(row: &PgRow) -> Result<LiveCode, StorageError> {
    let key: &[u8] = row.try_get("key_digest").map_err(storage_error)?;
    let hash: &[u8] = row.try_get("code_hash").map_err(storage_error)?;
    let corrupt = || StorageError::Corrupt("an activation code");
    Ok(LiveCode {
        key: KeyDigest::new(key.try_into().map_err(|_| corrupt())?),
        hash: CodeHash::new(hash.try_into().map_err(|_| corrupt())?),
    })
}

/// Adds the code of a mail in the place of the user's former one; the user's row is locked, and the key is there.
pub(super) async fn insert_code(
    transaction: &mut Transaction,
    user_id: UserId,
    email: &str,
    key: &KeyDigest,
    code: &NewCode,
    now: Timestamp,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO activation_codes (user_id, key_digest, email, code_hash, issue_time, expire_time)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (user_id) DO UPDATE SET
             key_digest = EXCLUDED.key_digest, email = EXCLUDED.email, code_hash = EXCLUDED.code_hash, try_count = 0,
             issue_time = EXCLUDED.issue_time, expire_time = EXCLUDED.expire_time",
    )
    .bind(user_id.0)
    .bind(key.as_bytes())
    .bind(email)
    .bind(code.hash.as_bytes())
    .bind(now)
    .bind(code.expire_time)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(())
}
