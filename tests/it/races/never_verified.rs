//! Both purges at once against what is done to the same user at the same instant: X16, X17.
//!
//! In each round somebody acts on a user while PurgeUnverified and PurgeExpired reach for it, at the instant of its
//! expiry or a microsecond before. What saves a user saves it from both, if it comes first; and who is gone went once.

use std::time::Duration as Span;

use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, Status};
use vestibule::{
    domain::{
        Timestamp,
        activation_key::{ActivationKey, SALT_BYTES},
    },
    grpc::proto::{
        ActivateUserRequest, DisableUserRequest, PurgeUnverifiedRequest, RecordLoginRequest,
        RemindUnverifiedRequest, UnverifiedFilter, VerifyEmailAddressRequest,
        send_activation_email_request::User as By,
    },
    random::{SeededRandom, number},
};

use super::purging::{ROUNDS, tick};
use crate::{
    contract::store::Store,
    support::server::{Client, Registered, TestServer, reason, wire},
};

/// How many milliseconds an act or the purges may be ahead of the other, at most.
const HEAD_START: u64 = 4;

/// What is done to a user while it is purged. An act that is new to the service belongs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Remind,
    Disable,
    ActivateByHand,
    Activate,
    Verify,
    Login,
    Mail,
}

/// What an act leaves behind if it comes before the purges.
#[derive(Debug, PartialEq, Eq)]
enum Effect {
    /// Neither purge can take the user.
    Saved,
    /// The user is as purgeable as before.
    None,
    /// The user was not there, or the act came too late.
    TooLate,
}

impl Act {
    /// How often an act races: less if another race has the same act against a purge.
    fn rounds(self) -> usize {
        match self {
            Self::Remind | Self::Disable | Self::Verify | Self::Login => ROUNDS,
            Self::ActivateByHand | Self::Activate | Self::Mail => ROUNDS / 5,
        }
    }

    async fn run(self, client: Client, user: Registered, name: String) -> Result<Effect, Status> {
        let user_id = user.id.to_string();
        match self {
            Self::Remind => {
                let filter =
                    UnverifiedFilter { username_prefix: name, expired: Some(true), ..Default::default() };
                let request =
                    RemindUnverifiedRequest { filter: Some(filter), force: true, ..Default::default() };
                let reminded = client.remind_unverified(request).await?.remind_count;
                return Ok(if reminded == 1 { Effect::Saved } else { Effect::TooLate });
            }
            Self::Disable => drop(client.disable_user(DisableUserRequest { user_id }).await?),
            Self::ActivateByHand => drop(client.activate_user(ActivateUserRequest { user_id }).await?),
            Self::Activate => drop(client.use_key(&user.key).await?),
            Self::Verify => {
                let key = further_key(&user).expose().to_owned();
                client.verify_email_address(VerifyEmailAddressRequest { key }).await?;
            }
            Self::Login => {
                client.record_login(RecordLoginRequest { user_id, login_time: None }).await?;
            }
            Self::Mail => {
                client.mail_to(By::UserId(user_id)).await?;
                return Ok(Effect::None);
            }
        }
        Ok(Effect::Saved)
    }

    /// Whom PurgeUnverified selects: what the act changes, if the filter can ask for it.
    fn filter(self, name: String, now: Timestamp) -> UnverifiedFilter {
        let all = UnverifiedFilter { username_prefix: name, ..Default::default() };
        match self {
            Self::Remind => UnverifiedFilter { expired: Some(true), ..all },
            Self::Login => UnverifiedFilter { idle_since: Some(wire(now)), ..all },
            Self::Disable | Self::ActivateByHand | Self::Activate | Self::Verify | Self::Mail => all,
        }
    }
}

/// A key of the user's that verifies a further address.
fn further_key(user: &Registered) -> ActivationKey {
    let mut salt = [0; SALT_BYTES];
    salt[..16].copy_from_slice(user.id.as_bytes());
    ActivationKey::generate(&salt, "further")
}

/// Gives a user a further address, and the key that verifies it.
async fn add_address(store: &Store, user: &Registered) {
    let (id, now) = (store.id(user.id), store.at(user.expire_time));
    let email = format!("further-{}@example.com", user.id);
    store
        .execute(format!(
            "INSERT INTO email_addresses (user_id, email, is_primary, create_time) VALUES ({id}, '{email}', false, {now})"
        ))
        .await;
    let digest: String =
        further_key(user).digest().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let digest =
        if store.url().starts_with("postgres:") { format!("'\\x{digest}'") } else { format!("X'{digest}'") };
    let late = store.at(user.expire_time + chrono::Duration::days(9));
    store
        .execute(format!(
            "INSERT INTO verification_keys (digest, user_id, email, issue_time, expire_time)
             VALUES ({digest}, {id}, '{email}', {now}, {late})"
        ))
        .await;
}

/// What an act came to; whoever is gone or has expired is too late for it.
fn effect(told: Result<Effect, Status>) -> Effect {
    told.unwrap_or_else(|status| {
        let told = (status.code(), reason(&status));
        let known = ["USER_NOT_FOUND", "ACTIVATION_KEY_UNKNOWN", "ACTIVATION_KEY_EXPIRED"];
        assert!(
            matches!(told.0, Code::NotFound | Code::FailedPrecondition) && known.contains(&told.1.as_str()),
            "{told:?}"
        );
        Effect::TooLate
    })
}

async fn race(store: &Store, act: Act) {
    let server = TestServer::start_configured(store.url(), "").await;
    let (actor, unverified, expired) = (server.client().await, server.client().await, server.client().await);
    let random = SeededRandom::new(23);
    let mut outcomes = [0; 3];
    for round in 0..act.rounds() {
        let name = format!("user{round}x");
        let user = actor.register(&name, &format!("{name}@example.com")).await;
        let over = act == Act::Remind || number(&random).is_multiple_of(2);
        let now = if over { user.expire_time } else { user.expire_time - tick() };
        server.clock.set(now);
        if act == Act::Verify {
            add_address(store, &user).await;
        }
        let mut calls = JoinSet::new();
        // Now the act has a head start, now the purges, or one of them would hardly ever come first.
        let ahead = number(&random) % (2 * HEAD_START + 1);
        let purges_wait = Span::from_millis(ahead.saturating_sub(HEAD_START));
        let act_waits = Span::from_millis(HEAD_START.saturating_sub(ahead));
        let filter = act.filter(name.clone(), now);
        let (client, taken) = (unverified.clone(), user.id.to_string());
        calls.spawn(async move {
            sleep(purges_wait).await;
            let request = PurgeUnverifiedRequest { filter: Some(filter), force: true, limit: 0 };
            let purged = client.purge_unverified(request).await.unwrap();
            (usize::from(purged.sample.iter().any(|gone| gone.id == taken)), Effect::None)
        });
        let (client, taken) = (expired.clone(), user.id.to_string());
        calls.spawn(async move {
            sleep(purges_wait).await;
            let sample = client.purge().await.sample;
            (usize::from(sample.iter().any(|gone| gone.id == taken)), Effect::None)
        });
        let (client, user) = (actor.clone(), user.clone());
        calls.spawn(async move {
            sleep(act_waits).await;
            (0, effect(act.run(client, user, name).await))
        });
        let told = calls.join_all().await;
        let gone: usize = told.iter().map(|(gone, _)| gone).sum();
        let effect = told.into_iter().map(|(_, effect)| effect).find(|effect| *effect != Effect::None);
        let effect = effect.unwrap_or(Effect::None);
        // A login saves nobody from a purge of the expired, and a mail nobody from either.
        let saved = effect == Effect::Saved && !(act == Act::Login && over);
        assert_eq!(gone, usize::from(!saved), "round {round}: {effect:?}");
        outcomes[if saved { 0 } else { 1 }] += 1;
        outcomes[2] += gone;
        if saved {
            // Out of the way of the next rounds.
            store.execute(format!("DELETE FROM users WHERE username = 'user{round}x'")).await;
        }
    }
    assert_eq!(store.count("events WHERE kind = 'user_deleted'").await, i64::try_from(outcomes[2]).unwrap());
    let after =
        "events e JOIN events d ON d.user_id = e.user_id WHERE d.kind = 'user_deleted' AND e.id > d.id";
    assert_eq!(store.count(after).await, 0, "something happened to a user who was gone");
    let often = |outcome: usize| outcome >= act.rounds() / 20;
    assert!(often(outcomes[1]) && (act == Act::Mail || often(outcomes[0])), "{outcomes:?}");
}

pub async fn x17_a_reminder_and_both_purges_at_one_instant(store: Store) {
    race(&store, Act::Remind).await;
}

pub async fn x17_a_disabling_and_both_purges_at_one_instant(store: Store) {
    race(&store, Act::Disable).await;
}

pub async fn x17_an_activation_by_hand_and_both_purges_at_one_instant(store: Store) {
    race(&store, Act::ActivateByHand).await;
}

pub async fn x17_an_activation_and_both_purges_at_one_instant(store: Store) {
    race(&store, Act::Activate).await;
}

pub async fn x17_a_verified_address_and_both_purges_at_one_instant(store: Store) {
    race(&store, Act::Verify).await;
}

pub async fn x17_a_login_and_both_purges_at_one_instant(store: Store) {
    race(&store, Act::Login).await;
}

pub async fn x17_a_mail_and_both_purges_at_one_instant(store: Store) {
    race(&store, Act::Mail).await;
}
