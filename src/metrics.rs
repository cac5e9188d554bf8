//! What the service counts, for whoever watches it; shown in the text format of OpenMetrics.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// The limits between which deliveries are counted, in seconds: from at once to a day.
const AGES: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 300.0, 3600.0, 21_600.0, 86_400.0];

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// What the outbox does.
    pub mail: MailMetrics,
}

/// What the outbox of this process does.
#[derive(Debug, Clone)]
pub struct MailMetrics {
    outcomes: Family<Outcome, Counter>,
    delivery_age: Histogram,
    /// How many mails are being sent.
    pub sending: Gauge,
    /// One while nothing is sent because the mail server fails.
    pub breaker_open: Gauge,
    /// How often that has begun.
    pub breaker_opened: Counter,
}

/// What became of a mail that was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: MailOutcome,
}

/// What became of a mail that was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the labels' values")]
pub enum MailOutcome {
    /// The mail server has taken it.
    delivered,
    /// It failed, and is tried again.
    retried,
    /// It was given back without an attempt.
    returned,
    /// It was given up.
    discarded,
    /// Nobody needed it any more.
    withdrawn,
}

impl Default for Metrics {
    fn default() -> Self {
        let mail = MailMetrics {
            outcomes: Family::default(),
            delivery_age: Histogram::new(AGES),
            sending: Gauge::default(),
            breaker_open: Gauge::default(),
            breaker_opened: Counter::default(),
        };
        // So that each is there before it first happens, and a rate can be told from the beginning.
        for outcome in MailOutcome::ALL {
            let _ = mail.outcomes.get_or_create(&Outcome { outcome });
        }
        let mut registry = Registry::with_prefix("vestibule");
        registry.register("mails", "Mails that were claimed, by what became of them", mail.outcomes.clone());
        registry.register_with_unit(
            "mail_delivery_age",
            "How old mails were when the mail server had taken them",
            Unit::Seconds,
            mail.delivery_age.clone(),
        );
        registry.register("mails_sending", "Mails that are being sent", mail.sending.clone());
        registry.register(
            "mail_breaker_open",
            "1 while no mail is sent because the mail server fails",
            mail.breaker_open.clone(),
        );
        registry.register(
            "mail_breaker_opened",
            "How often the mail server was found to fail",
            mail.breaker_opened.clone(),
        );
        Self { registry, mail }
    }
}

impl Metrics {
    /// Everything, as it is scraped.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Only a writer can fail, and a string doesn't.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

impl MailMetrics {
    /// Counts what became of a mail.
    pub fn count(&self, outcome: MailOutcome) {
        self.outcomes.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a delivery of a mail that was so old.
    pub fn count_delivery(&self, age: Duration) {
        self.count(MailOutcome::delivered);
        self.delivery_age.observe(age.as_secs_f64());
    }
}

impl MailOutcome {
    /// Every outcome.
    const ALL: [Self; 5] = [Self::delivered, Self::retried, Self::returned, Self::discarded, Self::withdrawn];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_and_what_is_not_is_zero() {
        let metrics = Metrics::default();
        metrics.mail.count_delivery(Duration::from_secs(2));
        metrics.mail.count(MailOutcome::retried);
        metrics.mail.breaker_open.set(1);
        let text = metrics.text();
        for line in [
            "vestibule_mails_total{outcome=\"delivered\"} 1",
            "vestibule_mails_total{outcome=\"retried\"} 1",
            "vestibule_mails_total{outcome=\"discarded\"} 0",
            "vestibule_mail_delivery_age_seconds_bucket{le=\"1.0\"} 0",
            "vestibule_mail_delivery_age_seconds_bucket{le=\"2.5\"} 1",
            "vestibule_mail_breaker_open 1",
            "vestibule_mail_breaker_opened_total 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
        }
    }
}
