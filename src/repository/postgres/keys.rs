//! Further keys for users, in a transaction of an act's own.

use super::{
    Transaction, activation_codes::insert_code, lock_user, mail_counts::count_mail, outbox::insert_mail,
    storage_error,
};
use crate::{
    domain::{
        policy,
        profile::refuse_key,
        user::{User, UserId},
    },
    repository::{IssueKeyRefusal, KeyIssue, KeyIssues, StorageError},
};

/// Adds a key to a user who can have one.
pub(super) async fn issue_one(
    transaction: &mut Transaction,
    issue: &KeyIssue,
) -> Result<Result<User, IssueKeyRefusal>, StorageError> {
    let user = match lock_receiver(transaction, issue).await? {
        Ok(user) => user,
        Err(refusal) => return Ok(Err(refusal)),
    };
    insert_key(transaction, &user, issue).await?;
    Ok(Ok(user))
}

/// Adds a key to each of the users who can have one, and says how many these are.
pub(super) async fn issue_each(
    transaction: &mut Transaction,
    issues: &KeyIssues,
) -> Result<u32, StorageError> {
    // X17: several rows are locked in the order of their ids.
    let mut in_order: Vec<_> = issues.issues.iter().collect();
    in_order.sort_by_key(|issue| issue.user_id);
    let mut count = 0;
    for issue in in_order {
        // Whose address has had its mails gets none more, and nobody is told.
        if count_mail(transaction, &issue.counters, issue.now).await?.is_err() {
            continue;
        }
        // Whoever has another address by now claims this one no more.
        if let Ok(user) = lock_receiver(transaction, issue).await?
            && user.email == issue.email
        {
            insert_key(transaction, &user, issue).await?;
            count += 1;
        }
    }
    Ok(count)
}

/// Locks the user who is to get a key, or says why there is none to get.
async fn lock_receiver(
    transaction: &mut Transaction,
    issue: &KeyIssue,
) -> Result<Result<User, IssueKeyRefusal>, StorageError> {
    let Some(user) = lock_user(transaction, issue.user_id).await? else {
        return Ok(Err(IssueKeyRefusal::UserNotFound));
    };
    if user.profile.is_none() {
        return Ok(Err(IssueKeyRefusal::ProfileNotFound));
    }
    let email_taken = is_taken(transaction, &user.email, user.id).await?;
    match refuse_key(&user, email_taken, issue.now) {
        Ok(()) => Ok(Ok(user)),
        Err(refusal) => Ok(Err(IssueKeyRefusal::Key(refusal))),
    }
}

/// Whether a user other than this one has verified the address.
pub(super) async fn is_taken(
    transaction: &mut Transaction,
    email: &str,
    user_id: UserId,
) -> Result<bool, StorageError> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM verified_email_addresses WHERE email = $1 AND user_id <> $2)",
    )
    .bind(email)
    .bind(user_id.0)
    .fetch_one(&mut **transaction)
    .await
    .map_err(storage_error)
}

/// Adds a key to a user whose row is locked, drops the keys beyond the newest (X15), and queues the mail.
pub(super) async fn insert_key(
    transaction: &mut Transaction,
    user: &User,
    issue: &KeyIssue,
) -> Result<(), StorageError> {
    if user.email != issue.email {
        return Err(StorageError::Conflict("the user's address has changed".into()));
    }
    sqlx::query(
        "DELETE FROM activation_keys WHERE digest IN (
             SELECT digest FROM activation_keys WHERE user_id = $1 ORDER BY issue_time DESC, digest OFFSET $2
         )",
    )
    .bind(user.id.0)
    .bind(i64::from(policy::MAX_LIVE_KEYS) - 1)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    sqlx::query("INSERT INTO activation_keys (digest, user_id, email, issue_time) VALUES ($1, $2, $3, $4)")
        .bind(issue.digest.as_bytes())
        .bind(user.id.0)
        .bind(&user.email)
        .bind(issue.now)
        .execute(&mut **transaction)
        .await
        .map_err(storage_error)?;
    if let Some(code) = &issue.code {
        let (user_id, email) = (issue.user_id, issue.email.as_str());
        insert_code(transaction, user_id, email, &issue.digest, code, issue.now).await?;
    }
    let Some(mail) = &issue.mail else { return Ok(()) };
    sqlx::query("UPDATE users SET last_mail_time = $2 WHERE id = $1")
        .bind(user.id.0)
        .bind(issue.now)
        .execute(&mut **transaction)
        .await
        .map_err(storage_error)?;
    insert_mail(transaction, user.id, &user.email, mail, issue.now).await
}
