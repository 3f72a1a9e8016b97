//! One message as text: JSON-RPC 2.0 (<https://www.jsonrpc.org/specification>) without batches.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Error codes: those of JSON-RPC 2.0, then our own.
pub mod code {
    /// The text is not JSON, or not a message.
    pub const INVALID_REQUEST: i32 = -32600;
    /// The other side does not know the method: it is older, or lacks that part.
    pub const UNKNOWN_METHOD: i32 = -32601;
    /// The parameters do not fit the method.
    pub const INVALID_PARAMS: i32 = -32602;
    /// The other side failed.
    pub const INTERNAL: i32 = -32603;
    /// The other side has too many requests of ours under way.
    pub const BUSY: i32 = -32001;
    /// The request was understood and is refused; `reason` says why.
    pub const REFUSED: i32 = -32002;
}

/// Why a request failed, as the other side tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// One of [`code`].
    pub code: i32,
    /// For people: what happened, to what, what to do next.
    pub message: String,
    /// For programs: a short stable word.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "data")]
    pub reason: Option<String>,
}

impl RpcError {
    /// An error without a reason word.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), reason: None }
    }

    /// A refusal with its reason word.
    pub fn refused(reason: &str, message: impl Into<String>) -> Self {
        Self { code: code::REFUSED, message: message.into(), reason: Some(reason.to_owned()) }
    }

    /// The answer to a method that is not known here.
    pub fn unknown_method(method: &str) -> Self {
        let shown: String = method.chars().take(80).collect();
        Self::new(code::UNKNOWN_METHOD, format!("method {shown:?} is not known here"))
    }
}

/// One message.
#[derive(Debug)]
pub enum Message {
    /// Wants an answer.
    Request {
        /// Chosen by the sender; the answer repeats it.
        id: u64,
        /// Which method.
        method: String,
        /// Its parameters, not yet parsed.
        params: Box<RawValue>,
    },
    /// Wants none.
    Notice {
        /// Which method.
        method: String,
        /// Its parameters, not yet parsed.
        params: Box<RawValue>,
    },
    /// Answers the request of that id.
    Answer {
        /// The request's id.
        id: u64,
        /// The answer, not yet parsed, or why there is none.
        result: Result<Box<RawValue>, RpcError>,
    },
}

/// All fields that any message may have; unknown ones are tolerated.
#[derive(Deserialize)]
struct Read<'a> {
    id: Option<u64>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<RpcError>,
}

#[derive(Serialize)]
struct Write<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RpcError>,
}

impl Message {
    /// Reads one message.
    pub fn parse(text: &str) -> Result<Self, RpcError> {
        let invalid = |problem: String| RpcError::new(code::INVALID_REQUEST, problem);
        let read: Read<'_> = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let params = || read.params.map_or_else(null, ToOwned::to_owned);
        match (read.method, read.id, read.result, read.error) {
            (Some(method), Some(id), None, None) => Ok(Self::Request { id, method, params: params() }),
            (Some(method), None, None, None) => Ok(Self::Notice { method, params: params() }),
            (None, Some(id), None, Some(error)) => Ok(Self::Answer { id, result: Err(error) }),
            (None, Some(id), result, None) => {
                Ok(Self::Answer { id, result: Ok(result.map_or_else(null, ToOwned::to_owned)) })
            }
            _ => Err(invalid("a message has a method, or an id with a result or an error".to_owned())),
        }
    }

    /// The text of the message.
    pub fn to_text(&self) -> String {
        let mut write =
            Write { jsonrpc: "2.0", id: None, method: None, params: None, result: None, error: None };
        match self {
            Self::Request { id, method, params } => {
                write.id = Some(*id);
                write.method = Some(method);
                write.params = Some(params);
            }
            Self::Notice { method, params } => {
                write.method = Some(method);
                write.params = Some(params);
            }
            Self::Answer { id, result } => {
                write.id = Some(*id);
                match result {
                    Ok(result) => write.result = Some(result),
                    Err(error) => write.error = Some(error),
                }
            }
        }
        serde_json::to_string(&write).expect("strings, numbers and JSON always make JSON")
    }
}

/// JSON's `null`.
pub(super) fn null() -> Box<RawValue> {
    RawValue::from_string("null".to_owned()).expect("null is JSON")
}
