//! Mail as an operator meets it: testing it, seeing what is stuck and why, sending it again, forgetting it.

use std::path::Path;

use nave_core::hub::mail::MailTls;
use nave_testkit::need;
use nave_testkit::smtp::SmtpCatcher;
use tokio::process::Command;

use crate::program::{Background, NAVE, run};

fn nave(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(NAVE);
    command.args(args).env("NAVE_DIR", data).env("NAVE_LOG", "trace").kill_on_drop(true);
    command
}

#[tokio::test]
async fn mail_is_tested_seen_sent_again_and_forgotten() -> anyhow::Result<()> {
    if !need("smtp") {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let data = folder.path();
    let mut server = SmtpCatcher::start(MailTls::Starttls)?;
    let table = server.table()?;
    let (ca, password) = (table.ca.unwrap(), table.password_file.unwrap());
    let config = data.join("hub.toml");
    let text = format!(
        "[mail]\nserver = \"{}\"\nca = {ca:?}\nuser = \"nave\"\npassword_file = {password:?}\nfrom = \"Nave <nave@example.org>\"\n",
        table.server
    );
    std::fs::write(&config, text)?;
    let started = ["hub", "--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()];
    let hub = Background::start(&mut nave(data, &started))?;
    hub.says("the hub is ready").await?;

    let taken = run(&mut nave(data, &["mail", "test", "ada@example.org"])).await?;
    assert_eq!(taken.code, 0, "{taken:?}");
    assert!(taken.stderr.contains("the mail server took the mail to ada@example.org"), "{taken:?}");
    server.mail_to("ada@example.org").await?;

    server.stop();
    let refused = run(&mut nave(data, &["mail", "test", "grace@example.org"])).await?;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("not taken yet: 127.0.0.1:"), "{refused:?}");
    let listed = run(&mut nave(data, &["mail", "list"])).await?.ok()?;
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[1].contains("grace@example.org") && lines[1].contains("queued"), "{listed}");
    assert!(lines[2].contains("ada@example.org") && lines[2].contains("sent"), "{listed}");
    let status = run(&mut nave(data, &["status"])).await?;
    assert!(status.stdout.contains("WARN  mail"), "{}", status.stdout);

    server.launch()?;
    run(&mut nave(data, &["mail", "retry"])).await?.ok()?;
    server.mail_to("grace@example.org").await?;
    let id = lines[2].split_whitespace().next().unwrap();
    run(&mut nave(data, &["mail", "discard", id])).await?.ok()?;
    let listed = run(&mut nave(data, &["mail", "list", "--json"])).await?.ok()?;
    assert!(!listed.contains("ada@example.org") && listed.contains("grace@example.org"), "{listed}");

    let password = std::fs::read_to_string(password)?;
    assert!(!hub.output().contains(password.trim()), "the log holds the password");
    Ok(())
}

#[tokio::test]
async fn a_hub_without_mail_says_so() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = Background::start(&mut nave(folder.path(), &["hub", "--listen", "127.0.0.1:0"]))?;
    hub.says("the hub is ready").await?;
    let status = run(&mut nave(folder.path(), &["status"])).await?.ok()?;
    assert!(status.contains("not configured: links are shown on the screen instead"), "{status}");
    let test = run(&mut nave(folder.path(), &["mail", "test", "ada@example.org"])).await?;
    assert_eq!(test.code, 1);
    assert!(test.stderr.contains("set [mail] in the hub's configuration"), "{test:?}");
    Ok(())
}
