//! Devices: command lines that act for a person, and how they ask to (RFC 8628).

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A device from which somebody's command line signs in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Device {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its key.
    pub public_key: Option<String>,
    /// Whether it has a link at the moment.
    pub online: bool,
    /// Where it last came from.
    pub address: Option<String>,
    /// When it was let in.
    #[serde(with = "time::serde::rfc3339::option")]
    pub joined_at: Option<OffsetDateTime>,
    /// When it was last connected.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_seen_at: Option<OffsetDateTime>,
}

/// A command line asks to act for a person (RFC 8628). The request proves the device's key on its connection.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DeviceRequest {
    /// What the device would like to be called.
    #[cfg_attr(feature = "hub", schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"))]
    pub name: String,
}

/// What a person does next to let it in.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct DeviceAsked {
    /// The command line asks with this whether it was let in.
    pub device_code: String,
    /// The person compares or types this.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: String,
    /// For how many seconds it waits.
    pub expires_in: u64,
    /// How many seconds to leave between two questions.
    pub interval: u64,
}

/// Asks whether a device was let in.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DevicePoll {
    /// What the hub gave the command line.
    #[cfg_attr(feature = "hub", schema(pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$"))]
    pub device_code: String,
}

/// Whether a device was let in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum DeviceStatus {
    /// Nobody has decided yet.
    Waiting,
    /// It was.
    Approved(DeviceGranted),
    /// It was not.
    Denied,
    /// Nobody decided in time.
    Expired,
}

/// What a device is from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct DeviceGranted {
    /// Its id as a node.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub node: String,
    /// Its name.
    pub name: String,
    /// The name of the person it acts for.
    pub person: String,
}

/// A device that waits, as a person sees it who decides.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct DeviceView {
    /// The code that it shows.
    pub code: String,
    /// What it would like to be called.
    pub name: String,
    /// Its key.
    pub public_key: String,
    /// Where it asks from.
    pub source: String,
}
