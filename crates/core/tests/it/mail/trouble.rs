//! Mail that does not arrive: servers that refuse, that ask for patience, that say nothing, and that say anything.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::try_join_all;
use nave_core::api::MailState;
use nave_core::clock::Clock;
use nave_core::hub::bus::Notice;
use nave_core::hub::config::Period;
use nave_core::hub::mail::{self, MailTls};
use nave_core::hub::{event, nodes};
use nave_link::address::Target;
use nave_testkit::need;
use nave_testkit::smtp::SmtpCatcher;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::*;

fn wake(hub: &TestHub) {
    hub.hub().bus.publish(Notice { topic: "mail", key: String::new() });
}

#[tokio::test]
async fn a_recipient_that_the_server_refuses_fails_at_once() -> anyhow::Result<()> {
    if !need("smtp") {
        return Ok(());
    }
    let server = SmtpCatcher::start(MailTls::Starttls)?;
    let hub = hub_with(server.table()?, None).await?;
    let (bad, good) = ("550+ada@example.org", "grace@example.org");
    invite(&hub, bad).await?;
    invite(&hub, good).await?;
    until_sent(&hub, good).await?;
    let mail = until_mail(&hub, bad, |mail| mail.state == MailState::Failed).await?;
    let reason = mail.last_error.clone().unwrap();
    assert!(reason.ends_with("it answered 550 the test wants it so"), "{reason}");
    let told = check(&hub).await;
    assert!(
        told.starts_with("Fail 1 not sent") && told.contains(&reason) && told.contains("mail retry"),
        "{told}"
    );
    let failed = event::last(&hub.hub().store, "mail.failed").await?.unwrap();
    assert_eq!((failed.object.as_str(), &failed.detail["reason"]), (bad, &reason.into()));

    let op = hub.operator();
    mail::discard(&op, hub.hub(), &mail.id).await?;
    assert!(check(&hub).await.starts_with("Pass"));
    assert_eq!(mail::discard(&op, hub.hub(), &mail.id).await.unwrap_err().code(), "not_found");
    assert_eq!(mail::retry(&op, hub.hub(), "not-an-id").await.unwrap_err().code(), "not_found");
    Ok(())
}

#[tokio::test]
async fn a_server_that_asks_for_patience_is_asked_again() -> anyhow::Result<()> {
    if !need("smtp") {
        return Ok(());
    }
    let server = SmtpCatcher::start(MailTls::Starttls)?;
    let clock = Clock::manual(Clock::system().now());
    let hub = hub_with(server.table()?, Some(clock.clone())).await?;
    let to = "451x2+ada@example.org";
    invite(&hub, to).await?;
    for (attempts, minutes) in [(1, 1), (2, 2)] {
        let mail =
            until_mail(&hub, to, |mail| mail.attempts == attempts && mail.last_error.is_some()).await?;
        let mail = match mail.next_attempt_at {
            // The attempt is noted before it is made, and its end after that.
            Some(at) if at != clock.now() + Duration::from_mins(minutes) => {
                let at = Some(clock.now() + Duration::from_mins(minutes));
                until_mail(&hub, to, |mail| mail.next_attempt_at == at).await?
            }
            _ => mail,
        };
        assert!(mail.last_error.unwrap().contains("451"));
        // Somebody else's mail that goes well changes nothing for this one.
        invite(&hub, &format!("grace{attempts}@example.org")).await?;
        until_sent(&hub, &format!("grace{attempts}@example.org")).await?;
        assert_eq!(mail_to(&hub, to).await?.attempts, attempts);
        clock.advance(Duration::from_mins(minutes));
        wake(&hub);
    }
    let mail = until_sent(&hub, to).await?;
    assert_eq!(mail.attempts, 3);
    Ok(())
}

#[tokio::test]
async fn a_mail_that_is_never_taken_holds_up_no_other() -> anyhow::Result<()> {
    if !need("smtp") {
        return Ok(());
    }
    let server = SmtpCatcher::start(MailTls::Starttls)?;
    let table = MailTable { timeout: Some(Period(Duration::from_millis(1500))), ..server.table()? };
    let hub = hub_with(table, None).await?;
    invite(&hub, "hang+ada@example.org").await?;
    invite(&hub, "grace@example.org").await?;
    server.mail_to("grace@example.org").await?;
    let reason = until_put_off(&hub, "hang+ada@example.org").await?;
    assert!(reason.contains("did not take the mail within 1.5 s"), "{reason}");
    Ok(())
}

/// A server that says the same to everybody, whatever it hears.
async fn parrot(says: &'static [u8]) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut io, _)) = listener.accept().await {
            tokio::spawn(async move {
                // Until the hub has had enough.
                if io.write_all(says).await.is_ok() {
                    let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
                }
            });
        }
    });
    Ok(address)
}

fn to_server(address: SocketAddr, tls: MailTls) -> anyhow::Result<MailTable> {
    Ok(MailTable {
        server: Target::from(address),
        tls,
        ca: None,
        user: None,
        password_file: None,
        from: "nave@example.org".parse().map_err(anyhow::Error::msg)?,
        timeout: Some(Period(Duration::from_secs(1))),
    })
}

#[tokio::test]
async fn a_server_that_says_nothing_is_in_nobodys_way() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let patient = MailTable {
        timeout: Some(Period(Duration::from_mins(10))),
        ..to_server(listener.local_addr()?, MailTls::Starttls)?
    };
    let hub = hub_with(patient, None).await?;
    invite(&hub, "ada@example.org").await?;
    let (_io, _) = listener.accept().await?;
    // The attempt is under way, and will be for ten minutes.
    invite(&hub, "grace@example.org").await?;
    nodes::list(&hub.operator(), hub.hub(), true).await?;
    assert_eq!(mail_to(&hub, "ada@example.org").await?.attempts, 1);
    assert_eq!(mail_to(&hub, "grace@example.org").await?.attempts, 0, "one connection at a time");
    let stopping = tokio::time::timeout(Duration::from_secs(8), hub.stop());
    stopping.await.expect("a hub that stops does not wait for a mail server");
    Ok(())
}

const ENDLESS: &[u8] = &[b'2'; 1 << 20];
const MANY_LINES: &[u8] = &{
    let mut lines = [b'\n'; 7 << 17];
    let mut at = 0;
    while at + 7 <= lines.len() {
        (lines[at], lines[at + 1], lines[at + 2], lines[at + 3]) = (b'2', b'2', b'0', b'-');
        (lines[at + 4], lines[at + 5]) = (b'a', b'\r');
        at += 7;
    }
    lines
};

#[tokio::test]
async fn a_server_may_say_anything() -> anyhow::Result<()> {
    let sayings: [&'static [u8]; 14] = [
        b"",
        b"\r\n",
        b"\0\0\0\0",
        b"\xff\xfe\xfd\r\n",
        b"220",
        b"220 \r\n",
        b"220 a\r\n250-a\r\n250-   \r\n250 STARTTLS\r\n",
        b"220 a\r\n250-a\r\n250 STARTTLS\r\n220 go\r\n\x16\x03\x01",
        b"220 a\r\n250 a\r\n250 a\r\n250 a\r\n354 a\r\n999 a\r\n",
        b"220 a\r\n250-a\r\n999-b\r\n250 c\r\n",
        b"220-a\r\n250 b\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        ENDLESS,
        MANY_LINES,
    ];
    for tls in [MailTls::Starttls, MailTls::Implicit, MailTls::None] {
        // Each on the heap: a hub under way is large, and a test has two megabytes of stack.
        try_join_all(sayings.map(|says| Box::pin(is_survived(says, tls)))).await?;
    }
    Ok(())
}

async fn is_survived(says: &'static [u8], tls: MailTls) -> anyhow::Result<()> {
    let hub = hub_with(to_server(parrot(says).await?, tls)?, None).await?;
    // The second shows that the job lives after the first.
    for to in ["ada@example.org", "grace@example.org"] {
        invite(&hub, to).await?;
        let reason = until_put_off(&hub, to).await?;
        assert!(reason.starts_with("127.0.0.1:"), "{reason}");
        assert!(reason.chars().count() <= 401 && !reason.contains(char::is_control), "{reason:?}");
    }
    hub.stop().await;
    Ok(())
}
