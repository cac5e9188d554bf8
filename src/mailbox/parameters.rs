//! The parameters of a query: known ones, each once, each by its rule.

use std::{ops::RangeInclusive, str::FromStr as _};

use super::{cursor::Cursor, held::HeldMails, problem::Problem};
use crate::domain::email_address::EmailAddress;

/// The parameters of a query, by their names.
#[derive(Debug)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Accepts the `known` names only: what is misspelt would be left out in silence.
    pub fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                let rule = match known {
                    [] => "is no parameter here; there are none".to_owned(),
                    known => format!("is no parameter here; there are: {}", known.join(", ")),
                };
                return Err(Problem::parameter(&name, &rule));
            }
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(Problem::parameter(&name, "is there twice"));
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(parameters))
    }

    /// The text of a parameter.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// `recipient`: an address, compared without regard to case.
    pub fn recipient(&self) -> Result<Option<EmailAddress>, Problem> {
        let Some(text) = self.find("recipient") else { return Ok(None) };
        let rule = if text.contains(' ') {
            "must be an email address; in a query, a + is written %2B"
        } else {
            "must be an email address"
        };
        EmailAddress::parse(text).map(Some).map_err(|_| Problem::parameter("recipient", rule))
    }

    /// The number of a cursor that this process gave out.
    pub fn cursor(&self, name: &str, mails: &HeldMails) -> Result<Option<u64>, Problem> {
        let Some(text) = self.find(name) else { return Ok(None) };
        let number = Cursor::parse(text).and_then(|cursor| mails.number(cursor));
        let rule = "must be a cursor that this process gave out; they end with it";
        number.map(Some).ok_or_else(|| Problem::parameter(name, rule))
    }

    /// A whole number within bounds, or what stands for it.
    pub fn number(&self, name: &str, default: u64, bounds: RangeInclusive<u64>) -> Result<u64, Problem> {
        let Some(text) = self.find(name) else { return Ok(default) };
        let number = u64::from_str(text).ok().filter(|number| bounds.contains(number));
        let rule = format!("must be a whole number from {} to {}", bounds.start(), bounds.end());
        number.ok_or_else(|| Problem::parameter(name, &rule))
    }
}
