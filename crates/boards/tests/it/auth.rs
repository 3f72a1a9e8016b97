//! Clients that sign in: they bring tokens of a provider, when they are asked for them and again when those have ended.

use std::sync::Arc;

use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nave_core::clock::Clock;
use nave_testkit::hub::TestHub;
use nave_testkit::wait::until;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::client::{Client, body, farm, get};

/// A provider that publishes a key and signs with it whatever a test wants.
pub struct Provider {
    pub url: String,
    key: Arc<KeyPair>,
    /// Whom its tokens are for.
    client_id: &'static str,
}

impl Provider {
    async fn start() -> anyhow::Result<Self> {
        Self::for_client("farm").await
    }

    /// One that knows the farm by this name.
    pub async fn for_client(client_id: &'static str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let key = Arc::new(KeyPair::generate(KeySize::Rsa2048)?);
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = key.public_key();
        let (n, e) = (
            encoded(public.modulus().big_endian_without_leading_zero()),
            encoded(public.exponent().big_endian_without_leading_zero()),
        );
        let keys =
            json!({ "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k1", "n": n, "e": e }] });
        let about = json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "jwks_uri": format!("{url}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        tokio::spawn(async move {
            while let Ok((mut io, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let read = io.read(&mut head).await.unwrap_or_default();
                let keys_are_wanted = head[..read].starts_with(b"GET /jwks");
                let answer = if keys_are_wanted { keys.to_string() } else { about.to_string() };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                    answer.len()
                );
                io.write_all(answer.as_bytes()).await.ok();
            }
        });
        Ok(Self { url, key, client_id })
    }

    fn settings(&self) -> String {
        let url = &self.url;
        format!(
            r#"
            [not_my_board]
            enabled = true
            proxies = ["127.0.0.1"]
            [not_my_board.auth]
            issuer = "{url}"
            client_id = "farm"
            [[not_my_board.auth.permissions]]
            claims = {{ sub = "lab" }}
            roles = ["exporter"]
            [[not_my_board.auth.permissions]]
            claims = {{ groups = ["ci", "trusted"] }}
            roles = ["importer"]
            [not_my_board.auth.issuers."{url}"]
            show_claims = ["sub"]
            user_name_formats = ["${{nickname}}", "${{sub}} of the farm"]
            "#
        )
    }

    /// A token that ends so many seconds from now.
    pub fn token(&self, seconds: i64, claims: &Value) -> String {
        let now = Clock::system().now().unix_timestamp();
        let mut all = json!({ "iss": self.url, "aud": self.client_id, "iat": now, "exp": now + seconds });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let header = json!({ "alg": "RS256", "kid": "k1", "typ": "JWT" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(&all));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        self.key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Waits until the hub asks for a token, and brings this one.
pub async fn bring(client: &mut Client, token: String) -> anyhow::Result<()> {
    let asked = client.next().await?;
    assert_eq!(asked["method"], "get_id_token", "{asked}");
    client.send(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": token })).await
}

async fn refused(client: &mut Client, method: &str, params: Value, token: String) -> anyhow::Result<String> {
    client.begin(method, params).await?;
    bring(client, token).await?;
    Ok(client.next().await?["error"]["message"].as_str().unwrap_or_default().to_owned())
}

async fn exporter(hub: &TestHub, token: String) -> anyhow::Result<(Client, u64)> {
    let mut exporter = Client::connect(hub, "10.77.0.2").await?;
    let place = json!({ "name": "place", "port": 1, "parts": [] });
    exporter.begin("register_place", json!([place])).await?;
    bring(&mut exporter, token).await?;
    let id = exporter.next().await?["result"].as_u64().unwrap();
    Ok((exporter, id))
}

#[tokio::test]
async fn clients_bring_tokens_when_it_matters() -> anyhow::Result<()> {
    let provider = Provider::start().await?;
    let hub = farm(&provider.settings()).await?;
    let info = body(&get(&hub, "10.77.0.3", "/api/v1/auth-info").await?)?;
    assert_eq!(info, json!({ "issuer": provider.url, "client_id": "farm", "show_claims": ["sub"] }));
    let lab = provider.token(600, &json!({ "sub": "lab" }));
    let (mut exporter, place) = exporter(&hub, lab).await?;

    let mut agent = Client::connect(&hub, "10.77.0.3").await?;
    // Whoever is connected from there is asked who it is, before the places are told.
    let listing = get(&hub, "10.77.0.3", "/api/v1/places");
    let bringing =
        bring(&mut agent, provider.token(600, &json!({ "sub": "ann", "groups": ["trusted", "x", "ci"] })));
    let (places, brought) = tokio::join!(listing, bringing);
    brought?;
    assert_eq!(body(&places?)?["places"][0]["name"], "place");
    agent.begin("reserve", json!([[place]])).await?;
    assert_eq!(exporter.lets_in().await?, json!(["10.77.0.3"]));
    assert_eq!(agent.next().await?["result"], place);
    let who = agent.call("get_reservations", json!({})).await?.unwrap();
    assert_eq!(who["reservations"][0]["user"], "ann of the farm");

    let nowhere = get(&hub, "10.77.0.9", "/api/v1/places").await?;
    assert!(nowhere.starts_with("HTTP/1.1 403"), "{nowhere}");
    Ok(())
}

#[tokio::test]
async fn tokens_that_do_not_suffice() -> anyhow::Result<()> {
    let provider = Provider::start().await?;
    let stranger = Provider::start().await?;
    let hub = farm(&provider.settings()).await?;
    let mut client = Client::connect(&hub, "10.77.0.3").await?;
    let mut told = async |token: String| refused(&mut client, "reserve", json!([[1]]), token).await;
    let trusted = json!({ "sub": "ann", "groups": ["ci", "trusted"] });
    let foreign = told(stranger.token(600, &trusted)).await?;
    assert_eq!(foreign, format!("Unknown issuer: {}", stranger.url));
    let mut forged = stranger.token(600, &trusted);
    let honest = provider.token(600, &trusted);
    forged.replace_range(..forged.rfind('.').unwrap(), &honest[..honest.rfind('.').unwrap()]);
    assert!(told(forged).await?.contains("signature"));
    assert!(told(provider.token(-600, &trusted)).await?.contains("Signature has expired"));
    assert!(
        told(provider.token(600, &json!({ "sub": "ann", "aud": "other" })))
            .await?
            .contains("another service")
    );
    assert_eq!(told("nonsense".to_owned()).await?, "this is no ID token");
    let guest = provider.token(600, &json!({ "sub": "guest", "groups": ["guests"] }));
    let denied = "Permission denied: requires role \"importer\"";
    assert_eq!(told(guest).await?, denied);
    // From now on it is known who this is.
    assert_eq!(client.call("reserve", json!([[1]])).await?, Err(denied.to_owned()));
    let other = client.call("register_place", json!([{}])).await?;
    assert_eq!(other, Err("Permission denied: requires role \"exporter\"".to_owned()));
    Ok(())
}

#[tokio::test]
async fn who_may_not_any_more_is_sent_away_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let provider = Provider::start().await?;
    let hub = farm(&format!("grace = \"0s\"\n{}", provider.settings())).await?;
    let (mut exporter, place) = exporter(&hub, provider.token(600, &json!({ "sub": "lab" }))).await?;
    let mut agent = Client::connect(&hub, "10.77.0.3").await?;
    agent.begin("reserve", json!([[place]])).await?;
    // It has ended already, and counts for a moment more.
    let groups = json!({ "sub": "ann", "groups": ["ci", "trusted"] });
    bring(&mut agent, provider.token(-29, &groups)).await?;
    exporter.lets_in().await?;
    assert_eq!(agent.next().await?["result"], place);
    bring(&mut agent, provider.token(600, &json!({ "sub": "ann", "groups": ["guests"] }))).await?;
    let closed = agent.next().await.unwrap_err().to_string();
    assert!(closed.contains("Normal"), "{closed}");
    assert_eq!(exporter.lets_in().await?, json!([]));
    let pool = hub.hub().leases.pool("boards").unwrap();
    until("the place is free", || async { pool.held().is_empty().then_some(()) }).await?;
    Ok(())
}
