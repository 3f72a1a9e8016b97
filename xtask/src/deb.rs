//! The Debian package: which file goes where. Debian's own `dpkg-deb` packs it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::cargo::{program, read, root, run};

/// Files of the repository and where the package puts them.
const FILES: [(&str, &str); 8] = [
    ("deploy/hub.toml", "etc/nave/hub.toml"),
    ("deploy/systemd/nave-hub.socket", "usr/lib/systemd/system/nave-hub.socket"),
    ("deploy/systemd/nave-hub.service", "usr/lib/systemd/system/nave-hub.service"),
    ("deploy/systemd/nave-node.service", "usr/lib/systemd/system/nave-node.service"),
    (
        "deploy/systemd/nave-hub.service.d/tls-credential.conf.example",
        "usr/share/doc/nave/examples/tls-credential.conf.example",
    ),
    (
        "deploy/systemd/nave-hub.service.d/network.conf.example",
        "usr/share/doc/nave/examples/network.conf.example",
    ),
    ("deploy/debian/copyright", "usr/share/doc/nave/copyright"),
    ("CHANGELOG.md", "usr/share/doc/nave/changelog"),
];
/// Shells, and where each looks for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/nave"),
    ("fish", "usr/share/fish/vendor_completions.d/nave.fish"),
    ("zsh", "usr/share/zsh/vendor-completions/_nave"),
];
const SCRIPTS: [&str; 3] = ["postinst", "postrm", "prerm"];
/// Where the package puts its manual pages.
const MANUAL: &str = "usr/share/man/man1";

/// Lays the tree below `out` and packs it; gives the package's path.
pub(crate) fn build(binary: &Path, out: &Path) -> anyhow::Result<PathBuf> {
    let tree = out.join("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))?;
    }
    put(&tree, "usr/bin/nave", &fs::read(binary).context("reading the binary")?, 0o755)?;
    for (from, to) in FILES {
        put(&tree, to, &fs::read(root().join(from)).with_context(|| format!("reading {from}"))?, 0o644)?;
    }
    for (shell, to) in COMPLETIONS {
        let script = read(program(binary).args(["completions", shell]))?;
        put(&tree, to, script.as_bytes(), 0o644)?;
    }
    manual_pages(binary, &tree)?;
    run(program("gzip").args(["--best", "--no-name"]).arg(tree.join("usr/share/doc/nave/changelog")))?;

    let (version, description) = about()?;
    let architecture = architecture(std::env::consts::ARCH)?;
    put(
        &tree,
        "DEBIAN/control",
        control(&version, architecture, &description, &needs(binary)?, size(&tree)?).as_bytes(),
        0o644,
    )?;
    put(&tree, "DEBIAN/conffiles", b"/etc/nave/hub.toml\n", 0o644)?;
    for script in SCRIPTS {
        let text = fs::read(root().join("deploy/debian").join(script))
            .with_context(|| format!("reading {script}"))?;
        put(&tree, &format!("DEBIAN/{script}"), &text, 0o755)?;
    }
    let package = out.join(format!("nave_{version}_{architecture}.deb"));
    let commit_time = read(program("git").args(["log", "-1", "--format=%ct"]))?;
    run(program("dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .args([&tree, &package])
        .env("SOURCE_DATE_EPOCH", commit_time.trim()))?;
    Ok(package)
}

fn put(tree: &Path, to: &str, content: &[u8], mode: u32) -> anyhow::Result<()> {
    let path = tree.join(to);
    let folder = path.parent().with_context(|| format!("{to} is in no folder"))?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).with_context(|| format!("the mode of {to}"))
}

fn manual_pages(binary: &Path, tree: &Path) -> anyhow::Result<()> {
    let folder = tree.join(MANUAL);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    run(program(binary).args(["man", "--into"]).arg(&folder))?;
    let pages: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|page| Ok(page?.path())).collect::<std::io::Result<_>>()?;
    if pages.is_empty() {
        bail!("`nave man --into` wrote no page");
    }
    run(program("gzip").args(["--best", "--no-name"]).args(pages))
}

/// The version and the description of the package `nave`, as its manifest has them.
fn about() -> anyhow::Result<(String, String)> {
    let told = read(&mut crate::cargo::cargo(["metadata", "--format-version", "1", "--no-deps"]))?;
    let told: serde_json::Value = serde_json::from_str(&told).context("cargo metadata is no JSON")?;
    let packages = told["packages"].as_array().context("cargo metadata lists no packages")?;
    let nave =
        packages.iter().find(|package| package["name"] == "nave").context("there is no package `nave`")?;
    let text =
        |key: &str| nave[key].as_str().map(str::to_owned).with_context(|| format!("`nave` has no {key}"));
    Ok((text("version")?, text("description")?))
}

/// What Debian calls a processor.
fn architecture(name: &str) -> anyhow::Result<&'static str> {
    match name {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("Debian's name for {other} is not known here"),
    }
}

/// The packages that the program needs: the C library, not older than the newest of its functions that it calls, and the
/// compiler's library.
fn needs(binary: &Path) -> anyhow::Result<String> {
    let symbols = read(program("objdump").arg("--dynamic-syms").arg(binary))?;
    let newest = newest_glibc(&symbols).context("the program calls nothing of the C library")?;
    Ok(format!("libc6 (>= {newest}), libgcc-s1"))
}

/// The newest version of the C library that is named in a list of dynamic symbols, such as 2.34.
fn newest_glibc(symbols: &str) -> Option<String> {
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|text| {
        let version = text.split(|letter: char| !letter.is_ascii_digit() && letter != '.').next()?;
        let (major, minor) = version.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.split('.').next()?.parse::<u32>().ok()?))
    });
    versions.max().map(|(major, minor)| format!("{major}.{minor}"))
}

/// The bytes of all files below a folder.
fn size(folder: &Path) -> anyhow::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        total += if kind.is_dir() { size(&entry.path())? } else { kind.len() };
    }
    Ok(total)
}

fn control(version: &str, architecture: &str, description: &str, needs: &str, bytes: u64) -> String {
    format!(
        "Package: nave\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: The Nave authors <nave@localhost>\n\
         Section: net\n\
         Priority: optional\n\
         Depends: {needs}\n\
         Recommends: ca-certificates\n\
         Installed-Size: {}\n\
         Description: {}\n\
         \x20Machines dial out to one encrypted port, prove who they are, and are reached\n\
         \x20through the hub by those who may. Hub, node and command line in one program.\n",
        bytes.div_ceil(1024),
        description.trim_end_matches('.'),
    )
}

#[cfg(test)]
mod tests;
