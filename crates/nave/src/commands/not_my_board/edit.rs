//! `nave not-my-board edit`: the import description of a reserved place, in the editor of whoever asks.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use nave_boards::node::agent::AgentClient;

pub async fn run(agent: &mut AgentClient, name: &str) -> anyhow::Result<()> {
    let before = agent.import_description(name).await?;
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().context("a file to edit")?;
    file.write_all(before.as_bytes()).context("a file to edit")?;
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .filter_map(std::env::var_os)
        .find(|editor| !editor.is_empty())
        .unwrap_or_else(|| "vi".into());
    let shown = editor.display().to_string();
    let status = tokio::process::Command::new(&editor).arg(file.path()).status().await;
    let status = status.with_context(|| format!("the editor {shown} does not start (VISUAL or EDITOR)"))?;
    // By its name: some editors write a new file and rename it.
    let after = std::fs::read_to_string(file.path()).context("what was edited cannot be read")?;
    let done = if status.success() {
        agent.update_import_description(name, &after).await.map_err(anyhow::Error::from)
    } else {
        Err(anyhow::anyhow!("{shown} ended with {status}"))
    };
    // Nobody should have to type it again.
    if let Err(error) = done {
        bail!(
            "Failed to edit ({error:#}), here is your changed import description for reference:\n{}",
            after.trim_end()
        );
    }
    Ok(())
}
