//! `/`: what wants a look, who is connected, what happened.

use nave_core::api::{EventFilter, NodeStatus, StreamPath, Verdict};
use nave_core::hub::access;
use nave_core::hub::event;
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::nodes::{self, INVITE};
use nave_core::hub::people::requests;
use nave_core::hub::{status, streams};

use super::{Answer, Shared, may, shell, show};
use crate::ui::Tone;
use crate::views::overview::{Attention, Overview};
use crate::views::wheel::{Standing, Wheel};
use crate::visitor::Visitor;
use crate::words;

/// How many events are shown.
const RECENT: u32 = 12;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get("/", Access::OwnPage, page)
}

/// Where each check is dealt with, by the first word of its name.
const DEALT_WITH: [(&str, (&str, &str)); 4] = [
    ("nodes", ("/nodes?status=offline", "Look at them")),
    ("mail", ("/settings#mail", "Mail settings")),
    ("identity", ("/settings", "Certificates")),
    ("jobs", ("/status#jobs", "Jobs")),
];

async fn page(visitor: Visitor, hub: Shared) -> Answer {
    let op = &visitor.op;
    let mut attention = Vec::new();
    let mut passed = 0;
    if access::require(op, status::READ).is_ok() {
        for check in status::running(&hub).await {
            if check.verdict == Verdict::Pass {
                passed += 1;
                continue;
            }
            let noun = check.name.split(' ').next().unwrap_or_default();
            let to = DEALT_WITH.iter().find(|(name, _)| *name == noun);
            attention.push(Attention {
                tone: crate::views::status::tone(check.verdict),
                name: check.name,
                words: check.message,
                to: Some(to.map_or(("/status", "Status"), |(_, to)| *to)),
            });
        }
        // The worst first.
        attention.sort_by_key(|item| std::cmp::Reverse(item.tone == Tone::Bad));
    }
    if may(op, requests::DECIDE) {
        let waiting = requests::list(op, &hub, "open").await?.len();
        if waiting > 0 {
            attention.push(Attention {
                tone: Tone::Warn,
                name: "access requests".to_owned(),
                words: format!("{} for an answer", words::count(waiting, "person waits", "people wait")),
                to: Some(("/people/requests", "Answer")),
            });
        }
    }
    let all = match access::require_somewhere(op, nodes::READ) {
        Ok(()) => nodes::briefs(op, &hub).await?,
        Err(_) => Vec::new(),
    };
    let pending = all.iter().filter(|node| node.status == NodeStatus::Pending).count();
    if pending > 0 {
        attention.push(Attention {
            tone: Tone::Warn,
            name: "nodes".to_owned(),
            words: format!("{} to be let in", words::count(pending, "machine waits", "machines wait")),
            to: Some(("/nodes?status=waiting", "Decide")),
        });
    }
    let standings: Vec<(String, Standing)> = all
        .into_iter()
        .map(|node| {
            let standing = match (node.status, node.online) {
                (NodeStatus::Pending, _) => Standing::Waiting,
                (_, true) => Standing::On,
                (_, false) => Standing::Off,
            };
            (node.name, standing)
        })
        .collect();
    let streams = streams::list(op, &hub).unwrap_or_default();
    let chords: Vec<(String, String, bool)> = streams
        .iter()
        .map(|stream| (stream.from.clone(), stream.to.clone(), stream.path != StreamPath::Direct))
        .collect();
    let happened = if may(op, event::READ) {
        let filter = EventFilter { limit: Some(RECENT), ..EventFilter::default() };
        let events = event::list(op, &hub.store, &filter).await?;
        Some(events.iter().map(|event| visitor.sections.tell(event)).collect())
    } else {
        None
    };
    let view = Overview {
        shell: shell(&visitor, &hub, "Overview", "/").await?,
        attention,
        passed,
        summaries: visitor.sections.summaries(op, &hub)?,
        wheel: Wheel::of(&standings, &chords),
        nodes: standings,
        streams: streams.len(),
        happened,
        may_invite: may(op, INVITE),
        url: hub.url.get().map(ToString::to_string).unwrap_or_default(),
    };
    Ok(show(&view, &view.shell))
}
