//! One command of a place: run by the shell in a process group of its own, for a limited time. Its output is read to the
//! end and kept as far as people need it. When it is over, so is everything that it left in its group.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use crate::api::{MOST_OUTPUT, Outcome, clean};

/// How long a command whose time is over has to end by itself before it is killed.
pub(super) const MERCY: Duration = Duration::from_secs(2);
/// How much is read at a time, and the most that is read of what was printed before the end, in bytes.
const PIECE: usize = 16 << 10;
const LEFTOVER: usize = 1 << 20;

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub outcome: Outcome,
    /// Its exit status, where it had one.
    pub status: Option<i32>,
    /// What it printed on both outputs, in that order, as text.
    pub output: String,
}

/// Runs a line for the shell. What it needs to know is in its environment and never in the line. `started` hears the
/// number of its process, which is that of its group.
pub(super) async fn run(
    line: &str,
    folder: &Path,
    environment: &[(&str, String)],
    limit: Duration,
    started: impl FnOnce(i32),
) -> Ran {
    let mut output = Output::default();
    match supervise(line, folder, environment, limit, started, &mut output).await {
        Ok((outcome, status)) => {
            Ran { outcome, status: status.and_then(|it| it.code()), output: output.text() }
        }
        Err(error) => {
            let output = format!("the shell cannot be started in {}: {error}", folder.display());
            Ran { outcome: Outcome::NotStarted, status: None, output: clean(&output) }
        }
    }
}

async fn supervise(
    line: &str,
    folder: &Path,
    environment: &[(&str, String)],
    limit: Duration,
    started: impl FnOnce(i32),
    output: &mut Output,
) -> io::Result<(Outcome, Option<ExitStatus>)> {
    let (reader, mut child) = start(line, folder, environment)?;
    let mut reader = pipe::Receiver::from_owned_fd(reader)?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    let group = Group(pid.map(Pid::from_raw));
    if let Some(pid) = pid {
        started(pid);
    }
    let ended = tokio::time::timeout(limit, follow(&mut child, &mut reader, output)).await;
    let in_time = ended.ok().transpose()?;
    if in_time.is_none() {
        group.signal(Signal::SIGTERM);
        if tokio::time::timeout(MERCY, follow(&mut child, &mut reader, output)).await.is_err() {
            group.signal(Signal::SIGKILL);
            child.wait().await?;
        }
    }
    // Those that it left behind: they would go on while somebody else has the place.
    drop(group);
    output.leftover(&reader);
    let Some(status) = in_time else { return Ok((Outcome::TimedOut, None)) };
    Ok((if status.success() { Outcome::Done } else { Outcome::Failed }, Some(status)))
}

/// Starts it; where to read what it prints.
fn start(line: &str, folder: &Path, environment: &[(&str, String)]) -> io::Result<(OwnedFd, Child)> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", line])
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true);
    if !folder.as_os_str().is_empty() {
        command.current_dir(folder);
    }
    for (name, value) in environment {
        // No environment can hold this one, and names of holders come from elsewhere.
        command.env(name, value.replace('\0', ""));
    }
    Ok((reader.into(), command.spawn()?))
}

/// Waits for its end, and reads what it prints meanwhile.
async fn follow(
    child: &mut Child,
    reader: &mut pipe::Receiver,
    output: &mut Output,
) -> io::Result<ExitStatus> {
    let mut piece = vec![0; PIECE];
    let mut prints = true;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            read = reader.read(&mut piece), if prints => match read {
                Ok(read @ 1..) => output.take(&piece[..read]),
                _ => prints = false,
            },
        }
    }
}

/// The processes that a command has started, unless they have left its group. They end with this value.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // There may be none any more.
            let _ = killpg(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// What was printed: its beginning and its end.
#[derive(Default)]
struct Output {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Output {
    fn take(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(MOST_OUTPUT / 2 - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let surplus = self.tail.len().saturating_sub(MOST_OUTPUT / 2 - 100);
        self.tail.drain(..surplus);
        self.left_out += surplus as u64;
    }

    /// What was printed last and is still in the pipe. Whoever left the group may print for ever.
    fn leftover(&mut self, reader: &pipe::Receiver) {
        let mut piece = vec![0; PIECE];
        let mut read = 0;
        while read < LEFTOVER
            && let Ok(count @ 1..) = reader.try_read(&mut piece)
        {
            self.take(&piece[..count]);
            read += count;
        }
    }

    fn text(self) -> String {
        let mut bytes = self.head;
        if self.left_out > 0 {
            bytes.extend(format!("\n[{} bytes are left out]\n", self.left_out).into_bytes());
        }
        bytes.extend(self.tail);
        clean(&String::from_utf8_lossy(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    async fn sh(line: &str, limit: u64) -> Ran {
        run(
            line,
            Path::new("/"),
            &[("NAVE_HOLDER", "$(id); `id` '\"\n".to_owned())],
            Duration::from_secs(limit),
            |_| {},
        )
        .await
    }

    fn ran(outcome: Outcome, status: Option<i32>, output: &str) -> Ran {
        Ran { outcome, status, output: output.to_owned() }
    }

    #[tokio::test]
    async fn both_outputs_are_heard_and_the_environment_is_no_code() {
        assert_eq!(
            sh("pwd; echo no >&2; printf '%s' \"$NAVE_HOLDER\"", 60).await,
            ran(Outcome::Done, Some(0), "/\nno\n$(id); `id` '\"\n")
        );
        assert_eq!(sh("exit 3", 60).await, ran(Outcome::Failed, Some(3), ""));
        assert_eq!(sh("kill -KILL $$", 60).await, ran(Outcome::Failed, None, ""));
        let missing = sh("/no/such/program", 60).await;
        assert_eq!((missing.outcome, missing.status), (Outcome::Failed, Some(127)));
        assert!(missing.output.contains("/no/such/program"), "{missing:?}");
        assert_eq!(sh("/etc/passwd", 60).await.status, Some(126));
        let nowhere = run("true", Path::new("/no/such/folder"), &[], Duration::from_mins(1), |_| {}).await;
        assert_eq!(nowhere.outcome, Outcome::NotStarted, "{nowhere:?}");
    }

    #[tokio::test]
    async fn what_takes_too_long_ends_with_everything_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let line = |trap: &str| {
            let pids = folder.path().display();
            format!(
                "{trap} sleep 600 & echo $! > {pids}/child; echo $$ > {pids}/self; echo begun; wait; sleep 600"
            )
        };
        for trap in ["", "trap '' TERM;"] {
            let begun = Instant::now();
            assert_eq!(sh(&line(trap), 1).await, ran(Outcome::TimedOut, None, "begun\n"));
            assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
            for name in ["child", "self"] {
                let pid = std::fs::read_to_string(folder.path().join(name)).unwrap();
                is_gone(pid.trim()).await;
            }
        }
    }

    /// Waits until a process is gone; one that has ended may wait for whoever asks for it.
    async fn is_gone(pid: &str) {
        nave_testkit::wait::until("the process has ended", async || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            status.map_or(true, |status| status.contains(") Z ")).then_some(())
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn a_child_in_the_background_holds_up_nobody_and_ends() {
        let begun = Instant::now();
        let left = sh("sleep 600 & echo $!", 60).await;
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        assert_eq!(left.outcome, Outcome::Done);
        is_gone(left.output.trim()).await;
    }

    #[tokio::test]
    async fn a_flood_is_cut_in_the_middle_and_ends_in_time() {
        let flood = sh("echo first; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo last", 60).await;
        assert_eq!(flood.outcome, Outcome::Done);
        assert!(flood.output.len() <= MOST_OUTPUT, "{}", flood.output.len());
        assert!(flood.output.starts_with("first\n") && flood.output.ends_with("\nlast\n"));
        assert!(flood.output.contains("bytes are left out]"));
        assert_eq!(sh("yes", 1).await.outcome, Outcome::TimedOut);
    }
}
