//! The tables of agents, their revisions, hosts and assignments.

use nave_core::clock::{from_millis, to_millis};
use nave_core::hub::error::{Error, Result};
use nave_core::hub::store::{Act, Reader, in_sizes, is_unique_violation, rows_of_placeholders};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use time::OffsetDateTime;

use super::{AgentRow, HostRow, Rows};
use crate::api::{AgentConfig, HostKind, Revision};

/// Reads everything.
pub(in crate::hub) async fn all(reader: &mut Reader) -> Result<Rows> {
    let agents = sqlx::query(
        "SELECT id, uuid, config, revision, lead_id, enabled, archived, api_key, api_key_hash, created_at, \
         suspended, spend_reset_at, last_active_at FROM agents_agents ORDER BY id",
    );
    let agents: Vec<_> = agents.fetch_all(&mut **reader).await?.iter().map(agent).collect::<Result<_>>()?;
    let hosts = sqlx::query(
        "SELECT id, name, kind, node_id, restricted, capacity, shared_key, version, last_address, \
         last_active_at, created_at FROM agents_hosts ORDER BY id",
    );
    let hosts: Vec<_> = hosts.fetch_all(&mut **reader).await?.iter().map(host).collect::<Result<_>>()?;
    let assigned = sqlx::query("SELECT agent_id, host_id FROM agents_assignments");
    let assigned = assigned.fetch_all(&mut **reader).await?;
    let assigned: Vec<(i64, i64)> =
        assigned.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_>>()?;
    Ok(Rows::new(agents, hosts, assigned))
}

fn agent(row: &AnyRow) -> Result<AgentRow> {
    let config: String = row.try_get("config")?;
    let config: AgentConfig = serde_json::from_str(&config).map_err(Error::internal)?;
    Ok(AgentRow {
        id: row.try_get("id")?,
        uuid: row.try_get("uuid")?,
        config,
        revision: row.try_get("revision")?,
        lead: row.try_get("lead_id")?,
        enabled: row.try_get::<i64, _>("enabled")? != 0,
        archived: row.try_get::<i64, _>("archived")? != 0,
        api_key: row.try_get("api_key")?,
        api_key_hash: row.try_get("api_key_hash")?,
        created_at: from_millis(row.try_get("created_at")?),
        suspended: row.try_get("suspended")?,
        spend_reset_at: time(row, "spend_reset_at")?,
        last_active_at: time(row, "last_active_at")?,
    })
}

fn host(row: &AnyRow) -> Result<HostRow> {
    let (kind, node): (String, Option<String>) = (row.try_get("kind")?, row.try_get("node_id")?);
    Ok(HostRow {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        kind: HostKind::from_word(&kind).ok_or_else(|| Error::internal(format!("a host of kind {kind}")))?,
        node: node.map(|id| id.parse()).transpose().map_err(|error| Error::internal(format!("{error}")))?,
        restricted: row.try_get::<i64, _>("restricted")? != 0,
        capacity: row.try_get("capacity")?,
        shared_key: row.try_get::<i64, _>("shared_key")? != 0,
        version: row.try_get("version")?,
        last_address: row.try_get("last_address")?,
        last_active_at: time(row, "last_active_at")?,
        created_at: from_millis(row.try_get("created_at")?),
    })
}

fn time(row: &AnyRow, column: &str) -> Result<Option<OffsetDateTime>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(from_millis))
}

fn text(config: &AgentConfig) -> Result<String> {
    serde_json::to_string(config).map_err(Error::internal)
}

/// The number of the next agent.
pub(in crate::hub) async fn next_agent(act: &mut Act) -> Result<i64> {
    let row = sqlx::query("SELECT COALESCE(MAX(id), 0) + 1 FROM agents_agents");
    Ok(row.fetch_one(act.connection()).await?.try_get(0)?)
}

/// The number of the next host.
pub(in crate::hub) async fn next_host(act: &mut Act) -> Result<i64> {
    let row = sqlx::query("SELECT COALESCE(MAX(id), 0) + 1 FROM agents_hosts");
    Ok(row.fetch_one(act.connection()).await?.try_get(0)?)
}

/// Writes a new agent.
pub(in crate::hub) async fn insert_agent(act: &mut Act, agent: &AgentRow) -> Result<()> {
    let inserted = sqlx::query(
        "INSERT INTO agents_agents (id, uuid, username, config, revision, lead_id, enabled, archived, api_key, \
         api_key_hash, created_at, suspended, spend_reset_at, last_active_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(agent.id)
    .bind(&agent.uuid)
    .bind(agent.name())
    .bind(text(&agent.config)?)
    .bind(agent.revision)
    .bind(agent.lead)
    .bind(i64::from(agent.enabled))
    .bind(i64::from(agent.archived))
    .bind(&agent.api_key)
    .bind(&agent.api_key_hash)
    .bind(to_millis(agent.created_at))
    .bind(&agent.suspended)
    .bind(agent.spend_reset_at.map(to_millis))
    .bind(agent.last_active_at.map(to_millis))
    .execute(act.connection())
    .await;
    named(inserted, agent.name())
}

/// Writes what can change about an agent.
pub(in crate::hub) async fn update_agent(act: &mut Act, agent: &AgentRow) -> Result<()> {
    let updated = sqlx::query(
        "UPDATE agents_agents SET username = $1, config = $2, revision = $3, lead_id = $4, enabled = $5, \
         archived = $6, suspended = $7, spend_reset_at = $8 WHERE id = $9",
    )
    .bind(agent.name())
    .bind(text(&agent.config)?)
    .bind(agent.revision)
    .bind(agent.lead)
    .bind(i64::from(agent.enabled))
    .bind(i64::from(agent.archived))
    .bind(&agent.suspended)
    .bind(agent.spend_reset_at.map(to_millis))
    .bind(agent.id)
    .execute(act.connection())
    .await;
    named(updated, agent.name())
}

/// Puts another key of its own in the place of an agent's.
pub(in crate::hub) async fn update_key(act: &mut Act, agent: &AgentRow) -> Result<()> {
    let update = sqlx::query("UPDATE agents_agents SET api_key = $1, api_key_hash = $2 WHERE id = $3");
    update.bind(&agent.api_key).bind(&agent.api_key_hash).bind(agent.id).execute(act.connection()).await?;
    Ok(())
}

/// The agents that ever ran on hosts.
pub(in crate::hub) async fn ran_on(reader: &mut Reader, hosts: &[i64]) -> Result<Vec<i64>> {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let sql =
        format!("SELECT DISTINCT agent_id FROM agents_sessions WHERE host_id IN ({})", hosts.join(", "));
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut **reader).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

fn named(done: Result<sqlx::any::AnyQueryResult, sqlx::Error>, name: &str) -> Result<()> {
    match done {
        Ok(_) => Ok(()),
        Err(error) if is_unique_violation(&error) => {
            Err(Error::Conflict(format!("there is an agent named {name:?} already: choose another name")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Keeps a state of an agent's configuration.
pub(in crate::hub) async fn insert_revision(
    act: &mut Act,
    agent: &AgentRow,
    by: &str,
    at: OffsetDateTime,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO agents_revisions (agent_id, number, config, changed_by, changed_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(agent.id)
    .bind(agent.revision)
    .bind(text(&agent.config)?)
    .bind(by)
    .bind(to_millis(at))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// The states of an agent's configuration, the newest first.
pub(in crate::hub) async fn revisions(reader: &mut Reader, agent: i64, limit: u32) -> Result<Vec<Revision>> {
    let rows = sqlx::query(
        "SELECT number, config, changed_by, changed_at FROM agents_revisions WHERE agent_id = $1 \
         ORDER BY number DESC LIMIT $2",
    );
    let rows = rows.bind(agent).bind(i64::from(limit)).fetch_all(&mut **reader).await?;
    let read = |row: &AnyRow| {
        let config: String = row.try_get(1)?;
        Ok(Revision {
            number: row.try_get(0)?,
            config: serde_json::from_str(&config).map_err(Error::internal)?,
            changed_by: row.try_get(2)?,
            changed_at: from_millis(row.try_get(3)?),
        })
    };
    rows.iter().map(read).collect()
}

/// Writes a new host.
pub(in crate::hub) async fn insert_host(act: &mut Act, host: &HostRow) -> Result<()> {
    sqlx::query(
        "INSERT INTO agents_hosts (id, name, kind, node_id, restricted, capacity, shared_key, version, \
         last_address, last_active_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(host.id)
    .bind(&host.name)
    .bind(host.kind.word())
    .bind(host.node.map(|id| id.to_string()))
    .bind(i64::from(host.restricted))
    .bind(host.capacity)
    .bind(i64::from(host.shared_key))
    .bind(&host.version)
    .bind(&host.last_address)
    .bind(host.last_active_at.map(to_millis))
    .bind(to_millis(host.created_at))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Writes what can change about a host.
pub(in crate::hub) async fn update_host(act: &mut Act, host: &HostRow) -> Result<()> {
    sqlx::query(
        "UPDATE agents_hosts SET kind = $1, node_id = $2, restricted = $3, capacity = $4, shared_key = $5, \
         version = $6, last_address = $7, last_active_at = $8 WHERE id = $9",
    )
    .bind(host.kind.word())
    .bind(host.node.map(|id| id.to_string()))
    .bind(i64::from(host.restricted))
    .bind(host.capacity)
    .bind(i64::from(host.shared_key))
    .bind(&host.version)
    .bind(&host.last_address)
    .bind(host.last_active_at.map(to_millis))
    .bind(host.id)
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Puts an agent's hosts in the place of those it had.
pub(in crate::hub) async fn assign(act: &mut Act, agent: i64, hosts: &[i64]) -> Result<()> {
    let delete = sqlx::query("DELETE FROM agents_assignments WHERE agent_id = $1");
    delete.bind(agent).execute(act.connection()).await?;
    for hosts in in_sizes(hosts) {
        let statement = format!(
            "INSERT INTO agents_assignments (agent_id, host_id) VALUES {}",
            rows_of_placeholders(act.engine(), hosts.len(), 2)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
        for host in hosts {
            query = query.bind(agent).bind(*host);
        }
        query.execute(act.connection()).await?;
    }
    Ok(())
}

/// Notes when agents and hosts were last heard of.
pub(in crate::hub) async fn heard_of(
    act: &mut Act,
    agents: &[i64],
    hosts: &[i64],
    at: OffsetDateTime,
) -> Result<()> {
    for (table, ids) in [("agents_agents", agents), ("agents_hosts", hosts)] {
        for ids in in_sizes(ids) {
            let list: Vec<String> = (2..ids.len() + 2).map(|number| format!("${number}")).collect();
            let statement =
                format!("UPDATE {table} SET last_active_at = $1 WHERE id IN ({})", list.join(", "));
            let mut query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(to_millis(at));
            for id in ids {
                query = query.bind(*id);
            }
            query.execute(act.connection()).await?;
        }
    }
    Ok(())
}
