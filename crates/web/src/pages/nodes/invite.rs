//! `/nodes/invite`: a line for another machine, and whether it came.

use axum::extract::{Path, RawQuery};
use nave_core::api::{EventFilter, GrantRequest, InviteRequest, Node};
use nave_core::hub::error::{Error, Result};
use nave_core::hub::event;
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::nodes::{self, INVITE};

use super::super::{Answer, Shared, refuse, shell, show};
use crate::form::{Fields, Form};
use crate::page;
use crate::ui::Filled;
use crate::views::nodes::{Arrival, Invite, Invited};
use crate::visitor::Visitor;

/// How many of the last joinings are looked at for those that came with an invitation.
const LOOKED_AT: u32 = 200;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/nodes/invite", Access::Page(INVITE), form)
        .post("/nodes/invite", Access::Page(INVITE), make)
        .get("/nodes/invited/{invite}", Access::Page(INVITE), arrival)
}

async fn form(visitor: Visitor, hub: Shared) -> Answer {
    let shell = shell(&visitor, &hub, "Invite a machine", "/nodes").await?;
    let form = Filled::with([("ttl", "3600"), ("uses", "1"), ("roles", "exporter")]);
    let view = Invite { shell, form };
    Ok(show(&view, &view.shell))
}

async fn make(visitor: Visitor, hub: Shared, Form(fields): Form) -> Answer {
    let made = async {
        let request = request(&fields)?;
        let allow = allowed(fields.one("allow")?)?;
        let invitation = nodes::invite(&visitor.op, &hub, &request).await?;
        Ok::<_, Error>((request, allow, invitation))
    };
    let (request, allow, invitation) = match made.await {
        Ok(made) => made,
        Err(error) => {
            let shell = shell(&visitor, &hub, "Invite a machine", "/nodes").await?;
            return Ok(refuse(&Invite { shell, form: Filled::refused(&fields, &error) }, &error));
        }
    };
    let mut command = format!("nave join {} --token {}", invitation.url, invitation.token);
    for rule in allow {
        command.push_str(&format!(" --allow {rule}"));
    }
    let arrival = Arrival { invite: invitation.id.clone(), name: request.name.clone(), joined: Vec::new() };
    let shell = shell(&visitor, &hub, "Invite a machine", "/nodes").await?;
    let view = Invited {
        shell,
        name: request.name,
        command,
        expires_at: invitation.expires_at,
        uses: request.uses.unwrap_or(1),
        arrival,
    };
    Ok(show(&view, &view.shell))
}

fn request(fields: &Fields) -> Result<InviteRequest> {
    let number = |name: &'static str| -> Result<Option<u64>> {
        let parse = |text: &str| text.parse().map_err(|_| Error::invalid(name, "must be a whole number"));
        fields.filled(name)?.map(parse).transpose()
    };
    let uses = number("uses")?;
    let uses = uses.map(|uses| u32::try_from(uses).map_err(|_| Error::invalid("uses", "is too many")));
    let grants = fields.one("grants")?.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(InviteRequest {
        name: fields.filled("name")?.map(ToOwned::to_owned),
        roles: fields.all("roles").map(ToOwned::to_owned).collect(),
        grants: grants
            .map(|scope| GrantRequest { action: "open".to_owned(), scope: scope.to_owned() })
            .collect(),
        ttl_seconds: number("ttl")?,
        uses: uses.transpose()?,
    })
}

/// What the machine will offer, as its shell will read it: nothing that a shell would take for more than a word.
fn allowed(text: &str) -> Result<Vec<&str>> {
    let fits = |rule: &str| {
        rule.contains(':') && rule.chars().all(|c| c.is_ascii_alphanumeric() || ".:-_[]*".contains(c))
    };
    let rules: Vec<&str> = text.split([' ', ',', '\n', '\r']).filter(|rule| !rule.is_empty()).collect();
    match rules.iter().find(|rule| !fits(rule)) {
        Some(rule) => Err(Error::invalid("allow", format!("{rule:?} is no service: write HOST:PORT"))),
        None => Ok(rules),
    }
}

async fn arrival(
    visitor: Visitor,
    hub: Shared,
    Path(invite): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let name = query.filled("name")?.map(ToOwned::to_owned);
    let filter = EventFilter {
        action: Some("node.joined".to_owned()),
        limit: Some(LOOKED_AT),
        ..EventFilter::default()
    };
    let mut joined: Vec<Node> = Vec::new();
    for event in event::list(&visitor.op, &hub.store, &filter).await? {
        if event.detail["invite"].as_str() == Some(invite.as_str()) {
            match nodes::show(&visitor.op, &hub, &event.object_id).await {
                Ok(node) => joined.push(node),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(page::html(http::StatusCode::OK, &Arrival { invite, name, joined }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_holds_nothing_that_a_shell_would_run() {
        assert_eq!(allowed("127.0.0.1:8080, [::1]:*").unwrap(), ["127.0.0.1:8080", "[::1]:*"]);
        for bad in ["127.0.0.1:80;reboot", "$(x):1", "a:1`b`", "plain", "a:1|b"] {
            assert!(allowed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_form_becomes_a_request() {
        let fields =
            Fields::parse(b"name=+lab+&roles=exporter&roles=site&grants=a:1%0D%0Ab&ttl=60&uses=2").unwrap();
        let request = request(&fields).unwrap();
        assert_eq!((request.name.as_deref(), request.roles.len(), request.grants.len()), (Some("lab"), 2, 2));
        assert_eq!((request.ttl_seconds, request.uses), (Some(60), Some(2)));
        for bad in [&b"uses=x"[..], b"uses=99999999999", b"ttl=-1", b"name=a&name=b"] {
            assert!(self::request(&Fields::parse(bad).unwrap()).is_err());
        }
    }
}
