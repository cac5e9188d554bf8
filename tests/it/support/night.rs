//! How many rounds a test goes: by default as many as every change affords, at night (`scripts/night`) far more.

use std::{env, ops::Range, time::Duration};

/// Far longer than a case takes that every change runs, and as long as a part of the night may take.
const PATIENCE: [Duration; 2] = [Duration::from_mins(5), Duration::from_mins(25)];

/// The numbers of the rounds. `VESTIBULE_<NAME>_ROUNDS` says `COUNT` or `FIRST..END` instead of `0..count`.
pub fn rounds(name: &str, count: u64) -> Range<u64> {
    let variable = format!("VESTIBULE_{name}_ROUNDS");
    let Ok(text) = env::var(&variable) else { return 0..count };
    let number =
        |text: &str| text.parse().unwrap_or_else(|_| panic!("{variable} must be COUNT or FIRST..END"));
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 0..number(&text),
    }
}

/// When a case has failed that has not ended.
pub fn patience() -> Duration {
    let sets_rounds = |name: &str| name.starts_with("VESTIBULE_") && name.ends_with("_ROUNDS");
    let is_night = env::vars_os().any(|(name, _)| name.to_str().is_some_and(sets_rounds));
    PATIENCE[usize::from(is_night)]
}
