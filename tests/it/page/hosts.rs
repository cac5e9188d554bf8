//! Which names the page answers to, and for which site it then speaks.

use super::{SHOP, Site, has_button, heading};
use crate::contract::store::{Store, on_sqlite};

const FORUM: (&str, &str) = ("host", "forum.example:8080");

#[tokio::test]
async fn a_host_that_the_settings_do_not_name_is_refused_and_nothing_is_done() {
    on_sqlite(|store: Store| async move {
        let site = Site::start(&store).await;
        let alice = site.client.register("alice", "alice@example.com").await;
        let path = format!("/activate/{}", alice.key);
        let before = store.contents().await;
        let own = site.page.to_string();
        for host in [
            "evil.example",
            "shop.example.evil.example",
            "shop.example:8080",
            "forum.example",
            "www.shop.example",
            "127.0.0.1",
            "localhost",
            &own,
            "",
        ] {
            for (method, path) in [("GET", &*path), ("POST", &path), ("GET", "/"), ("POST", "/resend")] {
                let answer = site.ask_with(method, path, &[("host", host)]).await;
                assert_eq!(answer.status, 421, "{host}: {answer:?}");
                assert_eq!(answer.body, "There is no page under this name.\n");
                assert_eq!(answer.header("cache-control"), "no-store");
                assert!(answer.header("content-security-policy").starts_with("default-src 'none'; "));
            }
        }
        // What a proxy says of the name it was asked for is not believed.
        let forwarded = [
            ("host", "evil.example"),
            ("x-forwarded-host", "shop.example"),
            ("forwarded", "host=shop.example"),
        ];
        assert_eq!(site.ask_with("GET", &path, &forwarded).await.status, 421);
        let twice = [SHOP, ("host", "evil.example")];
        assert_eq!(site.ask_with("POST", &path, &twice).await.status, 421);
        let absolute = format!("http://evil.example{path}");
        assert_eq!(site.ask_with("POST", &absolute, &[SHOP]).await.status, 421);
        assert_eq!(store.contents().await, before);
    })
    .await;
}

#[tokio::test]
async fn each_site_is_where_its_link_leads() {
    on_sqlite(|store: Store| async move {
        let site = Site::start(&store).await;
        let alice = site.client.register("alice", "alice@example.com").await;
        let shop = site.ask("GET", &format!("/activate/{}", alice.key)).await;
        assert!(shop.body.contains("The Shop") && has_button(&shop));
        assert_eq!(shop.header("strict-transport-security"), "max-age=31536000");
        let forum = site.ask_with("GET", "/account/activate/x", &[FORUM]).await;
        assert_eq!((forum.status, heading(&forum)), (404, "Dieser Link funktioniert nicht"));
        assert!(forum.body.contains("Das &lt;Forum&gt;"));
        // From there to the form, whatever the request was called.
        assert!(forum.body.contains("href=\"&#x2f;account&#x2f;resend\""), "{}", forum.body);
        assert!(forum.headers.get("strict-transport-security").is_none(), "it comes by plain HTTP");
        for (path, status) in [
            ("/account/resend", 200),
            ("/account/verify/x", 200),
            ("/account", 404),
            ("/account/", 404),
            ("/resend/", 404),
            ("/accounts/resend", 404),
            ("/resend", 404),
        ] {
            assert_eq!(site.ask_with("GET", path, &[FORUM]).await.status, status, "{path}");
        }
        assert_eq!(site.ask("GET", "/account/resend").await.status, 404, "that is the forum's");
    })
    .await;
}

#[tokio::test]
async fn nothing_of_a_request_leads_anywhere() {
    on_sqlite(|store: Store| async move {
        let site = Site::start(&store).await;
        let alice = site.client.register("alice", "alice@example.com").await;
        let query = "next=https%3A%2F%2Fevil.example%2F&continue=//evil.example&site=forum";
        for (method, path) in [
            ("GET", format!("/activate/{}?{query}", alice.key)),
            ("POST", format!("/activate/{}?{query}", alice.key)),
            ("GET", format!("/resend?{query}")),
            ("GET", format!("//evil.example/?{query}")),
            ("GET", format!("/activate//evil.example?{query}")),
        ] {
            let headers = [SHOP, ("referer", "https://evil.example/"), ("x-original-url", "//evil.example")];
            let answer = site.ask_with(method, &path, &headers).await;
            assert!(answer.headers.get("location").is_none(), "{path}");
            assert!(!answer.body.contains("evil.example"), "{path}: {}", answer.body);
        }
    })
    .await;
}
