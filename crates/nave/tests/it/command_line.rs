//! What people read: every help text, errors, exit statuses.

use std::path::Path;

use nave_testkit::need;
use tokio::process::Command;

use crate::program::{Background, NAVE, Output, run};

/// The log has times in it; warnings would be worth failing for.
const LOG: &str = "warn";

fn nave(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(NAVE);
    command
        .args(args)
        .env("NAVE_DIR", data)
        .env_remove("HUB_ACCESS_KEY")
        .env("NAVE_LOG", LOG)
        .current_dir(data);
    command.kill_on_drop(true);
    command
}

async fn fails(data: &Path, args: &[&str]) -> anyhow::Result<Output> {
    let output = run(&mut nave(data, args)).await?;
    assert_ne!(output.code, 0, "{args:?} succeeded: {output:?}");
    assert_eq!(output.stdout, "", "{args:?} printed data though it failed");
    Ok(output)
}

#[tokio::test]
async fn the_reference_is_the_program() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let page = run(&mut nave(data.path(), &["man", "--markdown"])).await?.ok()?;
    assert_eq!(page, include_str!("../../../../docs/cli.md"), "`cargo xtask docs` writes the page anew");
    let man = run(&mut nave(data.path(), &["man"])).await?.ok()?;
    assert!(man.contains(".TH nave 1"), "{man}");
    for shell in ["bash", "zsh", "fish"] {
        let completions = run(&mut nave(data.path(), &["completions", shell])).await?.ok()?;
        assert!(completions.contains("forward"), "{shell}");
        let boards = run(&mut nave(data.path(), &["board", "completions", shell])).await?.ok()?;
        assert_eq!(boards, completions);
    }
    Ok(())
}

#[tokio::test]
async fn a_key_may_begin_with_a_hyphen() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let key = "-RLoz_gtnx180PpSTIOoau4g4Tvct6FOlAZ1SPD0z9Q";
    for args in [&["node", "trust", "lab", key][..], &["forward", "lab:80", "--peer-key", key]] {
        let output = fails(data.path(), args).await?;
        // It is understood, and only then it matters that this machine has not joined.
        assert_eq!(output.code, 1, "{args:?}: {output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn mistakes_say_what_to_do_next() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let shown = data.path().display().to_string();
    let mut said = String::new();
    for args in [
        &["node", "list"][..],
        &["forward", "lab:80"],
        &["forward", "lab"],
        &["join", "https://127.0.0.1:1", "--token", "hello"],
        &["join", "http://127.0.0.1:1"],
        &["join", "https://127.0.0.1:1"],
        &["join", "https://127.0.0.1:1", "--token", "nave1.AAAA.AAAA"],
        &["hub", "--config", "missing.toml"],
        &["hub", "--fd", "0"],
        &["hub", "--database", "mysql://x"],
        &["ca", "issue", "hub.example.org"],
        &["nodes"],
    ] {
        let output = fails(data.path(), args).await?;
        said.push_str(&format!(
            "$ nave {}\n[{}] {}\n",
            args.join(" "),
            output.code,
            output.stderr.trim_end()
        ));
    }
    insta::assert_snapshot!("mistakes", said.replace(&shown, "DATA"));
    Ok(())
}

#[tokio::test]
async fn a_hub_is_started_asked_and_stopped() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    // As talkative as it gets: the log must not hold a secret even then.
    let mut hub = nave(data.path(), &["hub", "--listen", "127.0.0.1:0"]);
    let mut hub = Background::start(hub.env("NAVE_LOG", "trace"))?;
    hub.says("the hub is ready").await?;

    let second = fails(data.path(), &["hub", "--listen", "127.0.0.1:0"]).await?;
    assert!(second.stderr.contains("another hub runs on this data folder"), "{}", second.stderr);

    let key = run(&mut nave(data.path(), &["key", "show"])).await?.ok()?;
    assert_eq!(key.trim().len(), 33, "{key}");
    let full = run(&mut nave(data.path(), &["key", "show", "--full"])).await?.ok()?;
    assert!(full.starts_with(&key[..16]) && full.trim().ends_with(&key.trim()[17..]), "{full}");
    assert!(!hub.output().contains(&key.trim()[17..]), "the log holds the access key");

    let status = run(&mut nave(data.path(), &["status"])).await?;
    assert_eq!(status.code, 0, "{status:?}");
    assert!(status.stdout.contains("PASS") && !status.stdout.contains("FAIL"), "{}", status.stdout);

    let unknown = fails(data.path(), &["node", "approve", "nobody"]).await?;
    assert!(unknown.stderr.contains("there is no node named \"nobody\""), "{}", unknown.stderr);
    let unsure = fails(data.path(), &["node", "revoke", "nobody"]).await?;
    assert!(unsure.stderr.contains("--yes"), "{}", unsure.stderr);

    let pid = nix::unistd::Pid::from_raw(i32::try_from(hub.child.id().unwrap_or(0))?);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
    let ended = tokio::time::timeout(nave_testkit::wait::PATIENCE, hub.child.wait()).await??;
    assert!(ended.success(), "{}", hub.output());
    let status = run(&mut nave(data.path(), &["status"])).await?;
    assert_eq!(status.code, 1, "{status:?}");
    Ok(())
}

#[tokio::test]
async fn up_shows_everything_on_one_machine() -> anyhow::Result<()> {
    if !need("curl") {
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    // Twice: the second time on the folder that the first one left.
    for _ in 0..2 {
        let mut up = Background::start(&mut nave(data.path(), &["up", "--listen", "127.0.0.1:0"]))?;
        let url = up.says("http://127.0.0.1:").await?;
        let page = run(Command::new("curl").args(["--silent", "--fail", &url])).await?.ok()?;
        assert!(page.contains("It works"), "{page}");
        let nodes = run(&mut nave(data.path(), &["node", "list"])).await?.ok()?;
        assert!(nodes.contains("local") && nodes.contains("online"), "{nodes}");
        let pid = nix::unistd::Pid::from_raw(i32::try_from(up.child.id().unwrap_or(0))?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT)?;
        let ended = tokio::time::timeout(nave_testkit::wait::PATIENCE, up.child.wait()).await??;
        assert!(ended.success(), "{}", up.output());
    }
    Ok(())
}
