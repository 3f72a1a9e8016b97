//! What monitoring sees, and from where.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::Context as _;
use nave_core::hub::config::{HubConfig, ListenerTable};
use nave_link::certificate;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::node::TestNode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A PROXY protocol header, version 2, that speaks of a client at 203.0.113.9.
const FROM_OUTSIDE: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\xc0\x00\x02\x01\xc7\x38\x01\xbb";

/// Asks in HTTP/1.1 over TLS; `before` goes first, in plain.
pub async fn get(hub: &TestHub, before: &[u8], path: &str, headers: &str) -> anyhow::Result<String> {
    send(hub, before, "GET", path, headers).await
}

/// A request without a body.
pub async fn send(
    hub: &TestHub,
    before: &[u8],
    method: &str,
    path: &str,
    headers: &str,
) -> anyhow::Result<String> {
    let mut tcp = TcpStream::connect(hub.address()).await?;
    tcp.write_all(before).await?;
    let name = rustls::pki_types::ServerName::try_from("hub")?;
    let mut io = TlsConnector::from(certificate::by_key()).connect(name, tcp).await?;
    let request = format!("{method} {path} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n{headers}\r\n");
    io.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    io.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn metrics_are_for_loopback_or_for_the_token() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let token = folder.path().join("token");
    std::fs::write(&token, "a-long-metrics-token\n")?;
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600))?;

    let hub = TestHub::start().await?;
    let _node = TestNode::join(&hub, "lab", &[], &[]).await?.connect().await?;
    let seen = get(&hub, b"", "/metrics", "").await?;
    assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
    for line in [
        "nave_nodes 1",
        "nave_nodes_connected 1",
        "nave_mails_waiting 0",
        "nave_mails_failed 0",
        "nave_build_info{version=",
        "nave_job_failures{job=",
    ] {
        assert!(seen.contains(line), "{line}: {seen}");
    }

    let mut config = HubConfig::default();
    config.metrics.token_file = Some(token);
    config.listener = vec![ListenerTable {
        name: None,
        address: ([127, 0, 0, 1], 0).into(),
        identity: "self".to_owned(),
        proxy_from: vec!["127.0.0.1".parse().map_err(anyhow::Error::msg)?],
    }];
    let hub = TestHub::with(TestHubSetup { config, ..TestHubSetup::default() }).await?;
    let refused = get(&hub, FROM_OUTSIDE, "/metrics", "").await?;
    assert!(refused.starts_with("HTTP/1.1 401") && refused.contains("metrics.token_file"), "{refused}");
    let wrong = get(&hub, FROM_OUTSIDE, "/metrics", "authorization: Bearer a-long-metrics-tokeN\r\n").await?;
    assert!(wrong.starts_with("HTTP/1.1 401"), "{wrong}");
    let right = get(&hub, FROM_OUTSIDE, "/metrics", "authorization: Bearer a-long-metrics-token\r\n").await?;
    assert!(right.starts_with("HTTP/1.1 200"), "{right}");
    Ok(())
}

#[tokio::test]
async fn health_and_errors_are_told_in_one_way() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    for path in ["/healthz", "/readyz"] {
        let answer = get(&hub, b"", path, "").await?;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("nave-request-id:"), "{answer}");
    }
    for (path, status, code) in [
        ("/nave/v1/no/such/thing", "404", "not_found"),
        ("/nave/v1/nodes", "401", "unauthenticated"),
        ("/link", "400", "invalid"),
    ] {
        let answer = get(&hub, b"", path, "").await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{path}: {answer}");
    }
    let page = get(&hub, b"", "/no/such/page", "").await?;
    assert!(page.starts_with("HTTP/1.1 404") && page.contains("content-type: text/html"), "{page}");
    let (_, id) = page.split_once("nave-request-id: ").context("the answer names the request")?;
    let id = id.lines().next().unwrap_or_default();
    assert!(page.matches(id).count() > 1, "the page itself names it too: {page}");
    let spent = get(&hub, b"", "/invitation/used-already", "").await?;
    assert!(spent.starts_with("HTTP/1.1 403") && spent.contains("This link is not good"), "{spent}");
    Ok(())
}
