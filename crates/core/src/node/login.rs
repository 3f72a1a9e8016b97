//! How a person's command line signs in: it makes a key of its own, shows a code, and waits until the person has let it
//! in with the browser (RFC 8628). What it keeps lies beside the node's folders, in `person/` below the data folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full, Limited};
use nave_link::address::HubUrl;
use nave_link::dial::{self, DialError, Known, Met};
use nave_link::key::PublicKey;
use nave_link::random::Random;
use rustls::ClientConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::folder::{FolderError, Membership, NodeFolder};
use crate::api::{DeviceAsked, DeviceGranted, DevicePoll, DeviceRequest, DeviceStatus, ErrorBody};

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// Why a command line could not sign in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The hub cannot be reached, or is not the right one.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// What it has to keep cannot be kept.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The hub said no.
    #[error("{0}")]
    Refused(String),
    /// The person said no.
    #[error("this device was not let in: whoever decided said no")]
    Denied,
    /// Nobody decided in time.
    #[error("nobody let this device in within its time: start `nave login` anew")]
    Expired,
}

/// Where people's devices keep their folders, below the data folder.
pub fn person_folder(data: &Path) -> PathBuf {
    data.join("person")
}

/// A sign-in under way.
pub struct Login {
    known: Known,
    folder: NodeFolder,
    asked: DeviceAsked,
}

impl Login {
    /// Asks a hub that was met to let this device in. `tls` admits only the certificate that the hub showed.
    pub async fn begin(
        data: &Path,
        url: HubUrl,
        met: &Met,
        tls: Arc<ClientConfig>,
        name: &str,
        random: &Random,
    ) -> Result<Self, LoginError> {
        let folder = NodeFolder::create(&person_folder(data), &met.hub.digest())?;
        let known = Known { url, hub: met.hub, key: folder.key(random)?, tls };
        let request = DeviceRequest { name: name.to_owned() };
        let asked = post(&known, "/nave/v1/device-sign-ins", &request).await?;
        Ok(Self { known, folder, asked })
    }

    /// What the person needs.
    pub fn asked(&self) -> &DeviceAsked {
        &self.asked
    }

    /// The key by which the hub will know this device.
    pub fn key(&self) -> PublicKey {
        self.known.key.public()
    }

    /// Waits for the person's decision, then keeps what came of it.
    pub async fn finish(self) -> Result<DeviceGranted, LoginError> {
        let poll = DevicePoll { device_code: self.asked.device_code.clone() };
        let mut pause = tokio::time::interval(Duration::from_secs(self.asked.interval.clamp(1, 60)));
        loop {
            pause.tick().await;
            let status: DeviceStatus = match post(&self.known, "/nave/v1/device-sign-ins/poll", &poll).await {
                Ok(status) => status,
                // The hub may just be starting anew; the code outlives that.
                Err(LoginError::Dial(error)) if error.is_passing() => continue,
                Err(error) => return Err(error),
            };
            match status {
                DeviceStatus::Waiting => {}
                DeviceStatus::Denied => return Err(LoginError::Denied),
                DeviceStatus::Expired => return Err(LoginError::Expired),
                DeviceStatus::Approved(granted) => {
                    self.folder.save(&Membership {
                        url: self.known.url.clone(),
                        hub_keys: vec![self.known.hub],
                        name: granted.name.clone(),
                        allow: Vec::new(),
                        direct: None,
                        labels: std::collections::BTreeMap::new(),
                    })?;
                    return Ok(granted);
                }
            }
        }
    }
}

async fn post<T: DeserializeOwned>(
    known: &Known,
    path: &str,
    input: &impl Serialize,
) -> Result<T, LoginError> {
    let refused = |words: String| LoginError::Refused(words);
    let body = serde_json::to_vec(input).map_err(|error| refused(error.to_string()))?;
    let request = Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| refused(error.to_string()))?;
    let response = dial::api(known).await?.send(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map_err(|error| refused(format!("the hub's answer did not arrive whole: {error}")))?
        .to_bytes();
    if status.is_success() {
        return serde_json::from_slice(&body)
            .map_err(|error| refused(format!("the hub's answer cannot be read: {error}")));
    }
    let words = serde_json::from_slice::<ErrorBody>(&body)
        .map_or_else(|_| format!("the hub answered {status}"), |body| body.error.message);
    Err(refused(words))
}
