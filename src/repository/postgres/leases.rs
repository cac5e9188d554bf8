//! Leases: work that one of several servers does at a time.

use async_trait::async_trait;
use sqlx::Row as _;
use uuid::Uuid;

use super::{PostgresRepository, storage_error};
use crate::{
    domain::{Timestamp, lease::Work},
    repository::{LeaseRequest, Leased, Leases, StorageError},
};

#[async_trait]
impl Leases for PostgresRepository {
    async fn take_lease(&self, request: &LeaseRequest) -> Result<Leased, StorageError> {
        let taken = sqlx::query(
            "INSERT INTO leases (work, holder, expire_time) VALUES ($1, $2, $3)
             ON CONFLICT (work) DO UPDATE SET holder = EXCLUDED.holder, expire_time = EXCLUDED.expire_time
             WHERE (leases.holder IS NULL OR leases.holder = EXCLUDED.holder OR leases.expire_time <= $4)
                 AND (leases.run_time IS NULL OR leases.run_time <= $5)
             RETURNING work",
        )
        .bind(request.work.as_str())
        .bind(request.holder)
        .bind(request.expire_time)
        .bind(request.now)
        .bind(request.due_since)
        .fetch_optional(&self.pool)
        .await
        .map_err(storage_error)?;
        if taken.is_some() {
            return Ok(Leased::Taken);
        }
        let row = sqlx::query("SELECT run_time FROM leases WHERE work = $1")
            .bind(request.work.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(storage_error)?;
        let run_time: Option<Timestamp> = match &row {
            Some(row) => row.try_get("run_time").map_err(storage_error)?,
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
        let released = sqlx::query(
            "UPDATE leases SET holder = NULL, expire_time = NULL, run_time = coalesce($3, run_time)
             WHERE work = $1 AND holder = $2 RETURNING work",
        )
        .bind(work.as_str())
        .bind(holder)
        .bind(run_time)
        .fetch_optional(&self.pool)
        .await
        .map_err(storage_error)?;
        Ok(released.is_some())
    }
}
