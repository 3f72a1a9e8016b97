//! USB devices over the network, for real: Debian's kernel in a virtual machine, a board that hangs on its exporter's
//! half and is attached by its agent's half.

mod board;
mod library;
mod moving;
mod native;
mod pairs;

use nave_testkit::{need, vm};

/// Runs one of these tests in a machine of its own, where it runs the scenario.
async fn in_a_machine(test: &str, scenario: impl AsyncFnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    if vm::is_inside() {
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false).init();
        return scenario().await;
    }
    if !need("vm") {
        return Ok(());
    }
    vm::run_inside(&format!("usb::{test}")).await
}

#[tokio::test]
async fn a_machine_lends_a_board_to_itself() -> anyhow::Result<()> {
    in_a_machine("a_machine_lends_a_board_to_itself", library::scenario).await
}

#[tokio::test]
async fn naves_exporter_and_agent_share_a_board() -> anyhow::Result<()> {
    in_a_machine("naves_exporter_and_agent_share_a_board", pairs::of_nave).await
}

#[tokio::test]
async fn a_board_behind_one_nat_is_used_behind_another() -> anyhow::Result<()> {
    if !vm::is_inside() && !need("netns") {
        return Ok(());
    }
    in_a_machine("a_board_behind_one_nat_is_used_behind_another", native::scenario).await
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn a_board_is_shared_with_not_my_board() -> anyhow::Result<()> {
    if !vm::is_inside() && !need("not-my-board") {
        return Ok(());
    }
    in_a_machine("a_board_is_shared_with_not_my_board", pairs::with_python).await
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn a_farm_moves_over_board_by_board() -> anyhow::Result<()> {
    if !vm::is_inside() && !need("not-my-board") {
        return Ok(());
    }
    in_a_machine("a_farm_moves_over_board_by_board", moving::scenario).await
}
