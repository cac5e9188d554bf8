//! What a site decides: who can register, in which language it mails, and what it makes of an address.

use std::fs;

use tonic::Code;
use vestibule::grpc::proto::{
    AddEmailAddressRequest, CreateInactiveUserRequest, CreateRegistrationProfileRequest,
    DeleteRegistrationProfileRequest, Warning, WarningCode, get_user_request, send_activation_email_request,
};

use super::{Journey, key_in};
use crate::{contract::store::Store, support::server::refused};

const GERMAN: &str = "Aktivieren Sie Ihr Konto bei The Shop";
const ENGLISH: &str = "Activate your account at The Shop";

fn request(username: &str, locale: &str) -> CreateInactiveUserRequest {
    CreateInactiveUserRequest {
        username: username.into(),
        email: format!("{username}@example.com"),
        locale: locale.into(),
        ..Default::default()
    }
}

fn site(lines: &str) -> String {
    format!("[[sites]]\nid = 'shop'\nname = 'The Shop'\ndomain = 'shop.example'\n{lines}\n")
}

pub async fn a_users_locale_is_returned_and_every_mail_is_written_in_it(store: Store) {
    let journey = Journey::start(&store, &site("")).await;
    let client = &journey.client;
    let created = client.create_inactive_user(request("alice", "DE-at")).await.unwrap();
    let alice = created.user.unwrap();
    assert_eq!(alice.locale, "de-AT");
    let found = client.user(get_user_request::User::UserId(alice.id.clone())).await.unwrap();
    assert_eq!(found, alice);
    let mail = journey.next_mail().await;
    assert_eq!(mail.subject, GERMAN);
    assert!(mail.body.starts_with("Hallo alice,\n"), "{}", mail.body);
    assert!(mail.html.unwrap().contains("<html lang=\"de\">"));

    client.mail_to(send_activation_email_request::User::UserId(alice.id.clone())).await.unwrap();
    assert_eq!(journey.next_mail().await.subject, GERMAN);
    client.mail_to(send_activation_email_request::User::Email("alice@example.com".into())).await.unwrap();
    assert_eq!(journey.next_mail().await.subject, GERMAN);
    let user_id = alice.id.clone();
    let deletion = DeleteRegistrationProfileRequest { user_id: user_id.clone() };
    client.delete_registration_profile(deletion).await.unwrap();
    let profile = CreateRegistrationProfileRequest { user_id, ..Default::default() };
    client.create_registration_profile(profile).await.unwrap();
    let last = journey.next_mail().await;
    assert_eq!(last.subject, GERMAN);
    assert_eq!(client.use_key(&key_in(&last)).await.unwrap().locale, "de-AT");

    for (username, locale, subject) in [
        ("bob", "", ENGLISH),
        ("carol", "en-GB", ENGLISH),
        ("dave", "ja", ENGLISH),
        ("eve", "de-CH-1996", GERMAN),
    ] {
        let user = client.create_inactive_user(request(username, locale)).await.unwrap().user.unwrap();
        assert_eq!(user.locale, locale);
        assert_eq!(journey.next_mail().await.subject, subject, "{locale}");
    }
}

pub async fn a_site_mails_in_its_own_language_and_out_of_its_own_folder(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("activation")).unwrap();
    for (name, text) in [
        ("subject.fr.txt", "Activez votre compte"),
        ("body.fr.txt", "{{ activation_key }}\n"),
        ("subject.de.txt", "Eigenes {{ site.name }}"),
    ] {
        fs::write(folder.path().join("activation").join(name), text).unwrap();
    }
    let own = format!("locale = 'de'\ntemplates = '{}'", folder.path().display());
    let other = "[[sites]]\nid = 'forum'\nname = 'Forum'\ndomain = 'forum.example'";
    let journey = Journey::start(&store, &(site(&own) + other)).await;
    for (username, site, locale, subject) in [
        ("alice", "shop", "", "Eigenes The Shop"),
        ("bob", "shop", "fr-CA", "Activez votre compte"),
        ("carol", "shop", "ja", "Eigenes The Shop"),
        ("dave", "shop", "en", ENGLISH),
        ("erin", "forum", "", "Activate your account at Forum"),
        ("frank", "forum", "de", "Aktivieren Sie Ihr Konto bei Forum"),
        ("grace", "forum", "fr", "Activate your account at Forum"),
    ] {
        let request = CreateInactiveUserRequest { site: site.into(), ..request(username, locale) };
        journey.client.create_inactive_user(request).await.unwrap();
        let mail = journey.next_mail().await;
        assert_eq!(mail.subject, subject, "{username}");
        assert_eq!(mail.html.is_none(), locale == "fr-CA", "a text of one's own has no HTML but one's own");
    }
}

pub async fn a_closed_site_registers_nobody_and_everything_else_goes_on(store: Store) {
    let open = Journey::start(&store, &site("")).await;
    let alice = open.client.create_inactive_user(request("alice", "")).await.unwrap().user.unwrap();
    open.next_mail().await;
    open.server.stop().await;

    let other = "[[sites]]\nid = 'forum'\nname = 'Forum'\ndomain = 'forum.example'";
    let journey = Journey::start(&store, &(site("registration = 'closed'") + other)).await;
    let client = &journey.client;
    let before = store.contents().await;
    for site in ["", "shop"] {
        let request = CreateInactiveUserRequest { site: site.into(), ..request("bob", "") };
        let refusal = client.create_inactive_user(request).await;
        let details = refused(refusal, Code::FailedPrecondition, "REGISTRATION_CLOSED");
        assert_eq!(details.precondition_failure().unwrap().violations[0].subject, "shop");
    }
    assert_eq!(store.contents().await, before);

    let elsewhere = CreateInactiveUserRequest { site: "forum".into(), ..request("bob", "") };
    client.create_inactive_user(elsewhere).await.unwrap();
    assert_eq!(journey.next_mail().await.recipient, "bob@example.com");
    client.mail_to(send_activation_email_request::User::UserId(alice.id.clone())).await.unwrap();
    let key = key_in(&journey.next_mail().await);
    assert!(client.use_key(&key).await.unwrap().active);
}

pub async fn a_disposable_address_is_told_refused_or_passed_over(store: Store) {
    let registration = |username: &str, domain: &str| CreateInactiveUserRequest {
        email: format!("{username}@{domain}"),
        send_email: Some(false),
        ..request(username, "")
    };
    let journey = Journey::start(&store, "").await;
    let created =
        journey.client.create_inactive_user(registration("alice", "a.MAILINATOR.com")).await.unwrap();
    let warning = Warning {
        code: WarningCode::DisposableEmailDomain.into(),
        message: "The domain of the email address gives addresses to throw away.".into(),
    };
    assert_eq!(created.warnings, std::slice::from_ref(&warning));
    let created = journey.client.create_inactive_user(registration("bob", "example.com")).await.unwrap();
    assert_eq!(created.warnings, []);

    let journey = Journey::start(&store, "registration.disposable_domains = 'off'").await;
    let created = journey.client.create_inactive_user(registration("carol", "mailinator.com")).await.unwrap();
    assert_eq!(created.warnings, []);

    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("domains.txt");
    fs::write(&list, "# ours\nb\u{fc}cher.example\n").unwrap();
    let settings = format!(
        "registration.disposable_domains = 'refuse'\nregistration.disposable_domains_file = '{}'",
        list.display()
    );
    let journey = Journey::start(&store, &settings).await;
    let before = store.contents().await;
    for domain in ["b\u{fc}cher.example", "x.xn--bcher-kva.example", "B\u{dc}CHER.EXAMPLE"] {
        let refusal = journey.client.create_inactive_user(registration("dave", domain)).await;
        let details = refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "email");
    }
    assert_eq!(store.contents().await, before);
    let created = journey.client.create_inactive_user(registration("dave", "mailinator.com")).await.unwrap();
    assert_eq!(created.warnings, [], "the list is another one");

    // Adding one is no way round.
    let user_id = journey.client.use_key(&created.activation_key).await.unwrap().id;
    let adding = |domain: &str| AddEmailAddressRequest {
        user_id: user_id.clone(),
        email: format!("dave@{domain}"),
        ..Default::default()
    };
    let refusal = journey.client.add_email_address(adding("b\u{fc}cher.example")).await;
    let details = refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "email");
    let journey = Journey::start(&store, "").await;
    let added = journey.client.add_email_address(adding("yopmail.com")).await.unwrap();
    assert_eq!(added.warnings, [warning]);
}
