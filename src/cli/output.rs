//! How users, mails and suppressed addresses are printed: a table for people, JSON for programs.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::domain::{
    Timestamp,
    activation_key::ActivationKey,
    locale::Locale,
    mail::{Mail, MailState},
    suppression::Suppression,
    user::{User, UserState},
};

/// The form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Lines for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
}

impl Output {
    /// A list of users.
    pub fn users(self, users: &[User]) -> String {
        let row = |user: &User| {
            let (id, create_time) = (user.id.to_string(), rfc3339(user.create_time));
            [id, user.username.clone(), user.email.clone(), user.state.as_str().to_owned(), create_time]
        };
        self.list(users, ["ID", "USERNAME", "EMAIL", "STATE", "CREATE TIME"], row, user_json)
    }

    /// One user, whole.
    pub fn user(self, user: &User) -> String {
        self.one(user_json(user))
    }

    /// A list of mails.
    pub fn mails(self, mails: &[Mail]) -> String {
        let row = |mail: &Mail| {
            let (id, state) = (mail.id.to_string(), mail.state.as_str().to_owned());
            let (kind, create_time) = (mail.kind.as_str().to_owned(), rfc3339(mail.create_time));
            let error = mail.last_error.clone().unwrap_or_default();
            [id, kind, mail.recipient.clone(), state, mail.attempt.to_string(), create_time, error]
        };
        let columns = ["ID", "KIND", "RECIPIENT", "STATE", "ATTEMPT", "CREATE TIME", "LAST ERROR"];
        self.list(mails, columns, row, mail_json)
    }

    /// One mail, whole but for its text.
    pub fn mail(self, mail: &Mail) -> String {
        self.one(mail_json(mail))
    }

    /// A list of suppressed addresses.
    pub fn suppressions(self, suppressions: &[Suppression]) -> String {
        let row = |suppression: &Suppression| {
            let times = [suppression.create_time, suppression.last_bounce_time].map(rfc3339);
            let [create_time, last_bounce_time] = times;
            [suppression.email.clone(), create_time, last_bounce_time, suppression.reason.clone()]
        };
        let columns = ["EMAIL", "CREATE TIME", "LAST BOUNCE TIME", "REASON"];
        self.list(suppressions, columns, row, suppression_json)
    }

    /// One suppressed address.
    pub fn suppression(self, suppression: &Suppression) -> String {
        self.one(suppression_json(suppression))
    }

    fn list<T, const N: usize>(
        self,
        items: &[T],
        columns: [&str; N],
        row: impl Fn(&T) -> [String; N],
        json: impl Fn(&T) -> Value,
    ) -> String {
        match self {
            Self::Table => table(columns, items.iter().map(row).collect()),
            Self::Json => items.iter().map(json).collect::<Value>().to_string(),
            Self::Jsonl => items.iter().map(|item| json(item).to_string()).collect::<Vec<_>>().join("\n"),
        }
    }

    fn one(self, item: Value) -> String {
        match self {
            Self::Table => fields(item),
            Self::Json | Self::Jsonl => item.to_string(),
        }
    }

    /// A user who has just registered, and the key if it is not mailed.
    pub fn created(self, user: &User, key: Option<&ActivationKey>) -> String {
        let Some(key) = key else { return self.user(user) };
        match self {
            Self::Table => format!("{}\nactivation_key: {}", self.user(user), key.expose()),
            Self::Json | Self::Jsonl => {
                let mut value = user_json(user);
                if let Value::Object(fields) = &mut value {
                    fields.insert("activation_key".to_owned(), key.expose().into());
                }
                value.to_string()
            }
        }
    }
}

/// A user with the names of the API.
pub fn user_json(user: &User) -> Value {
    json!({
        "id": user.id.to_string(),
        "username": user.username,
        "email": user.email,
        "state": user.state.as_str(),
        "active": user.state == UserState::Active,
        "create_time": rfc3339(user.create_time),
        "activate_time": user.activate_time.map(rfc3339),
        "disable_time": user.disable_time.map(rfc3339),
        "last_login_time": user.last_login_time.map(rfc3339),
        "expire_time": user.profile.map(|profile| rfc3339(profile.expire_time)),
        "site": user.site.as_str(),
        "locale": user.locale.as_ref().map(Locale::as_str),
    })
}

/// A mail with the names of the API.
fn mail_json(mail: &Mail) -> Value {
    let waits = mail.state == MailState::Queued;
    json!({
        "id": mail.id.to_string(),
        "user_id": mail.user_id.to_string(),
        "kind": mail.kind.as_str(),
        "recipient": mail.recipient,
        "state": mail.state.as_str(),
        "attempt": mail.attempt,
        "next_attempt_time": waits.then(|| rfc3339(mail.next_attempt_time)),
        "last_error": mail.last_error,
        "create_time": rfc3339(mail.create_time),
        "finish_time": mail.finish_time.map(rfc3339),
        "expire_time": rfc3339(mail.expire_time),
    })
}

/// A suppression with the names of the API.
fn suppression_json(suppression: &Suppression) -> Value {
    json!({
        "email": suppression.email,
        "create_time": rfc3339(suppression.create_time),
        "last_bounce_time": rfc3339(suppression.last_bounce_time),
        "reason": suppression.reason,
        "mail_id": suppression.mail_id.map(|id| id.to_string()),
    })
}

fn table<const N: usize>(columns: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut widths = columns.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let lines: Vec<_> = std::iter::once(columns.map(ToOwned::to_owned))
        .chain(rows)
        .map(|row| {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}

/// A line for each field that is there.
fn fields(item: Value) -> String {
    let mut text = String::new();
    if let Value::Object(fields) = item {
        for (name, value) in fields {
            let value = match value {
                Value::Null => continue,
                Value::String(text) => text,
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
            };
            let _ = writeln!(text, "{name}: {value}");
        }
    }
    text.trim_end().to_owned()
}

/// An instant as the API writes it in JSON.
pub fn rfc3339(time: Timestamp) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
