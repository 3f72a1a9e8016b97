//! Socket.IO's packets, protocol 5: what stands in one message of Engine.IO. Binary packets are refused, since no client of
//! the dialect sends any.
//!
//! <https://github.com/socketio/socket.io-protocol>

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::engine::{BadPacket, Text};

/// The namespace that is not written.
const ROOT: &str = "/";
/// The longest name of a namespace or an event, in bytes.
const LONGEST_NAME: usize = 256;
/// Events that Socket.IO keeps for itself; its clients cannot send them.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// A packet from a client.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) namespace: &'a str,
    pub(super) content: Content,
}

/// What it is about.
#[derive(Debug)]
pub(super) enum Content {
    /// The client wants to join; what it shows for that.
    Connect(Map<String, Value>),
    /// It leaves the namespace.
    Disconnect,
    /// Something happened, or is asked where there is a number for the answer.
    Event { name: String, payload: Option<Box<RawValue>>, ack: Option<u64> },
    /// The answer to what the hub asked with this number.
    Ack { id: u64, payload: Option<Box<RawValue>> },
}

impl<'a> Packet<'a> {
    /// Reads one packet.
    pub(super) fn parse(text: &'a str) -> Result<Self, BadPacket> {
        let mut chars = text.chars();
        let kind = chars.next().ok_or(BadPacket("a message is empty"))?;
        if !('0'..='3').contains(&kind) {
            return Err(BadPacket(match kind {
                '4' => "only a hub refuses",
                '5' | '6' => "binary packets are not served",
                _ => "a message has an unknown type",
            }));
        }
        let (namespace, rest) = split_namespace(chars.as_str())?;
        let (id, rest) = split_id(rest)?;
        let content = match (kind, id) {
            ('0', None) => Content::Connect(read_auth(rest)?),
            ('1', None) if rest.is_empty() => Content::Disconnect,
            ('2', ack) => {
                let Named(name, payload) = serde_json::from_str(rest)
                    .map_err(|_| BadPacket("an event is not an array that begins with its name"))?;
                if name.len() > LONGEST_NAME || RESERVED.contains(&&*name) {
                    return Err(BadPacket("an event has a name that none may have"));
                }
                Content::Event { name: name.into_owned(), payload, ack }
            }
            ('3', Some(id)) => {
                let Arguments(payload) =
                    serde_json::from_str(rest).map_err(|_| BadPacket("an answer is not an array"))?;
                Content::Ack { id, payload }
            }
            _ => return Err(BadPacket("a message has a number, or data, where none may be, or lacks one")),
        };
        Ok(Self { namespace, content })
    }
}

/// The namespace, and what follows it.
fn split_namespace(text: &str) -> Result<(&str, &str), BadPacket> {
    if !text.starts_with('/') {
        return Ok((ROOT, text));
    }
    let (namespace, rest) = text.split_once(',').unwrap_or((text, ""));
    if namespace.len() > LONGEST_NAME {
        return Err(BadPacket("the name of a namespace is too long"));
    }
    Ok((namespace, rest))
}

/// The number of a request or its answer, and what follows it.
fn split_id(text: &str) -> Result<(Option<u64>, &str), BadPacket> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Ok((None, rest));
    }
    let id = digits.parse().map_err(|_| BadPacket("the number of a request is too large"))?;
    Ok((Some(id), rest))
}

fn read_auth(text: &str) -> Result<Map<String, Value>, BadPacket> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|_| BadPacket("what a client shows for joining is not a JSON object"))
}

/// `["name", payload, …]`; what follows the payload is dropped, as nobody sends it.
struct Named<'a>(Cow<'a, str>, Option<Box<RawValue>>);

/// `[payload, …]`
struct Arguments(Option<Box<RawValue>>);

impl<'de> Deserialize<'de> for Named<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Named<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array that begins with an event's name")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut parts: S) -> Result<Self::Value, S::Error> {
                let name = parts.next_element::<Name<'de>>()?;
                let Name(name) = name.ok_or_else(|| serde::de::Error::invalid_length(0, &self))?;
                let payload = parts.next_element()?;
                while parts.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Named(name, payload))
            }
        }
        from.deserialize_seq(Parts)
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Arguments;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut parts: S) -> Result<Self::Value, S::Error> {
                let payload = parts.next_element()?;
                while parts.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Arguments(payload))
            }
        }
        from.deserialize_seq(Parts)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A namespace as a packet begins with it.
fn begin(kind: char, namespace: &str, room: usize) -> String {
    let mut text = String::with_capacity(namespace.len() + room + 4);
    text.push('4');
    text.push(kind);
    if namespace != ROOT {
        text.push_str(namespace);
        text.push(',');
    }
    text
}

/// The client is let in.
pub(super) fn connected(namespace: &str, sid: &str) -> Text {
    let mut text = begin('0', namespace, sid.len() + 10);
    // Writing into a string cannot fail.
    let _ = write!(text, "{}", json!({ "sid": sid }));
    text.into()
}

/// It is put out of a namespace.
pub(super) fn disconnected(namespace: &str) -> Text {
    begin('1', namespace, 0).into()
}

/// It is refused, for good.
pub(super) fn refused(namespace: &str, message: &str, details: Option<&Value>) -> Text {
    let mut reason = json!({ "message": message });
    if let Some(details) = details {
        reason["data"] = details.clone();
    }
    let mut text = begin('4', namespace, message.len() + 20);
    let _ = write!(text, "{reason}");
    text.into()
}

/// An event, or a request where there is a number.
pub(super) fn event(namespace: &str, ack: Option<u64>, name: &str, payload: &RawValue) -> Text {
    let mut text = begin('2', namespace, name.len() + payload.get().len() + 26);
    if let Some(id) = ack {
        let _ = write!(text, "{id}");
    }
    let _ = write!(text, "[{},{payload}]", Value::from(name));
    text.into()
}

/// The answer to a request.
pub(super) fn answer(namespace: &str, id: u64, payload: &RawValue) -> Text {
    let mut text = begin('3', namespace, payload.get().len() + 22);
    let _ = write!(text, "{id}[{payload}]");
    text.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(text: &Text) -> &str {
        std::str::from_utf8(text.as_bytes()).unwrap()
    }

    /// What a packet is read as, in one line.
    fn read(text: &str) -> String {
        match Packet::parse(text) {
            Ok(Packet { namespace, content }) => format!("{namespace} {content:?}"),
            Err(bad) => bad.to_string(),
        }
    }

    #[test]
    fn packets_as_runners_send_them() {
        assert_eq!(read(r#"0/naisys,{"hostName":"BOX"}"#), r#"/naisys Connect({"hostName": String("BOX")})"#);
        assert_eq!(read("0"), "/ Connect({})");
        assert_eq!(read("0//naisys,"), "//naisys Connect({})");
        assert_eq!(read("1/naisys,"), "/naisys Disconnect");
        assert_eq!(
            read(r#"2/naisys,["heartbeat",{"a":[1, 2]}]"#),
            r#"/naisys Event { name: "heartbeat", payload: Some(RawValue({"a":[1, 2]})), ack: None }"#
        );
        assert_eq!(
            read(r#"2/naisys,12["users_changed"]"#),
            r#"/naisys Event { name: "users_changed", payload: None, ack: Some(12) }"#
        );
        assert_eq!(
            read(r#"20["a\u0062",null,"more",{}]"#),
            r#"/ Event { name: "ab", payload: Some(RawValue(null)), ack: Some(0) }"#
        );
        assert_eq!(read("3/naisys,7[true]"), "/naisys Ack { id: 7, payload: Some(RawValue(true)) }");
        assert_eq!(read("37[]"), "/ Ack { id: 7, payload: None }");
    }

    #[test]
    fn what_is_no_packet() {
        let deep = format!("0{}", "{\"a\":".repeat(1000));
        let long = format!("2[\"{}\"]", "x".repeat(300));
        let far = format!("0/{},", "x".repeat(300));
        let bad = [
            "",
            "x",
            "4/naisys,{}",
            "51-[\"a\"]",
            "61-0[]",
            "0[]",
            "0null",
            "0{",
            "05{}",
            "1/naisys,{}",
            "11",
            "2",
            "2[]",
            "2{}",
            "2[1]",
            "2[null,1]",
            "2[\"a\"",
            "2[\"a\"]]",
            "2[\"connect\"]",
            "2[\"disconnect\",1]",
            "299999999999999999999[\"a\"]",
            "3[]",
            "3/naisys,[1]",
            "31{}",
            "31",
            "2/naisys",
            "2/naisys,",
            "7",
            &deep,
            &long,
            &far,
        ];
        for text in bad {
            assert!(Packet::parse(text).is_err(), "{text:?} is read as {}", read(text));
        }
    }

    #[test]
    fn packets_as_runners_expect_them() {
        let payload = RawValue::from_string(r#"{"success":true}"#.to_owned()).unwrap();
        assert_eq!(said(&connected("/naisys", "x1")), r#"40/naisys,{"sid":"x1"}"#);
        assert_eq!(said(&connected("/", "x1")), r#"40{"sid":"x1"}"#);
        assert_eq!(said(&disconnected("/naisys")), "41/naisys,");
        assert_eq!(
            said(&refused("/naisys", "Invalid access key", None)),
            r#"44/naisys,{"message":"Invalid access key"}"#
        );
        assert_eq!(
            said(&refused("/", "no", Some(&json!({"fatal": true})))),
            r#"44{"data":{"fatal":true},"message":"no"}"#
        );
        assert_eq!(
            said(&event("/naisys", None, "cost_control", &payload)),
            r#"42/naisys,["cost_control",{"success":true}]"#
        );
        assert_eq!(
            said(&event("/", Some(3), "agent_peek", &payload)),
            r#"423["agent_peek",{"success":true}]"#
        );
        assert_eq!(said(&answer("/naisys", 0, &payload)), r#"43/naisys,0[{"success":true}]"#);
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC*") {
            let _ = Packet::parse(&text);
        }

        #[test]
        fn no_near_miss_breaks_the_reader(text in r#"[0-6](/[a-z]{0,3},?)?[0-9]{0,22}[\[\]{}"a:,0-9\\]{0,20}"#) {
            let _ = Packet::parse(&text);
        }

        #[test]
        fn an_event_is_read_as_it_was_written(
            name in "[^\"]{1,40}",
            number in any::<Option<u64>>(),
            words in "\\PC{0,40}",
            root in any::<bool>(),
        ) {
            prop_assume!(!RESERVED.contains(&&*name));
            let namespace = if root { "/" } else { "/naisys" };
            let payload = serde_json::value::to_raw_value(&json!({ "words": words })).unwrap();
            let written = event(namespace, number, &name, &payload);
            let packet = Packet::parse(&said(&written)[1..]).unwrap();
            prop_assert_eq!(packet.namespace, namespace);
            let Content::Event { name: read, payload: told, ack } = packet.content else { panic!("not an event") };
            prop_assert_eq!((read, ack), (name, number));
            let told = told.unwrap();
            prop_assert_eq!(told.get(), payload.get());
        }
    }
}
