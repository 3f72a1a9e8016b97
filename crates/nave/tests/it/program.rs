//! Runs the program: to its end, or in the background with its output within reach.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, ensure};
use nave_testkit::wait::until;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// The program under test.
pub const NAVE: &str = env!("CARGO_BIN_EXE_nave");

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Its stdout, if it succeeded.
    pub fn ok(self) -> anyhow::Result<String> {
        ensure!(self.code == 0, "exit status {}: {}{}", self.code, self.stdout, self.stderr);
        Ok(self.stdout)
    }
}

/// Runs a command to its end.
pub async fn run(command: &mut Command) -> anyhow::Result<Output> {
    let output = tokio::time::timeout(nave_testkit::wait::PATIENCE, command.output())
        .await
        .with_context(|| format!("{command:?} does not end"))??;
    Ok(Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// A program in the background; killed when dropped.
#[derive(Debug)]
pub struct Background {
    pub child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Background {
    /// Starts it.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        collect(child.stdout.take().context("stdout")?, &lines);
        collect(child.stderr.take().context("stderr")?, &lines);
        Ok(Self { child, lines })
    }

    /// Waits until a line holds this text, and returns the line.
    pub async fn says(&self, text: &str) -> anyhow::Result<String> {
        let found = || async {
            let lines = self.lines.lock().unwrap();
            lines.iter().find(|line| line.contains(text)).cloned()
        };
        until(&format!("it says {text:?}"), found).await.with_context(|| self.output())
    }

    /// Forgets what it said so far.
    pub fn forget(&self) {
        self.lines.lock().unwrap().clear();
    }

    /// All that it said.
    pub fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

fn collect(out: impl AsyncRead + Unpin + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = Arc::clone(lines);
    tokio::spawn(async move {
        let mut out = BufReader::new(out).lines();
        while let Ok(Some(line)) = out.next_line().await {
            lines.lock().unwrap().push(line);
        }
    });
}
