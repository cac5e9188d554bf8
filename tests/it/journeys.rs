//! The main job from end to end, on both stores: the real client, a server, a mail server and a database.

mod addresses;
mod hostile_names;
mod keys;
mod mailing;
mod passwords;
mod profiles;
mod registering;
mod secrets;
mod sites;

use crate::{
    contract::store::Store,
    support::{
        server::{Client, TestServer, on_each_store},
        smtp::{ParsedMail, SmtpSink},
    },
};

on_each_store! {
    registering: [
        r1_whoever_registers_is_mailed_a_key_that_activates,
        r2_x2_without_a_mail_that_response_alone_carries_the_key,
        x9_the_password_may_come_with_the_activation,
        x9_a_password_of_the_activation_replaces_the_first,
        r4_r5_the_templates_of_a_folder_make_the_mail,
        each_site_mails_in_its_own_name_and_has_its_own_window,
    ]
    mailing: [
        x6_a_mail_server_that_is_busy_gets_the_mail_later,
        x6_a_refused_mail_is_given_up_and_the_registration_stands,
        x22_a_clock_that_jumped_gives_up_no_mail,
        a_mail_whose_row_cannot_be_read_is_given_up_and_the_others_arrive,
        a_mail_that_is_delivered_twice_has_the_same_message_id,
    ]
    keys: [
        r14_a_further_key_is_mailed_and_moves_no_expiry,
        r14_a_reissued_key_is_returned_and_not_mailed,
        x15_the_newest_five_keys_live,
        x23_by_email_at_most_three_claims_are_mailed_each_by_its_name,
        x23_by_email_the_answer_is_the_same_whoever_claims_the_address,
        x14_inspecting_a_key_tells_its_state_and_changes_nothing,
        x15_no_key_works_once_the_user_is_disabled,
    ]
    addresses: [
        u8_an_address_is_added_verified_made_primary_and_the_old_one_is_told_and_removed,
        u8_a_key_works_in_its_own_window_and_for_its_own_purpose,
        u8_a_pending_user_verifies_others_but_activates_its_primary_address,
        u8_who_was_made_active_by_hand_verifies_the_primary_address,
        u8_a_mail_to_a_removed_address_is_not_sent,
        u8_every_refusal_is_told_by_its_reason,
    ]
    profiles: [
        a_profile_tells_its_state_and_what_was_mailed_and_never_a_key,
        r13_a_user_without_a_profile_is_never_purged_and_can_be_given_one,
        r13_a_new_profile_mails_its_key_or_returns_it,
    ]
    passwords: [
        x9_u7_who_registers_without_a_password_chooses_one_logs_in_and_is_given_another,
    ]
    sites: [
        a_users_locale_is_returned_and_every_mail_is_written_in_it,
        a_site_mails_in_its_own_language_and_out_of_its_own_folder,
        a_closed_site_registers_nobody_and_everything_else_goes_on,
        a_disposable_address_is_told_refused_or_passed_over,
    ]
    hostile_names: [
        hostile_names_arrive_as_plain_text_in_exactly_one_message,
        what_would_end_a_line_is_refused_before_anything_is_stored_or_sent,
        a_template_with_the_line_that_ends_a_message_is_still_one_message,
    ]
    secrets: [
        r3_x2_no_key_stands_in_the_database,
        x2_no_key_stands_in_the_log,
    ]
}

/// A server that mails to a mail server, with further settings if need be.
struct Journey {
    sink: SmtpSink,
    server: TestServer,
    client: Client,
}

impl Journey {
    async fn start(store: &Store, toml: &str) -> Self {
        let sink = SmtpSink::start().await;
        let settings = format!("mail.sender = 'smtp'\nmail.smtp.url = '{}'\n{toml}", sink.url());
        let server = TestServer::start_configured(store.url(), &settings).await;
        let client = server.client().await;
        Self { sink, server, client }
    }

    /// The next mail that arrives, as its reader sees it.
    async fn next_mail(&self) -> ParsedMail {
        self.sink.next_mail().await.parse()
    }
}

/// The key that a mail carries.
fn key_in(mail: &ParsedMail) -> String {
    let is_key = |word: &&str| word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let keys: Vec<_> = mail.body.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_key).collect();
    assert_eq!(keys.len(), 1, "one key in {:?}", mail.body);
    keys.concat()
}
