//! People: accounts, roles, sessions, tokens, devices, and who asks to be let in.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May do everything.
    Admin,
    /// Runs machines.
    Operator,
    /// Works with data.
    Researcher,
    /// Looks on.
    Viewer,
}

impl Role {
    /// All of them, the mightiest first.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Operator, Self::Researcher, Self::Viewer];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Researcher => "researcher",
            Self::Viewer => "viewer",
        }
    }

    /// From how it is written.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// A role and where it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleHeld {
    /// The role.
    pub role: Role,
    /// Where: `*` for everything, or `node:NAME` (a site is a node).
    #[serde(default = "everything")]
    pub scope: String,
}

fn everything() -> String {
    "*".to_owned()
}

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersonStatus {
    /// Has not accepted the invitation yet.
    Invited,
    /// May sign in.
    Active,
    /// May not sign in.
    Disabled,
}

/// One person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Person {
    /// Its id.
    pub id: String,
    /// The address by which it signs in.
    pub email: String,
    /// What others call it.
    pub name: String,
    /// How the account stands.
    pub status: PersonStatus,
    /// Its roles.
    pub roles: Vec<RoleHeld>,
    /// Whether a second factor is set up.
    pub second_factor: bool,
    /// Whether it has a password here.
    pub password: bool,
    /// When the account was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last signed in.
    #[serde(with = "time::serde::rfc3339::option")]
    pub signed_in_at: Option<OffsetDateTime>,
    /// Counts changes; a change may name the one it was made for.
    pub version: i64,
}

/// Invites a person.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// The address by which it will sign in.
    pub email: String,
    /// What others will call it; the person may change it.
    #[serde(default)]
    pub name: String,
    /// Its roles.
    #[serde(default)]
    pub roles: Vec<RoleHeld>,
}

/// A one-time link, told once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PersonLink {
    /// The person.
    pub person: Person,
    /// The link, unless it went by mail.
    #[serde(default)]
    pub link: Option<String>,
    /// Whether it goes by mail.
    pub mailed: bool,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// Changes a person; fields that are absent stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonChange {
    /// What others call it.
    #[serde(default)]
    pub name: Option<String>,
    /// All its roles from now on.
    #[serde(default)]
    pub roles: Option<Vec<RoleHeld>>,
    /// The version that the change was made for; a person changed meanwhile is left as it is.
    #[serde(default)]
    pub version: Option<i64>,
}

/// One sign-in in a browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub person: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// From where it came last.
    pub address: String,
    /// The browser, as it calls itself.
    pub agent: String,
    /// The provider that vouched for it, if one did.
    pub provider: Option<String>,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last used.
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen_at: OffsetDateTime,
    /// When it ends at the latest.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// An API token, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiToken {
    /// Its id.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// It may do what its owner may, and no more than this role.
    pub role: Role,
    /// Where it may do so.
    pub scope: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// When it was last used, to the minute.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_used_at: Option<OffsetDateTime>,
}

/// Asks for an API token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewApiToken {
    /// What it is for.
    pub name: String,
    /// No more than this role may.
    pub role: Role,
    /// Where: `*`, or `node:NAME`.
    #[serde(default = "everything")]
    pub scope: String,
    /// For how many seconds it is good: at most a year.
    pub ttl_seconds: u64,
}

/// A new API token, told once.
#[derive(Clone, Serialize, Deserialize)]
pub struct ApiTokenSecret {
    /// What was made.
    pub token: ApiToken,
    /// Its secret, for `Authorization: Bearer`.
    pub secret: String,
}

/// A device from which somebody's command line signs in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Device {
    /// Its id.
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

/// Somebody who asks to be let in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessRequest {
    /// Its id.
    pub id: String,
    /// The address.
    pub email: String,
    /// The name.
    pub name: String,
    /// Why.
    pub message: String,
    /// Where it came from.
    pub source: String,
    /// `open`, `accepted` or `declined`.
    pub status: String,
    /// When it came.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Who decided.
    pub decided_by: Option<String>,
}

/// Asks to be let in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccessRequest {
    /// The address.
    pub email: String,
    /// The name.
    #[serde(default)]
    pub name: String,
    /// Why.
    #[serde(default)]
    pub message: String,
}

/// What came of asking; the same whoever asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Noted {
    /// What happens next.
    pub message: String,
}

/// Lets somebody in who asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptRequest {
    /// The roles that it gets.
    #[serde(default)]
    pub roles: Vec<RoleHeld>,
}

/// Who asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Me {
    /// `person`, `node`, `operator`.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The account, for a person.
    pub person: Option<Person>,
    /// The id of the device, for a person who comes by one.
    pub device: Option<String>,
}

/// A command line asks to act for a person (RFC 8628). The request proves the device's key on its connection.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRequest {
    /// What the device would like to be called.
    pub name: String,
}

/// What a person does next to let it in.
#[derive(Clone, Serialize, Deserialize)]
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
#[serde(deny_unknown_fields)]
pub struct DevicePoll {
    /// What the hub gave the command line.
    pub device_code: String,
}

/// Whether a device was let in.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
pub struct DeviceGranted {
    /// Its id as a node.
    pub node: String,
    /// Its name.
    pub name: String,
    /// The name of the person it acts for.
    pub person: String,
}

/// A device that waits, as a person sees it who decides.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

/// The one-time link by which the first administrator comes in.
#[derive(Clone, Serialize, Deserialize)]
pub struct SetupLink {
    /// The link; there is none once somebody administers the hub.
    pub link: Option<String>,
}
