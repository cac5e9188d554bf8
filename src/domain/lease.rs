//! Work that one of several servers does at a time.

/// What a lease is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Deleting whoever has expired.
    Purge,
    /// Reminding whoever has come to a rung of the ladder.
    Reminders,
}

impl Work {
    /// The work's name in SQL and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Purge => "purge",
            Self::Reminders => "reminders",
        }
    }
}
