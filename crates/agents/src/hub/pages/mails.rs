//! `/agents/mail`: who writes what to whom, one conversation, searching, putting away, and the files.

use axum::extract::{Path, RawQuery};
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::{Access, Routes};
use nave_web::form::{Fields, Form};
use nave_web::views::listing::Listing;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, done, shell, show};

use super::views::{Choice, ConversationPage, MailPage, conversation_path, is_human};
use super::{Fleet, asked, tabs};
use crate::api::Letter;
use crate::hub::files::serve::served;
use crate::hub::mail::{self, conversations};
use crate::hub::{MANAGE, files, letters, roster};

pub(super) const PATH: &str = "/agents/mail";
/// How many conversations, or messages, are shown at once.
const SHOWN: u32 = 50;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(PATH, Access::Page(MANAGE), list)
        .get("/agents/mail/with", Access::Page(MANAGE), conversation)
        .post("/agents/mail/archive", Access::Page(MANAGE), archive)
        .get("/agents/files/{file}", Access::Page(MANAGE), file)
}

/// Whose mailbox it is, by number and name; everybody's if nobody is named.
fn mailbox(agents: &Fleet, name: &str) -> Result<Option<(i64, String)>> {
    if name.is_empty() {
        return Ok(None);
    }
    let rows = agents.directory().read();
    rows.agent_named(name).map(|row| Some((row.id, row.name().to_owned())))
}

async fn list(visitor: Visitor, hub: Shared, agents: Fleet, RawQuery(query): RawQuery) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let values = [("q", query.one("q")?), ("agent", query.one("agent")?)];
    let listing = Listing::new(PATH, &values);
    let mailbox = mailbox(&agents, listing.get("agent"))?;
    let id = mailbox.as_ref().map(|(id, _)| *id);
    let all = roster::list(&visitor.op, &agents, false)?;
    let mut names: Vec<&str> =
        all.iter().filter(|agent| is_human(agent)).map(|agent| agent.name.as_str()).collect();
    if let Some((_, name)) = &mailbox
        && !names.contains(&name.as_str())
    {
        names.push(name);
    }
    let choice = |label: String, name: &str, here| Choice { label, count: 0, path: path_of(name), here };
    let mut choices = vec![choice("Everybody’s".to_owned(), "", mailbox.is_none())];
    choices.extend(names.into_iter().map(|name| {
        let here = mailbox.as_ref().is_some_and(|(_, shown)| shown == name);
        choice(format!("{name}’s"), name, here)
    }));
    let terms = listing.get("q");
    let (mut talks, mut found) = (Vec::new(), Vec::new());
    if terms.trim().is_empty() {
        let before = asked(&query, "before")?;
        talks = conversations::list(&visitor.op, &hub, &agents, id, before, SHOWN + 1).await?;
    } else {
        found = conversations::find(&visitor.op, &hub, &agents, id, terms, SHOWN).await?;
    }
    let more = talks.len() > SHOWN as usize;
    talks.truncate(SHOWN as usize);
    let older = talks.last().filter(|_| more).map(|talk| with_before(&listing.here(), talk.last));
    let shell = shell(&visitor, &hub, "Mail", "/agents").await?;
    let mailbox = mailbox.map(|(_, name)| name).unwrap_or_default();
    let tabs = tabs(&visitor.op, PATH);
    let view = MailPage { shell, tabs, listing, mailbox, choices, talks, found, older };
    Ok(show(&view, &view.shell))
}

/// The address of a mailbox.
fn path_of(name: &str) -> String {
    Listing::new(PATH, &[("agent", name)]).here()
}

fn with_before(path: &str, before: i64) -> String {
    format!("{path}{}before={before}", if path.contains('?') { '&' } else { '?' })
}

async fn conversation(visitor: Visitor, hub: Shared, agents: Fleet, RawQuery(query): RawQuery) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let (participants, asked_for) = (query.one("who")?, query.one("agent")?);
    let mailbox = mailbox(&agents, asked_for)?;
    let before = asked(&query, "before")?;
    let mut letters =
        conversations::show(&visitor.op, &hub, &agents, participants, before, SHOWN + 1).await?;
    if letters.is_empty() {
        return Err(Error::not_found("conversation", participants).into());
    }
    let more = letters.len() > SHOWN as usize;
    letters.truncate(SHOWN as usize);
    // What a person among agents is shown is read.
    if let Some((id, name)) = &mailbox
        && roster::show(&visitor.op, &agents, name).is_ok_and(|found| is_human(&found.agent))
    {
        mark_read(&visitor, &hub, &agents, *id, name, &letters).await?;
    }
    let name = mailbox.map(|(_, name)| name).unwrap_or_default();
    let here = conversation_path(participants, &name);
    let older = letters.last().filter(|_| more).map(|letter| with_before(&here, letter.mail.head.id));
    letters.reverse();
    let shell = shell(&visitor, &hub, participants.replace(',', ", "), "/agents").await?;
    let view = ConversationPage {
        shell,
        participants: participants.split(',').map(str::to_owned).collect(),
        mailbox: name,
        here,
        follows: before.is_none(),
        letters,
        older,
    };
    Ok(show(&view, &view.shell))
}

async fn mark_read(
    visitor: &Visitor,
    hub: &Shared,
    agents: &Fleet,
    id: i64,
    name: &str,
    letters: &[Letter],
) -> Result<()> {
    for kind in [crate::api::MailKind::Mail, crate::api::MailKind::Chat] {
        let unread = letters.iter().filter(|letter| {
            letter.mail.head.kind == kind && letter.unread_by.iter().any(|reader| reader == name)
        });
        let ids: Vec<i64> = unread.map(|letter| letter.mail.head.id).collect();
        if !ids.is_empty() {
            mail::mark_read(&visitor.op, hub, agents, id, &ids, kind).await?;
        }
    }
    Ok(())
}

async fn archive(visitor: Visitor, hub: Shared, agents: Fleet, Form(fields): Form) -> Answer {
    let agent = fields.one("agent")?;
    let mut count = 0;
    for mail in fields.all("mail") {
        let mail = mail.parse().map_err(|_| Error::invalid("mail", "must be a message’s number"))?;
        match letters::archive(&visitor.op, &hub, &agents, agent, mail).await {
            Ok(()) => count += 1,
            // One that the mailbox does not have cannot be put away.
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let words = if count == 1 {
        "1 message is put away.".to_owned()
    } else {
        format!("{count} messages are put away.")
    };
    Ok(done(&path_of(agent), &words))
}

async fn file(visitor: Visitor, hub: Shared, agents: Fleet, Path(file): Path<String>) -> Answer {
    let (row, content) = files::fetch(&visitor.op, &hub, &agents, &file).await?;
    Ok(served(&row, content)?)
}
