//! A page when the database is in the way.

use super::{Site, UNLIMITED, heading};
use crate::{
    contract::store::{Store, on_postgres},
    support::{
        proxy::{Proxy, Way},
        server::eventually,
    },
};

pub async fn a_fault_is_a_page_that_says_nothing_of_it(store: Store) {
    let site = Site::start(&store).await;
    let alice = site.client.register("alice", "alice@example.com").await;
    store.drop_schema().await;
    let path = format!("/activate/{}", alice.key);
    for (method, path) in
        [("GET", &*path), ("POST", &path), ("POST", "/verify/0123456789abcdef0123456789abcdef01234567")]
    {
        let answer = site.ask(method, path).await;
        assert_eq!((answer.status, heading(&answer)), (500, "Something went wrong"));
        assert_eq!(answer.header("cache-control"), "no-store");
        for told in ["table", "relation", "sql", "database", &alice.key] {
            assert!(!answer.body.to_lowercase().contains(told), "{told}: {}", answer.body);
        }
    }
    assert_eq!(site.ask_for_mail("email=a%40b.example").await.status, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_the_same_button_is_there_to_be_pressed_again() {
    on_postgres(|store: Store| async move {
        let way = Proxy::to(store.url()).await;
        let site = Site::start_with(&way.url, UNLIMITED).await;
        let alice = site.client.register("alice", "alice@example.com").await;
        let path = format!("/activate/{}", alice.key);
        way.set(Way::Closed);
        let looked = site.ask("GET", &path).await;
        assert_eq!((looked.status, heading(&looked)), (503, "Try again in a moment"));
        assert!(looked.body.contains("<form method=\"get\">"), "{}", looked.body);
        for path in [&*path, &format!("/verify/{}", alice.key)] {
            let pressed = site.ask("POST", path).await;
            assert_eq!((pressed.status, heading(&pressed)), (503, "Try again in a moment"));
            assert!(
                pressed.body.contains("<form method=\"post\"><button type=\"submit\">Try again</button>")
            );
            assert_eq!(pressed.header("retry-after"), "10");
        }
        let asked = site.ask_for_mail("email=alice%40example.com").await;
        assert_eq!((asked.status, heading(&asked)), (503, "Get another activation mail"));
        assert!(asked.body.contains("value=\"alice@example.com\"") && asked.body.contains("role=\"alert\""));
        way.set(Way::Open);
        eventually("the button works", || async {
            let answer = site.ask("POST", &path).await;
            assert!(answer.status == 503 || heading(&answer) == "Your account is active", "{answer:?}");
            answer.status == 200
        })
        .await;
    })
    .await;
}
