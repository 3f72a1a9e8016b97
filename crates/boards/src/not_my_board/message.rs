//! JSON-RPC 2.0 as not-my-board speaks it: which messages count, and as what. Nothing here waits or sends.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// The codes of errors.
pub(crate) mod code {
    pub(crate) const INVALID_REQUEST: i64 = -32600;
    pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
    pub(crate) const INTERNAL: i64 = -32603;
}

/// What a request is called by its sender: a text, a whole number, or (in Python, where it is one) a truth value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Id(Value);

impl Id {
    fn of(value: &Value) -> Option<Self> {
        let is_id = match value {
            Value::String(_) | Value::Bool(_) => true,
            Value::Number(number) => !number.is_f64(),
            _ => false,
        };
        is_id.then(|| Self(value.clone()))
    }

    /// The same for the same id, and different for different ones.
    pub(crate) fn key(&self) -> String {
        self.0.to_string()
    }
}

/// The arguments of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Params {
    List(Vec<Value>),
    Map(Map<String, Value>),
}

/// Why a call to the other side failed, or what it is told about its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: i64,
    pub(crate) message: String,
}

impl Failure {
    /// What a method raised.
    pub(crate) fn raised(message: impl Into<String>) -> Self {
        Self { code: code::INTERNAL, message: message.into() }
    }

    /// There is no such method.
    pub(crate) fn no_method() -> Self {
        Self { code: code::METHOD_NOT_FOUND, message: "Method not found".to_owned() }
    }
}

/// A message from the other side.
#[derive(Debug, PartialEq)]
pub(crate) enum Incoming {
    /// It wants something; without an id it wants no answer.
    Request { id: Option<Id>, method: String, params: Params },
    /// It wanted something that cannot be understood.
    Invalid(Id),
    /// The answer to a call.
    Answer { id: u64, result: Result<Value, Failure> },
    /// Nothing that can be answered; why, for the log.
    Ignored(&'static str),
}

impl Incoming {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
            return Self::Ignored("it is not JSON");
        };
        let Value::Object(mut message) = value else { return Self::Ignored("it is no object") };
        let id = match message.get("id") {
            None | Some(Value::Null) => None,
            Some(value) => match Id::of(value) {
                Some(id) => Some(id),
                None => return Self::Ignored("its id is no text and no whole number"),
            },
        };
        match message.remove("method") {
            None | Some(Value::Null) => Self::answer(id, &mut message),
            Some(Value::String(method)) => match message.remove("params") {
                None => Self::Request { id, method, params: Params::List(Vec::new()) },
                Some(Value::Array(list)) => Self::Request { id, method, params: Params::List(list) },
                Some(Value::Object(map)) => Self::Request { id, method, params: Params::Map(map) },
                Some(_) => Self::invalid(id),
            },
            Some(_) => Self::invalid(id),
        }
    }

    fn invalid(id: Option<Id>) -> Self {
        id.map_or(Self::Ignored("it is no request, and has no id"), Self::Invalid)
    }

    fn answer(id: Option<Id>, message: &mut Map<String, Value>) -> Self {
        let Some(id) = id.and_then(|id| id.0.as_u64()) else {
            return Self::Ignored("it answers nothing that was asked");
        };
        let malformed = || Failure::raised("the other side's answer cannot be understood");
        let result =
            match (message.remove("error").filter(|error| !is_empty(error)), message.remove("result")) {
                (Some(error), _) => Err(failure(&error).unwrap_or_else(malformed)),
                (None, Some(result)) => Ok(result),
                (None, None) => Err(malformed()),
            };
        Self::Answer { id, result }
    }
}

/// What Python takes for no error.
fn is_empty(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(true) => false,
    }
}

/// The words of an error, with the other side's traceback below, as Python programs pass it on.
fn failure(error: &Value) -> Option<Failure> {
    let (code, message) = (error.get("code")?.as_i64()?, error.get("message")?.as_str()?);
    let traceback = error.get("data").and_then(|data| data.get("traceback")).and_then(Value::as_str);
    let message = match traceback {
        None => message.to_owned(),
        Some(traceback) => {
            let lines = traceback.trim_end().lines();
            let indented: Vec<String> = lines
                .map(|line| if line.trim().is_empty() { String::new() } else { format!("    {line}") })
                .collect();
            format!("{message}\n{}", indented.join("\n"))
        }
    };
    Some(Failure { code, message })
}

/// A request; without an id, a notice.
pub(crate) fn request(id: Option<u64>, method: &str, params: &Value) -> Vec<u8> {
    let message = match id {
        Some(id) => json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }),
        None => json!({ "jsonrpc": "2.0", "method": method, "params": params }),
    };
    message.to_string().into_bytes()
}

/// An answer.
pub(crate) fn answer(id: &Id, result: Result<&RawValue, &Failure>) -> Vec<u8> {
    match result {
        Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.0).into_bytes(),
        Err(Failure { code, message }) => {
            let error = json!({ "code": code, "message": message });
            json!({ "jsonrpc": "2.0", "id": id.0, "error": error }).to_string().into_bytes()
        }
    }
}

/// The answer to what cannot be understood.
pub(crate) fn invalid_request(id: &Id) -> Vec<u8> {
    let failure = Failure { code: code::INVALID_REQUEST, message: "Invalid Request".to_owned() };
    answer(id, Err(&failure))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tracebacks_are_passed_on_as_python_does() {
        let error = json!({ "code": -32603, "message": "no", "data": { "traceback": "one\n\n  two\n" } });
        assert_eq!(failure(&error).unwrap().message, "no\n    one\n\n      two");
        assert_eq!(failure(&json!({ "code": 1, "message": "x" })).unwrap().message, "x");
        assert_eq!(failure(&json!({ "code": "1", "message": "x" })), None);
    }

    proptest! {
        #[test]
        fn nothing_that_comes_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Incoming::parse(&bytes);
        }

        #[test]
        fn an_answer_has_the_id_of_its_request(id in any::<i64>()) {
            let text = format!("{{\"id\":{id},\"method\":\"m\"}}");
            let Incoming::Request { id: Some(parsed), .. } = Incoming::parse(text.as_bytes()) else {
                return Err(TestCaseError::fail("a request"));
            };
            let answer: Value = serde_json::from_slice(&answer(&parsed, Ok(RawValue::NULL))).unwrap();
            prop_assert_eq!(&answer["id"], &json!(id));
        }
    }
}
