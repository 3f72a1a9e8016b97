//! The process between a host and an agent's command: it ends everything that the command started, wherever that has gone,
//! when the command ends, when the host says so, and when the host is gone. One thread, no async code.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, getppid};

/// How long to wait between two looks at what is still there.
const PAUSE: Duration = Duration::from_millis(5);
/// How often it is looked before what cannot be ended is left alone.
const LOOKS: u32 = 1000;

/// What is kept.
#[derive(Clone, Debug)]
pub struct Keep {
    /// How to start this program as the command itself: what comes before the command.
    pub inner: Vec<OsString>,
    /// The process id of the host.
    pub host: i32,
    /// How long the command may take to end by itself.
    pub grace: Duration,
    /// The command.
    pub command: Vec<OsString>,
}

/// Runs the command and returns with its exit status, as a shell tells it, when nothing of it is there any more.
///
/// # Errors
///
/// When the command cannot be started.
pub fn keep(keep: &Keep) -> io::Result<u8> {
    prctl::set_child_subreaper(true)?;
    prctl::set_pdeathsig(Signal::SIGHUP)?;
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT] {
        signals.add(signal);
    }
    signals.thread_block()?;
    if getppid().as_raw() != keep.host {
        // It went before it could be watched.
        return Ok(0);
    }
    let Some((program, arguments)) = keep.inner.split_first() else {
        return Err(io::Error::other("nothing says how the command is started"));
    };
    let child = Command::new(program).args(arguments).args(&keep.command).process_group(0).spawn()?;
    let main = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let mut grace = Some(keep.grace);
    loop {
        match signals.wait()? {
            Signal::SIGCHLD => {
                if let Some(status) = reap(main) {
                    end_all();
                    return Ok(status);
                }
            }
            Signal::SIGHUP => {
                end_all();
                return Ok(128 + 9);
            }
            _ => {
                for pid in descendants() {
                    let _ = kill(pid, Signal::SIGTERM);
                }
                if let Some(grace) = grace.take() {
                    std::thread::spawn(move || {
                        pause(grace);
                        end_all();
                    });
                }
            }
        }
    }
}

/// Takes up whoever has ended; how the command itself did, if it has.
fn reap(main: Pid) -> Option<u8> {
    let mut status = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == main => status = u8::try_from(code & 0xff).ok(),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => {
                status = u8::try_from(128 + signal as i32).ok();
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return status,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return status,
        }
    }
}

/// Ends everything below this process. What is started meanwhile is found at the next look.
fn end_all() {
    for _ in 0..LOOKS {
        let there = descendants();
        if there.is_empty() {
            return;
        }
        for pid in there {
            let _ = kill(pid, Signal::SIGKILL);
        }
        pause(PAUSE);
    }
}

#[expect(clippy::disallowed_methods, reason = "a process of its own, in which nothing else waits")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Whatever was started below this process and lives. Whoever forks away becomes a child of this one (`prctl(2)`,
/// `PR_SET_CHILD_SUBREAPER`).
fn descendants() -> Vec<Pid> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = std::fs::read(PathBuf::from("/proc").join(pid.to_string()).join("stat"));
        if let Some(parent) = stat.ok().as_deref().and_then(living_child_of) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![getpid().as_raw()];
    let mut at = 0;
    while let Some(above) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid));
        at += 1;
    }
    found.into_iter().skip(1).map(Pid::from_raw).collect()
}

/// The parent, from a line of `/proc/PID/stat`, of a process that has not ended. Its name stands in parentheses and may hold
/// some itself.
fn living_child_of(stat: &[u8]) -> Option<i32> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.next()?.parse().ok() }
}

/// Becomes the command, with limits. Returns only if that fails.
pub fn become_command(command: &[OsString], memory: Option<u64>) -> io::Error {
    let prepare = || -> io::Result<()> {
        // If the keeper itself is ended, the command is not left behind.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        SigSet::all().thread_unblock()?;
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        if let Some(memory) = memory {
            setrlimit(Resource::RLIMIT_AS, memory, memory)?;
        }
        Ok(())
    };
    match (prepare(), command.split_first()) {
        (Err(error), _) => error,
        (Ok(()), Some((program, arguments))) => Command::new(program).args(arguments).exec(),
        (Ok(()), None) => io::Error::other("there is no command"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_whatever_its_child_is_called() {
        assert_eq!(living_child_of(b"12 (sh) S 7 12 12"), Some(7));
        assert_eq!(living_child_of(b"12 (a) Z 1 (b)) R 9 1"), Some(9));
        assert_eq!(living_child_of(b"12 (sh) Z 7 12"), None);
        assert_eq!(living_child_of(b""), None);
        assert_eq!(living_child_of(b"12 (\xff) S 3"), Some(3));
    }
}
