//! The pages of models and variables.

use askama::Template;
use nave_web::shell::Shell;
use nave_web::ui::{self, Filled};
use nave_web::words;

use super::super::models::APIS;
use super::{Tab, model_path, query};
use crate::api::{Model, Variable};

/// A model in the list.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The model.
    pub model: Model,
    /// Whether Nave does not know it by itself.
    pub is_own: bool,
    /// Whether it is another than Nave's own.
    pub is_changed: bool,
}

impl Shown {
    fn label(&self) -> &str {
        match &self.model {
            Model::Llm(model) => &model.label,
            Model::Image(model) => &model.label,
        }
    }

    /// What it costs, in words.
    fn price(&self) -> String {
        match &self.model {
            Model::Llm(model) if model.input_cost == 0.0 && model.output_cost == 0.0 => "free".to_owned(),
            Model::Llm(model) => format!("${} in, ${} out", model.input_cost, model.output_cost),
            Model::Image(model) => format!("${} a picture", model.cost),
        }
    }

    /// How much it remembers, or how large its pictures are.
    fn size(&self) -> String {
        match &self.model {
            Model::Llm(model) => format!("{} tokens", words::number(model.max_tokens)),
            Model::Image(model) => model.size.clone(),
        }
    }
}

/// All models.
#[derive(Debug, Template)]
#[template(path = "agents/models.html")]
pub struct ModelsPage {
    /// What stands around the page.
    pub shell: Shell,
    /// The fleet's pages.
    pub tabs: Vec<Tab>,
    /// The models.
    pub models: Vec<Shown>,
    /// Whether they may be changed.
    pub may: bool,
}

impl ModelsPage {
    /// Those that think, and those that draw.
    fn groups(&self) -> [(&'static str, &'static str, Vec<&Shown>); 2] {
        let (think, draw) =
            self.models.iter().partition::<Vec<_>, _>(|shown| matches!(shown.model, Model::Llm(_)));
        [("think", "To think with", think), ("draw", "To draw with", draw)]
    }
}

/// One model, or a new one.
#[derive(Debug, Template)]
#[template(path = "agents/model.html")]
pub struct ModelPage {
    /// What stands around the page.
    pub shell: Shell,
    /// Which model; none for a new one.
    pub key: Option<String>,
    /// Whether Nave does not know it by itself.
    pub is_own: bool,
    /// Whether it is another than Nave's own.
    pub is_changed: bool,
    /// The form.
    pub form: Filled,
    /// Whether it may be changed.
    pub may: bool,
}

impl ModelPage {
    fn draws(&self) -> bool {
        self.form.value("kind") == "image"
    }
}

/// How good pictures can be.
const QUALITIES: [(&str, &str); 6] = [
    ("", "As its provider has it"),
    ("standard", "standard"),
    ("hd", "hd"),
    ("high", "high"),
    ("medium", "medium"),
    ("low", "low"),
];
/// What a model can do besides reading and writing.
const ABILITIES: [(&str, &str); 3] = [
    ("supportsVision", "It sees"),
    ("supportsHearing", "It hears"),
    ("supportsComputerUse", "It can use a computer"),
];

/// All variables.
#[derive(Debug, Template)]
#[template(path = "agents/variables.html")]
pub struct VariablesPage {
    /// What stands around the page.
    pub shell: Shell,
    /// The fleet's pages.
    pub tabs: Vec<Tab>,
    /// The variables.
    pub variables: Vec<Variable>,
    /// The form of one.
    pub form: Filled,
}

impl VariablesPage {
    fn path(variable: &Variable, act: &str) -> String {
        format!("/agents/variables/{}/{act}", variable.key)
    }

    fn history(variable: &Variable) -> String {
        format!("/audit?{}", query(&[("object", &variable.key)]))
    }
}
