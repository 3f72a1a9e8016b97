//! `/live`: tells a page what changed, so that it asks again for the parts that show it. A page that was away asks for
//! everything once it is back; what was told meanwhile is not told again. The number of the last event goes along:
//! numbers are in commit order, so that none is skipped.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
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
use crate::visitor::Visitor;

/// Notices that come so close together are told as one.
const TOGETHER: Duration = Duration::from_millis(150);
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
    notices: Subscription,
    stop: nave_core::hub::edge::Shutdown,
    begun: bool,
    next_beat: Instant,
}

async fn live(visitor: Visitor, hub: Shared, connection: Option<Extension<Connection>>) -> Answer {
    let Some(Extension(connection)) = connection else {
        return Err(Error::invalid("connection", "a live page needs a connection over the network").into());
    };
    let listener = Listener {
        notices: hub.bus.subscribe(),
        hub: Arc::clone(&hub),
        op: visitor.op,
        stop: connection.shutdown,
        begun: false,
        next_beat: Instant::now() + BEAT,
    };
    let body = stream::unfold(listener, |mut listener| async move {
        let text = listener.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), listener))
    });
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "text/event-stream")
        .header("x-accel-buffering", "no")
        .body(Body::from_stream(body))
        .map_err(Error::internal)?;
    Ok(page::secured(response))
}

impl Listener {
    /// What is told next; `None` ends the line.
    async fn next(&mut self) -> Option<String> {
        if !self.begun {
            self.begun = true;
            // How long the browser waits before it comes back by itself.
            return Some("retry: 2000\n\n".to_owned());
        }
        let mut heard: BTreeSet<&'static str> = BTreeSet::new();
        let mut last_event = None;
        let mut until: Option<Instant> = None;
        loop {
            let deadline = until.unwrap_or(self.next_beat);
            tokio::select! {
                notice = self.notices.recv() => match notice {
                    Ok(notice) if !self.may_hear(&notice) => {}
                    Ok(notice) => {
                        if notice.topic == "event" {
                            last_event = notice.key.parse::<i64>().ok();
                        }
                        heard.insert(notice.topic);
                        until.get_or_insert_with(|| Instant::now() + TOGETHER);
                    }
                    // It does not matter what was missed: everything is asked for again.
                    Err(RecvError::Lagged(_)) => {
                        heard.extend(TOPICS.iter().map(|(topic, _)| *topic));
                        heard.insert("stream");
                        until.get_or_insert_with(|| Instant::now() + TOGETHER);
                    }
                    Err(RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(deadline) => {
                    if until.is_none() {
                        self.next_beat = Instant::now() + BEAT;
                        return self.stands().await.then(|| ":\n\n".to_owned());
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
    }

    /// Whether whoever listens is still signed in.
    async fn stands(&self) -> bool {
        match &self.op.actor {
            Actor::Person(person) => match person.via {
                Via::Session(id) => sessions::stands(&self.hub, id).await.unwrap_or(true),
                Via::Token(_) | Via::Device(_) => false,
            },
            _ => true,
        }
    }
}
