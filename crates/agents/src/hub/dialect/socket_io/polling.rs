//! A connection's packets in requests: a `GET` that waits for what comes, and `POST`s with what the client says.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use futures::StreamExt as _;
use http::StatusCode;

use super::application::Gone;
use super::connection::{Connection, Polled};
use super::engine::{self, SEPARATOR, Text};
use super::request::{Fault, answer};

/// How long a poll waits while the client is to move to its WebSocket.
const RELEASE: Duration = Duration::from_millis(100);

/// The answer to the request that made the connection.
pub(super) fn opened(connection: &Connection) -> Response {
    packets(&[connection.opening()])
}

fn packets(packets: &[Text]) -> Response {
    answer(StatusCode::OK, "text/plain; charset=UTF-8", engine::join(packets))
}

/// Waits for packets and answers with them.
pub(super) async fn get(connection: Arc<Connection>) -> Response {
    if connection.begin_poll().is_err() {
        connection.misbehaved(&"a poll begins while another waits, or after an upgrade");
        return Fault::BadRequest.answer();
    }
    let turn = Turn { connection: &connection, end: Connection::end_poll, answered: false };
    loop {
        match connection.poll() {
            Polled::Packets(batch) => return turn.over(packets(&batch)),
            Polled::Release => {
                let more = tokio::time::timeout(RELEASE, connection.wait_for_packet_or_move()).await;
                if more.is_err() {
                    return turn.over(packets(&[Text::NOOP]));
                }
            }
            Polled::Nothing => connection.wait_for_poll().await,
        }
    }
}

/// Takes what the client says.
pub(super) async fn post(connection: Arc<Connection>, body: Body) -> Response {
    if connection.begin_post().is_err() {
        connection.misbehaved(&"a body comes while another is read, or after an upgrade");
        return Fault::BadRequest.answer();
    }
    let turn = Turn { connection: &connection, end: Connection::end_post, answered: false };
    let body = match read(&connection, body).await {
        Ok(body) => body,
        Err(fault) => return turn.over(fault.answer()),
    };
    let Ok(text) = std::str::from_utf8(&body) else {
        connection.misbehaved(&"a body is no text");
        return turn.over(Fault::BadRequest.answer());
    };
    for packet in text.split(SEPARATOR) {
        if connection.closing.is_cancelled() {
            break;
        }
        if let Err(error) = connection.receive(packet).await {
            connection.misbehaved(&error);
            return turn.over(Fault::BadRequest.answer());
        }
    }
    turn.over(answer(StatusCode::OK, "text/html", "ok"))
}

async fn read(connection: &Connection, body: Body) -> Result<Vec<u8>, Fault> {
    let mut pieces = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await {
        let Ok(piece) = piece else {
            connection.close(Gone::Lost);
            return Err(Fault::BadRequest);
        };
        connection.sign_of_life();
        if whole.len() + piece.len() > connection.longest() {
            connection.misbehaved(&"a body is longer than may be");
            return Err(Fault::TooLarge);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// A request that is being answered. Where it is dropped before that, the client has gone.
struct Turn<'a> {
    connection: &'a Connection,
    end: fn(&Connection),
    answered: bool,
}

impl Turn<'_> {
    fn over(mut self, response: Response) -> Response {
        self.answered = true;
        response
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        (self.end)(self.connection);
        if !self.answered {
            self.connection.close(Gone::Lost);
        }
    }
}
