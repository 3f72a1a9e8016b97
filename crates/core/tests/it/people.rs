//! People end to end through the services: coming in by a link, second factors, what acts for them, and its end.

use std::time::Duration;

use http::StatusCode;
use nave_core::api::{InviteRequest, NewAccessRequest, NewApiToken, NewPerson, PersonChange, Role, RoleHeld};
use nave_core::clock::Clock;
use nave_core::hub::error::Error;
use nave_core::hub::op::{Actor, Op};
use nave_core::hub::people::links::{self, Answer};
use nave_core::hub::people::sessions::{self, Browser, Stage};
use nave_core::hub::people::{self, requests, second_factor, sign_in, tokens};
use nave_core::hub::{event, identity, nodes};
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::node::TestNode;
use nave_testkit::person::{TestPerson, find, nobody, password};
use time::OffsetDateTime;

use crate::operations::get;

async fn hub_at_rest() -> anyhow::Result<(TestHub, Clock)> {
    let clock = Clock::manual(OffsetDateTime::from_unix_timestamp(1_800_000_000)?);
    let setup = TestHubSetup { clock: Some(clock.clone()), ..TestHubSetup::default() };
    Ok((TestHub::with(setup).await?, clock))
}

fn held(role: Role, scope: &str) -> Vec<RoleHeld> {
    vec![RoleHeld { role, scope: scope.to_owned() }]
}

async fn actions(hub: &TestHub) -> anyhow::Result<Vec<String>> {
    let filter = nave_core::api::EventFilter { after: Some(0), ..Default::default() };
    let events = event::list(&hub.operator(), &hub.hub().store, &filter).await?;
    Ok(events.into_iter().map(|event| format!("{} {}", event.actor, event.action)).collect())
}

#[tokio::test]
async fn the_first_administrator_comes_by_the_printed_link_once() -> anyhow::Result<()> {
    let (hub, clock) = hub_at_rest().await?;
    let old = links::setup(&hub.operator(), hub.hub()).await?.expect("there is nobody yet");
    let link = links::setup(&hub.operator(), hub.hub()).await?.expect("there is nobody yet");
    let token = |link: &str| link.rsplit('/').next().unwrap_or_default().to_owned();
    let outdated = links::open(&nobody(&hub), hub.hub(), &token(&old)).await.unwrap_err();
    assert!(matches!(outdated, Error::Forbidden(_)), "a new link takes the place of the old: {outdated}");

    let weak = Answer { email: "ada@example.org".into(), name: "Ada".into(), password: "short".into() };
    let refused = links::accept(&nobody(&hub), hub.hub(), &token(&link), &weak, &Browser::default()).await;
    assert!(refused.unwrap_err().to_string().starts_with("password: must have at least"));
    let ada = TestPerson::accept(&hub, &link, "ada@example.org", "Ada").await?;
    assert!(links::open(&nobody(&hub), hub.hub(), &token(&link)).await.is_err(), "a link is good once");
    assert!(links::setup(&hub.operator(), hub.hub()).await?.is_none(), "there is an administrator");

    let me = people::show(&ada.op(&hub).await?, hub.hub(), &ada.id).await?;
    assert_eq!((me.name.as_str(), me.second_factor, me.roles), ("Ada", true, held(Role::Admin, "*")));
    let told = actions(&hub).await?;
    for expected in ["Ada person.set_up", "Ada person.second_factor_set", "Ada person.signed_in"] {
        assert!(told.iter().any(|row| row == expected), "{expected}: {told:?}");
    }
    clock.advance(Duration::from_hours(13));
    assert!(ada.op(&hub).await.is_err(), "a session that is not used ends");
    Ok(())
}

#[tokio::test]
async fn a_code_is_good_once_and_a_recovery_code_too() -> anyhow::Result<()> {
    let (hub, clock) = hub_at_rest().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let half = ada.password_step(&hub).await?;
    assert_eq!(half.stage, Stage::Code);
    let found = find(&hub, &half.secret).await?;
    assert!(found.actor().is_none(), "half a sign-in is nobody");
    let browser = Browser::default();
    let enter = async |code: &str| sign_in::with_code(&nobody(&hub), hub.hub(), &found, code, &browser).await;
    let used = enter(&ada.code_in(&hub, 0)).await.unwrap_err();
    assert!(used.to_string().contains("was used already"), "the code that set up the factor: {used}");
    clock.advance(Duration::from_secs(30));
    let done = enter(&ada.code_in(&hub, 0)).await?;
    assert!(find(&hub, &done.secret).await?.actor().is_some());
    assert!(find(&hub, &half.secret).await.is_err(), "the half session is gone");

    let half = ada.password_step(&hub).await?;
    let found = find(&hub, &half.secret).await?;
    let typed = ada.recovery_codes[3].to_uppercase().replace('-', " ");
    let enter = async |code: &str| sign_in::with_code(&nobody(&hub), hub.hub(), &found, code, &browser).await;
    enter(&typed).await?;
    assert!(enter(&typed).await.is_err(), "a recovery code is good once");
    assert_eq!(second_factor::codes_left(&ada.op(&hub).await?, hub.hub()).await?, 9);
    Ok(())
}

#[tokio::test]
async fn nobody_learns_which_addresses_have_accounts_and_guessing_is_slowed_down() -> anyhow::Result<()> {
    let (hub, _clock) = hub_at_rest().await?;
    let _ada = TestPerson::first_admin(&hub).await?;
    let browser = Browser::default();
    let from = |last: u8| Op { source: Some([192, 0, 2, last].into()), ..nobody(&hub) };
    let enter = async |op: &Op, email: &str, password: &str| {
        sign_in::with_password(op, hub.hub(), email, &password.to_owned().into(), &browser).await
    };
    let known = enter(&from(1), "ada@example.org", "wrong wrong wrong").await.unwrap_err();
    let unknown = enter(&from(1), "nobody@example.org", "wrong wrong wrong").await.unwrap_err();
    assert_eq!(known.to_string(), unknown.to_string());
    for _ in 0..8 {
        enter(&from(1), "nobody@example.org", "x").await.unwrap_err();
    }
    let slowed = enter(&from(1), "other@example.org", "x").await.unwrap_err();
    assert!(matches!(slowed, Error::Throttled(_)), "by address: {slowed}");
    for attempt in 0..10 {
        enter(&from(10 + attempt), "ada@example.org", "x").await.unwrap_err();
    }
    let slowed = sign_in::with_password(&from(99), hub.hub(), "Ada@Example.org", &password(), &browser).await;
    assert!(matches!(slowed.unwrap_err(), Error::Throttled(_)), "by account, from wherever");
    assert_eq!(actions(&hub).await?.iter().filter(|row| row.ends_with("source.throttled")).count(), 2);
    Ok(())
}

#[tokio::test]
async fn a_role_holds_where_it_was_given() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let _lab = TestNode::join(&hub, "lab", &[], &[]).await?;
    let _desk = TestNode::join(&hub, "desk", &[], &[]).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Operator, "node:lab")]).await?;
    let op = grace.op(&hub).await?;
    let seen: Vec<String> =
        nodes::list(&op, hub.hub(), true).await?.into_iter().map(|node| node.name).collect();
    assert_eq!(seen, ["lab"]);
    let rename =
        |name: &str| nave_core::api::NodeChange { name: Some(name.to_owned()), ..Default::default() };
    nodes::change(&op, hub.hub(), "lab", &rename("lab-1")).await?;
    let hidden = nodes::change(&op, hub.hub(), "desk", &rename("mine")).await.unwrap_err();
    assert!(matches!(hidden, Error::NotFound { .. }), "what one may not see is not there: {hidden}");
    let refused = nodes::invite(&op, hub.hub(), &InviteRequest::default()).await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden(_)), "inviting concerns everything: {refused}");
    assert!(matches!(people::list(&op, hub.hub()).await.unwrap_err(), Error::Forbidden(_)));
    Ok(())
}

#[tokio::test]
async fn a_token_does_less_than_its_owner_and_ends_with_it() -> anyhow::Result<()> {
    let (hub, clock) = hub_at_rest().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Operator, "*")]).await?;
    let new = |role| NewApiToken { name: "ci".into(), role, scope: "*".into(), ttl_seconds: 3600 };
    let made = tokens::make(&grace.op(&hub).await?, hub.hub(), &new(Role::Viewer)).await?;
    let acting = tokens::find(hub.hub(), &made.secret).await?.expect("the token is good");
    let op = Op { actor: Actor::Person(acting), ..nobody(&hub) };
    nodes::list(&op, hub.hub(), false).await?;
    let refused = nodes::invite(&op, hub.hub(), &InviteRequest::default()).await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden(_)), "the owner may, the token may not: {refused}");
    let refused = tokens::make(&op, hub.hub(), &new(Role::Admin)).await.err();
    assert!(refused.is_some_and(|error| error.to_string().contains("cannot make another")));

    let mighty = tokens::make(&grace.op(&hub).await?, hub.hub(), &new(Role::Admin)).await?;
    let acting = tokens::find(hub.hub(), &mighty.secret).await?.expect("the token is good");
    let op = Op { actor: Actor::Person(acting), ..nobody(&hub) };
    assert!(people::list(&op, hub.hub()).await.is_err(), "a token adds nothing to what its owner may");

    clock.advance(Duration::from_hours(1));
    assert!(tokens::find(hub.hub(), &made.secret).await?.is_none(), "it has expired");
    let lasting = NewApiToken { ttl_seconds: 86_400, ..new(Role::Viewer) };
    let lasting = tokens::make(&grace.op(&hub).await?, hub.hub(), &lasting).await?;
    people::disable(&ada.op(&hub).await?, hub.hub(), "grace@example.org").await?;
    assert!(tokens::find(hub.hub(), &lasting.secret).await?.is_none(), "its owner is disabled");
    assert!(grace.op(&hub).await.is_err());
    assert!(tokens::find(hub.hub(), "nave_nonsense").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn the_last_administrator_stays_and_stale_changes_are_refused() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let op = ada.op(&hub).await?;
    let refused = people::disable(&op, hub.hub(), &ada.email).await.unwrap_err();
    assert!(refused.to_string().contains("last administrator"), "{refused}");
    let demote = PersonChange { roles: Some(held(Role::Viewer, "*")), ..PersonChange::default() };
    assert!(people::change(&op, hub.hub(), &ada.email, &demote).await.is_err());
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Admin, "*")]).await?;
    let seen = people::show(&op, hub.hub(), &grace.id).await?;
    let rename = |name: &str| PersonChange {
        name: Some(name.to_owned()),
        version: Some(seen.version),
        ..PersonChange::default()
    };
    people::change(&op, hub.hub(), &grace.id, &rename("Grace H.")).await?;
    let stale = people::change(&op, hub.hub(), &grace.id, &rename("Grace M. H.")).await.unwrap_err();
    assert!(matches!(stale, Error::Conflict(_)) && stale.to_string().contains("meanwhile"), "{stale}");
    people::disable(&op, hub.hub(), &grace.email).await?;
    people::enable(&op, hub.hub(), &grace.email).await?;
    Ok(())
}

#[tokio::test]
async fn a_new_password_ends_every_session_and_a_lost_phone_is_no_end() -> anyhow::Result<()> {
    let (hub, clock) = hub_at_rest().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Viewer, "*")]).await?;
    let link = links::reset(&ada.op(&hub).await?, hub.hub(), &grace.email).await?.link.expect("no mail here");
    let token = link.rsplit('/').next().unwrap_or_default();
    let answer = Answer { email: String::new(), name: String::new(), password: "another umbrella".into() };
    let half = links::accept(&nobody(&hub), hub.hub(), token, &answer, &Browser::default()).await?;
    assert_eq!(half.stage, Stage::Code, "a new password does not replace the second factor");
    assert!(grace.op(&hub).await.is_err(), "the earlier session is gone");

    second_factor::reset(&ada.op(&hub).await?, hub.hub(), &grace.email).await?;
    let (op, browser) = (nobody(&hub), Browser::default());
    let password = "another umbrella".into();
    let again = sign_in::with_password(&op, hub.hub(), &grace.email, &password, &browser).await?;
    assert_eq!(again.stage, Stage::Enroll, "a new authenticator is set up at the next sign-in");
    let late = links::reset(&ada.op(&hub).await?, hub.hub(), &grace.email).await?.link.expect("no mail here");
    clock.advance(Duration::from_hours(3));
    let late = late.rsplit('/').next().unwrap_or_default();
    assert!(links::open(&nobody(&hub), hub.hub(), late).await.is_err(), "a link ends");
    Ok(())
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_only() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Viewer, "*")]).await?;
    let own = sessions::list(&grace.op(&hub).await?, hub.hub(), &grace.id).await?;
    assert!(own.len() == 1 && own[0].current);
    let foreign = sessions::list(&grace.op(&hub).await?, hub.hub(), &ada.id).await;
    assert!(matches!(foreign.unwrap_err(), Error::Forbidden(_)));
    let adas = sessions::list(&ada.op(&hub).await?, hub.hub(), &ada.id).await?;
    let foreign = sessions::end(&grace.op(&hub).await?, hub.hub(), &adas[0].id).await.unwrap_err();
    assert!(matches!(foreign, Error::NotFound { .. }), "another's session is not there: {foreign}");
    sessions::end(&ada.op(&hub).await?, hub.hub(), &own[0].id).await?;
    assert!(grace.op(&hub).await.is_err());
    Ok(())
}

#[tokio::test]
async fn asking_for_access_is_stored_once_and_answered_alike() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let ask = async |email: &str| {
        let request =
            NewAccessRequest { email: email.to_owned(), name: "Lin".into(), message: "for the lab".into() };
        requests::ask(&nobody(&hub), hub.hub(), &request).await
    };
    let first = ask("lin@example.org").await?.message;
    assert_eq!(ask("LIN@example.org").await?.message, first, "asked again");
    assert_eq!(ask("ada@example.org").await?.message, first, "has an account");
    let op = ada.op(&hub).await?;
    let open = requests::list(&op, hub.hub(), "open").await?;
    assert_eq!(open.len(), 1);
    let made = requests::accept(&op, hub.hub(), &open[0].id, &held(Role::Viewer, "*")).await?;
    assert!(made.link.is_some_and(|link| link.contains("/invitation/")));
    let again = requests::decline(&op, hub.hub(), &open[0].id).await.unwrap_err();
    assert!(again.to_string().contains("decided already"), "{again}");
    assert!(
        links::invite(&op, hub.hub(), &NewPerson { email: "x".into(), ..NewPerson::default() })
            .await
            .is_err()
    );
    Ok(())
}

#[tokio::test]
async fn cookies_act_on_the_hubs_own_pages_only_and_tokens_anywhere() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let cookie = format!("cookie: {}\r\n", ada.cookie());
    let answer = get(&hub, b"", "/nave/v1/me", &cookie).await?;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("ada@example.org"), "{answer}");
    let post = |headers: String| {
        let request = format!("content-length: 0\r\n{headers}");
        let hub = &hub;
        async move { crate::operations::send(hub, b"", "POST", "/nave/v1/invites", &request).await }
    };
    let foreign = post(format!("{cookie}sec-fetch-site: cross-site\r\n")).await?;
    assert!(foreign.starts_with("HTTP/1.1 403") && foreign.contains("own pages"), "{foreign}");
    let silent = post(cookie.clone()).await?;
    assert!(silent.starts_with("HTTP/1.1 403"), "{silent}");
    let own = post(format!("{cookie}sec-fetch-site: same-origin\r\n")).await?;
    assert!(own.starts_with("HTTP/1.1 200"), "{own}");
    let new = NewApiToken { name: "ci".into(), role: Role::Operator, scope: "*".into(), ttl_seconds: 3600 };
    let token = tokens::make(&ada.op(&hub).await?, hub.hub(), &new).await?.secret;
    let by_token = post(format!("authorization: Bearer {token}\r\n")).await?;
    assert!(by_token.starts_with("HTTP/1.1 200"), "{by_token}");
    let wrong = post("authorization: Bearer nave_x\r\n".to_owned()).await?;
    assert!(wrong.starts_with(&format!("HTTP/1.1 {}", StatusCode::UNAUTHORIZED.as_u16())), "{wrong}");
    Ok(())
}

#[tokio::test]
async fn whoever_looks_at_the_access_key_is_noted_and_whoever_may_not_sees_nothing() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Operator, "*")]).await?;
    let refused = identity::show(&grace.op(&hub).await?, hub.hub(), false).await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden(_)), "{refused}");
    identity::show(&ada.op(&hub).await?, hub.hub(), false).await?;
    let shown: Vec<_> = actions(&hub).await?.into_iter().filter(|act| act.contains("key.shown")).collect();
    assert_eq!(shown, ["Ada key.shown"]);
    Ok(())
}
