//! How many rounds a test goes: by default as many as every change affords, at night (`scripts/night`) far more.

use std::{env, ops::Range};

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
