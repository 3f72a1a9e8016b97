//! `cargo xtask docs`: writes the pages that the program tells about itself, or says which are stale.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::cargo::{cargo, program, read, root, run as run_to_end, target};

/// A page, and what `nave` must be told to print it.
const PAGES: [(&str, &[&str]); 3] = [
    ("docs/cli.md", &["man", "--markdown"]),
    ("docs/authorization.txt", &["man", "--authorization"]),
    ("docs/openapi.json", &["man", "--openapi"]),
];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail if a page is not what would be written
    #[arg(long)]
    check: bool,
}

impl Options {
    /// Only looks.
    pub(crate) fn check() -> Self {
        Self { check: true }
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run_to_end(&mut cargo(["build", "--workspace", "--bin", "nave"]))?;
    let nave = target()?.join("debug/nave");
    for (page, arguments) in PAGES {
        let text = read(program(&nave).args(arguments)).with_context(|| format!("writing {page}"))?;
        if text.trim().is_empty() {
            bail!("`nave {}` printed nothing to put into {page}", arguments.join(" "));
        }
        place(&root(), page, &text, options.check)?;
    }
    Ok(())
}

fn place(root: &Path, page: &str, text: &str, check: bool) -> anyhow::Result<()> {
    let path = root.join(page);
    let is_true = std::fs::read_to_string(&path).is_ok_and(|there| there == text);
    if is_true {
        return Ok(());
    }
    if check {
        bail!("{page} is stale; `cargo xtask docs` writes it anew");
    }
    std::fs::write(&path, text).with_context(|| format!("writing {page}"))?;
    println!("wrote {page}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_stale_page_is_told_and_written_anew() -> anyhow::Result<()> {
        let root = tempfile::tempdir()?;
        let page = root.path().join("cli.md");
        let why = place(root.path(), "cli.md", "new\n", true).unwrap_err();
        assert_eq!(why.to_string(), "cli.md is stale; `cargo xtask docs` writes it anew");
        assert!(!page.exists());

        place(root.path(), "cli.md", "new\n", false)?;
        assert_eq!(std::fs::read_to_string(&page)?, "new\n");
        place(root.path(), "cli.md", "new\n", true)
    }
}
