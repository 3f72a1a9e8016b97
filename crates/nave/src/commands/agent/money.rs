//! `nave agent cost` and `nave agent budget`.

use http::Method;
use nave_agents::api::{BudgetChange, BudgetView, CostSum};

use super::super::Context;
use super::super::node::moment;
use crate::cli::agent::Budget;
use crate::client::segment;

pub async fn costs(context: &Context<'_>, hours: u32, spans: u32) -> anyhow::Result<()> {
    let query = format!("/nave/v1/agent-costs?hours={hours}&spans={spans}");
    let sums: Vec<CostSum> = context.hub().await?.get(&query).await?;
    let cells = |sum: &CostSum| {
        let [input, output, cache_write, cache_read] = sum.tokens;
        let mut cells = vec![moment(sum.from), sum.agent.clone(), sum.model.clone(), sum.cost.to_string()];
        cells.extend([input, output, cache_write, cache_read].map(|tokens| tokens.to_string()));
        cells
    };
    let columns = ["FROM", "AGENT", "MODEL", "COST", "READ", "WRITTEN", "CACHED", "FROM CACHE"];
    context.printer.rows(&sums, &columns, cells, "nothing was spent in that time")
}

pub async fn budget(context: &Context<'_>, args: Budget) -> anyhow::Result<()> {
    let hub = context.hub().await?;
    let changes = args.dollars.is_some() || args.hours.is_some() || args.reset;
    let mut path = "/nave/v1/agent-budgets".to_owned();
    let mut budgets: Vec<BudgetView> = if changes {
        if let Some(agent) = &args.agent {
            path.push_str(&format!("/{}", segment(agent)));
        }
        let change = BudgetChange { dollars: args.dollars, hours: args.hours, reset: args.reset };
        hub.send_json(Method::PATCH, &path, &change).await?
    } else {
        hub.get(&path).await?
    };
    if let Some(agent) = &args.agent {
        budgets.retain(|budget| budget.agent.as_deref() == Some(agent));
    }
    let cells = |budget: &BudgetView| {
        let window = budget.window.as_ref();
        vec![
            budget.agent.clone().unwrap_or_else(|| "(all)".to_owned()),
            window.map_or("none".to_owned(), |window| window.limit.to_string()),
            window.map(|window| window.spent.to_string()).unwrap_or_default(),
            window.and_then(|window| window.from).map(moment).unwrap_or_default(),
            window.and_then(|window| window.until).map(moment).unwrap_or_default(),
            budget.suspended.clone().unwrap_or_default(),
        ]
    };
    let columns = ["AGENT", "LIMIT", "SPENT", "FROM", "UNTIL", "SUSPENDED"];
    context.printer.rows(&budgets, &columns, cells, "it has no budget of its own: that of all counts for it")
}
