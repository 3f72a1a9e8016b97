//! `/live`: tells a page what changed, so that it asks again for the parts that show it. A page that was away asks for
//! everything once it is back; what was told meanwhile is not told again. The number of the last event goes along:
//! numbers are in commit order, so that none is skipped.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::header;
use nave_core::hub::access::{self, Action};
use nave_core::hub::bus::{Notice, Subscription};
use nave_core::hub::context::Hub;
use nave_core::hub::edge::Connection;
use nave_core::hub::error::Error;
use nave_core::hub::event;
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::mail;
use nave_core::hub::op::{Actor, Op, Via};
use nave_core::hub::people::{self, requests, sessions};
use nave_core::hub::{nodes, streams};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::{Answer, Shared};
use crate::page;
use crate::section::Sections;
use crate::visitor::{NoVisitor, Visitor};

/// Notices that come so close together are told as one.
const TOGETHER: Duration = Duration::from_millis(150);
/// How much longer notices are collected for each page that is open: many pages share the work that many notices make.
const SHARE: Duration = Duration::from_millis(4);
/// Pages that hear the same would all ask at the same moment: each collects for a little longer or shorter than the one
/// before it, between half as long and half as long again.
const PACES: u32 = 32;
/// How many pages there have been.
static PAGES: AtomicU32 = AtomicU32::new(0);
/// How many pages are open. What it counts is the work of the process, whichever hub in it does it.
static OPEN: AtomicU32 = AtomicU32::new(0);
/// A page whose session has ended loads itself again, and is sent to sign in.
const ENDED: &str = "event: ended\ndata:\n\n";
/// How often a quiet line shows that it lives, and whether the session still stands is looked at.
const BEAT: Duration = Duration::from_secs(20);

/// Who hears of what: whoever may see the pages that show it.
const TOPICS: [(&str, Action); 5] = [
    ("event", event::READ),
    ("node", nodes::READ),
    ("person", people::READ),
    ("access_request", requests::DECIDE),
    ("mail", mail::READ),
];

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get("/live", Access::OwnPage, live)
}

/// One page that listens.
struct Listener {
    hub: Arc<Hub>,
    op: Op,
    sections: Sections,
    notices: Subscription,
    stop: nave_core::hub::edge::Shutdown,
    begun: bool,
    ended: bool,
    next_beat: Instant,
    pace: u32,
    _open: Open,
}

/// Counts an open page for as long as it is open.
struct Open;

impl Open {
    fn new() -> Self {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn live(
    visitor: Result<Visitor, NoVisitor>,
    hub: Shared,
    connection: Option<Extension<Connection>>,
) -> Answer {
    let visitor = match visitor {
        Ok(visitor) => visitor,
        // A script follows no redirect to another kind of answer.
        Err(NoVisitor::SignIn { .. }) => return told(Body::from(ENDED)),
        Err(NoVisitor::Failed(error)) => return Err(error),
    };
    let Some(Extension(connection)) = connection else {
        return Err(Error::invalid("connection", "a live page needs a connection over the network").into());
    };
    let listener = Listener {
        notices: hub.bus.subscribe(),
        hub: Arc::clone(&hub),
        op: visitor.op,
        sections: visitor.sections,
        stop: connection.shutdown,
        begun: false,
        ended: false,
        next_beat: Instant::now() + BEAT,
        pace: PACES / 2 + PAGES.fetch_add(1, Ordering::Relaxed) % PACES,
        _open: Open::new(),
    };
    let body = stream::unfold(listener, |mut listener| async move {
        let text = listener.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), listener))
    });
    told(Body::from_stream(body))
}

fn told(body: Body) -> Answer {
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "text/event-stream")
        .header("x-accel-buffering", "no")
        .body(body)
        .map_err(Error::internal)?;
    Ok(page::secured(response))
}

impl Listener {
    /// What is told next; `None` ends the line.
    async fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        if !self.begun {
            self.begun = true;
            // How long the browser waits before it comes back by itself.
            return Some("retry: 2000\n\n".to_owned());
        }
        let mut heard: BTreeSet<&'static str> = BTreeSet::new();
        let mut last_event = None;
        let mut until: Option<Instant> = None;
        let together = (TOGETHER + SHARE * OPEN.load(Ordering::Relaxed)) * self.pace / PACES;
        let me = self.op.actor.id();
        loop {
            let deadline = until.unwrap_or(self.next_beat);
            tokio::select! {
                notice = self.notices.recv() => match notice {
                    // What whoever listens may hear of is found out when it connects: it does so again at once.
                    Ok(notice) if notice.topic == "person" && notice.key == me => {
                        self.ended = true;
                        return Some(if self.stands().await { ":\n\n" } else { ENDED }.to_owned());
                    }
                    Ok(notice) if !self.may_hear(&notice) => {}
                    Ok(notice) => {
                        if notice.topic == "event" {
                            last_event = notice.key.parse::<i64>().ok();
                        }
                        heard.insert(notice.topic);
                        until.get_or_insert_with(|| Instant::now() + together);
                    }
                    // It does not matter what was missed: everything is asked for again.
                    Err(RecvError::Lagged(_)) => {
                        heard.extend(TOPICS.iter().map(|(topic, _)| *topic));
                        heard.insert("stream");
                        heard.extend(self.sections.entries(&self.op).flat_map(|entry| entry.topics().collect::<Vec<_>>()));
                        until.get_or_insert_with(|| Instant::now() + together);
                    }
                    Err(RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(deadline) => {
                    if Instant::now() >= self.next_beat {
                        self.next_beat = Instant::now() + BEAT;
                        self.ended = !self.stands().await;
                    }
                    if self.ended {
                        return Some(ENDED.to_owned());
                    }
                    if until.is_none() {
                        return Some(":\n\n".to_owned());
                    }
                    let id = last_event.map(|id| format!("id: {id}\n")).unwrap_or_default();
                    let topics: Vec<&str> = heard.into_iter().collect();
                    return Some(format!("{id}event: changed\ndata: {}\n\n", topics.join(" ")));
                }
                () = self.stop.soft().cancelled() => return None,
            }
        }
    }

    fn may_hear(&self, notice: &Notice) -> bool {
        let action = TOPICS.iter().find(|(topic, _)| *topic == notice.topic).map(|(_, action)| *action);
        action.is_some_and(|action| access::require_somewhere(&self.op, action).is_ok())
            || (notice.topic == "stream" && access::require_somewhere(&self.op, streams::READ).is_ok())
            || self.sections.entries(&self.op).any(|entry| entry.topics().any(|topic| topic == notice.topic))
    }

    /// Whether whoever listens is still signed in.
    async fn stands(&self) -> bool {
        match &self.op.actor {
            Actor::Person(person) => match person.via {
                Via::Session(id) => sessions::stands(&self.hub, id).await.unwrap_or(true),
                Via::Token(_) | Via::Device(_) | Via::Program(_) => false,
            },
            _ => true,
        }
    }
}
