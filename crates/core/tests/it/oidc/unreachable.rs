//! Providers that are down, that come back, and that answer nonsense.

use std::time::Duration;

use nave_core::hub::people::oidc::{OidcError, OidcTable};
use nave_testkit::need;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{HubSide, provider};

#[tokio::test]
async fn a_provider_that_is_down_comes_back() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let mut provider = provider().await?;
    provider.change(json!({ "listen": false })).await?;
    let hub = HubSide::new(provider.table("")?)?;
    let error = hub.begin().await.unwrap_err();
    assert!(matches!(error, OidcError::Unreachable(_)), "{}", error.chain());
    assert!(error.to_string().ends_with("try again in a minute, or sign in another way"));

    // Nobody waits for it again at once; a little later it is asked anew.
    provider.change(json!({ "listen": true })).await?;
    assert!(matches!(hub.begin().await.unwrap_err(), OidcError::Unreachable(_)));
    hub.clock.advance(Duration::from_secs(5));
    let (url, pending) = hub.begin().await?;
    let back = provider.browser()?.sign_in(&url, "ada").await?;

    // Down while the browser comes back: the code is still good when it is up again.
    let stored = super::stored(&pending)?;
    provider.change(json!({ "listen": false })).await?;
    let error = hub.finish(pending, &back).await.unwrap_err();
    assert!(matches!(error, OidcError::Unreachable(_)), "{}", error.chain());
    provider.change(json!({ "listen": true })).await?;
    hub.clock.advance(Duration::from_secs(30));
    hub.finish(serde_json::from_str(&stored)?, &back).await?;

    // What it said before is made do with when it is old.
    provider.change(json!({ "listen": false })).await?;
    hub.clock.advance(Duration::from_hours(2));
    hub.begin().await?;
    Ok(())
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_not_believed() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let (real, other) = (provider().await?, provider().await?);
    let hub = HubSide::new(OidcTable { ca: Some(other.ca()), ..real.table("")? })?;
    let error = hub.begin().await.unwrap_err();
    assert!(matches!(error, OidcError::Unreachable(_)), "{}", error.chain());
    assert!(error.chain().contains("certificate"), "the log says why: {}", error.chain());
    let hub = HubSide::new(OidcTable { ca: None, ..real.table("")? })?;
    assert!(
        matches!(hub.begin().await.unwrap_err(), OidcError::Unreachable(_)),
        "nor one that nobody signed"
    );
    Ok(())
}

/// What a server says to everybody, whatever they ask.
async fn answering(answer: Vec<u8>) -> anyhow::Result<OidcTable> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let issuer = format!("http://{}", listener.local_addr()?);
    let answer = String::from_utf8_lossy(&answer).replace("ISSUER", &issuer).into_bytes();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    Ok(toml::from_str(&format!("issuer = {issuer:?}\nclient_id = \"nave\""))?)
}

fn ok(kind: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

const METADATA: &str = r#"{"issuer":"ISSUER","authorization_endpoint":"AUTH","token_endpoint":"ISSUER/token",
    "jwks_uri":"ISSUER/jwks","response_types_supported":["code"],"subject_types_supported":["public"],
    "id_token_signing_alg_values_supported":["RS256"],"keys":[]}"#;

#[tokio::test]
async fn nonsense_is_not_understood() -> anyhow::Result<()> {
    let long =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n\"{}\"", "x".repeat(2 << 20));
    let elsewhere = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let script = METADATA.replace("AUTH", "javascript:alert(1)");
    let plain = METADATA.replace("AUTH", "http://id.example.org/auth");
    let stranger = METADATA
        .replace("AUTH", "ISSUER/auth")
        .replace(r#""issuer":"ISSUER""#, r#""issuer":"https://id.example.org""#);
    let json =
        |text: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{text}").into_bytes();
    for (what, answer) in [
        ("no HTTP", b"\x16\x03\x01 nothing that anybody could read\r\n\r\n".to_vec()),
        ("another kind", ok("text/html", "<html>sign in to the network</html>")),
        ("no JSON", json("{\"issuer\":")),
        ("JSON of another shape", json("[1, 2, 3]")),
        ("nothing in it", json("{}")),
        ("without end", long.into_bytes()),
        ("a redirect", elsewhere.to_vec()),
        ("not found", b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec()),
        ("a page that is a script", json(&script)),
        ("a page that anybody can read", json(&plain)),
        ("another's name", json(&stranger)),
    ] {
        let error = HubSide::new(answering(answer).await?)?.begin().await.unwrap_err();
        assert!(matches!(error, OidcError::NotUnderstood(_)), "{what}: {}", error.chain());
    }
    let out_of_order = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_vec();
    let error = HubSide::new(answering(out_of_order).await?)?.begin().await.unwrap_err();
    assert!(matches!(error, OidcError::Unreachable(_)), "{}", error.chain());
    let error = HubSide::new(answering(Vec::new()).await?)?.begin().await.unwrap_err();
    assert!(matches!(error, OidcError::Unreachable(_)), "{}", error.chain());
    // The same server as a good one, to know that the others failed for what they are meant to.
    let good = json(&METADATA.replace("AUTH", "ISSUER/auth"));
    HubSide::new(answering(good).await?)?.begin().await?;
    Ok(())
}
