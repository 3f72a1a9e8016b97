//! `nave agent import`: moving over from a NAISYS hub, into a data folder that no hub uses at the moment.

use std::path::Path;

use nave_agents::hub::import;
use nave_core::clock::Clock;
use nave_core::hub::edge::Inherited;
use nave_core::hub::op::{Actor, Op};
use nave_core::hub::running::HubSetup;
use nave_core::id::RequestId;
use nave_link::random::Random;

use super::super::Context;
use super::super::hub::{Fleets, configuration, fleets};
use crate::logging;

pub async fn run(context: &Context<'_>, folder: &Path) -> anyhow::Result<()> {
    logging::start("warn");
    let printer = context.printer;
    // What cannot be read is said before anything is taken.
    let database = import::database(folder);
    anyhow::ensure!(
        database.is_file(),
        "{} is not there: name the NAISYS_FOLDER of the hub, which has database/naisys_hub.db in it",
        database.display()
    );
    let has_identity = import::identity(folder, &context.data)?;
    let mut config = configuration(None)?;
    // It serves nobody: this is the hub's own work, done where nobody can come in.
    (config.listen, config.listener) = (vec![([127, 0, 0, 1], 0).into()], Vec::new());
    let clock = Clock::system();
    let Fleets { all: fleets, agents, .. } = fleets(&config)?;
    let setup = HubSetup {
        folder: context.data.clone(),
        fleets,
        config,
        descriptors: Vec::new(),
        handed_over: Inherited::none(),
        credentials: None,
        pages: nave_web::routes(Vec::new()),
        clock: clock.clone(),
        random: Random::system(),
    };
    let running = setup.start().await?;
    let op = Op {
        actor: Actor::Operator { uid: nix::unistd::geteuid().as_raw() },
        source: None,
        request: RequestId::new(),
        clock,
    };
    let imported = import::import(&op, &running.hub, &agents, folder).await;
    running.stop().await;
    let imported = imported?;
    if printer.is_json() {
        return printer.value(&imported);
    }
    for (what, count) in &imported.taken {
        printer.data(format!("{count:>9}  {what}"));
    }
    for note in &imported.notes {
        printer.talk(format!("nave: {note}"));
    }
    printer.talk(if has_identity {
        "nave: the certificate and the access key are those of the old hub: start `nave hub` where it was, and its runners come back by themselves"
    } else {
        "nave: there was no certificate to take (cert/ is empty): runners need this hub's own access key (`nave key show`)"
    });
    Ok(())
}
