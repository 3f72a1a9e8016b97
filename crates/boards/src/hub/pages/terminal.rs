//! `/boards/places/{place}/terminal/…`: a TCP interface of a place in its holder's browser, and the WebSocket by which the
//! page gets its bytes.

mod socket;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Request};
use nave_core::hub::edge::{self, Connection};
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes, cookie};
use nave_core::hub::nodes::link::websocket_answer;
use nave_link::pipe::Prefixed;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, shell, show};

use super::Fleet;
use super::views::TerminalPage;
use crate::hub::{READ, terminal};

const PAGE: &str = "/boards/places/{place}/terminal/{part}/{interface}";
const BYTES: &str = "/boards/places/{place}/terminal/{part}/{interface}/bytes";

pub(super) fn routes(routes: Routes) -> Routes {
    // What the services add: only who has the place.
    routes.get(PAGE, Access::Page(READ), page).get(BYTES, Access::Page(READ), bytes)
}

type Named = Path<(String, usize, String)>;

async fn page(visitor: Visitor, hub: Shared, boards: Fleet, Path((place, part, interface)): Named) -> Answer {
    let terminal = terminal::find(&visitor.op, &hub, &boards, &place, part, &interface)?;
    let shell = shell(&visitor, &hub, format!("{interface} of {place}"), "/boards").await?;
    let view = TerminalPage { shell, place, part, interface, node: terminal.node };
    Ok(show(&view, &view.shell))
}

async fn bytes(
    visitor: Visitor,
    hub: Shared,
    boards: Fleet,
    connection: Option<Extension<Connection>>,
    Path((place, part, interface)): Named,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    // A browser opens WebSockets for any page, with the cookies of whoever looks at it.
    if !cookie::same_origin(&parts) {
        let words = "a terminal is opened by the hub's own page and by no other";
        return Err(Error::Forbidden(words.to_owned()).into());
    }
    let answer = websocket_answer(&parts.headers)
        .map_err(|_| Error::invalid("upgrade", "this address carries a terminal's bytes: open its page"))?;
    let terminal = terminal::find(&visitor.op, &hub, &boards, &place, part, &interface)?;
    let stop = connection.map(|Extension(connection)| connection.shutdown.soft().clone()).unwrap_or_default();
    let upgrade = hyper::upgrade::on(Request::from_parts(parts, body));
    let (hub, op) = (hub.0, visitor.op);
    let tasks = hub.tasks.clone();
    tasks.spawn(async move {
        if let Ok(upgraded) = upgrade.await
            && let Ok((io, early)) = edge::upgraded(upgraded)
        {
            socket::serve(&op, &hub, &terminal, Prefixed::new(early, io), stop).await;
        }
    });
    Ok(answer.map(|()| Body::empty()))
}
