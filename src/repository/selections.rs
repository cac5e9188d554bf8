//! What is done to the never-verified whom a caller selects: purging and reminding.
//!
//! A selection is one predicate: it is what is counted, listed, and checked again by whatever acts (X17).

use async_trait::async_trait;

use super::StorageError;
use crate::domain::{
    Timestamp,
    activation_key::KeyDigest,
    mail::NewMail,
    mail_limit::{MailCounter, MailLimitReached},
    page::{Page, PageKey, PageSize},
    reminder::ReminderSelection,
    unverified::PurgeSelection,
    user::{User, UserId},
};

/// What a selection for a purge asks of a user beside its filter, in SQL that both stores understand (X16).
macro_rules! purge_conditions {
    () => {
        concat!(" AND ", $crate::repository::unverified::never_verified!())
    };
}

/// What a selection for a reminder asks of a user beside its filter and its numbers (U6, X23).
macro_rules! reminder_conditions {
    () => {
        " AND state = 'PENDING' AND profile_expire_time IS NOT NULL \
         AND NOT EXISTS ( \
             SELECT 1 FROM ( \
                 SELECT v.email AS taken_email, v.user_id AS taken_by FROM verified_email_addresses v \
             ) AS taken \
             WHERE taken_email = email AND taken_by <> id \
         )"
    };
}

pub(super) use {purge_conditions, reminder_conditions};

/// A reminder, made before the transaction that queues it.
#[derive(Debug, Clone)]
pub struct NewReminder {
    /// Whom it is for.
    pub user_id: UserId,
    /// The address that the mail was made for; who has another primary one by now is not reminded.
    pub email: String,
    /// The further key.
    pub digest: KeyDigest,
    /// The mail that carries it.
    pub mail: NewMail,
    /// When the window ends, as the mail says: the new one, or that which stays.
    pub expire_time: Timestamp,
    /// The rung of the ladder that it is for, in days; 0 for a reminder that somebody asked for.
    pub ladder_day: u32,
}

/// The part of a store that purges and reminds whom a selection names.
///
/// A page of a selection is a page of ListUnverified with further conditions: in the same order, and as bounded.
#[async_trait]
pub trait Selections {
    /// How many users the selection has, counted up to `limit`.
    async fn count_selected_to_purge(
        &self,
        selection: &PurgeSelection,
        limit: u32,
    ) -> Result<u32, StorageError>;

    /// A page of them.
    async fn list_selected_to_purge(
        &self,
        selection: &PurgeSelection,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<User>, StorageError>;

    /// Deletes those of `ids` whom the selection still has, with all that belongs to them, appends `user_deleted` for
    /// each, and returns them in the order of their ids (U5).
    ///
    /// It never waits for a user whom somebody else's transaction holds: such a user stays (X17, X18).
    async fn purge_selected(
        &self,
        selection: &PurgeSelection,
        ids: &[UserId],
    ) -> Result<Vec<User>, StorageError>;

    /// How many users the selection has, counted up to `limit`.
    async fn count_selected_to_remind(
        &self,
        selection: &ReminderSelection,
        limit: u32,
    ) -> Result<u32, StorageError>;

    /// A page of them.
    async fn list_selected_to_remind(
        &self,
        selection: &ReminderSelection,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<User>, StorageError>;

    /// Queues the mails of those whom the selection still has, each with its further key, of which the newest five stay,
    /// counts the reminder, starts the window again or keeps it, appends `user_reminded`, and returns them in the order of
    /// their ids: for each all of it, or nothing (U6).
    ///
    /// Who has another address or, on the ladder, another window than the mail says is left out. It never waits for a
    /// user whom somebody else's transaction holds: such a user is not reminded (X17, X18).
    ///
    /// Each mail is added to every counter. Where there is room for some, those are the first of `reminders`; where there
    /// is room for none, that is the refusal, and nothing changes. Who is left out is not counted.
    async fn remind(
        &self,
        selection: &ReminderSelection,
        reminders: &[NewReminder],
        counters: &[MailCounter],
    ) -> Result<Result<Vec<User>, MailLimitReached>, StorageError>;
}
