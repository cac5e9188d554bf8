//! The forms in which a password's hash is stored: ours, and Django's, so that users who were brought along can log in.
//!
//! What a stored hash asks for is bounded: whoever can write one must not make the service work without end.

use std::fmt;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::phc::{self, Output, Salt},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::Sha256;

use super::memory::Memory;

/// 19 MiB, two passes, one lane: OWASP's first choice for argon2id.
pub(super) const MEMORY_KIB: u32 = 19 * 1024;
pub(super) const PASSES: u32 = 2;
pub(super) const LANES: u32 = 1;
pub(super) const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;

/// The longest text that is looked at, in bytes.
const MAX_TEXT_BYTES: usize = 512;
/// What a hash may ask for: Django's argon2 takes 100 MiB, two passes and eight lanes, …
const MAX_MEMORY_KIB: u32 = 128 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;
/// … and never more than this of memory times passes, some 14 times our own.
const MAX_WORK_KIB: u32 = 512 * 1024;
/// Django 5.2 takes 1,000,000, and a fifth more each year.
const MAX_ITERATIONS: u32 = 2_000_000;
/// A shorter output would be met by chance.
const MIN_OUTPUT_BYTES: usize = 16;
const MAX_SALT_BYTES: usize = 128;

/// A stored hash that a password can be held against; nothing of it is ever printed.
pub(super) struct StoredHash(Form);

enum Form {
    Argon2 {
        algorithm: Algorithm,
        version: Version,
        params: Params,
        salt: Salt,
        output: Output,
        django: bool,
    },
    Pbkdf2 {
        iterations: u32,
        salt: String,
        output: Output,
    },
}

impl StoredHash {
    /// Reads `$argon2id$…`, `argon2$argon2id$…` and `pbkdf2_sha256$…`; `None` for whatever else there is, and for what
    /// asks for too much.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT_BYTES {
            return None;
        }
        let form = if let Some(rest) = text.strip_prefix("pbkdf2_sha256$") {
            pbkdf2(rest)
        } else if let Some(phc) = text.strip_prefix("argon2$") {
            phc_string(&format!("${phc}"), true)
        } else {
            phc_string(text, false)
        };
        form.map(Self)
    }

    /// A hash of ours, as a PHC string.
    #[expect(clippy::expect_used, reason = "the parameters are constants")]
    pub(super) fn make(password: &[u8], salt: &[u8; SALT_BYTES], memory: &mut Memory) -> String {
        let mut output = [0; OUTPUT_BYTES];
        memory.argon2(&argon2(), password, salt, &mut output).expect("a valid salt");
        let hash = phc::PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: phc::ParamsString::try_from(&params()).expect("valid parameters"),
            salt: Some(Salt::new(salt).expect("a salt")),
            hash: Some(Output::new(&output).expect("an output")),
        };
        hash.to_string()
    }

    /// A hash made with our parameters that no password is known for.
    #[expect(clippy::expect_used, reason = "the parameters are constants")]
    pub(super) fn dummy() -> Self {
        Self(Form::Argon2 {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            params: params(),
            salt: Salt::new(&[0; SALT_BYTES]).expect("a salt"),
            output: Output::new(&[0; OUTPUT_BYTES]).expect("an output"),
            django: false,
        })
    }

    /// Whether it is the password's. Takes as long as it asks for.
    pub(super) fn verify(&self, password: &[u8], memory: &mut Memory) -> bool {
        let mut bytes = [0; Output::MAX_LENGTH];
        let output = match &self.0 {
            Form::Argon2 { algorithm, version, params, salt, output, .. } => {
                let Some(made) = bytes.get_mut(..output.len()) else { return false };
                let argon2 = Argon2::new(*algorithm, *version, params.clone());
                if memory.argon2(&argon2, password, salt, made).is_err() {
                    return false;
                }
                output
            }
            Form::Pbkdf2 { iterations, salt, output } => {
                let Some(made) = bytes.get_mut(..output.len()) else { return false };
                pbkdf2::pbkdf2_hmac::<Sha256>(password, salt.as_bytes(), *iterations, made);
                output
            }
        };
        // Outputs are compared in the same time wherever they differ.
        bytes.get(..output.len()).and_then(|made| Output::new(made).ok()).is_some_and(|made| made == *output)
    }

    /// Whether a hash of ours would be harder to guess by, so that it takes this one's place.
    pub(super) fn is_outdated(&self) -> bool {
        match &self.0 {
            Form::Pbkdf2 { .. } => true,
            Form::Argon2 { algorithm, version, params, salt, output, django } => {
                *django
                    || *algorithm != Algorithm::Argon2id
                    || *version != Version::V0x13
                    || params.m_cost() < MEMORY_KIB
                    || params.t_cost() < PASSES
                    || salt.len() < SALT_BYTES
                    || output.len() < OUTPUT_BYTES
            }
        }
    }
}

/// What our own hashes are made with.
#[expect(clippy::expect_used, reason = "the parameters are constants")]
pub(super) fn params() -> Params {
    Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT_BYTES)).expect("valid parameters")
}

/// What makes our own hashes.
pub(super) fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params())
}

/// A PHC string of one of the three argon2, its version named.
fn phc_string(text: &str, django: bool) -> Option<Form> {
    let parsed = phc::PasswordHash::new(text).ok()?;
    let algorithm = Algorithm::new(parsed.algorithm).ok()?;
    let version = Version::try_from(parsed.version?).ok()?;
    let params = Params::try_from(&parsed).ok()?;
    let (salt, output) = (parsed.salt?, parsed.hash?);
    let work = params.m_cost().checked_mul(params.t_cost())?;
    let fits = params.m_cost() <= MAX_MEMORY_KIB
        && params.t_cost() <= MAX_PASSES
        && params.p_cost() <= MAX_LANES
        && work <= MAX_WORK_KIB
        && output.len() >= MIN_OUTPUT_BYTES
        // A secret or further data that goes into a hash is none of ours.
        && params.keyid().is_empty()
        && params.data().is_empty();
    fits.then_some(Form::Argon2 { algorithm, version, params, salt, output, django })
}

/// `iterations$salt$base64`, the salt as it stands there.
fn pbkdf2(text: &str) -> Option<Form> {
    let mut parts = text.split('$');
    let (iterations, salt, output) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = !iterations.is_empty() && iterations.bytes().all(|byte| byte.is_ascii_digit());
    let iterations: u32 = iterations.parse().ok().filter(|_| digits)?;
    let output = BASE64_STANDARD.decode(output).ok()?;
    let fits = parts.next().is_none()
        && (1..=MAX_ITERATIONS).contains(&iterations)
        && (1..=MAX_SALT_BYTES).contains(&salt.len())
        && output.len() == OUTPUT_BYTES;
    fits.then_some(Form::Pbkdf2 { iterations, salt: salt.to_owned(), output: Output::new(&output).ok()? })
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredHash").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &[u8] = b"correct horse battery staple";

    /// Made by Django 5.2.19 (`PBKDF2PasswordHasher().encode` and `Argon2PasswordHasher().encode`).
    const DJANGO: [&str; 2] = [
        "pbkdf2_sha256$1000$seasalt$3xmXbyk2QpiyNcnoBbzRPwEBsYPTbDlRdtmLyBvQltA=",
        "argon2$argon2id$v=19$m=102400,t=2,p=8$M2M4YVJmb1ZxSkZDM0N0TjdkMEZyUA\
         $P75y16KurQ7uH4ptLwhxETmUILfK1aFNAZ4vpaNA1ns",
    ];
    /// Made by argon2-cffi 25.1.0.
    const OTHERS: [&str; 3] = [
        "$argon2i$v=19$m=64,t=3,p=2$WGu979OlGgFFDbxf9oxVoQ$suOKcq288aB67CiveX3bjIfbQJtFBjx2",
        "$argon2d$v=19$m=64,t=3,p=2$btyLsBQxZBc5Ct1GY3HIJQ$T0KdRTlg83M+JayQUSlL7UpyFwu2UFNC",
        "$argon2id$v=19$m=64,t=3,p=2$aZ0pR+rvaonF7QAWxmYg5Q$2u1xqmoUy3mESPYE3GECZXvBcUn5vMkm",
    ];

    #[test]
    fn hashes_that_django_and_argon2_cffi_made_verify_and_are_outdated() {
        let mut memory = Memory::default();
        for text in DJANGO.iter().chain(&OTHERS) {
            let hash = StoredHash::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert!(hash.verify(PASSWORD, &mut memory), "{text}");
            for wrong in [&b"correct horse battery stapl"[..], b"", b"correct horse battery staple "] {
                assert!(!hash.verify(wrong, &mut memory), "{text}");
            }
            assert!(hash.is_outdated(), "{text}");
        }
        // Django takes the salt as it stands, whatever is in it.
        let salted = "pbkdf2_sha256$260$aG9sYQ==x$j1FoIzH4xBVyQbAhQkJW1GnWxuYtd5V7WcomzFXAntI=";
        assert!(StoredHash::parse(salted).unwrap().verify("caf\u{e9} au lait".as_bytes(), &mut memory));
    }

    #[test]
    fn a_hash_is_outdated_once_ours_asks_for_more() {
        let outdated = |params: &str| {
            let hash = format!("$argon2id$v=19${params}$M2M4YVJmb1ZxSkZDM0N0TjdkMEZyUA${}", "A".repeat(43));
            StoredHash::parse(&hash).unwrap().is_outdated()
        };
        assert!(!outdated("m=19456,t=2,p=1"));
        assert!(!outdated("m=65536,t=3,p=4"));
        assert!(outdated("m=19455,t=2,p=1"));
        assert!(outdated("m=19456,t=1,p=1"));
        assert!(!StoredHash::dummy().is_outdated());
    }

    #[test]
    fn what_asks_for_too_much_or_is_no_hash_is_none() {
        let salt = "M2M4YVJmb1ZxSkZDM0N0TjdkMEZyUA";
        let output = "P75y16KurQ7uH4ptLwhxETmUILfK1aFNAZ4vpaNA1ns";
        let argon2 = |kind: &str, params: &str| format!("${kind}$v=19${params}${salt}${output}");
        let pbkdf2 = |iterations: &str, salt: &str| {
            format!("pbkdf2_sha256${iterations}${salt}$3xmXbyk2QpiyNcnoBbzRPwEBsYPTbDlRdtmLyBvQltA=")
        };
        for right in [
            argon2("argon2id", "m=131072,t=4,p=16"),
            argon2("argon2id", "m=32768,t=16,p=1"),
            pbkdf2("2000000", &"s".repeat(128)),
        ] {
            assert!(StoredHash::parse(&right).is_some(), "{right}");
        }
        for wrong in [
            String::new(),
            "!oCMQEVOz3MZ6FKGolXH41a2nBXn32rBZy34TmkZv".into(),
            "correct horse battery staple".into(),
            "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW".into(),
            argon2("argon2id", "m=131073,t=1,p=1"),
            argon2("argon2id", "m=4294967295,t=1,p=1"),
            argon2("argon2id", "m=4294967295,t=4294967295,p=1"),
            argon2("argon2id", "m=64,t=17,p=1"),
            argon2("argon2id", "m=1024,t=2,p=17"),
            argon2("argon2id", "m=131072,t=5,p=1"),
            argon2("argon2id", "m=65536,t=0,p=1"),
            argon2("argon2id", "m=7,t=1,p=1"),
            argon2("argon2id", "m=64,t=1,p=1,keyid=AAAA"),
            argon2("argon2id", "m=64,t=1,p=1,data=AAAA"),
            argon2("argon2id", "m=64,t=1,p=1,m=4294967295"),
            argon2("argon2x", "m=64,t=1,p=1"),
            argon2("argon2id", "m=-1,t=1,p=1"),
            format!("$argon2id$m=64,t=1,p=1${salt}${output}"),
            format!("$argon2id$v=18$m=64,t=1,p=1${salt}${output}"),
            format!("$argon2id$v=19$m=64,t=1,p=1${salt}$P75y16KurQ7uH4ptLwhx"),
            format!("$argon2id$v=19$m=64,t=1,p=1$c2FsdA${output}"),
            format!("$argon2id$v=19$m=64,t=1,p=1${salt}"),
            format!("{}{}", argon2("argon2id", "m=64,t=1,p=1"), "$"),
            format!("argon2{}", argon2("argon2id", "m=131073,t=1,p=1")),
            format!("argon2${}", argon2("argon2id", "m=64,t=1,p=1")),
            argon2("argon2id", &format!("m={}1,t=1,p=1", "0".repeat(600))),
            pbkdf2("0", "salt"),
            pbkdf2("2000001", "salt"),
            pbkdf2("4294967296", "salt"),
            pbkdf2("+1", "salt"),
            pbkdf2("-1", "salt"),
            pbkdf2("", "salt"),
            pbkdf2("1000", ""),
            pbkdf2("1000", &"s".repeat(129)),
            pbkdf2("1000", "sa$lt"),
            "pbkdf2_sha256$1000$salt".into(),
            "pbkdf2_sha256$1000$salt$".into(),
            "pbkdf2_sha256$1000$salt$3xmXbyk2QpiyNcnoBbzRPw==".into(),
            "pbkdf2_sha256$1000$salt$%%%".into(),
            "pbkdf2_sha1$1000$seasalt$3xmXbyk2QpiyNcnoBbzRPwEBsYPTbDlRdtmLyBvQltA=".into(),
        ] {
            assert!(StoredHash::parse(&wrong).is_none(), "{wrong}");
        }
    }
}
