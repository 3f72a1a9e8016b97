//! `cargo xtask package`: a static binary, and a Debian package around it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::{cargo, root};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const SHELLS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/nave"),
    ("zsh", "usr/share/zsh/vendor-completions/_nave"),
    ("fish", "usr/share/fish/vendor_completions.d/nave.fish"),
];

pub fn run() -> anyhow::Result<()> {
    let out = root().join("target/package");
    let mut build = cargo();
    build.args(["build", "--release", "--package", "nave", "--target", TARGET]);
    build.env("RUSTFLAGS", "-C target-feature=+crt-static");
    crate::run(&mut build)?;
    fs::create_dir_all(&out)?;
    let binary = out.join("nave");
    fs::copy(root().join("target").join(TARGET).join("release/nave"), &binary)
        .context("the static binary")?;
    debian(&out, &binary)
}

fn debian(out: &Path, binary: &Path) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let tree = out.join("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    install(binary, &tree.join("usr/bin/nave"), 0o755)?;
    crate::run(Command::new("strip").arg(tree.join("usr/bin/nave")))?;
    let deploy = root().join("deploy");
    for unit in ["nave-hub.socket", "nave-hub.service", "nave-node.service"] {
        install(&deploy.join("systemd").join(unit), &tree.join("usr/lib/systemd/system").join(unit), 0o644)?;
    }
    let examples = tree.join("usr/share/doc/nave/examples");
    install(&deploy.join("systemd/tls-credential.conf"), &examples.join("tls-credential.conf"), 0o644)?;
    install(&root().join("LICENSE"), &tree.join("usr/share/doc/nave/copyright"), 0o644)?;
    install(&deploy.join("hub.toml"), &tree.join("etc/nave/hub.toml"), 0o644)?;
    let pages = tree.join("usr/share/man/man1");
    crate::run(Command::new(binary).args(["man", "--into"]).arg(&pages))?;
    for (shell, path) in SHELLS {
        let output = Command::new(binary).args(["completions", shell]).output()?;
        let path = tree.join(path);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        fs::write(path, output.stdout)?;
    }
    let control = tree.join("DEBIAN");
    fs::create_dir_all(&control)?;
    fs::write(control.join("conffiles"), "/etc/nave/hub.toml\n")?;
    fs::write(
        control.join("control"),
        format!(
            "Package: nave\nVersion: {version}\nArchitecture: amd64\nMaintainer: The Nave authors <nave@localhost>\nSection: net\nPriority: optional\nDescription: One hub for machines that cannot be reached from outside\n Machines dial out to one encrypted port, prove who they are, make the hub prove\n who it is, and are put to work.\n"
        ),
    )?;
    let file = out.join(format!("nave_{version}_amd64.deb"));
    crate::run(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(&file))?;
    eprintln!("xtask: wrote {} and {}", binary.display(), file.display());
    Ok(())
}

fn install(from: &Path, to: &Path, mode: u32) -> anyhow::Result<()> {
    fs::create_dir_all(to.parent().context("no folder")?)?;
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}
