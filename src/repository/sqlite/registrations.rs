//! Registering and activating, each in one transaction that nobody else writes beside.

use async_trait::async_trait;
use sqlx::{Executor, Row as _, Sqlite, Transaction};

use super::{
    SqliteRepository,
    activation_codes::insert_code,
    append_event, id,
    keys::{insert_key, is_taken, issue_each, issue_one},
    lock_user,
    mail_counts::count_mail,
    outbox::insert_mail,
    requests::remember,
    storage_error, user, user_columns,
};
use crate::{
    domain::{
        activation_key::KeyDigest,
        event::EventKind,
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

#[async_trait]
impl Registrations for SqliteRepository {
    async fn register(
        &self,
        registration: &NewRegistration,
    ) -> Result<Result<User, RegisterRefusal>, StorageError> {
        let mut transaction = self.begin().await?;
        if !remember(&mut transaction, registration.request.as_ref()).await? {
            return Ok(Err(RegisterRefusal::RequestDone));
        }
        if let Err(reached) = count_mail(&mut transaction, &registration.counters, registration.now).await? {
            return Ok(Err(RegisterRefusal::MailLimit(reached)));
        }
        match look_for_refusal(&mut transaction, registration).await? {
            Holder::Verified => return Ok(Err(RegisterRefusal::EmailTaken)),
            Holder::Keeps => return Ok(Err(RegisterRefusal::UsernameTaken)),
            Holder::GivesWay(_) if !registration.give_way => {
                return Ok(Err(RegisterRefusal::UsernameExpired));
            }
            Holder::GivesWay(holder) => give_way(&mut transaction, holder, registration).await?,
            Holder::Gone => {}
        }
        insert(&mut transaction, registration).await?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(Ok(registration.user()))
    }

    async fn activate(&self, activation: &Activation) -> Result<Result<User, ActivateRefusal>, StorageError> {
        let mut transaction = self.begin().await?;
        let Some(status) = key_status(&mut *transaction, &activation.digest).await? else {
            return Ok(Err(ActivateRefusal::UnknownKey));
        };
        if let Err(refusal) = refuse_key(&status.user, status.email_taken, activation.now) {
            return Ok(Err(ActivateRefusal::Key(refusal)));
        }
        let user = activate(&mut transaction, activation).await?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(Ok(user))
    }

    async fn find_key(&self, digest: &KeyDigest) -> Result<Option<KeyStatus>, StorageError> {
        key_status(&self.readers, digest).await
    }

    async fn issue_key(&self, issue: &KeyIssue) -> Result<Result<User, IssueKeyRefusal>, StorageError> {
        let mut transaction = self.begin().await?;
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
        let mut transaction = self.begin().await?;
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
        let mut transaction = self.begin().await?;
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
        .bind(issue.now.timestamp_micros())
        .bind(profile.expire_time.timestamp_micros())
        .fetch_one(&mut *transaction)
        .await
        .map_err(storage_error)?;
        insert_key(&mut transaction, &user, issue).await?;
        transaction.commit().await.map_err(storage_error)?;
        Ok(Ok(super::user(&row)?))
    }

    async fn delete_profile(&self, user_id: UserId) -> Result<Result<User, ProfileRefusal>, StorageError> {
        let mut transaction = self.begin().await?;
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
        .fetch_one(&self.readers)
        .await
        .map_err(storage_error)?;
        let last_state: Option<String> = row.try_get("last_state").map_err(storage_error)?;
        MailCount::read(row.try_get("delivered").map_err(storage_error)?, last_state.as_deref())
    }
}

/// Who stands in the way of a registration.
enum Holder {
    /// Somebody who has verified the address.
    Verified,
    /// The username's holder.
    Keeps,
    /// The username's holder, but it can go.
    GivesWay(UserId),
    /// Nobody.
    Gone,
}

async fn look_for_refusal(
    transaction: &mut Transaction<'_, Sqlite>,
    registration: &NewRegistration,
) -> Result<Holder, StorageError> {
    let email_taken: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM verified_email_addresses WHERE email = $1)")
            .bind(registration.email.as_str())
            .fetch_one(&mut **transaction)
            .await
            .map_err(storage_error)?;
    let holder =
        sqlx::query(concat!("SELECT id, ", purgeable!(), " AS gives_way FROM users WHERE username_key = $2"))
            .bind(registration.now.timestamp_micros())
            .bind(registration.username.key().as_str())
            .fetch_optional(&mut **transaction)
            .await
            .map_err(storage_error)?;
    if let Some(holder) = &holder
        && holder.try_get::<Option<bool>, _>("gives_way").map_err(storage_error)? != Some(true)
    {
        return Ok(Holder::Keeps);
    }
    Ok(match holder {
        Some(_) | None if email_taken => Holder::Verified,
        Some(holder) => Holder::GivesWay(UserId(id(&holder, "id")?)),
        None => Holder::Gone,
    })
}

/// Inserts the registration.
async fn insert(
    transaction: &mut Transaction<'_, Sqlite>,
    registration: &NewRegistration,
) -> Result<(), StorageError> {
    let now = registration.now.timestamp_micros();
    sqlx::query(
        "INSERT INTO users (
             id, username, username_key, password_hash, state, site, create_time,
             email, email_domain, email_verified, any_email_verified, profile_issue_time, profile_expire_time,
             locale, last_mail_time
         )
         VALUES ($1, $2, $3, $4, 'PENDING', $5, $6, $7, $8, false, false, $6, $9, $10, CASE WHEN $11 THEN $6 END)",
    )
    .bind(registration.user_id.0)
    .bind(registration.username.as_str())
    .bind(registration.username.key().as_str())
    .bind(registration.password_hash.as_ref().map(PasswordHash::expose))
    .bind(registration.site.as_str())
    .bind(now)
    .bind(registration.email.as_str())
    .bind(registration.email.domain())
    .bind(registration.expire_time.timestamp_micros())
    .bind(registration.locale.as_ref().map(Locale::as_str))
    .bind(registration.mail.is_some())
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    sqlx::query(
        "INSERT INTO email_addresses (user_id, email, is_primary, create_time) VALUES ($1, $2, true, $3)",
    )
    .bind(registration.user_id.0)
    .bind(registration.email.as_str())
    .bind(now)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    sqlx::query("INSERT INTO activation_keys (digest, user_id, email, issue_time) VALUES ($1, $2, $3, $4)")
        .bind(registration.digest.as_bytes())
        .bind(registration.user_id.0)
        .bind(registration.email.as_str())
        .bind(now)
        .execute(&mut **transaction)
        .await
        .map_err(storage_error)?;
    if let Some(code) = &registration.code {
        let (user_id, email) = (registration.user_id, registration.email.as_str());
        insert_code(transaction, user_id, email, &registration.digest, code, registration.now).await?;
    }
    if let Some(mail) = &registration.mail {
        insert_mail(transaction, registration.user_id, registration.email.as_str(), mail, now).await?;
    }
    append_event(transaction, EventKind::UserRegistered, registration.user_id, now).await
}

/// X7: deletes the username's holder, as a purge would.
async fn give_way(
    transaction: &mut Transaction<'_, Sqlite>,
    holder: UserId,
    registration: &NewRegistration,
) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM users WHERE id = $1")
        .bind(holder.0)
        .execute(&mut **transaction)
        .await
        .map_err(storage_error)?;
    sqlx::query(
        "INSERT INTO events (kind, create_time, user_id, deletion_reason)
         VALUES ('user_deleted', $1, $2, 'expired')",
    )
    .bind(registration.now.timestamp_micros())
    .bind(holder.0)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    Ok(())
}

/// Activates the user of a key that nothing speaks against.
async fn activate(
    transaction: &mut Transaction<'_, Sqlite>,
    activation: &Activation,
) -> Result<User, StorageError> {
    let (now, digest) = (activation.now.timestamp_micros(), activation.digest.as_bytes());
    // The user may have verified the address before, as long as nobody else has.
    sqlx::query(
        "INSERT INTO verified_email_addresses (email, user_id)
         SELECT email, user_id FROM activation_keys WHERE digest = $1
         ON CONFLICT (email) DO NOTHING",
    )
    .bind(digest)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    let activated = sqlx::query(concat!(
        "UPDATE users SET
             state = 'ACTIVE', activate_time = $1, profile_activate_time = $1,
             email_verified = (users.email = k.email), any_email_verified = true,
             password_hash = coalesce($3, password_hash)
         FROM (SELECT user_id, email FROM activation_keys WHERE digest = $2) AS k
         WHERE id = k.user_id
         RETURNING ",
        user_columns!()
    ))
    .bind(now)
    .bind(digest)
    .bind(activation.password_hash.as_ref().map(PasswordHash::expose))
    .fetch_one(&mut **transaction)
    .await
    .map_err(storage_error)?;
    sqlx::query(
        "UPDATE email_addresses SET verify_time = $1
         FROM (SELECT user_id, email FROM activation_keys WHERE digest = $2) AS k
         WHERE email_addresses.user_id = k.user_id AND email_addresses.email = k.email",
    )
    .bind(now)
    .bind(digest)
    .execute(&mut **transaction)
    .await
    .map_err(storage_error)?;
    let user = user(&activated)?;
    append_event(transaction, EventKind::UserActivated, user.id, now).await?;
    Ok(user)
}

/// What a key leads to.
async fn key_status(
    executor: impl Executor<'_, Database = Sqlite>,
    digest: &KeyDigest,
) -> Result<Option<KeyStatus>, StorageError> {
    let row = sqlx::query(concat!(
        "SELECT ",
        user_columns!(),
        ", EXISTS (
             SELECT 1 FROM verified_email_addresses v WHERE v.email = key_email AND v.user_id <> id
         ) AS email_taken
         FROM users JOIN (
             SELECT user_id, email AS key_email FROM activation_keys WHERE digest = $1
         ) AS k ON id = user_id"
    ))
    .bind(digest.as_bytes())
    .fetch_optional(executor)
    .await
    .map_err(storage_error)?;
    let Some(row) = row else { return Ok(None) };
    let email_taken = row.try_get("email_taken").map_err(storage_error)?;
    Ok(Some(KeyStatus { user: user(&row)?, email_taken }))
}
