//! The model's never-verified users: U5, U6, X16.

use chrono::TimeDelta;
use vestibule::domain::user::UserState;

use super::{
    reference::{Expected, Model, Profile, Refusal, WINDOW},
    step::Filter,
};

/// Nobody is reminded sooner after a mail, nor more often.
const INTERVAL: TimeDelta = TimeDelta::hours(24);
const MAX_REMINDERS: u32 = 3;

impl Model {
    /// Whom the filter selects of those whose primary address is unverified, the longest registered first.
    pub(super) fn selected(&self, filter: Filter) -> Vec<usize> {
        let mut selected: Vec<_> = self
            .all_there()
            .filter(|user| {
                let user = &self.users[*user];
                let any_verified = user.addresses.iter().any(|address| address.verified);
                !user.addresses[0].verified
                    && match filter {
                        // X19: without the filter's word for it, whoever has verified any address is left out.
                        Filter::None => !any_verified,
                        Filter::AnyVerified => true,
                        Filter::Expired(expired) => {
                            !any_verified
                                && user.profile.is_some_and(|profile| {
                                    (profile.spent || profile.expire_time <= self.now) == expired
                                })
                        }
                        Filter::CreatedBefore(age) => !any_verified && user.create_time < self.now - age,
                        Filter::CreatedAfter(age) => !any_verified && user.create_time >= self.now - age,
                        Filter::IdleSince(age) => {
                            let idle = |login| login < self.now - age;
                            !any_verified && user.last_login_time.is_none_or(idle)
                        }
                        Filter::Domain(domain) => {
                            !any_verified && user.email().ends_with(&format!("@{domain}"))
                        }
                        Filter::Prefix(prefix) => {
                            !any_verified && user.username.to_ascii_lowercase().starts_with(prefix)
                        }
                    }
            })
            .collect();
        let is_by_name = matches!(filter, Filter::Prefix(_));
        selected.sort_by_key(|user| {
            let user = &self.users[*user];
            (is_by_name.then(|| user.username.to_ascii_lowercase()), user.create_time)
        });
        selected
    }

    /// R15, R16, X16: pending users first, the longest expired first.
    pub(super) fn purge_expired(
        &mut self,
        include_disabled: bool,
        limit: i32,
        expected: &mut Expected,
    ) -> Result<(), Refusal> {
        self.trust_clock()?;
        let sorted = |users: &mut Vec<usize>| {
            let key = |user: &usize| {
                let user = &self.users[*user];
                (user.profile.map(|profile| profile.expire_time), user.create_time)
            };
            users.sort_by_key(key);
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

    pub(super) fn purge_unverified(
        &mut self,
        filter: Filter,
        force: bool,
        limit: i32,
        expected: &mut Expected,
    ) -> Result<(), Refusal> {
        if matches!(filter, Filter::None | Filter::AnyVerified) {
            return Err("INVALID_REQUEST");
        }
        if force {
            self.trust_clock()?;
        }
        let mut selected = self.selected(filter);
        selected.retain(|user| {
            let user = &self.users[*user];
            user.state == UserState::Pending
                && user.profile.is_some()
                && user.addresses.iter().all(|address| !address.verified)
        });
        take(&mut selected, limit, expected);
        if force && !selected.is_empty() {
            self.met.insert("U5: an unverified user is purged");
            for user in selected {
                self.users[user].gone = true;
            }
        }
        Ok(())
    }

    pub(super) fn remind_unverified(
        &mut self,
        filter: Filter,
        force: bool,
        limit: i32,
        expected: &mut Expected,
    ) {
        let mut selected = self.selected(filter);
        selected.retain(|number| {
            let user = &self.users[*number];
            user.state == UserState::Pending
                && user.profile.is_some()
                && !self.is_taken_from(*number, user.email())
                && user.last_mail_time.is_none_or(|time| time <= self.now - INTERVAL)
                && user.reminder_count < MAX_REMINDERS
        });
        take(&mut selected, limit, expected);
        if !force {
            return;
        }
        for user in selected {
            self.met.insert("U6: a user is reminded");
            if self.users[user].profile.is_some_and(|profile| profile.expire_time <= self.now) {
                self.met.insert("U6: an expired user is let in again");
            }
            self.users[user].reminder_count += 1;
            self.users[user].profile = Some(Profile { expire_time: self.now + WINDOW, spent: false });
            self.add_key(user, true, expected);
        }
    }
}

/// Bounds whom a call acts on, and says so.
fn take(selected: &mut Vec<usize>, limit: i32, expected: &mut Expected) {
    let limit = if limit == 0 { selected.len() } else { usize::try_from(limit).unwrap() };
    expected.answer.more = selected.len() > limit;
    selected.truncate(limit);
    expected.answer.count = i32::try_from(selected.len()).unwrap();
    expected.answer.users.clone_from(selected);
}
