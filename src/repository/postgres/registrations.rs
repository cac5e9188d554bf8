//! Registering and activating, each in one statement and one round trip; a refusal is named by a second look
//! on a fresh snapshot.

use async_trait::async_trait;
use sqlx::Row as _;

use super::{
    PostgresRepository, Transaction,
    keys::{insert_key, is_taken, issue_each, issue_one},
    lock_user,
    mail_counts::count_mail,
    requests::remember,
    storage_error, user, user_columns,
};
use crate::{
    domain::{
        activation_key::KeyDigest,
        locale::Locale,
        password::PasswordHash,
        profile::refuse_key,
        user::{User, UserId, UserState},
    },
    repository::{
        ActivateRefusal, Activation, CreateProfileRefusal, IssueKeyRefusal, IssueKeysRefusal, KeyIssue,
        KeyIssues, KeyStatus, MailCount, NewProfile, NewRegistration, ProfileRefusal, RegisterRefusal,
        Registrations, StorageError, unverified::purgeable,
    },
};

/// How often an act looks again after it lost a race whose winner left no reason behind.
const ATTEMPTS: usize = 3;

#[async_trait]
impl Registrations for PostgresRepository {
    async fn register(
        &self,
        registration: &NewRegistration,
    ) -> Result<Result<User, RegisterRefusal>, StorageError> {
        for _ in 0..ATTEMPTS {
            let mut transaction = self.begin("BEGIN").await?;
            if !remember(&mut transaction, registration.request.as_ref()).await? {
                return Ok(Err(RegisterRefusal::RequestDone));
            }
            if let Err(reached) =
                count_mail(&mut transaction, &registration.counters, registration.now).await?
            {
                return Ok(Err(RegisterRefusal::MailLimit(reached)));
            }
            if insert(&mut transaction, registration).await? {
                transaction.commit().await.map_err(storage_error)?;
                return Ok(Ok(registration.user()));
            }
            transaction.rollback().await.map_err(storage_error)?;
            match self.look_for_refusal(registration).await? {
                Holder::Verified => return Ok(Err(RegisterRefusal::EmailTaken)),
                Holder::Keeps => return Ok(Err(RegisterRefusal::UsernameTaken)),
                Holder::GivesWay(_) if !registration.give_way => {
                    return Ok(Err(RegisterRefusal::UsernameExpired));
                }
                Holder::GivesWay(holder) => {
                    let mut transaction = self.begin("BEGIN").await?;
                    if !remember(&mut transaction, registration.request.as_ref()).await? {
                        return Ok(Err(RegisterRefusal::RequestDone));
                    }
                    if let Err(reached) =
                        count_mail(&mut transaction, &registration.counters, registration.now).await?
                    {
                        return Ok(Err(RegisterRefusal::MailLimit(reached)));
                    }
                    // Whether it still gives way, the deletion checks; if not, the insertion fails again.
                    give_way(&mut transaction, holder, registration).await?;
                    if insert(&mut transaction, registration).await? {
                        transaction.commit().await.map_err(storage_error)?;
                        return Ok(Ok(registration.user()));
                    }
                    transaction.rollback().await.map_err(storage_error)?;
                }
                Holder::Gone => {}
            }
        }
        Err(StorageError::Conflict("the username's holder kept changing".into()))
    }

    async fn activate(&self, activation: &Activation) -> Result<Result<User, ActivateRefusal>, StorageError> {
        for _ in 0..ATTEMPTS {
            let activated = sqlx::query(ACTIVATE)
                .bind(activation.now)
                .bind(activation.digest.as_bytes())
                .bind(activation.password_hash.as_ref().map(PasswordHash::expose))
                .fetch_optional(&self.pool)
                .await
                .map_err(storage_error)?;
            if let Some(row) = activated {
                return Ok(Ok(user(&row)?));
            }
            let Some(status) = self.find_key(&activation.digest).await? else {
                return Ok(Err(ActivateRefusal::UnknownKey));
            };
            if let Err(refusal) = refuse_key(&status.user, status.email_taken, activation.now) {
                return Ok(Err(ActivateRefusal::Key(refusal)));
            }
        }
        Err(StorageError::Conflict("the key's user kept changing".into()))
    }

    async fn find_key(&self, digest: &KeyDigest) -> Result<Option<KeyStatus>, StorageError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            user_columns!(),
            ", EXISTS (
                 SELECT FROM verified_email_addresses v WHERE v.email = key_email AND v.user_id <> id
             ) AS email_taken
             FROM users JOIN (
                 SELECT user_id, email AS key_email FROM activation_keys WHERE digest = $1
             ) AS k ON id = user_id"
        ))
        .bind(digest.as_bytes())
        .fetch_optional(&self.pool)
        .await
        .map_err(storage_error)?;
        let Some(row) = row else { return Ok(None) };
        let email_taken = row.try_get("email_taken").map_err(storage_error)?;
        Ok(Some(KeyStatus { user: user(&row)?, email_taken }))
    }

    async fn issue_key(&self, issue: &KeyIssue) -> Result<Result<User, IssueKeyRefusal>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        if !remember(&mut transaction, issue.request.as_ref()).await? {
            return Ok(Err(IssueKeyRefusal::RequestDone));
        }
        if let Err(reached) = count_mail(&mut transaction, &issue.counters, issue.now).await? {
            return Ok(Err(IssueKeyRefusal::MailLimit(reached)));
        }
        let issued = issue_one(&mut transaction, issue).await?;
        if issued.is_ok() {
            transaction.commit().await.map_err(storage_error)?;
        }
        Ok(issued)
    }

    async fn issue_keys(&self, issues: &KeyIssues) -> Result<Result<u32, IssueKeysRefusal>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        if !remember(&mut transaction, issues.request.as_ref()).await? {
            return Ok(Err(IssueKeysRefusal::RequestDone));
        }
        if let Err(reached) = count_mail(&mut transaction, &issues.counters, issues.now).await? {
            return Ok(Err(IssueKeysRefusal::MailLimit(reached)));
        }
        let count = issue_each(&mut transaction, issues).await?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(Ok(count))
    }

    async fn create_profile(
        &self,
        profile: &NewProfile,
    ) -> Result<Result<User, CreateProfileRefusal>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        let issue = &profile.issue;
        if !remember(&mut transaction, issue.request.as_ref()).await? {
            return Ok(Err(CreateProfileRefusal::RequestDone));
        }
        if let Err(reached) = count_mail(&mut transaction, &issue.counters, issue.now).await? {
            return Ok(Err(CreateProfileRefusal::MailLimit(reached)));
        }
        let Some(user) = lock_user(&mut transaction, issue.user_id).await? else {
            return Ok(Err(CreateProfileRefusal::UserNotFound));
        };
        if user.profile.is_some() && user.state == UserState::Pending {
            return Ok(Err(CreateProfileRefusal::ProfileExists));
        }
        let email_taken = is_taken(&mut transaction, &user.email, user.id).await?;
        if let Err(refusal) = refuse_key(&user, email_taken, issue.now) {
            return Ok(Err(CreateProfileRefusal::Key(refusal)));
        }
        let row = sqlx::query(concat!(
            "UPDATE users SET profile_issue_time = $2, profile_expire_time = $3 WHERE id = $1 RETURNING ",
            user_columns!()
        ))
        .bind(user.id.0)
        .bind(issue.now)
        .bind(profile.expire_time)
        .fetch_one(&mut *transaction)
        .await
        .map_err(storage_error)?;
        insert_key(&mut transaction, &user, issue).await?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(Ok(super::user(&row)?))
    }

    async fn delete_profile(&self, user_id: UserId) -> Result<Result<User, ProfileRefusal>, StorageError> {
        let mut transaction = self.begin("BEGIN").await?;
        let Some(user) = lock_user(&mut transaction, user_id).await? else {
            return Ok(Err(ProfileRefusal::UserNotFound));
        };
        if user.profile.is_none() {
            return Ok(Err(ProfileRefusal::ProfileNotFound));
        }
        sqlx::query("DELETE FROM activation_keys WHERE user_id = $1")
            .bind(user_id.0)
            .execute(&mut *transaction)
            .await
            .map_err(storage_error)?;
        sqlx::query(
            "UPDATE users SET profile_issue_time = NULL, profile_expire_time = NULL, profile_activate_time = NULL
             WHERE id = $1",
        )
        .bind(user_id.0)
        .execute(&mut *transaction)
        .await
        .map_err(storage_error)?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(Ok(user))
    }

    async fn count_activation_mails(&self, user_id: UserId) -> Result<MailCount, StorageError> {
        let row = sqlx::query(
            "SELECT count(*) FILTER (WHERE state = 'DELIVERED') AS delivered,
                 (SELECT state FROM mails WHERE user_id = $1 AND kind IN ('activation', 'reminder')
                  ORDER BY create_time DESC, id DESC LIMIT 1) AS last_state
             FROM mails WHERE user_id = $1 AND kind IN ('activation', 'reminder')",
        )
        .bind(user_id.0)
        .fetch_one(&self.pool)
        .await
        .map_err(storage_error)?;
        let last_state: Option<String> = row.try_get("last_state").map_err(storage_error)?;
        MailCount::read(row.try_get("delivered").map_err(storage_error)?, last_state.as_deref())
    }
}

const REGISTER: &str = "
WITH new_user AS (
    INSERT INTO users (
        id, username, username_key, password_hash, state, site, create_time,
        email, email_domain, email_verified, any_email_verified, profile_issue_time, profile_expire_time,
        locale, last_mail_time
    )
    SELECT $1, $2, $3, $4, 'PENDING', $5, $6, $7, $8, false, false, $6, $9, $15, CASE WHEN $11 IS NOT NULL THEN $6 END
    WHERE NOT EXISTS (SELECT FROM verified_email_addresses WHERE email = $7)
    ON CONFLICT (username_key) DO NOTHING
    RETURNING id
), new_address AS (
    INSERT INTO email_addresses (user_id, email, is_primary, create_time)
    SELECT id, $7, true, $6 FROM new_user
), new_key AS (
    INSERT INTO activation_keys (digest, user_id, email, issue_time)
    SELECT $10, id, $7, $6 FROM new_user
), new_code AS (
    INSERT INTO activation_codes (user_id, key_digest, email, code_hash, issue_time, expire_time)
    SELECT id, $10, $7, $16, $6, $17 FROM new_user WHERE $16 IS NOT NULL
), new_mail AS (
    INSERT INTO mails (
        id, user_id, kind, recipient, state, sealed_text, key_digest, next_attempt_time, create_time, expire_time
    )
    SELECT $11, id, $12, $7, 'QUEUED', $13, $18, $6, $6, $14 FROM new_user WHERE $11 IS NOT NULL
), new_event AS (
    INSERT INTO events (kind, create_time, user_id)
    SELECT 'user_registered', $6, id FROM new_user
)
SELECT count(*) FROM new_user";

/// The user's row is locked first and the key's after it, as everywhere: what the statement saw before it got the
/// locks is checked again on the rows that it locks.
const ACTIVATE: &str = concat!(
    "
WITH found AS (
    SELECT u.id, k.email
    FROM users u JOIN activation_keys k ON k.user_id = u.id
    WHERE k.digest = $2
        AND u.state = 'PENDING' AND u.profile_activate_time IS NULL AND u.profile_expire_time > $1
    FOR UPDATE OF u, k
), verified AS (
    INSERT INTO verified_email_addresses (email, user_id)
    SELECT email, id FROM found
    -- The user may have verified it before; whoever else has keeps it.
    ON CONFLICT (email) DO UPDATE SET user_id = EXCLUDED.user_id
        WHERE verified_email_addresses.user_id = EXCLUDED.user_id
    RETURNING user_id, email
), activated AS (
    UPDATE users u SET
        state = 'ACTIVE', activate_time = $1, profile_activate_time = $1,
        email_verified = (u.email = verified.email), any_email_verified = true,
        password_hash = coalesce($3, u.password_hash)
    FROM verified WHERE u.id = verified.user_id
    RETURNING u.*
), marked AS (
    UPDATE email_addresses a SET verify_time = $1
    FROM verified WHERE a.user_id = verified.user_id AND a.email = verified.email
), new_event AS (
    INSERT INTO events (kind, create_time, user_id)
    SELECT 'user_activated', $1, id FROM activated
)
SELECT ",
    user_columns!(),
    " FROM activated"
);

/// Who stands in the way of a registration.
enum Holder {
    /// Somebody who has verified the address.
    Verified,
    /// The username's holder.
    Keeps,
    /// The username's holder, but it can go.
    GivesWay(UserId),
    /// Nobody any more.
    Gone,
}

impl PostgresRepository {
    async fn look_for_refusal(&self, registration: &NewRegistration) -> Result<Holder, StorageError> {
        let row = sqlx::query(concat!(
            "SELECT holder.id, holder.gives_way,
                 EXISTS (SELECT FROM verified_email_addresses WHERE email = $3) AS email_taken
             FROM (SELECT $2 AS username_key) AS wanted
             LEFT JOIN (SELECT id, username_key, ",
            purgeable!(),
            " AS gives_way FROM users) AS holder
                 USING (username_key)"
        ))
        .bind(registration.now)
        .bind(registration.username.key().as_str())
        .bind(registration.email.as_str())
        .fetch_one(&self.pool)
        .await
        .map_err(storage_error)?;
        let holder: Option<uuid::Uuid> = row.try_get("id").map_err(storage_error)?;
        let gives_way: Option<bool> = row.try_get("gives_way").map_err(storage_error)?;
        let email_taken: bool = row.try_get("email_taken").map_err(storage_error)?;
        Ok(match holder {
            Some(_) if gives_way != Some(true) => Holder::Keeps,
            Some(_) | None if email_taken => Holder::Verified,
            Some(id) => Holder::GivesWay(UserId(id)),
            None => Holder::Gone,
        })
    }
}

/// Inserts the registration; false if a username or a verified address stood in the way.
async fn insert(transaction: &mut Transaction, registration: &NewRegistration) -> Result<bool, StorageError> {
    let mail = registration.mail.as_ref();
    let inserted: i64 = sqlx::query_scalar(REGISTER)
        .bind(registration.user_id.0)
        .bind(registration.username.as_str())
        .bind(registration.username.key().as_str())
        .bind(registration.password_hash.as_ref().map(PasswordHash::expose))
        .bind(registration.site.as_str())
        .bind(registration.now)
        .bind(registration.email.as_str())
        .bind(registration.email.domain())
        .bind(registration.expire_time)
        .bind(registration.digest.as_bytes())
        .bind(mail.map(|mail| mail.id.0))
        .bind(mail.map(|mail| mail.kind.as_str()))
        .bind(mail.map(|mail| mail.sealed_text.as_slice()))
        .bind(mail.map(|mail| mail.expire_time))
        .bind(registration.locale.as_ref().map(Locale::as_str))
        .bind(registration.code.as_ref().map(|code| code.hash.as_bytes()))
        .bind(registration.code.as_ref().map(|code| code.expire_time))
        .bind(mail.and_then(|mail| mail.key_digest.as_ref()).map(KeyDigest::as_bytes))
        .fetch_one(&mut **transaction)
        .await
        .map_err(storage_error)?;
    Ok(inserted == 1)
}

/// X7: deletes the username's holder, as a purge would.
async fn give_way(
    transaction: &mut Transaction,
    holder: UserId,
    registration: &NewRegistration,
) -> Result<(), StorageError> {
    sqlx::query(concat!(
        "WITH gone AS (DELETE FROM users WHERE id = $2 AND ",
        purgeable!(),
        " RETURNING id)
         INSERT INTO events (kind, create_time, user_id, deletion_reason)
         SELECT 'user_deleted', $1, id, 'expired' FROM gone"
    ))
    .bind(registration.now)
    .bind(holder.0)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(())
}
