//! The contract suite: every promise of the traits in `repository`, and every rule that a store keeps, as a case
//! that runs unchanged against both stores, each time with a fresh one.

mod activating;
mod address_races;
mod addresses;
mod codes;
mod delivering;
mod devices;
pub mod event_log;
mod events;
mod finding;
mod holding;
mod leasing;
mod limits;
mod listing;
mod mails;
mod numbering;
pub mod outbox;
mod passwords;
pub mod people;
mod profiles;
mod purging;
mod racing;
mod registering;
pub mod reminding;
mod requests;
mod schema;
mod selecting;
pub mod store;
mod suppressing;
mod switching;
mod users;
mod verifying;

/// Makes a test of each case for either store, `postgres::NAME` and `sqlite::NAME`.
macro_rules! contract {
    ($($file:ident: [$($case:ident,)*])*; only postgres $($held:ident: [$($only:ident,)*])*) => {
        mod postgres {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::store::on_postgres(super::$file::$case).await;
                }
            )*)*
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $only() {
                    super::store::on_postgres(super::$held::$only).await;
                }
            )*)*
        }

        mod sqlite {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::store::on_sqlite(super::$file::$case).await;
                }
            )*)*
        }
    };
}

contract! {
    registering: [
        r1_a_registration_stores_user_address_profile_key_mail_and_event,
        r1_a_registration_that_fails_midway_leaves_nothing,
        r1_a_registration_that_fails_midway_keeps_whoever_was_to_give_way,
        a_users_locale_is_kept_with_it,
        r2_without_a_mail_none_is_queued,
        r6_user_registered_is_appended_once,
        x7_a_username_in_use_is_refused_and_nothing_stored,
        x7_usernames_equal_in_case_and_width_are_one,
        x7_an_expired_holder_gives_way_as_if_purged,
        r10_a_holder_gives_way_at_its_expiry_and_not_a_microsecond_earlier,
        x7_an_expired_holder_stays_unless_the_registration_says_that_it_goes,
        x7_an_expired_holder_stays_if_the_new_email_is_taken,
        x7_a_holder_who_has_verified_any_address_keeps_the_username,
        x7_a_holder_without_a_profile_keeps_the_username,
        x7_a_disabled_holder_keeps_the_username,
        x7_an_active_holder_keeps_the_username,
        x7_a_username_in_use_is_said_before_an_email_taken,
        x8_an_address_that_somebody_has_verified_is_refused,
        x8_an_unverified_address_can_be_claimed_by_several,
        x9_the_password_may_be_left_out,
        x8_nothing_of_a_displaced_claim_survives,
    ]
    activating: [
        r7_activating_makes_the_user_active_and_the_address_verified,
        r7_activating_one_user_changes_no_other,
        r7_a_key_verifies_the_address_it_was_issued_for_and_no_other,
        r7_every_key_of_the_profile_is_spent,
        r7_a_user_who_verified_the_address_before_can_still_activate,
        r8_an_unknown_key_activates_nobody,
        r9_an_expired_key_changes_nothing,
        r10_a_key_is_expired_at_its_instant_and_not_a_microsecond_earlier,
        r10_a_window_of_zero_days_is_over_at_once,
        r11_a_spent_key_says_who_is_active_since_when,
        r11_a_user_made_active_by_hand_gets_the_same_answer,
        r11_no_key_activates_a_disabled_user,
        r11_the_answers_come_in_order,
        r12_user_activated_is_appended_after_success_and_only_then,
        x8_the_first_to_activate_keeps_the_address,
        x8_an_address_verified_beside_a_primary_one_is_taken_too,
        x9_a_password_given_at_activation_replaces_the_first,
        x14_looking_at_a_key_shows_its_user_and_changes_nothing,
        x14_looking_at_a_key_says_whether_another_user_has_its_address,
    ]
    profiles: [
        r13_deleting_a_profile_kills_its_keys_and_shows_the_user_as_it_stood,
        r13_a_spent_profile_can_be_deleted_and_the_user_stays_active,
        r13_there_is_no_profile_to_delete_twice_or_of_nobody,
        r13_a_new_profile_starts_its_window_now_with_a_key_that_works,
        r13_a_user_has_at_most_one_profile,
        r13_only_a_pending_user_gets_a_profile,
        x8_no_profile_for_an_address_that_another_has_verified,
        r13_a_profile_that_fails_midway_leaves_nothing,
        r14_a_further_key_works_beside_the_first_and_moves_no_expiry,
        r14_without_a_mail_a_key_is_issued_all_the_same,
        r10_a_key_is_issued_until_a_microsecond_before_the_expiry,
        r14_only_a_pending_user_with_a_profile_gets_a_key,
        x8_no_key_for_an_address_that_another_has_verified,
        r14_a_key_for_another_address_than_the_primary_is_a_conflict,
        r14_an_issue_that_fails_midway_leaves_nothing_and_kills_no_key,
        x15_the_newest_five_keys_live_and_no_more,
        x15_keys_of_one_instant_are_five_at_most_too,
        x15_every_key_is_dead_once_the_user_is_disabled,
        mails_are_counted_by_what_became_of_them,
    ]
    finding: [
        a_user_is_found_by_id_and_by_username,
        x21_instants_are_kept_to_the_microsecond_from_year_1_to_9999,
        x23_by_email_only_the_user_who_has_verified_it_is_found,
        x23_pending_claims_come_latest_first_and_limited,
        r10_a_claim_is_live_until_a_microsecond_before_its_expiry,
        x23_only_pending_users_with_a_profile_claim,
        x23_nobody_claims_what_another_has_verified,
        x1_a_pending_or_active_user_can_be_disabled,
        x1_disabling_twice_changes_nothing_the_second_time,
        nobody_is_disabled_who_is_not_there,
    ]
    listing: [
        u1_users_whose_primary_address_is_unverified_are_listed_whole,
        u1_both_conditions_are_on_the_same_address,
        u1_whatever_the_state_an_unverified_primary_address_counts,
        x19_who_has_verified_another_address_is_left_out_unless_asked_for,
        u2_idle_means_no_login_at_or_after_then,
        u3_created_before_excludes_and_created_after_includes_the_instant,
        u3_expired_or_not_and_without_a_profile_neither,
        u3_by_email_domain_and_by_site,
        u3_by_username_prefix_in_the_order_of_usernames,
        u3_by_state,
        u3_as_many_are_counted_as_are_listed,
        u3_all_conditions_must_hold,
        u4_pages_of_any_size_show_everybody_once_in_order,
        u4_a_page_of_nobody_is_the_last,
        u4_nobody_is_skipped_or_shown_twice_while_users_come_and_go,
        u4_a_page_examines_a_bounded_number_of_rows_and_says_where_it_stopped,
        u4_what_a_short_page_found_is_not_found_again,
        u4_as_many_rows_as_a_page_examines_end_with_an_empty_page,
        u4_an_index_leads_to_a_domain_a_site_and_a_date_past_any_number_of_rows,
        u4_a_walk_over_many_rows_shows_each_once,
    ]
    purging: [
        x16_a_pending_user_goes_once_the_key_has_expired,
        r16_a_pending_user_in_time_is_spared,
        r10_a_user_goes_at_the_expiry_and_not_a_microsecond_earlier,
        r10_a_disabled_user_goes_at_the_expiry_and_not_a_microsecond_earlier,
        r13_a_pending_user_without_a_profile_is_spared_however_old,
        x16_a_pending_user_with_any_verified_address_is_spared,
        x16_a_pending_user_with_the_primary_address_verified_is_spared,
        r16_an_active_user_is_spared,
        r16_an_active_user_with_an_old_unused_key_is_spared,
        x16_an_active_user_without_a_profile_is_spared,
        x16_a_disabled_user_with_an_expired_key_goes_only_if_asked_for,
        x16_a_disabled_user_with_a_spent_key_goes_only_if_asked_for_even_in_time,
        x16_a_disabled_user_with_an_unspent_key_in_time_is_spared,
        x16_a_disabled_user_without_a_profile_is_spared,
        x16_a_disabled_user_who_was_active_and_has_no_profile_is_spared,
        r15_nothing_is_left_of_the_purged_but_events_and_the_names_are_free,
        r15_others_keep_all_that_is_theirs,
        x18_a_limit_bounds_a_purge_which_takes_the_longest_expired_first,
        x18_a_preview_shows_whom_a_purge_takes_first_and_deletes_nobody,
        x18_pending_users_go_before_disabled_ones,
        x17_whatever_commits_before_a_purge_wins,
        x20_a_deletion_is_told_with_its_instant_and_its_reason,
    ]
    selecting: [
        u5_a_pending_user_goes_expired_or_not,
        x16_a_selected_user_without_a_profile_is_spared,
        x16_a_selected_user_with_another_verified_address_is_spared,
        x16_a_selected_user_with_the_primary_address_verified_is_spared,
        x16_a_selected_user_who_is_active_is_spared,
        x16_a_selected_user_made_active_by_hand_is_spared,
        x16_a_selected_user_who_is_disabled_is_spared,
        x16_a_selected_user_who_was_active_and_is_disabled_is_spared,
        u5_created_before_and_after_bound_a_purge,
        u5_idle_since_bounds_a_purge,
        u5_expired_or_not_bounds_a_purge,
        u5_domain_site_prefix_and_state_bound_a_purge,
        x17_a_purge_of_the_selected_takes_none_but_those_it_is_given,
        x17_who_logged_in_since_the_list_was_made_is_spared,
        x18_a_selection_is_counted_to_a_limit_and_listed_page_by_page,
    ]
    reminding: [
        u6_a_reminder_is_a_further_key_a_mail_an_event_and_a_window_that_starts_again,
        u6_whoever_was_mailed_within_a_day_is_left_out_to_the_microsecond,
        u6_every_activation_mail_counts_as_being_mailed,
        u6_nobody_has_more_than_three_reminders,
        u6_only_pending_users_with_a_profile_are_reminded,
        u6_the_filter_says_who_is_reminded,
        x23_an_address_that_another_has_verified_gets_no_reminder,
        x15_a_reminder_leaves_the_newest_five_keys,
        u6_a_reminder_for_another_address_is_not_queued,
        u6_a_reminder_that_fails_midway_leaves_nothing,
        u6_the_ladder_reminds_once_for_each_rung_and_moves_no_window,
        u6_after_an_outage_the_ladder_reminds_once_and_never_after_the_window,
        u6_the_ladder_names_the_window_as_it_is_or_says_nothing,
        x12_a_window_that_starts_again_lets_old_keys_work_on,
        u6_a_reminder_is_counted_among_the_activation_mails,
    ]
    leasing: [
        a_lease_is_one_holders_until_it_runs_out_or_is_given_back,
        a_holder_renews_its_lease,
        work_that_is_done_is_not_due_until_the_interval_is_over,
        leases_for_different_work_know_nothing_of_each_other,
    ]
    outbox: [
        a_claimed_mail_is_whole,
        a_mail_is_handed_out_when_it_is_due_and_not_a_microsecond_earlier,
        no_mail_is_handed_out_twice_while_its_lease_lives,
        mails_due_longest_come_first_and_limited,
        each_claim_counts_an_attempt,
        a_lease_that_went_to_somebody_else_settles_nothing,
        a_lease_that_ran_out_still_settles_if_nobody_took_it,
        what_nobody_has_claimed_settles_nothing,
        a_retry_waits_until_its_time_and_keeps_the_text,
        x20_a_delivered_mail_is_erased_and_told_of,
        x20_a_discarded_mail_is_erased_and_told_of_with_its_error_kept,
        a_delivery_keeps_the_error_of_the_attempt_before,
        x20_nothing_is_settled_or_told_after_the_user_was_purged,
        settling_one_mail_leaves_the_others_as_they_are,
        a_mail_that_cannot_be_read_is_handed_out_as_such_and_holds_up_no_other,
        an_instant_that_is_none_makes_a_mail_unreadable,
        a_user_without_a_mail_has_none_to_claim,
    ]
    delivering: [
        a_lease_that_is_renewed_lives_longer,
        a_lease_that_went_to_somebody_else_or_has_ended_is_not_renewed,
        x20_outcomes_of_every_kind_are_recorded_together,
        settling_nothing_changes_nothing,
        mails_of_a_domain_that_rests_are_put_off_and_hold_up_no_other,
        an_activation_mail_that_nobody_needs_is_handed_out_as_pointless,
        a_mail_whose_key_gave_way_to_newer_ones_is_pointless,
        a_verification_mail_that_nobody_needs_is_handed_out_as_pointless,
        what_is_needed_is_no_less_so_for_what_happens_beside_it,
    ]
    switching: [
        x1_a_pending_user_is_made_active_by_hand_and_nothing_verified,
        x1_who_is_active_or_disabled_is_not_made_active_by_hand,
        x1_enabling_takes_a_user_back_to_where_it_was,
        x15_keys_that_died_with_a_disabling_stay_dead,
        x16_who_is_pending_again_is_purged_once_expired_and_who_is_active_again_never,
        x1_who_is_not_disabled_is_not_enabled,
        x20_deleting_leaves_nothing_of_a_user_but_events,
        u7_the_latest_login_counts_in_whatever_order_they_are_told,
        u7_no_login_of_a_disabled_user_is_recorded,
    ]
    passwords: [
        x23_credentials_are_found_by_id_by_username_and_by_the_email_that_is_verified,
        guesses_are_counted_alike_whether_there_is_such_a_user_or_not,
        a_guess_that_comes_too_soon_is_refused_and_changes_nothing,
        of_a_hundred_guesses_at_once_five_are_let_in,
        a_guess_that_is_taken_back_is_none,
        failures_are_forgotten_in_their_time_and_their_rows_deleted_as_new_ones_come,
        u7_a_login_by_password_is_recorded_and_its_failures_forgotten,
        u7_an_earlier_login_by_password_takes_nothing_back,
        x17_a_login_by_a_hash_that_is_no_longer_stored_changes_nothing,
        x17_who_is_no_longer_active_does_not_log_in,
        x17_of_a_login_and_a_new_password_at_one_instant_the_new_password_stays,
        x9_a_password_is_given_or_replaced_whatever_the_state,
        x20_setting_a_password_is_told_to_nobody,
    ]
    devices: [
        a_device_is_known_once_somebody_has_logged_in_from_it_and_only_for_that_name,
        a_known_device_has_turns_of_its_own_and_all_strangers_share_those_of_the_name,
        a_login_forgets_the_failures_that_were_counted_with_it_and_no_others,
        a_device_that_becomes_known_again_has_no_failures_from_before,
        of_a_hundred_guesses_at_once_from_a_known_device_five_are_let_in,
        a_device_is_known_for_ninety_days_after_its_last_login,
        ten_devices_of_a_user_are_known_and_the_one_that_expires_first_gives_way,
        however_many_log_in_at_once_ten_devices_of_a_user_are_known,
        a_new_password_makes_strangers_of_a_users_devices,
        x17_of_a_login_and_a_new_password_at_one_instant_no_device_stays_known,
        x17_a_login_that_changes_nothing_makes_no_device_known,
        a_device_goes_with_its_user_and_with_the_name_that_it_was_known_for,
        devices_whose_time_is_over_are_forgotten_and_limited,
    ]
    codes: [
        a_code_stands_for_the_key_in_its_mail_and_is_found_by_their_address,
        a_newer_code_takes_the_place_of_the_users_former_one_with_tries_of_its_own,
        r10_a_code_is_live_until_a_microsecond_before_its_expiry,
        x8_a_guess_is_compared_with_the_codes_of_all_who_claim_the_address,
        of_fifty_guesses_at_once_five_are_compared,
        guesses_at_an_address_are_counted_whether_anybody_claims_it_or_not,
        an_address_has_so_many_guesses_in_an_hour_and_no_newer_code_has_more,
        a_code_guess_that_is_taken_back_is_none,
        x15_a_code_dies_with_the_key_that_it_stands_for,
        codes_and_counts_whose_time_is_over_are_forgotten_and_limited,
    ]
    users: [
        u3_users_are_listed_by_state_the_longest_registered_first,
        u3_users_are_listed_by_prefix_in_the_order_of_usernames,
        u4_pages_of_users_of_any_size_show_everybody_once,
        u4_a_prefix_in_a_rare_state_examines_a_bounded_number_of_rows,
    ]
    mails: [
        a_mail_is_shown_whole_but_for_its_text,
        u4_mails_are_listed_by_every_condition_page_by_page,
        a_retry_makes_a_queued_mail_due_and_nothing_later,
        x20_a_mail_discarded_by_hand_is_erased_and_told_of_once,
        only_what_carries_an_activation_key_is_told_of_as_failed,
        a_worker_settles_nothing_that_was_discarded_under_it,
    ]
    suppressing: [
        a_suppression_stays_and_says_what_the_latest_bounce_said,
        u4_suppressions_are_listed_in_the_order_of_addresses_page_by_page,
        a_suppression_that_is_lifted_is_gone_and_shown_as_it_stood,
        every_mail_to_a_suppressed_address_is_handed_out_as_such,
        a_mail_that_can_not_be_read_is_suppressed_like_any_other,
        a_suppression_outlives_mail_and_user,
    ]
    limits: [
        what_is_beyond_a_limit_is_refused_and_changes_nothing,
        what_is_refused_for_something_else_is_not_counted,
        an_address_is_added_and_its_key_sent_as_often_as_mails_may,
        as_many_are_reminded_as_may_and_only_they_are_counted,
        a_mail_is_counted_for_an_hour_and_told_until_when,
        a_count_outlives_its_user_and_tells_nothing_of_it,
        a_count_goes_on_under_another_key,
        a_count_is_the_sum_of_its_rows,
        x23_whose_address_has_had_its_mails_is_passed_over_in_silence,
        of_fifty_mails_to_one_address_at_once_as_many_go_as_may,
        the_oldest_counts_are_forgotten_and_limited,
    ]
    requests: [
        x10_a_registration_is_done_once_and_remembered_whole,
        x10_only_what_was_done_is_remembered,
        x10_whoever_gives_way_does_so_once,
        x10_a_key_is_issued_and_a_profile_created_once,
        x10_an_address_is_added_and_its_key_sent_once,
        x10_what_several_acts_have_done_is_remembered_once,
        x23_keys_for_several_users_pass_over_whoever_can_have_none,
        x10_equal_ids_of_two_callers_are_two_requests,
        x10_a_record_outlives_its_user_and_holds_nothing_of_it_but_id_and_times,
        x10_the_oldest_requests_are_forgotten_first_and_limited,
        x10_of_fifty_calls_with_one_id_one_is_done,
    ]
    events: [
        x5_an_act_that_cannot_be_told_of_is_not_done,
    ]
    event_log: [
        x20_every_kind_of_event_is_read_whole,
        x20_what_happened_to_a_user_is_read_in_its_order,
        x20_events_are_read_from_any_number_on_and_so_many_at_once,
        x20_the_oldest_events_are_trimmed_up_to_the_first_that_is_too_young,
        x20_numbers_go_on_when_every_event_was_trimmed_away,
        x20_a_renewed_log_has_another_id_and_the_same_events,
        x20_of_several_who_number_and_trim_none_does_harm,
    ]
    racing: [
        r12_of_fifty_calls_with_one_key_one_activates,
        r12_of_several_replicas_one_activates,
        x15_of_five_keys_at_once_one_activates,
        x8_of_two_users_who_claim_one_address_exactly_one_activates,
        x7_of_fifty_registrations_of_one_username_one_succeeds,
        x7_an_expired_holder_gives_way_to_one_of_many_and_goes_once,
        x7_giving_way_and_a_purge_at_once_delete_once,
        x17_an_activation_and_a_purge_at_one_instant_never_both_nor_neither,
        x17_an_activation_and_a_disabling_come_one_after_the_other,
        x17_a_purge_and_an_act_by_hand_at_one_instant_come_one_after_the_other,
        x15_keys_issued_at_once_are_five_at_most,
        x15_a_key_issued_beside_an_activation_is_spent_or_refused,
        x18_several_replicas_purge_at_once_and_each_user_goes_once,
        u6_several_replicas_remind_at_once_and_nobody_twice,
        one_of_many_gets_a_lease,
        a_mail_goes_to_one_of_many_workers,
        r1_an_act_dropped_midway_is_done_wholly_or_not_at_all,
    ]
    addresses: [
        u8_a_user_has_one_primary_address_from_the_start,
        u8_an_address_is_added_unverified_with_a_mail_and_nothing_else_changes,
        u8_what_cannot_be_added_is_refused_and_nothing_changes,
        u8_an_addition_that_fails_midway_leaves_nothing,
        x8_an_unverified_address_can_be_added_by_several,
        u8_a_verified_address_becomes_the_primary_one_and_the_old_one_is_told,
        u8_the_primary_address_set_again_changes_nothing,
        u8_only_a_verified_address_of_an_active_user_becomes_the_primary_one,
        u8_a_mail_made_for_another_primary_address_is_a_conflict,
        x15_activation_keys_die_when_their_address_is_replaced,
        u8_nothing_is_left_of_a_removed_address,
        u8_a_mail_to_a_removed_address_is_discarded_even_while_it_is_sent,
        u8_what_cannot_be_removed_is_refused_and_nothing_changes,
        x16_a_pending_user_is_spared_as_long_as_another_address_is_verified,
        x23_by_email_whoever_verified_it_beside_the_primary_one_is_found,
    ]
    verifying: [
        u8_r7_a_key_verifies_the_address_it_was_issued_for_and_tells_of_it,
        u8_r8_a_key_is_unknown_to_all_but_its_own_purpose,
        u8_r10_a_key_is_expired_at_its_instant_and_not_a_microsecond_earlier,
        u8_x13_every_key_of_a_verified_address_is_spent_and_says_since_when,
        u8_r11_the_answers_come_in_order,
        x15_the_newest_five_keys_of_an_address_live_each_in_its_own_window,
        u8_no_key_is_issued_for_what_cannot_be_verified_by_it,
        u8_an_issue_that_fails_midway_leaves_nothing_and_kills_no_key,
        u8_who_was_made_active_by_hand_verifies_the_primary_address_by_a_key,
        u8_a_key_is_dead_once_its_address_was_removed_and_stays_so,
        x15_keys_of_addresses_that_died_with_a_disabling_stay_dead,
        x8_the_first_to_verify_keeps_the_address_whatever_the_others_have,
    ]
    address_races: [
        u8_of_many_calls_with_one_key_one_verifies,
        x8_of_two_who_verify_one_address_at_once_exactly_one_does,
        x8_of_an_activation_and_a_verification_of_one_address_exactly_one_succeeds,
        x17_a_verification_and_a_purge_at_once_never_both_nor_neither,
        u8_a_verification_and_a_removal_at_once_leave_nothing_of_the_address,
        x15_keys_of_an_address_issued_at_once_are_five_at_most,
        u8_addresses_added_at_once_are_no_more_than_one_may_have,
    ]
    schema: [
        migrating_twice_changes_nothing,
        a_store_is_ready_once_it_is_migrated,
        processes_that_migrate_at_once_do_each_other_no_harm,
        a_closed_store_is_unavailable,
    ]
    ; only postgres
    holding: [
        x18_a_purge_takes_others_and_never_waits_for_whom_somebody_holds,
        x18_a_purge_of_the_selected_and_reminders_never_wait_for_whom_somebody_holds,
        x17_who_logs_in_while_a_purge_of_the_idle_runs_is_spared,
        x17_who_is_being_activated_while_a_purge_runs_is_spared,
        x7_who_was_activated_while_a_registration_waited_keeps_the_username,
    ]
    numbering: [
        x20_what_has_no_number_is_neither_read_nor_trimmed,
        x20_what_commits_late_is_read_behind_what_was_read_before,
        x20_no_act_waits_for_whoever_numbers_and_nobody_waits_to_number,
        x20_no_act_appends_an_event_before_it_holds_the_user,
        x20_no_act_on_an_address_or_a_mail_appends_an_event_before_it_holds_the_user,
        x20_no_act_on_a_selection_appends_an_event_before_it_holds_the_user,
    ]
}
