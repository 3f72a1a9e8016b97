//! Mail that arrives: at a real server, over each kind of connection, whatever became of the server meanwhile.

use std::os::unix::fs::PermissionsExt as _;

use nave_core::api::MailState;
use nave_core::clock::Clock;
use nave_core::hub::bus::Notice;
use nave_core::hub::config::HubConfig;
use nave_core::hub::mail::{self, Letter, MailTls};
use nave_core::hub::running::StartError;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::need;
use nave_testkit::smtp::SmtpCatcher;

use super::*;

#[tokio::test]
async fn a_mail_arrives_over_every_kind_of_connection() -> anyhow::Result<()> {
    if !need("smtp") {
        return Ok(());
    }
    for (tls, encrypted) in [(MailTls::Starttls, true), (MailTls::Implicit, true), (MailTls::None, false)] {
        let server = SmtpCatcher::start(tls)?;
        let hub = hub_with(server.table()?, None).await?;
        invite(&hub, "ada@example.org").await?;
        let caught = server.mail_to("ada@example.org").await?;
        assert_eq!(caught.tls, encrypted, "{tls:?}");
        assert_eq!(caught.user.as_deref(), Some("nave"), "{tls:?}");
        assert_eq!(caught.from, "nave@example.org");
        assert_eq!(caught.hello, "[127.0.0.1]");
        assert!(caught.message.contains("\r\nSubject: Invitation to the Nave hub"), "{}", caught.message);
        let mail = until_sent(&hub, "ada@example.org").await?;
        assert_eq!((mail.attempts, mail.kind.as_str(), mail.last_error), (1, "invitation", None));
        assert!(check(&hub).await.starts_with("Pass"), "{}", check(&hub).await);
        hub.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_another_authority_vouches_for_is_refused() -> anyhow::Result<()> {
    if !need("smtp") {
        return Ok(());
    }
    for tls in [MailTls::Starttls, MailTls::Implicit] {
        let (server, other) = (SmtpCatcher::start(tls)?, SmtpCatcher::away(tls)?);
        for ca in [other.table()?.ca, None] {
            let hub = hub_with(MailTable { ca, ..server.table()? }, None).await?;
            invite(&hub, "ada@example.org").await?;
            let reason = until_put_off(&hub, "ada@example.org").await?;
            assert!(reason.contains("its certificate is not good") && reason.contains("mail.ca"), "{reason}");
            let check = check(&hub).await;
            assert!(check.starts_with("Warn 1 wait since") && check.contains(&reason), "{check}");
        }
        assert!(server.caught().is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_told_and_a_right_one_taken_without_a_restart() -> anyhow::Result<()> {
    if !need("smtp") {
        return Ok(());
    }
    let server = SmtpCatcher::start(MailTls::Starttls)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("password");
    nave_link::secret_file::create(&file, b"not this one", 0o600)?;
    let table = server.table()?;
    let right = std::fs::read(table.password_file.as_ref().unwrap())?;
    let hub = hub_with(MailTable { password_file: Some(file.clone()), ..table }, None).await?;
    invite(&hub, "ada@example.org").await?;
    let reason = until_put_off(&hub, "ada@example.org").await?;
    assert!(reason.contains("535") && reason.contains("mail.password_file"), "{reason}");
    assert!(!reason.contains("not this one"), "{reason}");

    nave_link::secret_file::replace(&file, &right, 0o600)?;
    let mail = mail_to(&hub, "ada@example.org").await?;
    mail::retry(&hub.operator(), hub.hub(), &mail.id).await?;
    until_sent(&hub, "ada@example.org").await?;
    Ok(())
}

#[tokio::test]
async fn what_waited_for_the_server_is_sent_once_it_is_back() -> anyhow::Result<()> {
    if !need("smtp") {
        return Ok(());
    }
    let mut server = SmtpCatcher::away(MailTls::Starttls)?;
    let clock = Clock::manual(Clock::system().now());
    let hub = hub_with(server.table()?, Some(clock.clone())).await?;
    for to in ["ada@example.org", "grace@example.org"] {
        invite(&hub, to).await?;
        let reason = until_put_off(&hub, to).await?;
        assert!(reason.contains("refused"), "{reason}");
    }
    server.launch()?;
    // Neither is due; but the next mail shows that the server is back.
    invite(&hub, "new@example.org").await?;
    for to in ["new@example.org", "ada@example.org", "grace@example.org"] {
        server.mail_to(to).await?;
        until_sent(&hub, to).await?;
    }
    assert_eq!(server.caught().len(), 3);

    // And by itself, when its time comes.
    server.stop();
    invite(&hub, "late@example.org").await?;
    until_put_off(&hub, "late@example.org").await?;
    server.launch()?;
    clock.advance(std::time::Duration::from_mins(1));
    hub.hub().bus.publish(Notice { topic: "mail", key: String::new() });
    server.mail_to("late@example.org").await?;
    Ok(())
}

#[tokio::test]
async fn a_mail_survives_a_restart_of_the_hub() -> anyhow::Result<()> {
    if !need("smtp") {
        return Ok(());
    }
    let mut server = SmtpCatcher::away(MailTls::Implicit)?;
    let clock = Clock::manual(Clock::system().now());
    let hub = hub_with(server.table()?, Some(clock.clone())).await?;
    invite(&hub, "ada@example.org").await?;
    until_put_off(&hub, "ada@example.org").await?;
    let folder = hub.folder();
    hub.stop().await;

    server.launch()?;
    clock.advance(std::time::Duration::from_mins(2));
    let config = HubConfig { mail: Some(server.table()?), ..HubConfig::default() };
    let setup = TestHubSetup { config, clock: Some(clock), ..TestHubSetup::default() };
    let hub = TestHub::on(folder, setup).await?;
    let caught = server.mail_to("ada@example.org").await?;
    assert!(caught.message.contains("a-one-time-secret"), "{}", caught.message);
    until_sent(&hub, "ada@example.org").await?;
    Ok(())
}

#[tokio::test]
async fn a_link_lies_sealed_in_the_database_and_is_gone_once_it_was_sent() -> anyhow::Result<()> {
    if !need("smtp") {
        return Ok(());
    }
    let mut server = SmtpCatcher::away(MailTls::Starttls)?;
    let hub = hub_with(server.table()?, None).await?;
    invite(&hub, "ada@example.org").await?;
    until_put_off(&hub, "ada@example.org").await?;
    let holds = |needle: &str| {
        ["hub.sqlite", "hub.sqlite-wal"].iter().any(|name| {
            let bytes = std::fs::read(hub.path().join(name)).unwrap_or_default();
            bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
        })
    };
    assert!(holds("ada@example.org"), "this is where mails lie");
    assert!(!holds("a-one-time-secret") && !holds("Grace invites you"));

    server.launch()?;
    let mail = mail_to(&hub, "ada@example.org").await?;
    mail::retry(&hub.operator(), hub.hub(), &mail.id).await?;
    until_sent(&hub, "ada@example.org").await?;
    let mut reader = hub.hub().store.read().await?;
    let left: Option<String> =
        sqlx::query_scalar("SELECT content FROM mails").fetch_one(&mut *reader).await?;
    assert_eq!(left, None);
    Ok(())
}

#[tokio::test]
async fn what_somebody_typed_adds_no_header_and_no_recipient() -> anyhow::Result<()> {
    if !need("smtp") {
        return Ok(());
    }
    let server = SmtpCatcher::start(MailTls::Starttls)?;
    let hub = hub_with(server.table()?, None).await?;
    let op = hub.operator();
    let name = "Ada\r\nBcc: grace@example.org\r\n.\r\nRCPT TO:<grace@example.org>\r\n";
    let letter = Letter::AccessRequested { name, address: name, words: name, link: LINK };
    let mut act = hub.hub().store.begin().await?;
    mail::queue(&mut act, hub.hub(), &op, "admin@example.org", &letter).await?;
    let injected = "ada@example.org>\r\nRCPT TO:<grace@example.org";
    let error = mail::queue(&mut act, hub.hub(), &op, injected, &letter).await.unwrap_err();
    assert_eq!(error.code(), "invalid");
    act.commit().await?;
    let caught = server.mail_to("admin@example.org").await?;
    assert_eq!(caught.to, ["admin@example.org"]);
    assert!(!caught.message.to_lowercase().contains("\r\nbcc"), "{}", caught.message);
    until_sent(&hub, "admin@example.org").await?;
    assert_eq!(server.caught().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_hub_does_not_start_with_files_that_it_cannot_use() -> anyhow::Result<()> {
    let server = SmtpCatcher::away(MailTls::Starttls)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    let start = async |table: MailTable| match hub_with(table, None).await {
        Ok(_) => anyhow::bail!("it started"),
        Err(error) => {
            assert!(matches!(error.downcast_ref::<StartError>(), Some(StartError::Mail(_))), "{error:?}");
            Ok(error.to_string())
        }
    };
    std::fs::write(&file, "password\n")?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
    let told = start(MailTable { password_file: Some(file.clone()), ..server.table()? }).await?;
    assert!(told.starts_with("mail.password_file: ") && told.contains("chmod 600"), "{told}");
    std::fs::write(&file, "\n")?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    let told = start(MailTable { password_file: Some(file.clone()), ..server.table()? }).await?;
    assert!(told.contains("is empty"), "{told}");
    let told = start(MailTable { ca: Some(file), ..server.table()? }).await?;
    assert!(told.starts_with("mail.ca: ") && told.contains("no certificate in it"), "{told}");
    let told = start(MailTable { ca: Some("/nowhere/ca.pem".into()), ..server.table()? }).await?;
    assert!(told.contains("/nowhere/ca.pem"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_test_mail_is_asked_for_followed_and_recorded() -> anyhow::Result<()> {
    if !need("smtp") {
        return Ok(());
    }
    let server = SmtpCatcher::start(MailTls::Starttls)?;
    let hub = hub_with(server.table()?, None).await?;
    let queued = mail::test(&hub.operator(), hub.hub(), " ada@example.org ").await?;
    assert_eq!((queued.state, queued.kind.as_str()), (MailState::Queued, "test"));
    let sent = until_sent(&hub, "ada@example.org").await?;
    assert_eq!(sent.id, queued.id);
    let tested = nave_core::hub::event::last(&hub.hub().store, "mail.tested").await?.unwrap();
    assert_eq!(tested.object, "ada@example.org");
    let again = mail::retry(&hub.operator(), hub.hub(), &sent.id).await.unwrap_err();
    assert_eq!(again.code(), "conflict");
    Ok(())
}
