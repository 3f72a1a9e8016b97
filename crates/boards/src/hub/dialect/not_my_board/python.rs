//! What Python says about values and calls that do not fit: clients show these words to people, and scripts look for
//! them. The words are those of Python 3.

use serde_json::{Map, Value};

use super::message::{Failure, Params};

/// What Python calls the type of a value.
pub(super) fn type_name(value: &Value) -> &'static str {
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

/// What a loop over a value sees: the elements of a list, the characters of a text, the keys of a map.
pub(super) fn iterate(value: &Value) -> Result<Vec<Value>, Failure> {
    match value {
        Value::Array(list) => Ok(list.clone()),
        Value::String(text) => Ok(text.chars().map(|c| Value::String(c.to_string())).collect()),
        Value::Object(map) => Ok(map.keys().cloned().map(Value::String).collect()),
        other => Err(Failure::raised(format!("'{}' object is not iterable", type_name(other)))),
    }
}

/// The pairs of a map.
pub(super) fn items(value: &Value) -> Result<&Map<String, Value>, Failure> {
    value
        .as_object()
        .ok_or_else(|| Failure::raised(format!("'{}' object has no attribute 'items'", type_name(value))))
}

/// A value that can be looked for in a set.
pub(super) fn hashable(value: &Value) -> Result<&Value, Failure> {
    match value {
        Value::Array(_) | Value::Object(_) => {
            Err(Failure::raised(format!("unhashable type: '{}'", type_name(value))))
        }
        other => Ok(other),
    }
}

/// The error of looking for a key that is not there: the key as Python writes it.
pub(super) fn key_error(key: &Value) -> Failure {
    Failure::raised(match key {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    })
}

/// A text between quotes, as Python's `repr` writes it.
pub(super) fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if u32::from(c) < 0x20 || u32::from(c) == 0x7f => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Puts the arguments of a call in the order of its parameters, all of which are needed. `function` is what Python calls
/// it; it has a parameter for its object too.
pub(super) fn arguments<const N: usize>(
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
pub(super) fn missing_arguments(function: &str, missing: &[&str]) -> Failure {
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
    fn texts_are_quoted_as_python_does() {
        for (text, expected) in
            [("x", "'x'"), ("it's", "\"it's\""), ("'\"", "'\\'\"'"), ("a\\b\n\u{1}", "'a\\\\b\\n\\x01'")]
        {
            assert_eq!(quoted(text), expected);
        }
    }

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
