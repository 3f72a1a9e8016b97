//! `nave task`: durable pieces of work for nodes.

use http::Method;
use nave_core::api::{self, TaskFilter};
use serde_json::json;

use super::Context;
use super::node::moment;
use crate::cli::Task;
use crate::client::segment;
use crate::printer::Printer;

pub async fn run(context: &Context<'_>, command: Task) -> anyhow::Result<()> {
    let (hub, printer) = (context.hub().await?, context.printer);
    match command {
        Task::List { state, kind, node, limit } => {
            let filter =
                TaskFilter { state: state.map(Into::into), kind, node, before: None, limit: Some(limit) };
            let tasks: Vec<api::Task> = hub.get(&format!("/nave/v1/tasks?{}", query(&filter))).await?;
            let columns = ["ID", "KIND", "ABOUT", "STATE", "NODE", "TRIED", "PUT", "BY", "DUE", "WHY NOT"];
            printer.rows(&tasks, &columns, row, "no such tasks")
        }
        Task::Show { id } => {
            let task: api::Task = hub.get(&path(&id)).await?;
            show(*printer, &task)
        }
        Task::Cancel { ids } => {
            for id in &ids {
                hub.act(Method::POST, &format!("{}/cancel", path(id)), &json!({})).await?;
            }
            printer.talk(format!("nave: {} called off", ids.len()));
            Ok(())
        }
    }
}

fn path(id: &str) -> String {
    format!("/nave/v1/tasks/{}", segment(id))
}

fn query(filter: &TaskFilter) -> String {
    let parts = [
        filter.state.map(|state| ("state", state.word().to_owned())),
        filter.kind.clone().map(|kind| ("kind", kind)),
        filter.node.clone().map(|node| ("node", node)),
        filter.limit.map(|limit| ("limit", limit.to_string())),
    ];
    let parts = parts.into_iter().flatten().map(|(name, value)| format!("{name}={}", segment(&value)));
    parts.collect::<Vec<_>>().join("&")
}

fn row(task: &api::Task) -> Vec<String> {
    vec![
        task.id.clone(),
        task.kind.clone(),
        about(task),
        task.state.word().to_owned(),
        task.taken_by.clone().or_else(|| task.node.clone()).unwrap_or_default(),
        task.attempt.to_string(),
        moment(task.put_at),
        task.put_by.clone(),
        task.due_at.map(moment).unwrap_or_default(),
        task.error.clone().unwrap_or_default(),
    ]
}

/// One that is about nothing in particular has its id for a key.
fn about(task: &api::Task) -> String {
    if task.key == task.id { String::new() } else { task.key.clone() }
}

fn show(printer: Printer, task: &api::Task) -> anyhow::Result<()> {
    if printer.is_json() {
        return printer.value(task);
    }
    for (name, value) in [
        ("kind", task.kind.clone()),
        ("about", about(task)),
        ("state", task.state.word().to_owned()),
        ("node", task.node.clone().unwrap_or_default()),
        ("taken by", task.taken_by.clone().unwrap_or_default()),
        ("tried", task.attempt.to_string()),
        ("put", format!("{} by {}", moment(task.put_at), task.put_by)),
        ("since", moment(task.since)),
        ("due", task.due_at.map(moment).unwrap_or_default()),
        ("ended", task.ended_at.map(moment).unwrap_or_default()),
        ("why not", task.error.clone().unwrap_or_default()),
        ("to do", task.payload.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("result", task.result.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("id", task.id.clone()),
    ] {
        printer.data(format!("{name:<11} {value}").trim_end());
    }
    Ok(())
}
