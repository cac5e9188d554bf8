//! Users in all their states, and the parts that acts on them are made of.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::Duration;
use uuid::Uuid;
use vestibule::{
    domain::{
        Timestamp,
        activation_key::{ActivationKey, KeyDigest, SALT_BYTES},
        email_address::EmailAddress,
        mail::{MailId, MailKind, NewMail},
        password::PasswordHash,
        site::SiteId,
        user::{User, UserId},
        username::Username,
    },
    repository::{Activation, KeyIssue, NewRegistration},
};

use super::store::Store;

/// The instant at which most cases begin, with microseconds that must not get lost.
pub fn start() -> Timestamp {
    "2026-03-01T12:00:00.000001Z".parse().unwrap()
}

/// The shortest span there is.
pub fn tick() -> Duration {
    Duration::microseconds(1)
}

/// Some seconds.
pub fn seconds(seconds: i64) -> Duration {
    Duration::seconds(seconds)
}

/// How long a key lives, unless a case says otherwise.
pub fn window() -> Duration {
    Duration::days(7)
}

/// An id that no other is like, in the order of the calls.
pub fn unique_id() -> Uuid {
    static LAST: AtomicU64 = AtomicU64::new(0);
    // Above the ids that bulk statements make of small numbers.
    Uuid::from_u128((1 << 96) + u128::from(LAST.fetch_add(1, Ordering::Relaxed)))
}

/// A key that no other is like.
pub fn digest() -> KeyDigest {
    let mut salt = [0; SALT_BYTES];
    salt[..16].copy_from_slice(unique_id().as_bytes());
    ActivationKey::generate(&salt, "somebody").digest()
}

/// A username.
pub fn username(text: &str) -> Username {
    Username::parse(text).unwrap()
}

/// An email address.
pub fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

/// A hash, as far as a store cares.
pub fn password_hash(text: &str) -> PasswordHash {
    PasswordHash::new(text.into())
}

/// A mail that waits.
pub fn mail(expire_time: Timestamp) -> NewMail {
    NewMail {
        id: MailId(unique_id()),
        kind: MailKind::Activation,
        sealed_text: b"sealed".to_vec(),
        key_digest: None,
        expire_time,
    }
}

/// A registration at [`start`], mailed.
pub fn registration(name: &str, address: &str) -> NewRegistration {
    registration_at(name, address, start())
}

/// A registration, mailed.
pub fn registration_at(name: &str, address: &str, now: Timestamp) -> NewRegistration {
    NewRegistration {
        user_id: UserId(unique_id()),
        username: username(name),
        email: email(address),
        password_hash: None,
        site: SiteId::parse("default").unwrap(),
        locale: None,
        digest: digest(),
        now,
        expire_time: now + window(),
        mail: Some(mail(now + window())),
        code: None,
        give_way: true,
        request: None,
        counters: Vec::new(),
    }
}

/// An activation without a password.
pub fn activation(digest: KeyDigest, now: Timestamp) -> Activation {
    Activation { digest, password_hash: None, now }
}

/// A further key for a user, not mailed.
pub fn issue(user: &User, now: Timestamp) -> KeyIssue {
    KeyIssue {
        user_id: user.id,
        email: user.email.clone(),
        digest: digest(),
        mail: None,
        code: None,
        now,
        request: None,
        counters: Vec::new(),
    }
}

/// Registers somebody at [`start`].
pub async fn register(store: &Store, name: &str, address: &str) -> (User, KeyDigest) {
    register_at(store, name, address, start()).await
}

/// Registers somebody.
pub async fn register_at(store: &Store, name: &str, address: &str, now: Timestamp) -> (User, KeyDigest) {
    let registration = registration_at(name, address, now);
    let user = store.register(&registration).await.unwrap().unwrap();
    (user, registration.digest)
}

/// Registers somebody at [`start`] who activates a second later.
pub async fn register_active(store: &Store, name: &str, address: &str) -> (User, KeyDigest) {
    let (_, digest) = register(store, name, address).await;
    let user = store.activate(&activation(digest, start() + seconds(1))).await.unwrap().unwrap();
    (user, digest)
}

/// Gives a user another address that is verified, as verifying it will.
pub async fn verify_another_address(store: &Store, user: &User, address: &str) {
    let (id, now) = (store.id(user.id.0), store.at(start()));
    store
        .execute(format!(
            "INSERT INTO email_addresses (user_id, email, is_primary, create_time, verify_time)
             VALUES ({id}, '{address}', false, {now}, {now})"
        ))
        .await;
    store
        .execute(format!("INSERT INTO verified_email_addresses (email, user_id) VALUES ('{address}', {id})"))
        .await;
    store.execute(format!("UPDATE users SET any_email_verified = true WHERE id = {id}")).await;
}

/// Makes a user active by hand, its keys unspent and its address unverified, as an operator will.
pub async fn activate_by_hand(store: &Store, user: &User, now: Timestamp) {
    let (id, now) = (store.id(user.id.0), store.at(now));
    store.execute(format!("UPDATE users SET state = 'ACTIVE', activate_time = {now} WHERE id = {id}")).await;
}

/// Says when a user has logged in last.
pub async fn log_in(store: &Store, user: &User, now: Timestamp) {
    let (id, now) = (store.id(user.id.0), store.at(now));
    store.execute(format!("UPDATE users SET last_login_time = {now} WHERE id = {id}")).await;
}

/// The user as the store knows it now.
pub async fn find(store: &Store, user: &User) -> Option<User> {
    store.find_user(user.id).await.unwrap()
}
