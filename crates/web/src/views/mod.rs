//! What each page shows: plain values, and the template that lays them out. Where the values come from is the business
//! of `pages`.

pub mod door;
