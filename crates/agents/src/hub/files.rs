//! Files that hang on mails and logs: kept once for each content, told by an id that cannot be guessed, given to those whose
//! they are.

pub(super) mod serve;
mod store;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::op::{Actor, Op};
use nave_link::secret_file;

pub(super) use self::store::FileRow;
use super::{Agents, MANAGE, OWN, READ, hosts};
use crate::api::{Attachment, LARGEST_FILE, NewFile};

/// The largest file, in bytes.
pub(super) const LARGEST: usize = LARGEST_FILE;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 255;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be sent with a mail.
    Mail,
    /// What an agent looked at, which its log speaks of.
    Context,
}

impl Purpose {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Context => "context",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Mail, Self::Context].into_iter().find(|purpose| purpose.word() == word)
    }
}

/// The SHA-256 of a content, in lower-case hex.
pub(super) fn hash(content: &[u8]) -> String {
    hex::encode(digest(&SHA256, content))
}

/// Reads the greatest number, so that counting goes on there.
pub(super) async fn begin(op: &Op, hub: &Hub, agents: &Agents) -> Result<()> {
    access::require(op, MANAGE)?;
    agents.counters().file.set(store::last(&mut hub.store.read().await?).await?);
    Ok(())
}

/// Keeps a file that is to hang on a message, for the agent who will write that.
pub(super) async fn bring(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    new: &NewFile,
    content: Bytes,
) -> Result<Attachment> {
    access::require(op, OWN)?;
    let agent = agents.directory().read().agent_named(&new.agent)?.id;
    let row = keep(op, hub, agents, agent, &new.filename, Purpose::Mail, content).await?;
    Ok(Attachment { id: row.public_id, filename: row.filename, size: row.size })
}

/// Keeps a file that an agent brought.
pub(super) async fn keep(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    agent: i64,
    filename: &str,
    purpose: Purpose,
    content: Bytes,
) -> Result<FileRow> {
    require_own(op, agents, agent)?;
    if content.is_empty() || content.len() > LARGEST {
        return Err(Error::invalid("file", format!("must have 1 to {LARGEST} bytes")));
    }
    let filename = checked_name(filename)?;
    if purpose == Purpose::Mail {
        agents.file_rates().take(agents, agent, "files", op.clock.now())?;
    }
    let size = i64::try_from(content.len()).map_err(Error::internal)?;
    let hash = hash(&content);
    let path = place(&hub.folder, &hash);
    tokio::task::spawn_blocking(move || put(&path, &content)).await.map_err(Error::internal)??;
    let row = FileRow {
        id: agents.counters().file.next(),
        public_id: BASE64_URL_SAFE_NO_PAD.encode(hub.random.bytes::<8>())[..10].to_owned(),
        hash,
        filename,
        size,
        uploaded_by: agent,
    };
    let mut act = hub.store.begin().await?;
    store::insert(&mut act, &row, purpose, op.clock.now()).await?;
    act.commit().await?;
    Ok(row)
}

/// A name without a way to anywhere, and without what terminals and headers take for more than text.
fn checked_name(name: &str) -> Result<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    if last.is_empty()
        || last == "."
        || last == ".."
        || last.len() > LONGEST_NAME
        || last.contains(char::is_control)
    {
        return Err(Error::invalid("filename", format!("{name:?} is no name of a file")));
    }
    Ok(last.to_owned())
}

/// Where a content lies: under its hash, which says nothing but what it is.
pub(super) fn place(folder: &Path, hash: &str) -> PathBuf {
    let (first, rest) = hash.split_at(2);
    folder.join("blobs/agents").join(first).join(&rest[..2]).join(hash)
}

fn put(path: &Path, content: &[u8]) -> Result<()> {
    let unavailable =
        |source| Error::Unavailable { what: "the hub's data folder (it could not keep the file)", source };
    if path.exists() {
        return Ok(());
    }
    let folder = path.parent().ok_or_else(|| Error::internal("a file without a folder"))?;
    std::fs::create_dir_all(folder).map_err(|error| unavailable(error.into()))?;
    secret_file::replace(path, content, 0o600).map_err(|error| unavailable(error.into()))
}

/// A file with its content, for those whose it is: its agent, and those who have a mail with it.
pub(super) async fn fetch(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    public_id: &str,
) -> Result<(FileRow, Vec<u8>)> {
    if let Err(refusal) = access::require(op, READ) {
        // An agent that comes with its own key has what is its own.
        access::require(op, OWN).map_err(|_| refusal)?;
    }
    let not_found = || Error::not_found("file", public_id);
    let mut reader = hub.store.read().await?;
    let row = store::by_public_id(&mut reader, public_id).await?.ok_or_else(not_found)?;
    if access::require(op, MANAGE).is_err() {
        let mut own = require_own(op, agents, row.uploaded_by).is_ok();
        if !own {
            let readers = store::readers(&mut reader, row.id).await?;
            own = readers.into_iter().any(|agent| require_own(op, agents, agent).is_ok());
        }
        if !own {
            return Err(not_found());
        }
    }
    drop(reader);
    let path = place(&hub.folder, &row.hash);
    let content = tokio::task::spawn_blocking(move || std::fs::read(path)).await.map_err(Error::internal)?;
    match content {
        Ok(content) => Ok((row, content)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            tracing::error!(
                file = row.public_id,
                hash = row.hash,
                "a file's content is missing from the disk"
            );
            Err(Error::Conflict("Attachment file missing from disk".to_owned()))
        }
        Err(error) => Err(Error::internal(error)),
    }
}

/// Lets pass who may act for an agent; and the agent itself, which came with its own key.
fn require_own(op: &Op, agents: &Agents, agent: i64) -> Result<()> {
    match &op.actor {
        Actor::Client(client) if client.dialect == super::AGENT => {
            if client.id == agent.to_string() {
                return Ok(());
            }
            Err(Error::Forbidden(format!("{} is another agent", client.name)))
        }
        _ => hosts::require_for(op, agents, agent),
    }
}

/// What an agent does that came with its own key.
pub(super) fn op_of_agent(
    hub: &Hub,
    agents: &Agents,
    key: &str,
    source: Option<std::net::IpAddr>,
) -> Result<(i64, Op)> {
    hub.wrong_keys.check(source)?;
    let rows = agents.directory().read();
    let Some(row) = rows.agent_by_key(&super::roster::hash(key)) else {
        hub.wrong_keys.wrong(source);
        return Err(Error::Unauthenticated("Invalid API key".to_owned()));
    };
    let client = nave_core::hub::op::Client {
        dialect: super::AGENT,
        id: row.id.to_string(),
        name: row.name().to_owned(),
        may: vec![READ],
    };
    let request = nave_core::id::RequestId::new();
    Ok((row.id, Op { actor: Actor::Client(client), source, request, clock: hub.clock.clone() }))
}

/// The number of the file that has a public id, for mails that name it so.
pub(super) async fn number_of(hub: &Arc<Hub>, public_id: &str) -> Result<i64> {
    let row = store::by_public_id(&mut hub.store.read().await?, public_id).await?;
    row.map(|row| row.id).ok_or_else(|| Error::not_found("file", public_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_only_a_name() {
        for (name, kept) in [("a.txt", "a.txt"), ("../../etc/passwd", "passwd"), ("C:\\x\\y.png", "y.png")] {
            assert_eq!(checked_name(name).unwrap(), kept);
        }
        for bad in ["", "..", "a/..", "x\r\nSet-Cookie: a", " ", &"a".repeat(256)] {
            assert!(checked_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_content_lies_under_its_hash() {
        let hash = hash(b"hi");
        assert_eq!(hash, "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4");
        assert!(place(Path::new("/data"), &hash).ends_with(format!("blobs/agents/8f/43/{hash}")));
    }
}
