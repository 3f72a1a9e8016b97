//! What the tests need beyond Rust, and how it is installed.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{cargo, run};

/// A tool that tests use: how tests name it, which program shows that it is there, and Debian's package.
struct Tool {
    need: &'static str,
    program: &'static str,
    package: &'static str,
}

const TOOLS: [Tool; 9] = [
    Tool { need: "netns", program: "ip", package: "iproute2" },
    Tool { need: "netns", program: "nft", package: "nftables" },
    Tool { need: "postgres", program: "pg_ctl", package: "postgresql" },
    Tool { need: "openssl", program: "openssl", package: "openssl" },
    Tool { need: "curl", program: "curl", package: "curl" },
    Tool { need: "python", program: "python3", package: "python3" },
    Tool { need: "socat", program: "socat", package: "socat" },
    Tool { need: "systemd", program: "systemd-nspawn", package: "systemd-container" },
    Tool { need: "systemd", program: "mmdebstrap", package: "mmdebstrap" },
];

/// Programs from crates.io.
const CARGO_TOOLS: [&str; 2] = ["cargo-nextest", "cargo-deny"];

/// Installs what is missing, saying what.
pub fn install() -> anyhow::Result<()> {
    let packages: Vec<&str> =
        TOOLS.iter().filter(|tool| !is_there(tool.program)).map(|tool| tool.package).collect();
    if !packages.is_empty() {
        eprintln!("xtask: installing with apt-get: {}", packages.join(" "));
        run(Command::new("apt-get").args(["update", "--quiet=2"]))?;
        let mut apt = Command::new("apt-get");
        apt.args(["install", "--yes", "--quiet=2", "--no-install-recommends"]).args(&packages);
        run(apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()))?;
    }
    for tool in CARGO_TOOLS {
        if !is_there(tool) {
            eprintln!("xtask: installing with cargo: {tool}");
            run(cargo().args(["install", "--locked", "--quiet", tool]))?;
        }
    }
    Ok(())
}

/// What is missing, as tests name it; with what provides it.
pub fn missing() -> Vec<(&'static str, String)> {
    let mut missing: Vec<(&'static str, String)> = Vec::new();
    for tool in &TOOLS {
        if !is_there(tool.program) {
            missing.push((tool.need, format!("the package {}", tool.package)));
        }
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0"));
    if !root {
        missing.push(("netns", "root".to_owned()));
        missing.push(("systemd", "root".to_owned()));
    }
    missing
}

/// Programs from crates.io that are missing.
pub fn missing_cargo_tools() -> Vec<&'static str> {
    CARGO_TOOLS.into_iter().filter(|tool| !is_there(tool)).collect()
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    // Debian keeps PostgreSQL's programs out of the PATH.
    let servers = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let servers = servers.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    std::env::split_paths(&path).chain(extra).chain(servers).any(|folder| folder.join(program).is_file())
}
