//! `nave board …`: the farm of a Nave hub, by its API.

mod agent;
mod bookings;
mod export;
mod import_config;
mod ran;
mod reserve;
mod whole;

use http::Method;
use nave_boards::api::{
    BookingState, FarmPlace, HandOver, Part, PlaceDetail, Reservation, ReservationChange, SetMaintenance,
    Waiter, assign,
};
use serde_json::json;
use time::OffsetDateTime;

use super::Context;
use super::node::moment;
use crate::cli::board::{Board, Bookings};
use crate::client::segment;

pub async fn run(context: &Context<'_>, command: Board) -> anyhow::Result<()> {
    let printer = context.printer;
    match command {
        Board::Export(args) => export::run(context, args).await,
        Board::Agent => agent::run(context).await,
        Board::Attach(args) => agent::attach(context, args).await,
        Board::Detach(args) => agent::detach(context, args).await,
        Board::ImportConfig(args) => import_config::run(context, &args),
        Board::Status => agent::status(context).await,
        Board::Edit { name } => agent::edit(context, &name).await,
        Board::Uevent { devpath } => super::not_my_board::uevent::run(&devpath, "warn").await,
        Board::Search { description } => search(context, description.as_deref()).await,
        Board::List => {
            let mut mine = reservations(context).await?;
            mine.retain(|held| held.mine);
            let columns = ["NAME", "PLACE", "SINCE", "UNTIL"];
            printer.rows(
                &mine,
                &columns,
                own_row,
                "nothing is reserved for you: `nave board reserve` changes that",
            )
        }
        Board::Who => who(context).await,
        Board::Bookings { command: None } => bookings::list(context).await,
        Board::Bookings { command: Some(Bookings::Cancel { names }) } => {
            bookings::cancel(context, &names).await
        }
        Board::Bookings { command: Some(Bookings::Change { name, from, period }) } => {
            bookings::change(context, &name, from.as_deref(), period.map(|period| period.0)).await
        }
        Board::Show { place } => show(context, &place).await,
        Board::Power(args) => ran::power(context, args).await,
        Board::Reserve(args) => reserve::run(context, args).await,
        Board::Return { names } => give_back(context, &names).await,
        Board::Extend { name, period } => {
            let change = ReservationChange { seconds: period.0.as_secs() };
            let hub = context.hub().await?;
            let extended: Reservation = hub.send_json(Method::PATCH, &reservation(&name), &change).await?;
            tell(context, &extended)
        }
        Board::Handover { name, to } => {
            let path = format!("{}/hand-over", reservation(&name));
            let handed: Reservation = context.hub().await?.post(&path, &HandOver { to }).await?;
            tell(context, &handed)
        }
        Board::Close { place, reason } => {
            let why = SetMaintenance { reason };
            context.hub().await?.act(Method::PUT, &maintenance(&place), &why).await?;
            printer.talk(format!(
                "nave: {place} is out of service; `nave board open {place}` puts it into service again"
            ));
            Ok(())
        }
        Board::Open { place } => {
            context.hub().await?.act(Method::DELETE, &maintenance(&place), &json!({})).await?;
            printer.talk(format!("nave: {place} is in service again"));
            Ok(())
        }
        Board::Completions { shell } => super::reference::completions(context, shell),
    }
}

/// Returns places, and cancels bookings: what a name is, the hub decides, and what became of it is told.
async fn give_back(context: &Context<'_>, names: &[String]) -> anyhow::Result<()> {
    let hub = context.hub().await?;
    for name in names {
        let held = reservations(context).await?;
        let booked = bookings::all(context).await?;
        let is_held = held
            .iter()
            .any(|held| held.id == *name || held.place == *name || (held.mine && held.name == *name));
        let booking = booked.iter().find(|booking| !is_held && bookings::is_meant(booking, name));
        hub.act(Method::DELETE, &reservation(name), &json!({})).await?;
        context
            .printer
            .talk(booking.map_or_else(|| format!("nave: {name} is returned"), bookings::cancelled));
    }
    Ok(())
}

fn reservation(name: &str) -> String {
    format!("/nave/v1/reservations/{}", segment(name))
}

fn maintenance(place: &str) -> String {
    format!("/nave/v1/places/{}/maintenance", segment(place))
}

async fn reservations(context: &Context<'_>) -> anyhow::Result<Vec<Reservation>> {
    context.hub().await?.get("/nave/v1/reservations").await
}

async fn places(context: &Context<'_>) -> anyhow::Result<Vec<FarmPlace>> {
    context.hub().await?.get("/nave/v1/places").await
}

/// Says until when a place is whose.
fn tell(context: &Context<'_>, reservation: &Reservation) -> anyhow::Result<()> {
    if context.printer.is_json() {
        return context.printer.value(reservation);
    }
    let mut until = reservation.until.map(|until| format!(" until {}", moment(until))).unwrap_or_default();
    if let Some(who) = &reservation.booked_by {
        until.push_str(&format!("; then it is booked by {who}"));
    }
    let whose = if reservation.mine { "yours" } else { &reservation.holder };
    context.printer.talk(format!("nave: {} is {whose}{until}", reservation.place));
    Ok(())
}

async fn search(context: &Context<'_>, description: Option<&str>) -> anyhow::Result<()> {
    let mut places = places(context).await?;
    if let Some(name) = description {
        let (_, description) = reserve::description(name)?;
        places.retain(|place| assign(&description.wanted(), &place.parts).is_some());
    }
    let columns = ["PLACE", "STATE", "PARTS", "NODE", "WAITING"];
    let empty = match description {
        Some(name) => format!("no place has what {name} wants: `nave board search` lists them all"),
        None => {
            "no places yet: `nave board export` on a machine with boards puts them into the farm".to_owned()
        }
    };
    context.printer.rows(&places, &columns, place_row, &empty)
}

fn place_row(place: &FarmPlace) -> Vec<String> {
    let parts: Vec<String> = place.parts.iter().map(words).collect();
    let by = place.node.clone().or_else(|| place.address.clone()).unwrap_or_default();
    let waiting = if place.waiting == 0 { String::new() } else { place.waiting.to_string() };
    vec![place.name.clone(), state(place), parts.join(", "), by, waiting]
}

fn state(place: &FarmPlace) -> String {
    let held = place.reservation.as_ref().map(|held| {
        let until = held.until.map(|until| format!(" until {}", moment(until))).unwrap_or_default();
        format!("{}{until}", held.holder)
    });
    if let (Some(running), None) = (&place.running, &place.maintenance) {
        let then = held.map(|held| format!("; then {held}")).unwrap_or_default();
        return format!("{} is running{then}", running.occasion.words());
    }
    match (&place.maintenance, held, place.here) {
        (Some(closed), None, _) => format!("out of service: {}", closed.reason),
        (Some(_), Some(held), _) => format!("{held}, then out of service"),
        (None, Some(held), true) => held,
        (None, Some(held), false) => format!("{held}; away"),
        (None, None, true) => place.booking.as_ref().map_or("free".to_owned(), |booking| {
            let from = moment(booking.starts_at);
            match booking.state {
                BookingState::Booked => format!("free until {from}, then booked by {}", booking.holder),
                BookingState::Waiting => format!("booked by {} from {from} on", booking.holder),
            }
        }),
        (None, None, false) => "away".to_owned(),
    }
}

fn words(part: &Part) -> String {
    part.compatible.join(" ")
}

fn own_row(reservation: &Reservation) -> Vec<String> {
    vec![
        reservation.name.clone(),
        reservation.place.clone(),
        moment(reservation.since),
        reservation.until.map(moment).unwrap_or_default(),
    ]
}

async fn who(context: &Context<'_>) -> anyhow::Result<()> {
    let held = reservations(context).await?;
    let queue: Vec<Waiter> = context.hub().await?.get("/nave/v1/reservations/queue").await?;
    let booked = bookings::all(context).await?;
    let printer = context.printer;
    if printer.is_json() {
        return printer.value(&json!({ "reservations": held, "queue": queue, "bookings": booked }));
    }
    let row = |held: &Reservation| {
        vec![
            held.place.clone(),
            held.holder.clone(),
            moment(held.since),
            held.until.map(moment).unwrap_or_default(),
        ]
    };
    printer.rows(&held, &["PLACE", "USER", "SINCE", "UNTIL"], row, "every place is free")?;
    if !booked.is_empty() {
        printer.data("");
        bookings::show(context, &booked, "")?;
    }
    if queue.is_empty() {
        return Ok(());
    }
    printer.data("");
    let row = |waiter: &Waiter| {
        vec![
            waiter.position.to_string(),
            waiter.holder.clone(),
            reserve::wish_words(waiter, ", "),
            moment(waiter.since),
            waiter.expected.map(moment).unwrap_or_default(),
        ]
    };
    printer.rows(&queue, &["QUEUE", "USER", "FOR ANY OF", "SINCE", "EXPECTED"], row, "")
}

async fn show(context: &Context<'_>, place: &str) -> anyhow::Result<()> {
    let detail: PlaceDetail =
        context.hub().await?.get(&format!("/nave/v1/places/{}", segment(place))).await?;
    let printer = context.printer;
    if printer.is_json() {
        return printer.value(&detail);
    }
    let place = &detail.place;
    let line = |name: &str, value: &str| printer.data(format!("{name:<11} {value}").trim_end());
    line("place", &place.name);
    line("state", &state(place));
    line("here", if place.here { "yes" } else { "no: its exporter is not connected" });
    line("node", place.node.as_deref().unwrap_or_default());
    line("address", place.address.as_deref().unwrap_or_default());
    line("uniqueness", &format!("{:.3}", place.uniqueness));
    line("waiting", &place.waiting.to_string());
    for (at, part) in place.parts.iter().enumerate() {
        line(&format!("part {}", at + 1), &words(part));
        for (name, usb) in &part.usb {
            line("", &format!("usb {name}: {}", usb.usbid));
        }
        for (name, tcp) in &part.tcp {
            line("", &format!("tcp {name}: {}:{}", tcp.host, tcp.port));
        }
    }
    for booking in &detail.bookings {
        let span =
            format!("{} from {} to {}", booking.holder, moment(booking.starts_at), moment(booking.until));
        line("booked", &span);
    }
    if !place.power.is_empty() {
        let commands: Vec<&str> = place.power.iter().map(|command| command.word()).collect();
        line("power", &commands.join(", "));
    }
    for run in ran::lines(&detail) {
        line("command", &run);
    }
    for past in &detail.past {
        line(
            "before",
            &format!(
                "{} from {} to {}: {}",
                past.holder,
                moment(past.since),
                moment(past.until),
                past.reason
            ),
        );
    }
    Ok(())
}

/// In how long something is expected, for somebody who waits.
fn in_words(at: OffsetDateTime, now: OffsetDateTime) -> String {
    let minutes = (at - now).whole_minutes();
    match minutes {
        ..1 => "at any moment".to_owned(),
        1..120 => format!("in about {minutes} min"),
        120..2880 => format!("in about {} h", minutes / 60),
        _ => format!("in about {} days", minutes / 1440),
    }
}
