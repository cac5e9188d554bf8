//! What is done to the never-verified whom a caller selects: purging and reminding.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite, Transaction};

use super::{
    SqliteRepository, append_event,
    keys::insert_key,
    mail_counts::{count_mails, take_back},
    page::List,
    storage_error,
    unverified::UnverifiedList,
    user, user_columns,
};
use crate::{
    domain::{
        event::EventKind,
        mail_limit::{MailCounter, MailLimitReached},
        page::{Page, PageKey, PageSize},
        reminder::ReminderSelection,
        unverified::PurgeSelection,
        user::{User, UserId},
        username::UsernameKey,
    },
    repository::{
        KeyIssue, NewReminder, Selections, StorageError,
        selections::{purge_conditions, reminder_conditions},
    },
};

#[async_trait]
impl Selections for SqliteRepository {
    async fn count_selected_to_purge(
        &self,
        selection: &PurgeSelection,
        limit: u32,
    ) -> Result<u32, StorageError> {
        self.count_selected(&SelectedList::to_purge(selection), limit).await
    }

    async fn list_selected_to_purge(
        &self,
        selection: &PurgeSelection,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<User>, StorageError> {
        let mut transaction = self.readers.begin().await.map_err(storage_error)?;
        SelectedList::to_purge(selection).page(&mut transaction, size, after.as_ref()).await
    }

    async fn purge_selected(
        &self,
        selection: &PurgeSelection,
        ids: &[UserId],
    ) -> Result<Vec<User>, StorageError> {
        let mut transaction = self.begin().await?;
        let mut query = QueryBuilder::new("DELETE FROM users WHERE ");
        SelectedList::to_purge(selection).push_still_selected(&mut query, ids);
        query.push(concat!(" RETURNING ", user_columns!()));
        let rows = query.build().fetch_all(&mut *transaction).await.map_err(storage_error)?;
        let mut gone = rows.iter().map(user).collect::<Result<Vec<_>, _>>()?;
        gone.sort_by_key(|user| user.id);
        for user in &gone {
            tell(&mut transaction, user, selection).await?;
        }
        transaction.commit().await.map_err(storage_error)?;
        Ok(gone)
    }

    async fn count_selected_to_remind(
        &self,
        selection: &ReminderSelection,
        limit: u32,
    ) -> Result<u32, StorageError> {
        self.count_selected(&SelectedList::to_remind(selection), limit).await
    }

    async fn list_selected_to_remind(
        &self,
        selection: &ReminderSelection,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<User>, StorageError> {
        let mut transaction = self.readers.begin().await.map_err(storage_error)?;
        SelectedList::to_remind(selection).page(&mut transaction, size, after.as_ref()).await
    }

    async fn remind(
        &self,
        selection: &ReminderSelection,
        reminders: &[NewReminder],
        counters: &[MailCounter],
    ) -> Result<Result<Vec<User>, MailLimitReached>, StorageError> {
        let mut transaction = self.begin().await?;
        let room = match count_mails(&mut transaction, counters, reminders.len(), selection.now).await? {
            Ok(room) => room,
            Err(reached) => return Ok(Err(reached)),
        };
        let mut reminders: Vec<_> = reminders.iter().take(room).collect();
        reminders.sort_by_key(|reminder| reminder.user_id);
        let mut reminded = Vec::new();
        for reminder in reminders {
            reminded.extend(queue(&mut transaction, selection, reminder).await?);
        }
        take_back(&mut transaction, counters, room - reminded.len(), selection.now).await?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(Ok(reminded))
    }
}

impl SqliteRepository {
    async fn count_selected(&self, list: &SelectedList<'_>, limit: u32) -> Result<u32, StorageError> {
        let mut query = QueryBuilder::new("SELECT count(*) FROM (SELECT 1 FROM users WHERE true");
        list.push_conditions(&mut query);
        query.push(" LIMIT ").push_bind(i64::from(limit)).push(") AS counted");
        let count: i64 = query.build_query_scalar().fetch_one(&self.readers).await.map_err(storage_error)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// Appends the event of a deletion.
async fn tell(
    transaction: &mut Transaction<'_, Sqlite>,
    user: &User,
    selection: &PurgeSelection,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO events (kind, create_time, user_id, deletion_reason)
         VALUES ('user_deleted', $1, $2, 'unverified')",
    )
    .bind(selection.now.timestamp_micros())
    .bind(user.id.0)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(())
}

/// Queues a reminder if it is still due; `None` if not.
async fn queue(
    transaction: &mut Transaction<'_, Sqlite>,
    selection: &ReminderSelection,
    reminder: &NewReminder,
) -> Result<Option<User>, StorageError> {
    let (now, restarts) = (selection.now.timestamp_micros(), selection.rungs.is_empty());
    let expire_time = reminder.expire_time.timestamp_micros();
    let mut query =
        QueryBuilder::new("UPDATE users SET reminder_count = reminder_count + 1, last_mail_time = ");
    query.push_bind(now);
    query.push(", ladder_day = max(ladder_day, ").push_bind(i64::from(reminder.ladder_day));
    query.push("), profile_expire_time = ").push_bind(expire_time);
    if restarts {
        query.push(", profile_issue_time = ").push_bind(now);
    }
    query.push(" WHERE email = ").push_bind(&reminder.email);
    if !restarts {
        query.push(" AND profile_expire_time = ").push_bind(expire_time);
    }
    query.push(" AND ");
    SelectedList::to_remind(selection).push_still_selected(&mut query, &[reminder.user_id]);
    query.push(concat!(" RETURNING ", user_columns!()));
    let row = query.build().fetch_optional(&mut **transaction).await.map_err(storage_error)?;
    let Some(user) = row.as_ref().map(user).transpose()? else { return Ok(None) };
    let issue = KeyIssue {
        user_id: user.id,
        email: reminder.email.clone(),
        digest: reminder.digest,
        code: None,
        mail: Some(reminder.mail.clone()),
        now: selection.now,
        request: None,
        counters: Vec::new(),
    };
    insert_key(transaction, &user, &issue).await?;
    append_event(transaction, EventKind::UserReminded, user.id, now).await?;
    Ok(Some(user))
}

/// The never-verified users whom a caller selects for an act.
struct SelectedList<'a> {
    list: UnverifiedList<'a>,
    act: Act<'a>,
}

/// What is to be done to them.
enum Act<'a> {
    Purge,
    Remind(&'a ReminderSelection),
}

impl<'a> SelectedList<'a> {
    fn to_purge(selection: &'a PurgeSelection) -> Self {
        Self { list: UnverifiedList { filter: &selection.filter, now: selection.now }, act: Act::Purge }
    }

    fn to_remind(selection: &'a ReminderSelection) -> Self {
        let list = UnverifiedList { filter: &selection.filter, now: selection.now };
        Self { list, act: Act::Remind(selection) }
    }

    /// Those of `ids` for whom every condition holds.
    fn push_still_selected(&self, query: &mut QueryBuilder<Sqlite>, ids: &[UserId]) {
        query.push("id IN (");
        let mut list = query.separated(", ");
        for id in ids {
            list.push_bind(id.0);
        }
        query.push(")");
        self.push_conditions(query);
    }
}

impl List for SelectedList<'_> {
    fn username_prefix(&self) -> Option<&UsernameKey> {
        self.list.username_prefix()
    }

    fn push_served(&self, query: &mut QueryBuilder<Sqlite>) {
        self.list.push_served(query);
    }

    fn push_residual(&self, query: &mut QueryBuilder<Sqlite>) {
        self.list.push_residual(query);
        let selection = match self.act {
            Act::Purge => {
                query.push(purge_conditions!());
                return;
            }
            Act::Remind(selection) => selection,
        };
        query.push(reminder_conditions!());
        query.push(" AND reminder_count < ").push_bind(i64::from(selection.max_count));
        query
            .push(" AND (last_mail_time IS NULL OR last_mail_time <= ")
            .push_bind(selection.mailed_until.timestamp_micros())
            .push(")");
        if selection.rungs.is_empty() {
            return;
        }
        query
            .push(" AND profile_expire_time > ")
            .push_bind(selection.now.timestamp_micros())
            .push(" AND (false");
        for rung in &selection.rungs {
            query.push(" OR (profile_issue_time <= ").push_bind(rung.issued_until.timestamp_micros());
            query.push(" AND ladder_day < ").push_bind(i64::from(rung.day)).push(")");
        }
        query.push(")");
    }
}
