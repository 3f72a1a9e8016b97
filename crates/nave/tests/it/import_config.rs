//! `nave board import-config`: the settings of not-my-board's hub, printed, written behind those of this hub, and refused
//! where something would be lost.

use anyhow::ensure;
use tokio::process::Command;

use crate::program::{NAVE, Output, run};

const THEIRS: &str = r#"
log_level = "debug"
uniqueness_tolerance = 0.05
[auth]
issuer = "https://id.example.org"
client_id = "farm"
[[auth.permissions]]
claims = { sub = "lab" }
roles = ["exporter"]
[[auth.permissions]]
claims = { groups = ["ci", "trusted"] }
roles = ["importer"]
[auth.issuers."https://id.example.org"]
user_name_formats = ["$name"]
"#;

struct Files(tempfile::TempDir);

impl Files {
    fn new(theirs: &str, ours: &str) -> anyhow::Result<Self> {
        let files = Self(tempfile::tempdir()?);
        std::fs::write(files.0.path().join("theirs.toml"), theirs)?;
        std::fs::write(files.0.path().join("hub.toml"), ours)?;
        Ok(files)
    }

    async fn import(&self, more: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(NAVE);
        command.args(["board", "import-config", "theirs.toml", "--config", "hub.toml"]).args(more);
        run(command.current_dir(self.0.path())).await
    }

    fn ours(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.0.path().join("hub.toml"))?)
    }
}

#[tokio::test]
async fn a_farm_is_moved_over_without_losing_anything() -> anyhow::Result<()> {
    let ours = "# What we have.\nlisten = [\"127.0.0.1:0\"] # here\n\n[boards.not_my_board]\nenabled = true\npeople = true";
    let files = Files::new(THEIRS, ours)?;
    let shown = files.import(&[]).await?;
    ensure!(shown.code == 0, "{shown:?}");
    ensure!(files.ours()? == ours, "it was written though nobody said so");
    ensure!(shown.stdout.contains("[[boards.not_my_board.auth.permissions]]"), "{}", shown.stdout);
    for words in [
        "nave: taken: uniqueness_tolerance",
        "nave: different: auth.permissions[1]: a token must have everything",
        "nave: left out: log_level",
        "with --write",
    ] {
        ensure!(shown.stderr.contains(words), "{words}: {}", shown.stderr);
    }
    let json: serde_json::Value = serde_json::from_str(&files.import(&["--json"]).await?.ok()?)?;
    ensure!(json["problem"].is_null() && json["notes"][0]["fate"] == "taken", "{json}");

    let written = files.import(&["--write"]).await?;
    ensure!(written.code == 0, "{written:?}");
    let now = files.ours()?;
    ensure!(now.starts_with(ours), "{now}");
    ensure!(now.contains("user_name_formats = [\"${name}\"]"), "{now}");
    // A second time there is no place for it any more, and the file stays.
    let again = files.import(&["--write"]).await?;
    ensure!(again.code == 1 && again.stderr.contains("nothing was written"), "{again:?}");
    ensure!(files.ours()? == now);
    Ok(())
}

#[tokio::test]
async fn what_would_not_work_is_not_written() -> anyhow::Result<()> {
    // Nobody was asked who they are: then it must be said from where they come.
    let open = Files::new("", "")?;
    let asked = open.import(&["--write"]).await?;
    ensure!(asked.code != 0 && asked.stderr.contains("open_to") && open.ours()?.is_empty(), "{asked:?}");
    let told = open.import(&["--write", "--open-to", "10.0.0.0/8"]).await?;
    ensure!(told.code == 0 && open.ours()?.contains("open_to = [\"10.0.0.0/8\"]"), "{told:?}");

    for (theirs, ours, problem) in [
        ("[auth]\n", "", "auth.issuer is missing"),
        ("nonsense", "", "theirs.toml"),
        (THEIRS, "boards.not_my_board.enabled = true\n", "nothing was written"),
        (THEIRS, "[boards]\ngrace = \"1m\"\n", "nothing was written"),
        (THEIRS, "[boards]\nuniqueness_tolerance = 0.5\n", "nothing was written"),
        (THEIRS, "[[[", "hub.toml"),
        (&THEIRS.replace("https://id", "http://id"), "", "cannot be used"),
    ] {
        let files = Files::new(theirs, ours)?;
        let refused = files.import(&["--write"]).await?;
        ensure!(refused.code != 0 && refused.stderr.contains(problem), "{theirs} {ours}: {refused:?}");
        ensure!(files.ours()? == ours, "{ours}: it was changed");
    }
    Ok(())
}
