//! `/agents/models`: the models that agents think and draw with.

use axum::extract::RawQuery;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::{Access, Routes};
use nave_web::error::PageError;
use nave_web::form::{Fields, Form};
use nave_web::ui::Filled;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, done, may, refuse, shell, show};

use super::views::{ModelPage, ModelsPage, Shown};
use super::{Fleet, number, tabs};
use crate::api::{ImageModel, LlmModel, Model, ModelApi};
use crate::hub::settings::{self, builtin_models};
use crate::hub::{MANAGE, READ};

const PATH: &str = "/agents/models";
/// The interfaces of models, with their words.
pub const APIS: [(&str, &str); 5] = [
    ("openai", "OpenAI, or one that speaks like it"),
    ("anthropic", "Anthropic"),
    ("google", "Google"),
    ("mock", "None: a stand-in for trying things out"),
    ("none", "None: a person"),
];

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(PATH, Access::Page(READ), list)
        .get("/agents/models/one", Access::Page(READ), one)
        .post("/agents/models/one", Access::Page(MANAGE), set)
        .post("/agents/models/unset", Access::Page(MANAGE), unset)
}

async fn list(visitor: Visitor, hub: Shared) -> Answer {
    let own = builtin_models();
    let shown = |model: Model| {
        let builtin = own.iter().find(|known| known.key() == model.key());
        Shown { is_own: builtin.is_none(), is_changed: builtin.is_some_and(|known| *known != model), model }
    };
    let models = settings::models(&visitor.op, &hub).await?.into_iter().map(shown).collect();
    let shell = shell(&visitor, &hub, "Models", "/agents").await?;
    let view = ModelsPage { shell, tabs: tabs(&visitor.op, PATH), models, may: may(&visitor.op, MANAGE) };
    Ok(show(&view, &view.shell))
}

async fn one(visitor: Visitor, hub: Shared, RawQuery(query): RawQuery) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let key = query.one("key")?;
    let (model, form) = if key.is_empty() {
        let kind = if query.one("kind")? == "image" { "image" } else { "llm" };
        (None, Filled::with([("kind", kind), ("apiType", "openai"), ("maxTokens", "128000")]))
    } else {
        let model = find(&visitor, &hub, key).await?;
        let form = filled(&model);
        (Some(model), form)
    };
    let view = view_of(&visitor, &hub, model, form).await?;
    Ok(show(&view, &view.shell))
}

async fn find(visitor: &Visitor, hub: &Shared, key: &str) -> Result<Model> {
    let mut models = settings::models(&visitor.op, hub).await?.into_iter();
    models.find(|model| model.key() == key).ok_or_else(|| Error::not_found("model", key))
}

async fn view_of(
    visitor: &Visitor,
    hub: &Shared,
    model: Option<Model>,
    form: Filled,
) -> Result<ModelPage, PageError> {
    let key = model.as_ref().map(|model| model.key().to_owned());
    let builtin = builtin_models().into_iter().find(|known| Some(known.key()) == key.as_deref());
    let title = key.clone().unwrap_or_else(|| "New model".to_owned());
    Ok(ModelPage {
        shell: shell(visitor, hub, title, "/agents").await?,
        is_changed: builtin.is_some() && builtin != model,
        is_own: key.is_some() && builtin.is_none(),
        may: may(&visitor.op, MANAGE),
        key,
        form,
    })
}

fn filled(model: &Model) -> Filled {
    let word = |api: ModelApi| match api {
        ModelApi::Openai => "openai",
        ModelApi::Google => "google",
        ModelApi::Anthropic => "anthropic",
        ModelApi::Mock => "mock",
        ModelApi::None => "none",
    };
    let price = |price: Option<f64>| price.map(|price| price.to_string()).unwrap_or_default();
    let can = |can: Option<bool>| if can == Some(true) { "yes" } else { "" }.to_owned();
    let values = match model {
        Model::Llm(model) => vec![
            ("kind", "llm".to_owned()),
            ("key", model.key.clone()),
            ("label", model.label.clone()),
            ("versionName", model.version_name.clone()),
            ("apiType", word(model.api_type).to_owned()),
            ("maxTokens", model.max_tokens.to_string()),
            ("baseUrl", model.base_url.clone().unwrap_or_default()),
            ("apiKeyVar", model.api_key_var.clone()),
            ("inputCost", model.input_cost.to_string()),
            ("outputCost", model.output_cost.to_string()),
            ("cacheWriteCost", price(model.cache_write_cost)),
            ("cacheReadCost", price(model.cache_read_cost)),
            ("cacheTtlSeconds", model.cache_ttl_seconds.map(|ttl| ttl.to_string()).unwrap_or_default()),
            ("supportsVision", can(model.supports_vision)),
            ("supportsHearing", can(model.supports_hearing)),
            ("supportsComputerUse", can(model.supports_computer_use)),
        ],
        Model::Image(model) => vec![
            ("kind", "image".to_owned()),
            ("key", model.key.clone()),
            ("label", model.label.clone()),
            ("versionName", model.version_name.clone()),
            ("size", model.size.clone()),
            ("baseUrl", model.base_url.clone().unwrap_or_default()),
            ("apiKeyVar", model.api_key_var.clone()),
            ("cost", model.cost.to_string()),
            ("quality", model.quality.clone().unwrap_or_default()),
        ],
    };
    Filled::with(values.iter().map(|(name, value)| (*name, value.as_str())))
}

fn read(fields: &Fields) -> Result<Model> {
    let text = |name: &'static str| Ok::<_, Error>(fields.one(name)?.trim().to_owned());
    let filled = |name: &'static str| Ok::<_, Error>(fields.filled(name)?.map(str::to_owned));
    let price = |name: &'static str| {
        let price: Option<f64> = number(fields, name, "an amount in dollars, such as 2.50")?;
        if price.is_some_and(|price| !price.is_finite() || price < 0.0) {
            return Err(Error::invalid(name, "must be 0 or more"));
        }
        Ok(price)
    };
    let wanted = |name, price: Option<f64>| price.ok_or_else(|| Error::invalid(name, "must be 0 or more"));
    let can = |name: &'static str| Ok::<_, Error>((fields.one(name)? == "yes").then_some(true));
    if fields.one("kind")? == "image" {
        return Ok(Model::Image(ImageModel {
            key: text("key")?,
            label: text("label")?,
            version_name: text("versionName")?,
            size: text("size")?,
            base_url: filled("baseUrl")?,
            api_key_var: text("apiKeyVar")?,
            cost: wanted("cost", price("cost")?)?,
            quality: filled("quality")?,
        }));
    }
    let api = match fields.one("apiType")? {
        "openai" => ModelApi::Openai,
        "google" => ModelApi::Google,
        "anthropic" => ModelApi::Anthropic,
        "mock" => ModelApi::Mock,
        "none" => ModelApi::None,
        _ => return Err(Error::invalid("apiType", "must be one of those offered")),
    };
    let tokens: Option<u64> = number(fields, "maxTokens", "a whole number of tokens")?;
    Ok(Model::Llm(LlmModel {
        key: text("key")?,
        label: text("label")?,
        version_name: text("versionName")?,
        api_type: api,
        max_tokens: tokens.ok_or_else(|| Error::invalid("maxTokens", "must be 1 or more"))?,
        base_url: filled("baseUrl")?,
        api_key_var: text("apiKeyVar")?,
        input_cost: wanted("inputCost", price("inputCost")?)?,
        output_cost: wanted("outputCost", price("outputCost")?)?,
        cache_write_cost: price("cacheWriteCost")?,
        cache_read_cost: price("cacheReadCost")?,
        cache_ttl_seconds: number(fields, "cacheTtlSeconds", "a whole number of seconds")?,
        supports_vision: can("supportsVision")?,
        supports_hearing: can("supportsHearing")?,
        supports_computer_use: can("supportsComputerUse")?,
    }))
}

async fn set(visitor: Visitor, hub: Shared, agents: Fleet, Form(fields): Form) -> Answer {
    let set = async {
        let model = read(&fields)?;
        let key = model.key().to_owned();
        settings::set_model(&visitor.op, &hub, &agents, model).await?;
        Ok::<_, Error>(key)
    };
    match set.await {
        Ok(key) => Ok(done(PATH, &format!("{key} is set, and the hosts are told."))),
        Err(error) => {
            let before = fields.one("before")?;
            let model = if before.is_empty() { None } else { find(&visitor, &hub, before).await.ok() };
            let view = view_of(&visitor, &hub, model, Filled::refused(&fields, &error)).await?;
            Ok(refuse(&view, &error))
        }
    }
}

async fn unset(visitor: Visitor, hub: Shared, agents: Fleet, Form(fields): Form) -> Answer {
    let key = fields.one("key")?;
    settings::unset_model(&visitor.op, &hub, &agents, key).await?;
    let is_builtin = builtin_models().iter().any(|known| known.key() == key);
    let words =
        if is_builtin { format!("{key} is as Nave brings it again.") } else { format!("{key} is gone.") };
    Ok(done(PATH, &words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_of_naves_own_comes_through_its_form_unchanged() {
        let fields = [
            "kind",
            "key",
            "label",
            "versionName",
            "apiType",
            "maxTokens",
            "baseUrl",
            "apiKeyVar",
            "inputCost",
            "outputCost",
            "cacheWriteCost",
            "cacheReadCost",
            "cacheTtlSeconds",
            "supportsVision",
            "supportsHearing",
            "supportsComputerUse",
            "size",
            "cost",
            "quality",
        ];
        for model in builtin_models() {
            let form = filled(&model);
            let mut body = form_urlencoded::Serializer::new(String::new());
            for name in fields {
                body.append_pair(name, form.value(name));
            }
            let sent = Fields::parse(body.finish().as_bytes()).unwrap();
            assert_eq!(read(&sent).unwrap(), model);
        }
    }
}
