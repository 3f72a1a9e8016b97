//! Signing in at a real provider: what the protocol part of `people::oidc` believes and what it does not.

mod forged;
mod later;
mod signing_in;
mod unreachable;

use anyhow::Context as _;
use nave_core::clock::Clock;
use nave_core::hub::people::oidc::{Callback, OidcError, OidcTable, Pending, Provider, SignedIn};
use nave_link::random::Random;
use nave_testkit::oidc::{Browser, OidcProvider};
use url::Url;

const REDIRECT: &str = "https://hub.example.org/oidc/callback/lab";
/// The rules of most tests.
const RULES: &str = r#"
    name = "{given_name} {family_name}"
    [[roles]]
    claim = "groups"
    value = "hub-admins"
    role = "admin"
    [[roles]]
    claim = "realm.roles"
    value = "staff"
    role = "viewer"
    scope = "node:lab"
"#;

/// A hub's side of signing in at one provider, with a clock that stands still.
struct HubSide {
    provider: Provider,
    clock: Clock,
}

impl HubSide {
    fn new(table: OidcTable) -> anyhow::Result<Self> {
        table.check("lab").map_err(anyhow::Error::msg)?;
        Ok(Self { provider: Provider::new("lab", table)?, clock: Clock::manual(Clock::system().now()) })
    }

    async fn begin(&self) -> Result<(Url, Pending), OidcError> {
        let redirect = REDIRECT.parse().expect("a constant address");
        let begun = self.provider.begin(&redirect, &Random::system(), &self.clock).await?;
        Ok((begun.url, begun.pending))
    }

    async fn finish(&self, pending: Pending, back: &Url) -> Result<SignedIn, OidcError> {
        self.provider.finish(pending, &callback(back), &self.clock).await
    }

    /// From the first page to the last.
    async fn sign_in(
        &self,
        browser: &mut Browser,
        login: &str,
    ) -> anyhow::Result<Result<SignedIn, OidcError>> {
        let (url, pending) = self.begin().await?;
        let back = browser.sign_in(&url, login).await?;
        Ok(self.finish(pending, &back).await)
    }
}

async fn provider() -> anyhow::Result<OidcProvider> {
    OidcProvider::start(REDIRECT).await
}

fn callback(back: &Url) -> Callback {
    assert!(back.as_str().starts_with(REDIRECT), "{back}");
    Callback::parse(back.query().unwrap_or_default()).expect("a provider's answer can be read")
}

/// What was kept between leaving and coming back, as it is stored.
fn stored(pending: &Pending) -> anyhow::Result<String> {
    serde_json::to_string(pending).context("what is pending is JSON")
}
