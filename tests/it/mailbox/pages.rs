//! The mailbox as a person sees it.

use vestibule::grpc::proto::CreateInactiveUserRequest;

use super::{Dev, text};

#[tokio::test]
async fn an_empty_mailbox_says_how_to_register_somebody() {
    let dev = Dev::start().await;
    let page = dev.get("/").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let command = page.body.split("<code>").nth(1).unwrap().split("</code>").next().unwrap();
    let command = command.replace("&#x27;", "'").replace("&quot;", "\"").replace("&#x2f;", "/");
    let request = r#"{"username": "alice", "email": "alice@example.com"}"#;
    let address = dev.process.address;
    let call = "vestibule.v1.RegistrationService/CreateInactiveUser";
    assert_eq!(command, format!("grpcurl -plaintext -d '{request}' {address} {call}"));
}

#[tokio::test]
async fn a_mail_is_shown_in_every_form() {
    let dev = Dev::start().await;
    let mail = dev.register("alice").await;
    let (id, key) = (text(&mail, "id"), text(&mail, "activation_key"));
    let list = dev.get("/").await.body;
    assert!(
        list.contains(&format!("<a href=\"/mails/{id}\"><bdi>Activate your account at The Shop</bdi></a>"))
    );
    assert!(list.contains("<bdi>alice@example.com</bdi>") && list.contains("http-equiv=\"refresh\""));
    assert!(!dev.get("/?refresh=off").await.body.contains("http-equiv"));

    let page = dev.get(&format!("/mails/{id}")).await.body;
    let link = format!("https:&#x2f;&#x2f;shop.example&#x2f;activate?key={key}");
    assert!(page.contains(&format!("<a href=\"{link}\" rel=\"noreferrer noopener\">{link}</a>")), "{page}");
    assert!(page.contains("<h1><bdi>Activate your account at The Shop</bdi></h1>"));
    assert!(
        page.contains("<th scope=\"row\">Message-ID</th>")
            && page.contains("<th scope=\"row\">Content-Type</th>")
    );
    assert!(page.contains(&format!("<iframe sandbox=\"\" src=\"/mails/{id}/html\"")));

    let html = dev.get(&format!("/mails/{id}/html")).await;
    assert_eq!(
        (html.header("content-type"), html.body.as_str()),
        ("text/html; charset=utf-8", text(&mail, "html"))
    );
    let raw = dev.get(&format!("/mails/{id}/raw")).await;
    assert_eq!(raw.header("content-type"), "text/plain; charset=utf-8");
    let parsed = mailparse::parse_mail(raw.body.as_bytes()).unwrap();
    assert_eq!(parsed.subparts.len(), 2);
    assert!(parsed.subparts[0].get_body().unwrap().contains(key));
    let download = dev.get(&format!("/mails/{id}/message.eml")).await;
    assert_eq!(download.body, raw.body);
    assert_eq!(download.header("content-type"), "message/rfc822");
    assert_eq!(download.header("content-disposition"), format!("attachment; filename=\"{id}.eml\""));
    for missing in ["/mails/x", "/mails/01a20644-7803-7c51-acc2-1365e294aa44/html", "/mails/%ff/raw"] {
        let answer = dev.get(missing).await;
        assert_eq!(answer.status, 404);
        assert!(answer.body.contains("There is no such mail."), "{missing}");
    }
}

#[tokio::test]
async fn hostile_texts_are_shown_and_not_obeyed() {
    let dev = Dev::start().await;
    for (number, username) in [
        "<script>alert(1)</script>",
        "</pre></iframe><img/src=x/onerror=alert(1)>",
        "\"><a/href='javascript:alert(1)'>",
        "{{7*7}}{%raw%}",
        "&lt;b&gt;",
        "javascript:alert(1)",
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("{{{{7*7}}}}'{number}@example.com");
        let request = CreateInactiveUserRequest {
            username: username.to_owned(),
            email: email.clone(),
            site: "evil".to_owned(),
            ..Default::default()
        };
        dev.client.create_inactive_user(request).await.unwrap();
        let mail = dev.mail_to(&email.replace('{', "%7B").replace('}', "%7D")).await;
        assert!(text(&mail, "text").contains(username));
        let page = dev.get(&format!("/mails/{}", text(&mail, "id"))).await.body;
        for page in [page.clone(), dev.get("/").await.body] {
            let lower = page.to_lowercase();
            for obeyed in
                ["<script", "<img", "<b>", "onload='", "href=\"javascript", "<a/", "</iframe></pre>"]
            {
                assert!(!lower.contains(obeyed), "{obeyed}: {page}");
            }
            assert!(page.contains("{{7*7}}&#x27;") && page.contains("{{ 7*7 }} {% raw %}"), "{page}");
            assert!(page.contains("&lt;&#x2f;iframe&gt;&lt;&#x2f;pre&gt;&lt;script&gt;alert(1)"), "{page}");
        }
        let escaped = username
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#x27;")
            .replace('/', "&#x2f;");
        assert!(page.contains(&format!("Hello {escaped},")), "{escaped}: {page}");
        assert_eq!((page.matches("<iframe").count(), page.matches("<pre").count()), (1, 2), "{page}");
    }
    let hostile = format!("/?before={}", "%22%3E%3Cscript%3E");
    let refused = dev.get(&hostile).await;
    assert_eq!(refused.status, 400);
    let unknown = dev.get("/?%3Cscript%3E=1").await;
    assert!(unknown.status == 400 && !unknown.body.contains("<script"), "{unknown:?}");
    let encoded = dev.get("/?x=%ff").await;
    assert_eq!(encoded.status, 400);
}
