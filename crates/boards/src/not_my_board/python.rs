//! What Python says about calls that do not fit: the other side shows these words to people, and scripts look for them.
//! The words are those of Python 3.

use serde_json::Value;

use super::message::{Failure, Params};

/// What Python calls the type of a value.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// A value that can be looked for in a set.
pub(crate) fn hashable(value: &Value) -> Result<&Value, Failure> {
    match value {
        Value::Array(_) | Value::Object(_) => {
            Err(Failure::raised(format!("unhashable type: '{}'", type_name(value))))
        }
        other => Ok(other),
    }
}

/// Puts the arguments of a call in the order of its parameters, all of which are needed. `function` is what Python calls
/// it; it has a parameter for its object too.
pub(crate) fn arguments<const N: usize>(
    function: &str,
    parameters: [&str; N],
    params: Params,
) -> Result<[Value; N], Failure> {
    let found: Vec<Option<Value>> = match params {
        Params::List(list) if list.len() > N => {
            let (takes, given) = (N + 1, list.len() + 1);
            let argument = if takes == 1 { "argument" } else { "arguments" };
            let message = format!("{function}() takes {takes} positional {argument} but {given} were given");
            return Err(Failure::raised(message));
        }
        Params::List(list) => list.into_iter().map(Some).chain(std::iter::repeat(None)).take(N).collect(),
        Params::Map(mut map) => {
            let found = parameters.iter().map(|name| map.remove(*name)).collect();
            if let Some(name) = map.keys().next() {
                let message = format!("{function}() got an unexpected keyword argument '{name}'");
                return Err(Failure::raised(message));
            }
            found
        }
    };
    let given = found.iter().zip(parameters);
    let missing: Vec<&str> = given.filter(|(value, _)| value.is_none()).map(|(_, name)| name).collect();
    if !missing.is_empty() {
        return Err(missing_arguments(function, &missing));
    }
    let found: Vec<Value> = found.into_iter().flatten().collect();
    found.try_into().map_err(|_| Failure::raised("the arguments do not fit"))
}

/// The error of a call without arguments that it needs.
pub(crate) fn missing_arguments(function: &str, missing: &[&str]) -> Failure {
    let names: Vec<String> = missing.iter().map(|name| format!("'{name}'")).collect();
    let listed = match names.as_slice() {
        [one] => one.clone(),
        [one, other] => format!("{one} and {other}"),
        [first @ .., last] => format!("{}, and {last}", first.join(", ")),
        [] => String::new(),
    };
    let (number, argument) = (names.len(), if names.len() == 1 { "argument" } else { "arguments" });
    Failure::raised(format!("{function}() missing {number} required positional {argument}: {listed}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn calls_that_do_not_fit_are_told_so() {
        let list = |values: Value| Params::List(values.as_array().unwrap().clone());
        let told = |params| arguments("Hub.f", ["one", "two"], params).unwrap_err().message;
        assert_eq!(arguments("Hub.f", ["one"], list(json!([7]))).unwrap(), [json!(7)]);
        assert_eq!(told(list(json!([1, 2, 3]))), "Hub.f() takes 3 positional arguments but 4 were given");
        assert_eq!(told(list(json!([1]))), "Hub.f() missing 1 required positional argument: 'two'");
        assert_eq!(told(list(json!([]))), "Hub.f() missing 2 required positional arguments: 'one' and 'two'");
        let map = json!({ "one": 1, "three": 3 }).as_object().unwrap().clone();
        assert_eq!(told(Params::Map(map)), "Hub.f() got an unexpected keyword argument 'three'");
    }
}
