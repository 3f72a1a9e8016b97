//! What a process takes of the machine, as Linux tells it.

use std::time::Duration;

use anyhow::Context as _;

/// Ticks of a second in `/proc/PID/stat`, the same on every machine that Nave is built for.
const TICKS: u64 = 100;

/// Its memory, in kB: what Linux calls resident.
pub fn memory(pid: u32) -> anyhow::Result<u64> {
    status(pid, "VmRSS:")
}

/// Of that, what belongs to no file, in kB. The rest is parts of the program and its libraries, which Linux gives up when
/// memory is short.
pub fn own_memory(pid: u32) -> anyhow::Result<u64> {
    status(pid, "RssAnon:")
}

fn status(pid: u32, field: &'static str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field)).context(field)?;
    line.split_whitespace().nth(1).context(field)?.parse().context(field)
}

/// How much of the processors' time it has used.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Its own name, in brackets, may hold anything: fields are counted from behind it (proc(5)).
    let rest = stat.rsplit_once(')').context("stat")?.1;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.collect::<Result<Vec<_>, _>>()?.iter().sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}
