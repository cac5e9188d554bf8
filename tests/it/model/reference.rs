//! The model: BEHAVIOUR as plain data and loops, without a database, a lock or a wire.

use std::{cmp::Reverse, collections::BTreeSet};

use chrono::TimeDelta;
use vestibule::domain::{Timestamp, user::UserState};

use super::{
    Dice,
    step::{By, EMAILS, Step, USERNAMES},
};

/// How long a window is.
const WINDOW: TimeDelta = TimeDelta::days(7);
/// How far the clock jumps.
pub const JUMP: TimeDelta = TimeDelta::minutes(2);

/// Everybody who ever registered, and every key.
pub struct Model {
    pub now: Timestamp,
    /// Whether the clock shows a time that it should not.
    jumped: bool,
    users: Vec<User>,
    keys: Vec<Key>,
    /// What has happened that a lazy choice of calls would never meet.
    pub met: BTreeSet<&'static str>,
}

#[derive(Debug, Clone)]
struct User {
    username: &'static str,
    state: UserState,
    create_time: Timestamp,
    activate_time: Option<Timestamp>,
    disable_time: Option<Timestamp>,
    last_login_time: Option<Timestamp>,
    profile: Option<Profile>,
    /// The first is the primary one.
    addresses: Vec<Address>,
    gone: bool,
}

#[derive(Debug, Clone, Copy)]
struct Profile {
    expire_time: Timestamp,
    spent: bool,
}

#[derive(Debug, Clone)]
struct Address {
    email: &'static str,
    verified: bool,
}

/// An activation key; one that is dead is unknown.
struct Key {
    user: usize,
    email: &'static str,
    issue_time: Timestamp,
    dead: bool,
}

/// What a call answers, in words that don't depend on a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Why it was refused; empty if it was not.
    pub reason: String,
    /// Of a key that was looked at.
    pub state: String,
    /// Whom it tells of, in order.
    pub users: Vec<usize>,
    pub count: i32,
    pub more: bool,
    pub expire_time: Option<Timestamp>,
    /// Username and recipient of every mail that it sends, in order.
    pub mails: Vec<(String, String)>,
}

/// What a call answers, and which keys it issues: the number of each, and whom a mail with it is for.
#[derive(Default)]
pub struct Expected {
    pub answer: Answer,
    pub returned: Option<usize>,
    pub mailed: Vec<(String, usize)>,
}

/// A user as the lists show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub user: usize,
    pub username: String,
    pub email: String,
    pub state: String,
    pub times: [Option<Timestamp>; 4],
    /// Whether the user is on the list of the unverified, and the end of the window it shows.
    pub unverified: Option<Option<Timestamp>>,
}

type Refusal = &'static str;

impl User {
    fn email(&self) -> &'static str {
        self.addresses[0].email
    }

    fn is_purgeable(&self, now: Timestamp) -> bool {
        self.state == UserState::Pending
            && self.addresses.iter().all(|address| !address.verified)
            && self.profile.is_some_and(|profile| profile.expire_time <= now)
    }

    fn is_purgeable_if_disabled(&self, now: Timestamp) -> bool {
        self.state == UserState::Disabled
            && self.profile.is_some_and(|profile| profile.spent || profile.expire_time <= now)
    }
}

impl Model {
    pub fn new(now: Timestamp) -> Self {
        Self { now, jumped: false, users: Vec::new(), keys: Vec::new(), met: BTreeSet::new() }
    }

    /// No two calls come at the same instant: what is older is certain.
    pub fn tick(&mut self) {
        self.now += TimeDelta::microseconds(1);
    }

    /// Somebody who is there, as a rule; now and then somebody who has gone, or nobody.
    pub fn choose_user(&self, dice: &Dice) -> usize {
        let there: Vec<_> = (0..self.users.len()).filter(|user| !self.users[*user].gone).collect();
        if there.is_empty() || dice.once_in(12) {
            return dice.below(self.users.len() + 1);
        }
        // The latest more often: a life of several calls is what makes a sequence worth its while.
        if dice.once_in(2) { there[there.len() - 1] } else { there[dice.below(there.len())] }
    }

    /// A late key, as a rule: one of those that still work.
    pub fn choose_key(&self, dice: &Dice) -> usize {
        let count = self.keys.len();
        if dice.once_in(3) { dice.below(count + 1) } else { count.saturating_sub(1 + dice.below(4)) }
    }

    /// Everybody who is there.
    pub fn view(&self) -> Vec<Seen> {
        let there = self.users.iter().enumerate().filter(|(_, user)| !user.gone);
        there
            .map(|(number, user)| Seen {
                user: number,
                username: user.username.to_owned(),
                email: user.email().to_owned(),
                state: user.state.as_str().to_owned(),
                times: [Some(user.create_time), user.activate_time, user.disable_time, user.last_login_time],
                unverified: (!user.addresses[0].verified)
                    .then(|| user.profile.map(|profile| profile.expire_time)),
            })
            .collect()
    }

    /// Does what the call does.
    pub fn apply(&mut self, step: &Step) -> Expected {
        let mut expected = Expected::default();
        let outcome = match *step {
            Step::Register { username, email, send_email } => {
                self.register(USERNAMES[username], EMAILS[email], send_email, &mut expected)
            }
            Step::Activate { key } => self.activate(key, &mut expected),
            Step::InspectActivationKey { key } => self.inspect(key, &mut expected),
            Step::SendActivationEmail(By::Email(email)) => {
                self.send_to_claims(EMAILS[email], &mut expected);
                Ok(())
            }
            Step::SendActivationEmail(By::Username(username)) => {
                let holder = self.holder(USERNAMES[username]);
                self.issue_key(holder, true, &mut expected)
            }
            Step::SendActivationEmail(By::Id(user)) => {
                let user = self.there(user);
                self.issue_key(user, true, &mut expected)
            }
            Step::ReissueActivationKey { user } => {
                let there = self.there(user);
                self.issue_key(there, false, &mut expected).inspect(|()| {
                    expected.answer.expire_time = self.users[user].profile.map(|profile| profile.expire_time);
                })
            }
            Step::CreateRegistrationProfile { user, send_email } => {
                self.create_profile(user, send_email, &mut expected)
            }
            Step::DeleteRegistrationProfile { user } => self.delete_profile(user),
            Step::PurgeExpired { include_disabled, limit } => {
                self.purge_expired(include_disabled, limit, &mut expected)
            }
            Step::RecordLogin { user } => self.record_login(user, &mut expected),
            Step::ActivateUser { user } => self.activate_user(user, &mut expected),
            Step::DisableUser { user } => self.disable_user(user, &mut expected),
            Step::EnableUser { user } => self.enable_user(user, &mut expected),
            Step::DeleteUser { user } => self.delete_user(user, &mut expected),
            Step::MoveClock(span) => {
                self.now += span;
                Ok(())
            }
            Step::JumpClock => {
                self.now += if self.jumped { -JUMP } else { JUMP };
                self.jumped = !self.jumped;
                Ok(())
            }
        };
        if let Err(reason) = outcome {
            return Expected {
                answer: Answer { reason: reason.to_owned(), ..Answer::default() },
                ..Expected::default()
            };
        }
        expected.answer.users.sort_unstable();
        expected.answer.mails.sort_unstable();
        expected
    }

    fn there(&self, user: usize) -> Option<usize> {
        self.users.get(user).filter(|user| !user.gone).map(|_| user)
    }

    fn found(&self, user: usize) -> Result<usize, Refusal> {
        self.there(user).ok_or("USER_NOT_FOUND")
    }

    fn all_there(&self) -> impl Iterator<Item = usize> {
        (0..self.users.len()).filter(|user| !self.users[*user].gone)
    }

    fn holder(&self, username: &str) -> Option<usize> {
        self.all_there().find(|user| self.users[*user].username.eq_ignore_ascii_case(username))
    }

    /// Who has verified the address.
    fn owner(&self, email: &str) -> Option<usize> {
        let verified = |address: &Address| address.email == email && address.verified;
        self.all_there().find(|user| self.users[*user].addresses.iter().any(verified))
    }

    fn is_taken_from(&self, user: usize, email: &str) -> bool {
        self.owner(email).is_some_and(|owner| owner != user)
    }

    /// X7, X8, R1.
    fn register(
        &mut self,
        username: &'static str,
        email: &'static str,
        send_email: bool,
        expected: &mut Expected,
    ) -> Result<(), Refusal> {
        let holder = self.holder(username);
        if holder.is_some_and(|holder| !self.users[holder].is_purgeable(self.now)) {
            return Err("USERNAME_TAKEN");
        }
        if self.owner(email).is_some() {
            return Err("EMAIL_TAKEN");
        }
        if let Some(holder) = holder {
            self.trust_clock()?;
            self.met.insert("X7: a holder gives way");
            self.users[holder].gone = true;
        }
        let expire_time = self.now + WINDOW;
        self.users.push(User {
            username,
            state: UserState::Pending,
            create_time: self.now,
            activate_time: None,
            disable_time: None,
            last_login_time: None,
            profile: Some(Profile { expire_time, spent: false }),
            addresses: vec![Address { email, verified: false }],
            gone: false,
        });
        let user = self.users.len() - 1;
        expected.answer.users.push(user);
        expected.answer.expire_time = Some(expire_time);
        self.add_key(user, send_email, expected);
        Ok(())
    }

    /// R3, X15: at most five live keys; the oldest goes.
    fn add_key(&mut self, user: usize, send_email: bool, expected: &mut Expected) {
        let mut live: Vec<_> = (0..self.keys.len())
            .filter(|key| self.keys[*key].user == user && !self.keys[*key].dead)
            .collect();
        live.sort_by_key(|key| Reverse(self.keys[*key].issue_time));
        for key in live.into_iter().skip(4) {
            self.met.insert("X15: the oldest of five keys makes room");
            self.keys[key].dead = true;
        }
        let email = self.users[user].email();
        let number = self.keys.len();
        self.keys.push(Key { user, email, issue_time: self.now, dead: false });
        if send_email {
            let username = self.users[user].username.to_owned();
            expected.answer.mails.push((username.clone(), email.to_owned()));
            expected.mailed.push((username, number));
        } else {
            expected.returned = Some(number);
        }
    }

    /// R11: the order of the answers.
    fn refuse_key(&self, user: usize, email: &str) -> Result<(), Refusal> {
        let found = &self.users[user];
        let spent = found.profile.is_some_and(|profile| profile.spent);
        if found.state == UserState::Disabled {
            return Err("USER_DISABLED");
        }
        if found.state == UserState::Active || spent {
            return Err("ALREADY_ACTIVATED");
        }
        if found.profile.is_some_and(|profile| profile.expire_time <= self.now) {
            return Err("ACTIVATION_KEY_EXPIRED");
        }
        if self.is_taken_from(user, email) {
            return Err("EMAIL_TAKEN");
        }
        Ok(())
    }

    fn known_key(&self, key: usize) -> Result<&Key, Refusal> {
        let known = |key: &&Key| !key.dead && !self.users[key.user].gone;
        self.keys.get(key).filter(known).ok_or("ACTIVATION_KEY_UNKNOWN")
    }

    fn activate(&mut self, key: usize, expected: &mut Expected) -> Result<(), Refusal> {
        let Key { user, email, .. } = *self.known_key(key)?;
        self.refuse_key(user, email)?;
        let now = self.now;
        let activated = &mut self.users[user];
        activated.state = UserState::Active;
        activated.activate_time = Some(now);
        activated.profile.as_mut().unwrap().spent = true;
        for address in &mut activated.addresses {
            address.verified |= address.email == email;
        }
        expected.answer.users.push(user);
        Ok(())
    }

    fn inspect(&self, key: usize, expected: &mut Expected) -> Result<(), Refusal> {
        let Key { user, email, .. } = *self.known_key(key)?;
        expected.answer.state = match self.refuse_key(user, email) {
            Ok(()) => "PENDING",
            Err("USER_DISABLED") => "DISABLED",
            Err("ALREADY_ACTIVATED") => "ACTIVATED",
            Err("ACTIVATION_KEY_EXPIRED") => "EXPIRED",
            Err(other) => other,
        }
        .to_owned();
        expected.answer.expire_time = self.users[user].profile.map(|profile| profile.expire_time);
        Ok(())
    }

    /// R14, X15.
    fn issue_key(
        &mut self,
        user: Option<usize>,
        send_email: bool,
        expected: &mut Expected,
    ) -> Result<(), Refusal> {
        let user = user.ok_or("USER_NOT_FOUND")?;
        self.users[user].profile.ok_or("REGISTRATION_PROFILE_NOT_FOUND")?;
        self.refuse_key(user, self.users[user].email())?;
        self.add_key(user, send_email, expected);
        Ok(())
    }

    /// X23: every live claim, at most three, the latest first.
    fn send_to_claims(&mut self, email: &'static str, expected: &mut Expected) {
        let mut claims: Vec<_> = self
            .all_there()
            .filter(|user| {
                let claim = &self.users[*user];
                claim.state == UserState::Pending
                    && claim.email() == email
                    && claim.profile.is_some_and(|profile| profile.expire_time > self.now)
                    && !self.is_taken_from(*user, email)
            })
            .collect();
        claims.sort_by_key(|user| Reverse(self.users[*user].create_time));
        if claims.len() > 1 {
            self.met.insert("X23: several claims are mailed");
        }
        for user in claims.into_iter().take(3) {
            let _ = self.issue_key(Some(user), true, expected);
        }
    }

    /// R13.
    fn create_profile(
        &mut self,
        user: usize,
        send_email: bool,
        expected: &mut Expected,
    ) -> Result<(), Refusal> {
        let user = self.found(user)?;
        if self.users[user].profile.is_some() && self.users[user].state == UserState::Pending {
            return Err("REGISTRATION_PROFILE_EXISTS");
        }
        self.refuse_key(user, self.users[user].email())?;
        let expire_time = self.now + WINDOW;
        self.users[user].profile = Some(Profile { expire_time, spent: false });
        self.add_key(user, send_email, expected);
        expected.answer.expire_time = Some(expire_time);
        Ok(())
    }

    fn delete_profile(&mut self, user: usize) -> Result<(), Refusal> {
        let user = self.found(user)?;
        self.users[user].profile.take().ok_or("REGISTRATION_PROFILE_NOT_FOUND")?;
        self.kill_keys(user);
        Ok(())
    }

    fn kill_keys(&mut self, user: usize) {
        for key in self.keys.iter_mut().filter(|key| key.user == user) {
            key.dead = true;
        }
    }

    /// X22.
    fn trust_clock(&self) -> Result<(), Refusal> {
        if self.jumped { Err("CLOCK_SUSPECT") } else { Ok(()) }
    }

    /// R15, R16, X16: pending users first, the longest expired first.
    fn purge_expired(
        &mut self,
        include_disabled: bool,
        limit: i32,
        expected: &mut Expected,
    ) -> Result<(), Refusal> {
        self.trust_clock()?;
        let sorted = |users: &mut Vec<usize>| {
            users.sort_by_key(|user| self.users[*user].profile.map(|profile| profile.expire_time));
        };
        let mut pending: Vec<_> =
            self.all_there().filter(|user| self.users[*user].is_purgeable(self.now)).collect();
        let mut disabled: Vec<_> = self
            .all_there()
            .filter(|user| include_disabled && self.users[*user].is_purgeable_if_disabled(self.now))
            .collect();
        sorted(&mut pending);
        sorted(&mut disabled);
        pending.extend(disabled);
        let limit = if limit == 0 { pending.len() } else { usize::try_from(limit).unwrap() };
        expected.answer.more = pending.len() > limit;
        pending.truncate(limit);
        for user in &pending {
            self.met.insert(match self.users[*user].state {
                UserState::Disabled => "X16: a disabled user is purged on demand",
                UserState::Pending | UserState::Active => "R15: a pending user is purged",
            });
            self.users[*user].gone = true;
        }
        expected.answer.count = i32::try_from(pending.len()).unwrap();
        expected.answer.users = pending;
        Ok(())
    }

    /// U7.
    fn record_login(&mut self, user: usize, expected: &mut Expected) -> Result<(), Refusal> {
        let user = self.found(user)?;
        if self.users[user].state == UserState::Disabled {
            return Err("USER_DISABLED");
        }
        self.users[user].last_login_time = self.users[user].last_login_time.max(Some(self.now));
        expected.answer.users.push(user);
        Ok(())
    }

    fn activate_user(&mut self, user: usize, expected: &mut Expected) -> Result<(), Refusal> {
        let user = self.found(user)?;
        match self.users[user].state {
            UserState::Disabled => return Err("USER_DISABLED"),
            UserState::Active => {}
            UserState::Pending => {
                self.users[user].state = UserState::Active;
                self.users[user].activate_time = Some(self.now);
            }
        }
        expected.answer.users.push(user);
        Ok(())
    }

    fn disable_user(&mut self, user: usize, expected: &mut Expected) -> Result<(), Refusal> {
        let user = self.found(user)?;
        if self.users[user].state != UserState::Disabled {
            self.users[user].state = UserState::Disabled;
            self.users[user].disable_time = Some(self.now);
        }
        expected.answer.users.push(user);
        Ok(())
    }

    /// X1: back to where the user was. X15: the keys of who is pending again stay dead.
    fn enable_user(&mut self, user: usize, expected: &mut Expected) -> Result<(), Refusal> {
        let user = self.found(user)?;
        if self.users[user].state == UserState::Disabled {
            let was_active = self.users[user].activate_time.is_some();
            if !was_active {
                self.kill_keys(user);
            }
            self.users[user].state = if was_active { UserState::Active } else { UserState::Pending };
            self.users[user].disable_time = None;
        }
        expected.answer.users.push(user);
        Ok(())
    }

    fn delete_user(&mut self, user: usize, expected: &mut Expected) -> Result<(), Refusal> {
        let user = self.found(user)?;
        self.users[user].gone = true;
        expected.answer.users.push(user);
        Ok(())
    }
}
