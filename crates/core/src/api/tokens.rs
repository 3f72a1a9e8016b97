//! API tokens: by them programs act for a person.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Role;

/// An API token, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct ApiToken {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
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
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewApiToken {
    /// What it is for.
    #[cfg_attr(
        feature = "hub",
        schema(
            max_length = 100,
            pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$"
        )
    )]
    pub name: String,
    /// No more than this role may.
    pub role: Role,
    /// Where: `*`, or `node:NAME`.
    #[serde(default = "super::people::everything")]
    #[cfg_attr(feature = "hub", schema(pattern = "^(\\*|(node|site):[^\\x00]+)$"))]
    pub scope: String,
    /// For how many seconds it is good: at most a year.
    #[cfg_attr(feature = "hub", schema(minimum = 1, maximum = 31_622_400))]
    pub ttl_seconds: u64,
}

/// A new API token, told once.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct ApiTokenSecret {
    /// What was made.
    pub token: ApiToken,
    /// Its secret, for `Authorization: Bearer`.
    pub secret: String,
}

/// Asks for an ID token of one's own, for a program.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct IdTokenRequest {
    /// The program that it is shown to.
    #[cfg_attr(feature = "hub", schema(example = "not-my-board", pattern = "^[^\\x00]*$"))]
    pub program: String,
}

/// An ID token: it says who somebody is, to one program, until it ends.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct IdToken {
    /// The token.
    pub token: String,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// A program into which somebody signed in with the account here.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct ProgramSignIn {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub id: String,
    /// Which program.
    pub program: String,
    /// Where the program was.
    pub address: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the program last got a token.
    #[serde(with = "time::serde::rfc3339")]
    pub last_used_at: OffsetDateTime,
}
