//! The API: its operations, read from the description that programs read.

use askama::Template;
use serde_json::Value;

use crate::shell::Shell;
use crate::{ui, words};

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// `get`, `post` and so on.
    pub method: String,
    /// Its path.
    pub path: String,
    /// What it does.
    pub summary: String,
    /// What else is worth knowing.
    pub description: String,
    /// Whether everybody may use it.
    pub open: bool,
}

/// Operations about one noun.
#[derive(Clone, Debug)]
pub struct Noun {
    /// Its name.
    pub name: String,
    /// Its operations.
    pub operations: Vec<Operation>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "reference.html")]
pub struct Reference {
    /// What stands around the page.
    pub shell: Shell,
    /// The nouns.
    pub nouns: Vec<Noun>,
    /// The hub's address, as commands write it.
    pub url: String,
}

/// The nouns of a description in the `OpenAPI` format, in its own order. What is not as it should be is left out.
pub fn nouns(description: &Value) -> Vec<Noun> {
    let mut nouns: Vec<Noun> = Vec::new();
    let empty = serde_json::Map::new();
    for (path, methods) in description["paths"].as_object().unwrap_or(&empty) {
        for (method, told) in methods.as_object().unwrap_or(&empty) {
            if !["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                continue;
            }
            let text = |name: &str| told[name].as_str().unwrap_or_default().trim().to_owned();
            let operation = Operation {
                method: method.clone(),
                path: path.clone(),
                summary: text("summary"),
                description: text("description"),
                open: told["security"].as_array().is_some_and(Vec::is_empty),
            };
            let name = told["tags"][0].as_str().map_or_else(|| noun(path), ToOwned::to_owned);
            match nouns.iter_mut().find(|noun| noun.name == name) {
                Some(noun) => noun.operations.push(operation),
                None => nouns.push(Noun { name, operations: vec![operation] }),
            }
        }
    }
    nouns
}

/// The noun of a path without a tag: its first part behind the version.
fn noun(path: &str) -> String {
    path.trim_start_matches("/nave/v1/").split('/').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_stand_by_their_noun() {
        let read = nouns(&json!({ "paths": {
            "/nave/v1/nodes": { "get": { "summary": "List" , "tags": ["nodes"] }, "parameters": [] },
            "/nave/v1/nodes/{node}": { "patch": { "tags": ["nodes"] }, "x-other": 7 },
            "/nave/v1/hub": { "get": { "security": [] } },
        }}));
        let told: Vec<(&str, usize)> =
            read.iter().map(|noun| (noun.name.as_str(), noun.operations.len())).collect();
        assert_eq!(told, [("hub", 1), ("nodes", 2)]);
        assert!(read[0].operations[0].open && !read[1].operations[0].open);
    }

    #[test]
    fn anything_else_has_no_operations() {
        for odd in [json!(null), json!([]), json!({"paths": 3}), json!({"paths": {"/": []}})] {
            assert!(nouns(&odd).is_empty());
        }
    }
}
