//! What each page shows: plain values, and the template that lays them out. Where the values come from is the business
//! of `pages`.

pub mod account;
pub mod audit;
pub mod device;
pub mod door;
pub mod failure;
pub mod happening;
pub mod listing;
pub mod nodes;
pub mod overview;
pub mod people;
pub mod program;
pub mod reference;
pub mod settings;
pub mod status;
pub mod streams;
pub mod wheel;
