//! `/agents/new` and `/agents/named/{agent}/config`: an agent's configuration as a form and as YAML, what it was before, and
//! bringing that back.

use axum::extract::{Path, RawQuery};
use axum::response::Response;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::{Access, Routes};
use nave_web::error::PageError;
use nave_web::form::{Fields, Form, Upload};
use nave_web::ui::Filled;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, done, may, refuse, shell, show};
use serde_json::{Map, Value};

use super::views::{ConfigPage, DiffLine, History, NewAgentPage, diff, key_of, page_of};
use super::{Fleet, agent, asked, number};
use crate::api::{AgentChange, AgentConfig, AgentDetail, CommandProtection, Model, NewAgent, Revision};
use crate::hub::{MANAGE, READ, roster, settings};

const NEW: &str = "/agents/new";

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(NEW, Access::Page(MANAGE), blank)
        .post(NEW, Access::Page(MANAGE), create)
        .get("/agents/named/{agent}/config", Access::Page(READ), look)
        .post("/agents/named/{agent}/config", Access::Page(MANAGE), save)
        .post("/agents/named/{agent}/config/yaml", Access::Page(MANAGE), save_yaml)
        .post("/agents/named/{agent}/config/restore", Access::Page(MANAGE), restore)
}

/// What an agent may do or not, or has as its runner has it: the configuration's field, and its words.
pub const SWITCHES: [(&str, &str); 8] = [
    ("mailEnabled", "Write mail"),
    ("chatEnabled", "Chat"),
    ("webEnabled", "Browse the web"),
    ("wakeOnMessage", "Be woken by mail"),
    ("completeSessionEnabled", "End its session"),
    ("multipleCommandsEnabled", "Run several commands at once"),
    ("workspacesEnabled", "Keep workspaces"),
    ("controlDesktop", "Control a desktop"),
];

/// The form for a configuration.
fn filled(config: &AgentConfig) -> Filled {
    let text = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    let word = |switch: Option<bool>| match switch {
        None => "",
        Some(true) => "on",
        Some(false) => "off",
    };
    let protection = match config.command_protection {
        None => "",
        Some(CommandProtection::None) => "none",
        Some(CommandProtection::Manual) => "manual",
        Some(CommandProtection::SemiAuto) => "semi-auto",
        Some(CommandProtection::Auto) => "auto",
    };
    let pause = config.debug_pause_seconds.map(|seconds| seconds.to_string()).unwrap_or_default();
    let commands = config.initial_commands.as_ref().map(|lines| lines.join("\n")).unwrap_or_default();
    let values = [
        ("username", config.username.clone()),
        ("title", config.title.clone()),
        ("agentPrompt", config.agent_prompt.clone()),
        ("tokenMax", config.token_max.to_string()),
        ("shellModel", config.shell_model.clone()),
        ("imageModel", config.image_model.clone().unwrap_or_default()),
        ("spendLimitDollars", text(config.spend_limit_dollars)),
        ("spendLimitHours", text(config.spend_limit_hours)),
        ("mailEnabled", word(config.mail_enabled).to_owned()),
        ("chatEnabled", word(config.chat_enabled).to_owned()),
        ("webEnabled", word(config.web_enabled).to_owned()),
        ("wakeOnMessage", word(config.wake_on_message).to_owned()),
        ("completeSessionEnabled", word(config.complete_session_enabled).to_owned()),
        ("multipleCommandsEnabled", word(config.multiple_commands_enabled).to_owned()),
        ("workspacesEnabled", word(config.workspaces_enabled).to_owned()),
        ("controlDesktop", word(config.control_desktop).to_owned()),
        ("debugPauseSeconds", pause),
        ("commandProtection", protection.to_owned()),
        ("initialCommands", commands),
    ];
    Filled::with(values.iter().map(|(name, value)| (*name, value.as_str())))
}

/// A configuration as a form has it; `other` is what no form has.
fn read(fields: &Fields, other: Map<String, Value>) -> Result<AgentConfig> {
    let dollars = |name| number(fields, name, "a number, such as 2.50");
    let switch = |name: &'static str| match fields.one(name)? {
        "" => Ok(None),
        "on" => Ok(Some(true)),
        "off" => Ok(Some(false)),
        _ => Err(Error::invalid(name, "must be on, off, or left to the runner")),
    };
    let protection = match fields.one("commandProtection")? {
        "" => None,
        "none" => Some(CommandProtection::None),
        "manual" => Some(CommandProtection::Manual),
        "semi-auto" => Some(CommandProtection::SemiAuto),
        "auto" => Some(CommandProtection::Auto),
        _ => return Err(Error::invalid("commandProtection", "must be one of those offered")),
    };
    let commands: Vec<String> = fields
        .one("initialCommands")?
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    let tokens: Option<u64> = number(fields, "tokenMax", "a whole number of tokens")?;
    let config = AgentConfig {
        username: fields.one("username")?.trim().to_owned(),
        title: fields.one("title")?.trim().to_owned(),
        agent_prompt: fields.one("agentPrompt")?.replace("\r\n", "\n"),
        token_max: tokens.ok_or_else(|| Error::invalid("tokenMax", "must be 1 or more"))?,
        shell_model: fields.one("shellModel")?.to_owned(),
        spend_limit_dollars: dollars("spendLimitDollars")?,
        spend_limit_hours: dollars("spendLimitHours")?,
        image_model: fields.filled("imageModel")?.map(str::to_owned),
        mail_enabled: switch("mailEnabled")?,
        chat_enabled: switch("chatEnabled")?,
        web_enabled: switch("webEnabled")?,
        complete_session_enabled: switch("completeSessionEnabled")?,
        wake_on_message: switch("wakeOnMessage")?,
        multiple_commands_enabled: switch("multipleCommandsEnabled")?,
        workspaces_enabled: switch("workspacesEnabled")?,
        control_desktop: switch("controlDesktop")?,
        debug_pause_seconds: number(fields, "debugPauseSeconds", "a whole number of seconds")?,
        command_protection: protection,
        initial_commands: (!commands.is_empty()).then_some(commands),
        other,
    };
    config.check()?;
    Ok(config)
}

/// The models that an agent may think and draw with, each with its words; whatever it has now is among them.
async fn models(
    visitor: &Visitor,
    hub: &Shared,
    form: &Filled,
) -> Result<[Vec<(String, String)>; 2], PageError> {
    let (mut think, mut draw) = (Vec::new(), vec![(String::new(), "None".to_owned())]);
    for model in settings::models(&visitor.op, hub).await? {
        match model {
            Model::Llm(model) => think.push((model.key, model.label)),
            Model::Image(model) => draw.push((model.key, model.label)),
        }
    }
    for (models, name) in [(&mut think, "shellModel"), (&mut draw, "imageModel")] {
        let now = form.value(name);
        if !now.is_empty() && !models.iter().any(|(key, _)| key == now) {
            models.push((now.to_owned(), format!("{now} (not among the models of this hub)")));
        }
    }
    Ok([think, draw])
}

async fn blank(visitor: Visitor, hub: Shared, agents: Fleet) -> Answer {
    let form = Filled::with([("tokenMax", "100000"), ("mailEnabled", "on"), ("wakeOnMessage", "on")]);
    let view = new_view(&visitor, &hub, &agents, form).await?;
    Ok(show(&view, &view.shell))
}

async fn new_view(
    visitor: &Visitor,
    hub: &Shared,
    agents: &Fleet,
    form: Filled,
) -> Result<NewAgentPage, PageError> {
    let [models, image_models] = models(visitor, hub, &form).await?;
    let leads = roster::list(&visitor.op, agents, false)?.into_iter().map(|agent| agent.name).collect();
    let shell = shell(visitor, hub, "New agent", "/agents").await?;
    Ok(NewAgentPage { shell, form, models, image_models, leads })
}

async fn create(visitor: Visitor, hub: Shared, agents: Fleet, upload: Upload) -> Answer {
    let fields = upload.fields;
    let made = async {
        let config = read(&fields, Map::new())?;
        let lead = fields.filled("lead")?.map(str::to_owned);
        roster::create(&visitor.op, &hub, &agents, NewAgent { config, lead }).await
    };
    match made.await {
        Ok(made) => Ok(done(&page_of(&made.agent), &format!("{} is there.", made.agent.name))),
        Err(error) => {
            let view = new_view(&visitor, &hub, &agents, Filled::refused(&fields, &error)).await?;
            Ok(refuse(&view, &error))
        }
    }
}

async fn look(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let found = roster::show(&visitor.op, &agents, &name)?;
    let (form, yaml) = as_it_is(&found)?;
    let view = view_of(&visitor, &hub, &agents, found, form, yaml, asked(&query, "with")?).await?;
    Ok(show(&view, &view.shell))
}

/// The two forms with the configuration that stands.
fn as_it_is(found: &AgentDetail) -> Result<(Filled, Filled)> {
    let yaml = roster::to_yaml(&found.config)?;
    Ok((filled(&found.config), Filled::with([("yaml", yaml.as_str())])))
}

async fn view_of(
    visitor: &Visitor,
    hub: &Shared,
    agents: &Fleet,
    found: AgentDetail,
    form: Filled,
    yaml: Filled,
    with: Option<i64>,
) -> Result<ConfigPage, PageError> {
    let [models, image_models] = models(visitor, hub, &form).await?;
    let AgentDetail { agent: now, config, revision } = found;
    let revisions = roster::revisions(&visitor.op, hub, agents, &key_of(&now)).await?;
    let compared = match with {
        Some(number) => Some((number, compared(&revisions, number, &config)?)),
        None => None,
    };
    Ok(ConfigPage {
        shell: shell(visitor, hub, format!("Configuration of {}", now.name), "/agents").await?,
        tabs: agent::tabs(visitor, &now, "Configuration"),
        history: history(&revisions),
        other: config.other.keys().cloned().collect(),
        may: may(&visitor.op, MANAGE),
        agent: now,
        revision,
        form,
        yaml,
        models,
        image_models,
        compared,
    })
}

/// What is another now than in an earlier revision.
fn compared(revisions: &[Revision], number: i64, now: &AgentConfig) -> Result<Vec<DiffLine>> {
    let earlier = revisions.iter().find(|revision| revision.number == number);
    let earlier = earlier.ok_or_else(|| Error::not_found("revision", number.to_string()))?;
    Ok(diff(&roster::to_yaml(&earlier.config)?, &roster::to_yaml(now)?))
}

/// The revisions, each with what it changed.
fn history(revisions: &[Revision]) -> Vec<History> {
    let told = |(at, revision): (usize, &Revision)| History {
        number: revision.number,
        by: revision.changed_by.clone(),
        at: revision.changed_at,
        fields: revisions
            .get(at + 1)
            .map(|before| roster::differences(&before.config, &revision.config))
            .unwrap_or_default(),
    };
    revisions.iter().enumerate().map(told).collect()
}

/// Puts a configuration in the place of the one from which a page was made.
async fn put(
    visitor: &Visitor,
    hub: &Shared,
    agents: &Fleet,
    name: &str,
    fields: &Fields,
    config: AgentConfig,
) -> Result<AgentDetail> {
    let from_revision = number(fields, "revision", "a revision")?;
    let change = AgentChange { config: Some(config), from_revision, ..AgentChange::default() };
    roster::change(&visitor.op, hub, agents, name, change).await
}

fn saved(before: &AgentDetail, now: &AgentDetail) -> Response {
    let name = &now.agent.name;
    let words = if before.revision == now.revision {
        format!("Nothing is another in the configuration of {name}.")
    } else {
        format!("The configuration of {name} is changed, and its hosts are told.")
    };
    done(&format!("{}/config", page_of(&now.agent)), &words)
}

async fn save(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(name): Path<String>,
    upload: Upload,
) -> Answer {
    let fields = upload.fields;
    let found = roster::show(&visitor.op, &agents, &name)?;
    let put = async {
        let config = read(&fields, found.config.other.clone())?;
        put(&visitor, &hub, &agents, &name, &fields, config).await
    };
    match put.await {
        Ok(now) => Ok(saved(&found, &now)),
        Err(error) => {
            let (_, yaml) = as_it_is(&found)?;
            let form = Filled::refused(&fields, &error);
            Ok(refuse(&view_of(&visitor, &hub, &agents, found, form, yaml, None).await?, &error))
        }
    }
}

async fn save_yaml(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(name): Path<String>,
    upload: Upload,
) -> Answer {
    let fields = upload.fields;
    let found = roster::show(&visitor.op, &agents, &name)?;
    let put = async {
        let config = roster::from_yaml(fields.one("yaml")?)?;
        put(&visitor, &hub, &agents, &name, &fields, config).await
    };
    match put.await {
        Ok(now) => Ok(saved(&found, &now)),
        Err(error) => {
            let (form, _) = as_it_is(&found)?;
            // The text is the only field: whatever is wrong is wrong with it.
            let beside = match &error {
                Error::Invalid { field, problem } if field == "yaml" || field == "config" => {
                    Error::invalid("yaml", problem.clone())
                }
                Error::Invalid { field, problem } => Error::invalid("yaml", format!("{field} {problem}")),
                other => Error::Conflict(other.message()),
            };
            let yaml = Filled::refused(&fields, &beside);
            Ok(refuse(&view_of(&visitor, &hub, &agents, found, form, yaml, None).await?, &error))
        }
    }
}

async fn restore(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(name): Path<String>,
    Form(fields): Form,
) -> Answer {
    let found = roster::show(&visitor.op, &agents, &name)?;
    let wanted: Option<i64> = number(&fields, "number", "a revision")?;
    let revisions = roster::revisions(&visitor.op, &hub, &agents, &name).await?;
    let earlier = revisions.into_iter().find(|revision| Some(revision.number) == wanted);
    let put = async {
        let earlier =
            earlier.ok_or_else(|| Error::not_found("revision", wanted.unwrap_or_default().to_string()))?;
        put(&visitor, &hub, &agents, &name, &fields, earlier.config).await
    };
    match put.await {
        Ok(now) => Ok(saved(&found, &now)),
        Err(error) => {
            let (_, yaml) = as_it_is(&found)?;
            let form = filled(&found.config).because(&error);
            Ok(refuse(&view_of(&visitor, &hub, &agents, found, form, yaml, None).await?, &error))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_says_the_configuration_that_it_was_filled_from() {
        let whole = json!({
            "username": "ann", "title": "T", "agentPrompt": "a\nb\n", "tokenMax": 5, "shellModel": "mock",
            "imageModel": "dalle", "spendLimitDollars": 1.5, "spendLimitHours": 24.0, "mailEnabled": true,
            "chatEnabled": false, "debugPauseSeconds": 3, "commandProtection": "semi-auto",
            "initialCommands": ["ls -l", "pwd"], "ofTomorrow": 1
        });
        let config = AgentConfig::from_json(whole).unwrap();
        let form = filled(&config);
        let mut body = form_urlencoded::Serializer::new(String::new());
        let names = [
            "username",
            "title",
            "agentPrompt",
            "tokenMax",
            "shellModel",
            "imageModel",
            "spendLimitDollars",
            "spendLimitHours",
            "debugPauseSeconds",
            "commandProtection",
            "initialCommands",
        ];
        for name in names.into_iter().chain(SWITCHES.map(|(name, _)| name)) {
            body.append_pair(name, form.value(name));
        }
        let fields = Fields::parse(body.finish().as_bytes()).unwrap();
        assert_eq!(read(&fields, config.other.clone()).unwrap(), config);
    }
}
