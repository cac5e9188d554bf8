//! A place in the order in which mails came, good for the process that gave it out.

use std::fmt;

/// Where a mail stands among those of its process. The text of another process's is refused: its numbers begin again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Tells processes apart.
    pub run: u64,
    /// The mail's number, from 1; 0 is before all of them.
    pub number: u64,
}

impl Cursor {
    /// Reads what `Display` wrote, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (run, number) = text.split_once('-')?;
        let cursor = Self { run: u64::from_str_radix(run, 16).ok()?, number: number.parse().ok()? };
        (cursor.to_string() == text).then_some(cursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.run, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_one_spelling() {
        let cursor = Cursor { run: 0xab, number: 7 };
        assert_eq!(Cursor::parse("00000000000000ab-7"), Some(cursor));
        for other in
            ["", "7", "-7", "ab-7", "00000000000000AB-7", "00000000000000ab-07", "00000000000000ab-+7", "x-7"]
        {
            assert_eq!(Cursor::parse(other), None, "{other}");
        }
    }
}
