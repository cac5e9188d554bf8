//! Listing the never-verified, and purging the expired.

use async_trait::async_trait;
use sqlx::{Executor, QueryBuilder, Sqlite};

use super::{SqliteRepository, page::List, storage_error, user, user_columns};
use crate::{
    domain::{
        Timestamp,
        page::{Page, PageKey, PageSize},
        unverified::{PurgeScope, UnverifiedFilter},
        user::User,
        username::UsernameKey,
    },
    repository::{
        StorageError, Unverified,
        unverified::{purgeable, purgeable_disabled},
    },
};

#[async_trait]
impl Unverified for SqliteRepository {
    async fn list_unverified(
        &self,
        filter: &UnverifiedFilter,
        now: Timestamp,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<User>, StorageError> {
        let mut transaction = self.readers.begin().await.map_err(storage_error)?;
        UnverifiedList { filter, now }.page(&mut transaction, size, after.as_ref()).await
    }

    async fn count_unverified(&self, filter: &UnverifiedFilter, now: Timestamp) -> Result<u64, StorageError> {
        let list = UnverifiedList { filter, now };
        let mut query = QueryBuilder::new("SELECT count(*) FROM users WHERE true");
        list.push_conditions(&mut query);
        let count: i64 = query.build_query_scalar().fetch_one(&self.readers).await.map_err(storage_error)?;
        Ok(count.unsigned_abs())
    }

    async fn count_purgeable(&self, scope: PurgeScope, limit: u32) -> Result<u32, StorageError> {
        let mut count = 0;
        for statements in in_scope(scope) {
            let found: i64 = sqlx::query_scalar(statements.count)
                .bind(scope.now.timestamp_micros())
                .bind(i64::from(limit - count))
                .fetch_one(&self.readers)
                .await
                .map_err(storage_error)?;
            count += u32::try_from(found).unwrap_or(u32::MAX);
        }
        Ok(count)
    }

    async fn list_purgeable(&self, scope: PurgeScope, limit: u32) -> Result<Vec<User>, StorageError> {
        let mut users = Vec::new();
        for statements in in_scope(scope) {
            users.extend(fetch_users(&self.readers, statements.list, scope, left(limit, &users)).await?);
        }
        Ok(users)
    }

    async fn purge(&self, scope: PurgeScope, limit: u32) -> Result<Vec<User>, StorageError> {
        let mut transaction = self.begin().await?;
        for statements in in_scope(scope) {
            sqlx::query(statements.tell)
                .bind(scope.now.timestamp_micros())
                .bind(i64::from(limit))
                .execute(&mut *transaction)
                .await
                .map_err(storage_error)?;
            let mut gone = fetch_users(&mut *transaction, statements.delete, scope, limit).await?;
            if !gone.is_empty() {
                transaction.commit().await.map_err(storage_error)?;
                gone.sort_by_key(|user| (user.profile.map(|profile| profile.expire_time), user.id));
                return Ok(gone);
            }
        }
        Ok(Vec::new())
    }
}

/// What is done to the users of one predicate; `$1` is the present instant, `$2` the limit.
struct Statements {
    count: &'static str,
    list: &'static str,
    /// Appends the events of those whom `delete` takes after it in the same transaction.
    tell: &'static str,
    delete: &'static str,
}

macro_rules! statements {
    ($predicate:expr) => {
        Statements {
            count: concat!(
                "SELECT count(*) FROM (SELECT 1 FROM users WHERE ",
                $predicate,
                " LIMIT $2) AS counted"
            ),
            list: concat!(
                "SELECT ",
                user_columns!(),
                " FROM users WHERE ",
                $predicate,
                " ORDER BY profile_expire_time, id LIMIT $2"
            ),
            tell: concat!(
                "INSERT INTO events (kind, create_time, user_id, deletion_reason)
                 SELECT 'user_deleted', $1, id, 'expired' FROM (",
                chosen!($predicate),
                ") AS chosen ORDER BY id"
            ),
            delete: concat!(
                "DELETE FROM users WHERE id IN (",
                chosen!($predicate),
                ") AND ",
                $predicate,
                " RETURNING ",
                user_columns!()
            ),
        }
    };
}

macro_rules! chosen {
    ($predicate:expr) => {
        concat!("SELECT id FROM users WHERE ", $predicate, " ORDER BY profile_expire_time, id LIMIT $2")
    };
}

const PENDING: Statements = statements!(purgeable!());
const DISABLED: Statements = statements!(purgeable_disabled!());

/// A predicate at a time, because no index serves both at once.
fn in_scope(scope: PurgeScope) -> impl Iterator<Item = Statements> {
    [Some(PENDING), scope.include_disabled.then_some(DISABLED)].into_iter().flatten()
}

fn left(limit: u32, taken: &[User]) -> u32 {
    limit.saturating_sub(u32::try_from(taken.len()).unwrap_or(u32::MAX))
}

async fn fetch_users(
    executor: impl Executor<'_, Database = Sqlite>,
    statement: &'static str,
    scope: PurgeScope,
    limit: u32,
) -> Result<Vec<User>, StorageError> {
    sqlx::query(statement)
        .bind(scope.now.timestamp_micros())
        .bind(i64::from(limit))
        .fetch_all(executor)
        .await
        .map_err(storage_error)?
        .iter()
        .map(user)
        .collect()
}

/// The never-verified users whom a filter selects at an instant.
pub(super) struct UnverifiedList<'a> {
    pub(super) filter: &'a UnverifiedFilter,
    pub(super) now: Timestamp,
}

impl List for UnverifiedList<'_> {
    fn username_prefix(&self) -> Option<&UsernameKey> {
        self.filter.username_prefix.as_ref()
    }

    fn push_served(&self, query: &mut QueryBuilder<Sqlite>) {
        query.push(" AND NOT email_verified");
        if let Some(created_after) = self.filter.created_after {
            query.push(" AND create_time >= ").push_bind(created_after.timestamp_micros());
        }
        if let Some(created_before) = self.filter.created_before {
            query.push(" AND create_time < ").push_bind(created_before.timestamp_micros());
        }
        // Each has an index of its own; of two, one is walked and the other checked.
        if let Some(domain) = &self.filter.email_domain {
            query.push(" AND email_domain = ").push_bind(domain.as_str().to_owned());
        } else if let Some(site) = &self.filter.site {
            query.push(" AND site = ").push_bind(site.as_str().to_owned());
        }
    }

    fn push_residual(&self, query: &mut QueryBuilder<Sqlite>) {
        if let (Some(_), Some(site)) = (&self.filter.email_domain, &self.filter.site) {
            query.push(" AND site = ").push_bind(site.as_str().to_owned());
        }
        if let Some(state) = self.filter.state {
            query.push(" AND state = ").push_bind(state.as_str());
        }
        if !self.filter.include_any_verified {
            query.push(" AND NOT any_email_verified");
        }
        if let Some(idle_since) = self.filter.idle_since {
            query
                .push(" AND (last_login_time IS NULL OR last_login_time < ")
                .push_bind(idle_since.timestamp_micros())
                .push(")");
        }
        match self.filter.expired {
            None => {}
            Some(true) => {
                query
                    .push(" AND (profile_activate_time IS NOT NULL OR profile_expire_time <= ")
                    .push_bind(self.now.timestamp_micros())
                    .push(")");
            }
            Some(false) => {
                query
                    .push(" AND profile_activate_time IS NULL AND profile_expire_time > ")
                    .push_bind(self.now.timestamp_micros());
            }
        }
    }
}
