//! Commands of a place: those before and after a reservation, and those that switch the power. They are run by a real
//! exporter, and the hub is real.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use http::{Method, StatusCode};
use nave_boards::api::{Outcome, PowerCommand};
use nave_boards::hub::config::BoardsConfig;
use nave_boards::hub::{Boards, commands, maintenance};
use nave_boards::node::commands::{Commands, Power};
use nave_boards::node::export::ExportDescription;
use nave_core::api::EventFilter;
use nave_core::hub::config::HubConfig;
use nave_core::hub::event;
use nave_testkit::echo::Echo;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::need;
use nave_testkit::node::TestNode;
use nave_testkit::postgres::Postgres;
use nave_testkit::wait::until;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{farm, farm_and_fleet};
use crate::native::{ask, export, hears_itself, node, place};

/// A place with lines for the shell, which are run in a folder of their own.
fn with(folder: &Path, echo: &Echo, name: &str, before: &str, after: &str) -> ExportDescription {
    let line = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let commands = Commands {
        folder: folder.to_owned(),
        before: line(before),
        after: line(after),
        ..Commands::default()
    };
    ExportDescription { commands, ..place(name, echo.address) }
}

async fn shown(node: &TestNode, name: &str) -> anyhow::Result<Value> {
    Ok(ask(node, Method::GET, &format!("/places/{name}"), json!({})).await?.1)
}

/// Waits until the last command that ran for a place was this one.
async fn ran(node: &TestNode, name: &str, occasion: &str) -> anyhow::Result<Value> {
    until(occasion, async || {
        let shown = shown(node, name).await.ok()?;
        (shown["commands"][0]["occasion"] == occasion).then(|| shown["commands"][0].clone())
    })
    .await
}

fn log(folder: &TempDir) -> Vec<String> {
    let text = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_holder_is_let_in_when_its_place_is_ready() -> anyhow::Result<()> {
    let hub = farm("").await?;
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let lab = node(&hub, "lab", "exporter").await?;
    let ann = node(&hub, "ann", "importer").await?;
    // Longer than a hub waits for an exporter that says nothing.
    let before = "echo \"$NAVE_PLACE is made ready for $NAVE_HOLDER ($NAVE_RESERVATION)\"; sleep 6; \
                  while ! test -e go; do sleep 0.05; done; echo ready >&2";
    let after = "echo \"$NAVE_OCCASION $NAVE_HOLDER $NAVE_RESERVATION_ID\" >> log";
    let exporter = export(&lab, vec![with(folder.path(), &echo, "bench", before, after)]).await?;
    exporter.says("offered bench").await?;
    let target = format!("lab:{}", echo.address);
    let name = "$(touch pwned); `touch pwned` '\"";

    let asking = ask(&ann, Method::POST, "/reservations", json!({ "name": name }));
    let meanwhile = async {
        until("the command runs", async || {
            let shown = shown(&ann, "bench").await.ok()?;
            (shown["place"]["running"]["occasion"] == "before").then_some(())
        })
        .await?;
        ensure!(ann.forward(&target).await.is_err(), "a place is open that is not ready");
        std::fs::write(folder.path().join("go"), "")?;
        Ok(())
    };
    let (reserved, meanwhile) = tokio::join!(asking, meanwhile);
    meanwhile?;
    let (status, reserved) = reserved?;
    assert_eq!(status, StatusCode::OK, "{reserved}");
    hears_itself(&ann.forward(&target).await?).await?;
    let now = shown(&ann, "bench").await?;
    let run = &now["commands"][0];
    assert_eq!(
        (&run["occasion"], &run["outcome"], &run["status"], &run["reservation"], &run["holder"]),
        (&json!("before"), &json!("done"), &json!(0), &reserved["id"], &json!("ann"))
    );
    assert_eq!(run["output"], format!("bench is made ready for ann ({name})\nready\n"));
    assert_eq!(now["place"]["running"], Value::Null);
    ensure!(!folder.path().join("pwned").exists(), "a name became a command");

    // Extended and told of again, it goes on without another command.
    ask(&ann, Method::PATCH, "/reservations/bench", json!({ "seconds": 3600 })).await?;
    ask(&ann, Method::DELETE, "/reservations/bench", json!({})).await?;
    ran(&ann, "bench", "after").await?;
    assert_eq!(log(&folder), [format!("after ann {}", reserved["id"].as_str().unwrap())]);
    assert_eq!(shown(&ann, "bench").await?["commands"].as_array().unwrap().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_place_that_is_not_ready_is_out_of_service_and_another_is_given() -> anyhow::Result<()> {
    let (hub, boards) = farm_and_fleet("").await?;
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let lab = node(&hub, "lab", "exporter").await?;
    let ann = node(&hub, "ann", "importer").await?;
    let fails = "test -e mended || { echo trying; echo no board answers; exit 3; }";
    let exporter = export(&lab, vec![with(folder.path(), &echo, "bad", fails, "")]).await?;
    exporter.says("offered bad").await?;

    let (status, refused) = ask(&ann, Method::POST, "/reservations", json!({})).await?;
    let words = "the command before a reservation failed with exit status 3: no board answers";
    assert_eq!(
        (status, refused["error"]["message"].as_str().unwrap()),
        (StatusCode::CONFLICT, format!("bad: {words}").as_str())
    );
    let now = shown(&ann, "bad").await?;
    assert_eq!(
        (&now["place"]["maintenance"]["reason"], &now["place"]["maintenance"]["by"]),
        (&json!(words), &json!("lab"))
    );
    assert_eq!(
        (&now["past"][0]["reason"], &now["place"]["reservation"], &now["commands"][0]["output"]),
        (&json!("not_ready"), &Value::Null, &json!("trying\nno board answers\n"))
    );
    // Only who manages places puts it into service again; then it fails again, and the other is given.
    assert_eq!(
        ask(&ann, Method::DELETE, "/places/bad/maintenance", json!({})).await?.0,
        StatusCode::FORBIDDEN
    );
    let open = async || maintenance::open(&hub.operator(), hub.hub(), &boards, "bad").await;
    open().await?;
    let good = with(folder.path(), &echo, "good", "", "");
    let bad = with(folder.path(), &echo, "bad", fails, "");
    drop(exporter);
    let exporter = export(&lab, vec![bad, good]).await?;
    exporter.says("offered good").await?;
    let mut seen = 0;
    for _ in 0..20 {
        let (status, reserved) = ask(&ann, Method::POST, "/reservations", json!({})).await?;
        assert_eq!((status, &reserved["place"]), (StatusCode::OK, &json!("good")), "{reserved}");
        ask(&ann, Method::DELETE, "/reservations/good", json!({})).await?;
        if boards_closed(&ann, "bad").await? {
            seen += 1;
            open().await?;
        }
    }
    ensure!(seen > 0, "the one that fails was never chosen first");
    // Mended, it is given again.
    std::fs::write(folder.path().join("mended"), "")?;
    let (status, reserved) = ask(&ann, Method::POST, "/reservations", json!({ "places": ["bad"] })).await?;
    assert_eq!(status, StatusCode::OK, "{reserved}");
    Ok(())
}

async fn boards_closed(node: &TestNode, place: &str) -> anyhow::Result<bool> {
    Ok(!shown(node, place).await?["place"]["maintenance"].is_null())
}

#[tokio::test]
async fn the_next_in_the_queue_does_not_get_what_was_not_put_in_order() -> anyhow::Result<()> {
    let (hub, boards) = farm_and_fleet("").await?;
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let lab = node(&hub, "lab", "exporter").await?;
    let (ann, bob) = (node(&hub, "ann", "importer").await?, node(&hub, "bob", "importer").await?);
    let hangs = "echo $NAVE_HOLDER >> log; test -e mended || sleep 600";
    let mut bench = with(folder.path(), &echo, "bench", "", hangs);
    bench.commands.hook_limit = Duration::from_secs(1);
    let exporter = export(&lab, vec![bench]).await?;
    exporter.says("offered bench").await?;
    assert_eq!(ask(&ann, Method::POST, "/reservations", json!({})).await?.0, StatusCode::OK);
    let waits = tokio::spawn(async move {
        let answer = ask(&bob, Method::POST, "/reservations", json!({ "wait": 600 })).await;
        (bob, answer)
    });
    until("bob waits", async || {
        let queue = ask(&ann, Method::GET, "/reservations/queue", json!({})).await.ok()?.1;
        (queue.as_array()?.len() == 1).then_some(())
    })
    .await?;
    assert_eq!(ask(&ann, Method::DELETE, "/reservations/bench", json!({})).await?.0, StatusCode::NO_CONTENT);
    let (bob, answer) = waits.await?;
    let (status, refused) = answer?;
    let told = refused["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(status, StatusCode::CONFLICT, "{refused}");
    ensure!(told.starts_with("bench: the command after a reservation was ended after "), "{told}");
    assert_eq!(ran(&bob, "bench", "after").await?["outcome"], "timed_out");
    // It is run again before anybody else has the place.
    std::fs::write(folder.path().join("mended"), "")?;
    maintenance::open(&hub.operator(), hub.hub(), &boards, "bench").await?;
    assert_eq!(ask(&bob, Method::POST, "/reservations", json!({})).await?.0, StatusCode::OK);
    assert_eq!(log(&folder), ["ann", "ann"]);
    Ok(())
}

#[tokio::test]
async fn an_exporter_that_starts_anew_neither_repeats_nor_forgets() -> anyhow::Result<()> {
    let hub = farm("grace = \"1s\"").await?;
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let lab = node(&hub, "lab", "exporter").await?;
    let ann = node(&hub, "ann", "importer").await?;
    let write = "echo \"$NAVE_OCCASION $NAVE_HOLDER\" >> log";
    let bench = || vec![with(folder.path(), &echo, "bench", write, write)];
    let first = export(&lab, bench()).await?;
    first.says("offered bench").await?;
    assert_eq!(ask(&ann, Method::POST, "/reservations", json!({})).await?.0, StatusCode::OK);
    let target = format!("lab:{}", echo.address);
    hears_itself(&ann.forward(&target).await?).await?;

    // Another one takes the place over: the reservation goes on.
    let second = export(&lab, bench()).await?;
    second.says("bench: ann").await?;
    first.ends().await;
    hears_itself(&ann.forward(&target).await?).await?;
    assert_eq!(log(&folder), ["before ann"]);

    // It ends while no exporter is there.
    second.ends().await;
    until("the reservation is over", async || {
        let held = ask(&ann, Method::GET, "/reservations", json!({})).await.ok()?.1;
        held.as_array()?.is_empty().then_some(())
    })
    .await?;
    assert_eq!(log(&folder), ["before ann"]);
    let third = export(&lab, bench()).await?;
    third.says("ran after of bench").await?;
    ran(&ann, "bench", "after").await?;
    assert_eq!(log(&folder), ["before ann", "after ann"]);

    // One that ends in the middle of a command stops it, and the next one runs it again.
    let hangs = "echo $$ > pid; echo begun >> log; test -e go || sleep 600";
    third.ends().await;
    let slow = || vec![with(folder.path(), &echo, "bench", hangs, "")];
    let fourth = export(&lab, slow()).await?;
    fourth.says("offered bench").await?;
    let asking = ask(&ann, Method::POST, "/reservations", json!({}));
    let meanwhile = async {
        until("the command runs", async || folder.path().join("pid").exists().then_some(())).await?;
        let pid = std::fs::read_to_string(folder.path().join("pid"))?;
        fourth.ends().await;
        until("it has ended with its exporter", async || {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            status.map_or(true, |status| status.contains(") Z ")).then_some(())
        })
        .await?;
        std::fs::write(folder.path().join("go"), "")?;
        export(&lab, slow()).await
    };
    let (reserved, fifth) = tokio::join!(asking, meanwhile);
    let fifth = fifth?;
    // Whoever asked is told that the exporter was gone; whoever asks again has it made ready.
    if reserved?.0 != StatusCode::OK {
        fifth.says("offered bench").await?;
        assert_eq!(ask(&ann, Method::POST, "/reservations", json!({})).await?.0, StatusCode::OK);
    }
    fifth.says("ran before of bench: ended with exit status 0").await?;
    hears_itself(&ann.forward(&target).await?).await?;
    Ok(())
}

#[tokio::test]
async fn the_power_is_the_holders_and_the_operators() -> anyhow::Result<()> {
    let (hub, boards) = farm_and_fleet("").await?;
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let lab = node(&hub, "lab", "exporter").await?;
    let (ann, bob) = (node(&hub, "ann", "importer").await?, node(&hub, "bob", "importer").await?);
    let mut bench = with(folder.path(), &echo, "bench", "", "");
    let plain = with(folder.path(), &echo, "plain", "", "");
    bench.commands.power = Some(Power {
        on: "echo on > power; echo \"on for $NAVE_HOLDER\"".to_owned(),
        off: "echo off > power; test ! -e stuck".to_owned(),
        cycle: None,
        status: Some("cat power".to_owned()),
        off_after: true,
        limit: Duration::from_mins(1),
    });
    let exporter = export(&lab, vec![bench, plain]).await?;
    exporter.says("offered plain").await?;
    let power = async |node: &TestNode, place: &str, command: &str| {
        let path = format!("/places/{place}/power");
        ask(node, Method::POST, &path, json!({ "command": command })).await
    };
    assert_eq!(power(&ann, "bench", "on").await?.0, StatusCode::FORBIDDEN, "nobody has it");
    ask(&ann, Method::POST, "/reservations", json!({ "places": ["bench"] })).await?;
    ask(&ann, Method::POST, "/reservations", json!({ "places": ["plain"] })).await?;
    assert_eq!(power(&bob, "bench", "on").await?.0, StatusCode::FORBIDDEN, "somebody else has it");
    let (status, run) = power(&ann, "bench", "on").await?;
    assert_eq!(
        (status, &run["outcome"], &run["output"], &run["occasion"]),
        (StatusCode::OK, &json!("done"), &json!("on for ann\n"), &json!("power_on"))
    );
    assert_eq!(power(&ann, "bench", "status").await?.1["output"], "on\n");
    assert_eq!(power(&ann, "bench", "cycle").await?.1["outcome"], "done");
    std::fs::write(folder.path().join("stuck"), "")?;
    let (status, run) = power(&ann, "bench", "off").await?;
    assert_eq!((status, &run["outcome"], &run["status"]), (StatusCode::OK, &json!("failed"), &json!(1)));
    assert_eq!(power(&ann, "bench", "explode").await?.0, StatusCode::BAD_REQUEST);
    let (status, refused) = power(&ann, "plain", "on").await?;
    let told = refused["error"]["message"].as_str().unwrap();
    ensure!(
        status == StatusCode::CONFLICT && told.starts_with("the description of plain has no [power]"),
        "{refused}"
    );
    // A failure of the power itself does not take the place out of service: its holder is there and sees it.
    let now = shown(&ann, "bench").await?;
    assert_eq!(now["place"]["maintenance"], Value::Null);
    assert_eq!(now["place"]["power"], json!(["on", "off", "cycle", "status"]));
    let done: Vec<&str> =
        now["commands"].as_array().unwrap().iter().map(|run| run["occasion"].as_str().unwrap()).collect();
    assert_eq!(done, ["power_off", "power_cycle", "power_on"]);

    // Whoever manages places may, and it is in the audit log who did what.
    std::fs::remove_file(folder.path().join("stuck"))?;
    let run = commands::power(&hub.operator(), hub.hub(), &boards, "bench", PowerCommand::On).await?;
    assert_eq!(run.outcome, Outcome::Done);
    let filter = EventFilter { action: Some("place.power".to_owned()), ..EventFilter::default() };
    let events = event::list(&hub.operator(), &hub.hub().store, &filter).await?;
    let mut told: Vec<(&str, &str)> = events
        .iter()
        .map(|event| (event.actor.as_str(), event.detail["command"].as_str().unwrap()))
        .collect();
    told.reverse();
    let operator = hub.operator().actor.name();
    assert_eq!(told, [("ann", "on"), ("ann", "cycle"), ("ann", "off"), (operator.as_str(), "on")]);

    // It is off when nobody has it.
    ask(&ann, Method::DELETE, "/reservations/bench", json!({})).await?;
    ran(&ann, "bench", "power_off").await?;
    assert_eq!(std::fs::read_to_string(folder.path().join("power"))?, "off\n");
    Ok(())
}

/// The last ten commands of a place are kept, on either store.
async fn the_last_ten_are_kept(database: Option<String>) -> anyhow::Result<()> {
    let boards = Boards::new(BoardsConfig::default())?;
    let setup = TestHubSetup {
        config: HubConfig { database, ..HubConfig::default() },
        fleets: vec![Arc::new(boards.clone())],
        ..TestHubSetup::default()
    };
    let hub = TestHub::with(setup).await?;
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let lab = node(&hub, "lab", "exporter").await?;
    let ann = node(&hub, "ann", "importer").await?;
    let mut places = Vec::new();
    for name in ["bench", "other"] {
        let mut place = with(folder.path(), &echo, name, "", "");
        place.commands.power = Some(Power {
            on: "n=$(cat \"n-$NAVE_PLACE\" 2>/dev/null); n=$((n + 1)); echo $n | tee \"n-$NAVE_PLACE\""
                .to_owned(),
            off: "kill -KILL $$".to_owned(),
            cycle: None,
            status: None,
            off_after: false,
            limit: Duration::from_mins(1),
        });
        places.push(place);
    }
    let exporter = export(&lab, places).await?;
    exporter.says("offered other").await?;
    let operator = hub.operator();
    let power =
        async |place: &str, command| commands::power(&operator, hub.hub(), &boards, place, command).await;
    power("other", PowerCommand::On).await?;
    for _ in 0..11 {
        power("bench", PowerCommand::On).await?;
    }
    let killed = power("bench", PowerCommand::Off).await?;
    assert_eq!((killed.outcome, killed.status), (Outcome::Failed, None));
    let kept = shown(&ann, "bench").await?["commands"].clone();
    let told: Vec<&str> =
        kept.as_array().unwrap().iter().map(|run| run["output"].as_str().unwrap().trim()).collect();
    assert_eq!(told, ["", "11", "10", "9", "8", "7", "6", "5", "4", "3"]);
    assert_eq!((&kept[0]["status"], &kept[0]["reservation"]), (&Value::Null, &Value::Null));
    assert_eq!(shown(&ann, "other").await?["commands"][0]["output"], "1\n");
    Ok(())
}

#[tokio::test]
async fn the_last_ten_commands_are_kept() -> anyhow::Result<()> {
    the_last_ten_are_kept(None).await
}

#[tokio::test]
async fn the_last_ten_commands_are_kept_on_postgres() -> anyhow::Result<()> {
    if !need("postgres") {
        return Ok(());
    }
    the_last_ten_are_kept(Some(Postgres::shared()?.database()?)).await
}
