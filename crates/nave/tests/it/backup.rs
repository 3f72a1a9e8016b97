//! Backup and restore as an operator does them: onto another machine, where the nodes come back by themselves.

use std::path::Path;

use nave_testkit::wait::until;
use tokio::process::Command;

use crate::program::{Background, NAVE, run};

fn nave(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(NAVE);
    command.args(args).env("NAVE_DIR", data).env("NAVE_PASSPHRASE", "correct horse").kill_on_drop(true);
    command
}

#[tokio::test]
async fn a_restored_hub_has_every_row_and_its_nodes_come_back() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (old, new, lab) = (folder.path().join("old"), folder.path().join("new"), folder.path().join("lab"));
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let listen = format!("127.0.0.1:{port}");
    let mut hub = Background::start(&mut nave(&old, &["hub", "--listen", &listen]))?;
    hub.says("the hub is ready").await?;
    let line = run(&mut nave(&old, &["invite", "--name", "lab", "--role", "exporter"])).await?.ok()?;
    let pasted: Vec<&str> = line.split_whitespace().skip(1).collect();
    let node = Background::start(&mut nave(&lab, &pasted))?;
    node.says("connected as lab").await?;

    let file = folder.path().join("hub.backup");
    let path = file.to_str().unwrap();
    run(&mut nave(&old, &["backup", path])).await?.ok()?;
    let before = run(&mut nave(&old, &["audit", "--export"])).await?.ok()?;
    assert!(before.contains("backup.made"), "{before}");
    let again = run(&mut nave(&old, &["backup", path])).await?;
    assert_eq!(again.code, 1, "it replaced a backup: {again:?}");
    let bytes = std::fs::read(&file)?;
    assert!(!bytes.windows(4).any(|part| part == b"lab\""), "the backup is readable");
    hub.child.kill().await?;
    node.says("not connected").await?;
    node.forget();

    let mut wrong = nave(&new, &["restore", path]);
    let wrong = run(wrong.env("NAVE_PASSPHRASE", "wrong horse")).await?;
    assert_eq!(wrong.code, 1);
    assert!(wrong.stderr.contains("passphrase"), "{}", wrong.stderr);
    assert!(!new.join("hub.key").exists(), "a refused restore left something");
    run(&mut nave(&new, &["restore", path])).await?.ok()?;
    let over = run(&mut nave(&new, &["restore", path])).await?;
    assert_eq!(over.code, 1);
    assert!(over.stderr.contains("--force"), "{}", over.stderr);

    let hub = Background::start(&mut nave(&new, &["hub", "--listen", &listen]))?;
    hub.says("the hub is ready").await?;
    node.says("connected as lab").await?;
    let after = || async { run(&mut nave(&new, &["audit", "--export"])).await.ok()?.ok().ok() };
    let after = until("the audit log is read", after).await?;
    // The note about the backup itself is written after its contents.
    for line in before.lines().filter(|line| !line.contains("backup.made")) {
        assert!(after.lines().any(|other| other == line), "missing: {line}");
    }
    Ok(())
}
