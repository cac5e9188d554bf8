//! Adding, mailing, verifying, changing and removing addresses at the same time (U8): whoever has an address verified
//! has shown a key that was mailed to that address for that user, and what is kept twice agrees.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex},
};

use chrono::Duration;
use tokio::{sync::Barrier, task::JoinSet};
use vestibule::{
    clock::ManualClock,
    config::Settings,
    domain::{
        Timestamp,
        delivery::{Settled, Settlement, Unfit},
        email_address::EmailAddress,
        mail::MailKind,
        profile::KeyRefusal,
        request::Call,
        user::{UserId, UserName},
        user_email_address::{AddressRefusal, VerificationRefusal},
        username::Username,
    },
    operations::{
        ActivateError, CreateInactiveUser, EmailAddressError, VerifyEmailAddressError, Vestibule, open_text,
    },
    random::SystemRandom,
    repository::{ClaimRequest, StorageError},
    server::{self, Outside},
};

use crate::{
    contract::store::Store,
    support::{dice::Dice, night, server::make_keyring},
};

/// How many rounds every change affords, on each store.
const ROUNDS: u64 = 500;
/// How many acts come one after the other before it begins, how many callers there are then, and what each does.
const ACTS_BEFORE: usize = 6;
const CALLERS: usize = 3;
const ACTS_OF_A_CALLER: usize = 4;

/// One is active by a key, one by hand with nothing verified, and one pending.
const USERS: [&str; 3] = ["alice", "bob", "carol"];
/// The users' own, and those that nobody has at the beginning.
const ADDRESSES: [&str; 5] =
    ["alice@example.com", "bob@example.com", "carol@example.com", "fourth@example.com", "fifth@example.com"];

/// What so many rounds have to meet.
const MEETS: [&str; 11] = [
    "a key activates",
    "a key is dead",
    "a key is expired or its user disabled",
    "a key is spent",
    "a key of another's address is refused",
    "a key verifies",
    "a primary address changes",
    "a removed address is added again",
    "a verified address is removed",
    "an address is added",
    "an address is full or taken",
];

/// What a caller does: to which user, with which address or key.
#[derive(Debug, Clone)]
enum Act {
    Add(usize, usize),
    Send(usize, usize),
    Verify(usize),
    Activate(usize),
    SetPrimary(usize, usize),
    Remove(usize, usize),
    Disable(usize),
    Enable(usize),
    Deliver,
}

impl Act {
    fn choose(dice: &Dice) -> Self {
        let (user, address) = (dice.below(USERS.len()), dice.below(ADDRESSES.len()));
        match dice.below(20) {
            0..=4 => Self::Add(user, address),
            5 => Self::Send(user, address),
            6..=9 => Self::Verify(dice.below(1000)),
            10 => Self::Activate(dice.below(1000)),
            11..=12 => Self::SetPrimary(user, address),
            13..=15 => Self::Remove(user, address),
            16 => Self::Disable(user),
            17 => Self::Enable(user),
            _ => Self::Deliver,
        }
    }
}

/// A key that somebody has, and what it was mailed for.
#[derive(Debug, Clone)]
struct Key {
    text: String,
    user_id: UserId,
    email: String,
    activates: bool,
}

/// The users of a round, and what their mailboxes know.
struct Round {
    vestibule: Arc<Vestibule>,
    users: Vec<UserId>,
    keys: Mutex<Vec<Key>>,
    /// For whom a key was shown that was mailed to which address.
    shown: Mutex<HashSet<(UserId, String)>>,
    met: Mutex<BTreeSet<&'static str>>,
}

pub async fn u8_a_key_mailed_to_one_address_never_verifies_another(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    let keyring = make_keyring(folder.path()).display().to_string();
    let flags = [("database.url", store.url().to_owned()), ("secrets.keyring_file", keyring)];
    let mut settings = Settings::load(&[], &flags).unwrap();
    // Every round mails the same addresses, at the same instant.
    settings.mail.limits.per_address_per_hour = 0;
    let clock = Arc::new(ManualClock::new(Timestamp::from_timestamp(1_800_000_000, 0).unwrap()));
    let outside = Outside { clock, random: Arc::new(SystemRandom), sender: None };
    let repository = store.another(4);
    let vestibule = Arc::new(server::vestibule(&settings, Arc::clone(&repository), &outside).unwrap());
    let rounds = night::rounds("INTERLEAVINGS", ROUNDS);
    let mut met = BTreeSet::new();
    for seed in rounds.clone() {
        met.extend(round(&store, &vestibule, seed).await);
        store.execute("DELETE FROM users").await;
    }
    if rounds.count() >= 500 {
        let never: Vec<_> = MEETS.iter().filter(|what| !met.contains(**what)).collect();
        assert!(never.is_empty(), "too lazy a choice of acts: {never:?}");
    }
    repository.close().await;
}

/// One round, and what was met in it.
async fn round(store: &Store, vestibule: &Arc<Vestibule>, seed: u64) -> BTreeSet<&'static str> {
    let dice = Dice::new(seed);
    let round = Arc::new(Round::begin(vestibule).await);
    let before: Vec<_> = (0..ACTS_BEFORE).map(|_| Act::choose(&dice)).collect();
    for act in &before {
        round.act(act).await;
    }
    round.act(&Act::Deliver).await;
    let choose = |_| (0..ACTS_OF_A_CALLER).map(|_| Act::choose(&dice)).collect::<Vec<_>>();
    let acts: Vec<_> = (0..CALLERS).map(choose).collect();
    let (barrier, mut callers) = (Arc::new(Barrier::new(CALLERS)), JoinSet::new());
    for acts in acts.clone() {
        let (round, barrier) = (Arc::clone(&round), Arc::clone(&barrier));
        callers.spawn(async move {
            barrier.wait().await;
            for act in &acts {
                round.act(act).await;
            }
        });
    }
    let what = format!("round {seed}: {before:?}, and then at once {acts:?}");
    while let Some(ended) = callers.join_next().await {
        ended.unwrap_or_else(|panic| panic!("{what}: {panic}"));
    }
    round.check(store, &what).await;
    round.try_every_key(&what).await;
    round.check(store, &what).await;
    std::mem::take(&mut *round.met.lock().unwrap())
}

impl Round {
    async fn begin(vestibule: &Arc<Vestibule>) -> Self {
        let (mut users, mut keys) = (Vec::new(), Vec::new());
        for (name, address) in USERS.into_iter().zip(ADDRESSES) {
            let request = CreateInactiveUser {
                username: Username::parse(name).unwrap(),
                email: email(address),
                password: None,
                send_email: false,
                site: None,
                locale: None,
                call: Call::default(),
            };
            let created = vestibule.create_inactive_user(request).await.unwrap();
            users.push(created.user.id);
            keys.push(Key {
                text: created.activation_key.unwrap().expose().to_owned(),
                user_id: created.user.id,
                email: created.user.email,
                activates: true,
            });
        }
        let round = Self {
            vestibule: Arc::clone(vestibule),
            users,
            keys: Mutex::new(keys),
            shown: Mutex::default(),
            met: Mutex::default(),
        };
        round.act(&Act::Activate(0)).await;
        round.vestibule.activate_user(round.users[1]).await.unwrap();
        round
    }

    fn meet(&self, what: &'static str) {
        self.met.lock().unwrap().insert(what);
    }

    async fn act(&self, act: &Act) {
        let (vestibule, call) = (&self.vestibule, Call::default());
        let pair = |user: usize, address: usize| (self.users[user], email(ADDRESSES[address]));
        match *act {
            Act::Add(user, address) => {
                let (user_id, email) = pair(user, address);
                let added =
                    vestibule.add_email_address(user_id, email, &call).await.map(|_| "an address is added");
                self.tell(added);
            }
            Act::Send(user, address) => {
                let (user_id, email) = pair(user, address);
                let sent =
                    vestibule.send_verification_email(user_id, email, &call).await.map(|_| "a key is mailed");
                self.tell(sent);
            }
            Act::SetPrimary(user, address) => {
                let (user_id, email) = pair(user, address);
                let primary = vestibule.get_user(&UserName::Id(user_id)).await.unwrap().email;
                let changes = primary != email.as_str();
                let set = vestibule.set_primary_email_address(user_id, email).await;
                let what = if changes { "a primary address changes" } else { "a primary address stays" };
                self.tell(set.map(|_| what));
            }
            Act::Remove(user, address) => {
                let (user_id, email) = pair(user, address);
                let before = vestibule.list_email_addresses(user_id).await.unwrap();
                let verified = before.iter().any(|it| it.email == email.as_str() && it.verify_time.is_some());
                let removed = vestibule.remove_email_address(user_id, email).await;
                let what = if verified { "a verified address is removed" } else { "an address is removed" };
                self.tell(removed.map(|_| what));
            }
            Act::Verify(number) => {
                let key = self.key(number);
                self.verify(&key).await;
            }
            Act::Activate(number) => {
                let key = self.key(number);
                self.activate(&key).await;
            }
            Act::Disable(user) => drop(vestibule.disable_user(self.users[user]).await.unwrap()),
            Act::Enable(user) => drop(vestibule.enable_user(self.users[user]).await.unwrap()),
            Act::Deliver => self.deliver().await,
        }
    }

    /// Notes what came of an act on an address; only what can happen to one may.
    fn tell(&self, outcome: Result<&'static str, EmailAddressError>) {
        self.meet(match outcome {
            Ok(what) => what,
            Err(EmailAddressError::Refused(AddressRefusal::EmailTaken | AddressRefusal::Exists)) => {
                "an address is full or taken"
            }
            Err(EmailAddressError::Refused(_) | EmailAddressError::Storage(StorageError::Conflict(_))) => {
                "an act is refused"
            }
            Err(error) => panic!("{error:?}"),
        });
    }

    fn key(&self, number: usize) -> Key {
        let keys = self.keys.lock().unwrap();
        keys[number % keys.len()].clone()
    }

    /// Shows a key to have its address verified, and says whether it is.
    async fn verify(&self, key: &Key) -> bool {
        if !key.activates {
            self.shown.lock().unwrap().insert((key.user_id, key.email.clone()));
        }
        match self.vestibule.verify_email_address(&key.text).await {
            Ok(verified) => {
                assert_eq!((verified.user_id, &verified.email), (key.user_id, &key.email), "{key:?}");
                assert!(!key.activates, "a key that activates has verified: {key:?}");
                self.meet("a key verifies");
                return true;
            }
            Err(VerifyEmailAddressError::UnknownKey) => self.meet("a key is dead"),
            Err(VerifyEmailAddressError::Key(refusal)) => self.meet(match refusal {
                VerificationRefusal::Disabled | VerificationRefusal::Expired { .. } => {
                    "a key is expired or its user disabled"
                }
                VerificationRefusal::AlreadyVerified { .. } => "a key is spent",
                VerificationRefusal::EmailTaken => "a key of another's address is refused",
            }),
            Err(error) => panic!("{error:?}"),
        }
        false
    }

    /// Shows a key to be activated.
    async fn activate(&self, key: &Key) {
        if key.activates {
            self.shown.lock().unwrap().insert((key.user_id, key.email.clone()));
        }
        match self.vestibule.activate(&key.text, None).await {
            Ok(user) => {
                assert_eq!(user.id, key.user_id, "{key:?}");
                assert!(key.activates, "a key that verifies has activated: {key:?}");
                self.meet("a key activates");
            }
            Err(ActivateError::UnknownKey) => {}
            Err(ActivateError::Key(refusal)) => {
                assert!(key.activates, "a key that verifies is known to Activate: {key:?}");
                assert!(!matches!(refusal, KeyRefusal::Expired { .. }), "the clock stands still");
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Hands out the mails that wait, each key to whoever reads the mailbox that it was mailed to.
    async fn deliver(&self) {
        let (repository, now) = (&self.vestibule.repository, self.vestibule.clock.now());
        let token = vestibule::random::uuid_v4(&SystemRandom);
        let request = ClaimRequest {
            now,
            lease_expire_time: now + Duration::seconds(30),
            claim_token: token,
            limit: 100,
            resting: Vec::new(),
        };
        let claim = repository.claim_mails(&request).await.unwrap();
        assert!(claim.unfit.iter().all(|mail| mail.why == Unfit::Pointless));
        for mail in claim.mails {
            let text =
                open_text(&self.vestibule.keyring, mail.id, &mail.recipient, &mail.sealed_text).unwrap();
            if mail.kind == MailKind::EmailVerification {
                assert!(text.body().contains(&mail.recipient), "the mail names the address it goes to");
                let is_key = |word: &&str| word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit());
                let mut words = text.body().split(|c: char| !c.is_ascii_alphanumeric());
                let key = words.find(is_key).unwrap().to_owned();
                let (user_id, email) = (mail.user_id, mail.recipient.clone());
                self.keys.lock().unwrap().push(Key { text: key, user_id, email, activates: false });
            }
            // False where the address was removed meanwhile: the mail is in the mailbox all the same.
            let settled = Settled { lease: mail.lease(), settlement: Settlement::Delivered };
            repository.settle_mails(&[settled], now).await.unwrap();
        }
    }

    /// Tries whatever keys there are, now that nobody else does anything. One whose address is gone stays dead, be the
    /// address added again.
    async fn try_every_key(&self, what: &str) {
        self.deliver().await;
        for user_id in &self.users {
            self.vestibule.enable_user(*user_id).await.unwrap();
        }
        let keys = self.keys.lock().unwrap().clone();
        for key in keys.iter().filter(|key| !key.activates) {
            let addresses = self.vestibule.list_email_addresses(key.user_id).await.unwrap();
            if addresses.iter().any(|address| address.email == key.email) {
                self.verify(key).await;
                continue;
            }
            if self
                .vestibule
                .add_email_address(key.user_id, email(&key.email), &Call::default())
                .await
                .is_ok()
            {
                self.meet("a removed address is added again");
            }
            assert!(!self.verify(key).await, "{what}: {key:?} has come back to life");
            self.shown.lock().unwrap().remove(&(key.user_id, key.email.clone()));
        }
    }

    /// What must be, whatever has happened.
    async fn check(&self, store: &Store, what: &str) {
        let shown = self.shown.lock().unwrap().clone();
        for user_id in &self.users {
            let addresses = self.vestibule.list_email_addresses(*user_id).await.unwrap();
            let primary: Vec<_> = addresses.iter().filter(|address| address.primary).collect();
            let user = self.vestibule.get_user(&UserName::Id(*user_id)).await.unwrap();
            assert_eq!(primary.len(), 1, "{what}: {addresses:?}");
            assert_eq!(primary[0].email, user.email, "{what}");
            assert_eq!(primary[0].verify_time.is_some(), user.email_verified, "{what}: {addresses:?}");
            for address in addresses.iter().filter(|address| address.verify_time.is_some()) {
                let proof = (*user_id, address.email.clone());
                assert!(shown.contains(&proof), "{what}: nobody has proved {proof:?}");
            }
        }
        // At once: a statement for each takes the longest of all.
        let all = BROKEN.map(|rows| format!("SELECT 1 FROM {rows}")).join(" UNION ALL ");
        if store.count(&format!("({all}) AS broken")).await > 0 {
            for broken in BROKEN {
                assert_eq!(store.count(broken).await, 0, "{what}: {broken}");
            }
        }
    }
}

/// Rows that there must not be.
const BROKEN: [&str; 6] = [
    // Who has verified an address is said alike in both tables, …
    "verified_email_addresses v LEFT JOIN email_addresses a ON a.user_id = v.user_id AND a.email = v.email
     WHERE a.verify_time IS NULL",
    "email_addresses a LEFT JOIN verified_email_addresses v ON a.user_id = v.user_id AND a.email = v.email
     WHERE (a.verify_time IS NOT NULL) <> (v.user_id IS NOT NULL)",
    // … and by the user's row, …
    "users WHERE any_email_verified <> EXISTS (
         SELECT 1 FROM verified_email_addresses v WHERE v.user_id = users.id
     )",
    "users WHERE email NOT LIKE '%@' || email_domain",
    // … and no key outlives its address.
    "verification_keys k LEFT JOIN email_addresses a ON a.user_id = k.user_id AND a.email = k.email
     WHERE a.email IS NULL",
    "activation_keys k LEFT JOIN email_addresses a ON a.user_id = k.user_id AND a.email = k.email
     WHERE a.is_primary IS NOT TRUE",
];

fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}
