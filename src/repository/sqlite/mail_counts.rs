//! How many mails were asked for.

use std::slice;

use async_trait::async_trait;
use sqlx::{QueryBuilder, Row as _, Sqlite, Transaction};

use super::{SqliteRepository, optional_instant, storage_error};
use crate::{
    domain::{
        Timestamp,
        mail_limit::{MailCounter, MailLimitReached, last_span_past, span_of},
    },
    repository::{MailCounts, StorageError},
};

#[async_trait]
impl MailCounts for SqliteRepository {
    async fn forget_mail_counts(&self, before: Timestamp, limit: u32) -> Result<u32, StorageError> {
        self.forget(
            "DELETE FROM mail_counts WHERE (counter, start_time, shard) IN (
                 SELECT counter, start_time, shard FROM mail_counts WHERE start_time <= $1
                 ORDER BY start_time LIMIT $2
             )",
            before,
            limit,
        )
        .await
    }
}

const COUNT: &str = "
INSERT INTO mail_counts (counter, shard, start_time, count) VALUES ($1, $2, $3, 1)
ON CONFLICT (counter, start_time, shard) DO UPDATE SET count = count + 1";

/// Adds a mail to each counter, or says which is full.
pub(super) async fn count_mail(
    transaction: &mut Transaction<'_, Sqlite>,
    counters: &[MailCounter],
    now: Timestamp,
) -> Result<Result<(), MailLimitReached>, StorageError> {
    for counter in counters {
        let mut query = QueryBuilder::new(
            "SELECT coalesce(sum(count), 0) AS mails, min(start_time) AS oldest
             FROM mail_counts WHERE start_time > ",
        );
        query.push_bind(last_span_past(now).timestamp_micros()).push(" AND counter IN (");
        let mut macs = query.separated(", ");
        for mac in &counter.macs {
            macs.push_bind(mac.0.to_vec());
        }
        query.push(")");
        let row = query.build().fetch_one(&mut **transaction).await.map_err(storage_error)?;
        let mails: i64 = row.try_get("mails").map_err(storage_error)?;
        if mails >= i64::from(counter.most) {
            return Ok(Err(counter.reached(optional_instant(&row, "oldest")?.unwrap_or(now), now)));
        }
        sqlx::query(COUNT)
            .bind(counter.macs.first().map(|mac| mac.0.to_vec()))
            .bind(counter.shard)
            .bind(span_of(now).timestamp_micros())
            .execute(&mut **transaction)
            .await
            .map_err(storage_error)?;
    }
    Ok(Ok(()))
}

/// Adds up to so many mails to each counter, to all the same number, and says how many; a refusal if it is none.
pub(super) async fn count_mails(
    transaction: &mut Transaction<'_, Sqlite>,
    counters: &[MailCounter],
    mails: usize,
    now: Timestamp,
) -> Result<Result<usize, MailLimitReached>, StorageError> {
    let mut room = mails;
    for (place, counter) in counters.iter().enumerate() {
        for counted in 0..room {
            let Err(reached) = count_mail(transaction, slice::from_ref(counter), now).await? else {
                continue;
            };
            if counted == 0 {
                return Ok(Err(reached));
            }
            let before = counters.get(..place).unwrap_or_default();
            take_back(transaction, before, room - counted, now).await?;
            room = counted;
            break;
        }
    }
    Ok(Ok(room))
}

/// Takes mails from each counter that the transaction itself has added.
pub(super) async fn take_back(
    transaction: &mut Transaction<'_, Sqlite>,
    counters: &[MailCounter],
    mails: usize,
    now: Timestamp,
) -> Result<(), StorageError> {
    if mails == 0 {
        return Ok(());
    }
    let mails = i64::try_from(mails).unwrap_or(i64::MAX);
    for counter in counters {
        // A row never counts nothing: it goes.
        for statement in [
            "DELETE FROM mail_counts WHERE counter = $1 AND shard = $2 AND start_time = $3 AND count = $4",
            "UPDATE mail_counts SET count = count - $4
             WHERE counter = $1 AND shard = $2 AND start_time = $3 AND count > $4",
        ] {
            sqlx::query(statement)
                .bind(counter.macs.first().map(|mac| mac.0.to_vec()))
                .bind(counter.shard)
                .bind(span_of(now).timestamp_micros())
                .bind(mails)
                .execute(&mut **transaction)
                .await
                .map_err(storage_error)?;
        }
    }
    Ok(())
}
