//! A person's command line: signs in through the browser, works in the person's name, and signs out.

use std::path::Path;

use nave_core::api::{EventFilter, PersonChange, Role, RoleHeld};
use nave_core::hub::nodes::{self, Connections};
use nave_core::hub::people::devices;
use nave_core::hub::{event, people};
use nave_testkit::echo::Echo;
use nave_testkit::hub::TestHub;
use nave_testkit::node::TestNode;
use nave_testkit::person::TestPerson;
use nave_testkit::wait::until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::program::{Background, NAVE, run};

pub fn nave(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(NAVE);
    command.args(args).env("NAVE_DIR", data).env_remove("HUB_ACCESS_KEY").env("NAVE_LOG", "warn");
    command.current_dir(data).stdin(std::process::Stdio::null()).kill_on_drop(true);
    command
}

/// Starts `nave login` and lets it in as a person would, with the code from the printed address.
pub async fn sign_in(hub: &TestHub, person: &TestPerson, data: &Path) -> anyhow::Result<()> {
    let (url, fingerprint) = (hub.url().to_string(), hub.hub().access_keys.fingerprint().to_string());
    let args = ["login", &url, "--name", "desk", "--fingerprint", &fingerprint];
    let mut login = Background::start(&mut nave(data, &args))?;
    let line = login.says("/device?code=").await?;
    let code = line.split("code=").nth(1).unwrap_or_default().trim();
    let op = person.op(hub).await?;
    let shown = devices::waiting(&op, hub.hub(), code).await?;
    assert_eq!((shown.name.as_str(), shown.source.as_str()), ("desk", "127.0.0.1"));
    login.says(&shown.public_key).await?;
    devices::approve(&op, hub.hub(), &code.to_lowercase()).await?;
    assert!(login.child.wait().await?.success(), "{}", login.output());
    Ok(())
}

#[tokio::test]
async fn a_person_signs_in_from_a_device_and_works_with_every_noun() -> anyhow::Result<()> {
    let (hub, data) = (TestHub::start().await?, tempfile::tempdir()?);
    let ada = TestPerson::first_admin(&hub).await?;
    let echo = Echo::start().await?;
    let _lab = TestNode::join(&hub, "lab", &[], &[echo.address.to_string()]).await?.connect().await?;
    sign_in(&hub, &ada, data.path()).await?;

    let nodes = run(&mut nave(data.path(), &["node", "list"])).await?.ok()?;
    assert!(nodes.contains("lab") && !nodes.contains("desk"), "a device is no node to look at: {nodes}");
    let people = run(&mut nave(data.path(), &["user", "list"])).await?.ok()?;
    assert!(people.contains("ada@example.org"), "{people}");
    let token = run(&mut nave(data.path(), &["token", "create", "ci"])).await?.ok()?;
    assert!(token.starts_with("nave_"), "{token}");

    let mut forward =
        Background::start(&mut nave(data.path(), &["forward", &format!("lab:{}", echo.address)]))?;
    let here = forward.says("127.0.0.1:").await?;
    let mut io = TcpStream::connect(here.trim()).await?;
    io.write_all(b"hello").await?;
    io.shutdown().await?;
    let mut heard = String::new();
    io.read_to_string(&mut heard).await?;
    assert_eq!(heard, "hello");
    let filter = EventFilter { action: Some("stream.opened".to_owned()), ..EventFilter::default() };
    let opened = event::list(&hub.operator(), &hub.hub().store, &filter).await?;
    assert_eq!((opened[0].actor_kind.as_str(), opened[0].actor.as_str()), ("person", "Ada"), "{opened:?}");

    let out = run(&mut nave(data.path(), &["logout"])).await?;
    assert_eq!(out.code, 0, "{out:?}");
    assert!(out.stderr.contains("signed out"), "{out:?}");
    assert!(devices::list(&ada.op(&hub).await?, hub.hub(), &ada.id).await?.is_empty());
    forward.child.start_kill()?;
    let after = run(&mut nave(data.path(), &["user", "list"])).await?;
    assert!(after.code == 1 && after.stderr.contains("nave login"), "{after:?}");
    Ok(())
}

#[tokio::test]
async fn a_device_may_what_its_person_may_and_ends_with_the_account() -> anyhow::Result<()> {
    let (hub, data) = (TestHub::start().await?, tempfile::tempdir()?);
    let _ada = TestPerson::first_admin(&hub).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Viewer, "*")]).await?;
    let echo = Echo::start().await?;
    let _lab = TestNode::join(&hub, "lab", &[], &[echo.address.to_string()]).await?.connect().await?;
    sign_in(&hub, &grace, data.path()).await?;
    let target = format!("lab:{}", echo.address);
    let refused = run(&mut nave(data.path(), &["forward", &target])).await?;
    assert!(refused.code == 1 && refused.stderr.contains("nave user grant"), "{refused:?}");

    let grant = nave_core::api::GrantRequest { action: "open".to_owned(), scope: target.clone() };
    nave_core::hub::grants::grant_person(&hub.operator(), hub.hub(), &grace.email, &grant).await?;
    let forward = Background::start(&mut nave(data.path(), &["forward", &target]))?;
    let here = forward.says("127.0.0.1:").await?;
    let mut io = TcpStream::connect(here.trim()).await?;
    io.write_all(b"x").await?;
    io.read_u8().await?;
    people::disable(&hub.operator(), hub.hub(), &grace.email).await?;
    let mut rest = Vec::new();
    // Cut in the middle: an end or an error, and in no case more bytes.
    let _ = io.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    let refused = || async {
        let asked = run(&mut nave(data.path(), &["node", "list"])).await.ok()?;
        asked.stderr.contains("not in use").then_some(())
    };
    until("the device is refused", refused).await?;
    Ok(())
}

#[tokio::test]
async fn what_a_device_has_open_goes_with_its_persons_role() -> anyhow::Result<()> {
    let (hub, data) = (TestHub::start().await?, tempfile::tempdir()?);
    let _ada = TestPerson::first_admin(&hub).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Operator, "*")]).await?;
    sign_in(&hub, &grace, data.path()).await?;
    let desk = devices::list(&hub.operator(), hub.hub(), &grace.email).await?[0].id.parse()?;
    let (tell, mut told) = tokio::sync::mpsc::channel(8);
    let open = async |action| {
        let tell = tell.clone();
        Connections::enter(hub.hub(), desk, action, move |why| drop(tell.try_send(why.to_owned()))).await
    };
    let (_looks, _changes) = (open(nodes::READ).await, open(nodes::CHANGE).await);
    assert!(told.is_empty());

    let becomes = async |role: Role| {
        let roles = Some(vec![RoleHeld { role, scope: "*".to_owned() }]);
        let change = PersonChange { roles, ..PersonChange::default() };
        people::change(&hub.operator(), hub.hub(), &grace.email, &change).await
    };
    becomes(Role::Viewer).await?;
    let why = told.recv().await.unwrap_or_default();
    assert!(why.starts_with("node.change takes the role"), "{why}");
    assert!(told.is_empty(), "what a viewer may have stays");
    let _again = open(nodes::CHANGE).await;
    assert!(told.recv().await.unwrap_or_default().contains("node.change"));
    people::disable(&hub.operator(), hub.hub(), &grace.email).await?;
    assert!(told.recv().await.unwrap_or_default().contains("not in use"));
    Ok(())
}

#[tokio::test]
async fn signing_in_to_a_wrong_hub_shows_it_nothing() -> anyhow::Result<()> {
    let (hub, data) = (TestHub::start().await?, tempfile::tempdir()?);
    let url = hub.url().to_string();
    let unknown = run(&mut nave(data.path(), &["login", &url])).await?;
    let fingerprint = hub.hub().access_keys.fingerprint().to_string();
    assert!(
        unknown.code == 1 && unknown.stderr.contains(&format!("--fingerprint {fingerprint}")),
        "{unknown:?}"
    );
    let wrong = run(&mut nave(data.path(), &["login", &url, "--fingerprint", &"0".repeat(64)])).await?;
    assert!(wrong.code == 1 && wrong.stderr.contains("Nothing was sent to it"), "{wrong:?}");
    let none = run(&mut nave(data.path(), &["logout"])).await?;
    assert!(none.code == 1 && none.stderr.contains("nothing to end"), "{none:?}");
    Ok(())
}
