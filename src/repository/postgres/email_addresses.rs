//! The email addresses of users. Every act locks the user's row first.

use async_trait::async_trait;
use sqlx::{Executor, Postgres, Row as _, postgres::PgRow};

use super::{
    PostgresRepository, Transaction, append_event, keys::is_taken, lock_user, mail_counts::count_mail,
    outbox::insert_mail, requests::remember, storage_error, verifications::insert_verification_key,
};
use crate::{
    domain::{
        event::EventKind,
        user::{User, UserId},
        user_email_address::{
            AddressRefusal, UserEmailAddress, refuse_addition, refuse_primary, refuse_removal,
        },
    },
    repository::{
        AddressRemoval, EmailAddresses, NewEmailAddress, PrimaryChange, StorageError, VerificationKeyRefusal,
    },
};

#[async_trait]
impl EmailAddresses for PostgresRepository {
    async fn list_email_addresses(&self, user_id: UserId) -> Result<Vec<UserEmailAddress>, StorageError> {
        list(&self.pool, user_id).await
    }

    async fn add_email_address(
        &self,
        addition: &NewEmailAddress,
    ) -> Result<Result<Vec<UserEmailAddress>, VerificationKeyRefusal>, StorageError> {
        let issue = &addition.issue;
        let mut transaction = self.begin("BEGIN").await?;
        if !remember(&mut transaction, issue.request.as_ref()).await? {
            return Ok(Err(VerificationKeyRefusal::RequestDone));
        }
        if let Err(reached) = count_mail(&mut transaction, &issue.counters, issue.now).await? {
            return Ok(Err(VerificationKeyRefusal::MailLimit(reached)));
        }
        let Some((user, addresses)) = lock_addresses(&mut transaction, issue.user_id).await? else {
            return Ok(Err(AddressRefusal::UserNotFound.into()));
        };
        let email_taken = is_taken(&mut transaction, issue.email.as_str(), issue.user_id).await?;
        if let Err(refusal) = refuse_addition(&user, &addresses, &issue.email, email_taken, addition.max) {
            return Ok(Err(refusal.into()));
        }
        sqlx::query(
            "INSERT INTO email_addresses (user_id, email, is_primary, create_time) VALUES ($1, $2, false, $3)",
        )
        .bind(user.id.0)
        .bind(issue.email.as_str())
        .bind(issue.now)
        .execute(&mut *transaction)
        .await
        .map_err(storage_error)?;
        insert_verification_key(&mut transaction, issue).await?;
        commit(transaction, user.id).await.map(Ok)
    }

    async fn set_primary_email_address(
        &self,
        change: &PrimaryChange,
    ) -> Result<Result<Vec<UserEmailAddress>, AddressRefusal>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        let Some((user, addresses)) = lock_addresses(&mut transaction, change.user_id).await? else {
            return Ok(Err(AddressRefusal::UserNotFound));
        };
        if let Err(refusal) = refuse_primary(&user, &addresses, &change.email) {
            return Ok(Err(refusal));
        }
        if user.email == change.email.as_str() {
            return Ok(Ok(addresses));
        }
        if user.email != change.old_email {
            return Err(StorageError::Conflict("the user's primary address has changed".into()));
        }
        // One after the other: in between there is none, where one statement could come to have two.
        for (email, primary) in [(user.email.as_str(), false), (change.email.as_str(), true)] {
            sqlx::query("UPDATE email_addresses SET is_primary = $3 WHERE user_id = $1 AND email = $2")
                .bind(user.id.0)
                .bind(email)
                .bind(primary)
                .execute(&mut *transaction)
                .await
                .map_err(storage_error)?;
        }
        sqlx::query("UPDATE users SET email = $2, email_domain = $3, email_verified = true WHERE id = $1")
            .bind(user.id.0)
            .bind(change.email.as_str())
            .bind(change.email.domain())
            .execute(&mut *transaction)
            .await
            .map_err(storage_error)?;
        delete_activation_keys(&mut transaction, user.id, &user.email).await?;
        insert_mail(&mut transaction, user.id, &user.email, &change.mail, change.now).await?;
        append_event(&mut transaction, EventKind::PrimaryEmailAddressChanged, user.id, change.now).await?;
        commit(transaction, user.id).await.map(Ok)
    }

    async fn remove_email_address(
        &self,
        removal: &AddressRemoval,
    ) -> Result<Result<Vec<UserEmailAddress>, AddressRefusal>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        let Some((user, addresses)) = lock_addresses(&mut transaction, removal.user_id).await? else {
            return Ok(Err(AddressRefusal::UserNotFound));
        };
        if let Err(refusal) = refuse_removal(&user, &addresses, &removal.email) {
            return Ok(Err(refusal));
        }
        let email = removal.email.as_str();
        for statement in [
            // The keys that verify it go with it.
            "DELETE FROM email_addresses WHERE user_id = $1 AND email = $2",
            "DELETE FROM verified_email_addresses WHERE user_id = $1 AND email = $2",
        ] {
            sqlx::query(statement)
                .bind(user.id.0)
                .bind(email)
                .execute(&mut *transaction)
                .await
                .map_err(storage_error)?;
        }
        delete_activation_keys(&mut transaction, user.id, email).await?;
        sqlx::query(
            "UPDATE users SET any_email_verified = EXISTS (
                 SELECT FROM email_addresses a WHERE a.user_id = users.id AND a.verify_time IS NOT NULL
             )
             WHERE id = $1",
        )
        .bind(user.id.0)
        .execute(&mut *transaction)
        .await
        .map_err(storage_error)?;
        // A worker that is sending one just now finds its lease gone.
        sqlx::query(
            "UPDATE mails SET state = 'DISCARDED', finish_time = $3, last_error = 'the address was removed',
                 sealed_text = NULL, lease_expire_time = NULL, claim_token = NULL
             WHERE user_id = $1 AND recipient = $2 AND kind = 'email_verification' AND state = 'QUEUED'",
        )
        .bind(user.id.0)
        .bind(email)
        .bind(removal.now)
        .execute(&mut *transaction)
        .await
        .map_err(storage_error)?;
        commit(transaction, user.id).await.map(Ok)
    }
}

/// Locks a user's row, and reads the addresses, which only whoever holds it changes.
pub(super) async fn lock_addresses(
    transaction: &mut Transaction,
    user_id: UserId,
) -> Result<Option<(User, Vec<UserEmailAddress>)>, StorageError> {
    let Some(user) = lock_user(transaction, user_id).await? else { return Ok(None) };
    let addresses = list(&mut **transaction, user_id).await?;
    Ok(Some((user, addresses)))
}

/// Commits, and answers with the addresses as they are then.
pub(super) async fn commit(
    mut transaction: Transaction,
    user_id: UserId,
) -> Result<Vec<UserEmailAddress>, StorageError> {
    let addresses = list(&mut *transaction, user_id).await?;
    transaction.commit().await.map_err(storage_error)?;
    Ok(addresses)
}

async fn list(
    executor: impl Executor<'_, Database = Postgres>,
    user_id: UserId,
) -> Result<Vec<UserEmailAddress>, StorageError> {
    sqlx::query(
        "SELECT email, is_primary, create_time, verify_time FROM email_addresses WHERE user_id = $1
         ORDER BY is_primary DESC, create_time, email",
    )
    .bind(user_id.0)
    .fetch_all(executor)
    .await
    .map_err(storage_error)?
    .iter()
    .map(address)
    .collect()
}

fn address(row: &PgRow) -> Result<UserEmailAddress, StorageError> {
    Ok(UserEmailAddress {
        email: row.try_get("email").map_err(storage_error)?,
        primary: row.try_get("is_primary").map_err(storage_error)?,
        create_time: row.try_get("create_time").map_err(storage_error)?,
        verify_time: row.try_get("verify_time").map_err(storage_error)?,
    })
}

/// X15: the activation keys of an address die when it is no longer the primary one.
async fn delete_activation_keys(
    transaction: &mut Transaction,
    user_id: UserId,
    email: &str,
) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM activation_keys WHERE user_id = $1 AND email = $2")
        .bind(user_id.0)
        .bind(email)
        .execute(&mut **transaction)
        .await
        .map_err(storage_error)?;
    Ok(())
}
