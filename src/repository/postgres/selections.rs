//! What is done to the never-verified whom a caller selects: purging and reminding.

use async_trait::async_trait;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::{
    PostgresRepository, Transaction,
    mail_counts::{count_mails, take_back},
    page::List,
    storage_error,
    unverified::UnverifiedList,
    user, user_columns,
};
use crate::{
    domain::{
        mail::MailKind,
        mail_limit::{MailCounter, MailLimitReached},
        page::{Page, PageKey, PageSize},
        policy,
        reminder::ReminderSelection,
        unverified::PurgeSelection,
        user::{User, UserId},
        username::UsernameKey,
    },
    repository::{
        NewReminder, Selections, StorageError,
        selections::{purge_conditions, reminder_conditions},
    },
};

#[async_trait]
impl Selections for PostgresRepository {
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
        let mut transaction = self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        SelectedList::to_purge(selection).page(&mut transaction, size, after.as_ref()).await
    }

    async fn purge_selected(
        &self,
        selection: &PurgeSelection,
        ids: &[UserId],
    ) -> Result<Vec<User>, StorageError> {
        let list = SelectedList::to_purge(selection);
        let mut query = QueryBuilder::new("WITH chosen AS (SELECT id FROM users WHERE ");
        list.push_still_selected(&mut query, ids);
        query.push(
            " ORDER BY id FOR UPDATE SKIP LOCKED
             ), gone AS (
                 DELETE FROM users WHERE id IN (SELECT id FROM chosen) AND ",
        );
        // The purge checks again, on the rows as they are under its locks.
        list.push_still_selected(&mut query, ids);
        query.push(concat!(
            " RETURNING ",
            user_columns!(),
            "
             ), new_event AS (
                 INSERT INTO events (kind, create_time, user_id, deletion_reason)
                 SELECT 'user_deleted', "
        ));
        query.push_bind(selection.now).push(concat!(
            ", id, 'unverified' FROM gone ORDER BY id
             )
             SELECT ",
            user_columns!(),
            " FROM gone ORDER BY id"
        ));
        let rows = query.build().persistent(false).fetch_all(&self.pool).await.map_err(storage_error)?;
        rows.iter().map(user).collect()
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
        let mut transaction = self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        SelectedList::to_remind(selection).page(&mut transaction, size, after.as_ref()).await
    }

    async fn remind(
        &self,
        selection: &ReminderSelection,
        reminders: &[NewReminder],
        counters: &[MailCounter],
    ) -> Result<Result<Vec<User>, MailLimitReached>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        // Before any user is locked: whoever holds a count may be waiting for one.
        let room = match count_mails(&mut transaction, counters, reminders.len(), selection.now).await? {
            Ok(room) => room,
            Err(reached) => return Ok(Err(reached)),
        };
        let reminders = reminders.get(..room).unwrap_or_default();
        let list = SelectedList::to_remind(selection);
        let ids: Vec<_> = reminders.iter().map(|reminder| reminder.user_id).collect();
        let mut query = QueryBuilder::new("SELECT id FROM users WHERE ");
        list.push_still_selected(&mut query, &ids);
        query.push(" ORDER BY id FOR UPDATE SKIP LOCKED");
        let locked: Vec<Uuid> = query
            .build_query_scalar()
            .persistent(false)
            .fetch_all(&mut *transaction)
            .await
            .map_err(storage_error)?;
        // A statement of its own sees the keys as they are under the locks.
        let due: Vec<_> = reminders.iter().filter(|reminder| locked.contains(&reminder.user_id.0)).collect();
        let reminded = queue(&mut transaction, selection, &due).await?;
        take_back(&mut transaction, counters, room - reminded.len(), selection.now).await?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(Ok(reminded))
    }
}

impl PostgresRepository {
    async fn count_selected(&self, list: &SelectedList<'_>, limit: u32) -> Result<u32, StorageError> {
        let mut query = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM users WHERE true");
        list.push_conditions(&mut query);
        query.push(" LIMIT ").push_bind(i64::from(limit)).push(") AS counted");
        let count: i64 = query
            .build_query_scalar()
            .persistent(false)
            .fetch_one(&self.pool)
            .await
            .map_err(storage_error)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// `$1` to `$7` are the reminders, `$8` the instant, `$9` whether windows start again, `$10` how many keys live.
const QUEUE: &str = concat!(
    "
WITH reminder AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::bytea[], $6::timestamptz[], $7::integer[])
        AS r (user_id, email, digest, mail_id, sealed_text, expire_time, ladder_day)
), reminded AS (
    UPDATE users u SET
        reminder_count = u.reminder_count + 1, last_mail_time = $8, ladder_day = greatest(u.ladder_day, r.ladder_day),
        profile_issue_time = CASE WHEN $9 THEN $8 ELSE u.profile_issue_time END, profile_expire_time = r.expire_time
    FROM reminder r
    WHERE u.id = r.user_id AND u.email = r.email AND ($9 OR u.profile_expire_time = r.expire_time)
    RETURNING u.*
), dead_key AS (
    DELETE FROM activation_keys WHERE digest IN (
        SELECT digest FROM (
            SELECT k.digest, row_number() OVER (PARTITION BY k.user_id ORDER BY k.issue_time DESC, k.digest) AS place
            FROM activation_keys k WHERE k.user_id IN (SELECT id FROM reminded)
        ) AS placed
        WHERE place >= $10
    )
), new_key AS (
    INSERT INTO activation_keys (digest, user_id, email, issue_time)
    SELECT r.digest, r.user_id, r.email, $8 FROM reminder r WHERE r.user_id IN (SELECT id FROM reminded)
), new_mail AS (
    INSERT INTO mails (
        id, user_id, kind, recipient, state, sealed_text, key_digest, next_attempt_time, create_time, expire_time
    )
    SELECT r.mail_id, r.user_id, $11, r.email, 'QUEUED', r.sealed_text, r.digest, $8, $8, r.expire_time
    FROM reminder r WHERE r.user_id IN (SELECT id FROM reminded)
), new_event AS (
    INSERT INTO events (kind, create_time, user_id)
    SELECT 'user_reminded', $8, id FROM reminded ORDER BY id
)
SELECT ",
    user_columns!(),
    " FROM reminded ORDER BY id"
);

/// Queues reminders for users whose rows are locked.
async fn queue(
    transaction: &mut Transaction,
    selection: &ReminderSelection,
    reminders: &[&NewReminder],
) -> Result<Vec<User>, StorageError> {
    let each = || reminders.iter();
    sqlx::query(QUEUE)
        .bind(each().map(|reminder| reminder.user_id.0).collect::<Vec<_>>())
        .bind(each().map(|reminder| reminder.email.clone()).collect::<Vec<_>>())
        .bind(each().map(|reminder| reminder.digest.as_bytes().to_vec()).collect::<Vec<_>>())
        .bind(each().map(|reminder| reminder.mail.id.0).collect::<Vec<_>>())
        .bind(each().map(|reminder| reminder.mail.sealed_text.clone()).collect::<Vec<_>>())
        .bind(each().map(|reminder| reminder.expire_time).collect::<Vec<_>>())
        .bind(
            each().map(|reminder| i32::try_from(reminder.ladder_day).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
        )
        .bind(selection.now)
        .bind(selection.rungs.is_empty())
        .bind(i64::from(policy::MAX_LIVE_KEYS))
        .bind(MailKind::Reminder.as_str())
        .fetch_all(&mut **transaction)
        .await
        .map_err(storage_error)?
        .iter()
        .map(user)
        .collect()
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

    /// Those of `ids` for whom every condition holds. `IS TRUE` keeps the planner from walking an index of the conditions
    /// past everybody for the sake of a few ids.
    fn push_still_selected(&self, query: &mut QueryBuilder<Postgres>, ids: &[UserId]) {
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        query.push("id = ANY(").push_bind(ids).push(") AND (true");
        self.push_conditions(query);
        query.push(") IS TRUE");
    }
}

impl List for SelectedList<'_> {
    fn username_prefix(&self) -> Option<&UsernameKey> {
        self.list.username_prefix()
    }

    fn push_served(&self, query: &mut QueryBuilder<Postgres>) {
        self.list.push_served(query);
    }

    fn push_residual(&self, query: &mut QueryBuilder<Postgres>) {
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
            .push_bind(selection.mailed_until)
            .push(")");
        if selection.rungs.is_empty() {
            return;
        }
        query.push(" AND profile_expire_time > ").push_bind(selection.now).push(" AND (false");
        for rung in &selection.rungs {
            query.push(" OR (profile_issue_time <= ").push_bind(rung.issued_until);
            query.push(" AND ladder_day < ").push_bind(i64::from(rung.day)).push(")");
        }
        query.push(")");
    }
}
