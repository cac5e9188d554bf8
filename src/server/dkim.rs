//! Who signs mails, if the settings say so and the program was built to.

use std::sync::Arc;

use crate::{
    config::{ConfigError, Dkim},
    domain::site::Sites,
    mail::MessageSigner,
};

/// Who signs mails by the settings.
pub(super) fn signer(settings: &Dkim, sites: &Sites) -> Result<Option<Arc<dyn MessageSigner>>, ConfigError> {
    let Dkim { selector, domain, private_key_file } = settings;
    if selector.is_empty() && domain.is_empty() && private_key_file.as_os_str().is_empty() {
        return Ok(None);
    }
    signing::signer(settings, sites).map(Some)
}

#[cfg(not(feature = "dkim"))]
mod signing {
    use super::{Arc, ConfigError, Dkim, MessageSigner, Sites};

    pub(super) fn signer(_: &Dkim, _: &Sites) -> Result<Arc<dyn MessageSigner>, ConfigError> {
        let sentence = "mail.dkim: this vestibule can't sign mails; one that can is built with: \
                        cargo build --release --locked --features dkim";
        Err(ConfigError(sentence.to_owned()))
    }
}

#[cfg(feature = "dkim")]
mod signing {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

    use zeroize::Zeroizing;

    use super::{Arc, ConfigError, Dkim, MessageSigner, Sites};
    use crate::{
        domain::email_address::EmailDomain,
        mail::{dkim::DkimSigner, mailbox_domain},
    };

    /// What everybody may do to a file, and what its group may do beyond reading it.
    const TOO_MUCH: u32 = 0o037;

    pub(super) fn signer(settings: &Dkim, sites: &Sites) -> Result<Arc<dyn MessageSigner>, ConfigError> {
        let Dkim { selector, domain, private_key_file } = settings;
        if !is_selector(selector) {
            let rule = "must be a name in DNS, such as mail or mail2027";
            return Err(ConfigError(format!("mail.dkim.selector {rule}")));
        }
        let domain =
            Some(domain).filter(|domain| !domain.is_empty()).map(|domain| signing_domain(domain, sites));
        let domain = domain.transpose()?;
        let wrong = |said: String| {
            ConfigError(format!("mail.dkim.private_key_file: {}{said}", private_key_file.display()))
        };
        let pem = read(private_key_file).map_err(wrong)?;
        let signer = DkimSigner::new(selector, domain.as_deref(), &pem)
            .map_err(|invalid| wrong(format!(": {invalid}")))?;
        Ok(Arc::new(signer))
    }

    /// The domain in its ASCII form, if it is one that every site's From belongs to: receivers trust no other (RFC 7489).
    fn signing_domain(domain: &str, sites: &Sites) -> Result<String, ConfigError> {
        let domain = EmailDomain::parse(domain)
            .map_err(|_| ConfigError("mail.dkim.domain must be a domain such as example.com".to_owned()))?;
        let belongs = |from: &str| {
            from == domain.as_str()
                || from.strip_suffix(domain.as_str()).is_some_and(|below| below.ends_with('.'))
        };
        for site in sites.iter() {
            if !mailbox_domain(&site.from).is_some_and(|from| belongs(&from)) {
                let rule = "must be the domain of every From, or one above it, and is not that of site";
                return Err(ConfigError(format!("mail.dkim.domain {rule} {}", site.id)));
            }
        }
        Ok(domain.as_str().to_owned())
    }

    /// Whether a text is labels of a name in DNS.
    fn is_selector(text: &str) -> bool {
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        text.len() <= 100 && text.split('.').all(is_label)
    }

    /// The key's text, or what is wrong with the file.
    fn read(file: &Path) -> Result<Zeroizing<String>, String> {
        if file.as_os_str().is_empty() {
            return Err("must name a file with the private key".to_owned());
        }
        let unreadable = |error: std::io::Error| format!(" can't be read: {error}");
        let mode = fs::metadata(file).map_err(unreadable)?.permissions().mode();
        if mode & TOO_MUCH != 0 {
            return Err(format!(
                " must be readable to its owner and group at most, and has mode {:o}; run: chmod 600",
                mode & 0o777
            ));
        }
        fs::read_to_string(file).map(Zeroizing::new).map_err(unreadable)
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::{
            config::Settings,
            server::{settings::mail_sender, sites::sites},
        };

        const KEY: &str = include_str!("../../tests/it/data/dkim_test_key.pem");

        /// What is said of settings, with a key file of that content and mode.
        fn said(toml: &str, key: &str, mode: u32) -> String {
            let folder = tempfile::tempdir().unwrap();
            let (file, pem) = (folder.path().join("settings.toml"), folder.path().join("dkim.pem"));
            fs::write(&pem, key).unwrap();
            fs::set_permissions(&pem, fs::Permissions::from_mode(mode)).unwrap();
            fs::write(&file, toml.replace("FOLDER", folder.path().to_str().unwrap())).unwrap();
            let settings = Settings::load(&[file], &[]).unwrap();
            let outcome = mail_sender(&settings, &sites(&settings).unwrap());
            let said = outcome.map_or_else(|error| error.to_string(), |_| "signed".to_owned());
            said.replace(folder.path().to_str().unwrap(), "FOLDER")
        }

        #[test]
        fn settings_that_nobody_could_sign_by_are_refused_in_a_sentence() {
            let file = "mail.dkim.private_key_file = 'FOLDER/dkim.pem'\nmail.from = 'a@shop.example'\n";
            let toml = |more: &str| format!("{file}{more}");
            let selector = "mail.dkim.selector = 'mail'\n";
            let missing = "mail.dkim.selector = 'mail'\nmail.dkim.private_key_file = 'FOLDER/none.pem'";
            for (toml, key, mode, expected) in [
                (toml(selector), KEY, 0o600, "signed"),
                (toml(selector), KEY, 0o440, "signed"),
                (toml(&format!("{selector}mail.dkim.domain = 'Shop.example'")), KEY, 0o400, "signed"),
                (toml(""), KEY, 0o600, "mail.dkim.selector must be a name in DNS, such as mail or mail2027"),
                (
                    toml("mail.dkim.selector = 'a b'"),
                    KEY,
                    0o600,
                    "mail.dkim.selector must be a name in DNS, such as mail or mail2027",
                ),
                (
                    selector.into(),
                    KEY,
                    0o600,
                    "mail.dkim.private_key_file: must name a file with the private key",
                ),
                (
                    missing.into(),
                    KEY,
                    0o600,
                    "mail.dkim.private_key_file: FOLDER/none.pem can't be read: No such file or directory (os error 2)",
                ),
                (
                    toml(selector),
                    KEY,
                    0o644,
                    "mail.dkim.private_key_file: FOLDER/dkim.pem must be readable to its owner and group at most, and has mode 644; run: chmod 600",
                ),
                (
                    toml(selector),
                    "hunter2",
                    0o600,
                    "mail.dkim.private_key_file: FOLDER/dkim.pem: must hold a private key in PEM, as openssl genpkey makes it, without a passphrase",
                ),
                (
                    toml(&format!("{selector}mail.dkim.domain = 'x y'")),
                    KEY,
                    0o600,
                    "mail.dkim.domain must be a domain such as example.com",
                ),
                (
                    toml(&format!("{selector}mail.dkim.domain = 'p.example'")),
                    KEY,
                    0o600,
                    "mail.dkim.domain must be the domain of every From, or one above it, and is not that of site default",
                ),
            ] {
                assert_eq!(said(&toml, key, mode), expected);
            }
            let below = "mail.dkim.selector = 'mail'\nmail.dkim.domain = 'shop.example'\nmail.from = 'a@mail.shop.example'
                mail.dkim.private_key_file = 'FOLDER/dkim.pem'\n";
            assert_eq!(said(below, KEY, 0o600), "signed");
        }
    }
}
