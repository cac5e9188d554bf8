//! How many mails were asked for.

use std::slice;

use async_trait::async_trait;

use super::{PostgresRepository, Transaction, storage_error};
use crate::{
    domain::{
        Timestamp,
        mail_limit::{MailCounter, MailLimitReached, last_span_past, span_of},
    },
    repository::{MailCounts, StorageError},
};

#[async_trait]
impl MailCounts for PostgresRepository {
    async fn forget_mail_counts(&self, before: Timestamp, limit: u32) -> Result<u32, StorageError> {
        self.forget(
            "DELETE FROM mail_counts WHERE (counter, start_time, shard) IN (
                 SELECT counter, start_time, shard FROM mail_counts WHERE start_time <= $1
                 ORDER BY start_time LIMIT $2 FOR UPDATE SKIP LOCKED
             )",
            before,
            limit,
        )
        .await
    }
}

/// What is counted elsewhere is as the statement's snapshot has it, and what is in the row itself as it is once nobody
/// else adds to it: so one row is never too much, and several by what is added at the same time.
const COUNT: &str = "
WITH counted AS (
    SELECT coalesce(sum(count), 0) AS mails,
        coalesce(sum(count) FILTER (WHERE counter = $1 AND shard = $2 AND start_time = $3), 0) AS here
    FROM mail_counts WHERE counter = ANY($4) AND start_time > $5
)
INSERT INTO mail_counts AS c (counter, shard, start_time, count)
SELECT $1, $2, $3, 1 FROM counted WHERE mails < $6
ON CONFLICT (counter, start_time, shard) DO UPDATE SET count = c.count + 1
    WHERE c.count < $6 - (SELECT mails - here FROM counted)";

/// Adds a mail to each counter, or says which is full. Whoever adds to the same row waits until the transaction ends.
pub(super) async fn count_mail(
    transaction: &mut Transaction,
    counters: &[MailCounter],
    now: Timestamp,
) -> Result<Result<(), MailLimitReached>, StorageError> {
    for counter in counters {
        let macs: Vec<&[u8]> = counter.macs.iter().map(|mac| mac.0.as_slice()).collect();
        let counted = sqlx::query(COUNT)
            .bind(macs.first().copied())
            .bind(i32::from(counter.shard))
            .bind(span_of(now))
            .bind(&macs)
            .bind(last_span_past(now))
            .bind(i64::from(counter.most))
            .execute(&mut **transaction)
            .await
            .map_err(storage_error)?;
        if counted.rows_affected() == 0 {
            let oldest: Option<Timestamp> = sqlx::query_scalar(
                "SELECT min(start_time) FROM mail_counts WHERE counter = ANY($1) AND start_time > $2",
            )
            .bind(&macs)
            .bind(last_span_past(now))
            .fetch_one(&mut **transaction)
            .await
            .map_err(storage_error)?;
            return Ok(Err(counter.reached(oldest.unwrap_or(now), now)));
        }
    }
    Ok(Ok(()))
}

/// Adds up to so many mails to each counter, to all the same number, and says how many; a refusal if it is none.
pub(super) async fn count_mails(
    transaction: &mut Transaction,
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
    transaction: &mut Transaction,
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
                .bind(counter.macs.first().map(|mac| mac.0.as_slice()))
                .bind(i32::from(counter.shard))
                .bind(span_of(now))
                .bind(mails)
                .execute(&mut **transaction)
                .await
                .map_err(storage_error)?;
        }
    }
    Ok(())
}
