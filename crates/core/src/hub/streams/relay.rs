//! `/stream`: a node's connection for one stream, joined here with the other node's. The hub sees only the nodes' own
//! TLS inside it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderMap, Response, StatusCode, header};
use nave_link::dial::{NODE_KEY, PROOF, STREAM_PROTOCOL, TICKET};
use nave_link::key::{PublicKey, Signature};
use nave_link::pipe::{self, Prefixed};
use nave_link::proof::{Connection, Exporter, Role};

use super::live::{Admits, Side};
use crate::hub::context::Hub;
use crate::hub::edge::HubIo;
use crate::hub::error::{Error, Result};

/// How long one connection of a stream waits for the other.
const MEETING_TIME: Duration = Duration::from_secs(30);
/// How long a report may take after a stream has left the hub.
const REPORT_TIME: Duration = Duration::from_secs(2);

/// One node's connection.
pub(super) type Half = Prefixed<HubIo>;

/// A connection that was let in; its bytes follow once the answer was sent.
pub struct Admitted(Admits);

/// Checks a request for a stream's bytes, and answers it.
pub fn admit(hub: &Hub, headers: &HeaderMap, exporter: Option<Exporter>) -> Result<(Response<()>, Admitted)> {
    let text = |name: &header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let upgrades = text(&header::UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case(STREAM_PROTOCOL));
    let (true, Some(ticket), Some(key), Some(proof)) =
        (upgrades, text(&TICKET), text(&NODE_KEY), text(&PROOF))
    else {
        return Err(Error::invalid("upgrade", "this address is for nodes, which open their streams here"));
    };
    let exporter = exporter.ok_or_else(|| Error::invalid("tls", "a stream needs TLS 1.3 up to the hub"))?;
    let key: PublicKey =
        key.parse().map_err(|error| Error::invalid(NODE_KEY.as_str(), format!("{error}")))?;
    let proof: Signature =
        proof.parse().map_err(|error| Error::invalid(PROOF.as_str(), format!("{error}")))?;
    let connection = Connection { hub: hub.key.public(), node: key, exporter };
    if !connection.verify(Role::Stream, &proof) {
        return Err(Error::Unauthenticated(
            "the signature does not belong to this connection: something between the node and the hub ends TLS".to_owned(),
        ));
    }
    let admits = hub.streams.redeem(ticket, &key).ok_or_else(|| {
        Error::Unauthenticated("the ticket is not, or no longer, good: open the stream again".to_owned())
    })?;
    let answer = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, STREAM_PROTOCOL)
        .header(PROOF, connection.sign(Role::Hub, &hub.key).to_string())
        .body(())
        .map_err(Error::internal)?;
    Ok((answer, Admitted(admits)))
}

/// Brings one node's connection; whoever comes second carries the bytes until the stream ends.
pub async fn bring(hub: Arc<Hub>, Admitted(admits): Admitted, half: Half) {
    let live = admits.live;
    let Some(half) = live.arrive(half) else { return };
    let Some((first, half)) = live.meet(admits.side, half) else {
        // A connection that nobody joins must not wait for ever.
        tokio::select! {
            () = tokio::time::sleep(MEETING_TIME) => {}
            () = live.met.cancelled() => return,
            () = live.cut.cancelled() => {}
        }
        live.stop_waiting();
        return;
    };
    let (asking, asked) = match first {
        (Side::Asking, asking) => (asking, half),
        (Side::Asked, asked) => (half, asked),
    };
    let id = live.id.clone();
    live.set_relayed();
    let counts = Arc::clone(&live.counts);
    let end = pipe::join(asking, asked, counts, &live.cut).await;
    let bytes = live.counts.forth.load(Ordering::Relaxed) + live.counts.back.load(Ordering::Relaxed);
    hub.metrics.relayed_bytes.fetch_add(bytes, Ordering::Relaxed);
    tracing::debug!(stream = id, ?end, "a relayed stream ended");
    // Two nodes that met directly drop their connections here, maybe before the report that says so has come.
    tokio::select! {
        () = tokio::time::sleep(REPORT_TIME) => {}
        () = live.cut.cancelled() => {}
    }
    if !live.is_direct() {
        hub.streams.forget(&id);
    }
}
