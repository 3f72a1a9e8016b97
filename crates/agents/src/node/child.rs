//! The command of an agent as a process: in a folder of its own, with nothing of the host's environment but what every
//! program needs, under a keeper that ends whatever it starts.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::config::Program;
use crate::api::url_safe;
use crate::link::StartAgent;

/// What a program finds of the host's environment.
const PASSED_ON: [&str; 5] = ["PATH", "LANG", "LC_ALL", "TZ", "USER"];
/// The longest value in an environment, in bytes (Linux, `MAX_ARG_STRLEN`).
const LONGEST_VALUE: usize = 128 << 10;

/// Where the agents of a host find the hub.
#[derive(Clone, Debug)]
pub(super) struct HubAddress {
    pub(super) url: String,
    pub(super) key: String,
}

/// Starts processes. The kernel ends a keeper with the thread that started it (`prctl(2)`, `PR_SET_PDEATHSIG`), so that must
/// be one that lives as long as the host.
pub(super) struct Starter(mpsc::Sender<Order>);

type Order = (Command, oneshot::Sender<io::Result<Child>>);

impl Starter {
    pub(super) fn new() -> Self {
        let (orders, queue) = mpsc::channel::<Order>();
        let runtime = Handle::current();
        std::thread::spawn(move || {
            let _in = runtime.enter();
            for (mut command, answer) in queue {
                let _ = answer.send(command.spawn());
            }
        });
        Self(orders)
    }

    pub(super) async fn start(&self, command: Command) -> io::Result<Child> {
        let (answer, started) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.0.send((command, answer)).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}

/// The working folder of an agent.
///
/// # Errors
///
/// When it cannot be made, or the agent's name is no name of a folder.
pub(super) fn folder(folder: &Path, name: &str, program: &Program) -> Result<PathBuf, String> {
    if name.is_empty() || url_safe(name) != name {
        return Err(format!("{name:?} cannot be the name of a folder"));
    }
    let folder = program.folder.clone().unwrap_or_else(|| folder.join(name));
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("the working folder {} cannot be made: {error}", folder.display()))?;
    Ok(folder)
}

/// How an agent is started.
pub(super) fn command(
    keeper: &[OsString],
    start: &StartAgent,
    program: &Program,
    hub: &HubAddress,
    folder: &Path,
    path: &OsStr,
) -> Result<Command, String> {
    let (first, rest) = keeper.split_first().ok_or("nothing says how a keeper is started")?;
    let mut command = Command::new(first);
    command.args(rest).args(["--host", &std::process::id().to_string()]);
    command.args(["--grace", &program.grace_seconds.to_string()]);
    if let Some(memory) = program.memory_mb {
        command.args(["--memory", &(memory << 20).to_string()]);
    }
    command.args(["--", "/bin/sh", "-c", &program.command]);
    command.env_clear().envs(environment(start, program, hub, folder, path));
    command.current_dir(folder).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

fn environment(
    start: &StartAgent,
    program: &Program,
    hub: &HubAddress,
    folder: &Path,
    path: &OsStr,
) -> BTreeMap<OsString, OsString> {
    let mut all: BTreeMap<OsString, OsString> = BTreeMap::new();
    for name in PASSED_ON {
        if let Some(value) = std::env::var_os(name) {
            all.insert(name.into(), value);
        }
    }
    // So that `nave` in an agent's shell is this one, unless there is another.
    let mut searched =
        all.remove(&OsString::from("PATH")).unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    searched.push(":");
    searched.push(path);
    all.insert("PATH".into(), searched);
    all.insert("HOME".into(), folder.into());
    all.insert("SHELL".into(), "/bin/sh".into());
    all.insert("TERM".into(), "dumb".into());
    let named = |name: &str| program.variables.iter().any(|known| known == name);
    for (name, variable) in &start.variables {
        if variable.exported || named(name) {
            all.insert(name.into(), variable.value.clone().into());
        }
    }
    all.extend(program.environment.iter().map(|(name, value)| (name.into(), value.into())));
    let config = &start.config;
    for (name, value) in [
        ("NAVE_AGENT", &config.username),
        ("NAVE_AGENT_KEY", &start.key),
        ("NAVE_AGENT_TITLE", &config.title),
        ("NAVE_AGENT_PROMPT", &config.agent_prompt),
        ("NAVE_AGENT_MODEL", &config.shell_model),
        ("NAVE_HUB", &hub.url),
        ("NAVE_HUB_KEY", &hub.key),
    ] {
        if !value.contains('\0') {
            all.insert(name.into(), value.into());
        }
    }
    // A process with a longer one cannot be started.
    all.retain(|name, value| name.len() + value.len() + 2 <= LONGEST_VALUE);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AgentConfig;
    use crate::link::HostVariable;

    #[test]
    fn an_agent_finds_what_is_its_own_and_nothing_of_the_hosts() {
        let variable = |value: &str, exported| HostVariable { value: value.to_owned(), exported };
        let start = StartAgent {
            agent: 1,
            woken: false,
            config: AgentConfig::new("ann", "Ann", &"p".repeat(200_000), 1, "m"),
            variables: BTreeMap::from([
                ("EXPORTED".to_owned(), variable("e", true)),
                ("NAMED".to_owned(), variable("n", false)),
                ("OTHERS".to_owned(), variable("o", false)),
                ("NAVE_AGENT".to_owned(), variable("somebody else", true)),
            ]),
            key: "k".to_owned(),
        };
        let mut program = Program::new("true");
        program.variables = vec!["NAMED".to_owned()];
        program.environment.insert("A".to_owned(), "b".to_owned());
        let hub = HubAddress { url: "https://hub".to_owned(), key: "h".to_owned() };
        let all = environment(&start, &program, &hub, Path::new("/work"), OsStr::new("/opt/nave"));
        let get = |name: &str| all.get(&OsString::from(name)).map(|value| value.to_str().unwrap());
        assert_eq!((get("EXPORTED"), get("NAMED"), get("OTHERS")), (Some("e"), Some("n"), None));
        assert_eq!((get("NAVE_AGENT"), get("HOME"), get("A")), (Some("ann"), Some("/work"), Some("b")));
        assert!(get("PATH").unwrap().ends_with(":/opt/nave"));
        assert_eq!(get("NAVE_AGENT_PROMPT"), None, "no process could be started with it");
        assert_eq!(get("CARGO_MANIFEST_DIR"), None, "which this process has");
    }

    #[test]
    fn a_name_leads_nowhere() {
        let data = tempfile::tempdir().unwrap();
        let program = Program::new("true");
        assert!(folder(data.path(), "../x", &program).is_err());
        assert!(folder(data.path(), "", &program).is_err());
        assert!(folder(data.path(), "ann", &program).unwrap().is_dir());
    }
}
