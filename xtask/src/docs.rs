//! Generated pages: made from the program itself, checked in, and true.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::{cargo, root};

fn run_page(args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(root().join("target/debug/nave"))
        .args(args)
        .env_remove("NAVE_DIR")
        .output()
        .context("target/debug/nave")?;
    ensure!(output.status.success(), "nave {} failed", args.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

pub fn run(check: bool) -> anyhow::Result<()> {
    crate::run(cargo().args(["build", "--quiet", "--package", "nave"]))?;
    let pages = [
        ("docs/cli.md", run_page(&["man", "--markdown"])?),
        ("docs/authorization.txt", run_page(&["man", "--authorization"])?),
    ];
    for (path, page) in pages {
        let file = root().join(path);
        if check {
            let found = fs::read_to_string(&file).with_context(|| path.to_owned())?;
            if found != page {
                bail!("{path} is not what the program says: run `cargo xtask docs`");
            }
        } else {
            fs::write(&file, page).with_context(|| path.to_owned())?;
            eprintln!("xtask: wrote {path}");
        }
    }
    Ok(())
}
