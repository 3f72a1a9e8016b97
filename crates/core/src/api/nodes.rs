//! Nodes: machines that joined, or were invited to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Grant;

/// What a node is to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum NodeStatus {
    /// Its name is kept for it.
    Invited,
    /// It showed itself, and waits for an operator.
    Pending,
    /// A member.
    Active,
    /// No longer a member.
    Revoked,
}

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// It offers hardware.
    Exporter,
    /// It uses hardware.
    Importer,
    /// Its data stays where it is.
    Site,
    /// It runs agents.
    Host,
}

impl NodeRole {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Exporter, Self::Importer, Self::Site, Self::Host];
    /// As they are written.
    pub const WORDS: [&str; 4] = ["exporter", "importer", "site", "host"];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// One node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Node {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its roles.
    #[cfg_attr(feature = "hub", schema(value_type = Vec<NodeRole>))]
    pub roles: Vec<String>,
    /// Whether it is connected.
    pub online: bool,
    /// What it is to the hub.
    pub status: NodeStatus,
    /// Its key.
    pub public_key: Option<String>,
    /// From where alone its name may be used under the shared access key, if that is what it is known by.
    #[serde(default)]
    pub shared_key_from: Option<String>,
    /// Its program.
    pub version: String,
    /// Where it comes from.
    pub address: Option<String>,
    /// The machine's own addresses.
    pub addresses: Vec<String>,
    /// What its operator lets others open.
    pub allow: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When it became a member.
    #[serde(with = "time::serde::rfc3339::option")]
    pub joined_at: Option<OffsetDateTime>,
    /// When it was last known to be connected.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_seen_at: Option<OffsetDateTime>,
    /// Its rights; told with a single node only.
    #[serde(default)]
    pub grants: Vec<Grant>,
}

/// Changes a node; fields that are absent stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NodeChange {
    /// A new name.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"))]
    pub name: Option<String>,
    /// All its roles from now on.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(value_type = Option<Vec<NodeRole>>))]
    pub roles: Option<Vec<String>>,
    /// All its labels from now on.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(schema_with = labels))]
    pub labels: Option<BTreeMap<String, String>>,
}

/// What can be labels, which a derived description cannot say.
#[cfg(feature = "hub")]
fn labels() -> utoipa::openapi::schema::Object {
    use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};

    let text = || ObjectBuilder::new().schema_type(Type::String);
    let value = text().max_length(Some(63)).pattern(Some("^[^\\x00-\\x1f\\x7f-\\x9f]*$"));
    let name = text().pattern(Some("^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some("All its labels from now on."))
        .property_names(Some(name.build()))
        .additional_properties(Some(Schema::Object(value.build())))
        .max_properties(Some(32))
        .build()
}
