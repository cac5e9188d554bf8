//! Paging over a key set (U4, AIP-158).

use uuid::Uuid;

use super::{Invalid, Timestamp};

/// How many items a page has at most: 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(u16);

/// The place behind which a page starts: the last item seen, by what the list is in the order of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageKey {
    /// Of a list in the order (`create_time`, `id`).
    Created {
        /// When the last item seen was created.
        create_time: Timestamp,
        /// Its id.
        id: Uuid,
    },
    /// Of a list in the order of usernames: the last one seen, as it is compared.
    Username(String),
    /// Of a list in the order of addresses: the last one seen.
    Email(String),
}

/// Some of a list, in order.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items; there may be fewer than asked for, even none, while `next` is there.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<PageKey>,
}

impl PageSize {
    const DEFAULT: u16 = 100;
    const MAX: u16 = 1000;

    /// Reads a request's `page_size`: 0 means 100, more than 1000 means 1000, negative is refused.
    pub fn parse(page_size: i32) -> Result<Self, Invalid> {
        match u16::try_from(page_size) {
            Ok(0) => Ok(Self(Self::DEFAULT)),
            Ok(size) => Ok(Self(size.min(Self::MAX))),
            Err(_) if page_size < 0 => Err(Invalid::new("must not be negative; 0 means 100")),
            Err(_) => Ok(Self(Self::MAX)),
        }
    }

    /// As many as that, but no fewer than 1 and no more than a page can have.
    pub fn at_most(size: usize) -> Self {
        Self(u16::try_from(size).unwrap_or(Self::MAX).clamp(1, Self::MAX))
    }

    /// The number.
    pub fn get(self) -> usize {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u4_page_sizes_default_and_are_capped() {
        for (asked, size) in [(0, 100), (1, 1), (1000, 1000), (1001, 1000), (i32::MAX, 1000)] {
            assert_eq!(PageSize::parse(asked).unwrap().get(), size);
        }
        assert!(PageSize::parse(-1).is_err());
        assert!(PageSize::parse(i32::MIN).is_err());
    }
}
