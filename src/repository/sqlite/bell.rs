//! The mail bell between servers: there is none, since one process serves an SQLite file. What commands queue beside it
//! is found within a second.

use std::future;

use async_trait::async_trait;

use super::SqliteRepository;
use crate::repository::{Bell, StorageError};

#[async_trait]
impl Bell for SqliteRepository {
    async fn ring_mail_bell(&self) -> Result<(), StorageError> {
        Ok(())
    }

    async fn hear_mail_bell(&self, _heard: &mut (dyn FnMut() + Send)) -> Result<(), StorageError> {
        future::pending().await
    }
}
