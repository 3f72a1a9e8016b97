//! Everything odd that was ever said to a hub of not-my-board 0.13.0, with what it answered.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::client::{Client, OPEN, body, farm, get, without_traceback};

const RECORDED: &str = include_str!("../golden/not_my_board_probes.jsonl");

/// What this hub answers otherwise, and why.
const OTHERWISE: [(&str, &str); 1] = [(
    "same state twice",
    "two sign-ins of one state get in each other's way there, and one fails when the other is taken back",
)];

/// A Python literal of bytes with the escapes that occur.
fn bytes(literal: &str) -> Vec<u8> {
    let inner = literal.strip_prefix("b'").and_then(|rest| rest.strip_suffix('\'')).unwrap();
    inner
        .replace("\\xff", "\u{0}")
        .replace("\\xfe", "\u{1}")
        .bytes()
        .map(|b| match b {
            0 => 0xff,
            1 => 0xfe,
            b => b,
        })
        .collect()
}

/// Whatever is answered until a last request is; in no particular order, since requests overlap.
async fn answers(client: &mut Client, expected: usize) -> anyhow::Result<Vec<String>> {
    client.send(&json!({ "id": "the last one", "method": "get_reservations" })).await?;
    let (mut got, mut last) = (Vec::new(), false);
    while !last || got.len() < expected {
        let answer = client.next().await?;
        if answer["id"] == "the last one" { last = true } else { got.push(answer.to_string()) }
    }
    got.sort();
    Ok(got)
}

#[tokio::test]
async fn odd_messages_are_answered_as_they_were() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut compared = 0;
    for line in RECORDED.lines() {
        let row: Value = serde_json::from_str(line)?;
        let case = row["case"].as_str().unwrap();
        let sent = row["sent"].as_array().unwrap();
        // The rest is about other things than messages.
        if case == "15 MiB message" {
            break;
        }
        let mut client = Client::connect(&hub, "10.77.0.3").await?;
        for message in sent {
            match message {
                Value::String(literal) => client.send_bytes(bytes(literal)).await?,
                message if case.starts_with("text frame") => client.send_text(message).await?,
                message => client.send(message).await?,
            }
        }
        let expected = row["got"].as_array().unwrap();
        let mut expected: Vec<String> =
            expected.iter().map(|answer| without_traceback(answer.clone()).to_string()).collect();
        expected.sort();
        if OTHERWISE.iter().any(|(known, _)| *known == case) {
            continue;
        }
        let got = answers(&mut client, expected.len()).await.with_context(|| case.to_owned())?;
        assert_eq!(got, expected, "{case}");
        compared += 1;
    }
    assert_eq!(compared, 68);
    Ok(())
}

#[tokio::test]
async fn large_messages_are_taken_and_larger_ones_refused() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let padded = |size: usize| {
        let part = json!({ "compatible": ["c".repeat(size)] });
        json!({ "id": 1, "method": "register_place", "params": [{ "name": "x", "port": 1, "parts": [part] }] })
    };
    let mut client = Client::connect(&hub, "10.77.0.3").await?;
    client.send(&padded(15 << 20)).await?;
    assert_eq!(client.next().await?["result"], 1);
    let mut client = Client::connect(&hub, "10.77.0.3").await?;
    // The hub may be gone before all of it was sent.
    let _ = client.send(&padded(17 << 20)).await;
    let closed = client.next().await.unwrap_err().to_string();
    assert!(closed.contains("Size") && closed.contains("message too big"), "{closed}");
    Ok(())
}

#[tokio::test]
async fn handshakes() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    for path in ["/ws/", "/wsx", "/api/v1/places"] {
        assert!(Client::try_connect(&hub, "10.77.0.3", path).await?.is_err(), "{path}");
    }
    assert!(Client::try_connect(&hub, "10.77.0.3", "/ws?a=b").await?.is_ok());
    let plain = get(&hub, "10.77.0.3", "/ws").await?;
    assert!(plain.starts_with("HTTP/1.1 404") && plain.ends_with("\r\n\r\nPage not found"), "{plain}");
    let mut client = Client::connect(&hub, "6.6.6.6").await?;
    client.register("probe").await?;
    let places = body(&get(&hub, "10.77.0.3", "/api/v1/places?x=y").await?)?;
    assert_eq!(places["places"][0]["host"], "6.6.6.6");
    Ok(())
}
