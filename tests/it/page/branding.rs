//! The languages of pages, and templates of an operator's own.

use std::{fs, path::Path};

use super::{SHOP, SITES, Site, UNLIMITED, heading};
use crate::{
    contract::store::{Store, on_sqlite},
    support::process::run,
};

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
}

#[tokio::test]
async fn a_page_is_in_the_language_that_its_reader_likes_best() {
    on_sqlite(|store: Store| async move {
        let site = Site::start(&store).await;
        for (languages, tag, said) in [
            ("", "en", "Get another activation mail"),
            ("de", "de", "Weitere Nachricht anfordern"),
            ("de-AT, en;q=0.5", "de", "Weitere Nachricht anfordern"),
            ("fr, de;q=0.8, en;q=0.9", "en", "Get another activation mail"),
            ("fr", "en", "Get another activation mail"),
            ("en-GB,de", "en", "Get another activation mail"),
            ("de;q=0, *", "en", "Get another activation mail"),
            ("../../de, <b>", "en", "Get another activation mail"),
        ] {
            let answer = site.ask_with("GET", "/resend", &[SHOP, ("accept-language", languages)]).await;
            assert_eq!(heading(&answer), said, "{languages}");
            assert!(answer.body.contains(&format!("<html lang=\"{tag}\" dir=\"ltr\">")), "{languages}");
            assert_eq!((answer.header("content-language"), answer.header("vary")), (tag, "Accept-Language"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_site_has_pages_of_its_own() {
    on_sqlite(|store: Store| async move {
        let folder = tempfile::tempdir().unwrap();
        let pages = [
            "activate",
            "activated",
            "not_activated",
            "verify",
            "verified",
            "not_verified",
            "resend",
            "sent",
            "trouble",
        ];
        for page in pages {
            let text = "{% extends \"page/layout.html\" %}{% block title %}مرحبا{% endblock %}\
                        {% block main %}<form method=\"post\"></form>{% endblock %}";
            write(folder.path(), &[(&format!("page/{page}.ar.html"), text)]);
        }
        write(
            folder.path(),
            &[
                ("page/style.css", "h1 { color: green }\r\n"),
                (
                    "page/sent.html",
                    "{% extends \"page/layout.html\" %}{% block title %}Ours{% endblock %}\
                     {% block main %}<p>{{ site.name }}</p>{% endblock %}",
                ),
            ],
        );
        let settings = format!("templates.directory = '{}'\n{UNLIMITED}", folder.path().display());
        let site = Site::start_with(store.url(), &settings).await;
        let answer = site.ask_for_mail("email=a%40b.example").await;
        assert_eq!(heading(&answer), "Ours");
        assert!(answer.body.contains("<style>h1 { color: green }\n</style>"), "{}", answer.body);
        // The base64 of the SHA-256 of that style.
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("style-src 'sha256-hs2oTonP+ssbZrjOytWwj2VeQ2L9VZlTE64FrEpZRo4='"),
            "{policy}"
        );
        let arabic = site.ask_with("GET", "/resend", &[SHOP, ("accept-language", "ar-EG")]).await;
        assert!(arabic.body.contains("<html lang=\"ar\" dir=\"rtl\">"), "{}", arabic.body);
        assert_eq!(heading(&arabic), "مرحبا");
    })
    .await;
}

#[test]
fn a_check_names_what_is_wrong_with_pages() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            ("settings.toml", &format!("templates.directory = 'templates'\n{SITES}")),
            ("templates/page/activate.html", "no button"),
            ("templates/page/sent.html", "{{ site.nmae }}"),
            ("templates/page/verified.de.html", "{% if before %}{{ 1 / 0 }}{% endif %}"),
            ("templates/page/resend.fr.html", "{% extends 'page/layout.html' %}"),
            ("templates/page/trouble.htm", ""),
        ],
    );
    let check = || {
        let output = run(folder.path(), &["templates", "check", "--config", "settings.toml"], &[]);
        assert_eq!(output.status.code(), Some(3));
        String::from_utf8(output.stdout).unwrap()
    };
    insta::assert_snapshot!(check(), @r#"
    templates.directory: template page/resend.fr.html needs page/activate.fr.html beside it
    templates.directory: template page/activate.html has no form with method="post", for site shop
    templates.directory: template page/sent.html names site.nmae, which it is not offered, for site shop
    templates.directory: template page/verified.de.html is broken: invalid operation: unable to calculate 1 / 0 (in page/verified.de.html:1), for site shop
    templates.directory: template page/activate.html has no form with method="post", for site forum
    templates.directory: template page/sent.html names site.nmae, which it is not offered, for site forum
    templates.directory: template page/verified.de.html is broken: invalid operation: unable to calculate 1 / 0 (in page/verified.de.html:1), for site forum
    templates.directory: page/trouble.htm is no template; did you mean page/trouble.html?
    "#);
    // What is wrong with the layout is said once, and not for every page that stands in it.
    for (layout, said) in [
        ("{% block title", "page/layout.html is broken: syntax error: "),
        ("{{ site.nmae }}", "page/layout.html names site.nmae, which it is not offered, for site shop"),
    ] {
        write(folder.path(), &[("templates/page/layout.html", layout)]);
        let problems = check();
        assert!(problems.contains(said), "{problems}");
        assert!(!problems.contains("verify"), "{problems}");
    }
}
