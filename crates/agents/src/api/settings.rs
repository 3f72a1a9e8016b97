//! Models and variables, which hosts are told.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Which interface a model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub enum ModelApi {
    /// That of OpenAI, which many others have too.
    Openai,
    /// That of Google.
    Google,
    /// That of Anthropic.
    Anthropic,
    /// None: a stand-in for trying things out.
    Mock,
    /// None: for people.
    None,
}

/// A model that agents think with. The names of its fields are NAISYS's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct LlmModel {
    /// Its key, by which configurations name it.
    pub key: String,
    /// Its name, for people.
    pub label: String,
    /// Its name at its provider.
    pub version_name: String,
    /// Its interface.
    pub api_type: ModelApi,
    /// How many tokens it can remember.
    pub max_tokens: u64,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The variable that holds its provider's key.
    pub api_key_var: String,
    /// Dollars for a million tokens read.
    pub input_cost: f64,
    /// Dollars for a million tokens written.
    pub output_cost: f64,
    /// Dollars for a million tokens put into its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_cost: Option<f64>,
    /// Dollars for a million tokens taken from its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_cost: Option<f64>,
    /// For how many seconds its cache lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_ttl_seconds: Option<u64>,
    /// Whether it sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supports_vision: Option<bool>,
    /// Whether it hears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supports_hearing: Option<bool>,
    /// Whether it can use a computer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supports_computer_use: Option<bool>,
}

/// A model that agents draw with. The names of its fields are NAISYS's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct ImageModel {
    /// Its key, by which configurations name it.
    pub key: String,
    /// Its name, for people.
    pub label: String,
    /// Its name at its provider.
    pub version_name: String,
    /// The size of its pictures.
    pub size: String,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The variable that holds its provider's key.
    pub api_key_var: String,
    /// Dollars for a picture.
    pub cost: f64,
    /// `standard`, `hd`, `high`, `medium` or `low`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub enum Model {
    /// That agents think with.
    Llm(LlmModel),
    /// That agents draw with.
    Image(ImageModel),
}

impl Model {
    /// Its key.
    pub fn key(&self) -> &str {
        match self {
            Self::Llm(model) => &model.key,
            Self::Image(model) => &model.key,
        }
    }

    /// The variable that holds its provider's key.
    pub fn api_key_var(&self) -> &str {
        match self {
            Self::Llm(model) => &model.api_key_var,
            Self::Image(model) => &model.api_key_var,
        }
    }
}

/// A variable, without its value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Variable {
    /// Its name.
    pub key: String,
    /// Whether agents find it in their shell.
    pub exported: bool,
    /// Who changed it last.
    pub changed_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub changed_at: OffsetDateTime,
}

/// Asks for a variable to be set.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewVariable {
    /// Its value, which nobody is shown again; left out, it stays.
    #[serde(default)]
    pub value: Option<String>,
    /// Whether agents find it in their shell; left out, it stays.
    #[serde(default)]
    pub exported: Option<bool>,
}
