//! Where the pages of each site are. Hosts and paths come out of the settings alone, never out of a request: a link that
//! somebody else's header could turn elsewhere would hand out keys.

use std::collections::BTreeSet;

use axum::{
    extract::Request,
    http::{Uri, header::HOST, uri::Authority},
};

use super::{PATHS, activate};
use crate::domain::site::{Site, SiteId, Sites};

/// Where the pages of every site are.
#[derive(Debug)]
pub struct Places(Vec<Place>);

/// Where the pages of a site are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whose they are.
    pub site: SiteId,
    /// Whether its browsers come by TLS.
    pub secure: bool,
    /// What the path of each of them begins with: empty, or like `/account`.
    pub base: String,
    host: String,
    port: u16,
}

impl Places {
    /// The places of those sites whose link leads here.
    pub fn new(sites: &Sites) -> Self {
        Self(sites.iter().filter_map(Place::of).collect())
    }

    /// The sites that have one.
    pub fn sites(&self) -> Vec<SiteId> {
        self.0.iter().map(|place| place.site.clone()).collect()
    }

    /// What the paths begin with, each once.
    pub fn bases(&self) -> BTreeSet<&str> {
        self.0.iter().map(|place| place.base.as_str()).collect()
    }

    /// The place that a request is for: the one of its host whose paths begin as its path does, or else the first one of
    /// its host. `None` if it names a host that is none of ours, or several.
    pub fn find(&self, request: &Request) -> Option<&Place> {
        let mut hosts = request.headers().get_all(HOST).iter();
        let host: Authority = hosts.next()?.to_str().ok()?.parse().ok()?;
        let contradicted = request.uri().authority().is_some_and(|named| *named != host);
        if hosts.next().is_some() || contradicted || host.as_str().contains('@') {
            return None;
        }
        let of_host = || self.0.iter().filter(|place| place.is_at(&host));
        let path = request.uri().path();
        let of_path = of_host().filter(|place| place.holds(path));
        of_path.max_by_key(|place| place.base.len()).or_else(|| of_host().next())
    }
}

impl Place {
    /// Whether a page of its own is where a request was routed, and not one of another host's.
    pub fn has(&self, route: &str) -> bool {
        route.strip_prefix(&self.base).is_some_and(|path| PATHS.contains(&path))
    }

    fn of(site: &Site) -> Option<Self> {
        let start = site.activation_url.as_ref()?.strip_suffix(activate::PATH)?;
        let url: Uri = start.parse().ok()?;
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let secure = url.scheme_str() == Some("https");
        // As it is written: a Uri without a path has one all the same.
        let base = start.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
        // Such a path means the same however it is written and read.
        let plain = |segment: &str| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        };
        if !base.split('/').skip(1).all(plain) {
            return None;
        }
        Some(Self {
            site: site.id.clone(),
            secure,
            base,
            host: authority.host().to_ascii_lowercase(),
            port: authority.port_u16().unwrap_or(default_port(secure)),
        })
    }

    fn is_at(&self, host: &Authority) -> bool {
        // A port that is no number is none that was left out.
        let port = match host.as_str().strip_prefix(host.host()) {
            Some("") => Some(default_port(self.secure)),
            Some(_) | None => host.port_u16(),
        };
        self.host.eq_ignore_ascii_case(host.host()) && port == Some(self.port)
    }

    fn holds(&self, path: &str) -> bool {
        path.strip_prefix(&self.base).is_some_and(|rest| rest.starts_with('/'))
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::domain::{locale::Locale, policy::ActivationDays};

    fn site(id: &str, activation_url: &str) -> Site {
        Site {
            id: SiteId::parse(id).unwrap(),
            name: "The Shop".into(),
            domain: "shop.example".into(),
            from: "shop@shop.example".into(),
            activation_url: Some(activation_url.into()),
            verification_url: None,
            continue_url: None,
            activation_days: ActivationDays::new(3).unwrap(),
            code_digits: None,
            registration_open: true,
            locale: Locale::english(),
            templates: None,
        }
    }

    fn places() -> Places {
        let sites = [
            ("shop", "https://Shop.example/activate/{key}"),
            ("deep", "https://shop.example/account/activate/{key}"),
            ("odd", "http://[::1]:8080/a/b.c/activate/{key}"),
            ("elsewhere", "https://own.example/activate?key={key}"),
        ];
        Places::new(&Sites::new(sites.map(|(id, url)| site(id, url)).to_vec()).unwrap())
    }

    fn find(uri: &str, hosts: &[&str]) -> Option<String> {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let request = request.body(Body::empty()).unwrap();
        places().find(&request).map(|place| place.site.to_string())
    }

    #[test]
    fn a_site_is_found_where_its_link_leads() {
        for (uri, host, site) in [
            ("/activate/x", "shop.example", "shop"),
            ("/activate/x", "SHOP.example:443", "shop"),
            ("/resend", "shop.example", "shop"),
            ("/account/activate/x", "shop.example", "deep"),
            ("/accounts/activate/x", "shop.example", "shop"),
            ("https://shop.example/account/resend", "shop.example", "deep"),
            ("/a/b.c/resend", "[::1]:8080", "odd"),
            ("/nowhere", "[::1]:8080", "odd"),
        ] {
            assert_eq!(find(uri, &[host]).as_deref(), Some(site), "{host} {uri}");
        }
    }

    #[test]
    fn a_host_that_no_link_names_has_no_page() {
        for hosts in [
            &[][..],
            &[""],
            &["evil.example"],
            &["own.example"],
            &["shop.example.evil.example"],
            &["shop.example."],
            &["shop.example:80"],
            &["shop.example:"],
            &["shop.example:99999"],
            &["evil@shop.example"],
            &["[::1]"],
            &["shop.example", "shop.example"],
            &["shop.example", "evil.example"],
        ] {
            assert_eq!(find("/activate/x", hosts), None, "{hosts:?}");
        }
        assert_eq!(find("https://evil.example/activate/x", &["shop.example"]), None);
    }

    #[test]
    fn a_link_that_could_be_read_in_two_ways_leads_elsewhere() {
        for url in [
            "https://shop.example/activate/{key}/",
            "https://shop.example/a//activate/{key}",
            "https://shop.example/../activate/{key}",
            "https://shop.example/%61/activate/{key}",
            "https://shop.example/{a}/activate/{key}",
            "https://me@shop.example/activate/{key}",
            "https://shop.example/?x=/activate/{key}",
        ] {
            assert_eq!(Place::of(&site("shop", url)), None, "{url}");
        }
        let sites = ["shop", "deep", "odd"].map(|id| SiteId::parse(id).unwrap());
        assert_eq!(places().sites(), sites);
    }
}
