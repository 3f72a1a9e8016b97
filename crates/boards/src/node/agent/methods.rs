//! What an agent can be asked on its socket: not-my-board's names and arguments.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Agent, AgentError};
use crate::not_my_board::channel::{Channel, Methods, Outcome};
use crate::not_my_board::message::{Failure, Params};
use crate::not_my_board::python::{arguments, type_name};

impl Methods for Agent {
    fn call(
        &self,
        _: Channel,
        method: String,
        params: Params,
    ) -> BoxFuture<'static, Result<Outcome, Failure>> {
        let agent = self.clone();
        async move { agent.answer(&method, params).await }.boxed()
    }
}

impl Agent {
    async fn answer(&self, method: &str, params: Params) -> Result<Outcome, Failure> {
        let function = format!("Agent.{method}");
        match method {
            "reserve" => {
                let names = ["name", "import_description_toml", "place_name"];
                let [name, toml, place] =
                    arguments(&function, names, optional(params, &names, [Value::Null]))?;
                let (name, toml) = (text("name", &name)?, text("import_description_toml", &toml)?);
                answer(self.reserve(name, toml, text_or_none("place_name", &place)?).await)
            }
            "return_reservation" => {
                let names = ["name", "force"];
                let [name, force] = arguments(&function, names, optional(params, &names, [json!(false)]))?;
                answer(self.give_back(text("name", &name)?, force == true).await)
            }
            "attach" => {
                let [name] = arguments(&function, ["name"], params)?;
                answer(self.attach(text("name", &name)?).await)
            }
            "detach" => {
                let [name] = arguments(&function, ["name"], params)?;
                answer(self.detach(text("name", &name)?).await)
            }
            "list" => {
                let [] = arguments(&function, [], params)?;
                Ok(Outcome::of(&self.list()))
            }
            "status" => {
                let [] = arguments(&function, [], params)?;
                Ok(Outcome::of(&self.status()))
            }
            "get_import_description" => {
                let [name] = arguments(&function, ["name"], params)?;
                answer(self.import_description(text("name", &name)?).await)
            }
            "update_import_description" => {
                let [name, toml] = arguments(&function, ["name", "import_description_toml"], params)?;
                let (name, toml) = (text("name", &name)?, text("import_description_toml", &toml)?);
                answer(self.update_import_description(name, toml).await)
            }
            "search" => {
                let names = ["import_description_toml"];
                let [toml] = arguments(&function, names, optional(params, &names, [Value::Null]))?;
                let toml = text_or_none(names[0], &toml)?;
                let places = self.search(toml).await.map_err(failure)?;
                if toml.is_none() {
                    return Ok(Outcome::of(&places));
                }
                let names: Vec<Value> =
                    places.into_iter().map(|place| json!({ "name": place.name })).collect();
                Ok(Outcome::of(&names))
            }
            "get_place_by_name" => {
                let [name] = arguments(&function, ["place_name"], params)?;
                answer(self.place_by_name(text("place_name", &name)?).await)
            }
            "get_reserved_place" => {
                let [name] = arguments(&function, ["name"], params)?;
                answer(self.reserved_place(text("name", &name)?).await)
            }
            "get_reservations" => {
                let [] = arguments(&function, [], params)?;
                answer(self.holders().await)
            }
            _ => Err(Failure::no_method()),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` calls")]
fn failure(error: AgentError) -> Failure {
    Failure::raised(error.to_string())
}

fn answer<T: Serialize>(answer: Result<T, AgentError>) -> Result<Outcome, Failure> {
    answer.map(|answer| Outcome::of(&answer)).map_err(failure)
}

fn text<'a>(name: &str, value: &'a Value) -> Result<&'a str, Failure> {
    value.as_str().ok_or_else(|| Failure::raised(format!("{name}: Expected str, got {}", type_name(value))))
}

fn text_or_none<'a>(name: &str, value: &'a Value) -> Result<Option<&'a str>, Failure> {
    // Python takes an empty text for none.
    Ok(if value.is_null() { None } else { Some(text(name, value)?).filter(|text| !text.is_empty()) })
}

/// Puts in what was left out at the end of a call's arguments.
fn optional<const N: usize>(params: Params, names: &[&str], defaults: [Value; N]) -> Params {
    let needed = names.len() - N;
    match params {
        Params::List(mut list) => {
            let given = list.len();
            if given >= needed {
                list.extend(defaults.into_iter().skip(given - needed));
            }
            Params::List(list)
        }
        Params::Map(map) => {
            let mut filled: Map<String, Value> =
                names[needed..].iter().map(|&name| name.to_owned()).zip(defaults).collect();
            filled.extend(map);
            Params::Map(filled)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_a_default() {
        let names = ["name", "toml", "place"];
        let call = |params| arguments("f", names, optional(params, &names, [Value::Null]));
        let list = |values: Value| Params::List(values.as_array().unwrap().clone());
        assert_eq!(call(list(json!(["a", "b"]))).unwrap(), [json!("a"), json!("b"), Value::Null]);
        assert_eq!(call(list(json!(["a", "b", "c"]))).unwrap()[2], "c");
        assert!(call(list(json!(["a"]))).unwrap_err().message.ends_with("'toml' and 'place'"));
        assert!(call(list(json!(["a", "b", "c", "d"]))).is_err());
        let map = |value: Value| Params::Map(value.as_object().unwrap().clone());
        assert_eq!(call(map(json!({ "toml": "b", "name": "a" }))).unwrap()[2], Value::Null);
        assert_eq!(call(map(json!({ "toml": "b", "name": "a", "place": "c" }))).unwrap()[2], "c");
    }
}
