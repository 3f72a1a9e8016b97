//! The agents of `nave up --agents`: read from files, run by a host in this process. How a host runs them is in the agent
//! fleet.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nave_agents::hub::roster::Seed;
use nave_agents::node::Host;
use nave_agents::node::config::HostConfig;
use nave_core::node::{NodeFolder, RunError, attach};
use nave_link::random::Random;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::{BadConfiguration, Context, agent};
use crate::printer::Printer;

/// A host's configuration, if it lies beside the agents' files.
const CONFIG: &str = "host.toml";

/// What `--agents` names.
pub struct Wanted {
    pub seed: Seed,
    config: HostConfig,
    /// Where the files lie: also what they run may lie there.
    folder: PathBuf,
}

/// The host that runs them.
pub struct Running {
    stop: CancellationToken,
    host: JoinHandle<()>,
}

impl Wanted {
    /// Reads the agents' files and the host's, and checks that each agent can be run.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bad = |path: &Path, problem: String| BadConfiguration(format!("{}: {problem}", path.display()));
        let path = std::path::absolute(path)?;
        std::fs::metadata(&path).map_err(|error| bad(&path, error.to_string()))?;
        let seed = Seed::read(&path).map_err(|error| BadConfiguration(error.message()))?;
        let folder =
            if path.is_dir() { path } else { path.parent().context("a file lies in a folder")?.to_owned() };
        let file = folder.join(CONFIG);
        let config = match std::fs::read_to_string(&file) {
            Ok(text) => HostConfig::read(&text).map_err(|problem| bad(&file, problem))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let config = HostConfig { commands_of_hub: true, ..HostConfig::default() };
                for (file, agent) in seed.agents() {
                    let program = config.program_of(agent);
                    if !agent.is_human() {
                        program.map_err(|problem| bad(file, problem))?;
                    } else if program.is_ok() {
                        let problem = "the shellModel \"none\" is that of a person among agents, whom no host runs: write another word for an agent with a command";
                        return Err(bad(file, problem.to_owned()).into());
                    }
                }
                config
            }
            Err(error) => return Err(bad(&file, error.to_string()).into()),
        };
        Ok(Self { seed, config, folder })
    }

    /// Has them run on the node in `folder`, which this process keeps connected until `stop`.
    pub fn run(
        self,
        context: &Context<'_>,
        folder: NodeFolder,
        stop: &CancellationToken,
    ) -> anyhow::Result<Running> {
        let printer = *context.printer;
        let attached = attach(folder, Random::system(), stop.clone(), |_| {}, |_| {})?;
        let work = context.data.join("agents");
        let setup = agent::host::setup(attached, self.config, work, Some(&self.folder))?;
        let host = Host::new(setup, move |happening| agent::host::say(printer, &happening));
        let stop = stop.child_token();
        let told = stop.clone();
        let host = tokio::spawn(async move {
            if let Err(error) = host.run(told).await {
                printer.talk(format!("nave: no agent runs here any more: {}", in_words(error)));
            }
        });
        Ok(Running { stop, host })
    }
}

impl Running {
    /// Has all agents end, and waits for that.
    pub async fn end(self, printer: Printer) {
        printer.talk("nave: the agents are told to end; Ctrl-C once more ends them at once");
        self.stop.cancel();
        if let Err(error) = self.host.await {
            tracing::error!(%error, "the host of agents did not end as it should");
        }
    }
}

fn in_words(error: RunError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
