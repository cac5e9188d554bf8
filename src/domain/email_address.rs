//! The rules of an email address: RFC 5321 without quotes, comments and IP literals, and IDNA.

use std::fmt;

use super::Invalid;

/// The longest address, in bytes, before and after the domain is put into its ASCII form (RFC 5321).
pub const MAX_BYTES: usize = 254;
/// The longest local part, in bytes (RFC 5321).
const MAX_LOCAL_BYTES: usize = 64;

/// An address in the one form that is stored, compared and mailed to: the local part as given,
/// the domain in lower-case ASCII (X7). Two addresses are the same if these forms are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    address: String,
    domain_start: usize,
}

/// A mail domain in lower-case ASCII (IDNA A-labels).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailDomain(String);

impl EmailAddress {
    /// Accepts `local@domain`, at most [`MAX_BYTES`] long, the local part an ASCII dot-atom.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new("must not be empty"));
        }
        let too_long = || Invalid::new(format!("must have at most {MAX_BYTES} bytes"));
        if text.len() > MAX_BYTES {
            return Err(too_long());
        }
        if text.contains(char::is_control) {
            return Err(Invalid::new("must hold no control characters"));
        }
        let (local, domain) =
            text.rsplit_once('@').ok_or_else(|| Invalid::new("must look like local@domain"))?;
        if !is_dot_atom(local) {
            return Err(Invalid::new(format!(
                "must have 1 to {MAX_LOCAL_BYTES} ASCII letters, digits, dots and symbols before the @, without quotes or comments"
            )));
        }
        let domain = EmailDomain::parse(domain)?;
        let address = format!("{local}@{}", domain.0);
        if address.len() > MAX_BYTES {
            return Err(too_long());
        }
        lettre::Address::new(local, &domain.0)
            .map_err(|_| Invalid::new("must be a mailbox of RFC 5321, local@domain"))?;
        Ok(Self { address, domain_start: local.len() + 1 })
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// The part behind the @, in lower-case ASCII.
    pub fn domain(&self) -> &str {
        self.address.get(self.domain_start..).unwrap_or_default()
    }
}

impl EmailDomain {
    /// Accepts a host name, internationalised or not, that is no IP address: UTS 46, nontransitional, with every
    /// check that it has.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid =
            || Invalid::new("must have a domain name behind the @, such as example.com, and no IP address");
        if text.len() > MAX_BYTES {
            return Err(invalid());
        }
        let ascii = idna::domain_to_ascii_strict(text).map_err(|_| invalid())?;
        if ends_in_a_number(&ascii) { Err(invalid()) } else { Ok(Self(ascii)) }
    }

    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// Whether the last label is decimal or hexadecimal digits: an IPv4 address in one of the spellings that resolvers
/// know, or no name that there can be.
fn ends_in_a_number(domain: &str) -> bool {
    let last = domain.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || last.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a local part is a dot-atom of RFC 5322 in ASCII, as long as RFC 5321 allows.
fn is_dot_atom(local: &str) -> bool {
    let is_atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    local.len() <= MAX_LOCAL_BYTES
        && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x7_the_domain_is_compared_lower_case_and_in_ascii() {
        let stored = |text: &str| EmailAddress::parse(text).unwrap().as_str().to_owned();
        assert_eq!(stored("Bob@EXAMPLE.Com"), "Bob@example.com");
        assert_eq!(stored("bob@B\u{fc}cher.example"), "bob@xn--bcher-kva.example");
        assert_eq!(stored("bob@b\u{fc}cher.example"), stored("bob@XN--BCHER-KVA.example"));
        assert_ne!(stored("Bob@example.com"), stored("bob@example.com"));
        assert_eq!(EmailAddress::parse("a.b+c@EXAMPLE.com").unwrap().domain(), "example.com");
    }

    #[test]
    fn what_is_no_mailbox_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_address = format!("a@{}.example", "a.".repeat(130));
        for text in [
            "",
            "@",
            "a",
            "a@",
            "@example.com",
            "a b@example.com",
            "a@exa mple.com",
            "\"a\"@example.com",
            "a(b)@example.com",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@[IPv6:::1]",
            "a..b@example.com",
            ".a@example.com",
            "a.@example.com",
            "a@example..com",
            "a@-example.com",
            "a@example.com.",
            "a@example.com\n",
            "a\r\nBcc: b@example.com",
            "a@b@example.com",
            "\u{fc}@example.com",
            " a@example.com",
            "a@example.com ",
            "a@ex\u{0}ample.com",
            &long_local,
            &long_address,
        ] {
            assert!(EmailAddress::parse(text).is_err(), "{text:?}");
        }
    }
}
