//! Files on mail, as agents send and fetch them: in their shells, and by their models.

use std::fs;

use anyhow::{Context as _, ensure};
use nave_testkit::need::need;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::agent_mcp::Running;
use crate::program::{NAVE, Output, run};

/// A picture, as far as its head and its end tell: of one pixel.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0....IEND\xaeB\x60\x82";

struct Shell<'a> {
    running: &'a Running,
    key: String,
    folder: TempDir,
}

impl<'a> Shell<'a> {
    async fn of(running: &'a Running, agent: &str) -> anyhow::Result<Self> {
        Ok(Self { running, key: running.key(agent).await?, folder: tempfile::tempdir()? })
    }

    async fn runs(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut nave = Command::new(NAVE);
        self.running.shell(&self.key)(nave.args(arguments).current_dir(self.folder.path()));
        run(&mut nave).await
    }

    fn reads(&self, file: &str) -> anyhow::Result<Vec<u8>> {
        fs::read(self.folder.path().join(file)).context(file.to_owned())
    }
}

#[tokio::test]
async fn a_file_reaches_those_to_whom_it_is_sent_and_nobody_else() -> anyhow::Result<()> {
    if !need("curl") {
        return Ok(());
    }
    let running = Running::with(&["ann", "bob", "cid"]).await?;
    let (ann, bob, cid) = (
        Shell::of(&running, "ann").await?,
        Shell::of(&running, "bob").await?,
        Shell::of(&running, "cid").await?,
    );
    fs::write(ann.folder.path().join("report.csv"), "roses,7\n")?;
    fs::write(ann.folder.path().join("map.png"), PICTURE)?;
    let send = ["agent", "mail", "send", "bob", "--as", "ann", "--subject", "Roses", "--body", "See there."];
    let ran = ann.runs(&[&send[..], &["--file", "report.csv", "--file", "map.png"]].concat()).await?;
    ensure!(ran.code == 0 && ran.stderr.contains("is sent to bob"), "{ran:?}");
    let number = ran.stderr.split(' ').nth(2).context("its number")?.to_owned();

    let read = ["agent", "mail", "read", &number, "--save", "from-ann"];
    let ran = bob.runs(&[&read[..], &["--as", "bob"]].concat()).await?;
    ensure!(ran.code == 0 && ran.stderr.contains("report.csv is saved"), "{ran:?}");
    ensure!(ran.stdout.contains("report.csv (8 bytes)"), "{ran:?}");
    assert_eq!(bob.reads(&format!("from-ann/{number}-report.csv"))?, b"roses,7\n");
    assert_eq!(bob.reads(&format!("from-ann/{number}-map.png"))?, PICTURE);
    // What bob made of it stays.
    fs::write(bob.folder.path().join(format!("from-ann/{number}-report.csv")), "roses,8\n")?;
    let again = bob.runs(&[&read[..], &["--as", "bob"]].concat()).await?;
    ensure!(again.stderr.contains(&format!("from-ann/{number}-2-report.csv is saved")), "{again:?}");
    assert_eq!(bob.reads(&format!("from-ann/{number}-report.csv"))?, b"roses,8\n");

    // What cannot be saved is shown all the same.
    fs::write(bob.folder.path().join("taken"), "")?;
    let nowhere = ["agent", "mail", "read", &number, "--save", "taken", "--as", "bob"];
    let failed = bob.runs(&nowhere).await?;
    ensure!(failed.code == 1 && failed.stdout.contains("See there."), "{failed:?}");

    // Cid has neither the message nor, by its id, the file.
    let mail = bob.runs(&["agent", "mail", "read", &number, "--as", "bob", "--json"]).await?.ok()?;
    let mail: serde_json::Value = serde_json::from_str(&mail)?;
    let file = mail["attachments"][0]["id"].as_str().context("an id")?.to_owned();
    let refused = cid.runs(&[&read[..], &["--as", "cid"]].concat()).await?;
    ensure!(refused.code == 1 && !refused.stderr.contains("Roses"), "{refused:?}");
    ensure!(!cid.folder.path().join("from-ann").exists());
    let url = format!("/nave/v1/agent-files/{file}");
    for (shell, status) in [(&bob, 200), (&ann, 200), (&cid, 404)] {
        let mut curl = Command::new("curl");
        let address = running.farm.hub.address();
        curl.args(["--insecure", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"])
            .args(["--header", &format!("Authorization: Bearer {}", shell.key)])
            .arg(format!("https://{address}{url}"));
        assert_eq!(run(&mut curl).await?.ok()?, status.to_string());
    }
    // As who one is not, nothing is kept; and what is no file is said before anything is sent.
    let other = ["agent", "mail", "send", "bob", "--as", "ann", "--subject", "s", "--body", "b", "--file"];
    let refused = cid.runs(&[&other[..], &["/etc/hostname"]].concat()).await?;
    ensure!(refused.code == 1 && refused.stderr.contains("is another agent"), "{refused:?}");
    let missing = ann.runs(&[&other[..], &["report.csv", "--file", "none.csv"]].concat()).await?;
    ensure!(missing.code == 1 && missing.stderr.contains("none.csv cannot be sent"), "{missing:?}");
    Ok(())
}

#[tokio::test]
async fn a_model_sees_files_and_hangs_texts_on_its_mail() -> anyhow::Result<()> {
    if !need("mcp") {
        return Ok(());
    }
    let running = Running::with(&["ann", "bob"]).await?;
    let (mut ann, mut bob) = (running.client("ann").await?, running.client("bob").await?);
    let long = "ten letters".repeat(2_000);
    let files =
        json!([{ "name": "notes.md", "text": "# Roses\nThey bloom." }, { "name": "long.txt", "text": long }]);
    let mail = json!({ "to": ["bob"], "subject": "Roses", "body": "See there.", "files": files });
    let sent = ann.gives("mail_send", mail).await?.0["id"].clone();
    let (message, _) = bob.gives("mail_read", json!({ "id": sent })).await?;
    assert_eq!(message["files"][0]["name"], "notes.md");
    let id = &message["files"][0]["id"];
    let (notes, told) = bob.gives("mail_file", json!({ "mail": sent, "file": id })).await?;
    assert_eq!((&notes["kind"], &notes["text"]), (&json!("text"), &json!("# Roses\nThey bloom.")));
    ensure!(told.contains("\n> # Roses\n> They bloom."), "{told}");
    let (part, _) = bob.gives("mail_file", json!({ "mail": sent, "file": "long.txt" })).await?;
    let rest = json!({ "mail": sent, "file": "long.txt", "cursor": part["next_cursor"] });
    let (rest, _) = bob.gives("mail_file", rest).await?;
    let all = format!("{}{}", part["text"].as_str().unwrap_or(""), rest["text"].as_str().unwrap_or(""));
    assert_eq!(all, long);
    let problem = bob.fails("mail_file", json!({ "mail": sent, "file": "roses.md" })).await?;
    ensure!(problem.contains("mail_read lists them"), "{problem}");
    let empty = json!({ "to": ["bob"], "subject": "s", "body": "b", "files": [{ "name": "a", "text": "" }] });
    ensure!(ann.fails("mail_send", empty).await?.contains("files[0]: nothing is sent"));

    let shell = Shell::of(&running, "bob").await?;
    fs::write(shell.folder.path().join("map.png"), PICTURE)?;
    let send = ["agent", "mail", "send", "ann", "--as", "bob", "--subject", "Map", "--body", "Here."];
    let ran = shell.runs(&[&send[..], &["--file", "map.png"]].concat()).await?;
    let number: i64 = ran.stderr.split(' ').nth(2).context("its number")?.parse()?;
    let seen = ann.call("mail_file", json!({ "mail": number, "file": "map.png" })).await?;
    assert_eq!(seen["structuredContent"]["kind"], "picture");
    let picture = &seen["content"][1];
    assert_eq!((&picture["type"], &picture["mimeType"]), (&json!("image"), &json!("image/png")));
    Ok(())
}
