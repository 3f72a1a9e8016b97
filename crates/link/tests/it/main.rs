//! The link's protocol as other versions of it see it.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is a failure like any other")]

use nave_link::handshake::{FromHub, FromNode};
use nave_link::protocol::{StreamOpened, ToHub, ToNode};
use nave_link::rpc::Message;

/// Every released version's messages, recorded.
const RELEASED: [(&str, &str); 1] = [("1", include_str!("../frames/v1.txt"))];

fn parts(message: &str) -> (String, Box<serde_json::value::RawValue>) {
    match Message::parse(message).unwrap() {
        Message::Request { method, params, .. } | Message::Notice { method, params } => (method, params),
        Message::Answer { .. } => panic!("an answer: {message}"),
    }
}

#[test]
fn messages_of_every_released_version_stay_readable() {
    for (version, frames) in RELEASED {
        let mut methods = Vec::new();
        for line in frames.lines().filter(|line| !line.starts_with('#')) {
            let (kind, message) = line.split_once(' ').unwrap();
            let readable = match kind {
                "from-node" => serde_json::from_str::<FromNode>(message).is_ok(),
                "from-hub" => serde_json::from_str::<FromHub>(message).is_ok(),
                "to-hub" | "to-node" => {
                    let (method, params) = parts(message);
                    let known = if kind == "to-hub" {
                        ToHub::parse(&method, &params).is_ok()
                    } else {
                        ToNode::parse(&method, &params).is_ok()
                    };
                    methods.push(method);
                    known
                }
                "answer-opened" => match Message::parse(message) {
                    Ok(Message::Answer { result: Ok(result), .. }) => {
                        serde_json::from_str::<StreamOpened>(result.get()).is_ok()
                    }
                    _ => false,
                },
                "answer-refused" => {
                    matches!(Message::parse(message), Ok(Message::Answer { result: Err(_), .. }))
                }
                other => panic!("version {version} has a kind {other:?}"),
            };
            assert!(readable, "version {version}: {line}");
        }
        for method in ToHub::METHODS.iter().chain(ToNode::METHODS) {
            assert!(methods.iter().any(|recorded| recorded == method), "{method} is not recorded");
        }
    }
}
