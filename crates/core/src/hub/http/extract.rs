//! What handlers take from a request: who asks (`Op`) and what with (`Input`).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::{header, request::Parts};
use http_body_util::{BodyExt as _, Limited};
use nave_link::key::{PublicKey, Signature};
use nave_link::proof::{self, Role};
use serde::de::DeserializeOwned;

use crate::api::NodeStatus;
use crate::hub::context::Hub;
use crate::hub::edge::{Connection, LocalPeer};
use crate::hub::error::{Error, Result};
use crate::hub::nodes;
use crate::hub::op::{Actor, Op};
use crate::id::RequestId;

/// The largest body of an API request, in bytes.
const MAX_BODY: usize = 256 << 10;

impl FromRequestParts<Arc<Hub>> for Op {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self> {
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
    let Some(value) = parts.headers.get(header::AUTHORIZATION) else { return Ok(Actor::Anonymous) };
    hub.wrong_keys.check(source)?;
    let proved = prove(parts, hub, value.to_str().unwrap_or_default());
    let Some(key) = proved else {
        hub.wrong_keys.wrong(source);
        return Err(Error::Unauthenticated(
            "the Authorization header proves nothing on this connection: use the nave command line"
                .to_owned(),
        ));
    };
    let mut reader = hub.store.read().await?;
    match nodes::store::by_key(&mut reader, &key).await? {
        Some(row) if row.status == NodeStatus::Active => Ok(Actor::Node { id: row.id, name: row.name }),
        _ => Err(Error::Unauthenticated("the hub does not, or no longer, know this node".to_owned())),
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

/// A JSON body.
pub struct Input<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Hub>> for Input<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &Arc<Hub>) -> Result<Self> {
        let body = Limited::new(request.into_body(), MAX_BODY)
            .collect()
            .await
            .map_err(|_| {
                Error::invalid("body", format!("it is longer than {MAX_BODY} bytes, or did not arrive whole"))
            })?
            .to_bytes();
        let body = if body.is_empty() { b"{}".as_slice() } else { &body };
        serde_json::from_slice(body).map(Self).map_err(|error| Error::invalid("body", error.to_string()))
    }
}
