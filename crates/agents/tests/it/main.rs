//! The agent fleet from outside: at a running hub, with the programs that people have.

mod import;
