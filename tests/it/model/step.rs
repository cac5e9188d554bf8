//! The calls of a sequence, chosen so that most of them meet somebody.

use chrono::TimeDelta;

use super::reference::Model;
use crate::support::dice::Dice;

/// A call, or a change of the clock. Users and keys are named by the order in which they came, past the last one:
/// nobody's.
#[derive(Debug, Clone)]
pub enum Step {
    Register {
        username: usize,
        email: usize,
        send_email: bool,
    },
    Activate {
        key: usize,
    },
    InspectActivationKey {
        key: usize,
    },
    SendActivationEmail(By),
    ReissueActivationKey {
        user: usize,
    },
    CreateRegistrationProfile {
        user: usize,
        send_email: bool,
    },
    DeleteRegistrationProfile {
        user: usize,
    },
    PurgeExpired {
        include_disabled: bool,
        limit: i32,
    },
    PurgeUnverified {
        filter: Filter,
        force: bool,
        limit: i32,
    },
    RemindUnverified {
        filter: Filter,
        force: bool,
        limit: i32,
    },
    AddEmailAddress {
        user: usize,
        email: usize,
    },
    SendVerificationEmail {
        user: usize,
        email: usize,
    },
    VerifyEmailAddress {
        key: usize,
    },
    SetPrimaryEmailAddress {
        user: usize,
        email: usize,
    },
    RemoveEmailAddress {
        user: usize,
        email: usize,
    },
    RecordLogin {
        user: usize,
    },
    ActivateUser {
        user: usize,
    },
    DisableUser {
        user: usize,
    },
    EnableUser {
        user: usize,
    },
    DeleteUser {
        user: usize,
    },
    /// The clock is set on purpose.
    MoveClock(TimeDelta),
    /// The clock jumps by a fault, or comes back.
    JumpClock,
}

/// Which of the never-verified; an age is counted back from the call.
#[derive(Debug, Clone, Copy)]
pub enum Filter {
    None,
    AnyVerified,
    Expired(bool),
    CreatedBefore(TimeDelta),
    CreatedAfter(TimeDelta),
    IdleSince(TimeDelta),
    Domain(&'static str),
    Prefix(&'static str),
}

/// How somebody is named.
#[derive(Debug, Clone, Copy)]
pub enum By {
    Id(usize),
    Username(usize),
    Email(usize),
}

/// Spellings: of each pair, one username.
pub const USERNAMES: [&str; 8] = ["alice", "ALICE", "bob", "Bob", "carol", "Carol", "dave", "DAVE"];
pub const EMAILS: [&str; 4] =
    ["first@example.com", "second@example.com", "third@sub.example.com", "fourth@example.org"];

impl Step {
    /// A step that is likely to matter to the users there are.
    pub fn choose(dice: &Dice, model: &Model) -> Self {
        let username = dice.below(USERNAMES.len());
        let email = dice.below(EMAILS.len());
        let user = model.choose_user(dice);
        let key = model.choose_key(dice);
        let send_email = dice.once_in(2);
        let force = !dice.once_in(4);
        let limit = [0, 0, 1, 2][dice.below(4)];
        let filter = Filter::choose(dice);
        let known_email = model.choose_email(dice, user);
        match dice.below(61) {
            0..=6 => Self::Register { username, email, send_email },
            7..=11 => Self::Activate { key },
            12 => Self::InspectActivationKey { key },
            13 => Self::SendActivationEmail(By::Id(user)),
            14 => Self::SendActivationEmail(By::Username(username)),
            15 => Self::SendActivationEmail(By::Email(email)),
            16..=20 => Self::ReissueActivationKey { user },
            21 => Self::CreateRegistrationProfile { user, send_email },
            22 => Self::DeleteRegistrationProfile { user },
            23..=24 | 53 => Self::PurgeExpired { include_disabled: dice.once_in(2), limit },
            25 => Self::RecordLogin { user },
            26 => Self::ActivateUser { user },
            27..=28 => Self::DisableUser { user },
            29..=30 => Self::EnableUser { user },
            31 => Self::DeleteUser { user },
            32 => Self::JumpClock,
            33..=34 => Self::PurgeUnverified { filter, force, limit },
            35..=37 => Self::RemindUnverified { filter, force, limit },
            38..=41 => Self::AddEmailAddress { user, email },
            42..=43 => Self::SendVerificationEmail { user, email: known_email },
            44..=48 => Self::VerifyEmailAddress { key },
            49..=50 | 54..=55 => {
                let (user, email) = model.choose_verified(dice).unwrap_or((user, known_email));
                Self::SetPrimaryEmailAddress { user, email }
            }
            51..=52 => Self::RemoveEmailAddress { user, email: known_email },
            _ => Self::MoveClock(span(dice)),
        }
    }
}

impl Filter {
    fn choose(dice: &Dice) -> Self {
        let age = [TimeDelta::zero(), TimeDelta::hours(30), TimeDelta::days(8)][dice.below(3)];
        match dice.below(8) {
            0 => Self::None,
            1 => Self::AnyVerified,
            2 => Self::Expired(dice.once_in(2)),
            3 => Self::CreatedBefore(age),
            4 => Self::CreatedAfter(age),
            5 => Self::IdleSince(age),
            6 => Self::Domain(["example.com", "sub.example.com", "example.org"][dice.below(3)]),
            _ => Self::Prefix(["a", "b", "car"][dice.below(3)]),
        }
    }
}

/// From a microsecond to more than a window, now and then back.
fn span(dice: &Dice) -> TimeDelta {
    let span = match dice.below(5) {
        0 => TimeDelta::microseconds(1),
        1 => TimeDelta::hours(25),
        2 => TimeDelta::days(3),
        // To the instant at which somebody who has just registered expires, but for a few ticks.
        3 => TimeDelta::days(7) - TimeDelta::milliseconds(4) + TimeDelta::milliseconds(dice.below(4) as i64),
        _ => TimeDelta::days(8),
    };
    if dice.once_in(8) { -span } else { span }
}
