//! The mail bell between servers: NOTIFY after the commit, many mails at once, since one inside of the transaction would
//! have the commits queue up.

use async_trait::async_trait;
use sqlx::postgres::{PgListener, PgPoolOptions};

use super::{PostgresRepository, storage_error};
use crate::repository::{Bell, StorageError};

const CHANNEL: &str = "vestibule_mail";
/// What the session calls itself, as it is none of those that acts use.
const APPLICATION_NAME: &str = "vestibule-bell";

#[async_trait]
impl Bell for PostgresRepository {
    async fn ring_mail_bell(&self) -> Result<(), StorageError> {
        sqlx::query("SELECT pg_notify($1, '')")
            .bind(CHANNEL)
            .execute(&self.pool)
            .await
            .map_err(storage_error)?;
        Ok(())
    }

    async fn hear_mail_bell(&self, heard: &mut (dyn FnMut() + Send)) -> Result<(), StorageError> {
        let options = self.pool.options().clone().application_name(APPLICATION_NAME);
        let session = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&session).await.map_err(storage_error)?;
        listener.listen(CHANNEL).await.map_err(storage_error)?;
        // Whatever was queued while nobody listened.
        heard();
        loop {
            // Nothing comes where the connection was lost, and a ring with it.
            listener.try_recv().await.map_err(storage_error)?;
            heard();
        }
    }
}
