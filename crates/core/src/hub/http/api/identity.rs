//! `/nave/v1/identity`: the hub proves its key to whoever does not know it yet.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue};
use nave_link::dial::{HUB_KEY, NODE_KEY, PROOF};
use nave_link::key::PublicKey;
use nave_link::proof::{self, Role};

use super::Shared;
use crate::api::HubIdentity;
use crate::hub::edge::Connection;
use crate::hub::error::{Error, Result};
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::{Access, Routes};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.operation(Access::Open, operation!(prove))
}

/// Proves the hub's key.
///
/// Tells the hub's key. If the header `Nave-Node-Key` names a key of the asker's own, the answer's headers `Nave-Hub-Key`
/// and `Nave-Proof` hold the hub's signature over both keys and this connection.
#[utoipa::path(
    get,
    path = "/nave/v1/identity",
    params((
        "nave-node-key" = Option<String>,
        Header,
        pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$",
        description = "The asker's public key."
    )),
    responses(
        (status = 200, description = "The hub's key", body = HubIdentity),
        (status = 400, description = "The header is no public key, or TLS 1.3 does not reach up to the hub")
    )
)]
async fn prove(
    State(hub): Shared,
    connection: Option<Extension<Connection>>,
    headers: HeaderMap,
) -> Result<Response> {
    let key = hub.key.public();
    let body = HubIdentity { id: key.digest().to_string(), public_key: key.to_string() };
    let mut response = axum::Json(body).into_response();
    let Some(asked) = headers.get(NODE_KEY) else { return Ok(response) };
    let node: PublicKey = asked
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::invalid("nave-node-key", "is no public key"))?;
    let exporter = connection.and_then(|Extension(connection)| connection.exporter).ok_or_else(|| {
        Error::invalid("tls", "proving a key needs TLS 1.3 up to the hub: something in between ends it")
    })?;
    let proof = proof::Connection { hub: key, node, exporter }.sign(Role::Hub, &hub.key);
    for (name, text) in [(HUB_KEY, key.to_string()), (PROOF, proof.to_string())] {
        response.headers_mut().insert(name, HeaderValue::from_str(&text).map_err(Error::internal)?);
    }
    Ok(response)
}
