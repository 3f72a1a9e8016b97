//! `nave status`: everything that the hub can see about itself, with what to do about it.

use std::path::Path;
use std::time::Duration;

use super::access::{Action, Roles};
use super::context::Hub;
use super::store::DatabaseUrl;
use super::{event, job, mail, nodes};
use crate::api::{Check, Verdict};

/// Reading what the hub is and how it is.
pub const READ: Action = Action::new("hub.read", Roles::ANY);

/// A certificate that ends sooner is worth a look.
const EXPIRY_WARNING: Duration = Duration::from_hours(720);
/// A backup that is older is worth a look.
const BACKUP_WARNING: Duration = Duration::from_hours(168);
/// Free space below which a disk is worth a look, and below which the hub is in danger.
const DISK_WARNING: u64 = 1 << 30;
const DISK_FAILURE: u64 = 100 << 20;

/// Looks at a running hub.
pub async fn running(hub: &Hub) -> Vec<Check> {
    let mut checks = vec![folder(&hub.folder), disk(&hub.folder)];
    checks.extend(identities(hub));
    checks.push(database(hub).await);
    checks.extend(bulk(hub).await);
    checks.push(clock(hub).await);
    checks.push(backup(hub).await);
    checks.push(listeners(hub));
    checks.push(members(hub).await);
    checks.push(mail(hub).await);
    checks.push(jobs(hub));
    checks.extend(hub.fleets.iter().flat_map(|fleet| fleet.checks()));
    checks
}

fn check(name: &str, verdict: Verdict, message: impl Into<String>) -> Check {
    Check { name: name.to_owned(), verdict, message: message.into() }
}

/// The data folder and what lies in it.
pub fn folder(path: &Path) -> Check {
    use std::os::unix::fs::MetadataExt as _;
    let name = "data folder";
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return check(name, Verdict::Fail, format!("{}: {error}", path.display())),
    };
    let mode = metadata.mode() & 0o777;
    if mode & 0o022 != 0 {
        let advice =
            format!("{}: others may write in it: run `chmod 700 {}`", path.display(), path.display());
        return check(name, Verdict::Fail, advice);
    }
    for secret in
        ["hub.key", "master.key", "cert/hub-key.pem", "cert/hub-access-key", "hub.sqlite", "bulk.db"]
    {
        let file = path.join(secret);
        if let Ok(metadata) = std::fs::metadata(&file)
            && metadata.mode() & 0o077 != 0
        {
            let advice =
                format!("{}: others may read it: run `chmod 600 {}`", file.display(), file.display());
            return check(name, Verdict::Fail, advice);
        }
    }
    check(name, Verdict::Pass, format!("{} (mode {mode:03o})", path.display()))
}

/// The disk that the data folder lies on.
pub fn disk(path: &Path) -> Check {
    let name = "disk";
    let Ok(disk) = nix::sys::statvfs::statvfs(path) else {
        return check(name, Verdict::Warn, format!("{}: the free space cannot be told", path.display()));
    };
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    let message = format!("{} MiB free", free >> 20);
    match free {
        free if free < DISK_FAILURE => {
            check(name, Verdict::Fail, format!("{message}: free some space now, writes are about to fail"))
        }
        free if free < DISK_WARNING => check(name, Verdict::Warn, format!("{message}: free some space soon")),
        _ => check(name, Verdict::Pass, message),
    }
}

fn identities(hub: &Hub) -> Vec<Check> {
    let now = hub.clock.now();
    let loaded = hub.identities.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    loaded
        .iter()
        .map(|identity| {
            let name = format!("identity {}", identity.name);
            let until = format!("{} ends on {}", identity.certificate.display(), identity.not_after.date());
            if identity.not_after <= now {
                check(&name, Verdict::Fail, format!("{until}: it has expired, renew it"))
            } else if identity.not_after - now < EXPIRY_WARNING {
                check(&name, Verdict::Warn, format!("{until}: renew it soon, then send the hub SIGHUP"))
            } else {
                check(&name, Verdict::Pass, until)
            }
        })
        .collect()
}

async fn database(hub: &Hub) -> Check {
    match super::store::applied(&hub.store).await {
        Ok(applied) => {
            check("database", Verdict::Pass, format!("{}, {} schema steps", hub.store.url(), applied.len()))
        }
        Err(error) => check("database", Verdict::Fail, format!("{}: {}", hub.store.url(), error.message())),
    }
}

/// Where log lines go, in a hub that keeps any.
async fn bulk(hub: &Hub) -> Option<Check> {
    let sets = super::running::bulk_sets(&hub.fleets);
    if sets.iter().all(|set| set.migrations.is_empty()) {
        return None;
    }
    let (name, url) = ("bulk data", hub.bulk.url());
    let size = async {
        hub.bulk.prepare_bulk(&sets, &hub.clock).await?;
        hub.bulk.size().await
    };
    let size = match size.await {
        Ok(size) => size,
        Err(error) => {
            let advice = "the hub works, but keeps no logs and metrics";
            return Some(check(name, Verdict::Fail, format!("{url}: {}: {advice}", error.message())));
        }
    };
    let message = format!("{url}, {} MiB", size >> 20);
    // Its file may be elsewhere than the data folder.
    let here = match url {
        DatabaseUrl::Sqlite(path) => std::fs::canonicalize(path).ok(),
        DatabaseUrl::Postgres(_) => None,
    };
    Some(match here.map(|path| disk(&path)) {
        Some(Check { verdict, message: free, .. }) if verdict != Verdict::Pass => {
            check(name, verdict, format!("{message}; {free}"))
        }
        _ => check(name, Verdict::Pass, message),
    })
}

/// Nothing outside can be asked for the time; but a clock before the last event was set back.
async fn clock(hub: &Hub) -> Check {
    let now = hub.clock.now();
    match event::last(&hub.store, "").await {
        Ok(Some(last)) if last.at > now + Duration::from_mins(1) => check(
            "clock",
            Verdict::Fail,
            format!("it says {now}, but the last event is of {}: set the clock right", last.at),
        ),
        Ok(_) => check("clock", Verdict::Pass, format!("{now}")),
        Err(error) => check("clock", Verdict::Warn, error.message()),
    }
}

async fn backup(hub: &Hub) -> Check {
    let name = "backup";
    match event::last(&hub.store, "backup.made").await {
        Ok(Some(last)) if hub.clock.now() - last.at > BACKUP_WARNING => check(
            name,
            Verdict::Warn,
            format!("the last one is of {}: run `nave backup FILE`", last.at.date()),
        ),
        Ok(Some(last)) => check(name, Verdict::Pass, format!("the last one is of {}", last.at.date())),
        Ok(None) => check(name, Verdict::Warn, "there is none yet: run `nave backup FILE`"),
        Err(error) => check(name, Verdict::Warn, error.message()),
    }
}

fn listeners(hub: &Hub) -> Check {
    match hub.listeners.get() {
        Some(listeners) if !listeners.is_empty() => check("listeners", Verdict::Pass, listeners.join(", ")),
        _ => check("listeners", Verdict::Fail, "the hub does not listen"),
    }
}

async fn members(hub: &Hub) -> Check {
    match nodes::lost(hub).await {
        Ok((members, lost)) if lost.is_empty() => {
            check("nodes", Verdict::Pass, format!("{members} joined, all connected"))
        }
        Ok((members, lost)) => {
            let shown: Vec<&str> = lost.iter().take(10).map(String::as_str).collect();
            let more = if lost.len() > 10 { ", …" } else { "" };
            let message = format!(
                "{} of {members} not connected: {}{more}; check those machines and their networks",
                lost.len(),
                shown.join(", ")
            );
            check("nodes", Verdict::Warn, message)
        }
        Err(error) => check("nodes", Verdict::Fail, error.message()),
    }
}

async fn mail(hub: &Hub) -> Check {
    let name = "mail";
    let standing = match mail::standing(hub).await {
        Ok(standing) => standing,
        Err(error) => return check(name, Verdict::Warn, error.message()),
    };
    let mail::Standing { waiting, stuck, since, failed, last_error } = standing;
    let since = since.map(|since| since.to_string()).unwrap_or_default();
    if failed > 0 {
        let advice = "send them again with `nave mail retry`, or forget them with `nave mail discard`";
        return check(
            name,
            Verdict::Fail,
            format!("{failed} not sent, the last because {last_error}; {advice}"),
        );
    }
    let Some(server) = &hub.mail else {
        return match waiting {
            0 => check(name, Verdict::Pass, "not configured: links are shown on the screen instead"),
            _ => check(
                name,
                Verdict::Warn,
                format!("{waiting} wait, but mail is not configured any more: set [mail]"),
            ),
        };
    };
    if stuck > 0 {
        let again = "the hub tries again by itself";
        return check(
            name,
            Verdict::Warn,
            format!("{stuck} wait since {since}, the last because {last_error}; {again}"),
        );
    }
    check(name, Verdict::Pass, format!("{}, {waiting} wait", server.address()))
}

fn jobs(hub: &Hub) -> Check {
    let failing: Vec<String> = job::list(hub)
        .into_iter()
        .filter(|job| job.failures > 0)
        .map(|job| format!("{}: {}", job.name, job.last_outcome))
        .collect();
    if failing.is_empty() {
        check("jobs", Verdict::Pass, "all ran")
    } else {
        check("jobs", Verdict::Warn, failing.join("; "))
    }
}
