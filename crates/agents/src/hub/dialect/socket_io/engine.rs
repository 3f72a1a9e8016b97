//! Engine.IO's packets, protocol 4: what stands in one WebSocket message, and several of it in one polling body. What a
//! message means is Socket.IO's (`packet`).
//!
//! <https://github.com/socketio/engine.io-protocol>

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

/// Stands between the packets of one polling body.
pub(super) const SEPARATOR: char = '\x1e';

/// A packet as it goes to a client, of either layer; it begins with Engine.IO's type. Cloning it shares its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text(Bytes);

impl Text {
    pub(super) const CLOSE: Self = Self(Bytes::from_static(b"1"));
    pub(super) const PING: Self = Self(Bytes::from_static(b"2"));
    pub(super) const PROBE_ANSWER: Self = Self(Bytes::from_static(b"3probe"));
    pub(super) const NOOP: Self = Self(Bytes::from_static(b"6"));

    /// The first packet of a connection.
    pub(super) fn open(sid: &str, upgrades: &[&str], ping: (Duration, Duration), longest: usize) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let terms = json!({
            "sid": sid,
            "upgrades": upgrades,
            "pingInterval": millis(ping.0),
            "pingTimeout": millis(ping.1),
            "maxPayload": longest,
        });
        format!("0{terms}").into()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// A packet from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FromClient<'a> {
    /// It leaves.
    Close,
    /// It tries whether a WebSocket passes.
    Probe,
    /// It is there.
    Pong,
    /// It moves to the WebSocket that it tried.
    Upgrade,
    /// Nothing.
    Noop,
    /// Something for the layer above.
    Message(&'a str),
}

/// What a client sent is no packet; the text says what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPacket(pub(super) &'static str);

impl<'a> FromClient<'a> {
    /// Reads one packet.
    pub(super) fn parse(text: &'a str) -> Result<Self, BadPacket> {
        let mut chars = text.chars();
        let kind = chars.next().ok_or(BadPacket("a packet is empty"))?;
        match (kind, chars.as_str()) {
            ('1', _) => Ok(Self::Close),
            ('2', "probe") => Ok(Self::Probe),
            ('2', _) => Err(BadPacket("the hub pings, and not its clients")),
            ('3', _) => Ok(Self::Pong),
            ('4', message) => Ok(Self::Message(message)),
            ('5', _) => Ok(Self::Upgrade),
            ('6', _) => Ok(Self::Noop),
            ('0', _) => Err(BadPacket("only a hub opens")),
            ('b', _) => Err(BadPacket("binary packets are not served")),
            _ => Err(BadPacket("a packet has an unknown type")),
        }
    }
}

/// The packets as one polling body.
pub(super) fn join(packets: &[Text]) -> Vec<u8> {
    let length = packets.iter().map(Text::len).sum::<usize>() + packets.len();
    let mut body = Vec::with_capacity(length);
    for packet in packets {
        if !body.is_empty() {
            body.push(SEPARATOR as u8);
        }
        body.extend_from_slice(packet.as_bytes());
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_packet() {
        let read = |text| FromClient::parse(text).map_err(|bad| bad.to_string());
        assert_eq!(read("40/naisys,{}"), Ok(FromClient::Message("0/naisys,{}")));
        assert_eq!(read("4"), Ok(FromClient::Message("")));
        assert_eq!(read("2probe"), Ok(FromClient::Probe));
        assert_eq!(
            (read("1"), read("3"), read("3probe"), read("5"), read("6")),
            (
                Ok(FromClient::Close),
                Ok(FromClient::Pong),
                Ok(FromClient::Pong),
                Ok(FromClient::Upgrade),
                Ok(FromClient::Noop)
            )
        );
        for bad in ["", "0{}", "2", "2prob", "7", "bAAEC", "é", "\0"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_first_packet_and_a_body_of_several() {
        let ping = (Duration::from_secs(25), Duration::from_secs(20));
        let open = Text::open("abc", &["websocket"], ping, 1_000_000);
        assert_eq!(
            std::str::from_utf8(open.as_bytes()).unwrap(),
            r#"0{"maxPayload":1000000,"pingInterval":25000,"pingTimeout":20000,"sid":"abc","upgrades":["websocket"]}"#
        );
        assert_eq!(join(&[Text::PING, Text::from("4é".to_owned()), Text::CLOSE]), "2\x1e4é\x1e1".as_bytes());
        assert_eq!(join(&[]), b"");
    }
}
