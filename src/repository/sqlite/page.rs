//! Walks a list of users page by page, along an index (U4).

use sqlx::{QueryBuilder, Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{id, instant, storage_error, user, user_columns};
use crate::{
    domain::{
        page::{Page, PageKey, PageSize},
        user::User,
        username::UsernameKey,
    },
    repository::{StorageError, unverified::MAX_ROWS_EXAMINED},
};

/// A list: which users, in which order.
pub(super) trait List {
    /// What the usernames begin with; such a list is in the order of usernames.
    fn username_prefix(&self) -> Option<&UsernameKey>;

    /// The conditions that an index walks along in the order (`create_time`, `id`), each with its `AND`.
    fn push_served(&self, query: &mut QueryBuilder<Sqlite>);

    /// The conditions that no index serves.
    fn push_residual(&self, _query: &mut QueryBuilder<Sqlite>) {}

    /// The conditions that are checked row by row, on a bounded number of rows: in the order of usernames all of them.
    fn push_checked(&self, query: &mut QueryBuilder<Sqlite>) {
        if self.username_prefix().is_some() {
            self.push_served(query);
        }
        self.push_residual(query);
    }

    /// Every condition, each with its `AND`: for a statement about certain users, or about all.
    fn push_conditions(&self, query: &mut QueryBuilder<Sqlite>) {
        if let Some(prefix) = self.username_prefix() {
            push_prefix(query, prefix);
        }
        self.push_served(query);
        self.push_residual(query);
    }

    /// A page behind `after`. The transaction is one snapshot, so that the last row examined is the same for both
    /// queries.
    async fn page(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        size: PageSize,
        after: Option<&PageKey>,
    ) -> Result<Page<User>, StorageError> {
        let order = if self.username_prefix().is_some() {
            " ORDER BY username_key"
        } else {
            " ORDER BY create_time, id"
        };
        let mut query = QueryBuilder::new(concat!(
            "SELECT ",
            user_columns!(),
            ", username_key FROM (SELECT * FROM users"
        ));
        self.push_walk(&mut query, after);
        query.push(order).push(" LIMIT ").push_bind(i64::from(MAX_ROWS_EXAMINED));
        query.push(") AS examined WHERE true");
        self.push_checked(&mut query);
        query.push(order).push(" LIMIT ").push_bind(i64::try_from(size.get() + 1).unwrap_or(i64::MAX));
        let rows = query.build().fetch_all(&mut **transaction).await.map_err(storage_error)?;
        let mut items = rows.iter().map(user).collect::<Result<Vec<_>, _>>()?;
        if items.len() > size.get() {
            items.truncate(size.get());
            let last = rows.get(size.get() - 1);
            return Ok(Page { items, next: last.map(|row| self.page_key(row)).transpose()? });
        }
        let mut query = QueryBuilder::new("SELECT create_time, id, username_key FROM users");
        self.push_walk(&mut query, after);
        query.push(order).push(" LIMIT 1 OFFSET ").push_bind(i64::from(MAX_ROWS_EXAMINED) - 1);
        let last_examined = query.build().fetch_optional(&mut **transaction).await.map_err(storage_error)?;
        Ok(Page { items, next: last_examined.map(|row| self.page_key(&row)).transpose()? })
    }

    /// The rows that a page may examine.
    fn push_walk(&self, query: &mut QueryBuilder<Sqlite>, after: Option<&PageKey>) {
        query.push(" WHERE true");
        match after {
            // No list of users is in the order of addresses.
            None | Some(PageKey::Email(_)) => {}
            Some(PageKey::Created { create_time, id }) => {
                query.push(" AND (create_time, id) > (").push_bind(create_time.timestamp_micros());
                query.push(", ").push_bind(*id).push(")");
            }
            Some(PageKey::Username(key)) => {
                query.push(" AND username_key > ").push_bind(key.clone());
            }
        }
        match self.username_prefix() {
            None => self.push_served(query),
            Some(prefix) => push_prefix(query, prefix),
        }
    }

    /// The place of a row in the list.
    fn page_key(&self, row: &SqliteRow) -> Result<PageKey, StorageError> {
        if self.username_prefix().is_some() {
            return Ok(PageKey::Username(row.try_get("username_key").map_err(storage_error)?));
        }
        Ok(PageKey::Created { create_time: instant(row, "create_time")?, id: id(row, "id")? })
    }
}

/// Usernames that begin with `prefix`: those between it and it with the last character that there is behind it.
fn push_prefix(query: &mut QueryBuilder<Sqlite>, prefix: &UsernameKey) {
    query.push(" AND username_key >= ").push_bind(prefix.as_str().to_owned());
    query.push(" AND username_key < ").push_bind(format!("{}{}", prefix.as_str(), char::MAX));
}
