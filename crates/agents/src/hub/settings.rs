//! Variables and models: what hosts are told, so that agents find their providers. Values are sealed where they lie, and
//! shown to nobody but the hosts that need them.

mod builtin;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::event::Event;
use nave_core::hub::op::Op;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

pub use self::builtin::builtin_models;
use super::live::Happening;
use super::{Agents, MANAGE, READ};
use crate::api::{HostKind, Model, NewVariable, Variable};

/// What a variable is sealed as.
const VARIABLE: &str = "agents.variable";
/// Keys that are a host's own affair, and told to nobody.
pub const EXCLUDED: [&str; 6] =
    ["HUB_ACCESS_KEY", "HUB_PORT", "NAISYS_FOLDER", "NAISYS_HOSTNAME", "NODE_ENV", "SUPERVISOR_PORT"];
/// Variables that are settings of the fleet, which every host reads.
const SETTINGS: [&str; 3] = ["GOOGLE_SEARCH_ENGINE_ID", "SPEND_LIMIT_DOLLARS", "SPEND_LIMIT_HOURS"];
/// The longest value, in bytes.
const LONGEST: usize = 64 << 10;

/// A variable with its value.
pub(super) struct Revealed {
    pub(super) key: String,
    pub(super) value: SecretString,
    pub(super) exported: bool,
}

/// Lists the variables, without their values.
pub async fn variables(op: &Op, hub: &Hub) -> Result<Vec<Variable>> {
    access::require(op, MANAGE)?;
    let rows = store::variables(&mut hub.store.read().await?).await?;
    Ok(rows.into_iter().map(|row| row.variable).collect())
}

/// Sets a variable.
pub async fn set_variable(
    op: &Op,
    hub: &Arc<Hub>,
    agents: &Agents,
    key: &str,
    new: NewVariable,
) -> Result<()> {
    access::require(op, MANAGE)?;
    check_key(key)?;
    if let Some(value) = &new.value {
        check_value(value)?;
    }
    let mut act = hub.store.begin().await?;
    let before = store::variable(&mut act, key).await?;
    let value = match (&new.value, &before) {
        (Some(value), _) => hub.sealer.seal(VARIABLE, value.as_bytes()),
        (None, Some(before)) => before.sealed.clone(),
        (None, None) => return Err(Error::invalid("value", format!("{key} is new: give it a value"))),
    };
    let exported = new.exported.or(before.map(|before| before.variable.exported)).unwrap_or(false);
    let row =
        Variable { key: key.to_owned(), exported, changed_by: op.actor.name(), changed_at: op.clock.now() };
    store::put_variable(&mut act, &row, &value).await?;
    let detail = json!({ "exported": exported, "value": new.value.is_some() });
    hub.record(&mut act, op, event("variable.set", "variable", key, detail)).await?;
    act.commit().await?;
    agents.live().tell(&Happening::Variables);
    Ok(())
}

/// Takes a variable away.
pub async fn unset_variable(op: &Op, hub: &Arc<Hub>, agents: &Agents, key: &str) -> Result<()> {
    access::require(op, MANAGE)?;
    let mut act = hub.store.begin().await?;
    if !store::delete_variable(&mut act, key).await? {
        return Err(Error::not_found("variable", key));
    }
    hub.record(&mut act, op, event("variable.unset", "variable", key, Value::Null)).await?;
    act.commit().await?;
    agents.live().tell(&Happening::Variables);
    Ok(())
}

fn check_key(key: &str) -> Result<()> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if key.is_empty()
        || key.len() > 128
        || !key.chars().all(fits)
        || key.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(Error::invalid(
            "key",
            format!("{key:?} must be letters, digits and _, and begin with no digit"),
        ));
    }
    if EXCLUDED.contains(&key) {
        return Err(Error::invalid("key", format!("{key} belongs to each machine itself: set it there")));
    }
    Ok(())
}

fn check_value(value: &str) -> Result<()> {
    if value.len() > LONGEST || value.contains('\0') {
        return Err(Error::invalid("value", "must be at most 65536 bytes, without NUL"));
    }
    Ok(())
}

/// All variables with their values, for hosts.
pub(super) async fn reveal(op: &Op, hub: &Hub) -> Result<Vec<Revealed>> {
    access::require(op, MANAGE)?;
    let rows = store::variables(&mut hub.store.read().await?).await?;
    let mut revealed = Vec::with_capacity(rows.len());
    for row in rows {
        let value = hub.sealer.unseal(VARIABLE, &row.sealed).await?;
        let value = String::from_utf8(value.expose_secret().to_vec()).map_err(Error::internal)?;
        let (key, exported) = (row.variable.key, row.variable.exported);
        revealed.push(Revealed { key, value: SecretString::from(value), exported });
    }
    Ok(revealed)
}

/// The variables that a host needs: all of them, unless it is restricted; then the fleet's settings, what agents find in
/// their shells, and the keys of the models of those agents that may be started there.
pub(super) fn needed_by(
    agents: &Agents,
    host: i64,
    variables: &[Revealed],
    models: &[Model],
) -> BTreeMap<String, bool> {
    let rows = agents.directory().read();
    let Some(row) = rows.host(host) else { return BTreeMap::new() };
    let own: Vec<_> = rows.agents().filter(|agent| rows.may_start_on(agent.id, host)).collect();
    let names = |agent: &&super::directory::AgentRow| {
        [Some(agent.config.shell_model.clone()), agent.config.image_model.clone()]
    };
    let used: Vec<String> = own.iter().flat_map(names).flatten().collect();
    let keys: Vec<&str> = models
        .iter()
        .filter(|model| used.iter().any(|key| key == model.key()))
        .map(Model::api_key_var)
        .collect();
    let is_needed = |variable: &&Revealed| match row.kind {
        HostKind::Supervisor => SETTINGS.contains(&variable.key.as_str()),
        _ if !row.restricted => true,
        _ => {
            let key = variable.key.as_str();
            SETTINGS.contains(&key) || keys.contains(&key) || (variable.exported && !own.is_empty())
        }
    };
    variables.iter().filter(is_needed).map(|variable| (variable.key.clone(), variable.exported)).collect()
}

/// The value of a setting that is a number above nothing.
pub(super) fn number(variables: &[Revealed], key: &str) -> Option<f64> {
    let value = variables.iter().find(|variable| variable.key == key)?;
    value.value.expose_secret().trim().parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)
}

/// Lists the models.
pub async fn models(op: &Op, hub: &Hub) -> Result<Vec<Model>> {
    access::require(op, READ)?;
    let rows = store::models(&mut hub.store.read().await?).await?;
    Ok(rows.into_iter().map(|row| row.model).collect())
}

/// Sets a model.
pub async fn set_model(op: &Op, hub: &Arc<Hub>, agents: &Agents, model: Model) -> Result<()> {
    access::require(op, MANAGE)?;
    check_model(&model)?;
    let mut act = hub.store.begin().await?;
    store::put_model(&mut act, &model, true).await?;
    hub.record(&mut act, op, event("model.set", "model", model.key(), Value::Null)).await?;
    act.commit().await?;
    agents.live().tell(&Happening::Models);
    Ok(())
}

fn check_model(model: &Model) -> Result<()> {
    let texts = match model {
        Model::Llm(model) => {
            [("key", &model.key), ("label", &model.label), ("versionName", &model.version_name)]
        }
        Model::Image(model) => {
            [("key", &model.key), ("label", &model.label), ("versionName", &model.version_name)]
        }
    };
    for (field, text) in texts {
        if text.is_empty() || text.len() > 200 || text.contains(char::is_control) {
            return Err(Error::invalid(field, "must be one line of 1 to 200 characters"));
        }
    }
    let prices = match model {
        Model::Llm(model) => {
            if model.max_tokens == 0 || model.max_tokens > 1 << 53 {
                return Err(Error::invalid("maxTokens", "must be 1 or more"));
            }
            vec![
                Some(model.input_cost),
                Some(model.output_cost),
                model.cache_write_cost,
                model.cache_read_cost,
            ]
        }
        Model::Image(model) => {
            let known = ["standard", "hd", "high", "medium", "low"];
            if model.quality.as_ref().is_some_and(|quality| !known.contains(&quality.as_str())) {
                return Err(Error::invalid("quality", format!("must be one of {}", known.join(", "))));
            }
            vec![Some(model.cost)]
        }
    };
    if prices.into_iter().flatten().any(|price| !price.is_finite() || price < 0.0) {
        return Err(Error::invalid("cost", "must be 0 or more"));
    }
    Ok(())
}

/// Takes a model away. One of Nave's own comes back as it was.
pub async fn unset_model(op: &Op, hub: &Arc<Hub>, agents: &Agents, key: &str) -> Result<()> {
    access::require(op, MANAGE)?;
    let mut act = hub.store.begin().await?;
    if !store::delete_model(&mut act, key).await? {
        return Err(Error::not_found("model", key));
    }
    if let Some(own) = builtin_models().into_iter().find(|model| model.key() == key) {
        store::put_model(&mut act, &own, false).await?;
    }
    hub.record(&mut act, op, event("model.unset", "model", key, Value::Null)).await?;
    act.commit().await?;
    agents.live().tell(&Happening::Models);
    Ok(())
}

/// Brings Nave's own models up to date, except those that somebody changed.
pub(super) async fn begin(op: &Op, hub: &Hub) -> Result<()> {
    access::require(op, MANAGE)?;
    let rows = store::models(&mut hub.store.read().await?).await?;
    let stale = |model: &Model| {
        !rows.iter().any(|row| row.model.key() == model.key() && (row.custom || row.model == *model))
    };
    let new: Vec<Model> = builtin_models().into_iter().filter(stale).collect();
    if new.is_empty() {
        return Ok(());
    }
    let mut act = hub.store.begin().await?;
    for model in &new {
        store::put_model(&mut act, model, false).await?;
    }
    act.commit().await
}

fn event(action: &'static str, kind: &'static str, key: &str, detail: Value) -> Event {
    Event { action, object_kind: kind, object_id: key.to_owned(), object_name: key.to_owned(), detail }
}
