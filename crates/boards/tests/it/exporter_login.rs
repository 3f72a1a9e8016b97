//! Signing in for a hub with our own client, at a real provider; and the file of tokens, which not-my-board's own programs
//! read and write too.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nave_boards::node::dialect::connection::{HttpClient, HubClient};
use nave_boards::node::dialect::export::{Export, Patience};
use nave_boards::node::dialect::login::Login;
use nave_boards::node::dialect::tokens::{TokenSource, TokenStore};
use nave_boards::node::dialect::turns::Turns;
use nave_core::clock::Clock;
use nave_link::random::Random;
use nave_testkit::need;
use nave_testkit::wait::PATIENCE;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::client::get;
use crate::exporter::open;
use crate::python::{Farm, is_ready};

/// What our own programs need of a farm.
struct Client<'a> {
    farm: &'a Farm,
    hub: HubClient,
    store: TokenStore,
}

impl<'a> Client<'a> {
    fn of(farm: &'a Farm) -> anyhow::Result<Self> {
        let http = HttpClient::new(&[farm.hub.path().join("cert/hub-cert.pem"), farm.provider.ca()])?;
        let hub = HubClient::new(&format!("https://localhost:{}", farm.hub.address().port()), http)?;
        Ok(Self { farm, hub, store: TokenStore::new(farm.tokens()) })
    }

    fn tokens(&self, command: Option<&str>, clock: Clock) -> TokenSource {
        TokenSource::new(self.hub.clone(), command.map(str::to_owned), self.store.clone(), clock)
    }

    /// Signs Ada in; what her token says.
    async fn sign_in(&self) -> anyhow::Result<Map<String, Value>> {
        let login = Login::begin(self.hub.clone(), self.store.clone(), &Random::system()).await?;
        let back = self.farm.provider.browser()?.sign_in(&login.url().parse()?, "ada").await?;
        let path = format!("{}?{}", back.path(), back.query().unwrap_or_default());
        let answer = get(&self.farm.hub, "127.0.0.1", &path).await?;
        ensure!(answer.ends_with("Continue in not-my-board CLI"), "{answer}");
        Ok(tokio::time::timeout(PATIENCE, login.finish(&Clock::system())).await??)
    }

    /// Exports a place with these tokens until the hub has taken it, or not.
    async fn exports(&self, tokens: TokenSource) -> anyhow::Result<()> {
        let (exporter, mut place) = open(&[]).await?;
        "ours".clone_into(&mut place.name);
        let turns = Turns::new(Arc::new(exporter), &place, Clock::system(), "/nowhere/commands".into());
        let export = Export::new(self.hub.clone(), place.to_json(), turns, tokens, Patience::default());
        let stop = CancellationToken::new();
        let ran = export.run(stop.clone(), |_| stop.cancel());
        Ok(tokio::time::timeout(PATIENCE, ran).await??)
    }
}

fn in_two_hours() -> Clock {
    Clock::manual(OffsetDateTime::from(std::time::UNIX_EPOCH) + Duration::from_hours(2) + since_epoch())
}

fn since_epoch() -> Duration {
    (Clock::system().now() - OffsetDateTime::UNIX_EPOCH).unsigned_abs()
}

#[tokio::test]
async fn our_own_sign_in_lets_our_exporter_in_and_pythons() -> anyhow::Result<()> {
    if !need("oidc") || !need("not-my-board") || !need("netns") {
        return Ok(());
    }
    let farm = Farm::start().await?;
    let client = Client::of(&farm)?;
    let none = client.exports(client.tokens(None, Clock::system())).await.unwrap_err().to_string();
    ensure!(none.contains("Login required: run `nave not-my-board login https://localhost:"), "{none}");
    let claims = client.sign_in().await?;
    ensure!(claims["sub"] == "ada", "{claims:?}");
    client.exports(client.tokens(None, Clock::system())).await?;
    let mut pythons = farm.program("export", &[], &["bench.toml"])?;
    is_ready(&mut pythons).await?;

    // Commands print tokens as well; what the hub says is put into them.
    std::fs::write(farm.home.path().join("token"), farm.token()?)?;
    let print = format!("test ${{client_id}} = nave && cat {}", farm.home.path().join("token").display());
    client.exports(client.tokens(Some(&print), Clock::system())).await?;
    let failed =
        client.exports(client.tokens(Some("exit 3"), Clock::system())).await.unwrap_err().to_string();
    ensure!(failed.contains("'exit 3' exited with 3"), "{failed}");
    Ok(())
}

#[tokio::test]
async fn tokens_that_have_ended_are_fetched_anew() -> anyhow::Result<()> {
    if !need("oidc") || !need("not-my-board") || !need("netns") {
        return Ok(());
    }
    let mut farm = Farm::start().await?;
    Client::of(&farm)?.sign_in().await?;
    let first = farm.token()?;
    let same = Client::of(&farm)?.tokens(None, Clock::system()).id_token().await?;
    ensure!(same.expose_secret() == first, "a good token was thrown away");
    // Made within one second, two tokens may be the same.
    farm.provider.change(json!({ "ttl": { "IdToken": 1800 } })).await?;
    let fresh = Client::of(&farm)?.tokens(None, in_two_hours()).id_token().await?;
    ensure!(fresh.expose_secret() != first, "nothing was fetched");
    ensure!(fresh.expose_secret() == farm.token()?, "what was fetched is not kept");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(farm.tokens())?);
    ensure!(mode & 0o777 == 0o600, "the tokens can be read by others: {mode:o}");

    // Two that need one at once do not use one refresh token twice, which ends the sign-in.
    let client = Client::of(&farm)?;
    let (one, two) = (client.tokens(None, in_two_hours()), client.tokens(None, in_two_hours()));
    let (one, two) = tokio::join!(one.id_token(), two.id_token());
    one?;
    two?;
    // The provider does not know the sign-in any more.
    let store: Value = serde_json::from_slice(&std::fs::read(farm.tokens())?)?;
    let hub = store.as_object().and_then(|hubs| hubs.keys().next()).context("a hub")?.clone();
    let spoiled = json!({ hub: { "id": first, "refresh": "no such token" } });
    std::fs::write(farm.tokens(), spoiled.to_string())?;
    let ended = client.tokens(None, in_two_hours()).id_token().await.unwrap_err().to_string();
    ensure!(ended.starts_with("Login required") && ended.contains("invalid_grant"), "{ended}");
    std::fs::write(farm.tokens(), "[not json")?;
    let broken = client.tokens(None, Clock::system()).id_token().await.unwrap_err().to_string();
    ensure!(broken.contains("holds no tokens of not-my-board"), "{broken}");

    // Nor does a forged token sign anybody in.
    std::fs::remove_file(farm.tokens())?;
    farm.provider.change(json!({ "forge": { "otherKey": true, "claims": {} } })).await?;
    let forged = Client::of(&farm)?.sign_in().await.unwrap_err().to_string();
    ensure!(forged.contains("cannot be used"), "{forged}");
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_told_and_a_hub_without_sign_in_says_so() -> anyhow::Result<()> {
    let hub = crate::client::farm(crate::client::OPEN).await?;
    let http = HttpClient::new(&[hub.path().join("cert/hub-cert.pem")])?;
    let address = format!("https://localhost:{}", hub.address().port());
    let folder = tempfile::tempdir()?;
    let store = TokenStore::new(folder.path().join("tokens.json"));
    let begun = Login::begin(HubClient::new(&address, http)?, store, &Random::system()).await;
    let told = begun.err().context("a sign-in was begun")?.to_string();
    ensure!(told.contains("needs no sign-in"), "{told}");
    let strange = HttpClient::new(&[])?;
    let untrusted = HubClient::new(&address, strange)?.places().await.unwrap_err().to_string();
    ensure!(untrusted.contains("--cacert"), "{untrusted}");
    Ok(())
}
