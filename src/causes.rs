//! An error with all its causes, for one line of the log.

use std::{error::Error, fmt};

/// Shows an error and each of its causes, with colons between; a cause that the error before it repeats, once.
pub struct Causes<'a>(pub &'a dyn Error);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        write!(f, "{said}")?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let says = error.to_string();
            if !said.ends_with(&says) {
                write!(f, ": {says}")?;
            }
            said = says;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        source: Option<Box<Told>>,
    }

    fn told(text: &'static str, source: Option<Told>) -> Told {
        Told { text, source: source.map(Box::new) }
    }

    #[test]
    fn every_cause_is_shown_and_none_of_them_twice() {
        let error = told("no mail", Some(told("no server: refused", Some(told("refused", None)))));
        assert_eq!(Causes(&error).to_string(), "no mail: no server: refused");
        let error = told("a", Some(told("b", Some(told("c", None)))));
        assert_eq!(Causes(&error).to_string(), "a: b: c");
    }
}
