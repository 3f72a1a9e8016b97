//! Moving over from a NAISYS hub: its agents, hosts, mail, logs, costs, variables and files, with the numbers they had, so that
//! running runners go on where they were. Its folder is only read.

mod source;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::event::Event;
use nave_core::hub::op::Op;
use nave_link::secret_file;
use serde_json::{Map, Value, json};

use self::source::{Source, Table};
use super::directory::{self, AgentRow, HostRow};
use super::{Agents, MANAGE, files, roster, settings};
use crate::api::{AgentConfig, HostKind, Model, NewVariable, url_safe};

/// What came of it.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Imported {
    /// What was taken, and how many of it.
    pub taken: Vec<(&'static str, usize)>,
    /// What could not be taken as it was, and what became of it.
    pub notes: Vec<String>,
}

impl Imported {
    fn took(&mut self, what: &'static str, count: usize) {
        self.taken.push((what, count));
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn left_out(&mut self, what: &str, count: usize, why: &str) {
        if count > 0 {
            self.note(format!("{count} {what} were left out: {why}"));
        }
    }
}

/// Where a NAISYS folder has its database.
pub fn database(folder: &Path) -> PathBuf {
    folder.join("database/naisys_hub.db")
}

/// The files of a hub's identity, as NAISYS and Nave name them, each with its mode.
pub const IDENTITY: [(&str, u32); 3] =
    [("hub-key.pem", 0o600), ("hub-cert.pem", 0o644), ("hub-access-key", 0o600)];

/// Takes the certificate and the access key over into a data folder that has none yet; whether there was something to take.
///
/// # Errors
///
/// When the data folder has another identity already, since machines that know it would be lost.
pub fn identity(folder: &Path, data: &Path) -> Result<bool> {
    let (from, to) = (folder.join("cert"), data.join("cert"));
    let unreadable = |path: &Path, error: &std::io::Error| {
        Error::invalid("folder", format!("{} cannot be read: {error}", path.display()))
    };
    let mut found = Vec::new();
    for (name, mode) in IDENTITY {
        let path = from.join(name);
        match std::fs::read(&path) {
            Ok(content) => found.push((to.join(name), content, mode)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&path, &error)),
        }
    }
    if found.is_empty() {
        return Ok(false);
    }
    if found.len() < IDENTITY.len() {
        return Err(Error::invalid(
            "folder",
            format!(
                "{} has only some of hub-key.pem, hub-cert.pem and hub-access-key: put back what is missing",
                from.display()
            ),
        ));
    }
    for (path, content, _) in &found {
        match std::fs::read(path) {
            Ok(before) if before != *content => {
                return Err(Error::Conflict(format!(
                    "this hub has an identity of its own already ({}): machines that know it would be lost. Import into a data folder that no hub used yet (`NAVE_DIR=… nave agent import …`)",
                    path.display()
                )));
            }
            _ => {}
        }
    }
    secret_file::create_private_dir(&to).map_err(Error::internal)?;
    for (path, content, mode) in found {
        if !path.exists() {
            secret_file::create(&path, &content, mode).map_err(Error::internal)?;
        }
    }
    Ok(true)
}

/// Takes everything over.
///
/// # Errors
///
/// When this hub has agents already, or the folder has no database that can be read. Nothing is taken then.
pub async fn import(op: &Op, hub: &Arc<Hub>, agents: &Agents, folder: &Path) -> Result<Imported> {
    access::require(op, MANAGE)?;
    if agents.directory().read().agents().next().is_some() {
        return Err(Error::Conflict(
            "this hub has agents already, and their numbers would meet those of the folder: import into a hub without agents".to_owned(),
        ));
    }
    let mut source = Source::open(&database(folder)).await?;
    let mut imported = Imported::default();
    for table in source::TABLES {
        if !source.has(table).await? {
            imported.note(format!("the database has no table {}", table.name));
        }
    }
    let known = take_agents(op, hub, &mut source, &mut imported).await?;
    let hosts = take_hosts(op, hub, &mut source, &known, &mut imported).await?;
    // What refers to them is taken in parts, each an act: a folder may have millions of lines.
    take_files(op, hub, &mut source, &known, folder, &mut imported).await?;
    for (table, what) in [
        (&source::SESSIONS, "sessions"),
        (&source::COSTS, "costs"),
        (&source::MAILS, "mails"),
        (&source::RECIPIENTS, "recipients"),
        (&source::MAIL_FILES, "files of mails"),
        (&source::REVISIONS, "revisions of configurations"),
    ] {
        take_rows(hub, &hub.store, &mut source, table, what, &known, &hosts, &mut imported).await?;
    }
    take_rows(
        hub,
        agents.bulk(hub),
        &mut source,
        &source::LINES,
        "lines of logs",
        &known,
        &hosts,
        &mut imported,
    )
    .await?;
    let mut act = hub.store.begin().await?;
    let event = Event {
        action: "agents.imported",
        object_kind: "agents",
        object_id: folder.display().to_string(),
        object_name: folder.display().to_string(),
        detail: json!({ "taken": imported.taken, "notes": imported.notes.len() }),
    };
    hub.record(&mut act, op, event).await?;
    act.commit().await?;
    super::fleet::read_all(hub, agents).await?;
    take_settings(op, hub, agents, &mut source, &mut imported).await?;
    Ok(imported)
}

async fn take_agents(
    op: &Op,
    hub: &Hub,
    source: &mut Source,
    imported: &mut Imported,
) -> Result<BTreeSet<i64>> {
    let rows = source.all(&source::USERS).await?;
    let suspended: BTreeMap<i64, String> = source
        .all(&source::NOTIFICATIONS)
        .await?
        .into_iter()
        .filter_map(|row| Some((row.number("user_id")?, row.text("cost_suspended_reason")?)))
        .collect();
    let mut names = BTreeSet::new();
    let mut made = Vec::new();
    for row in rows {
        let Some(id) = row.number("id") else { continue };
        let (mut config, repaired) = config(&row);
        let archived = row.truth("archived");
        if !archived && !names.insert(config.username.to_lowercase()) {
            let name = format!("{}-{id}", config.username);
            imported.note(format!("there are several agents named {}: one is {name} now", config.username));
            names.insert(name.to_lowercase());
            config.username = name;
        }
        if let Some(repaired) = &repaired {
            imported.note(format!(
                "agent {} is disabled, since its configuration had to be mended: {repaired}",
                config.username
            ));
        }
        let key = row.text("api_key").unwrap_or_else(|| hex::encode(hub.random.bytes::<32>()));
        let lead = row.number("lead_user_id");
        made.push(AgentRow {
            uuid: row.text("uuid").unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
            enabled: row.truth("enabled") && repaired.is_none(),
            archived,
            created_at: row.time("created_at").unwrap_or(op.clock.now()),
            suspended: suspended.get(&id).cloned(),
            ..roster::row_with_key(op, hub, id, config, lead, &key)
        });
    }
    let known: BTreeSet<i64> = made.iter().map(|row| row.id).collect();
    let mut act = hub.store.begin().await?;
    for row in &made {
        directory::store::insert_agent(&mut act, &AgentRow { lead: None, ..row.clone() }).await?;
    }
    for row in &made {
        if row.lead.is_some_and(|lead| known.contains(&lead)) {
            directory::store::update_agent(&mut act, row).await?;
        }
    }
    act.commit().await?;
    imported.took("agents", made.len());
    Ok(known)
}

/// A configuration as runners take it, and what had to be mended for that.
fn config(row: &source::Row) -> (AgentConfig, Option<String>) {
    let name = url_safe(&row.text("username").unwrap_or_default());
    let name = if name.is_empty() { format!("agent-{}", row.number("id").unwrap_or_default()) } else { name };
    let parsed = row.text("config").and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let mut fields = match parsed {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    fields.insert("username".to_owned(), name.clone().into());
    let title = row.text("title");
    fields.entry("title").or_insert_with(|| title.unwrap_or_default().into());
    match AgentConfig::from_json(Value::Object(fields.clone())) {
        Ok(config) => (config, None),
        Err(problem) => {
            let text =
                |field: &str| fields.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
            let mut config = AgentConfig::new(
                &name,
                text("title").unwrap_or_default(),
                text("agentPrompt").unwrap_or("Its prompt was lost."),
                fields.get("tokenMax").and_then(Value::as_u64).filter(|max| *max > 0).unwrap_or(20_000),
                text("shellModel").unwrap_or("none"),
            );
            config.username.truncate(64);
            (config, Some(problem.to_string()))
        }
    }
}

async fn take_hosts(
    op: &Op,
    hub: &Hub,
    source: &mut Source,
    agents: &BTreeSet<i64>,
    imported: &mut Imported,
) -> Result<BTreeSet<i64>> {
    let mut act = hub.store.begin().await?;
    let mut known = BTreeSet::new();
    for row in source.all(&source::HOSTS).await? {
        let (Some(id), Some(name)) = (row.number("id"), row.text("name")) else { continue };
        let is_supervisor = row.text("host_type").as_deref() == Some("supervisor");
        let host = HostRow {
            id,
            name: url_safe(&name),
            kind: if is_supervisor { HostKind::Supervisor } else { HostKind::Naisys },
            node: None,
            restricted: row.truth("restricted"),
            capacity: None,
            shared_key: true,
            version: None,
            last_address: row.text("last_ip").map(|ip| ip.trim_start_matches("::ffff:").to_owned()),
            last_active_at: row.time("last_active"),
            created_at: row.time("created_at").unwrap_or(op.clock.now()),
        };
        directory::store::insert_host(&mut act, &host).await?;
        known.insert(id);
    }
    let mut assigned: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for row in source.all(&source::ASSIGNED).await? {
        let (Some(agent), Some(host)) = (row.number("user_id"), row.number("host_id")) else { continue };
        if agents.contains(&agent) && known.contains(&host) {
            assigned.entry(agent).or_default().push(host);
        }
    }
    for (agent, hosts) in &assigned {
        directory::store::assign(&mut act, *agent, hosts).await?;
    }
    act.commit().await?;
    imported.took("hosts", known.len());
    Ok(known)
}

async fn take_files(
    op: &Op,
    hub: &Hub,
    source: &mut Source,
    agents: &BTreeSet<i64>,
    folder: &Path,
    imported: &mut Imported,
) -> Result<()> {
    let (mut count, mut missing, mut foreign) = (0, 0, 0);
    for row in source.all(&source::FILES).await? {
        let (Some(id), Some(hash)) =
            (row.number("id"), row.text("file_hash").map(|hash| hash.to_lowercase()))
        else {
            continue;
        };
        let by = row.number("uploaded_by").filter(|agent| agents.contains(agent));
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (Some(by), true) = (by, is_hash) else {
            foreign += 1;
            continue;
        };
        // Where it says that it lies is as seen from where that hub ran, and is not believed: only where it should be.
        let from = folder.join("attachments/hub").join(&hash[..2]).join(&hash[2..4]).join(&hash);
        let to = files::place(&hub.folder, &hash);
        let copied = tokio::task::spawn_blocking(move || copy(&from, &to)).await.map_err(Error::internal)?;
        if copied.is_err() {
            missing += 1;
        }
        let mut act = hub.store.begin().await?;
        store::insert_file(&mut act, id, &hash, by, &row, op.clock.now()).await?;
        act.commit().await?;
        count += 1;
    }
    imported.took("files", count);
    imported.left_out("files", foreign, "their agent is gone, or they have no hash");
    if missing > 0 {
        imported.note(format!(
            "the content of {missing} files is not in attachments/hub, or not what its hash says"
        ));
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        return Ok(());
    }
    let content = std::fs::read(from).map_err(Error::internal)?;
    if Some(files::hash(&content).as_str()) != to.file_name().and_then(|name| name.to_str()) {
        return Err(Error::Conflict("it is not what its hash says".to_owned()));
    }
    let folder = to.parent().ok_or_else(|| Error::internal("a file without a folder"))?;
    std::fs::create_dir_all(folder).map_err(Error::internal)?;
    secret_file::replace(to, &content, 0o600).map_err(Error::internal)
}

#[expect(clippy::too_many_arguments, reason = "one place for all tables")]
async fn take_rows(
    hub: &Hub,
    into: &nave_core::hub::store::Store,
    source: &mut Source,
    table: &'static Table,
    what: &'static str,
    agents: &BTreeSet<i64>,
    hosts: &BTreeSet<i64>,
    imported: &mut Imported,
) -> Result<()> {
    let (mut count, mut left_out, mut after) = (0, 0, i64::MIN);
    loop {
        let rows = source.after(table, after).await?;
        let Some(last) = rows.last() else { break };
        after = last.position;
        let mut act = into.begin().await?;
        for row in &rows {
            if store::insert(&mut act, table, row, agents, hosts, hub.clock.now()).await? {
                count += 1;
            } else {
                left_out += 1;
            }
        }
        act.commit().await?;
    }
    imported.took(what, count);
    imported.left_out(what, left_out, "what they are about is gone");
    Ok(())
}

async fn take_settings(
    op: &Op,
    hub: &Arc<Hub>,
    agents: &Agents,
    source: &mut Source,
    imported: &mut Imported,
) -> Result<()> {
    let mut count = 0;
    for row in source.all(&source::VARIABLES).await? {
        let Some(key) = row.text("key").filter(|key| !settings::EXCLUDED.contains(&key.as_str())) else {
            continue;
        };
        let new = NewVariable {
            value: Some(row.text("value").unwrap_or_default()),
            exported: Some(row.truth("export_to_shell")),
        };
        match settings::set_variable(op, hub, agents, &key, new).await {
            Ok(()) => count += 1,
            Err(error) => imported.note(format!("variable {key} was left out: {}", error.message())),
        }
    }
    imported.took("variables", count);
    let mut count = 0;
    for row in source.all(&source::MODELS).await? {
        if !row.truth("is_custom") {
            continue;
        }
        let key = row.text("key").unwrap_or_default();
        let taken = match model(&row) {
            Ok(model) => settings::set_model(op, hub, agents, model).await,
            Err(error) => Err(Error::invalid("model", error)),
        };
        match taken {
            Ok(()) => count += 1,
            Err(error) => imported.note(format!("model {key} was left out: {}", error.message())),
        }
    }
    imported.took("models of one's own", count);
    Ok(())
}

fn model(row: &source::Row) -> Result<Model, String> {
    let meta = row.text("meta").unwrap_or_else(|| "{}".to_owned());
    let mut fields: Map<String, Value> = serde_json::from_str(&meta).map_err(|error| error.to_string())?;
    fields.retain(|_, value| !value.is_null());
    for (field, column) in
        [("key", "key"), ("label", "label"), ("versionName", "version_name"), ("kind", "type")]
    {
        fields.insert(field.to_owned(), row.text(column).unwrap_or_default().into());
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}
