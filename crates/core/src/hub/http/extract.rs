//! Who asks, found out from the connection, a header or a cookie: as an `Op`, or as a key that was proved. What is
//! asked with is read in `input`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::{header, request::Parts};
use nave_link::key::{PublicKey, Signature};
use nave_link::proof::{self, Role};

use crate::api::NodeStatus;
use crate::hub::context::Hub;
use crate::hub::edge::{Connection, LocalPeer};
use crate::hub::error::{Error, Result};
use crate::hub::http::cookie;
use crate::hub::nodes;
use crate::hub::op::{Actor, Op};
use crate::hub::people;
use crate::id::RequestId;

impl FromRequestParts<Arc<Hub>> for Op {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self> {
        // The door of the route has asked already.
        if let Some(op) = parts.extensions.get::<Self>() {
            return Ok(op.clone());
        }
        let source = parts.extensions.get::<Connection>().map(|connection| connection.peer.ip());
        let request = parts.extensions.get::<RequestId>().copied().unwrap_or_default();
        let actor = actor(parts, hub, source).await?;
        Ok(Self { actor, source, request, clock: hub.clock.clone() })
    }
}

async fn actor(parts: &Parts, hub: &Hub, source: Option<IpAddr>) -> Result<Actor> {
    if let Some(LocalPeer { uid }) = parts.extensions.get() {
        return Ok(Actor::Operator { uid: *uid });
    }
    let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
        return by_cookie(parts, hub, source).await;
    };
    let value = value.to_str().unwrap_or_default();
    hub.wrong_keys.check(source)?;
    if let Some(token) = value.strip_prefix("Bearer ") {
        if let Some(person) = people::tokens::find(hub, token.trim()).await? {
            return Ok(Actor::Person(person));
        }
        if let Some(client) = hub.fleets.iter().find_map(|fleet| fleet.knows(token.trim())) {
            return Ok(Actor::Client(client));
        }
        hub.wrong_keys.wrong(source);
        return Err(Error::Unauthenticated(
            "the API token is not, or no longer, valid: make a new one on your account's page".to_owned(),
        ));
    }
    let proved = prove(parts, hub, value);
    let Some(key) = proved else {
        hub.wrong_keys.wrong(source);
        return Err(Error::Unauthenticated(
            "the Authorization header proves nothing on this connection: use the nave command line"
                .to_owned(),
        ));
    };
    let mut reader = hub.store.read().await?;
    match nodes::store::by_key(&mut reader, &key).await? {
        Some(row) if row.status == NodeStatus::Active => nodes::actor(&mut reader, &row).await,
        _ => Err(Error::Unauthenticated("the hub does not, or no longer, know this node".to_owned())),
    }
}

/// Who is signed in in the browser. What changes something must come from the hub's own pages: a cookie goes along
/// with what other pages send, too.
async fn by_cookie(parts: &Parts, hub: &Hub, source: Option<IpAddr>) -> Result<Actor> {
    let Some(secret) = cookie::session(&parts.headers) else { return Ok(Actor::Anonymous) };
    let found = people::sessions::find(hub, &secret, source).await?;
    let Some(person) = found.and_then(|found| found.actor()) else { return Ok(Actor::Anonymous) };
    if !parts.method.is_safe() && !cookie::same_origin(parts) {
        return Err(Error::Forbidden(
            "this request does not come from the hub's own pages: open the page anew and try again"
                .to_owned(),
        ));
    }
    Ok(Actor::Person(person))
}

/// An operation of somebody whom the hub does not know yet, whatever it shows: the key of a device that waits to be let
/// in is nobody's.
pub struct Stranger(pub Op);

impl FromRequestParts<Arc<Hub>> for Stranger {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self> {
        let source = parts.extensions.get::<Connection>().map(|connection| connection.peer.ip());
        let request = parts.extensions.get::<RequestId>().copied().unwrap_or_default();
        Ok(Self(Op { actor: Actor::Anonymous, source, request, clock: hub.clock.clone() }))
    }
}

/// The device's key that a request proves on its connection, whether or not the hub knows it.
pub struct ProvedKey(pub PublicKey);

impl FromRequestParts<Arc<Hub>> for ProvedKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self> {
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        value.and_then(|value| prove(parts, hub, value)).map(Self).ok_or_else(|| {
            Error::Unauthenticated(
                "the device must prove its key on this connection: use the nave command line".to_owned(),
            )
        })
    }
}

/// `Authorization: Nave <node key>.<signature over this connection>`.
fn prove(parts: &Parts, hub: &Hub, value: &str) -> Option<PublicKey> {
    let (key, signature) = value.strip_prefix("Nave ")?.split_once('.')?;
    let (key, signature): (PublicKey, Signature) = (key.parse().ok()?, signature.parse().ok()?);
    let exporter = parts.extensions.get::<Connection>()?.exporter?;
    let connection = proof::Connection { hub: hub.key.public(), node: key, exporter };
    connection.verify(Role::Api, &signature).then_some(key)
}
