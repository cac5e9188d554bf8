//! Devices that users have logged in from, each known for a while.

use async_trait::async_trait;

use super::{PostgresRepository, Transaction, storage_error};
use crate::{
    domain::{
        Timestamp,
        device::{self, DeviceDigest},
        password_guess::{Guess, GuessDigest},
        user::{UserId, UserName},
    },
    repository::{Devices, PasswordLogin, StorageError},
};

#[async_trait]
impl Devices for PostgresRepository {
    async fn forget_devices(&self, now: Timestamp, limit: u32) -> Result<u32, StorageError> {
        self.forget(
            "DELETE FROM known_devices WHERE digest IN (
                 SELECT digest FROM known_devices WHERE expire_time <= $1
                 ORDER BY expire_time LIMIT $2 FOR UPDATE SKIP LOCKED
             )",
            now,
            limit,
        )
        .await
    }
}

/// What a guess is counted by: its device if that is known for the name, and otherwise the name.
pub(super) async fn counted_by(
    transaction: &mut Transaction,
    guess: &Guess,
    now: Timestamp,
) -> Result<GuessDigest, StorageError> {
    if let Some(device) = guess.device()
        && is_known(transaction, guess.name(), device, now).await?
    {
        return Ok(GuessDigest::of_device(device));
    }
    Ok(GuessDigest::of(guess.name()))
}

/// One statement whatever the user is named by, and whether there is such a user or not.
async fn is_known(
    transaction: &mut Transaction,
    name: &UserName,
    device: DeviceDigest,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let (id, username, email) = match name {
        UserName::Id(id) => (Some(id.0), None, None),
        UserName::Username(username) => (None, Some(username.key().as_str()), None),
        UserName::Email(email) => (None, None, Some(email.as_str())),
    };
    sqlx::query_scalar(
        // An address may be somebody else's by now, whom the device has nothing to do with.
        "SELECT EXISTS (
             SELECT FROM known_devices AS d JOIN users AS u ON u.id = d.user_id
             WHERE d.digest = $1 AND d.expire_time > $2 AND (
                 u.id = $3 OR u.username_key = $4
                 OR EXISTS (SELECT FROM verified_email_addresses AS v WHERE v.email = $5 AND v.user_id = u.id)
             )
         )",
    )
    .bind(device.as_bytes().as_slice())
    .bind(now)
    .bind(id)
    .bind(username)
    .bind(email)
    .fetch_one(&mut **transaction)
    .await
    .map_err(storage_error)
}

/// Makes the device of a login known, if it has one. The user's row is locked, so that of logins at the same time each
/// sees the devices of those before it.
pub(super) async fn know(transaction: &mut Transaction, login: &PasswordLogin) -> Result<(), StorageError> {
    let Some(device) = login.device else { return Ok(()) };
    sqlx::query(
        "WITH known AS (
             INSERT INTO known_devices (digest, user_id, expire_time) VALUES ($1, $2, $3)
             ON CONFLICT (digest) DO UPDATE SET user_id = EXCLUDED.user_id, expire_time = EXCLUDED.expire_time
         )
         DELETE FROM known_devices WHERE user_id = $2 AND digest IN (
             SELECT digest FROM known_devices WHERE user_id = $2 AND digest <> $1
             ORDER BY expire_time DESC, digest OFFSET $4
         )",
    )
    .bind(device.as_bytes().as_slice())
    .bind(login.user_id.0)
    .bind(device::known_until(login.now))
    .bind(i64::from(device::MAX_KNOWN - 1))
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(())
}

/// Forgets a user's devices. It is a statement after the one that locks the user's row: no earlier one would see the
/// device of a login that was waited for.
pub(super) async fn forget_all(transaction: &mut Transaction, user_id: UserId) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM known_devices WHERE user_id = $1")
        .bind(user_id.0)
        .execute(&mut **transaction)
        .await
        .map_err(storage_error)?;
    Ok(())
}
