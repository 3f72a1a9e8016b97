//! Mail: letters to people, queued in the act that causes them, sent in the background, visible when they are stuck. A
//! mail server that is away is never in the way of a change.
//!
//! A letter's content is sealed while it waits, since it may hold a one-time link, and gone once it was sent. A crash
//! between the server's word and its note in the table may send a letter twice; none is lost.

mod config;
mod letter;
mod render;
mod send;
mod server;
pub mod smtp;
mod store;
#[cfg(test)]
mod tests;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use lettre::Address;
use serde_json::{Value, json};
use sqlx::AnyConnection;
use time::OffsetDateTime;

pub use config::{MailTable, MailTls, Sender};
pub use letter::Letter;
pub use server::{MailError, MailServer};

use super::access::{self, Action, Roles};
use super::bus::Notice;
use super::context::Hub;
use super::error::{Error, Result};
use super::event::Event;
use super::job::Job;
use super::op::Op;
use super::store::Act;
use crate::api::{Mail, MailState};

crate::id!(
    /// One mail.
    MailId
);

/// Seeing what was mailed to whom, and what became of it.
pub const READ: Action = Action::new("mail.read", Roles::ADMINS);
/// Sending again, discarding, and testing.
pub const MANAGE: Action = Action::new("mail.manage", Roles::ADMINS);

/// How long a mail that has ended is kept, without its content.
const KEPT: Duration = Duration::from_hours(720);

/// Whether the hub can send mail. Where it cannot, whoever makes a link shows it on the screen.
pub fn is_configured(hub: &Hub) -> bool {
    hub.mail.is_some()
}

/// Puts a letter into an act: it is sent if and only if the act is durable. Returns whether mail is configured; where it
/// is not, nothing is written.
///
/// # Errors
///
/// [`Error::Invalid`] for the field `address` if it is no address.
pub async fn queue(act: &mut Act, hub: &Hub, op: &Op, to: &str, letter: &Letter<'_>) -> Result<bool> {
    if !is_configured(hub) {
        return Ok(false);
    }
    put(act, hub, op, to, letter).await?;
    Ok(true)
}

async fn put(act: &mut Act, hub: &Hub, op: &Op, to: &str, letter: &Letter<'_>) -> Result<MailId> {
    let to: Address = to.trim().parse().map_err(|error| {
        Error::invalid("address", format!("{to:?} is no mail address ({error}): write NAME@DOMAIN"))
    })?;
    let url = hub.url.get().ok_or_else(|| Error::Conflict("the hub does not listen yet".to_owned()))?;
    let (id, now) = (MailId::new(), op.clock.now());
    let content = serde_json::to_vec(&render::render(letter, url)?).map_err(Error::internal)?;
    let mail = store::NewMail {
        id,
        kind: letter.kind(),
        recipient: to.as_ref(),
        content: hub.sealer.seal(&place(id), &content),
        created_at: now,
        give_up_at: send::give_up_at(now, letter.until()),
    };
    store::insert(act, &mail).await?;
    tell_after_commit(act, hub, id);
    Ok(id)
}

/// Every mail that is remembered, without its content: those that failed, those that wait, those that were sent.
pub async fn list(op: &Op, hub: &Hub) -> Result<Vec<Mail>> {
    access::require(op, READ)?;
    let mut reader = hub.store.read().await?;
    store::all(&mut reader).await
}

/// One mail, without its content.
pub async fn show(op: &Op, hub: &Hub, id: &str) -> Result<Mail> {
    access::require(op, READ)?;
    let mut reader = hub.store.read().await?;
    find(&mut reader, id).await.map(|(_, mail)| mail)
}

/// Sends a mail again that failed, or one that waits at once.
pub async fn retry(op: &Op, hub: &Hub, id: &str) -> Result<()> {
    access::require(op, MANAGE)?;
    let mut act = hub.store.begin().await?;
    let (id, mail) = find(act.connection(), id).await?;
    if mail.state == MailState::Sent {
        return Err(Error::Conflict(format!("the mail to {} was sent already", mail.recipient)));
    }
    let now = op.clock.now();
    store::requeue(&mut act, id, now, send::give_up_at(now, None)).await?;
    hub.record(&mut act, op, about("mail.retried", id, &mail.recipient, json!({ "kind": mail.kind })))
        .await?;
    tell_after_commit(&mut act, hub, id);
    act.commit().await
}

/// Forgets a mail, sent or not.
pub async fn discard(op: &Op, hub: &Hub, id: &str) -> Result<()> {
    access::require(op, MANAGE)?;
    let mut act = hub.store.begin().await?;
    let (id, mail) = find(act.connection(), id).await?;
    store::delete(&mut act, id).await?;
    hub.record(&mut act, op, about("mail.discarded", id, &mail.recipient, json!({ "kind": mail.kind })))
        .await?;
    tell_after_commit(&mut act, hub, id);
    act.commit().await
}

/// Queues a test mail; what becomes of it is seen in the list.
pub async fn test(op: &Op, hub: &Hub, address: &str) -> Result<Mail> {
    access::require(op, MANAGE)?;
    if !is_configured(hub) {
        return Err(Error::Conflict(
            "mail is not configured: set [mail] in the hub's configuration and restart it".to_owned(),
        ));
    }
    let mut act = hub.store.begin().await?;
    let id = put(&mut act, hub, op, address, &Letter::Test { by: &op.actor.name() }).await?;
    let (_, mail) = find(act.connection(), &id.to_string()).await?;
    hub.record(&mut act, op, about("mail.tested", id, &mail.recipient, Value::Null)).await?;
    act.commit().await?;
    Ok(mail)
}

/// Forgets mails that ended long ago; returns how many.
pub async fn forget_old(op: &Op, hub: &Hub) -> Result<u64> {
    access::require(op, MANAGE)?;
    let mut act = hub.store.begin().await?;
    let forgotten = store::delete_ended(&mut act, op.clock.now() - KEPT).await?;
    act.commit().await?;
    Ok(forgotten)
}

/// How mail is, for checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Mails that wait.
    pub waiting: i64,
    /// Those of them that were tried in vain.
    pub stuck: i64,
    /// Since when the oldest of those waits.
    pub since: Option<OffsetDateTime>,
    /// Mails that were refused or given up.
    pub failed: i64,
    /// What the newest of the failed, or else of the stuck, met.
    pub last_error: String,
}

/// How mail is.
pub async fn standing(hub: &Hub) -> Result<Standing> {
    let mut reader = hub.store.read().await?;
    store::standing(&mut reader).await
}

/// Sending, and forgetting what was sent.
pub(super) fn jobs() -> Vec<Job> {
    vec![
        Job::new("mail.send", Duration::from_secs(15), Some("mail"), send::round),
        Job::new("mail.forget_old", Duration::from_hours(6), None, |hub| async move {
            let forgotten = forget_old(&hub.op("mail.forget_old"), &hub).await?;
            Ok(format!("{forgotten} mails forgotten"))
        }),
    ]
}

async fn find(reader: &mut AnyConnection, id: &str) -> Result<(MailId, Mail)> {
    let found = match id.parse() {
        Ok(id) => store::one(reader, id).await?.map(|mail| (id, mail)),
        Err(_) => None,
    };
    found.ok_or_else(|| Error::not_found("mail", id))
}

/// The place that a content is sealed for.
fn place(id: MailId) -> String {
    format!("mails/content/{id}")
}

fn tell_after_commit(act: &mut Act, hub: &Hub, id: MailId) {
    let bus = Arc::clone(&hub.bus);
    act.after_commit(move || bus.publish(Notice { topic: "mail", key: id.to_string() }));
}

fn about(action: &'static str, id: MailId, recipient: &str, detail: Value) -> Event {
    Event {
        action,
        object_kind: "mail",
        object_id: id.to_string(),
        object_name: recipient.to_owned(),
        detail,
    }
}
