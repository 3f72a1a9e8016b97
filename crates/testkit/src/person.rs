//! A person of a test's hub: comes in by a real link, sets up a real second factor, and has a session.

use std::sync::Arc;

use nave_core::api::{NewPerson, Role, RoleHeld};
use nave_core::hub::http::cookie;
use nave_core::hub::op::{Actor, Op};
use nave_core::hub::people::links::{self, Answer};
use nave_core::hub::people::second_factor;
use nave_core::hub::people::secret::Secret;
use nave_core::hub::people::sessions::{self, Browser, Found, Stage};
use nave_core::hub::people::sign_in::{self, SignedIn};
use secrecy::SecretString;

use crate::hub::TestHub;

/// The password of every test person.
pub const PASSWORD: &str = "violet umbrella";

/// Somebody with an account and a session.
pub struct TestPerson {
    /// The address by which it signs in.
    pub email: String,
    /// Its id.
    pub id: String,
    /// What its authenticator app holds: base32.
    pub seed: String,
    /// Its recovery codes.
    pub recovery_codes: Vec<String>,
    /// What its browser's cookie holds.
    pub secret: Secret,
}

impl TestPerson {
    /// The first administrator of a hub, who comes by the printed link.
    pub async fn first_admin(hub: &TestHub) -> anyhow::Result<Self> {
        let link = links::setup(&hub.operator(), hub.hub()).await?;
        let link = link.ok_or_else(|| anyhow::anyhow!("the hub has an administrator already"))?;
        Self::accept(hub, &link, "ada@example.org", "Ada").await
    }

    /// Somebody whom the hub's operator invites, with roles such as `(Role::Viewer, "*")`.
    pub async fn invite(hub: &TestHub, name: &str, roles: &[(Role, &str)]) -> anyhow::Result<Self> {
        let email = format!("{}@example.org", name.to_lowercase());
        let roles =
            roles.iter().map(|(role, scope)| RoleHeld { role: *role, scope: (*scope).to_owned() }).collect();
        let new = NewPerson { email: email.clone(), name: name.to_owned(), roles };
        let made = links::invite(&hub.operator(), hub.hub(), &new).await?;
        let link = made.link.ok_or_else(|| anyhow::anyhow!("the link went by mail"))?;
        Self::accept(hub, &link, &email, name).await
    }

    /// Goes through a one-time link to the end of the sign-in.
    pub async fn accept(hub: &TestHub, link: &str, email: &str, name: &str) -> anyhow::Result<Self> {
        let token = link.rsplit('/').next().unwrap_or_default();
        let answer = Answer { email: email.to_owned(), name: name.to_owned(), password: password() };
        let signed_in = links::accept(&nobody(hub), hub.hub(), token, &answer, &Browser::default()).await?;
        anyhow::ensure!(signed_in.stage == Stage::Enroll, "a second factor is wanted: {signed_in:?}");
        let found = find(hub, &signed_in.secret).await?;
        let seed = second_factor::seed(hub.hub(), &found.person).await?.text.to_string();
        let code = code(&seed, hub.hub().clock.now().unix_timestamp());
        let (signed_in, codes) =
            sign_in::enroll(&nobody(hub), hub.hub(), &found, &code, &Browser::default()).await?;
        Ok(Self {
            email: email.to_owned(),
            id: found.person.id.to_string(),
            seed,
            recovery_codes: codes.0.iter().map(|code| code.to_string()).collect(),
            secret: signed_in.secret,
        })
    }

    /// What it does by its session.
    pub async fn op(&self, hub: &TestHub) -> anyhow::Result<Op> {
        let person = find(hub, &self.secret).await?.actor();
        let person = person.ok_or_else(|| anyhow::anyhow!("the sign-in is not complete"))?;
        Ok(Op { actor: Actor::Person(person), ..nobody(hub) })
    }

    /// The value of its browser's `Cookie` header.
    pub fn cookie(&self) -> String {
        format!("{}={}", cookie::NAME, self.secret.reveal().as_str())
    }

    /// The code that its authenticator app shows after so many seconds.
    pub fn code_in(&self, hub: &TestHub, seconds: i64) -> String {
        code(&self.seed, hub.hub().clock.now().unix_timestamp() + seconds)
    }

    /// Signs in anew, up to where a code is wanted.
    pub async fn password_step(&self, hub: &TestHub) -> anyhow::Result<SignedIn> {
        let browser = Browser::default();
        Ok(sign_in::with_password(&nobody(hub), hub.hub(), &self.email, &password(), &browser).await?)
    }
}

/// Somebody whom the hub does not know.
pub fn nobody(hub: &TestHub) -> Op {
    Op { actor: Actor::Anonymous, ..hub.operator() }
}

/// The password of every test person.
pub fn password() -> SecretString {
    SecretString::from(PASSWORD.to_owned())
}

/// The session that a cookie stands for.
pub async fn find(hub: &TestHub, secret: &Secret) -> anyhow::Result<Found> {
    let hub: &Arc<_> = hub.hub();
    let found = sessions::find(hub, secret, None).await?;
    found.ok_or_else(|| anyhow::anyhow!("there is no such session"))
}

/// What an authenticator app shows for a seed at a time, in seconds since 1970.
pub fn code(seed: &str, at: i64) -> String {
    let secret = totp_rs::Secret::try_from_base32(seed).expect("the hub's seeds are base32");
    let totp = totp_rs::Builder::new()
        .with_secret(secret)
        .with_account_name("test")
        .build()
        .expect("the hub's seeds are long enough");
    totp.generate(u64::try_from(at).unwrap_or(0)).to_string()
}
