//! Servers that are killed after the mail server has taken a mail, and before they have recorded it.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};
use vestibule::random::{SeededRandom, number};

use crate::{
    contract::store::Store,
    delivery::copies,
    rules::deadlines::hold_writes,
    support::{
        night::rounds,
        process::{Process, serve},
        server::{Client, make_keyring, wait_for_rows},
        smtp::{Action, SmtpSink, Step},
    },
};

/// How many mails are on their way in each round: each of them a slot.
const SLOTS: usize = 4;

pub async fn a_server_that_is_killed_before_it_has_recorded_a_mail_sends_it_once_more_and_loses_none(
    store: Store,
) {
    let rounds = rounds("KILL", 20);
    let kills = usize::try_from(rounds.end - rounds.start).unwrap();
    let sink = SmtpSink::start().await;
    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    let url = sink.url();
    let environment = [("VESTIBULE__MAIL__SENDER", "smtp"), ("VESTIBULE__MAIL__SMTP__URL", url.as_str())];
    let random = SeededRandom::new(5);
    for round in rounds {
        // Whatever the one before has left is sent first.
        let process = Process::start(&mut serve(folder.path(), store.url(), &environment));
        wait_for_rows(&store, "mails WHERE state = 'QUEUED'", 0).await;
        let (release, released) = watch::channel(false);
        sink.at(Step::Message, Action::KeepAndHold(released));
        let (client, before) = (Client::connect(process.address).await, sink.mails(0).await.len());
        for slot in 0..SLOTS {
            let name = format!("r{round}s{slot}");
            client.register_by_mail(&name, &format!("{name}@d{slot}.example")).await;
        }
        sink.mails(before + SLOTS).await;
        let held = hold_writes(&store).await;
        release.send(true).unwrap();
        // Some are killed before they have heard that their mails were taken, most after.
        sleep(Duration::from_micros(number(&random) % 30_000)).await;
        process.kill();
        held.release().await;
        sink.behave();
        // Half a minute passes.
        let over = store.at(vestibule::domain::Timestamp::UNIX_EPOCH);
        store
            .execute(format!("UPDATE mails SET lease_expire_time = {over} WHERE claim_token IS NOT NULL"))
            .await;
    }
    let process = Process::start(&mut serve(folder.path(), store.url(), &environment));
    wait_for_rows(&store, "mails WHERE state = 'QUEUED'", 0).await;
    process.kill();

    let copies = copies(&sink).await;
    assert_eq!(copies.len(), kills * SLOTS, "none is lost");
    for (recipient, message_ids) in &copies {
        assert!(message_ids.len() <= 2, "{recipient}: {message_ids:?}");
        assert!(message_ids.iter().all(|id| *id == message_ids[0]), "{recipient}: {message_ids:?}");
    }
    let twice = copies.values().filter(|ids| ids.len() == 2).count();
    assert!(twice >= kills, "{twice}: the kills came too late to show anything");
}
