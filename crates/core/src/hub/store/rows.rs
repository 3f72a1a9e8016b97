//! Several rows in one statement. The sizes are few, so that few statements are prepared, whatever comes.

use super::Engine;

/// The most rows of a statement.
const MOST: usize = 32;

/// Splits rows into parts that statements are made for, in their order.
pub fn in_sizes<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut left = rows;
    std::iter::from_fn(move || {
        // Powers of two, and halfway between them.
        let is_size =
            |size: &usize| size.is_power_of_two() || size.is_multiple_of(3) && (size / 3).is_power_of_two();
        let size = (1..=MOST.min(left.len())).rev().find(is_size)?;
        let (part, rest) = left.split_at(size);
        left = rest;
        Some(part)
    })
}

/// `($1, $2), ($3, $4)`, for so many rows of so many columns. SQLite gets `(?, ?), (?, ?)`: for each value it is given, it
/// looks through all placeholders that have a name.
pub fn rows_of_placeholders(engine: Engine, rows: usize, columns: usize) -> String {
    if engine == Engine::Sqlite {
        let row = format!("({})", vec!["?"; columns].join(", "));
        return vec![row.as_str(); rows].join(", ");
    }
    let row = |row: usize| {
        let row: Vec<String> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", row.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    rows.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_split_into_few_sizes() {
        let sizes = |count: usize| in_sizes(&vec![0; count]).map(<[i32]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(0), [0; 0]);
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(7), [6, 1]);
        assert_eq!(sizes(23), [16, 6, 1]);
        assert_eq!(sizes(70), [32, 32, 6]);
        let rows = [1, 2, 3, 4, 5];
        assert_eq!(in_sizes(&rows).collect::<Vec<_>>().concat(), rows);
    }

    #[test]
    fn each_value_has_a_placeholder_of_its_own() {
        assert_eq!(rows_of_placeholders(Engine::Postgres, 2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(rows_of_placeholders(Engine::Sqlite, 2, 3), "(?, ?, ?), (?, ?, ?)");
    }
}
