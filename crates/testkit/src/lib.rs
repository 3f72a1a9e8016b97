//! For Nave's own tests: hubs and nodes in this process, hosts in network namespaces, a PostgreSQL server, a test
//! fleet. Nothing here is part of the product.

pub mod echo;
pub mod fleet;
pub mod hub;
pub mod need;
pub mod net;
pub mod node;
pub mod postgres;
pub mod wait;
