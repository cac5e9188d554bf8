//! Which mail server to talk to and how, as a URL says it, and the connection to it.

use std::fmt;

use http::Uri;
use lettre::transport::smtp::{
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters},
    extension::ClientId,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    conversation::Patience,
    failure::{Failure, Step},
    stream::Stream,
    tls::{Tls, starttls_parameters},
};
use crate::domain::Invalid;

/// A mail server, and what is said to it before the first mail.
pub(super) struct Server {
    host: String,
    port: u16,
    encryption: Encryption,
    login: Option<Login>,
    hello_name: ClientId,
}

/// Opportunistic STARTTLS is left out on purpose: whoever sits in between can take it away.
enum Encryption {
    /// For a trusted network.
    None,
    /// Upgraded before anything of worth is said, or not used at all.
    StartTls(TlsParameters),
    /// From the first byte.
    Implicit(Tls),
}

struct Login {
    user: String,
    password: SecretString,
}

impl Server {
    /// Reads `smtps://user:password@host:465`, `smtp://user:password@host:587?tls=required`
    /// or `smtp://host:25`; a path is the name said in EHLO. No error repeats anything of the URL.
    pub fn parse(url: &SecretString, roots: Option<&[u8]>) -> Result<Self, Invalid> {
        let url: Uri = url.expose_secret().parse().map_err(|_| {
            Invalid::new("must be a URL, with what is special in user and password %-encoded")
        })?;
        let authority = url.authority().ok_or_else(|| Invalid::new("must name a host"))?;
        let (userinfo, address) = match authority.as_str().rsplit_once('@') {
            Some((userinfo, address)) => (Some(userinfo), address),
            None => (None, authority.as_str()),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(Invalid::new("must name a host"));
        }
        let (encryption, default_port) = match (url.scheme_str(), url.query()) {
            (Some("smtps"), None) => (Encryption::Implicit(Tls::new(&host, roots)?), 465),
            (Some("smtp"), Some("tls=required")) => {
                (Encryption::StartTls(starttls_parameters(&host, roots)?), 587)
            }
            (Some("smtp"), None) => (Encryption::None, 25),
            _ => {
                return Err(Invalid::new(
                    "must be smtps://host, smtp://host?tls=required or smtp://host, without other parameters",
                ));
            }
        };
        let port = match authority.port_u16().filter(|port| *port != 0) {
            Some(port) => port,
            None if address.ends_with(&host) || address.ends_with(']') => default_port,
            None => return Err(Invalid::new("must have a port of 1 to 65535, or none")),
        };
        let login = userinfo.map(Login::parse).transpose()?;
        if login.is_some() && matches!(encryption, Encryption::None) && !is_loopback(&host) {
            return Err(Invalid::new(
                "must be smtps:// or have ?tls=required, since its password would go over the network as it is",
            ));
        }
        let hello_name = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        Ok(Self { host, port, encryption, login, hello_name })
    }

    /// Connects, encrypts and logs in.
    pub async fn connect(&self, patience: Patience) -> Result<AsyncSmtpConnection, Failure> {
        let mut connection = self.greet(patience).await?;
        if let Encryption::StartTls(parameters) = &self.encryption {
            let upgrade = Box::pin(connection.starttls(parameters.clone(), &self.hello_name));
            let upgrade = async { upgrade.await.map_err(Failure::at(Step::StartTls)) };
            patience.step(Step::StartTls, upgrade).await?;
        }
        if let Some(login) = &self.login {
            let credentials = Credentials::new(login.user.clone(), login.password.expose_secret().to_owned());
            let answer = Box::pin(connection.auth(DEFAULT_MECHANISMS, &credentials));
            let answer = async { answer.await.map_err(Failure::at(Step::Auth)) };
            patience.step(Step::Auth, answer).await?;
        }
        Ok(connection)
    }

    async fn greet(&self, patience: Patience) -> Result<AsyncSmtpConnection, Failure> {
        let address = (self.host.as_str(), self.port);
        // A server of several addresses gets a second chance before the step is over.
        let for_each_address = patience.timeout / 4;
        let before_tls = matches!(self.encryption, Encryption::StartTls(_));
        let stream = Stream::connect(address, for_each_address, before_tls);
        let stream = async { stream.await.map_err(|error| Failure::connecting(Step::Connect, &error)) };
        let stream = patience.step(Step::Connect, stream).await?;
        let stream: Box<dyn AsyncTokioStream> = match &self.encryption {
            Encryption::None | Encryption::StartTls(_) => Box::new(stream),
            Encryption::Implicit(tls) => {
                let encrypted = Box::pin(tls.encrypt(stream));
                let encrypted =
                    async { encrypted.await.map_err(|error| Failure::connecting(Step::ConnectTls, &error)) };
                Box::new(patience.step(Step::ConnectTls, encrypted).await?)
            }
        };
        let greeted = Box::pin(AsyncSmtpConnection::connect_with_transport(stream, &self.hello_name));
        let greeted = async { greeted.await.map_err(Failure::at(Step::Greeting)) };
        patience.step(Step::Greeting, greeted).await
    }

    /// The secret that no error may repeat.
    pub fn password(&self) -> Option<&str> {
        self.login.as_ref().map(|login| login.password.expose_secret())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Login {
    fn parse(userinfo: &str) -> Result<Self, Invalid> {
        let (user, password) = userinfo
            .split_once(':')
            .filter(|(user, password)| !user.is_empty() && !password.is_empty())
            .ok_or_else(|| Invalid::new("must have both user and password, or neither"))?;
        let decode = |text| {
            percent_decode(text).ok_or_else(|| Invalid::new("must have user and password %-encoded as UTF-8"))
        };
        Ok(Self { user: decode(user)?, password: SecretString::from(decode(password)?) })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn percent_decode(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        if !code.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Server, Invalid> {
        Server::parse(&SecretString::from(url), None)
    }

    fn described(url: &str) -> String {
        let server = parse(url).unwrap();
        let tls = match server.encryption {
            Encryption::None => "none",
            Encryption::StartTls(_) => "starttls",
            Encryption::Implicit(_) => "implicit",
        };
        let login = server.login.as_ref();
        let user = login.map_or("-", |login| &login.user);
        format!("{server} {tls} {user} {}", server.password().unwrap_or("-"))
    }

    #[test]
    fn the_three_forms_of_a_url_are_understood() {
        for (url, expected) in [
            ("smtp://localhost:25", "localhost:25 none - -"),
            ("smtp://mail.example", "mail.example:25 none - -"),
            ("smtp://mail.example/", "mail.example:25 none - -"),
            ("smtp://[::1]:2525", "::1:2525 none - -"),
            ("smtp://[::1]", "::1:25 none - -"),
            ("smtp://u:p@127.0.0.1:2525", "127.0.0.1:2525 none u p"),
            ("smtps://mail.example", "mail.example:465 implicit - -"),
            ("smtps://user:pw@mail.example:4465", "mail.example:4465 implicit user pw"),
            (
                "smtps://u%40x.example:p%3A%2f%C3%A4%25@mail.example",
                "mail.example:465 implicit u@x.example p:/ä%",
            ),
            ("smtps://u:a:b@mail.example", "mail.example:465 implicit u a:b"),
            ("smtp://u:p@mail.example?tls=required", "mail.example:587 starttls u p"),
            ("smtp://u:p@mail.example:25/?tls=required", "mail.example:25 starttls u p"),
        ] {
            assert_eq!(described(url), expected, "{url}");
        }
        let server = parse("smtp://mail.example/relay.example").unwrap();
        assert_eq!(server.hello_name, ClientId::Domain("relay.example".into()));
    }

    #[test]
    fn any_other_url_is_refused_without_being_repeated() {
        for url in [
            "",
            "smtp",
            "smtp://",
            "mail.example:25",
            "http://mail.example",
            "SMTPX://mail.example",
            "smtp://mail.example?tls=opportunistic",
            "smtp://mail.example?tls=Required",
            "smtp://mail.example?tls=required&x=1",
            "smtp://mail.example?ssl=true",
            "smtps://mail.example?tls=required",
            "smtp://mail.example:port",
            "smtp://mail.example:70000",
            "smtp://mail.example:0",
            "smtp://mail.example:",
            "smtp://:25",
            "smtps://user@mail.example",
            "smtps://:secret@mail.example",
            "smtps://user:@mail.example",
            "smtps://user:secret%4@mail.example",
            "smtps://user:secret%+1@mail.example",
            "smtps://user:secret%FF@mail.example",
            "smtps://user:secret#x@mail.example",
            "smtps://user:secret/x@mail.example",
            "smtp://user:secret@mail.example",
            "smtp://user:secret@10.0.0.1:25",
        ] {
            let Err(Invalid(sentence)) = parse(url) else { panic!("{url}") };
            assert!(!sentence.contains("secret") && !sentence.contains("user:"), "{sentence}");
        }
    }
}
