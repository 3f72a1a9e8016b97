//! `/nave/v1/agents` and `/nave/v1/agent-hosts`.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use nave_core::hub::error::Result;
use nave_core::hub::http::{Access, Input, Path, Query, Routes, operation};
use nave_core::hub::op::Op;

use super::{Done, Fleet, Shared};
use crate::api::{
    Agent, AgentChange, AgentDetail, AgentSelf, AgentsFilter, Assignment, Host, HostChange, LogFilter,
    LogPage, NewAgent, Peek, PeekRange, Revision, Session, SessionsFilter, StartRequest, Started,
    StopRequest,
};
use crate::hub::{MANAGE, OWN, READ, hosts, keys, letters, roster, runs};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .noun("agents", "AI agents: who they are, what they do, what they said.", |routes| {
            routes
                .operation(Access::Action(READ), operation!(list))
                .operation(Access::Action(MANAGE), operation!(create))
                .operation(Access::Action(READ), operation!(show))
                .operation(Access::Action(MANAGE), operation!(change))
                .operation(Access::Action(MANAGE), operation!(assign))
                .operation(Access::Action(READ), operation!(revisions))
                .operation(Access::Action(MANAGE), operation!(start))
                .operation(Access::Action(MANAGE), operation!(stop))
                .operation(Access::Action(MANAGE), operation!(peek))
                .operation(Access::Action(READ), operation!(sessions))
                .operation(Access::Action(READ), operation!(log))
        })
        .noun("agent-self", "What an agent asks with its own key.", |routes| {
            routes
                .operation(Access::Action(OWN), operation!(about_self))
                .operation(Access::Action(OWN), operation!(own_log))
        })
        .noun("agent-hosts", "Machines that run agents.", |routes| {
            routes
                .operation(Access::Action(READ), operation!(all_hosts))
                .operation(Access::Action(READ), operation!(host))
                .operation(Access::Action(MANAGE), operation!(change_host))
        })
}

/// Lists the agents.
#[utoipa::path(
    get,
    path = "/nave/v1/agents",
    params(AgentsFilter),
    responses((status = 200, description = "The agents, in the order in which they were made", body = Vec<Agent>))
)]
async fn list(
    op: Op,
    Extension(agents): Fleet,
    Query(filter): Query<AgentsFilter>,
) -> Result<Json<Vec<Agent>>> {
    roster::list(&op, &agents, filter.archived).map(Json)
}

/// Makes an agent.
#[utoipa::path(
    post,
    path = "/nave/v1/agents",
    request_body = NewAgent,
    responses(
        (status = 200, description = "The agent", body = AgentDetail),
        (status = 409, description = "There is one of that name")
    )
)]
async fn create(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Input(new): Input<NewAgent>,
) -> Result<Json<AgentDetail>> {
    roster::create(&op, &hub, &agents, new).await.map(Json)
}

/// Shows an agent.
///
/// With its configuration.
#[utoipa::path(
    get,
    path = "/nave/v1/agents/{agent}",
    params(("agent" = String, Path, description = "Its name, or its number.", example = "admin")),
    responses((status = 200, description = "The agent", body = AgentDetail))
)]
async fn show(op: Op, Extension(agents): Fleet, Path(agent): Path<String>) -> Result<Json<AgentDetail>> {
    roster::show(&op, &agents, &agent).map(Json)
}

/// Changes an agent.
///
/// What is left out stays. A new configuration is told to its hosts at once; an agent that shall not run any more is stopped.
#[utoipa::path(
    patch,
    path = "/nave/v1/agents/{agent}",
    params(("agent" = String, Path, description = "Its name, or its number.", example = "admin")),
    request_body = AgentChange,
    responses(
        (status = 200, description = "The agent", body = AgentDetail),
        (status = 409, description = "Its configuration was changed meanwhile, or the name is another's")
    )
)]
async fn change(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(agent): Path<String>,
    Input(change): Input<AgentChange>,
) -> Result<Json<AgentDetail>> {
    roster::change(&op, &hub, &agents, &agent, change).await.map(Json)
}

/// Assigns an agent to hosts.
///
/// In the place of those it was assigned to. An agent that is assigned to none runs on every host that is not restricted.
#[utoipa::path(
    put,
    path = "/nave/v1/agents/{agent}/hosts",
    params(("agent" = String, Path, description = "Its name, or its number.", example = "admin")),
    request_body = Assignment,
    responses((status = 200, description = "The agent", body = AgentDetail))
)]
async fn assign(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(agent): Path<String>,
    Input(assignment): Input<Assignment>,
) -> Result<Json<AgentDetail>> {
    roster::assign(&op, &hub, &agents, &agent, assignment).await.map(Json)
}

/// Lists the configurations that an agent had.
#[utoipa::path(
    get,
    path = "/nave/v1/agents/{agent}/revisions",
    params(("agent" = String, Path, description = "Its name, or its number.", example = "admin")),
    responses((status = 200, description = "The configurations, the newest first", body = Vec<Revision>))
)]
async fn revisions(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(agent): Path<String>,
) -> Result<Json<Vec<Revision>>> {
    roster::revisions(&op, &hub, &agents, &agent).await.map(Json)
}

/// Starts an agent.
///
/// On the host that has the least to do among those that may run it. A task is a mail from `admin` that it finds.
#[utoipa::path(
    post,
    path = "/nave/v1/agents/{agent}/start",
    params(("agent" = String, Path, description = "Its name, or its number.", example = "admin")),
    request_body = StartRequest,
    responses(
        (status = 200, description = "It has started", body = Started),
        (status = 409, description = "It runs already, is disabled, or no host is there that could run it")
    )
)]
async fn start(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(agent): Path<String>,
    Input(request): Input<StartRequest>,
) -> Result<Json<Started>> {
    letters::start(&op, &hub, &agents, &agent, request).await.map(Json)
}

/// Stops an agent.
///
/// The answer comes when it has ended, which takes as long as its last step.
#[utoipa::path(
    post,
    path = "/nave/v1/agents/{agent}/stop",
    params(("agent" = String, Path, description = "Its name, or its number.", example = "admin")),
    request_body = StopRequest,
    responses((status = 204, description = "It has ended"), (status = 409, description = "It does not run"))
)]
async fn stop(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(agent): Path<String>,
    Input(request): Input<StopRequest>,
) -> Done {
    letters::stop(&op, &hub, &agents, &agent, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows what an agent has before it.
///
/// The lines that its model reads next, as its host tells them.
#[utoipa::path(
    get,
    path = "/nave/v1/agents/{agent}/peek",
    params(("agent" = String, Path, description = "Its name, or its number.", example = "admin"), PeekRange),
    responses((status = 200, description = "The lines", body = Peek), (status = 409, description = "It does not run"))
)]
async fn peek(
    op: Op,
    Extension(agents): Fleet,
    Path(agent): Path<String>,
    Query(range): Query<PeekRange>,
) -> Result<Json<Peek>> {
    letters::peek(&op, &agents, &agent, range.skip, range.take).await.map(Json)
}

/// Lists the sessions of an agent.
#[utoipa::path(
    get,
    path = "/nave/v1/agents/{agent}/sessions",
    params(("agent" = String, Path, description = "Its name, or its number.", example = "admin"), SessionsFilter),
    responses((status = 200, description = "The sessions, the newest first", body = Vec<Session>))
)]
async fn sessions(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(agent): Path<String>,
    Query(filter): Query<SessionsFilter>,
) -> Result<Json<Vec<Session>>> {
    let limit = filter.limit.unwrap_or(50);
    runs::sessions(&op, &hub, &agents, &agent, filter.before, limit).await.map(Json)
}

/// Shows the log of an agent.
///
/// The last lines; with `before`, those that came before that one; with `after`, those that came after it. The oldest
/// first in either case.
#[utoipa::path(
    get,
    path = "/nave/v1/agents/{agent}/log",
    params(("agent" = String, Path, description = "Its name, or its number.", example = "admin"), LogFilter),
    responses((status = 200, description = "The lines", body = LogPage))
)]
async fn log(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(agent): Path<String>,
    Query(filter): Query<LogFilter>,
) -> Result<Json<LogPage>> {
    runs::log(&op, &hub, &agents, &agent, &filter).await.map(Json)
}

/// Shows the agent that asks.
///
/// With its colleagues' names and what it may still spend. For agents with their own key (`Authorization: Bearer …`).
#[utoipa::path(
    get,
    path = "/nave/v1/agent-self",
    responses((status = 200, description = "The agent", body = AgentSelf))
)]
async fn about_self(op: Op, Extension(agents): Fleet) -> Result<Json<AgentSelf>> {
    keys::about_self(&op, &agents).map(Json)
}

/// Shows the log of the agent that asks.
///
/// As that of an agent that is named. For agents with their own key.
#[utoipa::path(
    get,
    path = "/nave/v1/agent-self/log",
    params(LogFilter),
    responses((status = 200, description = "The lines", body = LogPage))
)]
async fn own_log(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Query(filter): Query<LogFilter>,
) -> Result<Json<LogPage>> {
    keys::own_log(&op, &hub, &agents, &filter).await.map(Json)
}

/// Lists the hosts.
#[utoipa::path(
    get,
    path = "/nave/v1/agent-hosts",
    responses((status = 200, description = "The hosts, in the order of their names", body = Vec<Host>))
)]
async fn all_hosts(op: Op, Extension(agents): Fleet) -> Result<Json<Vec<Host>>> {
    hosts::list(&op, &agents).map(Json)
}

/// Shows a host.
#[utoipa::path(
    get,
    path = "/nave/v1/agent-hosts/{host}",
    params(("host" = String, Path, description = "Its name.", example = "box-1")),
    responses((status = 200, description = "The host", body = Host))
)]
async fn host(op: Op, Extension(agents): Fleet, Path(host): Path<String>) -> Result<Json<Host>> {
    hosts::show(&op, &agents, &host).map(Json)
}

/// Changes what is set about a host.
#[utoipa::path(
    patch,
    path = "/nave/v1/agent-hosts/{host}",
    params(("host" = String, Path, description = "Its name.", example = "box-1")),
    request_body = HostChange,
    responses((status = 200, description = "The host", body = Host))
)]
async fn change_host(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(host): Path<String>,
    Input(change): Input<HostChange>,
) -> Result<Json<Host>> {
    hosts::change(&op, &hub, &agents, &host, change).await.map(Json)
}
