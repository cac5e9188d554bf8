//! How users are printed: a table for people, JSON for programs.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::domain::{
    Timestamp,
    locale::Locale,
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

const COLUMNS: [&str; 5] = ["ID", "USERNAME", "EMAIL", "STATE", "CREATE TIME"];

impl Output {
    /// A list of users.
    pub fn users(self, users: &[User]) -> String {
        match self {
            Self::Table => table(users),
            Self::Json => users.iter().map(user_json).collect::<Value>().to_string(),
            Self::Jsonl => {
                users.iter().map(|user| user_json(user).to_string()).collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// One user, whole.
    pub fn user(self, user: &User) -> String {
        match self {
            Self::Table => fields(user),
            Self::Json | Self::Jsonl => user_json(user).to_string(),
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

fn table(users: &[User]) -> String {
    let rows: Vec<[String; COLUMNS.len()]> = users
        .iter()
        .map(|user| {
            [
                user.id.to_string(),
                user.username.clone(),
                user.email.clone(),
                user.state.as_str().to_owned(),
                rfc3339(user.create_time),
            ]
        })
        .collect();
    let mut widths = COLUMNS.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let lines: Vec<_> = std::iter::once(COLUMNS.map(ToOwned::to_owned))
        .chain(rows)
        .map(|row| {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}

/// A line for each field that is there.
fn fields(user: &User) -> String {
    let mut text = String::new();
    if let Value::Object(fields) = user_json(user) {
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
