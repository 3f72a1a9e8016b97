//! The tree of files that machines boot from: a small Debian, made once and kept beside the build.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// The release, and what is in it beside the essential packages.
const RELEASE: &str = "bookworm";
const PACKAGES: &str =
    "ca-certificates,curl,dbus,iproute2,libpam-systemd,openssl,procps,systemd,systemd-sysv";

/// The tree, made if it is not there, and a lock on it that others wait for.
pub(super) fn get() -> anyhow::Result<(PathBuf, File)> {
    let folder =
        crate::need::build_folder().context("this program is in no folder of cargo's")?.join("nspawn");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let lock = File::create(folder.join("lock")).context("the lock of the tree")?;
    lock.lock().context("locking the tree")?;

    let tree = folder.join(RELEASE);
    let recipe = folder.join(format!("{RELEASE}.packages"));
    let is_made = tree.is_dir() && fs::read_to_string(&recipe).is_ok_and(|made_of| made_of == PACKAGES);
    if !is_made {
        remove(&tree)?;
        make(&folder, &tree)?;
        fs::write(&recipe, PACKAGES).context("noting what the tree is made of")?;
    }
    Ok((tree, lock))
}

fn make(folder: &Path, tree: &Path) -> anyhow::Result<()> {
    let draft = folder.join("draft");
    remove(&draft)?;
    let made = Command::new("mmdebstrap")
        .args(["--quiet", "--variant=minbase", &format!("--include={PACKAGES}"), RELEASE])
        .arg(&draft)
        .output()
        .context("starting mmdebstrap")?;
    ensure!(made.status.success(), "mmdebstrap failed: {}", String::from_utf8_lossy(&made.stderr));
    fs::rename(&draft, tree).context("moving the finished tree to its place")
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}
