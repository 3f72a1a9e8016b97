//! `nave agent mcp`: a server of the Model Context Protocol by which an agent's model reaches what is the agent's. What it offers is
//! in the modules below; here it is started, spoken with over standard input and output, and ended.

mod about;
mod asked;
mod log;
mod mail_files;
mod mails;
mod schema;
mod server;
mod text;
mod transport;

use anyhow::Context as _;
use rmcp::service::{RoleServer, ServerInitializeError};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{Service, serve_server};
use tokio::signal::unix::{SignalKind, signal};

use self::asked::Asked;
use self::server::Server;
use self::transport::Patient;
use super::super::Context;
use crate::cli::agent::Mcp;
use crate::client::HubClient;
use crate::logging;

/// The longest message that a client may send, in bytes. A mail is what makes one long.
const LONGEST_MESSAGE: usize = 4 << 20;

pub async fn run(context: &Context<'_>, args: Mcp) -> anyhow::Result<()> {
    logging::start("warn");
    // What stays wrong is said at once; a hub that is away now may be there when it is asked.
    HubClient::of_agent(context.url.as_ref())?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let server = Server::new(Asked::new(context.data.clone(), context.url.clone(), args.agent));
    let (input, output) = rmcp::transport::io::stdio_pipes();
    let io = AsyncRwTransport::new_server(input, output).with_max_line_length(LONGEST_MESSAGE);
    tokio::select! {
        ended = serve(server, Patient::new(io)) => ended,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

/// Serves until the client ends its side.
async fn serve(
    server: impl Service<RoleServer>,
    io: impl rmcp::transport::Transport<RoleServer> + 'static,
) -> anyhow::Result<()> {
    match serve_server(server, io).await {
        Ok(running) => {
            running.waiting().await.context("the server of the Model Context Protocol failed")?;
            Ok(())
        }
        // It said nothing and went: `nave agent mcp < /dev/null`.
        Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => {
            Err(error).context("the client cannot be served: does it speak the Model Context Protocol?")
        }
    }
}
