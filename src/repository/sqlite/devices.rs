//! Devices that users have logged in from, each known for a while.

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction};

use super::{SqliteRepository, storage_error};
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
impl Devices for SqliteRepository {
    async fn forget_devices(&self, now: Timestamp, limit: u32) -> Result<u32, StorageError> {
        self.forget(
            "DELETE FROM known_devices WHERE digest IN (
                 SELECT digest FROM known_devices WHERE expire_time <= $1 ORDER BY expire_time LIMIT $2
             )",
            now,
            limit,
        )
        .await
    }
}

/// What a guess is counted by: its device if that is known for the name, and otherwise the name.
pub(super) async fn counted_by(
    transaction: &mut Transaction<'_, Sqlite>,
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
    transaction: &mut Transaction<'_, Sqlite>,
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
             SELECT 1 FROM known_devices AS d JOIN users AS u ON u.id = d.user_id
             WHERE d.digest = $1 AND d.expire_time > $2 AND (
                 u.id = $3 OR u.username_key = $4
                 OR EXISTS (SELECT 1 FROM verified_email_addresses AS v WHERE v.email = $5 AND v.user_id = u.id)
             )
         )",
    )
    .bind(device.as_bytes().as_slice())
    .bind(now.timestamp_micros())
    .bind(id)
    .bind(username)
    .bind(email)
    .fetch_one(&mut **transaction)
    .await
    .map_err(storage_error)
}

/// Makes the device of a login known, if it has one.
pub(super) async fn know(
    transaction: &mut Transaction<'_, Sqlite>,
    login: &PasswordLogin,
) -> Result<(), StorageError> {
    let Some(device) = login.device else { return Ok(()) };
    sqlx::query(
        "INSERT INTO known_devices (digest, user_id, expire_time) VALUES ($1, $2, $3)
         ON CONFLICT (digest) DO UPDATE SET user_id = excluded.user_id, expire_time = excluded.expire_time",
    )
    .bind(device.as_bytes().as_slice())
    .bind(login.user_id.0)
    .bind(device::known_until(login.now).timestamp_micros())
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    sqlx::query(
        "DELETE FROM known_devices WHERE digest IN (
             SELECT digest FROM known_devices WHERE user_id = $2 AND digest <> $1
             ORDER BY expire_time DESC, digest LIMIT -1 OFFSET $3
         )",
    )
    .bind(device.as_bytes().as_slice())
    .bind(login.user_id.0)
    .bind(i64::from(device::MAX_KNOWN - 1))
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(())
}

/// Forgets a user's devices.
pub(super) async fn forget_all(
    transaction: &mut Transaction<'_, Sqlite>,
    user_id: UserId,
) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM known_devices WHERE user_id = $1")
        .bind(user_id.0)
        .execute(&mut **transaction)
        .await
        .map_err(storage_error)?;
    Ok(())
}
