//! Leases: work that one of several servers does at a time.

use async_trait::async_trait;
use uuid::Uuid;

use super::StorageError;
use crate::domain::{Timestamp, lease::Work};

/// A lease that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct LeaseRequest {
    /// What for.
    pub work: Work,
    /// By whom.
    pub holder: Uuid,
    /// The present instant.
    pub now: Timestamp,
    /// When it runs out, unless it is given back before.
    pub expire_time: Timestamp,
    /// The work is due unless it was done after this instant.
    pub due_since: Timestamp,
}

/// What became of asking for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leased {
    /// It is taken.
    Taken,
    /// Somebody else holds it.
    Held,
    /// The work was done not long ago.
    Done {
        /// When that was begun.
        run_time: Timestamp,
    },
}

/// The part of a store that hands out leases.
#[async_trait]
pub trait Leases {
    /// Takes the lease if the work is due and nobody else holds a live one; whoever holds it already renews it. A lease is
    /// live until a microsecond before its end. Of several who ask at once one gets it.
    async fn take_lease(&self, request: &LeaseRequest) -> Result<Leased, StorageError>;

    /// Gives a lease back, and remembers with `run_time` when work was begun that is done.
    /// False, and nothing changed, if it went to somebody else.
    async fn release_lease(
        &self,
        work: Work,
        holder: Uuid,
        run_time: Option<Timestamp>,
    ) -> Result<bool, StorageError>;
}
