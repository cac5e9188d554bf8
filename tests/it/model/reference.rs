//! The model: BEHAVIOUR as plain data and loops, without a database, a lock or a wire.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use vestibule::domain::{Timestamp, user::UserState};

use super::step::{By, EMAILS, Step, USERNAMES};
use crate::support::dice::Dice;

/// How long a window is.
pub(super) const WINDOW: TimeDelta = TimeDelta::days(7);
/// How far the clock jumps.
pub const JUMP: TimeDelta = TimeDelta::minutes(2);

/// Everybody who ever registered, and every key.
pub struct Model {
    pub now: Timestamp,
    /// Whether the clock shows a time that it should not.
    jumped: bool,
    pub(super) users: Vec<User>,
    pub(super) keys: Vec<Key>,
    /// What has happened that a lazy choice of calls would never meet.
    pub met: BTreeSet<&'static str>,
}

#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) username: &'static str,
    pub(super) state: UserState,
    pub(super) create_time: Timestamp,
    pub(super) activate_time: Option<Timestamp>,
    pub(super) disable_time: Option<Timestamp>,
    pub(super) last_login_time: Option<Timestamp>,
    pub(super) profile: Option<Profile>,
    pub(super) reminder_count: u32,
    pub(super) last_mail_time: Option<Timestamp>,
    /// The first is the primary one.
    pub(super) addresses: Vec<Address>,
    pub(super) gone: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Profile {
    pub(super) expire_time: Timestamp,
    pub(super) spent: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) email: &'static str,
    pub(super) verified: bool,
    pub(super) create_time: Timestamp,
}

/// A key; one that is dead is unknown.
pub(super) struct Key {
    pub(super) user: usize,
    pub(super) email: &'static str,
    pub(super) issue_time: Timestamp,
    pub(super) purpose: Purpose,
    pub(super) dead: bool,
}

/// What a key does. It has no other use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its window is the profile's.
    Activate,
    /// It has a window of its own.
    Verify { expire_time: Timestamp },
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
    /// Of the user that it tells of: each address, whether it is the primary one, and whether it is verified.
    pub addresses: Vec<(String, bool, bool)>,
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

pub(super) type Refusal = &'static str;

impl User {
    pub(super) fn email(&self) -> &'static str {
        self.addresses[0].email
    }

    pub(super) fn is_purgeable(&self, now: Timestamp) -> bool {
        self.state == UserState::Pending
            && self.addresses.iter().all(|address| !address.verified)
            && self.profile.is_some_and(|profile| profile.expire_time <= now)
    }

    pub(super) fn is_purgeable_if_disabled(&self, now: Timestamp) -> bool {
        self.state == UserState::Disabled
            && self.profile.is_some_and(|profile| profile.spent || profile.expire_time <= now)
    }
}

impl Model {
    pub fn new(now: Timestamp) -> Self {
        Self { now, jumped: false, users: Vec::new(), keys: Vec::new(), met: BTreeSet::new() }
    }

    /// No two calls come in the same millisecond: who is older is certain, and so is the order of the ids.
    pub fn tick(&mut self) {
        self.now += TimeDelta::milliseconds(1);
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

    /// One of the user's own addresses, as a rule; now and then any.
    pub fn choose_email(&self, dice: &Dice, user: usize) -> usize {
        let addresses = self.users.get(user).map_or(&[][..], |user| &user.addresses);
        if addresses.is_empty() || dice.once_in(6) {
            return dice.below(EMAILS.len());
        }
        // The latest more often: the first is the primary one.
        let index = if dice.once_in(3) { 0 } else { addresses.len() - 1 };
        EMAILS.iter().position(|email| *email == addresses[index].email).unwrap()
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
            Step::PurgeUnverified { filter, force, limit } => {
                self.purge_unverified(filter, force, limit, &mut expected)
            }
            Step::RemindUnverified { filter, force, limit } => {
                self.remind_unverified(filter, force, limit, &mut expected);
                Ok(())
            }
            Step::AddEmailAddress { user, email } => self.add_address(user, EMAILS[email], &mut expected),
            Step::SendVerificationEmail { user, email } => {
                self.send_verification(user, EMAILS[email], &mut expected)
            }
            Step::VerifyEmailAddress { key } => self.verify(key, &mut expected),
            Step::SetPrimaryEmailAddress { user, email } => {
                self.set_primary(user, EMAILS[email], &mut expected)
            }
            Step::RemoveEmailAddress { user, email } => {
                self.remove_address(user, EMAILS[email], &mut expected)
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

    pub(super) fn there(&self, user: usize) -> Option<usize> {
        self.users.get(user).filter(|user| !user.gone).map(|_| user)
    }

    pub(super) fn found(&self, user: usize) -> Result<usize, Refusal> {
        self.there(user).ok_or("USER_NOT_FOUND")
    }

    pub(super) fn all_there(&self) -> impl Iterator<Item = usize> {
        (0..self.users.len()).filter(|user| !self.users[*user].gone)
    }

    pub(super) fn holder(&self, username: &str) -> Option<usize> {
        self.all_there().find(|user| self.users[*user].username.eq_ignore_ascii_case(username))
    }

    /// Who has verified the address.
    pub(super) fn owner(&self, email: &str) -> Option<usize> {
        let verified = |address: &Address| address.email == email && address.verified;
        self.all_there().find(|user| self.users[*user].addresses.iter().any(verified))
    }

    pub(super) fn is_taken_from(&self, user: usize, email: &str) -> bool {
        self.owner(email).is_some_and(|owner| owner != user)
    }

    /// X22.
    pub(super) fn trust_clock(&self) -> Result<(), Refusal> {
        if self.jumped { Err("CLOCK_SUSPECT") } else { Ok(()) }
    }
}
