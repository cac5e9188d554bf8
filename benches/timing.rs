//! What the measurements of times have in common: a classifier that knows nothing else, and medians.

use std::time::Duration;

use vestibule::random::{self, SystemRandom};

/// The most that a classifier on time alone may do.
pub const BAR: f64 = 0.55;

/// How often a time of one kind is longer than one of the other, or the other way round: 0.5 tells nothing, 1 all.
pub fn auc(ones: &[Duration], others: &[Duration]) -> f64 {
    let mut all: Vec<_> = ones.iter().map(|time| (*time, true)).collect();
    all.extend(others.iter().map(|time| (*time, false)));
    all.sort();
    let ranks: f64 = all.iter().zip(1..).filter(|((_, one), _)| *one).map(|(_, rank)| f64::from(rank)).sum();
    let (ones, others) = (ones.len() as f64, others.len() as f64);
    let auc = (ranks - ones * (ones + 1.0) / 2.0) / (ones * others);
    auc.max(1.0 - auc)
}

/// The time that such a part of all are below: 0.5 is the time in the middle.
pub fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
    let place = (times.len() as f64 * part) as usize;
    times.get(place.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// The time in the middle.
pub fn median(times: &mut [Duration]) -> Duration {
    quantile(times, 0.5)
}

/// A time in milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Puts everything into a random order.
pub fn shuffle<T>(guesses: &mut [T]) {
    for index in (1..guesses.len()).rev() {
        let other = random::number(&SystemRandom) % (index as u64 + 1);
        guesses.swap(index, usize::try_from(other).unwrap());
    }
}

/// Prints whether the times of one kind tell it from another.
pub fn compare(
    store: &str,
    bare: Duration,
    (one, ones): (&str, &mut [Duration]),
    (other, others): (&str, &mut [Duration]),
) {
    let auc = auc(ones, others);
    let verdict = if auc <= BAR { "within" } else { "BEYOND" };
    println!(
        "{store}: {one} ({} calls, {:.2} ms) and {other} ({}, {:.2} ms): AUC {auc:.3}, {verdict} {BAR}; \
         a call takes {:.2} bare hashes",
        ones.len(),
        millis(median(ones)),
        others.len(),
        millis(median(others)),
        median(others).as_secs_f64() / bare.as_secs_f64(),
    );
}
