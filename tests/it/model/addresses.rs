//! The model's email addresses: U8.

use vestibule::domain::user::UserState;

use super::{
    reference::{Address, Expected, Model, Purpose, Refusal, WINDOW},
    step::EMAILS,
};
use crate::support::dice::Dice;

impl Model {
    /// A verified address that is not the primary one of its user, mostly an active one, if there is one.
    pub(super) fn choose_verified(&self, dice: &Dice) -> Option<(usize, usize)> {
        let verified: Vec<_> = self
            .all_there()
            .flat_map(|user| self.users[user].addresses.iter().skip(1).map(move |address| (user, address)))
            .filter(|(_, address)| address.verified)
            .collect();
        let is_active = |(user, _): &&(usize, &Address)| self.users[*user].state == UserState::Active;
        let active = verified.iter().find(is_active).filter(|_| !dice.once_in(4));
        let (user, address) = *active.or_else(|| verified.first())?;
        Some((user, EMAILS.iter().position(|email| *email == address.email)?))
    }

    pub(super) fn add_address(
        &mut self,
        user: usize,
        email: &'static str,
        expected: &mut Expected,
    ) -> Result<(), Refusal> {
        let user = self.enabled(user)?;
        if self.address(user, email).is_ok() {
            return Err("EMAIL_ADDRESS_EXISTS");
        }
        if self.is_taken_from(user, email) {
            return Err("EMAIL_TAKEN");
        }
        let address = Address { email, verified: false, create_time: self.now };
        self.users[user].addresses.push(address);
        // The clock may have been set back since the one before.
        self.users[user].addresses[1..].sort_by_key(|address| address.create_time);
        self.mail_verification(user, email, expected);
        self.answer_addresses(user, expected);
        Ok(())
    }

    pub(super) fn send_verification(
        &mut self,
        user: usize,
        email: &'static str,
        expected: &mut Expected,
    ) -> Result<(), Refusal> {
        let user = self.enabled(user)?;
        let index = self.address(user, email)?;
        if self.users[user].addresses[index].verified {
            return Err("EMAIL_ALREADY_VERIFIED");
        }
        if index == 0 && self.users[user].state == UserState::Pending {
            return Err("USER_PENDING");
        }
        if self.is_taken_from(user, email) {
            return Err("EMAIL_TAKEN");
        }
        self.mail_verification(user, email, expected);
        self.answer_addresses(user, expected);
        Ok(())
    }

    /// R11's order of the answers.
    pub(super) fn verify(&mut self, key: usize, expected: &mut Expected) -> Result<(), Refusal> {
        let key = self.keys.get(key).filter(|key| !key.dead && !self.users[key.user].gone);
        let key = key.ok_or("ACTIVATION_KEY_UNKNOWN")?;
        let Purpose::Verify { expire_time } = key.purpose else { return Err("ACTIVATION_KEY_UNKNOWN") };
        let (user, email) = (key.user, key.email);
        if self.users[user].state == UserState::Disabled {
            return Err("USER_DISABLED");
        }
        let index = self.address(user, email).expect("a key goes with its address");
        if self.users[user].addresses[index].verified {
            return Err("EMAIL_ALREADY_VERIFIED");
        }
        if expire_time <= self.now {
            return Err("ACTIVATION_KEY_EXPIRED");
        }
        if self.is_taken_from(user, email) {
            return Err("EMAIL_TAKEN");
        }
        self.users[user].addresses[index].verified = true;
        if self.users[user].state == UserState::Pending {
            self.met.insert("X16: a pending user verifies another address");
        }
        expected.answer.users.push(user);
        self.answer_addresses(user, expected);
        Ok(())
    }

    pub(super) fn set_primary(
        &mut self,
        user: usize,
        email: &'static str,
        expected: &mut Expected,
    ) -> Result<(), Refusal> {
        let user = self.enabled(user)?;
        let index = self.address(user, email)?;
        if index > 0 {
            if self.users[user].state == UserState::Pending {
                return Err("USER_PENDING");
            }
            if !self.users[user].addresses[index].verified {
                return Err("EMAIL_NOT_VERIFIED");
            }
            self.met.insert("U8: another address becomes the primary one");
            let old = self.users[user].email();
            let addresses = &mut self.users[user].addresses;
            let primary = addresses.remove(index);
            addresses.insert(0, primary);
            addresses[1..].sort_by_key(|address| address.create_time);
            self.kill_keys_of(user, old, |purpose| purpose == Purpose::Activate);
            let username = self.users[user].username.to_owned();
            expected.answer.mails.push((username, old.to_owned()));
        }
        self.answer_addresses(user, expected);
        Ok(())
    }

    pub(super) fn remove_address(
        &mut self,
        user: usize,
        email: &'static str,
        expected: &mut Expected,
    ) -> Result<(), Refusal> {
        let user = self.enabled(user)?;
        let index = self.address(user, email)?;
        if index == 0 {
            return Err("PRIMARY_EMAIL_ADDRESS");
        }
        self.users[user].addresses.remove(index);
        self.kill_keys_of(user, email, |_| true);
        self.answer_addresses(user, expected);
        Ok(())
    }

    /// X15: with a disabling, the keys that have not verified yet die, too.
    pub(super) fn kill_verification_keys(&mut self, user: usize) {
        for index in 0..self.users[user].addresses.len() {
            let Address { email, verified, .. } = self.users[user].addresses[index];
            if !verified {
                self.kill_keys_of(user, email, |purpose| purpose != Purpose::Activate);
            }
        }
    }

    fn kill_keys_of(&mut self, user: usize, email: &str, dies: impl Fn(Purpose) -> bool) {
        let of = self.keys.iter_mut().filter(|key| key.user == user && key.email == email);
        for key in of.filter(|key| dies(key.purpose)) {
            key.dead = true;
        }
    }

    fn mail_verification(&mut self, user: usize, email: &'static str, expected: &mut Expected) {
        let number = self.push_key(user, email, Purpose::Verify { expire_time: self.now + WINDOW });
        self.mail_key(user, email, number, expected);
    }

    fn enabled(&self, user: usize) -> Result<usize, Refusal> {
        let user = self.found(user)?;
        if self.users[user].state == UserState::Disabled { Err("USER_DISABLED") } else { Ok(user) }
    }

    fn address(&self, user: usize, email: &str) -> Result<usize, Refusal> {
        let found = self.users[user].addresses.iter().position(|address| address.email == email);
        found.ok_or("EMAIL_ADDRESS_NOT_FOUND")
    }

    fn answer_addresses(&self, user: usize, expected: &mut Expected) {
        let addresses = self.users[user].addresses.iter().enumerate();
        expected.answer.addresses = addresses
            .map(|(index, address)| (address.email.to_owned(), index == 0, address.verified))
            .collect();
    }
}
