//! Who gets in, as whom, and who does not.

use std::time::Duration;

use nave_core::api::{GrantRequest, InviteRequest, NodeChange, NodeStatus};
use nave_core::clock::Clock;
use nave_core::hub::config::HubConfig;
use nave_core::hub::context::JoinWithAccessKey;
use nave_core::hub::fleet::NodeHappening;
use nave_core::hub::{event, grants, identity, nodes};
use nave_core::node::{Invitation, JoinError, RunError};
use nave_link::handshake::{HandshakeError, RefusedCode};
use nave_link::random::Random;
use nave_testkit::fleet::TestFleet;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::node::TestNode;
use nave_testkit::wait::until;

fn refused<T: std::fmt::Debug>(result: Result<T, JoinError>) -> (RefusedCode, String) {
    match result {
        Err(JoinError::Handshake(HandshakeError::Refused(refused))) => (refused.code, refused.message),
        other => panic!("not refused: {other:?}"),
    }
}

async fn join_as(
    hub: &TestHub,
    invitation: Invitation,
    name: Option<&str>,
) -> Result<tempfile::TempDir, JoinError> {
    let data = tempfile::tempdir().unwrap();
    let mut request = TestNode::request(data.path(), hub, invitation, &[]).unwrap();
    request.name = name.map(ToOwned::to_owned);
    nave_core::node::join(request, &Random::system(), |_| {}).await.map(|_| data)
}

async fn join(hub: &TestHub, invitation: Invitation) -> Result<tempfile::TempDir, JoinError> {
    join_as(hub, invitation, None).await
}

fn stopped_clock() -> (Clock, TestHubSetup) {
    let clock = Clock::manual(Clock::system().now());
    let setup = TestHubSetup { clock: Some(clock.clone()), ..TestHubSetup::default() };
    (clock, setup)
}

fn approving() -> HubConfig {
    let mut config = HubConfig::default();
    config.join.with_access_key = Some(JoinWithAccessKey::Approve);
    config
}

#[tokio::test]
async fn a_token_lets_one_machine_in() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let token = hub.invite("lab", &[]).await?;
    join(&hub, Invitation::Token(token.clone())).await?;
    let (code, message) = refused(join(&hub, Invitation::Token(token)).await);
    assert_eq!(code, RefusedCode::Token);
    assert!(message.contains("used already"), "{message}");
    hub.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_token_ends_and_a_made_up_one_never_was() -> anyhow::Result<()> {
    let (clock, setup) = stopped_clock();
    let hub = TestHub::with(setup).await?;
    let mut token = hub.invite("lab", &[]).await?;
    clock.advance(Duration::from_secs(3601));
    let (code, message) = refused(join(&hub, Invitation::Token(token.clone())).await);
    assert_eq!(code, RefusedCode::Token);
    assert!(message.contains("expired"), "{message}");
    token.secret = nave_link::token::JoinSecret::generate(&Random::system());
    let (code, message) = refused(join(&hub, Invitation::Token(token)).await);
    assert_eq!(code, RefusedCode::Token);
    assert!(message.contains("not, or no longer, known"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_token_names_its_hub_and_goes_to_no_other() -> anyhow::Result<()> {
    let (hub, other) = (TestHub::start().await?, TestHub::start().await?);
    let token = hub.invite("lab", &[]).await?;
    let error = join(&other, Invitation::Token(token.clone())).await.unwrap_err();
    assert!(matches!(error, JoinError::Handshake(HandshakeError::WrongHub { .. })), "{error}");
    assert!(error.to_string().contains("someone is in between"), "{error}");
    join(&hub, Invitation::Token(token)).await.expect("the other hub learned nothing that it could use");
    Ok(())
}

#[tokio::test]
async fn the_shared_access_key_makes_a_node_wait_for_approval() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let key = identity::show(&hub.operator(), hub.hub(), true).await?;
    let data = tempfile::tempdir()?;
    let mut request = TestNode::request(data.path(), &hub, Invitation::AccessKey(key.parse()?), &[])?;
    request.name = Some("runner".to_owned());
    let joining =
        tokio::spawn(async move { nave_core::node::join(request, &Random::system(), |_| {}).await });
    let pending = || async {
        let nodes = nodes::list(&hub.operator(), hub.hub(), false).await.ok()?;
        nodes.into_iter().find(|node| node.status == NodeStatus::Pending)
    };
    let node = until("the node is pending", pending).await?;
    assert_eq!((node.name.as_str(), node.roles), ("runner", vec!["host".to_owned()]));
    assert!(!joining.is_finished());
    nodes::approve(&hub.operator(), hub.hub(), "runner").await?;
    let joined = joining.await??;
    assert_eq!(joined.membership.name, "runner");
    assert_eq!(
        joined.membership.hub_keys,
        [hub.hub().key.public()],
        "from now on it demands the hub's own key"
    );
    Ok(())
}

#[tokio::test]
async fn a_wrong_access_key_is_refused_and_then_slowed_down() -> anyhow::Result<()> {
    let hub = TestHub::with(TestHubSetup { config: approving(), ..TestHubSetup::default() }).await?;
    let key = identity::show(&hub.operator(), hub.hub(), false).await?;
    let show = |key: String, name: &'static str| {
        let invitation = Invitation::AccessKey(key.parse().unwrap());
        join_as(&hub, invitation, Some(name))
    };
    show(key.to_string(), "first").await?;

    let error = show(format!("0000000000000000+{}", &key[17..]), "second").await.unwrap_err().to_string();
    assert!(error.contains("not the one that the access key names"), "{error}");
    assert!(!error.contains(&key[17..]), "the error holds the secret");

    let wrong = format!("{}+0123456789abcdef", &key[..16]);
    for _ in 0..10 {
        assert_eq!(refused(show(wrong.clone(), "second").await).0, RefusedCode::AccessKey);
    }
    assert_eq!(refused(show(key.to_string(), "second").await).0, RefusedCode::Throttled);
    let throttled = event::last(&hub.hub().store, "source.throttled").await?;
    assert_eq!(throttled.map(|event| event.object), Some("127.0.0.1".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_rotated_access_key_is_let_in_until_its_grace_ends() -> anyhow::Result<()> {
    let (clock, setup) = stopped_clock();
    let hub = TestHub::with(setup).await?;
    let old = identity::show(&hub.operator(), hub.hub(), false).await?;
    let new = identity::rotate(&hub.operator(), hub.hub(), Duration::from_mins(10)).await?;
    assert_eq!(old[..17], new[..17]);
    assert_ne!(*old, *new);
    // The grace survives a restart.
    let folder = hub.folder();
    hub.stop().await;
    let setup = TestHubSetup { clock: Some(clock.clone()), ..TestHubSetup::default() };
    let hub = TestHub::on(folder, setup).await?;
    let accepted = |key: &str| hub.hub().access_keys.check(&key.parse().unwrap(), clock.now()).is_ok();
    assert!(accepted(&old) && accepted(&new));
    clock.advance(Duration::from_secs(601));
    assert!(!accepted(&old) && accepted(&new));
    Ok(())
}

#[tokio::test]
async fn a_grace_beyond_all_calendars_is_refused() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let before = identity::show(&hub.operator(), hub.hub(), false).await?;
    let error = identity::rotate(&hub.operator(), hub.hub(), Duration::MAX).await.unwrap_err();
    assert!(error.message().contains("at most 90 days"), "{error}");
    assert_eq!(*identity::show(&hub.operator(), hub.hub(), false).await?, *before);
    let error = nodes::mint_key(&hub.operator(), hub.hub(), "runner", &[], Duration::MAX).await.unwrap_err();
    assert!(error.message().contains("at most 90 days"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_nodes_own_access_key_makes_it_that_node_and_no_other_machine() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let roles = ["host".to_owned()];
    let key = nodes::mint_key(&hub.operator(), hub.hub(), "runner", &roles, Duration::ZERO).await?;
    let _first = join(&hub, Invitation::AccessKey(key.clone())).await?;
    let shown = nodes::show(&hub.operator(), hub.hub(), "runner").await?;
    assert_eq!((shown.status, shown.roles), (NodeStatus::Active, vec!["host".to_owned()]));
    let (code, message) = refused(join(&hub, Invitation::AccessKey(key.clone())).await);
    assert_eq!(code, RefusedCode::Name);
    assert!(message.contains("bound to the key of another machine"), "{message}");
    nodes::mint_key(&hub.operator(), hub.hub(), "runner", &[], Duration::ZERO).await?;
    let (code, _) = refused(join(&hub, Invitation::AccessKey(key)).await);
    assert_eq!(code, RefusedCode::AccessKey, "a newer key ended it");
    Ok(())
}

#[tokio::test]
async fn a_revoked_node_is_put_out_and_comes_back_only_with_a_new_invitation() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let mut node = TestNode::join(&hub, "lab", &[], &[]).await?.connect().await?;
    nodes::revoke(&hub.operator(), hub.hub(), "lab").await?;
    let error = node.ended().await?.unwrap_err();
    assert!(matches!(error, RunError::Handshake(HandshakeError::Refused(_))), "{error}");
    assert!(error.to_string().contains("revoked"), "{error}");
    node.start()?;
    assert!(node.ended().await?.is_err(), "its key stays refused");

    let before = node.folder.key(&Random::system())?.public();
    let token = hub.invite("lab", &[]).await?;
    let request = TestNode::request(node.data(), &hub, Invitation::Token(token), &[])?;
    nave_core::node::join(request, &Random::system(), |_| {}).await?;
    assert_ne!(node.folder.key(&Random::system())?.public(), before, "it comes back with a new key");
    node.connect().await?;
    Ok(())
}

#[tokio::test]
async fn a_cloned_node_waits_while_the_first_one_lives() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let mut first = TestNode::join(&hub, "lab", &[], &[]).await?.connect().await?;
    let clone = tempfile::tempdir()?;
    let copied = clone.path().join("node").join(first.folder.path().file_name().unwrap());
    std::fs::create_dir_all(&copied)?;
    for name in ["node.key", "node.json"] {
        std::fs::copy(first.folder.path().join(name), copied.join(name))?;
    }
    let mut second = TestNode::at(clone)?;
    second.start()?;
    let words = second.happens("lost: ").await?;
    assert!(words.contains("used on two machines"), "{words}");
    assert!(event::last(&hub.hub().store, "node.used_twice").await?.is_some());
    first.stop().await?;
    second.happens("connected").await?;
    Ok(())
}

#[tokio::test]
async fn a_node_learns_its_new_name_and_keeps_it() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let node = TestNode::join(&hub, "lab", &[], &[]).await?.connect().await?;
    let roles = Some(vec!["site".to_owned()]);
    let change = NodeChange { name: Some("bench".to_owned()), roles: roles.clone(), ..NodeChange::default() };
    nodes::change(&hub.operator(), hub.hub(), "lab", &change).await?;
    node.happens("changed: bench").await?;
    assert_eq!(node.membership()?.name, "bench");
    let shown = nodes::show(&hub.operator(), hub.hub(), "BENCH").await?;
    assert_eq!((shown.online, Some(shown.roles)), (true, roles));
    let _other = TestNode::join(&hub, "lab", &[], &[]).await.expect("the old name is free again");
    let taken = NodeChange { name: Some("Lab".to_owned()), ..NodeChange::default() };
    let error = nodes::change(&hub.operator(), hub.hub(), "bench", &taken).await.unwrap_err();
    assert!(error.message().contains("taken"), "{error}");
    Ok(())
}

#[tokio::test]
async fn invitations_are_checked_and_unused_names_come_free() -> anyhow::Result<()> {
    let (clock, setup) = stopped_clock();
    let hub = TestHub::with(setup).await?;
    let invite = |request: InviteRequest| {
        let (op, context) = (hub.operator(), hub.hub().clone());
        async move { nodes::invite(&op, &context, &request).await.map(|_| ()).map_err(|error| error.message()) }
    };
    let named = |name: &str| InviteRequest { name: Some(name.to_owned()), ..InviteRequest::default() };
    let open = |scope: &str| vec![GrantRequest { action: "open".to_owned(), scope: scope.to_owned() }];
    for (request, problem) in [
        (named("a b"), "letters, digits"),
        (InviteRequest { roles: vec!["king".to_owned()], ..named("lab") }, "there are: exporter"),
        (InviteRequest { grants: open("nobody:80"), ..named("lab") }, "no node named \"nobody\""),
        (InviteRequest { uses: Some(2), ..named("lab") }, "several nodes"),
        (InviteRequest { ttl_seconds: Some(0), ..named("lab") }, "one second to 90 days"),
    ] {
        let words = invite(request).await.unwrap_err();
        assert!(words.contains(problem), "{words}");
    }
    invite(named("lab")).await.unwrap();
    invite(InviteRequest { grants: open("lab:80"), ..named("laptop") })
        .await
        .expect("a right on a kept name");
    invite(named("lab")).await.expect("the same invitation anew");
    clock.advance(Duration::from_secs(3601));
    assert_eq!(nodes::forget_expired(&hub.operator(), hub.hub()).await?, 2);
    assert_eq!(nodes::list(&hub.operator(), hub.hub(), true).await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn nodes_survive_a_restart_of_the_hub_and_fleets_hear_of_them() -> anyhow::Result<()> {
    let fleet = std::sync::Arc::new(TestFleet::default());
    let heard = std::sync::Arc::clone(&fleet.heard);
    let setup = || TestHubSetup { fleets: vec![fleet.clone()], ..TestHubSetup::default() };
    let hub = TestHub::with(setup()).await?;
    let node = TestNode::join(&hub, "lab", &[], &[]).await?.connect().await?;
    let (folder, address) = (hub.folder(), hub.address());
    hub.stop().await;
    node.happens("lost: ").await?;
    let config = HubConfig { listen: vec![address], ..HubConfig::default() };
    let hub = TestHub::on(folder, TestHubSetup { config, ..setup() }).await?;
    node.happens("connected").await?;
    nodes::revoke(&hub.operator(), hub.hub(), "lab").await?;
    // While it joined, and twice as it ran. A link that ends when the next one stands already is no loss, so how often it
    // was lost depends on who is faster; but what is told is always a change, except that a hub that stops tells nothing.
    let all = || async {
        let heard = heard.lock().unwrap();
        let joined = |happening: &NodeHappening| matches!(happening, NodeHappening::Joined(_));
        let twice = heard.windows(2).filter(|two| joined(&two[0]) && joined(&two[1])).count();
        let odd = heard.windows(2).any(|two| !joined(&two[0]) && !joined(&two[1]));
        assert!(twice <= 1 && !odd, "{heard:?}");
        let revoked = matches!(heard.last(), Some(NodeHappening::Revoked(_)));
        (revoked && heard.iter().filter(|happening| joined(happening)).count() >= 2).then_some(())
    };
    until("the fleet heard of it all", all).await?;
    Ok(())
}

#[tokio::test]
async fn grants_are_given_shown_and_taken() -> anyhow::Result<()> {
    let hub = TestHub::start().await?;
    let _lab = TestNode::join(&hub, "lab", &[], &[]).await?;
    let _laptop = TestNode::join(&hub, "laptop", &["lab:8080".to_owned()], &[]).await?;
    let scopes = || async {
        let shown = nodes::show(&hub.operator(), hub.hub(), "laptop").await.unwrap();
        shown.grants.into_iter().map(|grant| format!("{} {}", grant.action, grant.scope)).collect::<Vec<_>>()
    };
    assert_eq!(scopes().await, ["open lab:127.0.0.1:8080"]);
    let everything = GrantRequest { action: "open".to_owned(), scope: "*".to_owned() };
    grants::grant(&hub.operator(), hub.hub(), "laptop", &everything).await?;
    assert_eq!(scopes().await.len(), 2);
    grants::withdraw(&hub.operator(), hub.hub(), "laptop", &everything).await?;
    let gone = grants::withdraw(&hub.operator(), hub.hub(), "laptop", &everything).await.unwrap_err();
    assert!(gone.message().contains("there is no grant"), "{gone}");
    let odd = GrantRequest { action: "fly".to_owned(), scope: "lab".to_owned() };
    assert!(grants::grant(&hub.operator(), hub.hub(), "laptop", &odd).await.is_err());
    Ok(())
}
