//! not-my-board's tables: columns two spaces apart, numbers to the right, bold and coloured on terminals alone.

use std::io::IsTerminal as _;

use serde::Serialize;

use crate::printer::Printer;

/// How much wider than its header a column is at least.
const PADDING: usize = 2;

pub const RED: u8 = 31;
pub const GREEN: u8 = 32;
pub const YELLOW: u8 = 33;
pub const MAGENTA: u8 = 35;

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Paint(bool);

impl Paint {
    /// Colours if a person looks at stdout.
    pub fn for_stdout() -> Self {
        Self(std::io::stdout().is_terminal())
    }

    pub fn with(self, colour: u8, text: &str) -> String {
        if self.0 { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub fn bold(self, text: &str) -> String {
        self.with(1, text)
    }
}

/// A text from elsewhere without what terminals would obey.
pub fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

/// A cell: what is printed, without the spaces around it, and its colour.
pub struct Cell {
    shown: String,
    colour: Option<u8>,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self { shown: plain(text).trim().to_owned(), colour: None }
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl Cell {
    pub fn coloured(text: &str, colour: u8) -> Self {
        Self { colour: Some(colour), ..text.into() }
    }

    fn width(&self) -> usize {
        self.shown.chars().count()
    }

    fn is_number(&self) -> bool {
        self.shown.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn painted(&self, paint: Paint) -> String {
        self.colour.map_or_else(|| self.shown.clone(), |colour| paint.with(colour, &self.shown))
    }
}

/// Prints rows: a table for people, an array with `--json`. No rows, no table.
pub fn print<T: Serialize>(
    printer: Printer,
    rows: &[T],
    columns: &[&str],
    no_header: bool,
    cells: impl Fn(&T) -> Vec<Cell>,
) -> anyhow::Result<()> {
    if printer.is_json() {
        return printer.value(&rows);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = rows.iter().map(cells).collect();
    for line in lines(&rows, if no_header { &[] } else { columns }, Paint::for_stdout()) {
        printer.data(line);
    }
    Ok(())
}

fn lines(rows: &[Vec<Cell>], columns: &[&str], paint: Paint) -> Vec<String> {
    let count = rows.first().map_or(0, Vec::len);
    let column = |at: usize| rows.iter().filter_map(move |row| row.get(at));
    let widths: Vec<usize> = (0..count)
        .map(|at| {
            let header = columns.get(at).map_or(0, |header| header.len() + PADDING);
            column(at).map(Cell::width).fold(header, usize::max)
        })
        .collect();
    let is_numbers = |at: usize| column(at).all(Cell::is_number) && column(at).any(|cell| cell.width() > 0);
    let numbers: Vec<bool> = (0..count).map(is_numbers).collect();
    let line = |cells: &[Cell]| {
        let padded = cells.iter().enumerate().map(|(at, cell)| {
            let (spaces, text) = (" ".repeat(widths[at].saturating_sub(cell.width())), cell.painted(paint));
            if numbers[at] { format!("{spaces}{text}") } else { format!("{text}{spaces}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = Vec::with_capacity(rows.len() + 1);
    if !columns.is_empty() {
        let header: Vec<Cell> = columns.iter().map(|&column| column.into()).collect();
        lines.push(paint.bold(&line(&header)));
    }
    lines.extend(rows.iter().map(|row| line(row)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's `tabulate` 0.10 prints for the same.
    #[test]
    fn tables_are_as_python_prints_them() {
        let table = |rows: &[[&str; 2]], columns: &[&str]| {
            let rows: Vec<Vec<Cell>> =
                rows.iter().map(|row| row.iter().map(|&cell| cell.into()).collect()).collect();
            lines(&rows, columns, Paint(false)).join("\n")
        };
        let columns = ["Place", "Port"];
        assert_eq!(
            table(&[["a", "80"], ["bb", "8081"]], &columns),
            "Place      Port\na            80\nbb         8081"
        );
        assert_eq!(
            table(&[["a", "80"], ["bb", "1-1"]], &columns),
            "Place    Port\na        80\nbb       1-1"
        );
        assert_eq!(table(&[["a", "80"], ["bb", "8081"]], &[]), "a     80\nbb  8081");
        assert_eq!(
            table(&[["a", "1"], ["b", ""]], &["Place", "User"]),
            "Place      User\na             1\nb"
        );
        assert_eq!(
            table(&[[" a ", "80"], ["b ", "8081"]], &columns),
            "Place      Port\na            80\nb          8081"
        );
    }

    #[test]
    fn colours_take_no_room_and_foreign_ones_do_not_get_through() {
        let rows = [
            vec![Cell::coloured("Down", RED), "80".into()],
            vec![Cell::coloured("Up", GREEN), "8081".into()],
        ];
        assert_eq!(
            lines(&rows, &["Place", "Port"], Paint(true)),
            [
                "\u{1b}[1mPlace      Port\u{1b}[0m",
                "\u{1b}[31mDown\u{1b}[0m         80",
                "\u{1b}[32mUp\u{1b}[0m         8081"
            ]
        );
        assert_eq!(plain("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
    }
}
