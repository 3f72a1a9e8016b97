//! `/nodes`: the list, one node, and what is done to it. Inviting one is in `invite`.

mod invite;

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use axum::extract::{Path, RawQuery};
use nave_core::api::{GrantRequest, Node, NodeChange, NodeStatus};
use nave_core::hub::access::{self, Scope};
use nave_core::hub::error::{Error, Result};
use nave_core::hub::grants::{self, GRANT};
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::nodes::{self, APPROVE, CHANGE, INVITE, Listed, READ, REVOKE};
use nave_core::hub::op::Op;
use nave_core::hub::{event, streams};

use super::{Answer, Shared, done, may, refuse, shell, show};
use crate::form::{Fields, Form};
use crate::ui::Filled;
use crate::views::listing::{Listing, Pager};
use crate::views::nodes::{Choice, EditNode, May, NodeDetail, Nodes, path_of};
use crate::visitor::Visitor;

/// How many events a node's page shows.
const RECENT: u32 = 20;

pub(crate) fn routes(routes: Routes) -> Routes {
    invite::routes(
        routes
            .get("/nodes", Access::Page(READ), list)
            .get("/nodes/{node}", Access::Page(READ), detail)
            .get("/nodes/{node}/edit", Access::Page(CHANGE), edit)
            .post("/nodes/{node}/edit", Access::Page(CHANGE), save)
            .post("/nodes/{node}/approve", Access::Page(APPROVE), approve)
            .post("/nodes/{node}/revoke", Access::Page(REVOKE), revoke)
            .post("/nodes/{node}/grants", Access::Page(GRANT), grant)
            .post("/nodes/{node}/grants/remove", Access::Page(GRANT), withdraw),
    )
}

/// A part of the list: how the address calls it, its words, and what belongs to it.
type Part = (&'static str, &'static str, fn(&Listed) -> bool);

const PARTS: [Part; 5] = [
    ("", "All", |node| matches!(node.status(), NodeStatus::Active | NodeStatus::Pending)),
    ("online", "Connected", Listed::online),
    ("offline", "Not connected", |node| node.status() == NodeStatus::Active && !node.online()),
    ("waiting", "Waiting", |node| matches!(node.status(), NodeStatus::Pending | NodeStatus::Invited)),
    ("revoked", "Revoked", |node| node.status() == NodeStatus::Revoked),
];

async fn list(visitor: Visitor, hub: Shared, RawQuery(query): RawQuery) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let asked = ["q", "status", "sort", "page"];
    let mut values = Vec::with_capacity(asked.len());
    for name in asked {
        values.push((name, query.one(name)?));
    }
    let listing = Listing::new("/nodes", &values);
    let all = nodes::listed(&visitor.op, &hub).await?;
    let total = all.len();
    let status = listing.get("status");
    let choices = PARTS
        .iter()
        .map(|(name, label, belongs)| Choice {
            label,
            count: all.iter().filter(|node| belongs(node)).count(),
            path: listing.with("status", name),
            here: status == *name,
        })
        .filter(|choice| choice.here || choice.count > 0 || choice.label == "All")
        .collect();
    let belongs = PARTS.iter().find(|(name, _, _)| *name == status).map_or(PARTS[0].2, |part| part.2);
    let words: Vec<String> = listing.get("q").split_whitespace().map(str::to_lowercase).collect();
    let mut nodes: Vec<Listed> =
        all.into_iter().filter(|node| belongs(node) && matches_all(node, &words)).collect();
    sort(&mut nodes, listing.get("sort"));
    let (nodes, pager) = Pager::cut(&listing, nodes);
    let nodes = nodes.into_iter().map(|node| node.view(hub.clock.now())).collect();
    let shell = shell(&visitor, &hub, "Nodes", "/nodes").await?;
    let may_invite = may(&visitor.op, INVITE);
    let view = Nodes { shell, listing, choices, nodes, pager, total, may_invite };
    Ok(show(&view, &view.shell))
}

fn matches_all(node: &Listed, words: &[String]) -> bool {
    // What stands in its report is read when nothing else has the word, and once.
    let report = OnceCell::new();
    words.iter().all(|word| {
        let has = |text: &str| text.to_lowercase().contains(word);
        let report = || report.get_or_init(|| node.report());
        has(node.name())
            || node.address().is_some_and(has)
            || node.roles().iter().any(|role| has(role))
            || report().addresses.iter().any(|address| has(&address.to_string()))
            || report().labels.iter().any(|(key, value)| has(&format!("{key}={value}")))
    })
}

/// The services list by name; everything else is sorted here, names deciding where it is the same.
fn sort(nodes: &mut [Listed], by: &str) {
    let (key, down) = by.strip_prefix('-').map_or((by, false), |key| (key, true));
    let order: fn(&Listed, &Listed) -> Ordering = match key {
        "roles" => |a, b| a.roles().cmp(b.roles()),
        "address" => |a, b| a.address().cmp(&b.address()),
        "version" => |a, b| a.report().software.cmp(&b.report().software),
        "seen" => |a, b| (b.online(), b.last_seen_at()).cmp(&(a.online(), a.last_seen_at())),
        "name" => |a, b| a.name().to_lowercase().cmp(&b.name().to_lowercase()),
        _ => return,
    };
    nodes.sort_by(|a, b| if down { order(b, a) } else { order(a, b) });
}

async fn detail(visitor: Visitor, hub: Shared, Path(name): Path<String>) -> Answer {
    let view = view_of(&visitor, &hub, &name, Filled::blank()).await?;
    Ok(show(&view, &view.shell))
}

async fn view_of(
    visitor: &Visitor,
    hub: &Shared,
    name: &str,
    grant: Filled,
) -> Result<NodeDetail, crate::error::PageError> {
    let op = &visitor.op;
    let node = nodes::show(op, hub, name).await?;
    let streams = streams::list(op, hub)?
        .into_iter()
        .filter(|stream| stream.from == node.name || stream.to == node.name)
        .collect();
    let happened = if may(op, event::READ) {
        let events = event::of_object(op, &hub.store, "node", &node.id, RECENT).await?;
        Some(events.iter().map(|event| visitor.sections.tell(event)).collect())
    } else {
        None
    };
    let may = rights(op, &node);
    let url = hub.url.get().map(ToString::to_string).unwrap_or_default();
    let shell = shell(visitor, hub, node.name.clone(), "/nodes").await?;
    Ok(NodeDetail { shell, node, streams, happened, may, grant, url })
}

fn rights(op: &Op, node: &Node) -> May {
    let Ok(id) = node.id.parse() else { return May::default() };
    let on = |action| access::allows(op, action, &Scope::node(id));
    May {
        approve: on(APPROVE),
        change: on(CHANGE),
        grant: access::allows(op, GRANT, &Scope::Everything),
        revoke: on(REVOKE),
    }
}

async fn edit(visitor: Visitor, hub: Shared, Path(name): Path<String>) -> Answer {
    let node = nodes::show(&visitor.op, &hub, &name).await?;
    let labels: Vec<String> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let labels = labels.join("\n");
    let values = [("name", node.name.as_str()), ("labels", labels.as_str())];
    let roles = node.roles.iter().map(|role| ("roles", role.as_str()));
    let form = Filled::with(values.into_iter().chain(roles));
    let shell = shell(&visitor, &hub, format!("Change {}", node.name), "/nodes").await?;
    let view = EditNode { shell, node, form };
    Ok(show(&view, &view.shell))
}

async fn save(visitor: Visitor, hub: Shared, Path(name): Path<String>, Form(fields): Form) -> Answer {
    let saved = async {
        let change = NodeChange {
            name: Some(fields.one("name")?.trim().to_owned()),
            roles: Some(fields.all("roles").map(ToOwned::to_owned).collect()),
            labels: Some(labels(fields.one("labels")?)?),
        };
        nodes::change(&visitor.op, &hub, &name, &change).await?;
        Ok::<_, Error>(change.name.unwrap_or_default())
    };
    match saved.await {
        Ok(name) => {
            let node = nodes::show(&visitor.op, &hub, &name).await?;
            Ok(done(&path_of(&node), "Saved."))
        }
        Err(error) => {
            let node = nodes::show(&visitor.op, &hub, &name).await?;
            let shell = shell(&visitor, &hub, format!("Change {}", node.name), "/nodes").await?;
            Ok(refuse(&EditNode { shell, node, form: Filled::refused(&fields, &error) }, &error))
        }
    }
}

/// Labels as somebody typed them: one a line.
fn labels(text: &str) -> Result<BTreeMap<String, String>> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| Error::invalid("labels", format!("{line:?} is no label: write KEY=VALUE")))?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

async fn approve(visitor: Visitor, hub: Shared, Path(name): Path<String>, _: Form) -> Answer {
    nodes::approve(&visitor.op, &hub, &name).await?;
    back_to(&visitor, &hub, &name, "It is let in.").await
}

async fn revoke(visitor: Visitor, hub: Shared, Path(name): Path<String>, _: Form) -> Answer {
    let node = nodes::show(&visitor.op, &hub, &name).await?;
    nodes::revoke(&visitor.op, &hub, &name).await?;
    Ok(done("/nodes", &format!("{} is revoked.", node.name)))
}

async fn grant(visitor: Visitor, hub: Shared, Path(name): Path<String>, Form(fields): Form) -> Answer {
    let granted = async {
        let request = request(&fields)?;
        grants::grant(&visitor.op, &hub, &name, &request).await?;
        Ok::<_, Error>(request)
    };
    match granted.await {
        Ok(request) => {
            back_to(&visitor, &hub, &name, &format!("It may now {} {}.", request.action, request.scope)).await
        }
        Err(error) => {
            let view = view_of(&visitor, &hub, &name, Filled::refused(&fields, &error)).await?;
            Ok(refuse(&view, &error))
        }
    }
}

async fn withdraw(visitor: Visitor, hub: Shared, Path(name): Path<String>, Form(fields): Form) -> Answer {
    grants::withdraw(&visitor.op, &hub, &name, &request(&fields)?).await?;
    back_to(&visitor, &hub, &name, "The right is taken away.").await
}

pub(super) fn request(fields: &Fields) -> Result<GrantRequest> {
    let (action, scope) = (fields.one("action")?, fields.one("scope")?.trim());
    Ok(GrantRequest { action: action.to_owned(), scope: scope.to_owned() })
}

async fn back_to(visitor: &Visitor, hub: &Shared, name: &str, words: &str) -> Answer {
    let node = nodes::show(&visitor.op, hub, name).await?;
    Ok(done(&path_of(&node), words))
}
