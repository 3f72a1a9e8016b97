//! not-my-board's protocol as its exporters, agents and command lines speak it, to any hub.

pub mod connect;
pub mod connection;
pub mod export;
pub mod farm;
pub mod login;
pub mod tokens;
pub mod turns;
