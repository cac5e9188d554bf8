//! The event log as it is read: events by their numbers, and the positions between them (X20).

use std::fmt;

use uuid::Uuid;

use super::{
    Invalid, Timestamp,
    event::{DeletionReason, EventKind},
    mail::MailId,
    user::UserId,
};

/// Which log it is: one that was restored from a backup gets another id, as it may tell another story from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogId(pub Uuid);

/// An event as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the log, from 1: whoever has read up to it has missed nothing below.
    pub number: i64,
    /// What it tells of.
    pub kind: EventKind,
    /// When that happened.
    pub create_time: Timestamp,
    /// To whom.
    pub user_id: UserId,
    /// The mail, where it tells of one.
    pub mail_id: Option<MailId>,
    /// Why the user was deleted, where it tells of that.
    pub deletion_reason: Option<DeletionReason>,
}

/// A place in a log: behind the event of that number, or before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The log.
    pub log: LogId,
    /// The number of the last event before it.
    pub number: i64,
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event that is kept.
    Oldest,
    /// With what follows a position.
    After(Position),
    /// With what happens from now on.
    End,
}

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The log.
    pub log: LogId,
    /// The number of the last event that was trimmed away; 0 if none was.
    pub trimmed_number: i64,
    /// The number of the last event, trimmed away or not; 0 if there was none yet.
    pub last_number: i64,
}

impl Position {
    /// How many digits are the log's id, and how many the number.
    const DIGITS: (usize, usize) = (32, 16);

    /// Reads a position as it is written: 48 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let parts =
            text.split_at_checked(Self::DIGITS.0).filter(|(_, number)| number.len() == Self::DIGITS.1);
        parts
            .filter(|_| digits)
            .and_then(|(log, number)| {
                let log = LogId(Uuid::from_u128(u128::from_str_radix(log, 16).ok()?));
                Some(Self { log, number: i64::from_str_radix(number, 16).ok()? })
            })
            .ok_or_else(|| Invalid::new("must be a position that this service gave, or empty"))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:016x}", self.log.0.simple(), self.number)
    }
}

impl Extent {
    /// Before the oldest event that is kept.
    pub fn oldest(&self) -> Position {
        Position { log: self.log, number: self.trimmed_number }
    }

    /// Behind the last event.
    pub fn end(&self) -> Position {
        Position { log: self.log, number: self.last_number }
    }

    /// The position that a reader begins at; `None` if the log does not hold it: it was trimmed away, is another
    /// log's, or lies beyond the end, as one does that was given before the log was restored.
    pub fn find(&self, start: Start) -> Option<Position> {
        match start {
            Start::Oldest => Some(self.oldest()),
            Start::End => Some(self.end()),
            Start::After(position) => {
                let held = (self.trimmed_number..=self.last_number).contains(&position.number);
                (held && position.log == self.log).then_some(position)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(number: i64) -> Position {
        Position { log: LogId(Uuid::from_u128(0xabc)), number }
    }

    #[test]
    fn x20_a_position_is_read_as_it_was_written_and_in_no_other_way() {
        for number in [0, 1, i64::MAX] {
            let text = position(number).to_string();
            assert_eq!(Position::parse(&text), Ok(position(number)));
            let malformed = [
                String::new(),
                text.to_uppercase(),
                format!("{text}0"),
                text[1..].to_owned(),
                text.replacen('0', "+", 1),
                text.replacen('0', "\u{ff10}", 1),
                format!(" {}", &text[1..]),
                // A negative number.
                format!("{}8000000000000000", &text[..32]),
            ];
            for malformed in malformed {
                assert!(Position::parse(&malformed).is_err(), "{malformed:?}");
            }
        }
    }

    #[test]
    fn x20_a_log_holds_the_positions_between_its_oldest_event_and_its_end() {
        let extent = Extent { log: position(0).log, trimmed_number: 2, last_number: 5 };
        let found = |number| extent.find(Start::After(position(number))).is_some();
        let held: Vec<_> = (0..8).filter(|number| found(*number)).collect();
        assert_eq!(held, [2, 3, 4, 5]);
        let elsewhere = Position { log: LogId(Uuid::nil()), number: 3 };
        assert_eq!(extent.find(Start::After(elsewhere)), None);
        assert_eq!(extent.find(Start::Oldest), Some(position(2)));
        assert_eq!(extent.find(Start::End), Some(position(5)));
    }
}
