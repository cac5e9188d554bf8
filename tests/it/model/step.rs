//! The calls of a sequence, chosen so that most of them meet somebody.

use chrono::TimeDelta;

use super::{Dice, reference::Model};

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
        match dice.below(40) {
            0..=6 => Self::Register { username, email, send_email },
            7..=11 => Self::Activate { key },
            12 => Self::InspectActivationKey { key },
            13 => Self::SendActivationEmail(By::Id(user)),
            14 => Self::SendActivationEmail(By::Username(username)),
            15 => Self::SendActivationEmail(By::Email(email)),
            16..=17 => Self::ReissueActivationKey { user },
            18 => Self::CreateRegistrationProfile { user, send_email },
            19 => Self::DeleteRegistrationProfile { user },
            20..=22 => {
                Self::PurgeExpired { include_disabled: dice.once_in(3), limit: [0, 0, 1, 2][dice.below(4)] }
            }
            23 => Self::RecordLogin { user },
            24 => Self::ActivateUser { user },
            25..=26 => Self::DisableUser { user },
            27..=28 => Self::EnableUser { user },
            29 => Self::DeleteUser { user },
            30 => Self::JumpClock,
            31..=34 => Self::ReissueActivationKey { user },
            _ => Self::MoveClock(span(dice)),
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
        3 => TimeDelta::days(7) - TimeDelta::microseconds(4) + TimeDelta::microseconds(dice.below(4) as i64),
        _ => TimeDelta::days(8),
    };
    if dice.once_in(8) { -span } else { span }
}
