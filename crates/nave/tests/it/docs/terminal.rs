//! A program on a terminal of its own, so that it says and asks what it says and asks of people.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, bail};
use nave_testkit::wait::until;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// Ends what is typed.
const CTRL_D: char = '\u{4}';
/// What is asked for, and what somebody answers who follows the page.
const ANSWERS: [(&str, &str); 3] = [
    ("Passphrase: ", "correct horse battery\n"),
    ("Once more: ", "correct horse battery\n"),
    ("[y/N] ", "y\n"),
];

/// A running program with its terminal; killed when dropped.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    screen: Arc<Mutex<String>>,
    keys: File,
    answered: usize,
    reader: std::thread::JoinHandle<()>,
}

impl Terminal {
    /// Starts a program.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let size = Winsize { ws_row: 50, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).context("a terminal")?;
        let end = |fd: &OwnedFd| anyhow::Ok(Stdio::from(fd.try_clone()?));
        command.stdin(end(&pty.slave)?).stdout(end(&pty.slave)?).stderr(end(&pty.slave)?);
        let child = command.kill_on_drop(true).spawn()?;
        // Once no program has the other end any more, reading ends.
        drop(pty.slave);
        let keys = File::from(pty.master);
        let screen: Arc<Mutex<String>> = Arc::default();
        let (mut shows, seen) = (keys.try_clone()?, Arc::clone(&screen));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = shows.read(&mut bytes) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        // Nothing of the child's ends may stay in the command, which may be kept.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child, screen, keys, answered: 0, reader })
    }

    /// Types a text and ends it.
    pub fn types(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(write!(self.keys, "{text}\n{CTRL_D}")?)
    }

    /// What it showed so far, without colours.
    pub fn shows(&self) -> String {
        plain(&self.screen.lock().unwrap())
    }

    /// Answers what it asks, until it ends or shows one of these texts. Returns its exit status, if it ended.
    pub async fn wait(&mut self, texts: &[&str]) -> anyhow::Result<Option<i32>> {
        let this = Mutex::new(&mut *self);
        let settled = until("the program ends, or says that it is there", || async {
            let mut this = this.lock().unwrap();
            if let Err(error) = this.answer() {
                return Some(Err(error));
            }
            let shown = this.shows();
            if texts.iter().any(|text| shown.contains(text)) {
                return Some(Ok(None));
            }
            this.child.try_wait().map_err(Into::into).transpose().map(|ended| ended.map(Some))
        })
        .await;
        let Some(status) = settled.and_then(|settled| settled).with_context(|| self.shows())? else {
            return Ok(None);
        };
        until("all that it showed is read", || async { self.reader.is_finished().then_some(()) }).await?;
        Ok(Some(status.code().unwrap_or(-1)))
    }

    fn answer(&mut self) -> anyhow::Result<()> {
        let shown = self.shows();
        let asked = ANSWERS.iter().find(|(question, _)| shown[self.answered..].ends_with(question));
        if let Some((_, answer)) = asked {
            self.answered = shown.len();
            self.keys.write_all(answer.as_bytes())?;
        }
        Ok(())
    }

    /// Presses Ctrl-C, as far as the program is concerned, and waits until it has ended.
    pub async fn interrupt(mut self) -> anyhow::Result<String> {
        if let Some(id) = self.child.id() {
            // An error means that it has just ended by itself.
            let _ = kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGINT);
        }
        if self.wait(&[]).await?.is_none() {
            bail!("it goes on");
        }
        Ok(self.shows())
    }
}

/// A text without what colours it and moves the cursor.
fn plain(shown: &str) -> String {
    let mut plain = String::with_capacity(shown.len());
    let mut rest = shown.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => drop(rest.by_ref().find(char::is_ascii_alphabetic)),
            '\r' => {}
            c => plain.push(c),
        }
    }
    plain
}
