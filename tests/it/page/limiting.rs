//! How many requests of one client are answered.

use super::{SHOP, Site, heading};
use crate::{
    contract::store::{Store, on_sqlite},
    support::http::Answer,
};

fn settings(proxies: u32) -> String {
    format!("page.listen = '127.0.0.1:0'\npage.requests_per_minute = 3\npage.trusted_proxies = {proxies}\n")
}

#[tokio::test]
async fn too_many_requests_are_told_to_wait() {
    on_sqlite(|store: Store| async move {
        let site = Site::start_with(store.url(), &settings(0)).await;
        let alice = site.client.register("alice", "alice@example.com").await;
        let path = format!("/activate/{}", alice.key);
        for _ in 0..3 {
            assert_eq!(site.ask("GET", &path).await.status, 200);
        }
        let before = store.contents().await;
        let german = [SHOP, ("accept-language", "de")];
        let limited = site.ask_with("POST", &path, &german).await;
        assert_eq!((limited.status, heading(&limited)), (429, "Das war zu oft"));
        let seconds: u32 = limited.header("retry-after").parse().unwrap();
        assert!((1..=20).contains(&seconds), "{seconds}");
        assert_eq!(store.contents().await, before);
        // A header that anybody can write makes nobody somebody else.
        let forged = [SHOP, ("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=198.51.100.1")];
        assert_eq!(site.ask_with("GET", &path, &forged).await.status, 429);
        assert_eq!(site.ask("GET", "/nowhere").await.status, 429);
    })
    .await;
}

#[tokio::test]
async fn behind_a_proxy_that_is_believed_each_client_counts_by_itself() {
    on_sqlite(|store: Store| async move {
        let site = Site::start_with(store.url(), &settings(1)).await;
        let ask = async |forwarded: &str| -> Answer {
            site.ask_with("GET", "/resend", &[SHOP, ("x-forwarded-for", forwarded)]).await
        };
        for _ in 0..3 {
            assert_eq!(ask("203.0.113.7").await.status, 200);
        }
        // What the client has written before the proxy's entry changes nothing.
        assert_eq!(ask("192.0.2.1, 203.0.113.7").await.status, 429);
        for number in 1..=3 {
            assert_eq!(ask(&format!("2001:db8::{number}")).await.status, 200);
        }
        assert_eq!(ask("2001:db8::4").await.status, 429, "a subscriber has more than one address");
        assert_eq!(ask("2001:db8:0:1::1").await.status, 200);
    })
    .await;
}
