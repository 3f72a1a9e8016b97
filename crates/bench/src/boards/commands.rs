//! The command lines, from exec to their end.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::ensure;
use nave_testkit::not_my_board;
use tokio::process::Command;

use super::site::{NaveSite, PythonSite};
use crate::farm;
use crate::stats::{Row, Table, spread};

const ROUNDS: usize = 3;
/// How often a command is run in a round.
const RUNS: u32 = 10;

/// Milliseconds that a command takes, in the mean of a few. One shell runs them all, so that what it takes to get to the
/// agent's folder does not count.
async fn time(mut through: Command, program: &Path, args: &[&str]) -> anyhow::Result<f64> {
    let script = "i=0; while [ $i -lt $RUNS ]; do \"$@\" >/dev/null || exit 1; i=$((i+1)); done";
    through.args(["-c", script, "sh"]).arg(program).args(args);
    through.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut took = Vec::new();
    for runs in [0, RUNS] {
        let begun = Instant::now();
        ensure!(through.env("RUNS", runs.to_string()).status().await?.success(), "{through:?} failed");
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok((took[1] - took[0]) / f64::from(RUNS))
}

pub async fn run(python: &PythonSite, nave: &NaveSite) -> anyhow::Result<Table> {
    let sh = Path::new("sh");
    let theirs = not_my_board::program("not-my-board")?;
    let mut rows = Vec::new();
    for verb in ["list", "search", "status"] {
        let mut seen = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            seen[0].push(time(python.through(sh)?, &theirs, &[verb]).await?);
            seen[1].push(time(python.through(sh)?, &farm::nave(), &["not-my-board", verb]).await?);
            seen[2].push(time(nave.through(sh), &farm::nave(), &["board", verb]).await?);
        }
        let called = ["not-my-board", "nave not-my-board", "nave board"];
        for (at, called) in called.iter().enumerate() {
            let ratio = spread(seen[at].iter().zip(&seen[0]).map(|(ours, theirs)| theirs / ours).collect());
            let (against, aim) = if at == 0 {
                (String::new(), "")
            } else {
                (format!("; {}", ratio.show("times as fast")), "a twentieth of not-my-board")
            };
            let took = format!("{}{against}", spread(seen[at].clone()).show("ms"));
            rows.push(Row::new(format!("`{called} {verb}`"), took, aim));
        }
    }
    Ok(Table {
        title: "Boards: command lines",
        note: format!(
            "From exec to the end, {ROUNDS} rounds of {RUNS} in turns. The first two ask the same agent, Python's; `nave board` asks Nave's hub, with a TLS connection of its own each time, or for `status` its agent. Both have an attached place."
        ),
        rows,
    })
}
