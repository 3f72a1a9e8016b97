//! People: accounts, and the roles that they hold in scopes.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RoleHeld {
    /// The role.
    pub role: Role,
    /// Where: `*` for everything, or `node:NAME` (a site is a node).
    #[serde(default = "everything")]
    #[cfg_attr(feature = "hub", schema(pattern = "^(\\*|(node|site):[^\\x00]+)$"))]
    pub scope: String,
}

pub(super) fn everything() -> String {
    "*".to_owned()
}

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Person {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
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
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// The address by which it will sign in.
    #[cfg_attr(feature = "hub", schema(format = Email, max_length = 254))]
    pub email: String,
    /// What others will call it; the person may change it.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(max_length = 100, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"))]
    pub name: String,
    /// Its roles.
    #[cfg_attr(feature = "hub", schema(min_items = 1, max_items = 100))]
    pub roles: Vec<RoleHeld>,
}

/// A one-time link, told once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PersonChange {
    /// What others call it.
    #[serde(default)]
    #[cfg_attr(
        feature = "hub",
        schema(
            max_length = 100,
            pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$"
        )
    )]
    pub name: Option<String>,
    /// All its roles from now on.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(max_items = 100))]
    pub roles: Option<Vec<RoleHeld>>,
    /// The version that the change was made for; a person changed meanwhile is left as it is.
    #[serde(default)]
    pub version: Option<i64>,
}

/// Who asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Me {
    /// `person`, `node`, `operator`.
    #[cfg_attr(feature = "hub", schema(value_type = super::ActorKind))]
    pub kind: String,
    /// The name.
    pub name: String,
    /// The account, for a person.
    pub person: Option<Person>,
    /// The id of the device, for a person who comes by one.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub device: Option<String>,
}

/// The one-time link by which the first administrator comes in.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct SetupLink {
    /// The link; there is none once somebody administers the hub.
    pub link: Option<String>,
}
