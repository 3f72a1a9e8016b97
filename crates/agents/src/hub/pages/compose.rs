//! `/agents/mail/new`: writing to agents, as one of the people among them.

use axum::extract::RawQuery;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::{Access, Routes};
use nave_web::error::PageError;
use nave_web::form::{Fields, Upload};
use nave_web::ui::Filled;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, done, refuse, shell, show};

use super::Fleet;
use super::views::{ComposePage, conversation_path, is_human};
use crate::api::{Attachment, MailKind, NewMail};
use crate::hub::files::{self, Purpose};
use crate::hub::{MANAGE, RUN, letters, roster};

const PATH: &str = "/agents/mail/new";

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(PATH, Access::Page(MANAGE), blank).post(PATH, Access::Page(RUN), send)
}

async fn blank(visitor: Visitor, hub: Shared, agents: Fleet, RawQuery(query): RawQuery) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let form = Filled::with([
        ("to", query.one("to")?),
        ("subject", query.one("subject")?),
        ("from", query.filled("from")?.unwrap_or(roster::ADMIN)),
    ]);
    let view = view_of(&visitor, &hub, &agents, form, Vec::new()).await?;
    Ok(show(&view, &view.shell))
}

async fn view_of(
    visitor: &Visitor,
    hub: &Shared,
    agents: &Fleet,
    form: Filled,
    kept: Vec<Attachment>,
) -> Result<ComposePage, PageError> {
    let (people, all): (Vec<_>, Vec<_>) =
        roster::list(&visitor.op, agents, false)?.into_iter().partition(is_human);
    let names = |agents: Vec<crate::api::Agent>| agents.into_iter().map(|agent| agent.name);
    let people: Vec<String> = names(people).collect();
    Ok(ComposePage {
        shell: shell(visitor, hub, "Write", "/agents").await?,
        agents: names(all).chain(people.iter().cloned()).collect(),
        people,
        form,
        kept,
    })
}

/// Names as somebody typed them, parted by commas or spaces.
fn names(text: &str) -> Vec<String> {
    let names = text.split([',', ';', ' ', '\n', '\t', '\r']).map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

async fn send(visitor: Visitor, hub: Shared, agents: Fleet, upload: Upload) -> Answer {
    let Upload { fields, files: brought } = upload;
    // Files are kept first, so that they need not be chosen again when something else is wrong.
    let mut kept: Vec<Attachment> = Vec::new();
    for id in fields.all("kept") {
        if let Ok((row, _)) = files::fetch(&visitor.op, &hub, &agents, id).await {
            kept.push(Attachment { id: row.public_id, filename: row.filename, size: row.size });
        }
    }
    let sent = async {
        let from = fields.filled("from")?.unwrap_or(roster::ADMIN);
        let writer = agents.directory().read().agent_named(from).map(|row| row.id);
        let writer =
            writer.map_err(|_| Error::invalid("from", format!("there is no agent named {from:?}")))?;
        for file in brought {
            let row =
                files::keep(&visitor.op, &hub, &agents, writer, &file.name, Purpose::Mail, file.content);
            let row = row.await.map_err(|error| match error {
                Error::Invalid { problem, .. } => Error::invalid("file", format!("{}: {problem}", file.name)),
                other => other,
            })?;
            kept.push(Attachment { id: row.public_id, filename: row.filename, size: row.size });
        }
        let new = NewMail {
            from: Some(from.to_owned()),
            to: recipients(&agents, fields.one("to")?)?,
            subject: fields.one("subject")?.trim().to_owned(),
            body: fields.one("body")?.to_owned(),
            kind: MailKind::Mail,
            attachments: kept.iter().map(|file| file.id.clone()).collect(),
        };
        if new.body.trim().is_empty() && new.attachments.is_empty() {
            return Err(Error::invalid("body", "must not be empty"));
        }
        let (mut names, count) = (new.to.clone(), new.to.len());
        names.push(from.to_owned());
        letters::send(&visitor.op, &hub, &agents, new).await?;
        Ok::<_, Error>((participants(&agents, &names), count, from.to_owned()))
    };
    match sent.await {
        Ok((participants, count, from)) => {
            let words =
                if count == 1 { "It is sent.".to_owned() } else { format!("It is sent to {count} agents.") };
            Ok(done(&conversation_path(&participants, &from), &words))
        }
        Err(error) => {
            let form = Filled::refused(&fields, &error);
            let view = view_of(&visitor, &hub, &agents, form, kept).await?;
            Ok(refuse(&view, &error))
        }
    }
}

fn recipients(agents: &Fleet, text: &str) -> Result<Vec<String>> {
    let names = names(text);
    if names.is_empty() {
        return Err(Error::invalid("to", "must name at least one agent"));
    }
    let rows = agents.directory().read();
    let unknown: Vec<&str> =
        names.iter().filter(|name| rows.agent_named(name).is_err()).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(Error::invalid("to", format!("names nobody: {}", unknown.join(", "))));
    }
    Ok(names)
}

/// The conversation of these, as mails have it.
fn participants(agents: &Fleet, names: &[String]) -> String {
    let rows = agents.directory().read();
    let known = names.iter().filter_map(|name| rows.agent_named(name).ok());
    let names: std::collections::BTreeSet<&str> = known.map(crate::hub::directory::AgentRow::name).collect();
    names.into_iter().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parted_however_they_are_typed() {
        assert_eq!(names(" ann, bob;cid\n dot "), ["ann", "bob", "cid", "dot"]);
        assert!(names(" ,; ").is_empty());
    }
}
