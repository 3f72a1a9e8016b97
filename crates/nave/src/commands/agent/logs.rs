//! `nave agent logs`: what an agent said and did, and what it says and does.

use std::time::Duration;

use nave_agents::api::{LogLine, LogPage, LogRole, LogType};

use super::super::Context;
use super::super::node::moment;
use super::path;
use crate::cli::agent::Logs;

/// How often it is asked whether something came.
const PAUSE: Duration = Duration::from_millis(500);

pub async fn run(context: &Context<'_>, args: Logs) -> anyhow::Result<()> {
    let hub = context.hub().await?;
    let mut of = String::new();
    if let Some(run) = args.run {
        of = format!("&run={run}&session={}", args.session.unwrap_or(1));
    }
    let log = format!("{}/log", path(&args.agent));
    let mut page: LogPage = hub.get(&format!("{log}?limit={}{of}", args.lines)).await?;
    let printer = context.printer;
    if printer.is_json() && !args.follow {
        return printer.value(&page.lines);
    }
    if page.lines.is_empty() && !args.follow {
        printer.talk(format!("nave: {} has said nothing yet", args.agent));
    }
    let mut last = 0;
    loop {
        for line in &page.lines {
            if printer.is_json() {
                printer.data(serde_json::to_string(line)?);
            } else {
                print(context, line);
            }
            last = line.id;
        }
        if !args.follow {
            return Ok(());
        }
        if !page.more || page.lines.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        page = hub.get(&format!("{log}?after={last}&limit=1000{of}")).await?;
    }
}

fn print(context: &Context<'_>, line: &LogLine) {
    let who = match (line.role, line.kind) {
        (LogRole::Llm, _) => "agent",
        (LogRole::Naisys, Some(LogType::Error)) => "error",
        (LogRole::Naisys, _) => "",
    };
    for text in line.message.lines() {
        context.printer.data(format!("{} {who:<5} {}", moment(line.created_at), plain(text)));
    }
}

/// A line without what a terminal would take for orders: an agent prints what it reads.
pub fn plain(line: &str) -> String {
    line.chars()
        .map(|letter| if letter.is_control() && letter != '\t' { '\u{fffd}' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_gives_no_orders_to_a_terminal() {
        assert_eq!(plain("a\u{1b}]0;title\u{7}b\tc"), "a\u{fffd}]0;title\u{fffd}b\tc");
    }
}
