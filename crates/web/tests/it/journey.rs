//! The way of somebody who has never seen a hub, in a real browser against a real hub with real nodes: from the address
//! that the terminal printed to the audit log. Nothing on the way may break the pages' policy.

use std::path::Path;

use anyhow::{Context as _, ensure};
use nave_core::hub::people::links;
use nave_core::node::{Invitation, Login};
use nave_link::certificate;
use nave_link::dial;
use nave_link::key::SecretKey;
use nave_link::random::Random;
use nave_testkit::echo::Echo;
use nave_testkit::hub::TestHub;
use nave_testkit::need;
use nave_testkit::node::TestNode;
use nave_testkit::person;
use nave_testkit::visit::Visit;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What can be copied on the page.
async fn copies(visit: &Visit) -> anyhow::Result<String> {
    // Inside closed details nothing is shown, so the content is asked for.
    let element = visit.sees("pre[data-copy]").await?;
    Ok(element.prop("textContent").await?.unwrap_or_default().trim().to_owned())
}

/// What a person does who pastes the line on a machine.
async fn paste(hub: &TestHub, line: &str) -> anyhow::Result<TestNode> {
    let words: Vec<&str> = line.split_whitespace().collect();
    ensure!(words[..3] == ["nave", "join", hub.url().to_string().as_str()], "{line}");
    let after = |flag: &str| words.iter().skip_while(move |word| **word != flag).nth(1).copied();
    let token = after("--token").context("the line has a token")?.parse()?;
    let allow: Vec<String> = after("--allow").into_iter().map(ToOwned::to_owned).collect();
    let data = tempfile::tempdir()?;
    let request = TestNode::request(data.path(), hub, Invitation::Token(token), &allow)?;
    nave_core::node::join(request, &Random::system(), |_| {}).await?;
    TestNode::at(data)?.connect().await
}

/// What a person does to sign in a command line: it shows an address, and the browser is asked.
async fn log_in(visit: &Visit, hub: &TestHub) -> anyhow::Result<TestNode> {
    let (data, random) = (tempfile::tempdir()?, Random::system());
    let probe = SecretKey::generate(&random).public();
    let met = dial::meet(&hub.url(), certificate::by_key(), &probe).await?;
    let tls = certificate::by_fingerprint(met.fingerprint.full());
    let login = Login::begin(data.path(), hub.url(), &met, tls, "laptop", &random).await?;
    visit.browser.client().goto(&login.asked().verification_uri_complete).await?;
    visit.reads(&login.asked().user_code).await?;
    visit.reads(&login.key().to_string()).await?;
    visit.presses("Let it in").await?;
    login.finish().await?;
    TestNode::device(data)?.connect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_printed_address_to_the_audit_log_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = TestHub::start().await?;
    let visit = Visit::stranger(&hub).await?;
    let walked = walk(&visit, &hub).await;
    if walked.is_err() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/screenshots");
        visit.browser.picture(&Path::new(folder).join("journey-ended-here.png")).await?;
    }
    let complaints = visit.browser.complaints().await?;
    visit.browser.close().await?;
    walked?;
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

async fn walk(visit: &Visit, hub: &TestHub) -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let printed = links::setup(&hub.operator(), hub.hub()).await?.context("there is no administrator yet")?;

    // The first administrator, with a second factor.
    visit.browser.client().goto(&printed).await?;
    visit.types("email", "ada@example.org").await?;
    visit.types("name", "Ada").await?;
    visit.types("password", "short").await?;
    visit.types("password", person::PASSWORD).await?;
    visit.presses("Continue").await?;
    visit.sees(".qr svg path").await?;
    let seed = copies(visit).await?.replace(' ', "");
    let code = person::code(&seed, hub.hub().clock.now().unix_timestamp());
    visit.types("code", &code).await?;
    visit.presses("Continue").await?;
    visit.sees(".codes").await?;
    visit.presses("I have saved them").await?;

    // One line brings a machine in, and the page says so by itself.
    visit.reads("First steps").await?;
    visit.presses("Invite a machine").await?;
    visit.types("name", "lab").await?;
    visit.types("allow", &echo.address.to_string()).await?;
    visit.presses("Make the line").await?;
    let line = copies(visit).await?;
    visit.reads("Waiting for lab to join").await?;
    visit.sees("nave-live[state=live]").await?;
    let _lab = paste(hub, &line).await?;
    visit.reads("is online").await?;

    // Ada's own machine signs in, and opens what the other one offers.
    let laptop = log_in(visit, hub).await?;
    let forward = laptop.forward(&format!("lab:{}", echo.address.port())).await?;
    let mut service = TcpStream::connect(forward.address).await?;
    service.write_all(b"hello").await?;
    let mut answer = [0; 5];
    service.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"hello");
    visit.to("/streams").await?;
    visit.reads("Ada").await?;
    visit.reads("/s").await?;
    visit.to("/").await?;
    visit.sees(".wheel .chord").await?;

    // A colleague.
    visit.to("/people").await?;
    visit.presses("Invite somebody").await?;
    visit.types("email", "grace@example.org").await?;
    visit.types("name", "Grace").await?;
    visit.presses("Invite").await?;
    let link = copies(visit).await?;
    ensure!(link.contains("/invitation/"), "{link}");

    // All of it is in the audit log.
    visit.to("/audit").await?;
    for words in [
        "Ada set up this hub",
        "Ada invited lab",
        "lab joined",
        "Ada signed in the device laptop",
        "Ada opened a stream",
        "Ada invited Grace",
    ] {
        visit.reads(words).await?;
    }

    // The colleague comes in by the link.
    visit.sees("form[action='/sign-out'] button").await?.click().await?;
    visit.reads("You are signed out").await?;
    visit.browser.client().goto(&link).await?;
    visit.reads("Ada invited you").await?;
    visit.types("password", "another umbrella").await?;
    visit.presses("Continue").await?;
    visit.sees(".qr svg path").await?;
    Ok(())
}
