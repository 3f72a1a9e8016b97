//! Mail: through a real server, past servers that misbehave, and its table on both engines.

mod delivery;
mod queue;
mod trouble;

use nave_core::api::{Mail, MailState};
use nave_core::clock::Clock;
use nave_core::hub::config::HubConfig;
use nave_core::hub::mail::{self, Letter, MailTable};
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::wait::until;

/// What stands in for a one-time link.
const LINK: &str = "https://hub.example.org/set-password?token=a-one-time-secret";

async fn hub_with(table: MailTable, clock: Option<Clock>) -> anyhow::Result<TestHub> {
    let config = HubConfig { mail: Some(table), ..HubConfig::default() };
    TestHub::with(TestHubSetup { config, clock, ..TestHubSetup::default() }).await
}

async fn invite(hub: &TestHub, to: &str) -> anyhow::Result<()> {
    let op = hub.operator();
    let letter = Letter::Invitation { by: "Grace", link: LINK, until: op.clock.now() + 24 * HOUR };
    let mut act = hub.hub().store.begin().await?;
    assert!(mail::queue(&mut act, hub.hub(), &op, to, &letter).await?);
    act.commit().await?;
    Ok(())
}

const HOUR: std::time::Duration = std::time::Duration::from_hours(1);

async fn mail_to(hub: &TestHub, to: &str) -> anyhow::Result<Mail> {
    let mails = mail::list(&hub.operator(), hub.hub()).await?;
    mails.into_iter().find(|mail| mail.recipient == to).ok_or_else(|| anyhow::anyhow!("no mail to {to}"))
}

/// Waits until the mail to somebody is as wanted.
async fn until_mail(hub: &TestHub, to: &str, wanted: impl Fn(&Mail) -> bool) -> anyhow::Result<Mail> {
    until(&format!("the mail to {to} is as wanted"), async || {
        mail_to(hub, to).await.ok().filter(|mail| wanted(mail))
    })
    .await
}

async fn until_sent(hub: &TestHub, to: &str) -> anyhow::Result<Mail> {
    until_mail(hub, to, |mail| mail.state == MailState::Sent).await
}

/// Waits until an attempt ended badly; returns the reason.
async fn until_put_off(hub: &TestHub, to: &str) -> anyhow::Result<String> {
    let mail = until_mail(hub, to, |mail| mail.last_error.is_some()).await?;
    assert_eq!(mail.state, MailState::Queued, "{mail:?}");
    Ok(mail.last_error.unwrap_or_default())
}

/// Says what the hub's own check of mail says, as `VERDICT message`.
async fn check(hub: &TestHub) -> String {
    let checks = nave_core::hub::status::running(hub.hub()).await;
    let check = checks.into_iter().find(|check| check.name == "mail").unwrap();
    format!("{:?} {}", check.verdict, check.message)
}
