//! One network namespace: made, wired, given rules, and removed again. Knows no topology.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// A network namespace by name; dropping it kills what runs in it and removes it.
#[derive(Debug)]
pub(super) struct Space {
    name: String,
}

impl Space {
    pub(super) fn add(name: String) -> anyhow::Result<Self> {
        run(Command::new("ip").args(["netns", "add", &name]), "")?;
        let space = Self { name };
        space.ip("link set lo up\n")?;
        Ok(space)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Runs lines of `ip`'s batch language here.
    pub(super) fn ip(&self, lines: &str) -> anyhow::Result<()> {
        ip_in(&self.name, lines)
    }

    /// Loads a ruleset here; it replaces nothing that it does not name.
    pub(super) fn nft(&self, rules: &str) -> anyhow::Result<()> {
        nft_in(&self.name, rules)
    }

    /// Runs a program here to its end.
    pub(super) fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        run(Command::new("ip").args(["netns", "exec", &self.name, program]).args(arguments), "")
    }

    /// A cable from the interface `here` to a port `there` of the bridge `bridge` in `far`.
    pub(super) fn cable(&self, here: &str, far: &Self, there: &str, bridge: &str) -> anyhow::Result<()> {
        self.ip(&format!("link add {here} type veth peer name {there} netns {}\n", far.name))?;
        far.ip(&format!("link set {there} master {bridge} up\n"))?;
        self.ip(&format!("link set {here} up\n"))
    }

    /// A file that stands in the place of `/etc/<file>` for programs run here.
    pub(super) fn write_etc(&self, file: &str, text: &str) -> anyhow::Result<()> {
        let folder = etc_of(&self.name);
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join(file);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if let Err(why) = remove(&self.name) {
            tracing::error!("the network namespace {} stays behind: {why:#}", self.name);
        }
    }
}

/// As [`Space::ip`], in a namespace that someone else owns.
pub(super) fn ip_in(name: &str, lines: &str) -> anyhow::Result<()> {
    run(Command::new("ip").args(["-n", name, "-batch", "-"]), lines)
}

/// As [`Space::nft`], in a namespace that someone else owns.
pub(super) fn nft_in(name: &str, rules: &str) -> anyhow::Result<()> {
    run(Command::new("ip").args(["netns", "exec", name, "nft", "-f", "-"]), rules)
}

/// A queueing discipline on an interface, in the words of `tc qdisc`.
pub(super) fn qdisc_in(name: &str, words: &str) -> anyhow::Result<()> {
    run(Command::new("tc").args(["-n", name, "qdisc"]).args(words.split_whitespace()), "")
}

/// Holds every other process on this machine off the list of namespaces until it is dropped.
pub(super) fn lock() -> anyhow::Result<File> {
    let path = std::env::temp_dir().join("nave-net.lock");
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    file.lock().with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

/// Removes what processes left that were killed before they could.
pub(super) fn remove_leftovers() -> anyhow::Result<()> {
    let Ok(names) = std::fs::read_dir("/run/netns") else { return Ok(()) };
    for entry in names {
        let entry = entry.context("reading /run/netns")?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if maker_of(&name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            remove(&name)?;
        }
    }
    Ok(())
}

/// The process that made a namespace of ours, by its name.
fn maker_of(name: &str) -> Option<u32> {
    name.strip_prefix("nave-")?.split_once('-')?.0.parse().ok()
}

fn remove(name: &str) -> anyhow::Result<()> {
    let inside =
        Command::new("ip").args(["netns", "pids", name]).output().context("running ip netns pids")?;
    let inside = String::from_utf8_lossy(&inside.stdout).into_owned();
    for pid in inside.split_whitespace() {
        // It may have ended since; what matters is that the namespace goes.
        let _ = Command::new("kill").args(["-KILL", pid]).stderr(Stdio::null()).status();
    }
    let etc = etc_of(name);
    if etc.exists() {
        std::fs::remove_dir_all(&etc).with_context(|| format!("removing {}", etc.display()))?;
    }
    run(Command::new("ip").args(["netns", "del", name]), "")
}

fn etc_of(name: &str) -> PathBuf {
    Path::new("/etc/netns").join(name)
}

fn run(command: &mut Command, input: &str) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {shown}"))?;
    let mut stdin = child.stdin.take().expect("stdin was asked for");
    // A program that ends without reading its input has said why on stderr, which is the better error.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let ended = child.wait_with_output().with_context(|| format!("waiting for {shown}"))?;
    if !ended.status.success() {
        bail!("{shown} failed: {}\n{input}", String::from_utf8_lossy(&ended.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::maker_of;

    #[test]
    fn only_names_of_ours_have_a_maker() {
        assert_eq!(maker_of("nave-4711-0-server"), Some(4711));
        assert_eq!(maker_of("nave-of-a-church"), None);
        assert_eq!(maker_of("naves-4711-0-server"), None);
        assert_eq!(maker_of("docker0"), None);
    }
}
