//! The model's users, switched by hand: X1, U7.

use vestibule::domain::user::UserState;

use super::reference::{Expected, Model, Refusal};

impl Model {
    /// U7.
    pub(super) fn record_login(&mut self, user: usize, expected: &mut Expected) -> Result<(), Refusal> {
        let user = self.found(user)?;
        if self.users[user].state == UserState::Disabled {
            return Err("USER_DISABLED");
        }
        self.users[user].last_login_time = self.users[user].last_login_time.max(Some(self.now));
        expected.answer.users.push(user);
        Ok(())
    }

    pub(super) fn activate_user(&mut self, user: usize, expected: &mut Expected) -> Result<(), Refusal> {
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

    pub(super) fn disable_user(&mut self, user: usize, expected: &mut Expected) -> Result<(), Refusal> {
        let user = self.found(user)?;
        if self.users[user].state != UserState::Disabled {
            self.users[user].state = UserState::Disabled;
            self.users[user].disable_time = Some(self.now);
        }
        expected.answer.users.push(user);
        Ok(())
    }

    /// X1: back to where the user was. X15: the keys of who is pending again stay dead.
    pub(super) fn enable_user(&mut self, user: usize, expected: &mut Expected) -> Result<(), Refusal> {
        let user = self.found(user)?;
        if self.users[user].state == UserState::Disabled {
            let was_active = self.users[user].activate_time.is_some();
            if !was_active {
                self.kill_keys(user);
            }
            self.kill_verification_keys(user);
            self.users[user].state = if was_active { UserState::Active } else { UserState::Pending };
            self.users[user].disable_time = None;
        }
        expected.answer.users.push(user);
        Ok(())
    }

    pub(super) fn delete_user(&mut self, user: usize, expected: &mut Expected) -> Result<(), Refusal> {
        let user = self.found(user)?;
        self.users[user].gone = true;
        expected.answer.users.push(user);
        Ok(())
    }
}
