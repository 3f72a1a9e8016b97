//! `nave not-my-board …`: what its users' scripts call, with the same output.

mod agent;
pub mod edit;
mod export;
mod login;
mod python_json;
mod table;
pub(super) mod uevent;
pub mod verbs;

use std::path::{Path, PathBuf};

use anyhow::bail;
use nave_boards::node::agent::AgentClient;
use nave_boards::node::agent::unix::SOCKET;
use nave_boards::node::dialect::connection::{HttpClient, HubClient};
use nave_boards::node::dialect::tokens::{TOKEN_STORE, TokenStore};
use nave_core::hub::edge::Inherited;

use self::table::{Cell, GREEN, MAGENTA, Paint, RED, YELLOW};
use super::Context;
use crate::cli::not_my_board::{NotMyBoard, Show};
use crate::logging;

pub async fn run(context: &Context<'_>, command: NotMyBoard, handed_over: Inherited) -> anyhow::Result<()> {
    let printer = context.printer;
    match command {
        NotMyBoard::Hub => bail!(
            "not-my-board's hub is a part of Nave's: start it with `nave hub`, and let not-my-board's clients in as docs/boards.md says"
        ),
        NotMyBoard::Export(args) => export::run(context, args).await,
        NotMyBoard::Login(args) => login::run(context, args).await,
        NotMyBoard::Agent(args) => agent::run(context, args, handed_over).await,
        NotMyBoard::Reserve(args) => {
            let mut agent = talk(args.verbose.verbose).await?;
            verbs::reserve(&mut agent, &args.import_description, args.with_name.as_deref()).await
        }
        NotMyBoard::Return(args) => {
            Ok(talk(args.verbose.verbose).await?.give_back(&args.name, false).await?)
        }
        NotMyBoard::Attach(args) => {
            let mut agent = talk(args.verbose.verbose).await?;
            verbs::attach(&mut agent, &args.name, args.keep_others).await
        }
        NotMyBoard::Detach(args) => {
            let mut agent = talk(args.verbose.verbose).await?;
            verbs::detach(&mut agent, &args.names, args.keep).await
        }
        NotMyBoard::List(args) => {
            let listed = talk(args.verbose.verbose).await?.list().await?;
            table::print(*printer, &listed, &["Place", "Status"], args.no_header, |entry| {
                let status = if entry.attached {
                    Cell::coloured("Attached", GREEN)
                } else {
                    Cell::coloured("Reserved", YELLOW)
                };
                vec![(&format!("{}@{}", entry.place, entry.place_name)).into(), status]
            })
        }
        NotMyBoard::Status(args) => {
            let status = talk(args.verbose.verbose).await?.status().await?;
            let columns = ["Place", "Part", "Type", "Interface", "Status", "Port"];
            table::print(*printer, &status, &columns, args.no_header, |entry| {
                let up =
                    if entry.attached { Cell::coloured("Up", GREEN) } else { Cell::coloured("Down", RED) };
                let [place, part, kind, interface, port] =
                    [&entry.place, &entry.part, &entry.kind, &entry.interface, &entry.port].map(Cell::from);
                vec![place, part, kind, interface, up, port]
            })
        }
        NotMyBoard::Who(args) => {
            let holders = talk(args.verbose.verbose).await?.holders().await?;
            table::print(*printer, &holders, &["Place", "User"], args.no_header, |holder| {
                vec![(&format!("@{}", holder.place_name)).into(), (&holder.user).into()]
            })
        }
        NotMyBoard::Search(args) => {
            let mut agent = talk(args.verbose.verbose).await?;
            let names = verbs::search(&mut agent, args.import_description.as_deref()).await?;
            if printer.is_json() {
                return printer.value(&names);
            }
            for name in names {
                printer.data(table::plain(&format!("@{name}")));
            }
            Ok(())
        }
        NotMyBoard::Show(args) => show(context, &args).await,
        NotMyBoard::Edit(args) => edit::run(&mut talk(args.verbose.verbose).await?, &args.name).await,
        NotMyBoard::Uevent(args) => {
            uevent::run(&args.devpath, if args.verbose.verbose { "debug" } else { "warn" }).await
        }
    }
}

/// The hub at an address, trusted by what this machine trusts and these files.
fn hub(url: &str, cacert: &[PathBuf]) -> anyhow::Result<HubClient> {
    Ok(HubClient::new(url, HttpClient::new(cacert)?)?)
}

/// Where ID tokens are kept.
fn token_store() -> TokenStore {
    TokenStore::new(TOKEN_STORE)
}

/// Connects to this machine's agent.
async fn talk(verbose: bool) -> anyhow::Result<AgentClient> {
    logging::start(if verbose { "debug" } else { "warn" });
    Ok(AgentClient::connect(Path::new(SOCKET)).await?)
}

async fn show(context: &Context<'_>, args: &Show) -> anyhow::Result<()> {
    let place = talk(args.verbose.verbose).await?.place(&args.name).await?;
    let place = python_json::parse(place.get())?;
    if args.json || context.printer.is_json() {
        context.printer.data(place.pretty());
        return Ok(());
    }
    let paint = Paint::for_stdout();
    for (path, leaf) in place.flat() {
        let value = paint.with(if leaf.is_text() { GREEN } else { MAGENTA }, &leaf.text());
        context.printer.data(format!("{}={value}", paint.bold(&table::plain(&path))));
    }
    Ok(())
}
