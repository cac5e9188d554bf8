//! What is made of an address at a domain that gives addresses to throw away, when somebody registers or adds one.
//!
//! A lookup never asks: an address that was accepted once stays what it is.

use std::sync::LazyLock;

use super::{
    Invalid,
    email_address::{EmailAddress, EmailDomain},
};

/// The domains of `data/disposable_email_domains.txt`, which stand there in the order of their bytes.
static EMBEDDED: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("../../data/disposable_email_domains.txt").lines().collect());

/// What a new address must be beyond its form.
#[derive(Debug, Clone, Default)]
pub struct EmailPolicy {
    disposable: Disposable,
    /// In the order of their bytes; the embedded ones if absent.
    domains: Option<Vec<String>>,
}

/// What is made of a disposable address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Disposable {
    /// Nothing; the list isn't asked.
    Off,
    /// It is accepted, with a warning.
    #[default]
    Warn,
    /// It is refused.
    Refuse,
}

/// What was accepted, though a caller may not want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// The domain of the address gives addresses to throw away.
    DisposableEmailDomain,
    /// The address gets no mail, since mail to it has bounced for good; no policy says so, but the store.
    EmailAddressSuppressed,
}

impl EmailPolicy {
    /// A policy with the embedded list.
    pub fn new(disposable: Disposable) -> Self {
        Self { disposable, domains: None }
    }

    /// The same policy with a list of its own: a domain a line, in any form; a line that is empty or begins with `#`
    /// is passed over. The error has the number of the line, from 1.
    pub fn with_list(self, text: &str) -> Result<Self, (usize, Invalid)> {
        let mut domains = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // What has no dot would stand for everything below a top-level domain.
            let domain = EmailDomain::parse(line).ok().filter(|domain| domain.as_str().contains('.'));
            let invalid = || Invalid::new("must be a domain with a dot in it, such as mailinator.com");
            domains.push(domain.ok_or_else(|| (index + 1, invalid()))?.as_str().to_owned());
        }
        domains.sort_unstable();
        Ok(Self { domains: Some(domains), ..self })
    }

    /// Refuses an address, or says what there is to say of it.
    pub fn check(&self, email: &EmailAddress) -> Result<Vec<Warning>, Invalid> {
        if self.disposable == Disposable::Off || !self.is_listed(email.domain()) {
            return Ok(Vec::new());
        }
        if self.disposable == Disposable::Refuse {
            return Err(Invalid::new("must not be at a domain that gives addresses to throw away"));
        }
        Ok(vec![Warning::DisposableEmailDomain])
    }

    /// Whether a domain is in the list, or below one that is.
    fn is_listed(&self, domain: &str) -> bool {
        let mut domains = std::iter::successors(Some(domain), |domain| Some(domain.split_once('.')?.1));
        domains.any(|domain| match &self.domains {
            Some(listed) => listed.binary_search_by(|other| other.as_str().cmp(domain)).is_ok(),
            None => EMBEDDED.binary_search(&domain).is_ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &EmailPolicy, domain: &str) -> Result<Vec<Warning>, Invalid> {
        policy.check(&EmailAddress::parse(&format!("alice@{domain}")).unwrap())
    }

    #[test]
    fn a_listed_domain_and_what_lies_below_it_is_disposable() {
        let policy = EmailPolicy::default();
        for domain in ["mailinator.com", "MAILINATOR.com", "a.b.mailinator.com", "yopmail.com", "0-00.usa.cc"]
        {
            assert_eq!(check(&policy, domain), Ok(vec![Warning::DisposableEmailDomain]), "{domain}");
        }
        for domain in
            ["example.com", "gmail.com", "ourmailinator.com", "mailinator.com.example", "zzzzzzzzzzzzzz.com"]
        {
            assert_eq!(check(&policy, domain), Ok(Vec::new()), "{domain}");
        }
    }

    #[test]
    fn it_is_refused_or_passed_over_where_the_settings_say_so() {
        assert!(check(&EmailPolicy::new(Disposable::Refuse), "mailinator.com").is_err());
        assert!(check(&EmailPolicy::new(Disposable::Refuse), "example.com").is_ok());
        assert_eq!(check(&EmailPolicy::new(Disposable::Off), "mailinator.com"), Ok(Vec::new()));
    }

    #[test]
    fn a_list_of_its_own_takes_the_place_of_the_embedded_one_in_any_form() {
        let policy = EmailPolicy::new(Disposable::Refuse);
        let policy =
            policy.with_list("# ours\n\nWegwerf.example\r\n  b\u{fc}cher.example\na.example").unwrap();
        for domain in ["wegwerf.example", "x.B\u{dc}CHER.example", "xn--bcher-kva.example", "a.example"] {
            assert!(check(&policy, domain).is_err(), "{domain}");
        }
        for domain in ["mailinator.com", "ours.example", "example.com"] {
            assert!(check(&policy, domain).is_ok(), "{domain}");
        }
    }

    #[test]
    fn a_line_that_is_no_domain_is_named() {
        for (text, line) in [("com", 1), ("a.example\n*.b.example", 2), ("\n\n@c.example", 3), ("d e", 1)] {
            let refused = EmailPolicy::default().with_list(text).unwrap_err();
            assert_eq!(refused.0, line, "{text}");
        }
    }

    #[test]
    fn the_embedded_list_is_in_order_and_in_the_form_of_stored_domains() {
        assert!(EMBEDDED.len() > 50_000);
        assert!(EMBEDDED.is_sorted_by(|one, other| one < other));
        for domain in EMBEDDED.iter() {
            assert_eq!(EmailDomain::parse(domain).unwrap().as_str(), *domain);
            assert!(domain.contains('.'));
        }
    }
}
