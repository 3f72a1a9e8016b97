//! Sends what is due, one mail after the other, and decides what becomes of those that were not taken. How a server is
//! spoken to stands in `smtp`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::extension::ClientId;
use nave_link::address::HubUrl;
use secrecy::ExposeSecret as _;
use time::OffsetDateTime;

use super::render::{self, Content};
use super::server::MailServer;
use super::smtp::{self, Trouble, TroubleKind};
use super::store::{self, DueMail};
use super::{about, place, tell_after_commit};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::store::Act;

/// How long a mail waits after the first attempt that failed; then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_mins(1);
/// The longest that it waits.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// After a crash in the middle of an attempt, what is added to the time that the attempt could have taken.
const MARGIN: Duration = Duration::from_mins(1);

/// What became of an attempt.
enum Outcome {
    Sent,
    PutOff { server_away: bool },
    Failed,
}

/// Sends everything that is due. Trouble with the server itself ends the round: the next mail would meet it, too.
pub(super) async fn round(hub: Arc<Hub>) -> Result<String> {
    let Some(server) = &hub.mail else { return Ok("mail is not configured".to_owned()) };
    let (mut sent, mut put_off, mut failed) = (0, 0, 0);
    while let Some((mail, now)) = claim(&hub, server).await? {
        let outcome = match attempt(&hub, server, mail, now).await? {
            Outcome::Sent => &mut sent,
            Outcome::Failed => &mut failed,
            Outcome::PutOff { server_away: false } => &mut put_off,
            Outcome::PutOff { server_away: true } => {
                put_off += 1;
                break;
            }
        };
        *outcome += 1;
    }
    Ok(format!("{sent} sent, {put_off} put off, {failed} failed"))
}

/// The next mail whose turn it is, and when that is. Nobody else gets it while this attempt lasts.
async fn claim(hub: &Hub, server: &MailServer) -> Result<Option<(DueMail, OffsetDateTime)>> {
    let now = hub.clock.now();
    let mut reader = hub.store.read().await?;
    if !store::is_any_due(&mut reader, now).await? {
        return Ok(None);
    }
    drop(reader);
    let mut act = hub.store.begin().await?;
    let Some(mail) = store::due(&mut act, now).await? else { return Ok(None) };
    store::begin_attempt(&mut act, mail.id, now + server.patience() + MARGIN).await?;
    act.commit().await?;
    Ok(Some((mail, now)))
}

async fn attempt(hub: &Hub, server: &MailServer, mail: DueMail, now: OffsetDateTime) -> Result<Outcome> {
    let (id, attempts) = (mail.id, mail.attempts + 1);
    let give_up_at = mail.give_up_at;
    if now >= give_up_at {
        let tried = mail.last_error.as_deref().unwrap_or("the hub could not try");
        return fail(hub, &mail, &format!("given up after {} attempts: {tried}", mail.attempts)).await;
    }
    let message = match compose(hub, server, &mail).await {
        Ok(message) => message,
        Err(error) => {
            tracing::error!(mail = %id, error = &error as &dyn std::error::Error, "a mail cannot be read any more");
            return fail(hub, &mail, "the hub cannot read its content any more; its log has the details")
                .await;
        }
    };
    let trouble = match smtp::deliver(server, &hello(hub.url.get()), &message).await {
        Ok(taken) => {
            let mut act = hub.store.begin().await?;
            store::sent(&mut act, id, hub.clock.now()).await?;
            tell_after_commit(&mut act, hub, id);
            act.commit().await?;
            taken.quit().await;
            return Ok(Outcome::Sent);
        }
        Err(trouble) => trouble,
    };
    let Trouble { words, kind } = trouble;
    tracing::warn!(mail = %id, attempts, reason = words, "a mail was not taken");
    if kind == TroubleKind::Never {
        return fail(hub, &mail, &words).await;
    }
    let server_away = kind == TroubleKind::Server;
    let until = (hub.clock.now() + pause_after(attempts)).min(give_up_at);
    let mut act = hub.store.begin().await?;
    store::put_off(&mut act, id, until, server_away, &words).await?;
    act.commit().await?;
    Ok(Outcome::PutOff { server_away })
}

async fn compose(hub: &Hub, server: &MailServer, mail: &DueMail) -> Result<lettre::Message> {
    let secret = hub.sealer.unseal(&place(mail.id), &mail.content).await?;
    let content: Content = serde_json::from_slice(secret.expose_secret()).map_err(Error::internal)?;
    let to: Address = mail.recipient.parse().map_err(Error::internal)?;
    render::message(mail.id, server.from(), to, mail.created_at, content)
}

async fn fail(hub: &Hub, mail: &DueMail, words: &str) -> Result<Outcome> {
    let op = hub.op("mail.send");
    let mut act: Act = hub.store.begin().await?;
    if store::fail(&mut act, mail.id, words).await? {
        let detail = serde_json::json!({ "reason": words });
        hub.record(&mut act, &op, about("mail.failed", mail.id, &mail.recipient, detail)).await?;
        tell_after_commit(&mut act, hub, mail.id);
    }
    act.commit().await?;
    Ok(Outcome::Failed)
}

/// How long a mail waits after so many attempts.
fn pause_after(attempts: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

/// How the hub introduces itself: by the name that others know it by (RFC 5321, section 4.1.4).
fn hello(url: Option<&HubUrl>) -> ClientId {
    let host = url.map_or("localhost", HubUrl::host);
    match host.parse() {
        Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(host.to_owned()),
    }
}

/// When a mail of that age is given up: after three days, or when its link ends.
pub(super) fn give_up_at(queued_at: OffsetDateTime, until: Option<OffsetDateTime>) -> OffsetDateTime {
    let days = queued_at + Duration::from_hours(72);
    until.map_or(days, |until| until.min(days))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let minutes: Vec<u64> = (0..9).map(|attempts| pause_after(attempts).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn the_hub_introduces_itself_by_its_address() {
        let told = |url: &str| hello(Some(&url.parse().unwrap())).to_string();
        assert_eq!(told("https://hub.example.org:3101"), "hub.example.org");
        assert_eq!(told("https://192.0.2.1"), "[192.0.2.1]");
        assert_eq!(told("https://[2001:db8::1]"), "[IPv6:2001:db8::1]");
        assert_eq!(hello(None).to_string(), "localhost");
    }
}
