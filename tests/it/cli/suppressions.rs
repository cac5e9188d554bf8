//! `mails suppressions` and `mails lift`: an operator lets an address have mail again.

use serde_json::Value;
use vestibule::{domain::suppression::BounceReason, repository::PermanentBounce};

use super::{code, stderr, stdout};
use crate::{
    contract::{
        people::{email, start},
        store::Store,
    },
    support::{process::run, server::make_keyring},
};

pub async fn suppressed_addresses_are_listed_and_lifted_by_hand(store: Store) {
    for address in ["bob@example.com", "alice@example.com"] {
        let reason = BounceReason::parse("550 5.1.1 no such mailbox").unwrap();
        let bounce = PermanentBounce { email: email(address), mail_id: None, reason, now: start() };
        store.suppress(&bounce).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    let environment = [
        ("VESTIBULE__DATABASE__URL", store.url()),
        ("VESTIBULE__SECRETS__KEYRING_FILE", "keyring"),
        ("VESTIBULE__LOG__FILTER", "warn"),
    ];
    let mails = |arguments: &[&str]| run(folder.path(), &[&["mails"], arguments].concat(), &environment);
    let table = stdout(&mails(&["suppressions"]));
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("EMAIL ") && lines[1].starts_with("alice@example.com  2026-"), "{table}");
    assert!(lines.len() == 3 && lines[2].ends_with("  550 5.1.1 no such mailbox"), "{table}");
    let first = mails(&["suppressions", "--limit", "1"]);
    assert!(stdout(&first).lines().count() == 2 && stderr(&first).contains("--limit"), "{}", stderr(&first));
    let only = mails(&["suppressions", "--email", "bob@EXAMPLE.com", "--output", "json"]);
    let only: Value = serde_json::from_str(&stdout(&only)).unwrap();
    assert_eq!((only[0]["email"].as_str(), only.as_array().unwrap().len()), (Some("bob@example.com"), 1));

    let lifted = mails(&["lift", "bob@example.com", "--output", "json"]);
    let lifted: Value = serde_json::from_str(&stdout(&lifted)).unwrap();
    assert_eq!(lifted, only[0]);
    assert_eq!(store.count("suppressions").await, 1);
    let again = mails(&["lift", "bob@example.com"]);
    assert_eq!(code(&again), 1);
    assert!(stderr(&again).contains("not suppressed"), "{}", stderr(&again));
    assert_eq!(code(&mails(&["lift", "bob"])), 2);
}
