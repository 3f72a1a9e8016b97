//! For Nave's own tests only: hubs, nodes, networks, clocks, a PostgreSQL server, a test fleet.

pub mod postgres;
