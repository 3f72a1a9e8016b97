//! Several rows in one statement. The sizes are powers of two, so that few statements are prepared, whatever comes.

/// The most rows of a statement.
const MOST: usize = 32;

/// Splits rows into parts that statements are made for, in their order.
pub fn in_sizes<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut left = rows;
    std::iter::from_fn(move || {
        let size = (1..=MOST.min(left.len())).rev().find(|size| size.is_power_of_two())?;
        let (part, rest) = left.split_at(size);
        left = rest;
        Some(part)
    })
}

/// `($1, $2), ($3, $4)`, for so many rows of so many columns.
pub fn rows_of_placeholders(rows: usize, columns: usize) -> String {
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
        assert_eq!(sizes(7), [4, 2, 1]);
        assert_eq!(sizes(70), [32, 32, 4, 2]);
        let rows = [1, 2, 3, 4, 5];
        assert_eq!(in_sizes(&rows).collect::<Vec<_>>().concat(), rows);
    }

    #[test]
    fn each_value_has_a_placeholder_of_its_own() {
        assert_eq!(rows_of_placeholders(2, 3), "($1, $2, $3), ($4, $5, $6)");
    }
}
