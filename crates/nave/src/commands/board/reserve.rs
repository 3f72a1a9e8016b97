//! `nave board reserve`: asks for a place, and says how long it will take while others have it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use nave_boards::api::{Reservation, ReserveRequest, Waiter};
use nave_boards::node::import::ImportDescription;
use nave_boards::node::lookup::{Folders, Wish};
use nave_core::clock::Clock;

use super::Context;
use crate::cli::board::Reserve;
use crate::client::HubClient;

/// What reservations are limited to that say nothing else, in seconds: a year.
const LONGEST: u64 = 31_536_000;
/// How often somebody who waits is told where in the queue.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// The import description of a name, and what a reservation by it is called.
pub(super) fn description(name: &str) -> anyhow::Result<(String, ImportDescription)> {
    let folders = Folders::of_process().context("cannot look for import descriptions")?;
    let found = folders.read(name)?;
    let description = ImportDescription::parse(&found.text).with_context(|| name.to_owned())?;
    Ok((found.name, description))
}

pub async fn run(context: &Context<'_>, args: Reserve) -> anyhow::Result<()> {
    let mut request = ReserveRequest { places: args.place, ..ReserveRequest::default() };
    let mut limit = Some(Duration::from_hours(10));
    if let Some(text) = &args.description {
        let wish = Wish::parse(text);
        let (name, description) = description(&wish.name)?;
        request.parts = description.wanted();
        request.name = name;
        request.places.extend(wish.place);
        limit = description.auto_return;
    }
    if let Some(name) = args.with_name {
        request.name = name;
    }
    let limit = args.period.map(|period| period.0).or(limit);
    request.seconds = limit.map_or(LONGEST, |limit| limit.as_secs());
    request.wait = args.timeout.0.as_secs();
    let hub = context.hub().await?;
    let reserved = reserve(context, &hub, &request).await?;
    super::ran::tell_before(context, &hub, &reserved).await?;
    super::tell(context, &reserved)?;
    if !context.printer.is_json() {
        context.printer.data(&reserved.place);
    }
    Ok(())
}

/// Reserves; meanwhile whoever waits at a terminal or reads a log is told where in the queue it is.
async fn reserve(
    context: &Context<'_>,
    hub: &HubClient,
    request: &ReserveRequest,
) -> anyhow::Result<Reservation> {
    if request.wait > 86_400 {
        bail!("--timeout: nobody waits longer than 24h at a time");
    }
    let asking = hub.post("/nave/v1/reservations", request);
    tokio::pin!(asking);
    let mut told = String::new();
    loop {
        tokio::select! {
            reserved = &mut asking => return reserved,
            () = tokio::time::sleep(TELL_EVERY) => {}
        }
        let queue: Vec<Waiter> = hub.get("/nave/v1/reservations/queue").await.unwrap_or_default();
        // Of several waits of one person, the last is this one.
        let Some(own) = queue.iter().rfind(|waiter| waiter.mine) else {
            if let Some(words) = super::ran::made_ready(hub).await.filter(|words| *words != told) {
                context.printer.talk(&words);
                told = words;
            }
            continue;
        };
        let expected =
            own.expected.map(|at| format!(", expected {}", super::in_words(at, Clock::system().now())));
        let words = format!(
            "nave: waiting for {}: number {} of {} in the queue{}",
            own.places.join(" or "),
            own.position,
            queue.len(),
            expected.unwrap_or_default()
        );
        if words != told {
            context.printer.talk(&words);
            told = words;
        }
    }
}
