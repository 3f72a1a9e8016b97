//! `/settings`: what the hub is and how it is set; the access key; a test mail.

use std::sync::PoisonError;
use std::time::Duration;

use nave_core::api::MailState;
use nave_core::hub::config::Period;
use nave_core::hub::context::JoinWithAccessKey;
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::identity::{self, ROTATE, SHOW};
use nave_core::hub::people::config::SecondFactor;
use nave_core::hub::{access, mail, people};

use super::{Answer, Shared, done, refuse, shell, show};
use crate::error::PageError;
use crate::form::Form;
use crate::ui::{Filled, Tone};
use crate::views::settings::{Identity, Mail, QueuedMail, Setting, Settings};
use crate::visitor::Visitor;

/// A certificate that ends sooner is worth a look.
const SOON: Duration = Duration::from_hours(720);

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get("/settings", Access::Page(SHOW), page)
        .post("/settings/access-key", Access::Page(SHOW), show_key)
        .post("/settings/access-key/rotate", Access::Page(ROTATE), rotate_key)
        .post("/settings/mail/test", Access::Page(mail::MANAGE), test_mail)
}

async fn page(visitor: Visitor, hub: Shared) -> Answer {
    access::require(&visitor.op, SHOW)?;
    let view = view_of(&visitor, &hub, None, Filled::with([("grace", "0")])).await?;
    Ok(show(&view, &view.shell))
}

async fn view_of(
    visitor: &Visitor,
    hub: &Shared,
    key: Option<String>,
    rotation: Filled,
) -> Result<Settings, PageError> {
    let now = hub.clock.now();
    let identities = hub
        .identities
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
        .map(|identity| Identity {
            name: identity.name.clone(),
            certificate: identity.certificate.display().to_string(),
            fingerprint: identity.fingerprint.to_string(),
            not_after: identity.not_after,
            tone: match identity.not_after - now {
                rest if rest.is_negative() => Tone::Bad,
                rest if rest < SOON => Tone::Warn,
                _ => Tone::Good,
            },
        })
        .collect();
    Ok(Settings {
        shell: shell(visitor, hub, "Settings", "/settings").await?,
        identities,
        listeners: hub.listeners.get().cloned().unwrap_or_default(),
        url: hub.url.get().map(ToString::to_string).unwrap_or_default(),
        id: hub.key.public().digest().to_string(),
        key_prefix: hub.access_keys.prefix().to_string(),
        key,
        rotation,
        mail: mails(visitor, hub).await?,
        groups: groups(hub),
        may_see_key: access::require(&visitor.op, SHOW).is_ok(),
    })
}

async fn mails(visitor: &Visitor, hub: &Shared) -> Result<Mail, PageError> {
    let mut queue: Vec<QueuedMail> = mail::list(&visitor.op, hub)
        .await?
        .into_iter()
        .filter(|mail| mail.state != MailState::Sent)
        .map(|mail| QueuedMail {
            to: mail.recipient,
            subject: mail.kind.replace('_', " "),
            since: mail.created_at,
            tries: mail.attempts,
            last_error: mail.last_error.unwrap_or_default(),
        })
        .collect();
    queue.sort_by_key(|mail| mail.since);
    Ok(Mail {
        server: hub.mail.as_ref().map(|server| server.address().to_string()),
        from: hub.mail.as_ref().map(mail::MailServer::sender).unwrap_or_default(),
        queue,
    })
}

fn groups(hub: &Shared) -> Vec<(&'static str, Vec<Setting>)> {
    let period = |time: Duration| Period(time).to_string();
    let setting = |name, value, key| Setting { name, value, key };
    let people = &hub.people.settings;
    let yes = |set| if set { "yes" } else { "no" }.to_owned();
    vec![
        (
            "Nodes",
            vec![
                setting("A node pings every", period(hub.settings.heartbeat), "nodes.heartbeat"),
                setting("It is lost after", period(hub.settings.lost_after), "nodes.lost_after"),
                setting(
                    "Who shows the access key",
                    match hub.settings.join_with_access_key {
                        JoinWithAccessKey::Pending => "waits to be let in",
                        JoinWithAccessKey::Approve => "is let in at once",
                        JoinWithAccessKey::Refuse => "is refused",
                    }
                    .to_owned(),
                    "join.with_access_key",
                ),
            ],
        ),
        (
            "People",
            vec![
                setting(
                    "Everybody needs a second factor",
                    yes(people.second_factor == SecondFactor::Required),
                    "people.second_factor",
                ),
                setting("An unused session ends after", period(people.session_idle), "people.session_idle"),
                setting("Every session ends after", period(people.session_longest), "people.session_longest"),
                setting("An invitation is good for", period(people.invitation), "people.invitation"),
                setting(
                    "Strangers may ask for access",
                    yes(people.access_requests),
                    "people.access_requests",
                ),
            ],
        ),
        (
            "Retention",
            vec![setting("The audit log is kept for", period(hub.settings.keep_events), "events.keep")],
        ),
    ]
}

async fn show_key(visitor: Visitor, hub: Shared, _: Form) -> Answer {
    let key = identity::show(&visitor.op, &hub, false).await?;
    let view = view_of(&visitor, &hub, Some(key.to_string()), Filled::with([("grace", "0")])).await?;
    Ok(show(&view, &view.shell))
}

async fn rotate_key(visitor: Visitor, hub: Shared, Form(fields): Form) -> Answer {
    let rotated = async {
        let grace = fields.one("grace")?;
        let grace = grace.parse().map_err(|_| Error::invalid("grace", "must be chosen"))?;
        identity::rotate(&visitor.op, &hub, Duration::from_secs(grace)).await
    };
    match rotated.await {
        Ok(key) => {
            let rotation = Filled::with([("grace", "0")]);
            let view = view_of(&visitor, &hub, Some(key.to_string()), rotation).await?;
            Ok(show(&view, &view.shell))
        }
        Err(error) => {
            let rotation = Filled::refused(&fields, &error);
            Ok(refuse(&view_of(&visitor, &hub, None, rotation).await?, &error))
        }
    }
}

async fn test_mail(visitor: Visitor, hub: Shared, _: Form) -> Answer {
    let me = access::require_person(&visitor.op)?.id.to_string();
    let address = people::show(&visitor.op, &hub, &me).await?.email;
    mail::test(&visitor.op, &hub, &address).await?;
    Ok(done("/settings#mail", &format!("A test mail to {address} is on its way.")))
}
