//! One run of one agent: its process from its start to its end, what it writes, and what it is given.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStdin};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::{MailBy, Program};
use super::delivery;
use super::host::Host;
use super::lines::{Cost, Lines, Rate};
use crate::api::{LogRole, LogType, RunKey};
use crate::link::{HostCost, MarkRead, UnreadMail};

/// How many lines are shown to whoever peeks.
const TAIL: usize = 200;
/// How long the output of a process that has ended is read on.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a keeper may take beyond the time that its command has.
const MERCY: Duration = Duration::from_secs(10);
/// How long the hub may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A run.
pub(super) struct Run {
    pub(super) name: String,
    pub(super) key: RunKey,
    pub(super) program: Program,
    pub(super) folder: PathBuf,
    model: String,
    /// There may be mail.
    pub(super) mail: Notify,
    stop: CancellationToken,
    reason: OnceLock<String>,
    tail: Mutex<VecDeque<String>>,
    written: std::sync::atomic::AtomicU64,
    /// Cancelled when nothing of it is there any more.
    pub(super) ended: CancellationToken,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// In words.
    pub(super) words: String,
    /// Whether it ended by itself, without success.
    pub(super) failed: bool,
}

impl Run {
    pub(super) fn new(name: &str, model: &str, key: RunKey, program: Program, folder: PathBuf) -> Arc<Self> {
        let mail = Notify::new();
        mail.notify_one();
        Arc::new(Self {
            name: name.to_owned(),
            key,
            program,
            folder,
            model: model.to_owned(),
            mail,
            stop: CancellationToken::new(),
            reason: OnceLock::new(),
            tail: Mutex::default(),
            written: std::sync::atomic::AtomicU64::new(0),
            ended: CancellationToken::new(),
        })
    }

    /// Has it ended. The first reason counts.
    pub(super) fn stop(&self, reason: &str) {
        let _ = self.reason.set(reason.to_owned());
        self.stop.cancel();
    }

    /// The last lines.
    pub(super) fn tail(&self) -> Vec<String> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// A word of the host's own in its log.
    pub(super) fn say(&self, host: &Host, kind: LogType, words: String) {
        self.keep(&words);
        host.spool.line(self.key, LogRole::Naisys, Some(kind), words);
    }

    fn keep(&self, line: &str) {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() >= TAIL {
            tail.pop_front();
        }
        tail.push_back(line.to_owned());
    }

    fn line(&self, host: &Host, rate: &mut Rate, line: String, is_error: bool) {
        if let (false, Some(cost)) = (is_error, Cost::read(&line)) {
            return self.cost(host, cost);
        }
        let Some(missed) = rate.take(Instant::now()) else { return };
        self.tell_missed(host, missed);
        self.keep(&line);
        host.spool.line(self.key, LogRole::Llm, is_error.then_some(LogType::Error), line);
    }

    fn tell_missed(&self, host: &Host, missed: u64) {
        if missed > 0 {
            let most = self.program.lines_per_second;
            self.say(
                host,
                LogType::Error,
                format!("{missed} lines were left out: more than {most} a second"),
            );
        }
    }

    fn cost(&self, host: &Host, cost: Result<Cost, String>) {
        let cost = match cost {
            Ok(cost) => cost,
            Err(problem) => {
                return self.say(
                    host,
                    LogType::Error,
                    format!("a cost was reported that makes no sense: {problem}"),
                );
            }
        };
        let model = if cost.model.is_empty() { self.model.clone() } else { cost.model };
        let (input, output) = (cost.input.into(), cost.output.into());
        if !host.spool.cost(HostCost { key: self.key, model, dollars: cost.dollars, input, output }) {
            // What it spends can be counted no more, so it must spend no more.
            self.stop("its costs cannot be reported: the hub has been away for too long");
        }
    }

    /// Reads what it writes until it ends.
    async fn read(&self, host: &Host, mut from: impl AsyncRead + Unpin, is_error: bool) {
        use std::sync::atomic::Ordering::Relaxed;
        let most = self.program.output_mb.map_or(u64::MAX, |most| most << 20);
        let mut rate = Rate::new(self.program.lines_per_second, Instant::now());
        let (mut lines, mut buffer) = (Lines::default(), vec![0; 16 << 10]);
        loop {
            let read = match from.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) => read,
            };
            if self.written.fetch_add(read as u64, Relaxed).saturating_add(read as u64) > most {
                self.stop(&format!("it wrote more than {} MiB", most >> 20));
                // It is read on, so that it does not hang on its way to its end; nothing of that is kept.
                continue;
            }
            for line in lines.push(&buffer[..read]) {
                self.line(host, &mut rate, line, is_error);
            }
        }
        if let Some(line) = lines.end() {
            self.line(host, &mut rate, line, is_error);
        }
        self.tell_missed(host, rate.missed());
    }

    /// Gives it its mail, as it comes.
    async fn give_mail(&self, host: &Host, mut input: ChildStdin) {
        // What was given is not given again if the hub was not told in time.
        let mut last = 0;
        loop {
            self.mail.notified().await;
            if self.program.mail == MailBy::Nothing {
                continue;
            }
            'more: loop {
                let peer = host.peer().await;
                // A link that ended tells of mail anew when it stands again.
                let Ok(mails) = peer.call(&UnreadMail { agent: self.key.agent }, PATIENCE).await else {
                    break;
                };
                if mails.is_empty() {
                    break;
                }
                for mail in mails {
                    if mail.head.id > last {
                        if let Err(error) =
                            delivery::deliver(&mail, self.program.mail, &mut input, &self.folder).await
                        {
                            let words = format!("mail {} was not given to it: {error}", mail.head.id);
                            self.say(host, LogType::Error, words);
                            return;
                        }
                        last = mail.head.id;
                    }
                    let read = MarkRead { agent: self.key.agent, mail: mail.head.id, kind: mail.head.kind };
                    if peer.call(&read, PATIENCE).await.is_err() {
                        break 'more;
                    }
                }
            }
        }
    }

    /// Sees it through to its end.
    pub(super) async fn carry(self: &Arc<Self>, host: &Arc<Host>, mut child: Child) -> End {
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let readers = {
            let (run, host) = (Arc::clone(self), Arc::clone(host));
            tokio::spawn(async move {
                let read = |from, is_error| run.read(&host, from, is_error);
                let out = async {
                    if let Some(out) = out {
                        read(Output::Out(out), false).await;
                    }
                };
                let err = async {
                    if let Some(err) = err {
                        read(Output::Err(err), true).await;
                    }
                };
                tokio::join!(out, err);
            })
        };
        let input = child.stdin.take();
        let mail = async {
            if let Some(input) = input {
                self.give_mail(host, input).await;
            }
            std::future::pending::<()>().await;
        };
        let limit = async {
            match self.program.seconds {
                Some(seconds) => {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    self.stop(&format!("it ran for {seconds} seconds, as long as it may"));
                }
                None => std::future::pending().await,
            }
        };
        let ended = {
            let serve = async { tokio::join!(mail, limit) };
            tokio::select! {
                ended = child.wait() => Some(ended),
                () = self.stop.cancelled() => None,
                _ = serve => None,
            }
        };
        let status = match ended {
            Some(ended) => ended,
            None => self.end(&mut child).await,
        };
        // A keeper ends after all that could write.
        let abort = readers.abort_handle();
        if tokio::time::timeout(LAST_WORDS, readers).await.is_err() {
            abort.abort();
        }
        let (words, failed) = match (self.reason.get(), status) {
            (Some(reason), status) => {
                let how = status.map_or_else(|error| error.to_string(), |status| ending(status, true));
                (format!("it was stopped ({reason}); it {how}"), false)
            }
            (None, Ok(status)) => (format!("it {}", ending(status, false)), !status.success()),
            (None, Err(error)) => (format!("it was lost: {error}"), true),
        };
        self.say(host, if failed { LogType::Error } else { LogType::Comment }, words.clone());
        End { words, failed }
    }

    /// Tells it to end, and ends it when its time is over.
    async fn end(&self, child: &mut Child) -> std::io::Result<ExitStatus> {
        let Some(keeper) = child.id().and_then(|id| i32::try_from(id).ok()) else {
            return child.wait().await;
        };
        let _ = kill(Pid::from_raw(keeper), Signal::SIGTERM);
        if let Ok(ended) = tokio::time::timeout(self.program.grace() + MERCY, child.wait()).await {
            return ended;
        }
        child.kill().await?;
        child.wait().await
    }
}

/// One of the two that a process writes to.
enum Output {
    Out(tokio::process::ChildStdout),
    Err(tokio::process::ChildStderr),
}

impl AsyncRead for Output {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Out(out) => std::pin::Pin::new(out).poll_read(context, buffer),
            Self::Err(err) => std::pin::Pin::new(err).poll_read(context, buffer),
        }
    }
}

/// How a process ended: a keeper tells of signals as a shell does.
fn ending(status: ExitStatus, was_told: bool) -> String {
    match status.code() {
        Some(0) => "ended".to_owned(),
        Some(137) if was_told => "did not end by itself in its time and was killed".to_owned(),
        Some(code) if code > 128 => {
            let signal = Signal::try_from(code - 128).map_or("a signal", Signal::as_str);
            format!("was ended by {signal}")
        }
        Some(code) => format!("ended with status {code}"),
        None => "was ended from outside".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        let exit = |code: i32| ExitStatus::from_raw(code << 8);
        assert_eq!(ending(exit(0), false), "ended");
        assert_eq!(ending(exit(3), false), "ended with status 3");
        assert_eq!(ending(exit(137), false), "was ended by SIGKILL");
        assert!(ending(exit(137), true).contains("did not end by itself"));
        assert_eq!(ending(exit(143), true), "was ended by SIGTERM");
        assert_eq!(ending(ExitStatus::from_raw(9), false), "was ended from outside");
    }
}
