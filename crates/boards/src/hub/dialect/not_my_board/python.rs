//! What Python says about values that do not fit: clients show these words to people, and scripts look for them. The words
//! are those of Python 3.

use serde_json::{Map, Value};

use crate::not_my_board::message::Failure;
use crate::not_my_board::python::type_name;

/// What a loop over a value sees: the elements of a list, the characters of a text, the keys of a map.
pub(super) fn iterate(value: Value) -> Result<Vec<Value>, Failure> {
    match value {
        Value::Array(list) => Ok(list),
        Value::String(text) => Ok(text.chars().map(|c| Value::String(c.to_string())).collect()),
        Value::Object(map) => Ok(map.into_iter().map(|(key, _)| Value::String(key)).collect()),
        other => Err(Failure::raised(format!("'{}' object is not iterable", type_name(&other)))),
    }
}

/// The pairs of a map.
pub(super) fn items(value: &Value) -> Result<&Map<String, Value>, Failure> {
    value
        .as_object()
        .ok_or_else(|| Failure::raised(format!("'{}' object has no attribute 'items'", type_name(value))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_python_does() {
        for (text, expected) in
            [("x", "'x'"), ("it's", "\"it's\""), ("'\"", "'\\'\"'"), ("a\\b\n\u{1}", "'a\\\\b\\n\\x01'")]
        {
            assert_eq!(quoted(text), expected);
        }
    }
}
