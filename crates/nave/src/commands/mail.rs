//! `nave mail`: what the hub mailed, and what became of it.

use std::time::Duration;

use http::Method;
use nave_core::api::{self, MailState};
use serde_json::json;

use super::node::moment;
use super::{AlreadySaid, Context};
use crate::cli::Mail;
use crate::client::{HubClient, segment};
use crate::printer::Progress;

/// How often the hub is asked what became of a test mail.
const PAUSE: Duration = Duration::from_millis(250);

pub async fn run(context: &Context<'_>, command: Mail) -> anyhow::Result<()> {
    let hub = context.hub().await?;
    match command {
        Mail::List => list(context, &hub).await,
        Mail::Test { address } => test(context, &hub, address).await,
        Mail::Retry { mut ids } => {
            if ids.is_empty() {
                let mails: Vec<api::Mail> = hub.get("/nave/v1/mails").await?;
                ids.extend(
                    mails.into_iter().filter(|mail| mail.state != MailState::Sent).map(|mail| mail.id),
                );
            }
            for id in &ids {
                hub.act(Method::POST, &format!("{}/retry", path(id)), &json!({})).await?;
            }
            context
                .printer
                .talk(format!("nave: {} on their way again; `nave mail list` shows them", ids.len()));
            Ok(())
        }
        Mail::Discard { ids } => {
            for id in &ids {
                hub.act(Method::DELETE, &path(id), &json!({})).await?;
            }
            context.printer.talk(format!("nave: {} forgotten", ids.len()));
            Ok(())
        }
    }
}

fn path(id: &str) -> String {
    format!("/nave/v1/mails/{}", segment(id))
}

async fn list(context: &Context<'_>, hub: &HubClient) -> anyhow::Result<()> {
    let mails: Vec<api::Mail> = hub.get("/nave/v1/mails").await?;
    let columns = ["ID", "TO", "KIND", "STATE", "QUEUED", "TRIED", "NEXT", "WHY NOT"];
    let cells = |mail: &api::Mail| {
        let state = match mail.state {
            MailState::Queued => "queued",
            MailState::Sent => "sent",
            MailState::Failed => "failed",
        };
        vec![
            mail.id.clone(),
            mail.recipient.clone(),
            mail.kind.clone(),
            state.to_owned(),
            moment(mail.created_at),
            mail.attempts.to_string(),
            mail.next_attempt_at.map(moment).unwrap_or_default(),
            mail.last_error.clone().unwrap_or_default(),
        ]
    };
    context.printer.rows(&mails, &columns, cells, "no mails in the last 30 days")
}

async fn test(context: &Context<'_>, hub: &HubClient, address: String) -> anyhow::Result<()> {
    let mut mail: api::Mail = hub.post("/nave/v1/mails", &api::MailTest { address }).await?;
    let progress = Progress::start("waiting for the mail server");
    while mail.state == MailState::Queued && mail.last_error.is_none() {
        tokio::time::sleep(PAUSE).await;
        mail = hub.get(&path(&mail.id)).await?;
    }
    progress.finish();
    if context.printer.is_json() {
        context.printer.value(&mail)?;
    }
    let reason = mail.last_error.unwrap_or_default();
    let words = match mail.state {
        MailState::Sent => format!("the mail server took the mail to {}", mail.recipient),
        MailState::Queued => format!("not taken yet: {reason}; the hub tries again by itself"),
        MailState::Failed => format!("not taken: {reason}"),
    };
    context.printer.talk(format!("nave: {words}"));
    if mail.state == MailState::Sent { Ok(()) } else { Err(AlreadySaid.into()) }
}
