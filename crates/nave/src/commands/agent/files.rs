//! Files that hang on messages: read from here and sent to the hub, fetched from there and saved here.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use hyper::body::Bytes;
use nave_agents::api::{Attachment, LARGEST_FILE, MailHead};

use super::logs::plain;
use crate::client::{HubClient, segment};

const FILES: &str = "/nave/v1/agent-files";
/// The longest part of a name that is kept, in bytes.
const LONGEST_NAME: usize = 200;

/// What is to be sent: each with its name. All are read before anything is sent.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let read = |path: &PathBuf| {
        let shown = path.display();
        let name = path.file_name().with_context(|| format!("{shown} is no file"))?;
        let size = fs::metadata(path).with_context(|| format!("{shown} cannot be sent"))?.len();
        if size > LARGEST_FILE as u64 {
            bail!("{shown} cannot be sent: it has {size} bytes, and a file may have {LARGEST_FILE}");
        }
        let content = fs::read(path).with_context(|| format!("{shown} cannot be sent"))?;
        ensure!(!content.is_empty(), "{shown} cannot be sent: there is nothing in it");
        Ok((name.to_string_lossy().into_owned(), content))
    };
    paths.iter().map(read).collect()
}

/// Sends them to the hub; their ids there.
pub(super) async fn bring(
    hub: &HubClient,
    files: Vec<(String, Vec<u8>)>,
    agent: &str,
) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::with_capacity(files.len());
    for (name, content) in files {
        ids.push(keep(hub, agent, &name, content).await.with_context(|| format!("{name} is not sent"))?);
    }
    Ok(ids)
}

/// Keeps a file on the hub that is to hang on a message of an agent; its id there.
pub(super) async fn keep(
    hub: &HubClient,
    agent: &str,
    name: &str,
    content: Vec<u8>,
) -> anyhow::Result<String> {
    let path = format!("{FILES}?agent={}&filename={}", segment(agent), segment(name));
    let kept: Attachment = hub.post_bytes(&path, content).await?;
    Ok(kept.id)
}

/// What is in a file that the hub keeps.
pub(super) async fn fetch(hub: &HubClient, id: &str) -> anyhow::Result<Bytes> {
    hub.get_bytes(&format!("{FILES}/{}", segment(id))).await
}

/// Fetches the files of a message and saves them into a folder; where each is then.
pub(super) async fn save(hub: &HubClient, mail: &MailHead, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let mut saved = Vec::with_capacity(mail.attachments.len());
    for file in &mail.attachments {
        let content = fetch(hub, &file.id).await;
        let content = content.with_context(|| format!("{} is not saved", plain(&file.filename)))?;
        saved.push(put(folder, mail.id, &file.filename, &content)?);
    }
    Ok(saved)
}

/// Saves a file under its name behind the number of its message, and where there is another one of that name, behind one more
/// number. Who sent it chose its name: so it leads nowhere, and is none that programs look for by themselves or take for an option.
fn put(folder: &Path, mail: i64, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
    let name = plain(name.rsplit(['/', '\\']).next().unwrap_or_default());
    let name = &name[name.ceil_char_boundary(name.len().saturating_sub(LONGEST_NAME))..];
    for number in 1..1_000 {
        let path = folder.join(match number {
            1 => format!("{mail}-{name}"),
            _ => format!("{mail}-{number}-{name}"),
        });
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                let written = file.write_all(content);
                if written.is_err() {
                    let _ = fs::remove_file(&path);
                }
                written.with_context(|| format!("writing {}", path.display()))?;
                return Ok(path);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if path.is_file() && fs::read(&path).is_ok_and(|there| there == content) {
                    return Ok(path);
                }
            }
            Err(error) => return Err(error).with_context(|| format!("writing {}", path.display())),
        }
    }
    bail!("{}: there are too many files named {mail}-{name} already", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_no_name_leads_anywhere() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let saved = |name: &str, content: &str| -> anyhow::Result<String> {
            let path = put(folder.path(), 17, name, content.as_bytes())?;
            assert_eq!(fs::read_to_string(&path)?, content);
            Ok(path.strip_prefix(folder.path())?.display().to_string())
        };
        assert_eq!(saved("a.txt", "one")?, "17-a.txt");
        assert_eq!(saved("a.txt", "two")?, "17-2-a.txt");
        assert_eq!(saved("a.txt", "two")?, "17-2-a.txt", "the same once more");
        assert_eq!(saved("a.txt", "three")?, "17-3-a.txt");
        assert_eq!(saved("../../b", "x")?, "17-b");
        for name in [".bashrc", "..", "-rf", "AGENTS.md"] {
            assert_eq!(saved(name, "x")?, format!("17-{name}"));
        }
        assert!(!saved("c\nd", "x")?.contains('\n'));
        assert!(saved(&format!("{}.txt", "ä".repeat(200)), "x")?.ends_with("ä.txt"));
        Ok(())
    }

    #[test]
    fn what_cannot_be_sent_is_named() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let (empty, large, none) =
            (folder.path().join("e"), folder.path().join("l"), folder.path().join("n"));
        fs::write(&empty, "")?;
        fs::File::create(&large)?.set_len(LARGEST_FILE as u64 + 1)?;
        for (path, why) in [
            (empty, "there is nothing in it"),
            (large, "a file may have 10485760"),
            (none, "No such file"),
            (folder.path().to_owned(), "Is a directory"),
        ] {
            let error = format!("{:#}", read(&[path]).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
        Ok(())
    }
}
