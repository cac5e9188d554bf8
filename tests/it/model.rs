//! The service against a small model of it: the same random calls to the model, to a server on SQLite and to one on
//! Postgres. All three agree on every answer, on every mail, and on who stands where after every call.

mod addresses;
mod reference;
mod registrations;
mod step;
mod subject;
mod unverified;
mod users;

use std::collections::BTreeSet;

use self::{reference::Model, step::Step, subject::Subject};
use crate::support::{dice::Dice, night, postgres::Database as Postgres, server::Database};

/// How many calls a sequence has.
const STEPS: usize = 30;

/// What three hundred sequences have to meet: calls that succeed, and each by each of its refusals.
const MEETS: &[&str] = &[
    "Activate ",
    "Activate ACTIVATION_KEY_EXPIRED",
    "Activate ACTIVATION_KEY_UNKNOWN",
    "Activate ALREADY_ACTIVATED",
    "Activate EMAIL_TAKEN",
    "Activate USER_DISABLED",
    "CreateRegistrationProfile ",
    "CreateRegistrationProfile ALREADY_ACTIVATED",
    "CreateRegistrationProfile REGISTRATION_PROFILE_EXISTS",
    "CreateRegistrationProfile USER_DISABLED",
    "EnableUser ",
    "PurgeExpired ",
    "PurgeExpired CLOCK_SUSPECT",
    "R15: a pending user is purged",
    "Register ",
    "Register CLOCK_SUSPECT",
    "Register EMAIL_TAKEN",
    "Register USERNAME_TAKEN",
    "ReissueActivationKey ",
    "ReissueActivationKey ACTIVATION_KEY_EXPIRED",
    "ReissueActivationKey ALREADY_ACTIVATED",
    "ReissueActivationKey EMAIL_TAKEN",
    "ReissueActivationKey REGISTRATION_PROFILE_NOT_FOUND",
    "ReissueActivationKey USER_DISABLED",
    "SendActivationEmail ",
    "X15: the oldest of five keys makes room",
    "X16: a disabled user is purged on demand",
    "X23: several claims are mailed",
    "X7: a holder gives way",
    "AddEmailAddress ",
    "AddEmailAddress EMAIL_ADDRESS_EXISTS",
    "AddEmailAddress EMAIL_TAKEN",
    "AddEmailAddress USER_DISABLED",
    "PurgeUnverified ",
    "PurgeUnverified CLOCK_SUSPECT",
    "PurgeUnverified INVALID_REQUEST",
    "RemindUnverified ",
    "RemoveEmailAddress ",
    "RemoveEmailAddress EMAIL_ADDRESS_NOT_FOUND",
    "RemoveEmailAddress PRIMARY_EMAIL_ADDRESS",
    "SendVerificationEmail ",
    "SendVerificationEmail EMAIL_ALREADY_VERIFIED",
    "SendVerificationEmail USER_PENDING",
    "SetPrimaryEmailAddress ",
    "SetPrimaryEmailAddress EMAIL_NOT_VERIFIED",
    "SetPrimaryEmailAddress USER_PENDING",
    "U5: an unverified user is purged",
    "U6: a user is reminded",
    "U6: an expired user is let in again",
    "VerifyEmailAddress ",
    "VerifyEmailAddress ACTIVATION_KEY_EXPIRED",
    "VerifyEmailAddress ACTIVATION_KEY_UNKNOWN",
    "VerifyEmailAddress EMAIL_ALREADY_VERIFIED",
    "VerifyEmailAddress USER_DISABLED",
    "U8: another address becomes the primary one",
    "X16: a pending user verifies another address",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_and_both_stores_agree_after_every_call() {
    let database = Postgres::create().await;
    let postgres = Database::Url(database.url());
    let mut subjects = [Subject::start(&postgres).await, Subject::start(&Database::Sqlite).await];
    let rounds = night::rounds("MODEL", 300);
    let mut met = BTreeSet::new();
    for seed in rounds.clone() {
        met.extend(run(seed, &mut subjects).await);
    }
    if rounds.count() >= 300 {
        let never: Vec<_> = MEETS.iter().filter(|what| !met.contains(**what)).collect();
        assert!(never.is_empty(), "too lazy a choice of calls: {never:#?} of {met:#?}");
    }
    for subject in subjects {
        subject.stop().await;
    }
    database.drop().await;
}

/// One sequence, on whatever the ones before have left the clock at; nobody is left of them.
async fn run(seed: u64, subjects: &mut [Subject; 2]) -> BTreeSet<String> {
    let dice = Dice::new(seed);
    let mut model = Model::new(subjects[0].now());
    let mut taken: Vec<Step> = Vec::new();
    let mut met = BTreeSet::new();
    for _ in 0..STEPS {
        // Some sequences are stubborn: what is done again and again has bounds of its own.
        let again = taken.last().filter(|_| seed.is_multiple_of(10) && !dice.once_in(3)).cloned();
        let step = again.unwrap_or_else(|| Step::choose(&dice, &model));
        taken.push(step.clone());
        model.tick();
        let expected = model.apply(&step);
        let name = format!("{step:?}");
        let name = name.split([' ', '(']).next().unwrap_or_default();
        met.insert(format!("{name} {}", expected.answer.reason));
        let [postgres, sqlite] = &mut *subjects;
        let told = tokio::join!(
            postgres.apply(&step, model.now, &expected),
            sqlite.apply(&step, model.now, &expected)
        );
        let seen = tokio::join!(postgres.observe(), sqlite.observe());
        for (name, answer, seen) in [(postgres.name, told.0, seen.0), (sqlite.name, told.1, seen.1)] {
            assert_eq!(answer, expected.answer, "{name} with seed {seed} at the last of {taken:#?}");
            assert_eq!(seen, model.view(), "{name} with seed {seed} after {taken:#?}");
        }
    }
    for subject in subjects {
        subject.clear().await;
    }
    met.extend(model.met.into_iter().map(str::to_owned));
    met
}
