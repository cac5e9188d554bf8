//! Leases: work that one of several servers does at a time.

use async_trait::async_trait;
use uuid::Uuid;

use super::{SqliteRepository, optional_instant, storage_error};
use crate::{
    domain::{Timestamp, lease::Work},
    repository::{LeaseRequest, Leased, Leases, StorageError},
};

#[async_trait]
impl Leases for SqliteRepository {
    async fn take_lease(&self, request: &LeaseRequest) -> Result<Leased, StorageError> {
        let mut transaction = self.begin().await?;
        let taken = sqlx::query(
            "INSERT INTO leases (work, holder, expire_time) VALUES ($1, $2, $3)
             ON CONFLICT (work) DO UPDATE SET holder = excluded.holder, expire_time = excluded.expire_time
             WHERE (leases.holder IS NULL OR leases.holder = excluded.holder OR leases.expire_time <= $4)
                 AND (leases.run_time IS NULL OR leases.run_time <= $5)
             RETURNING work",
        )
        .bind(request.work.as_str())
        .bind(request.holder)
        .bind(request.expire_time.timestamp_micros())
        .bind(request.now.timestamp_micros())
        .bind(request.due_since.timestamp_micros())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(storage_error)?;
        if taken.is_some() {
            transaction.commit().await.map_err(storage_error)?;
            return Ok(Leased::Taken);
        }
        let row = sqlx::query("SELECT run_time FROM leases WHERE work = $1")
            .bind(request.work.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(storage_error)?;
        let run_time = match &row {
            Some(row) => optional_instant(row, "run_time")?,
            None => None,
        };
        Ok(match run_time {
            Some(run_time) if run_time > request.due_since => Leased::Done { run_time },
            Some(_) | None => Leased::Held,
        })
    }

    async fn release_lease(
        &self,
        work: Work,
        holder: Uuid,
        run_time: Option<Timestamp>,
    ) -> Result<bool, StorageError> {
        let mut transaction = self.begin().await?;
        let released = sqlx::query(
            "UPDATE leases SET holder = NULL, expire_time = NULL, run_time = coalesce($3, run_time)
             WHERE work = $1 AND holder = $2",
        )
        .bind(work.as_str())
        .bind(holder)
        .bind(run_time.map(|time| time.timestamp_micros()))
        .execute(&mut *transaction)
        .await
        .map_err(storage_error)?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(released.rows_affected() == 1)
    }
}
