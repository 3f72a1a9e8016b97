//! `nave agent variable …` and `nave agent model …`.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use http::Method;
use nave_agents::api::{Model as ModelRow, NewVariable, Variable as VariableRow};
use serde_json::{Value, json};

use super::super::Context;
use super::super::node::moment;
use super::text_of;
use crate::cli::agent::{Model, ModelKind, Variable};
use crate::client::segment;

pub async fn variable(context: &Context<'_>, command: Variable) -> anyhow::Result<()> {
    let (hub, printer) = (context.hub().await?, context.printer);
    let path = |key: &str| format!("/nave/v1/agent-variables/{}", segment(key));
    match command {
        Variable::List => {
            let variables: Vec<VariableRow> = hub.get("/nave/v1/agent-variables").await?;
            let cells = |row: &VariableRow| {
                let exported = if row.exported { "in shells" } else { "" };
                vec![row.key.clone(), exported.to_owned(), row.changed_by.clone(), moment(row.changed_at)]
            };
            let columns = ["VARIABLE", "SEEN", "SET BY", "AT"];
            printer.rows(
                &variables,
                &columns,
                cells,
                "no variables yet: `nave agent variable set KEY` sets one",
            )
        }
        Variable::Set { key, export } => {
            if std::io::stdin().is_terminal() {
                printer.talk(format!("nave: type the value of {key}, and end it with Ctrl-D"));
            }
            let value = text_of(std::path::Path::new("-"))?;
            let value = value.strip_suffix('\n').unwrap_or(&value).to_owned();
            let new = NewVariable { value: Some(value), exported: Some(export) };
            hub.act(Method::PUT, &path(&key), &new).await?;
            printer.talk(format!("nave: {key} is set"));
            Ok(())
        }
        Variable::Unset { key } => {
            hub.act(Method::DELETE, &path(&key), &json!({})).await?;
            printer.talk(format!("nave: {key} is gone"));
            Ok(())
        }
    }
}

pub async fn model(context: &Context<'_>, command: Model) -> anyhow::Result<()> {
    let (hub, printer) = (context.hub().await?, context.printer);
    let path = |key: &str| format!("/nave/v1/agent-models/{}", segment(key));
    match command {
        Model::List => {
            let models: Vec<ModelRow> = hub.get("/nave/v1/agent-models").await?;
            let cells = |model: &ModelRow| match model {
                ModelRow::Llm(model) => vec![
                    model.key.clone(),
                    model.label.clone(),
                    model.version_name.clone(),
                    model.api_key_var.clone(),
                    format!("${} / ${} a million tokens", model.input_cost, model.output_cost),
                ],
                ModelRow::Image(model) => vec![
                    model.key.clone(),
                    model.label.clone(),
                    model.version_name.clone(),
                    model.api_key_var.clone(),
                    format!("${} a picture", model.cost),
                ],
            };
            printer.rows(&models, &["MODEL", "NAME", "VERSION", "KEY IN", "COST"], cells, "no models")
        }
        Model::Set { kind, file } => {
            let mut value: Value = serde_saphyr::from_str(&text_of(&file)?)
                .map_err(|error| anyhow::anyhow!("{} is not YAML: {error}", file.display()))?;
            let fields = value.as_object_mut().with_context(|| format!("{} is no model", file.display()))?;
            let kind = match kind {
                ModelKind::Llm => "llm",
                ModelKind::Image => "image",
            };
            fields.insert("kind".to_owned(), kind.into());
            let model: ModelRow =
                serde_json::from_value(value).with_context(|| format!("{} is no model", file.display()))?;
            hub.act(Method::PUT, &path(model.key()), &model).await?;
            printer.talk(format!("nave: {} is set", model.key()));
            Ok(())
        }
        Model::Unset { key } => {
            hub.act(Method::DELETE, &path(&key), &json!({})).await?;
            printer.talk(format!("nave: {key} is gone, or as it came"));
            Ok(())
        }
    }
}
