//! Booking places and having several at once, at the command line: what is printed for people and for programs, and what
//! somebody hears who asks for what cannot be.

use anyhow::{Context as _, ensure};
use nave_boards::api::{Booking, BookingState, Reservation};
use nave_core::clock::Clock;
use nave_testkit::need;
use nave_testkit::net::Host;
use nave_testkit::wait::until;
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use crate::board::{Farm, farm, nave, said};
use crate::program::{Background, Output, run};

const PLACES: [&str; 3] = ["bench", "rack", "shelf"];

/// The farm of the neighbours, with two more places that nobody has to reach.
async fn three_places() -> anyhow::Result<Farm> {
    let farm = farm().await?;
    let folder = farm.net.lab.home().join("places");
    for (name, port) in [("rack", 2193), ("shelf", 2194)] {
        let text = format!("port = {port}\n[[parts]]\ncompatible = [\"{name}\"]\n");
        std::fs::write(folder.join(format!("{name}.toml")), text)?;
        farm.exporter.says(&format!("{name} is in the farm")).await?;
    }
    Ok(farm)
}

async fn runs(host: &Host, args: &[&str]) -> anyhow::Result<Output> {
    let mut command = nave(host, &[&["board"], args].concat());
    run(command.env("TZ", "Europe/Berlin")).await
}

/// What somebody hears whose command fails.
async fn fails(host: &Host, args: &[&str]) -> anyhow::Result<String> {
    let output = runs(host, args).await?;
    ensure!(output.code == 1 && output.stdout.is_empty(), "{args:?}: {output:?}");
    Ok(output.stderr)
}

/// A whole hour some days ahead, and how the clock in Berlin shows it; not when clocks are changed.
fn ahead(days: i64) -> anyhow::Result<(OffsetDateTime, String)> {
    let now = Clock::system().now();
    let at = (now + Duration::days(days)).replace_time(time::macros::time!(12:00));
    let zone = jiff::tz::TimeZone::get("Europe/Berlin")?;
    let local = jiff::Timestamp::from_second(at.unix_timestamp())?.to_zoned_datetime(zone);
    Ok((at, local.strftime("%Y-%m-%d %H:%M").to_string()))
}

fn utc(at: OffsetDateTime) -> anyhow::Result<String> {
    Ok(at.format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z"))?)
}

async fn bookings(farm: &Farm) -> anyhow::Result<Vec<Booking>> {
    Ok(serde_json::from_value(farm.json(&["board", "bookings"]).await?)?)
}

#[tokio::test]
async fn a_place_is_booked_listed_and_cancelled_on_netns_hosts() -> anyhow::Result<()> {
    if !need("netns") || !need("curl") {
        return Ok(());
    }
    let farm = three_places().await?;
    let (laptop, server) = (&farm.net.laptop, &farm.net.server);
    let empty = runs(laptop, &["bookings"]).await?;
    ensure!(empty.code == 0 && empty.stdout.is_empty(), "{empty:?}");
    assert_eq!(empty.stderr, "nothing is booked: `nave board reserve --from` changes that\n");
    assert_eq!(farm.json(&["board", "bookings"]).await?, Value::Array(Vec::new()));

    // By the clock of whoever books.
    let (start, local) = ahead(3)?;
    let from = local.replace(' ', "T");
    let booked = runs(laptop, &["reserve", "demo", "--from", &from, "--for", "2h"]).await?;
    ensure!(booked.code == 0 && booked.stdout == "bench\n", "{booked:?}");
    let told = format!("nave: bench is booked for you from {local} (Europe/Berlin) to ");
    ensure!(booked.stderr.starts_with(&told), "{booked:?}");
    let listed = runs(laptop, &["bookings"]).await?.ok()?;
    let mut lines = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(lines.next().as_deref(), Some("BOOKED BY NAME FROM UNTIL STATE ID"));
    let row = format!("bench laptop demo {} {} ", utc(start)?, utc(start + Duration::hours(2))?);
    ensure!(lines.next().is_some_and(|line| line.starts_with(&row)), "{listed}");
    let own = bookings(&farm).await?;
    ensure!(own.len() == 1 && own[0].mine && own[0].state == BookingState::Booked, "{own:?}");
    assert_eq!((own[0].starts_at, own[0].until), (start, start + Duration::hours(2)));
    let who = runs(server, &["who"]).await?.ok()?;
    ensure!(who.contains("BOOKED") && who.contains("laptop"), "{who}");
    let shown = runs(server, &["show", "bench"]).await?.ok()?;
    let state = format!("free until {}, then booked by laptop", utc(start)?);
    ensure!(shown.contains(&state), "{shown}");

    // What cannot be: a wrong time, one that has passed, one too far ahead, none to say how long, one's own second
    // booking, and somebody else's at that time.
    let place = |from: &str, more: &[&str]| -> Vec<String> {
        let begin = ["reserve", "--place", "bench", "--from", from];
        begin.iter().chain(more).map(ToString::to_string).collect()
    };
    let exact = (start + Duration::hours(1)).format(&Rfc3339)?;
    for (host, args, words) in [
        (laptop, place("tomorrow", &[]), "--from: \"tomorrow\" is no time: write 2026-12-01T14:00, 14:00"),
        (
            laptop,
            place("2020-01-01T14:00", &[]),
            "--from: 2020-01-01 14:00 (Europe/Berlin) has passed; without",
        ),
        (laptop, place("9000-01-01T14:00", &[]), "lies more than a year ahead"),
        (laptop, place("14:00", &["--for", "400d"]), "must be from 1 to 31536000 seconds"),
        (
            laptop,
            place(&exact, &["-n", "demo"]),
            "a place named \"demo\" is reserved or booked for you already",
        ),
        (
            laptop,
            place(&exact, &["--for", "1h"]),
            "no place that would do is free for that time: laptop has booked bench from",
        ),
        (server, place(&exact, &["--for", "1h"]), "laptop has booked bench from"),
        (server, place(&exact, &["--place", "shed", "--for", "1h"]), "laptop has booked bench from"),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let said = fails(host, &args).await?;
        ensure!(said.contains(words), "{args:?}: {said}");
    }
    let unknown = fails(laptop, &["reserve", "--place", "shed", "--from", "14:00", "--for", "1h"]).await?;
    ensure!(unknown.contains("there is no place named \"shed\""), "{unknown}");
    let several = fails(laptop, &["reserve", "demo", "demo", "--from", "14:00"]).await?;
    ensure!(several.contains("--from books one place at a time"), "{several}");
    let waits = runs(laptop, &["reserve", "demo", "--from", "14:00", "--timeout", "1h"]).await?;
    ensure!(waits.code == 2 && waits.stderr.contains("cannot be used with"), "{waits:?}");
    assert_eq!(bookings(&farm).await?.len(), 1);

    // Until then the place is others', no longer.
    let held = runs(server, &["reserve", "--place", "bench", "--for", "30d"]).await?;
    ensure!(held.stderr.contains("; then it is booked by laptop"), "{held:?}");
    let longer = fails(server, &["extend", "bench", "--for", "30d"]).await?;
    ensure!(longer.contains("bench is booked by laptop from"), "{longer}");
    let shorter = runs(server, &["extend", "bench", "--for", "1h"]).await?;
    ensure!(shorter.code == 0 && !shorter.stderr.contains("then it is booked"), "{shorter:?}");
    said(server, &["board", "return", "bench"]).await?;

    bookings_are_cancelled(&farm, start).await?;
    what_was_booked_begins(&farm, start).await
}

/// By name, by id and by place; the first is there, for two hours from `start` on.
async fn bookings_are_cancelled(farm: &Farm, start: OffsetDateTime) -> anyhow::Result<()> {
    let (laptop, server) = (&farm.net.laptop, &farm.net.server);
    let exact = (start + Duration::hours(1)).format(&Rfc3339)?;
    // Another place, if one is free then; programs read the booking.
    let either =
        ["reserve", "--place", "bench", "--place", "rack", "--from", &exact, "--for", "1h", "--json"];
    let second: Booking = serde_json::from_str(&runs(laptop, &either).await?.ok()?)?;
    ensure!(second.place == "rack" && second.name.is_empty(), "{second:?}");
    // By its name and by its id; only one's own, for whoever may not manage places.
    let unknown = fails(laptop, &["bookings", "cancel", "nothing"]).await?;
    ensure!(
        unknown.contains("there is no booking \"nothing\": `nave board bookings` lists them"),
        "{unknown}"
    );
    let stranger = fails(&farm.net.lab, &["bookings", "cancel", &second.id]).await?;
    ensure!(stranger.contains("node lab may not do that"), "{stranger}");
    // Moved to other times, if the place is free then: else it stays as it was.
    let moved = runs(laptop, &["bookings", "change", "demo", "--for", "30m"]).await?;
    ensure!(moved.code == 0 && moved.stderr.starts_with("nave: bench is booked for you from "), "{moved:?}");
    let later = (start + Duration::hours(4)).format(&Rfc3339)?;
    let change = ["bookings", "change", &second.id, "--from", &later, "--for", "2h", "--json"];
    let moved: Booking = serde_json::from_str(&runs(laptop, &change).await?.ok()?)?;
    assert_eq!((moved.starts_at, moved.until), (start + Duration::hours(4), start + Duration::hours(6)));
    ensure!(moved.id == second.id && moved.place == "rack", "{moved:?}");
    let other = ["reserve", "--place", "rack", "--from", &exact, "--for", "1h"];
    runs(server, &other).await?.ok()?;
    for (host, args, words) in [
        (laptop, vec!["rack", "--from", &exact], "rack is not free for that time: "),
        (laptop, vec!["rack", "--from", "2020-01-01T14:00"], "has passed"),
        (laptop, vec!["rack", "--from", "9000-01-01T14:00"], "lies more than a year ahead"),
        (laptop, vec!["rack", "--for", "400d"], "must be from 1 to 31536000 seconds"),
        (laptop, vec!["nothing", "--for", "1h"], "there is no booking \"nothing\""),
        (&farm.net.lab, vec![&*second.id, "--for", "1h"], "node lab may not do that"),
    ] {
        let said = fails(host, &[&["bookings", "change"], args.as_slice()].concat()).await?;
        ensure!(said.contains(words), "{args:?}: {said}");
    }
    let neither = runs(laptop, &["bookings", "change", "rack"]).await?;
    ensure!(neither.code == 2 && neither.stderr.contains("--from <TIME>|--for <PERIOD>"), "{neither:?}");
    ensure!(bookings(farm).await?.contains(&moved), "it did not stay as it was");
    runs(server, &["bookings", "cancel", "rack"]).await?.ok()?;
    let cancelled = runs(laptop, &["bookings", "cancel", "demo", &second.id]).await?;
    ensure!(cancelled.code == 0, "{cancelled:?}");
    let lines = [
        format!("nave: the booking of bench from {} on is cancelled\n", utc(start)?),
        format!("nave: the booking of rack from {} on is cancelled\n", utc(moved.starts_at)?),
    ];
    assert_eq!(cancelled.stderr, lines.concat());
    assert_eq!(bookings(farm).await?, []);

    // One without a name is found by its place, unless there are several.
    for hours in [1, 3] {
        let from = (start + Duration::hours(hours)).format(&Rfc3339)?;
        runs(laptop, &["reserve", "--place", "rack", "--from", &from, "--for", "1h"]).await?.ok()?;
    }
    let several = fails(laptop, &["bookings", "cancel", "rack"]).await?;
    ensure!(several.contains("you have booked rack 2 times: name one of them by its id"), "{several}");
    let first = bookings(farm).await?.remove(0).id;
    runs(laptop, &["bookings", "cancel", &first, "rack"]).await?.ok()?;
    assert_eq!(bookings(farm).await?, []);
    Ok(())
}

/// A booking becomes a reservation, which is returned; what has not begun is cancelled by that.
async fn what_was_booked_begins(farm: &Farm, start: OffsetDateTime) -> anyhow::Result<()> {
    let (laptop, server) = (&farm.net.laptop, &farm.net.server);
    let exact = (start + Duration::hours(1)).format(&Rfc3339)?;
    // One that begins at once is a reservation, which is returned.
    let soon = (Clock::system().now() + Duration::seconds(2)).format(&Rfc3339)?;
    runs(laptop, &["reserve", "demo", "--from", &soon, "--for", "1h"]).await?.ok()?;
    until("it has begun", async || {
        let own: Vec<Reservation> = serde_json::from_value(farm.json(&["board", "list"]).await.ok()?).ok()?;
        own.into_iter().find(|held| held.name == "demo" && held.place == "bench")
    })
    .await?;
    let returned = runs(laptop, &["return", "demo"]).await?;
    ensure!(returned.code == 0 && returned.stderr == "nave: demo is returned\n", "{returned:?}");
    // What was reserved before stays so when it cannot be attached; what was not is given back.
    let mut python = laptop.command("python3");
    let taken = Background::start(python.args(["-u", "-m", "http.server", "8081", "--bind", "127.0.0.1"]))?;
    taken.says("Serving HTTP").await?;
    runs(laptop, &["reserve", "demo", "--for", "1h"]).await?.ok()?;
    let refused = fails(laptop, &["attach", "demo"]).await?;
    ensure!(refused.contains("8081") && refused.contains("demo stays reserved for you"), "{refused}");
    ensure!(runs(laptop, &["list"]).await?.ok()?.contains("demo"), "it was returned");
    runs(laptop, &["return", "demo"]).await?.ok()?;
    let refused = fails(laptop, &["attach", "demo"]).await?;
    ensure!(!refused.contains("stays reserved"), "{refused}");
    assert_eq!(farm.json(&["board", "list"]).await?, Value::Array(Vec::new()));
    // Returning what has not begun is cancelling, and says so; also somebody else's, for whoever may.
    runs(laptop, &["reserve", "demo", "--from", &exact, "--for", "1h"]).await?.ok()?;
    let id = bookings(farm).await?.pop().context("it was booked")?.id;
    let returned = runs(server, &["return", &id]).await?;
    let words = format!(
        "nave: the booking of bench by laptop from {} on is cancelled\n",
        utc(start + Duration::hours(1))?
    );
    ensure!(returned.code == 0 && returned.stderr == words, "{returned:?}");
    Ok(())
}

#[tokio::test]
async fn several_places_are_reserved_at_once_or_none_on_netns_hosts() -> anyhow::Result<()> {
    if !need("netns") || !need("curl") {
        return Ok(());
    }
    let farm = three_places().await?;
    let (laptop, server) = (&farm.net.laptop, &farm.net.server);
    let wishes = laptop.home().join(".config/not-my-board");
    std::fs::write(wishes.join("probe.toml"), "[parts.probe]\ncompatible = [\"rack\"]\n")?;
    let all = ["reserve", "--all", "--place", "bench", "--place", "rack", "--for", "1h"];

    let got = runs(laptop, &all).await?;
    ensure!(got.code == 0 && got.stdout == "bench\nrack\n", "{got:?}");
    ensure!(got.stderr.lines().count() == 2 && got.stderr.contains("nave: rack is yours until"), "{got:?}");
    // None instead of some, and who has what; nothing is kept.
    let server_all = ["reserve", "--all", "--place", "rack", "--place", "shelf", "--timeout", "0s"];
    let none = fails(server, &server_all).await?;
    ensure!(none.contains("not all of them were free at once, so none is reserved"), "{none}");
    ensure!(none.contains("laptop has rack") && none.contains("shelf is free"), "{none}");
    let free = runs(server, &["search", "--json"]).await?.ok()?;
    let free: Vec<Value> = serde_json::from_str(&free)?;
    let taken: Vec<&str> =
        free.iter().filter(|it| !it["reservation"].is_null()).filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(taken, ["bench", "rack"]);

    // Whoever waits for all has them as soon as all are free, and holds none meanwhile.
    let mut command = nave(server, &["board", "reserve", "--all", "--place", "rack", "--place", "shelf"]);
    let mut waiting = Background::start(&mut command)?;
    waiting.says("waiting for rack and shelf: number 1 of 1 in the queue").await?;
    let returned = runs(laptop, &["return", "bench", "rack"]).await?;
    assert_eq!(returned.stderr, "nave: bench is returned\nnave: rack is returned\n");
    waiting.says("shelf is yours").await?;
    ensure!(waiting.child.wait().await?.success(), "{}", waiting.output());
    said(server, &["board", "return", "rack"]).await?;
    said(server, &["board", "return", "shelf"]).await?;

    // A place for each description, each called as it is; programs read a list.
    let got = farm.json(&["board", "reserve", "demo", "probe", "--for", "1h"]).await?;
    let got: Vec<Reservation> = serde_json::from_value(got)?;
    let told: Vec<(&str, &str)> = got.iter().map(|it| (it.place.as_str(), it.name.as_str())).collect();
    assert_eq!(told, [("bench", "demo"), ("rack", "probe")]);
    said(laptop, &["board", "return", "demo", "probe"]).await?;
    let one = farm.json(&["board", "reserve", "--all", "--place", "shelf"]).await?;
    ensure!(one.as_array().is_some_and(|list| list.len() == 1), "{one}");
    said(laptop, &["board", "return", "shelf"]).await?;

    // What cannot be.
    for (args, words) in [
        (
            &["reserve", "--all", "--place", "bench", "--place", "bench"][..],
            "2 places are wanted at once, and the farm has 1",
        ),
        (&["reserve", "demo", "demo"], "two of them are named \"demo\""),
        (
            &["reserve", "demo", "probe", "-n", "x"],
            "--with-name names one reservation, and 2 places are wanted",
        ),
        (&["reserve", "--all", "--place", "bench", "--place", "shed"], "there is no place named \"shed\""),
        (&["reserve", "demo", "--timeout", "2d"], "--timeout: nobody waits longer than 24h at a time"),
        (
            &["reserve", "nothing"],
            "there is no import description nothing: neither .not-my-board/nothing.toml",
        ),
    ] {
        let said = fails(laptop, args).await?;
        ensure!(said.contains(words), "{args:?}: {said}");
    }
    for args in [&["reserve", "--all"][..], &["reserve"], &["reserve", "demo", "--all", "--place", "bench"]] {
        let output = runs(laptop, args).await?;
        ensure!(output.code == 2 && output.stderr.contains("Usage"), "{args:?}: {output:?}");
    }
    let found = farm.json(&["board", "search"]).await?;
    let names: Vec<&str> =
        found.as_array().into_iter().flatten().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(names, PLACES);
    ensure!(found.as_array().into_iter().flatten().all(|it| it["reservation"].is_null()), "{found}");
    Ok(())
}
