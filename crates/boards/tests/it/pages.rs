//! The fleet's pages as people meet them, in a real browser on a real hub: reserving, extending, handing over and
//! returning; what somebody without rights sees; that pages stay live.

use anyhow::ensure;
use nave_boards::node::commands::{Commands, Power};
use nave_boards::node::export::ExportDescription;
use nave_core::api::Role;
use nave_testkit::echo::Echo;
use nave_testkit::hub::TestHub;
use nave_testkit::need;
use nave_testkit::person::TestPerson;
use nave_testkit::visit::Visit;
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::client::{Client, OPEN, farm};
use crate::native::{export, hears_itself, node, place};

/// An exporter that lets in whom it is told to.
pub async fn exporter(hub: &TestHub, name: &str) -> anyhow::Result<DropGuard> {
    let mut client = Client::connect(hub, "10.77.0.2").await?;
    client.register(name).await?;
    let stop = CancellationToken::new();
    // Nobody may ask anything of it for longer than a test waits.
    let serve = async move {
        while client.lets_in().await.map_or_else(|error| error.to_string() == "nothing comes", |_| true) {}
    };
    tokio::spawn(stop.clone().run_until_cancelled_owned(serve));
    Ok(stop.drop_guard())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_reserved_and_passed_on_from_the_browser_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = farm(OPEN).await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Operator, "*")]).await?;
    let visit = Visit::of(&hub, &ada).await?;
    visit.to("/boards").await?;
    visit.reads("There is no place yet").await?;
    visit.sees("nave-live[state=live]").await?;
    // What comes shows by itself.
    let _exporters = (exporter(&hub, "bench-1").await?, exporter(&hub, "bench 2/3").await?);
    visit.presses("bench 2/3").await?;
    visit.reads("Nobody: it is free.").await?;

    // What cannot be stands beside its field, and what was typed stays.
    visit.types("time", "soon").await?;
    visit.presses("Reserve").await?;
    ensure!(visit.sees("#time[aria-invalid=true]").await?.prop("value").await?.as_deref() == Some("soon"));
    visit.types("time", "400d").await?;
    visit.presses("Reserve").await?;
    visit.reads("Must be from 1 to 31536000 seconds").await?;
    visit.types("time", "2h").await?;
    visit.types("name", "mine").await?;
    visit.presses("Reserve").await?;
    visit.reads("You have it").await?;
    visit.reads("nave board attach --place 'bench 2/3'").await?;

    visit.types("more", "3d").await?;
    visit.presses("Extend").await?;
    visit.reads("in 2 days").await?;
    visit.types("to", "nobody@example.org").await?;
    visit.presses("Hand over").await?;
    visit.sees("#to[aria-invalid=true]").await?;
    visit.types("to", &grace.email).await?;
    visit.presses("Hand over").await?;
    visit.reads("Grace has it").await?;

    // Whoever comes too late is told who has it, and what waits.
    let other = Visit::of(&hub, &grace).await?;
    other.to("/boards/reservations").await?;
    other.reads("bench 2/3").await?;
    visit.to("/boards/places/bench-1").await?;
    other.to("/boards/places/bench-1").await?;
    other.sees("nave-live[state=live]").await?;
    visit.presses("Reserve").await?;
    visit.reads("You have it").await?;
    other.reads("Ada has it").await?;
    other.reads("nave board reserve --place bench-1 --timeout 1h").await?;
    other.presses("Take it away").await?;
    other.sees("dialog#take[open] button.solid").await?.click().await?;
    other.reads("Nobody: it is free.").await?;
    visit.reads("Nobody: it is free.").await?;
    other.to("/boards/reservations").await?;
    other.presses("Return").await?;
    other.reads("You have no place").await?;

    // Any place that has what is wanted.
    visit.to("/boards/reserve?tag=board").await?;
    ensure!(visit.sees("#tags").await?.prop("value").await?.as_deref() == Some("board"));
    visit.presses("Reserve").await?;
    visit.reads("You have it").await?;
    visit.to("/boards/reserve?tag=unheard-of").await?;
    visit.presses("Reserve").await?;
    visit.reads("No place in the farm has these parts").await?;

    visit.to("/audit").await?;
    visit.reads("Ada handed over bench 2/3 to Grace").await?;
    visit.reads("Grace took away bench-1 from Ada").await?;
    visit.reads("Grace returned bench 2/3").await?;
    other.end().await?;
    visit.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_taken_out_of_service_and_put_back_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = farm(OPEN).await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let vera = TestPerson::invite(&hub, "Vera", &[(Role::Viewer, "*")]).await?;
    let _exporter = exporter(&hub, "bench").await?;
    let (visit, viewer) = (Visit::of(&hub, &ada).await?, Visit::of(&hub, &vera).await?);
    viewer.to("/boards").await?;
    viewer.sees("nave-live[state=live]").await?;
    visit.to("/boards/places/bench").await?;
    visit.types("reason", " ").await?;
    visit.presses("Take it out").await?;
    visit.sees("#reason[aria-invalid=true]").await?;
    visit.types("reason", "smoke").await?;
    visit.presses("Take it out").await?;
    visit.reads("Out of service: smoke").await?;
    ensure!(visit.count("[action$='/reserve']").await? == 0);
    // A viewer hears of it, reads the reason, and has nothing to press.
    viewer.reads("smoke").await?;
    for path in ["/boards", "/boards/places/bench", "/boards/queue", "/boards/reservations"] {
        viewer.to(path).await?;
        ensure!(viewer.count("main form[method=post], main .primary").await? == 0, "{path}");
    }
    viewer.to("/boards/reserve").await?;
    viewer.reads("You may not do that").await?;
    visit.presses("Put it into service").await?;
    visit.reads("Nobody: it is free.").await?;
    visit.to("/").await?;
    visit.reads("Ada put bench into service again").await?;
    ensure!(visit.sees("#fleet-boards dd").await?.text().await? == "1");
    viewer.end().await?;
    visit.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_to_a_place_are_on_its_page_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = farm("").await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let echo = Echo::start().await?;
    let (lab, ann) = (node(&hub, "lab", "exporter").await?, node(&hub, "ann", "importer").await?);
    let exporter = export(&lab, vec![place("bench", echo.address)]).await?;
    exporter.says("offered bench").await?;
    let visit = Visit::of(&hub, &ada).await?;
    visit.to("/boards/places/bench").await?;
    visit.presses("Reserve").await?;
    visit.reads("You have it").await?;
    visit.types("to", "ann").await?;
    visit.presses("Hand over").await?;
    visit.reads("ann has it").await?;
    let forward = ann.forward(&format!("lab:{}", echo.address)).await?;
    let _io = hears_itself(&forward).await?;
    visit.reads(&format!("lab:{}", echo.address)).await?;
    visit.sees("#streams nave-rate").await?;
    visit.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_power_of_a_place_are_on_its_page_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = farm("").await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let lab = node(&hub, "lab", "exporter").await?;
    let line = |text: &str| Some(text.to_owned());
    let commands = Commands {
        folder: folder.path().to_owned(),
        before: line(
            "echo 'flashing <b>known</b>.img'; while ! test -e go; do sleep 0.05; done; test ! -e broken",
        ),
        power: Some(Power {
            on: "echo relay closed".to_owned(),
            off: "echo relay is stuck; exit 1".to_owned(),
            cycle: None,
            status: line("echo it is on"),
            off_after: false,
            limit: std::time::Duration::from_mins(1),
        }),
        ..Commands::default()
    };
    let exporter = export(&lab, vec![ExportDescription { commands, ..place("bench", echo.address) }]).await?;
    exporter.says("offered bench").await?;
    let visit = Visit::of(&hub, &ada).await?;
    visit.to("/boards/places/bench").await?;
    visit.sees("nave-live[state=live]").await?;
    // A page does not wait until it is ready; it says so, and sees it.
    visit.presses("Reserve").await?;
    visit.reads("bench is yours as soon as it is ready.").await?;
    visit.reads("the command before a reservation began").await?;
    visit.sees("nave-live[state=live]").await?;
    std::fs::write(folder.path().join("go"), "")?;
    visit.reads("Before the reservation of Ada ended with exit status 0").await?;
    visit.sees("#commands summary").await?.click().await?;
    visit.reads("flashing <b>known</b>.img").await?;

    visit.presses("On").await?;
    visit.reads("The power of bench is on.").await?;
    visit.presses("Is it on?").await?;
    visit.reads("bench says: it is on").await?;
    visit.presses("Off").await?;
    visit.reads("the command that switches the power off failed with exit status 1: relay is stuck").await?;
    // What somebody reads stays unfolded when more comes.
    visit.to("/boards/places/bench").await?;
    visit.sees("nave-live[state=live]").await?;
    visit.sees("#commands li:first-child summary").await?.click().await?;
    visit.reads("relay is stuck").await?;
    let operator = hub.operator();
    let boards = hub.hub().leases.pool("boards").unwrap();
    let lease = boards.held().remove(0).lease.id;
    std::fs::write(folder.path().join("broken"), "")?;
    boards.end(&operator, hub.hub(), lease).await?;
    visit.reads("Nobody: it is free.").await?;
    ensure!(visit.count("#commands details[open]").await? == 1);
    // One that breaks meanwhile is taken away again, and the page says why.
    visit.presses("Reserve").await?;
    visit.reads("Out of service: the command before a reservation failed with exit status 1").await?;
    visit.reads("lost it, since it could not be made ready").await?;
    visit.to("/audit").await?;
    visit.reads("Ada switched bench on").await?;
    visit.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_had_a_place_and_how_the_farm_was_used_is_drawn_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = farm(OPEN).await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let _exporters = (exporter(&hub, "bench").await?, exporter(&hub, "other").await?);
    let visit = Visit::of(&hub, &ada).await?;
    visit.to("/boards/places/bench").await?;
    ensure!(visit.count("nave-strip").await? == 0, "nobody had it yet");
    visit.presses("Reserve").await?;
    visit.reads("You have it").await?;
    // Whatever has the focus is told in words.
    visit.sees("nave-strip a[data-of='0']").await?;
    let focus = "document.querySelector('nave-strip a').focus()";
    visit.browser.client().execute(focus, vec![]).await?;
    visit.reads("Ada has it since").await?;
    visit.presses("Return it").await?;
    visit.reads("Ada had it for").await?;
    visit.sees("nave-strip a[href='#had-1']").await?;

    visit.to("/boards").await?;
    visit.presses("Usage").await?;
    visit.sees("svg.chart rect.taken").await?;
    visit.presses("4 weeks").await?;
    ensure!(visit.count("svg.chart[aria-label^='Which part'] g").await? == 4);
    visit.presses("board").await?;
    ensure!(visit.count("#places tbody tr").await? == 2);
    visit.presses("bench").await?;
    visit.reads("The page of bench").await?;
    let figures = visit.sees(".figures").await?.text().await?;
    ensure!(figures.contains("Reservations\n1\n"), "{figures}");
    visit.to("/boards/usage?tag=unheard-of&weeks=7").await?;
    visit.reads("No place is like that").await?;
    visit.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_work_without_scripts_and_strangers_sign_in_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = farm(OPEN).await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let _exporter = exporter(&hub, "bench").await?;
    let stranger = Visit::stranger(&hub).await?;
    for path in
        ["/boards", "/boards/places/bench", "/boards/queue", "/boards/reservations", "/boards/reserve"]
    {
        stranger.to(path).await?;
        stranger.sees("form[action='/sign-in']").await?;
    }
    stranger.end().await?;
    let visit = Visit::of(&hub, &ada).await?;
    visit.browser.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": true })).await?;
    visit.to("/boards").await?;
    visit.types("q", "nothing\n").await?;
    visit.reads("No place is like that").await?;
    visit.to("/boards/places/bench").await?;
    visit.presses("Reserve").await?;
    visit.reads("You have it").await?;
    visit.presses("Return it").await?;
    visit.reads("Nobody: it is free.").await?;
    visit.end().await
}
