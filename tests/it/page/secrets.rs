//! What the log tells of visits: everything but the key.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{SHOP, serving::start};
use crate::{
    contract::store::{Store, on_sqlite},
    support::{
        http::{self, Connection},
        server::Client,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_tells_a_key_and_a_fault_is_in_it_under_the_number_of_its_page() {
    on_sqlite(|store: Store| async move {
        let folder = tempfile::tempdir().unwrap();
        let (server, page) = start(folder.path(), store.url(), &[("VESTIBULE__LOG__FILTER", "trace")]);
        let client = Client::connect(server.address).await;
        let alice = client.register("alice", "alice@example.com").await;
        let key = &alice.key;
        for (method, path, host) in [
            ("GET", format!("/activate/{key}"), SHOP),
            ("HEAD", format!("/activate/{key}?x={key}"), SHOP),
            ("POST", format!("/activate/{key}"), ("host", "evil.example")),
            ("POST", format!("/activate/{key}"), SHOP),
            ("POST", format!("/activate/{key}"), SHOP),
            ("DELETE", format!("/activate/{key}"), SHOP),
            ("POST", format!("/verify/{key}"), SHOP),
            ("GET", format!("/{key}/{key}"), SHOP),
            ("GET", format!("http://{key}.example/activate/{key}"), SHOP),
        ] {
            http::ask(page, method, &path, &[host]).await;
        }
        let mut connection = Connection::open(page).await;
        let form = format!("email={key}%40example.com");
        connection.send("POST", "/resend", &[SHOP], form).await.unwrap();
        let broken = format!("GET /activate/{key} HTTP/1.1\r\nHost : x\r\n\r\n");
        let mut stream = tokio::net::TcpStream::connect(page).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, broken.as_bytes()).await.unwrap();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await;

        store.drop_schema().await;
        let fault = http::ask(page, "POST", &format!("/activate/{key}"), &[SHOP]).await;
        assert_eq!(fault.status, 500);
        let number = fault.body.split("<p class=\"note\">").nth(1).unwrap().split('<').next().unwrap();
        drop(client);
        let (status, log) = server.stop(Signal::SIGTERM);
        assert!(status.success());
        assert!(!log.contains(key.as_str()), "{}", log.lines().find(|line| line.contains(key)).unwrap());
        let told = |message: &str| -> Vec<Value> {
            let lines = log.lines().filter(|line| line.contains(&format!("\"message\":\"{message}\"")));
            lines.map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let answered = told("page answered");
        assert_eq!(answered.len(), 11);
        let of = |line: &Value| {
            let span = &line["span"];
            format!(
                "{} {} {}",
                span["method"].as_str().unwrap(),
                span["route"].as_str().unwrap(),
                line["status"]
            )
        };
        assert_eq!(of(&answered[0]), "GET /activate/{key} 200");
        assert_eq!(of(&answered[2]), "POST /activate/{key} 421");
        assert_eq!(of(&answered[7]), "GET other 404");
        let faults = told("internal error");
        let ours: Vec<_> = faults.iter().filter(|line| line["span"]["id"] == number).collect();
        assert_eq!(ours.len(), 1, "{number}: {faults:#?}");
        assert!(ours[0]["error"].as_str().unwrap().contains("no such table"));
    })
    .await;
}
