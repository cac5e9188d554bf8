//! The model's registrations: R1 to R14, X7 to X15, X23.

use std::cmp::Reverse;

use vestibule::domain::user::UserState;

use super::reference::{Address, Expected, Key, Model, Profile, Purpose, Refusal, User, WINDOW};

impl Model {
    /// X7, X8, R1.
    pub(super) fn register(
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
            reminder_count: 0,
            last_mail_time: None,
            addresses: vec![Address { email, verified: false, create_time: self.now }],
            gone: false,
        });
        let user = self.users.len() - 1;
        expected.answer.users.push(user);
        expected.answer.expire_time = Some(expire_time);
        self.add_key(user, send_email, expected);
        Ok(())
    }

    /// A further activation key. R13, U6: mailing one is remembered.
    pub(super) fn add_key(&mut self, user: usize, send_email: bool, expected: &mut Expected) {
        let email = self.users[user].email();
        let number = self.push_key(user, email, Purpose::Activate);
        if send_email {
            self.users[user].last_mail_time = Some(self.now);
            self.mail_key(user, email, number, expected);
        } else {
            expected.returned = Some(number);
        }
    }

    /// R3, X15: at most five live keys of an address; the oldest makes room.
    pub(super) fn push_key(&mut self, user: usize, email: &'static str, purpose: Purpose) -> usize {
        let activates = purpose == Purpose::Activate;
        let is_like = |key: &Key| {
            let same_purpose = (key.purpose == Purpose::Activate) == activates;
            key.user == user && !key.dead && same_purpose && (activates || key.email == email)
        };
        let mut live: Vec<_> = (0..self.keys.len()).filter(|key| is_like(&self.keys[*key])).collect();
        live.sort_by_key(|key| Reverse(self.keys[*key].issue_time));
        for key in live.into_iter().skip(4) {
            self.met.insert("X15: the oldest of five keys makes room");
            self.keys[key].dead = true;
        }
        self.keys.push(Key { user, email, issue_time: self.now, purpose, dead: false });
        self.keys.len() - 1
    }

    pub(super) fn mail_key(&self, user: usize, email: &str, number: usize, expected: &mut Expected) {
        let username = self.users[user].username.to_owned();
        expected.answer.mails.push((username.clone(), email.to_owned()));
        expected.mailed.push((username, number));
    }

    /// R11: the order of the answers.
    pub(super) fn refuse_key(&self, user: usize, email: &str) -> Result<(), Refusal> {
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

    pub(super) fn known_key(&self, key: usize) -> Result<&Key, Refusal> {
        let known = |key: &&Key| !key.dead && key.purpose == Purpose::Activate && !self.users[key.user].gone;
        self.keys.get(key).filter(known).ok_or("ACTIVATION_KEY_UNKNOWN")
    }

    pub(super) fn activate(&mut self, key: usize, expected: &mut Expected) -> Result<(), Refusal> {
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

    pub(super) fn inspect(&self, key: usize, expected: &mut Expected) -> Result<(), Refusal> {
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
    pub(super) fn issue_key(
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
    pub(super) fn send_to_claims(&mut self, email: &'static str, expected: &mut Expected) {
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
    pub(super) fn create_profile(
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

    pub(super) fn delete_profile(&mut self, user: usize) -> Result<(), Refusal> {
        let user = self.found(user)?;
        self.users[user].profile.take().ok_or("REGISTRATION_PROFILE_NOT_FOUND")?;
        self.kill_keys(user);
        Ok(())
    }

    pub(super) fn kill_keys(&mut self, user: usize) {
        for key in self.keys.iter_mut().filter(|key| key.user == user && key.purpose == Purpose::Activate) {
            key.dead = true;
        }
    }
}
