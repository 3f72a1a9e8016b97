//! Signing in to not-my-board with an account of this hub, step by step: what is wrong with a request, with what is shown
//! for a token, with whoever shows it; what a token is worth; what becomes of keys in time.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nave_boards::hub::Boards;
use nave_boards::hub::config::BoardsConfig;
use nave_boards::node::dialect::connection::{HttpClient, HubClient};
use nave_boards::node::dialect::login::Login;
use nave_boards::node::dialect::tokens::TokenStore;
use nave_core::api::{EventFilter, IdTokenRequest, NewApiToken, Role};
use nave_core::clock::Clock;
use nave_core::hub::access::NodeRoles;
use nave_core::hub::op::{Actor, Op};
use nave_core::hub::people::idp::{self, Refusal};
use nave_core::hub::people::oidc::unverified;
use nave_core::hub::people::{self, devices, tokens};
use nave_core::hub::{event, nodes};
use nave_link::random::Random;
use nave_testkit::hub::TestHub;
use nave_testkit::node::TestNode;
use nave_testkit::person::TestPerson;
use nave_testkit::wait::PATIENCE;
use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::auth::{Provider, bring};
use crate::client::{Client, body, get, post, setup};

const SETTINGS: &str =
    "grace = \"0s\"\n[not_my_board]\nenabled = true\npeople = true\nproxies = [\"127.0.0.1\"]";
/// What a program keeps to itself, until it shows it with the code.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// What an importer hears that wants nothing which is there.
const NONE: &str = "None of the candidates exist anymore";

struct Door {
    hub: TestHub,
    clock: Clock,
    grace: TestPerson,
    op: Op,
    /// Waits for the answer to a sign-in.
    program: Client,
}

impl Door {
    async fn open() -> anyhow::Result<Self> {
        let clock = Clock::manual(OffsetDateTime::from_unix_timestamp(1_900_000_000)?);
        let boards = Boards::new(BoardsConfig::read(&SETTINGS.parse()?)?)?;
        let mut setup = setup(&boards);
        setup.clock = Some(clock.clone());
        let hub = TestHub::with(setup).await?;
        let grace = TestPerson::invite(&hub, "Grace", &[(Role::Operator, "*")]).await?;
        let op = grace.op(&hub).await?;
        let mut program = Client::connect(&hub, "10.77.0.3").await?;
        program.begin("get_authentication_response", json!(["some-state"])).await?;
        ensure!(program.next().await?["method"] == "oidc_callback_registered");
        Ok(Self { hub, clock, grace, op, program })
    }

    /// What not-my-board asks, with these parameters in the place of its own.
    fn request(&self, instead: &[(&str, &str)]) -> String {
        let hash = digest::digest(&digest::SHA256, VERIFIER.as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(hash);
        let callback = self.callback();
        let own = [
            ("scope", "openid profile email offline_access"),
            ("response_type", "code"),
            ("client_id", "not-my-board"),
            ("redirect_uri", callback.as_str()),
            ("state", "some-state"),
            ("nonce", "some-nonce"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        let kept = own.into_iter().filter(|(name, _)| instead.iter().all(|(other, _)| other != name));
        Serializer::new(String::new()).extend_pairs(kept).extend_pairs(instead).finish()
    }

    fn callback(&self) -> String {
        format!("{}/oidc-callback", self.hub.url())
    }

    /// A code for what Grace agreed to.
    async fn code(&self) -> anyhow::Result<String> {
        let Ok(url) = idp::agree(&self.op, self.hub.hub(), &self.request(&[])).await else {
            bail!("it was refused")
        };
        let url: Url = url.parse()?;
        ensure!(url.as_str().starts_with(&self.callback()), "{url}");
        let code = url.query_pairs().find(|(name, _)| name == "code").context("a code")?.1.into_owned();
        Ok(code)
    }

    async fn token(&self, form: &[(&str, &str)]) -> anyhow::Result<Value> {
        body(&post(&self.hub, "10.77.0.3", "/oidc/token", form).await?)
    }

    async fn exchange(&self, code: &str, verifier: &str) -> anyhow::Result<Value> {
        let callback = self.callback();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback.as_str()),
            ("client_id", "not-my-board"),
            ("code_verifier", verifier),
        ];
        self.token(&form).await
    }

    async fn refresh(&self, token: &str) -> anyhow::Result<Value> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "not-my-board")];
        self.token(&form).await
    }

    async fn programs(&self) -> anyhow::Result<usize> {
        Ok(idp::list(&self.op, self.hub.hub(), &self.grace.id).await?.len())
    }
}

fn text(answer: &Value, name: &str) -> anyhow::Result<String> {
    answer[name].as_str().map(str::to_owned).with_context(|| format!("{name} of {answer}"))
}

#[tokio::test]
async fn nobody_is_asked_about_what_nobody_asked_for() -> anyhow::Result<()> {
    let door = Door::open().await?;
    let look = |instead: &[(&str, &str)]| idp::look(&door.op, door.hub.hub(), &door.request(instead));
    let asked = look(&[]).map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    assert_eq!(asked.source.to_string(), "10.77.0.3");

    let elsewhere = format!("{}x", door.callback());
    for (name, value, problem) in [
        ("client_id", "other", "client_id"),
        ("redirect_uri", "https://evil.example/", "must be"),
        ("redirect_uri", elsewhere.as_str(), "must be"),
        ("redirect_uri", "", "must be"),
        ("state", "another-state", "begin it again"),
    ] {
        match look(&[(name, value)]) {
            Err(Refusal::Here(error)) => assert!(error.message().contains(problem), "{name}: {error}"),
            other => panic!("{name}={value}: {other:?}"),
        }
    }
    let long = "x".repeat(1000);
    for (name, value, code) in [
        ("response_type", "token", "unsupported_response_type"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "!", "invalid_request"),
        ("code_challenge", "AAAA", "invalid_request"),
        ("nonce", long.as_str(), "invalid_request"),
        ("scope", "profile", "invalid_scope"),
        ("prompt", "none", "interaction_required"),
        ("request_uri", "https://evil.example/", "request_not_supported"),
        ("response_mode", "fragment", "invalid_request"),
    ] {
        match look(&[(name, value)]) {
            Err(Refusal::Back(url)) => {
                let said = format!("{}?error={code}&", door.callback());
                assert!(url.starts_with(&said) && url.ends_with("&state=some-state"), "{name}: {url}");
            }
            other => panic!("{name}={value}: {other:?}"),
        }
    }
    // What stands twice is not known, and only somebody in front of a browser agrees.
    let twice = format!("{}&client_id=not-my-board", door.request(&[]));
    assert!(matches!(idp::look(&door.op, door.hub.hub(), &twice), Err(Refusal::Here(_))));
    for op in [door.hub.operator(), nave_testkit::person::nobody(&door.hub)] {
        assert!(matches!(idp::look(&op, door.hub.hub(), &door.request(&[])), Err(Refusal::Here(_))));
    }
    Ok(())
}

#[tokio::test]
async fn a_program_hears_what_was_decided() -> anyhow::Result<()> {
    let mut door = Door::open().await?;
    let Ok(url) = idp::decline(&door.op, door.hub.hub(), &door.request(&[])) else { bail!("it was refused") };
    let url: Url = url.parse()?;
    let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    let answer = get(&door.hub, "10.77.0.9", &path).await?;
    ensure!(answer.ends_with("Continue in not-my-board CLI"), "{answer}");
    let heard = door.program.next().await?;
    assert_eq!(heard["result"]["error"], "access_denied", "{heard}");
    // Then it waits no more, and nobody can agree any more.
    let request = door.request(&[]);
    let Door { hub, op, program, .. } = door;
    drop(program);
    let gone =
        || async { matches!(idp::look(&op, hub.hub(), &request), Err(Refusal::Here(_))).then_some(()) };
    nave_testkit::wait::until("nobody waits", gone).await
}

#[tokio::test]
async fn a_code_is_good_once_for_whoever_asked_for_it() -> anyhow::Result<()> {
    let door = Door::open().await?;
    let callback = door.callback();
    // Another program, another way back, no proof, a wrong one, too late.
    let code = door.code().await?;
    let with = |client: &'static str, back: String, code: String| {
        let door = &door;
        async move {
            let form = [
                ("grant_type", "authorization_code"),
                ("code", code.as_str()),
                ("redirect_uri", back.as_str()),
                ("client_id", client),
                ("code_verifier", VERIFIER),
            ];
            anyhow::Ok(door.token(&form).await?["error"].clone())
        }
    };
    assert_eq!(with("other", callback.clone(), code.clone()).await?, "invalid_client");
    assert_eq!(with("not-my-board", format!("{callback}/"), code.clone()).await?, "invalid_grant");
    assert_eq!(door.token(&[("client_id", "not-my-board")]).await?["error"], "unsupported_grant_type");
    let twice = [("client_id", "not-my-board"), ("client_id", "not-my-board")];
    assert_eq!(door.token(&twice).await?["error"], "invalid_request");
    assert_eq!(door.exchange(&code, "").await?["error"], "invalid_grant");
    assert_eq!(door.exchange(&code, VERIFIER).await?["error"], "invalid_grant", "it was shown without proof");
    let late = door.code().await?;
    door.clock.advance(Duration::from_secs(61));
    assert_eq!(door.exchange(&late, VERIFIER).await?["error"], "invalid_grant");
    assert_eq!(door.programs().await?, 0);

    let code = door.code().await?;
    let given = door.exchange(&code, VERIFIER).await?;
    let claims = unverified(&text(&given, "id_token")?).context("claims")?;
    assert_eq!((&claims["nonce"], &claims["aud"]), (&json!("some-nonce"), &json!("not-my-board")));
    assert_eq!((&claims["name"], &claims["sub"]), (&json!("Grace"), &json!(door.grace.id)));
    assert_eq!((given["token_type"].clone(), given["expires_in"].clone()), (json!("Bearer"), json!(3600)));
    assert_eq!(door.programs().await?, 1);
    // A code that is shown twice was stolen: what came by it ends.
    assert_eq!(door.exchange(&code, VERIFIER).await?["error"], "invalid_grant");
    assert_eq!(door.refresh(&text(&given, "refresh_token")?).await?["error"], "invalid_grant");
    assert_eq!(door.programs().await?, 0);
    let filter = EventFilter { action: Some("program.misused".to_owned()), ..EventFilter::default() };
    let told = event::list(&door.hub.operator(), &door.hub.hub().store, &filter).await?;
    assert_eq!(told.len(), 2, "{told:?}");
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_is_good_once_for_as_long_as_its_person_is() -> anyhow::Result<()> {
    let door = Door::open().await?;
    let first = door.exchange(&door.code().await?, VERIFIER).await?;
    let second = door.refresh(&text(&first, "refresh_token")?).await?;
    let claims = unverified(&text(&second, "id_token")?).context("claims")?;
    assert!(!claims.contains_key("nonce"), "{claims:?}");
    // A code is no refresh token, nor is what was never one.
    for wrong in [door.code().await?, "nonsense".to_owned()] {
        assert_eq!(door.refresh(&wrong).await?["error"], "invalid_grant");
    }
    people::disable(&door.hub.operator(), door.hub.hub(), &door.grace.email).await?;
    let refused = door.refresh(&text(&second, "refresh_token")?).await?;
    assert!(text(&refused, "error_description")?.contains("not in use"), "{refused}");
    people::enable(&door.hub.operator(), door.hub.hub(), &door.grace.email).await?;
    let third = door.refresh(&text(&second, "refresh_token")?).await?;
    assert_eq!(door.refresh(&text(&second, "refresh_token")?).await?["error"], "invalid_grant");
    assert_eq!(door.refresh(&text(&third, "refresh_token")?).await?["error"], "invalid_grant");

    let left = door.exchange(&door.code().await?, VERIFIER).await?;
    door.clock.advance(Duration::from_hours(31 * 24));
    assert_eq!(door.refresh(&text(&left, "refresh_token")?).await?["error"], "invalid_grant");
    Ok(())
}

#[tokio::test]
async fn keys_are_replaced_and_what_they_signed_stays_good() -> anyhow::Result<()> {
    let door = Door::open().await?;
    let published = async || -> anyhow::Result<Vec<String>> {
        let keys = body(&get(&door.hub, "10.77.0.9", "/oidc/jwks").await?)?;
        let keys = keys["keys"].as_array().context("keys")?.clone();
        ensure!(keys.iter().all(|key| key["alg"] == "RS256" && key.get("d").is_none()), "{keys:?}");
        Ok(keys.iter().filter_map(|key| key["kid"].as_str().map(str::to_owned)).collect())
    };
    let about = body(&get(&door.hub, "10.77.0.9", "/oidc/.well-known/openid-configuration").await?)?;
    assert_eq!(about["issuer"], format!("{}/oidc", door.hub.url()));
    let info = body(&get(&door.hub, "10.77.0.9", "/api/v1/auth-info").await?)?;
    assert_eq!(info, json!({ "issuer": about["issuer"], "client_id": "not-my-board" }));
    let first = published().await?;
    assert_eq!(first.len(), 1);
    // Half an hour before it is replaced, it signs once more.
    door.clock.advance(Duration::from_mins(30 * 24 * 60 - 30));
    let given = door.exchange(&door.code().await?, VERIFIER).await?;
    door.clock.advance(Duration::from_mins(31));
    let second = published().await?;
    assert!(second.len() == 2 && second[1] == first[0], "{second:?}");
    let token = text(&given, "id_token")?;
    let mut client = Client::connect(&door.hub, "10.77.0.4").await?;
    client.begin("get_reservations", json!({})).await?;
    bring(&mut client, token).await?;
    let answer = client.next().await?;
    assert_eq!(answer["result"]["reservations"], json!([]), "{answer}");
    // Nothing that it signed is good any more.
    door.clock.advance(Duration::from_hours(3 * 24));
    assert_eq!(published().await?, [second[0].clone()]);
    Ok(())
}

/// Who may do what with a token, and until when.
#[tokio::test]
async fn a_token_is_worth_what_it_came_about_by() -> anyhow::Result<()> {
    let door = Door::open().await?;
    let hub = door.hub.hub();
    let asked = IdTokenRequest { program: "not-my-board".to_owned() };
    let may = async |token: &str, method: &str| -> anyhow::Result<(Client, String)> {
        let mut client = Client::connect(&door.hub, "10.77.0.4").await?;
        let params =
            if method == "reserve" { json!([[]]) } else { json!([{ "name": "p", "port": 1, "parts": [] }]) };
        client.begin(method, params).await?;
        bring(&mut client, token.to_owned()).await?;
        let answer = client.next().await?;
        let words = answer["error"]["message"].as_str().unwrap_or("done").to_owned();
        Ok((client, words))
    };
    let denied = |role: &str| format!("Permission denied: requires role \"{role}\"");

    // A browser's session and the hub's operator get none; there is none for anything else.
    for op in [door.op.clone(), door.hub.operator()] {
        ensure!(idp::issue(&op, hub, &asked).await.is_err());
    }
    let other = IdTokenRequest { program: "other".to_owned() };
    let unknown = idp::issue(&door.op, hub, &other).await.err().context("there is no such program")?;
    ensure!(unknown.message().contains("people = true"), "{unknown}");

    // An API token for looking only, of somebody who may more.
    let new = |role| NewApiToken { name: "ci".to_owned(), role, scope: "*".to_owned(), ttl_seconds: 7200 };
    for (role, expected) in [(Role::Viewer, denied("importer")), (Role::Operator, NONE.to_owned())] {
        let made = tokens::make(&door.op, hub, &new(role)).await?;
        let person = tokens::find(hub, &made.secret).await?.context("a person")?;
        let op = Op { actor: Actor::Person(person), ..door.op.clone() };
        let token = idp::issue(&op, hub, &asked).await?.token;
        let (mut client, told) = may(&token, "reserve").await?;
        assert_eq!(told, expected);
        tokens::end(&door.op, hub, &made.token.id).await?;
        if role == Role::Operator {
            let closed = client.next().await.unwrap_err().to_string();
            assert!(closed.contains("Normal"), "{closed}");
        }
        assert!(may(&token, "reserve").await?.1.contains("has ended"), "it outlives what it came about by");
    }

    // Nodes, each with its role; gone with the node.
    for (name, role, method, expected) in [
        ("ci", "importer", "reserve", NONE.to_owned()),
        ("ci2", "importer", "register_place", denied("exporter")),
        ("lab", "exporter", "register_place", "done".to_owned()),
        ("lab2", "exporter", "reserve", denied("importer")),
    ] {
        TestNode::join(&door.hub, name, &[], &[]).await?;
        let change = nave_core::api::NodeChange { roles: Some(vec![role.to_owned()]), ..Default::default() };
        nodes::change(&door.hub.operator(), hub, name, &change).await?;
        let id = nodes::show(&door.hub.operator(), hub, name).await?.id.parse()?;
        let actor = Actor::Node { id, name: name.to_owned(), roles: NodeRoles::read(&[role.to_owned()]) };
        let op = Op { actor, ..door.op.clone() };
        let token = idp::issue(&op, hub, &asked).await?.token;
        let claims = unverified(&token).context("claims")?;
        assert_eq!((&claims["name"], &claims["roles"]), (&json!(name), &json!([role])));
        let (mut client, told) = may(&token, method).await?;
        assert_eq!(told, expected, "{name}");
        if told == "done" || told == NONE {
            nodes::revoke(&door.hub.operator(), hub, name).await?;
            let closed = client.next().await.unwrap_err().to_string();
            assert!(closed.contains("Normal"), "{closed}");
            assert!(may(&token, method).await?.1.contains("has ended"));
        }
    }

    // A person who may less from now on, and a program that is signed out.
    let given = door.exchange(&door.code().await?, VERIFIER).await?;
    let token = text(&given, "id_token")?;
    let (mut client, told) = may(&token, "reserve").await?;
    assert_eq!(told, NONE);
    let viewer = vec![nave_core::api::RoleHeld { role: Role::Viewer, scope: "*".to_owned() }];
    let change = nave_core::api::PersonChange { roles: Some(viewer), ..Default::default() };
    people::change(&door.hub.operator(), hub, &door.grace.email, &change).await?;
    let closed = client.next().await.unwrap_err().to_string();
    assert!(closed.contains("Normal"), "{closed}");
    assert_eq!(may(&token, "reserve").await?.1, denied("importer"));
    let mine = idp::list(&door.op, hub, &door.grace.id).await?;
    assert_eq!(mine.len(), 1);
    let stranger =
        TestPerson::invite(&door.hub, "Eve", &[(Role::Operator, "*")]).await?.op(&door.hub).await?;
    ensure!(idp::end(&stranger, hub, &mine[0].id).await.is_err());
    idp::end(&door.op, hub, &mine[0].id).await?;
    assert!(may(&token, "reserve").await?.1.contains("has ended"));
    assert_eq!(door.refresh(&text(&given, "refresh_token")?).await?["error"], "invalid_grant");
    ensure!(devices::list(&door.op, hub, &door.grace.id).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn where_it_is_off_there_is_no_provider() -> anyhow::Result<()> {
    let hub = crate::client::farm(crate::client::OPEN).await?;
    for path in ["/oidc/.well-known/openid-configuration", "/oidc/jwks"] {
        let answer = get(&hub, "10.77.0.9", path).await?;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }
    let answer = post(&hub, "10.77.0.9", "/oidc/token", &[]).await?;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    Ok(())
}

/// As jobs of GitHub Actions do, whose provider says for which repository they run.
#[tokio::test]
async fn jobs_bring_tokens_of_their_own_provider() -> anyhow::Result<()> {
    let provider = Provider::for_client("not-my-board").await?;
    let url = &provider.url;
    let settings = format!(
        "{SETTINGS}\n[[not_my_board.auth.permissions]]\nclaims = {{ iss = \"{url}\", repository = \"example/firmware\" }}\nroles = [\"importer\"]\n[not_my_board.auth.issuers.\"{url}\"]\nuser_name_formats = [\"${{repository}}\"]"
    );
    let hub = crate::client::farm(&settings).await?;
    let info = body(&get(&hub, "10.77.0.9", "/api/v1/auth-info").await?)?;
    assert_eq!(info["client_id"], "not-my-board");
    assert_eq!(info["issuer"], format!("{}/oidc", hub.url()), "people sign in here all the same");
    for (repository, expected) in
        [("example/firmware", NONE), ("evil/firmware", "Permission denied: requires role \"importer\"")]
    {
        let claims = json!({
            "sub": format!("repo:{repository}:ref:refs/heads/main"),
            "repository": repository,
            "repository_owner": repository.split('/').next(),
        });
        let mut job = Client::connect(&hub, "10.77.0.4").await?;
        job.begin("reserve", json!([[]])).await?;
        bring(&mut job, provider.token(300, &claims)).await?;
        let answer = job.next().await?;
        assert_eq!(answer["error"]["message"], expected, "{repository}");
    }
    // Nobody else vouches for people of this hub.
    let own =
        json!({ "iss": format!("{}/oidc", hub.url()), "sub": "x", "sid": "node:x", "aud": "not-my-board" });
    let mut job = Client::connect(&hub, "10.77.0.4").await?;
    job.begin("reserve", json!([[]])).await?;
    bring(&mut job, provider.token(300, &own)).await?;
    let told = job.next().await?["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains("none of this hub's"), "{told}");
    Ok(())
}

/// Our own client of not-my-board's protocol signs in as theirs does.
#[tokio::test]
async fn our_own_client_signs_in_here_too() -> anyhow::Result<()> {
    let hub = crate::client::farm("[not_my_board]\nenabled = true\npeople = true").await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Operator, "*")]).await?.op(&hub).await?;
    let http = HttpClient::new(&[hub.path().join("cert/hub-cert.pem")])?;
    let client = HubClient::new(&hub.url().to_string(), http)?;
    let folder = tempfile::tempdir()?;
    let store = TokenStore::new(folder.path().join("tokens.json"));
    let login = Login::begin(client, store, &Random::system()).await?;
    let asked: Url = login.url().parse()?;
    let Ok(back) = idp::agree(&grace, hub.hub(), asked.query().unwrap_or_default()).await else {
        bail!("it was refused")
    };
    let back: Url = back.parse()?;
    let path = format!("{}?{}", back.path(), back.query().unwrap_or_default());
    get(&hub, "127.0.0.1", &path).await?;
    let claims = tokio::time::timeout(PATIENCE, login.finish(&Clock::system())).await??;
    assert_eq!(claims["email"], "grace@example.org");
    Ok(())
}
