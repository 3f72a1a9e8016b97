//! The picture of a large farm: a square for each place, in the colour of how it stands.

use super::State;
use crate::api::FarmPlace;

/// Below so many places, the list itself shows all of them.
const FEWEST: usize = 50;
/// More would be too small to be seen.
const MOST: usize = 4000;
/// How many squares stand side by side.
const ACROSS: usize = 100;

/// The squares.
#[derive(Clone, Debug)]
pub struct Mosaic {
    /// How wide and high the picture is, in squares.
    pub across: usize,
    /// As many rows as it takes.
    pub down: usize,
    /// Each with where it stands, its class and its words.
    pub cells: Vec<Cell>,
}

/// One square.
#[derive(Clone, Debug)]
pub struct Cell {
    /// From the left.
    pub x: usize,
    /// From above.
    pub y: usize,
    /// How the place stands.
    pub state: State,
    /// The place, and who has it.
    pub words: String,
}

impl Mosaic {
    /// The picture of a farm that is neither small nor huge.
    pub fn of(farm: &[FarmPlace]) -> Option<Self> {
        if !(FEWEST..=MOST).contains(&farm.len()) {
            return None;
        }
        // A farm of 60 places needs no row of 100.
        let across = ACROSS.min(farm.len().div_ceil(2));
        let cells = farm.iter().enumerate().map(|(at, place)| {
            let state = State::of(place);
            let holder = place.reservation.as_ref().map(|reservation| format!(" for {}", reservation.holder));
            let words = format!("{}: {}{}", place.name, state.words(), holder.unwrap_or_default());
            Cell { x: at % across, y: at / across, state, words }
        });
        Some(Self { across, down: farm.len().div_ceil(across), cells: cells.collect() })
    }
}
