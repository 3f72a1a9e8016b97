//! Foreign protocols: each translates into the fleet's own words, and holds nothing else.

pub(super) mod not_my_board;
