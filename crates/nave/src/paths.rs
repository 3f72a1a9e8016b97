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
    setting("HUB_ACCESS_KEY")
}

/// A setting from the environment, or from `.env` in the working folder, as NAISYS reads its own.
pub fn setting(name: &str) -> Option<String> {
    let text = match std::env::var(name) {
        Ok(text) => text,
        Err(_) => dot_env().into_iter().find(|(key, _)| key == name)?.1,
    };
    let text = text.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// What stands in `.env` in the working folder, in its order; lines that mean nothing are left out.
pub fn dot_env() -> Vec<(String, String)> {
    let file = dotenvy::from_path_iter(".env");
    file.map(|lines| lines.filter_map(Result::ok).collect()).unwrap_or_default()
}
