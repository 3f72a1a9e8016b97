//! The table of mails, on both engines, and who may see it.

use std::time::Duration;

use nave_core::api::MailState;
use nave_core::hub::bus::Notice;
use nave_core::hub::config::Period;
use nave_core::hub::mail::{self, MailTls};
use nave_core::hub::op::{Actor, Op};
use nave_link::address::Target;

use super::*;
use crate::bench::{Bench, on_both_engines};

on_both_engines!(
    a_mail_is_there_exactly_if_the_change_is,
    a_mail_waits_longer_each_time_and_is_given_up,
    what_ended_is_forgotten_after_a_month,
    without_a_configuration_nothing_is_queued,
);

/// A hub on the bench's database and by its clock, whose mail server is not there.
async fn hub_on(bench: &Bench) -> TestHub {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let table = MailTable {
        server: Target::from(nobody),
        tls: MailTls::Starttls,
        ca: None,
        user: None,
        password_file: None,
        from: "nave@example.org".parse().unwrap(),
        // So that the time for which an attempt is claimed is none of the pauses.
        timeout: Some(Period(Duration::from_secs(7))),
    };
    start(bench, Some(table)).await
}

async fn start(bench: &Bench, mail: Option<MailTable>) -> TestHub {
    let config = HubConfig { mail, database: bench.database.clone(), ..HubConfig::default() };
    let setup = TestHubSetup { config, clock: Some(bench.clock.clone()), ..TestHubSetup::default() };
    TestHub::with(setup).await.unwrap()
}

/// Moves the clock and lets the hub see to its mail.
fn later(hub: &TestHub, bench: &Bench, by: Duration) {
    bench.clock.advance(by);
    hub.hub().bus.publish(Notice { topic: "mail", key: String::new() });
}

async fn a_mail_is_there_exactly_if_the_change_is(bench: Bench) {
    let hub = hub_on(&bench).await;
    let op = hub.operator();
    let letter = Letter::Test { by: "Grace" };
    let mut undone = hub.hub().store.begin().await.unwrap();
    assert!(mail::queue(&mut undone, hub.hub(), &op, "ada@example.org", &letter).await.unwrap());
    drop(undone);
    invite(&hub, "grace@example.org").await.unwrap();
    let mails = mail::list(&op, hub.hub()).await.unwrap();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!((mails[0].recipient.as_str(), mails[0].state), ("grace@example.org", MailState::Queued));
    assert_eq!(mails[0].created_at, bench.clock.now());
    for bad in ["", "ada", "ada@", "@example.org", "a b@example.org", "ada@example.org\r\nBcc: x@example.org"]
    {
        let mut act = hub.hub().store.begin().await.unwrap();
        let error = mail::queue(&mut act, hub.hub(), &op, bad, &letter).await.unwrap_err();
        assert!(error.message().starts_with("address: "), "{bad:?}: {error}");
    }
}

async fn a_mail_waits_longer_each_time_and_is_given_up(bench: Bench) {
    let hub = hub_on(&bench).await;
    let (to, begun) = ("ada@example.org", bench.clock.now());
    // Its link ends after a day.
    invite(&hub, to).await.unwrap();
    for (attempts, minutes) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60)] {
        let next = bench.clock.now() + Duration::from_mins(minutes);
        let mail =
            until_mail(&hub, to, |mail| mail.attempts == attempts && mail.next_attempt_at == Some(next))
                .await
                .unwrap();
        assert_eq!(mail.state, MailState::Queued);
        later(&hub, &bench, Duration::from_mins(minutes));
    }
    let next = bench.clock.now() + HOUR;
    until_mail(&hub, to, |mail| mail.attempts == 9 && mail.next_attempt_at == Some(next)).await.unwrap();
    later(&hub, &bench, (begun + 24 * HOUR - bench.clock.now()).unsigned_abs());
    let mail = until_mail(&hub, to, |mail| mail.state == MailState::Failed).await.unwrap();
    let reason = mail.last_error.unwrap();
    assert!(reason.starts_with("given up after 9 attempts: 127.0.0.1:"), "{reason}");

    mail::retry(&hub.operator(), hub.hub(), &mail.id).await.unwrap();
    let mail = until_mail(&hub, to, |mail| mail.attempts == 1).await.unwrap();
    assert_eq!(mail.state, MailState::Queued, "somebody wants it sent all the same");
    for action in ["mail.failed", "mail.retried"] {
        let event = nave_core::hub::event::last(&hub.hub().store, action).await.unwrap().unwrap();
        assert_eq!((event.object_id, event.object.as_str()), (mail.id.clone(), to));
    }
}

async fn what_ended_is_forgotten_after_a_month(bench: Bench) {
    let hub = hub_on(&bench).await;
    invite(&hub, "ada@example.org").await.unwrap();
    later(&hub, &bench, 25 * HOUR);
    until_mail(&hub, "ada@example.org", |mail| mail.state == MailState::Failed).await.unwrap();
    bench.clock.advance(28 * 24 * HOUR);
    let op = hub.operator();
    assert_eq!(mail::forget_old(&op, hub.hub()).await.unwrap(), 0);
    bench.clock.advance(24 * HOUR);
    invite(&hub, "grace@example.org").await.unwrap();
    assert_eq!(mail::forget_old(&op, hub.hub()).await.unwrap(), 1);
    let left = mail::list(&op, hub.hub()).await.unwrap();
    assert_eq!(left.iter().map(|mail| mail.recipient.as_str()).collect::<Vec<_>>(), ["grace@example.org"]);
}

async fn without_a_configuration_nothing_is_queued(bench: Bench) {
    let hub = start(&bench, None).await;
    let op = hub.operator();
    assert!(!mail::is_configured(hub.hub()));
    let mut act = hub.hub().store.begin().await.unwrap();
    let letter = Letter::PasswordReset { link: LINK, until: bench.clock.now() + HOUR };
    assert!(!mail::queue(&mut act, hub.hub(), &op, "ada@example.org", &letter).await.unwrap());
    act.commit().await.unwrap();
    assert!(mail::list(&op, hub.hub()).await.unwrap().is_empty());
    assert_eq!(check(&hub).await, "Pass not configured: links are shown on the screen instead");
    let error = mail::test(&op, hub.hub(), "ada@example.org").await.unwrap_err();
    assert!(error.message().contains("set [mail]"), "{error}");
}

#[tokio::test]
async fn mail_is_the_operators() {
    let bench = Bench::sqlite();
    let hub = hub_on(&bench).await;
    invite(&hub, "ada@example.org").await.unwrap();
    let id = mail_to(&hub, "ada@example.org").await.unwrap().id;
    let stranger = Op { actor: Actor::Anonymous, ..hub.operator() };
    let refused = [
        mail::list(&stranger, hub.hub()).await.err(),
        mail::show(&stranger, hub.hub(), &id).await.err(),
        mail::retry(&stranger, hub.hub(), &id).await.err(),
        mail::discard(&stranger, hub.hub(), &id).await.err(),
        mail::test(&stranger, hub.hub(), "ada@example.org").await.err(),
        mail::forget_old(&stranger, hub.hub()).await.err(),
    ];
    for error in refused {
        assert_eq!(error.unwrap().code(), "unauthenticated");
    }
}
