//! Commands that an exporter runs for a place, on the command line: what they printed, and `nave board power`.

use anyhow::bail;
use nave_boards::api::{CommandRun, FarmPlace, Occasion, PlaceDetail, PowerRequest, Reservation};

use super::super::node::moment;
use super::Context;
use crate::cli::board::Power;
use crate::client::{HubClient, segment};

/// Switches the power of a place.
pub async fn power(context: &Context<'_>, args: Power) -> anyhow::Result<()> {
    let hub = context.hub().await?;
    let place = place(&hub, args.place).await?;
    let path = format!("/nave/v1/places/{}/power", segment(&place));
    let run: CommandRun = hub.post(&path, &PowerRequest { command: args.command.into() }).await?;
    let printer = context.printer;
    if printer.is_json() {
        printer.value(&run)?;
    } else if !run.output.is_empty() {
        printer.data(run.output.trim_end());
    }
    match run.problem() {
        Some(problem) => bail!("{place}: {problem}"),
        None if run.occasion != Occasion::PowerStatus => {
            printer.talk(format!("nave: {place}: {} {}", run.occasion.words(), run.ending()));
            Ok(())
        }
        None => Ok(()),
    }
}

/// The place that somebody means: one of their own by the reservation's name, else by its own.
async fn place(hub: &HubClient, name: String) -> anyhow::Result<String> {
    let held: Vec<Reservation> = hub.get("/nave/v1/reservations").await?;
    let own = held.into_iter().find(|held| held.mine && held.name == name);
    Ok(own.map_or(name, |own| own.place))
}

/// Says what the command before a reservation printed, if there was one.
pub async fn tell_before(
    context: &Context<'_>,
    hub: &HubClient,
    reservation: &Reservation,
) -> anyhow::Result<()> {
    if context.printer.is_json() {
        return Ok(());
    }
    let path = format!("/nave/v1/places/{}", segment(&reservation.place));
    let detail: PlaceDetail = hub.get(&path).await?;
    let its = |run: &&CommandRun| {
        run.occasion == Occasion::Before && run.reservation.as_ref() == Some(&reservation.id)
    };
    if let Some(run) = detail.commands.iter().find(its) {
        tell(context, &reservation.place, run);
    }
    Ok(())
}

fn tell(context: &Context<'_>, place: &str, run: &CommandRun) {
    let colon = if run.output.is_empty() { "" } else { ":" };
    context.printer.talk(format!("nave: {place}: {} {}{colon}", run.occasion.words(), run.ending()));
    for line in run.output.lines() {
        context.printer.talk(format!("  {line}"));
    }
}

/// What whoever asks waits for: a place that is theirs and is made ready.
pub async fn made_ready(hub: &HubClient) -> Option<String> {
    let farm: Vec<FarmPlace> = hub.get("/nave/v1/places").await.ok()?;
    farm.into_iter().find_map(|place| {
        let running = place.running?;
        place.reservation.filter(|held| held.mine)?;
        Some(format!("nave: waiting until {} is ready: {} is running", place.name, running.occasion.words()))
    })
}

/// One line for each of a place's last commands.
pub fn lines(detail: &PlaceDetail) -> impl Iterator<Item = String> {
    detail.commands.iter().map(|run| {
        let whose = if run.holder.is_empty() { String::new() } else { format!(" for {}", run.holder) };
        let printed = run.output.lines().count();
        let printed =
            if printed == 0 { String::new() } else { format!(", {printed} lines (--json has them)") };
        format!("{}{whose} at {}: {}{printed}", run.occasion.word(), moment(run.began), run.ending())
    })
}

/// What was reserved for this machine, or for the person who signed in on it, when a command began.
pub struct Before(Option<(HubClient, Vec<Reservation>)>);

impl Before {
    /// Nothing is known of it where the hub does not answer: what follows will say so.
    pub async fn look(context: &Context<'_>) -> Self {
        let looking = async {
            let folder = context.folder().ok()?;
            let hub = HubClient::of(&folder, folder.membership().ok()??).ok()?;
            let own = own(&hub).await.ok()?;
            Some((hub, own))
        };
        Self(looking.await)
    }

    /// Whether there was one of that name, or of that place.
    pub fn had(&self, name: &str) -> bool {
        let held = self.0.iter().flat_map(|(_, before)| before);
        held.into_iter().any(|held| held.name == name || held.place == name)
    }

    /// Says what was printed for those reservations that there were not before.
    pub async fn tell_new(&self, context: &Context<'_>) {
        let Some((hub, before)) = &self.0 else { return };
        for new in own(hub).await.unwrap_or_default() {
            if !before.iter().any(|known| known.id == new.id)
                && let Err(error) = tell_before(context, hub, &new).await
            {
                context
                    .printer
                    .talk(format!("nave: it is not known what was printed for {}: {error}", new.place));
            }
        }
    }
}

async fn own(hub: &HubClient) -> anyhow::Result<Vec<Reservation>> {
    let mut held: Vec<Reservation> = hub.get("/nave/v1/reservations").await?;
    held.retain(|held| held.mine);
    Ok(held)
}
