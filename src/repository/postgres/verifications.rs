//! The keys that verify email addresses.

use async_trait::async_trait;
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    PostgresRepository, Transaction, append_event,
    email_addresses::{commit, lock_addresses},
    keys::is_taken,
    mail_counts::count_mail,
    outbox::insert_mail,
    requests::remember,
    storage_error,
};
use crate::{
    domain::{
        event::EventKind,
        policy,
        user::UserId,
        user_email_address::{
            AddressRefusal, UserEmailAddress, VerificationRefusal, refuse_issue, refuse_verification,
        },
    },
    repository::{
        StorageError, Verification, VerificationKeyIssue, VerificationKeyRefusal, Verifications,
        VerifiedAddress, VerifyRefusal,
    },
};

#[async_trait]
impl Verifications for PostgresRepository {
    async fn issue_verification_key(
        &self,
        issue: &VerificationKeyIssue,
    ) -> Result<Result<Vec<UserEmailAddress>, VerificationKeyRefusal>, StorageError> {
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
        if let Err(refusal) = refuse_issue(&user, &addresses, &issue.email, email_taken) {
            return Ok(Err(refusal.into()));
        }
        insert_verification_key(&mut transaction, issue).await?;
        commit(transaction, user.id).await.map(Ok)
    }

    async fn verify_email_address(
        &self,
        verification: &Verification,
    ) -> Result<Result<VerifiedAddress, VerifyRefusal>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        // Whose it is, so that the user's row is locked first; what it can do is read under that lock.
        let user_id: Option<Uuid> =
            sqlx::query_scalar("SELECT user_id FROM verification_keys WHERE digest = $1")
                .bind(verification.digest.as_bytes())
                .fetch_optional(&mut *transaction)
                .await
                .map_err(storage_error)?;
        let Some(user_id) = user_id.map(UserId) else { return Ok(Err(VerifyRefusal::UnknownKey)) };
        let Some((user, addresses)) = lock_addresses(&mut transaction, user_id).await? else {
            return Ok(Err(VerifyRefusal::UnknownKey));
        };
        let key = sqlx::query(
            "SELECT email, expire_time FROM verification_keys WHERE digest = $1 AND user_id = $2",
        )
        .bind(verification.digest.as_bytes())
        .bind(user_id.0)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(storage_error)?;
        let Some(key) = key else { return Ok(Err(VerifyRefusal::UnknownKey)) };
        let email: String = key.try_get("email").map_err(storage_error)?;
        let expire_time = key.try_get("expire_time").map_err(storage_error)?;
        let address = addresses.iter().find(|address| address.email == email);
        let address = address.ok_or(StorageError::Corrupt("a verification key"))?;
        if let Err(refusal) = refuse_verification(&user, address, expire_time, false, verification.now) {
            return Ok(Err(VerifyRefusal::Key(refusal)));
        }
        // Whoever else is about to verify it is waited for.
        let claimed = sqlx::query(
            "INSERT INTO verified_email_addresses (email, user_id) VALUES ($1, $2) ON CONFLICT (email) DO NOTHING",
        )
        .bind(&email)
        .bind(user_id.0)
        .execute(&mut *transaction)
        .await
        .map_err(storage_error)?;
        if claimed.rows_affected() == 0 {
            return Ok(Err(VerifyRefusal::Key(VerificationRefusal::EmailTaken)));
        }
        sqlx::query("UPDATE email_addresses SET verify_time = $3 WHERE user_id = $1 AND email = $2")
            .bind(user_id.0)
            .bind(&email)
            .bind(verification.now)
            .execute(&mut *transaction)
            .await
            .map_err(storage_error)?;
        sqlx::query(
            "UPDATE users SET any_email_verified = true, email_verified = (email_verified OR email = $2)
             WHERE id = $1",
        )
        .bind(user_id.0)
        .bind(&email)
        .execute(&mut *transaction)
        .await
        .map_err(storage_error)?;
        append_event(&mut transaction, EventKind::EmailAddressVerified, user_id, verification.now).await?;
        let addresses = commit(transaction, user_id).await?;
        Ok(Ok(VerifiedAddress { user_id, email, addresses }))
    }
}

/// Adds a key to an address of a user whose row is locked, drops the keys beyond the newest (X15), and queues the mail.
pub(super) async fn insert_verification_key(
    transaction: &mut Transaction,
    issue: &VerificationKeyIssue,
) -> Result<(), StorageError> {
    let email = issue.email.as_str();
    sqlx::query(
        "DELETE FROM verification_keys WHERE digest IN (
             SELECT digest FROM verification_keys WHERE user_id = $1 AND email = $2
             ORDER BY issue_time DESC, digest OFFSET $3
         )",
    )
    .bind(issue.user_id.0)
    .bind(email)
    .bind(i64::from(policy::MAX_LIVE_KEYS) - 1)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    sqlx::query(
        "INSERT INTO verification_keys (digest, user_id, email, issue_time, expire_time)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(issue.digest.as_bytes())
    .bind(issue.user_id.0)
    .bind(email)
    .bind(issue.now)
    .bind(issue.expire_time)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    insert_mail(transaction, issue.user_id, email, &issue.mail, issue.now).await
}

/// Deletes the keys of a user's unverified addresses; those of verified ones are spent, and go on saying so.
pub(super) async fn delete_unspent_keys(
    transaction: &mut Transaction,
    user_id: UserId,
) -> Result<(), StorageError> {
    sqlx::query(
        "DELETE FROM verification_keys WHERE user_id = $1 AND email IN (
             SELECT email FROM email_addresses WHERE user_id = $1 AND verify_time IS NULL
         )",
    )
    .bind(user_id.0)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(())
}
