//! Where things lie unless somebody says otherwise.

use std::path::PathBuf;

/// The data folder of hub and node alike.
pub fn data_folder(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(path) = given {
        return Ok(std::path::absolute(path)?);
    }
    // Hubs that NAISYS's users set up before say where they keep things in this variable.
    if let Some(path) = std::env::var_os("NAISYS_FOLDER").filter(|path| !path.is_empty()) {
        return Ok(std::path::absolute(path)?);
    }
    if nix::unistd::geteuid().is_root() {
        return Ok("/var/lib/nave".into());
    }
    if let Some(data) = std::env::var_os("XDG_DATA_HOME").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(data).join("nave"));
    }
    let home = std::env::home_dir()
        .ok_or_else(|| anyhow::anyhow!("there is no home folder to keep data in: set NAVE_DIR"))?;
    Ok(home.join(".local/share/nave"))
}

/// The access key from the environment, or from `.env` in the working folder.
pub fn access_key_text() -> Option<String> {
    let named = |text: String| {
        let text = text.trim().trim_matches(['"', '\'']).to_owned();
        (!text.is_empty()).then_some(text)
    };
    if let Ok(text) = std::env::var("HUB_ACCESS_KEY") {
        return named(text);
    }
    let file = std::fs::read_to_string(".env").ok()?;
    file.lines().find_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        named(line.strip_prefix("HUB_ACCESS_KEY=")?.to_owned())
    })
}
