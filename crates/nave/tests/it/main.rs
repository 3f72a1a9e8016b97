//! The program as its users meet it: real processes, real networks, real tools.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is a failure like any other")]

mod agent_console;
mod agent_files;
mod agent_host;
mod agent_host_limits;
mod agent_mcp;
mod agent_sample;
mod agent_up;
mod agents;
mod backup;
mod board;
mod board_booking;
mod command_line;
mod docs;
mod import_config;
mod kill;
mod login;
mod mail;
mod netns;
mod nmb_agent;
mod nmb_exporter;
mod not_my_board;
mod program;
mod token_for;
mod usb;
