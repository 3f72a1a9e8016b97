//! `nave agent mail …`: messages between agents.

use std::io::Read as _;

use anyhow::Context as _;
use nave_agents::api::{Mail, NewMail};

use super::super::Context;
use super::super::node::moment;
use super::files;
use super::logs::plain;
use crate::cli::agent::AgentMail;
use crate::client::segment;

pub(super) const MAILS: &str = "/nave/v1/agent-mails";

pub async fn run(context: &Context<'_>, command: AgentMail) -> anyhow::Result<()> {
    let (hub, printer) = (context.hub().await?, context.printer);
    match command {
        AgentMail::List { agent, unread, sent, archived, limit } => {
            let direction = if sent { "&direction=sent" } else { "" };
            let query = format!(
                "{MAILS}?agent={}&unread={unread}&archived={archived}&limit={limit}{direction}",
                segment(&agent)
            );
            show(context, &hub.get::<Vec<Mail>>(&query).await?, &format!("no messages of {agent}"))
        }
        AgentMail::Search { words, agent, archived } => {
            let words = words.join(" ");
            let query =
                format!("{MAILS}?agent={}&archived={archived}&search={}", segment(&agent), segment(&words));
            let empty = format!("in no message of {agent} stands {words:?}");
            show(context, &hub.get::<Vec<Mail>>(&query).await?, &empty)
        }
        AgentMail::Read { mail, save, agent } => {
            let mail: Mail = hub.get(&format!("{MAILS}/{mail}?agent={}&read=true", segment(&agent))).await?;
            if printer.is_json() {
                printer.value(&mail)?;
            } else {
                print(context, &mail);
            }
            // It counts as read by now: so it is shown whatever comes of its files.
            let Some(folder) = save else { return Ok(()) };
            for saved in files::save(&hub, &mail.head, &folder).await? {
                printer.talk(format!("nave: {} is saved", saved.display()));
            }
            Ok(())
        }
        AgentMail::Send { to, subject, body, files, agent } => {
            let files = files::read(&files)?;
            let body = if let Some(body) = body {
                body
            } else {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
                text
            };
            let attachments = files::bring(&hub, files, &agent).await?;
            let new = NewMail { from: Some(agent), to, subject, body, attachments, ..NewMail::default() };
            let sent: Mail = hub.post(MAILS, &new).await?;
            if printer.is_json() {
                return printer.value(&sent);
            }
            printer.talk(format!("nave: message {} is sent to {}", sent.head.id, sent.head.to.join(", ")));
            Ok(())
        }
    }
}

fn print(context: &Context<'_>, mail: &Mail) {
    let head = &mail.head;
    for (name, value) in [
        ("from", head.from.clone()),
        ("to", head.to.join(", ")),
        ("at", moment(head.created_at)),
        ("subject", head.subject.clone()),
    ] {
        context.printer.data(format!("{name:<9}{}", plain(&value)));
    }
    for file in &head.attachments {
        context.printer.data(format!("{:<9}{} ({} bytes)", "file", plain(&file.filename), file.size));
    }
    context.printer.data("");
    mail.body.lines().for_each(|line| context.printer.data(plain(line)));
}

fn show(context: &Context<'_>, mails: &[Mail], empty: &str) -> anyhow::Result<()> {
    let cells = |mail: &Mail| {
        let head = &mail.head;
        vec![
            head.id.to_string(),
            if head.unread { "new" } else { "" }.to_owned(),
            moment(head.created_at),
            head.from.clone(),
            head.to.join(", "),
            plain(if head.subject.is_empty() { &mail.body } else { &head.subject })
                .chars()
                .take(60)
                .collect(),
        ]
    };
    context.printer.rows(mails, &["MAIL", "", "AT", "FROM", "TO", "SUBJECT"], cells, empty)
}
