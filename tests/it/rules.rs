//! The rules as a caller meets them, on both stores: the real client, and a clock that stands where a test puts it.

mod bounces;
mod clock;
mod codes;
pub mod deadlines;
mod devices;
mod errors;
mod expiry;
mod keys;
mod limits;
mod listing;
mod mails;
mod never_verified;
mod passwords;
mod purging;
mod requests;
mod storage;
mod users;

use chrono::Duration;
use vestibule::domain::Timestamp;

use crate::{
    contract::store::Store,
    support::server::{Client, TestServer, on_each_store},
};

on_each_store! {
    expiry: [
        r10_at_its_instant_a_key_is_expired_for_every_call,
        r10_a_microsecond_earlier_a_key_is_live_for_every_call,
        r10_zero_days_expire_at_once,
        x12_a_window_keeps_its_end_when_the_setting_changes,
        x21_instants_keep_their_microseconds,
    ]
    keys: [
        r8_x11_a_malformed_key_is_answered_like_an_unknown_one,
        r9_an_expired_key_changes_nothing,
        r11_the_answers_come_in_order,
        r11_a_user_made_active_by_hand_is_activated_already,
        r12_of_two_activations_the_second_is_refused_with_who_and_when,
    ]
    codes: [
        r7_r12_the_code_of_a_mail_activates_as_its_key_does,
        r12_of_five_calls_with_one_code_at_once_one_activates,
        x8_the_code_says_which_of_those_who_claim_an_address_is_meant,
        r10_a_code_works_for_a_quarter_of_an_hour_and_its_key_goes_on,
        r10_a_code_never_outlives_the_window_of_its_key,
        x15_a_newer_mail_brings_another_code_and_the_former_one_is_dead,
        x2_without_a_mail_there_is_no_code,
        x2_no_code_stands_in_the_database,
        only_the_sites_that_have_codes_mail_them,
        every_failure_of_a_code_is_answered_alike,
        x9_a_password_comes_with_a_code_and_one_that_may_not_be_chosen_costs_no_try,
        what_can_be_no_code_is_refused_by_the_name_of_its_field,
        a_code_that_found_no_slot_had_no_try,
        of_fifty_wrong_codes_at_once_five_are_compared,
        a_code_is_nothing_without_the_keyring_that_it_was_hashed_with,
        x23_mails_to_an_address_cost_hashes_whether_anybody_claims_it_or_not,
        the_servers_forget_codes_and_guesses_whose_time_is_over,
    ]
    errors: [
        every_wrong_field_is_named_at_once,
        a_password_that_alone_is_wrong_has_a_reason_of_its_own,
        x7_x8_what_is_taken_is_named,
        what_is_not_there_is_named,
        a_failed_precondition_says_which_and_since_when,
        too_many_passwords_at_once_are_refused_with_a_delay,
        a_fault_of_the_service_tells_nothing_but_the_requests_id,
    ]
    listing: [
        u4_a_page_has_a_hundred_users_by_default_and_a_thousand_at_most,
        u4_a_walk_meets_every_user_once,
        u4_a_token_that_is_altered_or_of_another_query_or_installation_is_refused,
        u1_u3_conditions_are_combined,
        x21_instants_out_of_range_are_refused_all_at_once,
    ]
    purging: [
        r15_whoever_has_expired_goes_and_frees_username_and_address,
        r16_x16_nobody_else_goes_unless_disabled_users_are_asked_for,
        x18_a_preview_counts_and_deletes_nothing,
        x18_a_limit_bounds_a_call_and_more_says_so,
        x18_a_sample_is_a_hundred_users_at_most,
        x18_a_purge_stops_before_its_callers_deadline,
    ]
    never_verified: [
        u5_a_purge_needs_a_condition,
        u5_x18_a_purge_is_a_preview_until_it_is_forced,
        u5_a_purge_in_a_sparse_selection_finds_everybody,
        u5_a_login_saves_a_user_from_a_purge_of_the_idle,
        x22_a_clock_that_jumped_purges_nobody_who_is_selected,
        u6_a_reminder_is_the_way_back_for_whose_key_has_expired,
        u6_x18_a_limit_bounds_reminders_and_nobody_is_reminded_twice,
        u6_the_settings_say_how_often_somebody_is_reminded,
        u6_the_ladder_reminds_by_itself_and_states_the_day_of_deletion,
        r15_servers_purge_by_themselves_where_the_settings_say_so,
    ]
    clock: [
        x22_a_clock_that_jumped_neither_purges_nor_makes_give_way_until_it_agrees_again,
        x22_a_minute_is_not_suspect_and_more_is,
    ]
    users: [
        x1_a_user_is_switched_through_every_state,
        u7_a_login_of_a_pending_user_ends_its_idleness,
        u3_u4_users_are_listed_by_state_and_prefix_page_by_page,
        u4_a_token_of_another_list_or_with_other_conditions_is_refused,
    ]
    passwords: [
        whoever_is_not_let_in_is_answered_alike,
        what_can_be_no_password_is_refused_alike_and_is_no_guess,
        guesses_in_a_row_are_slowed_down_alike_for_known_and_unknown_and_never_locked_out,
        of_a_hundred_guesses_at_once_five_are_checked,
        a_guess_that_found_no_slot_is_not_counted,
        x23_by_email_only_who_has_verified_it_logs_in,
        a_password_that_may_not_be_chosen_is_refused_wherever_one_is_set,
        a_strict_profile_asks_for_fifteen_characters,
        x9_set_password_gives_or_replaces_a_password_in_every_state,
        hashes_of_django_log_in_and_are_ours_from_then_on,
        a_hash_whose_parameters_have_risen_is_replaced_and_one_of_ours_is_not,
        x17_logins_at_once_that_replace_one_hash_all_succeed,
        a_stored_hash_that_asks_for_too_much_lets_nobody_in,
    ]
    devices: [
        an_owner_on_a_known_device_gets_in_while_somebody_guesses_without_end,
        a_known_devices_own_failures_slow_it_down_alone,
        after_set_password_a_device_is_a_stranger_until_it_logs_in_again,
        what_can_be_no_device_is_refused_by_its_field_and_is_no_guess,
        a_server_forgets_devices_when_their_time_is_over,
    ]
    mails: [
        a_mail_that_waits_is_shown_without_its_text_and_sent_when_asked_for,
        a_mail_that_is_discarded_never_leaves,
        u4_mails_are_listed_page_by_page_and_a_token_continues_one_query,
        a_mail_that_is_not_there_is_named,
    ]
    bounces: [
        no_mail_of_any_kind_reaches_a_suppressed_address_until_it_is_lifted,
        a_mail_that_waits_for_a_suppressed_address_is_discarded,
        a_bounced_mail_tells_its_address_and_a_temporary_bounce_suppresses_nothing,
        whoever_registers_or_adds_a_suppressed_address_is_told_and_not_refused,
        u4_suppressions_are_listed_page_by_page_and_a_token_continues_one_query,
        what_is_wrong_in_a_bounce_is_named,
    ]
    limits: [
        ten_mails_in_an_hour_go_to_one_address_whoever_comes_and_goes,
        x23_an_address_is_refused_alike_whether_somebody_claims_it_or_not,
        a_caller_and_all_together_are_limited_if_the_settings_say_so,
        keys_for_an_address_are_limited_and_the_notice_of_another_primary_one_is_not,
        reminders_stop_where_the_caller_or_all_have_had_their_mails,
        a_repetition_and_what_has_no_limit_are_not_counted,
    ]
    requests: [
        x10_a_registration_answers_as_it_did_whatever_became_of_the_user,
        x10_a_repetition_costs_no_hash,
        x10_other_fields_or_another_call_are_refused,
        x10_a_failure_is_not_remembered,
        x2_x10_no_key_is_returned_twice,
        x10_a_mail_is_sent_once_to_a_user_and_to_every_claim,
        x10_an_address_is_added_and_a_key_mailed_once,
        x10_reminders_are_sent_once_and_answered_again_without_a_sample,
        x10_reminders_asked_for_at_once_by_one_id_reach_everybody_once,
        x10_a_request_is_remembered_for_a_day,
        x10_a_repetition_is_known_while_the_keyring_is_rotated,
    ]
    deadlines: [
        a_deadline_that_passes_is_told_and_the_call_carried_out,
        a_caller_who_sets_no_deadline_or_a_later_one_gets_ours,
        a_request_that_never_ends_is_answered_and_nothing_done,
        a_malformed_deadline_is_refused,
        a_call_whose_caller_goes_away_is_carried_out,
    ]
}

/// The shortest span there is.
fn tick() -> Duration {
    Duration::microseconds(1)
}

/// A server on the store, and its client.
pub async fn start(store: &Store, toml: &str) -> (TestServer, Client) {
    let server = TestServer::start_configured(store.url(), toml).await;
    let client = server.client().await;
    (server, client)
}

/// Adds `count` pending users, each registered a microsecond after the one before and expired at the same instant.
pub async fn load(store: &Store, count: u32, start: Timestamp, expire_time: Timestamp) {
    let (id, create_time) = (store.id_of("i"), store.after(start, "i"));
    let expire_time = store.at(expire_time);
    let numbers =
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})");
    store
        .execute(format!(
            "INSERT INTO users (
                 id, username, username_key, state, site, create_time, email, email_domain,
                 email_verified, any_email_verified, profile_issue_time, profile_expire_time
             )
             {numbers}
             SELECT {id}, 'user' || i, 'user' || i, 'PENDING', 'default', {create_time},
                 'user' || i || '@example.com', 'example.com', false, false, {create_time}, {expire_time}
             FROM n"
        ))
        .await;
    store
        .execute(format!(
            "INSERT INTO email_addresses (user_id, email, is_primary, create_time)
             {numbers} SELECT {id}, 'user' || i || '@example.com', true, {create_time} FROM n"
        ))
        .await;
}
