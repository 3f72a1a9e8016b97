//! Distinct resources for several wants, one for each. Which of them can be had at all is not known here.

use crate::matching;

/// For each want, by what would do for it, one of its own; as many as can be had at once.
pub(super) fn pairs(wants: &[Vec<u32>]) -> Vec<Option<u32>> {
    let mut columns: Vec<u32> = wants.iter().flatten().copied().collect();
    columns.sort_unstable();
    columns.dedup();
    let edges: Vec<Vec<usize>> = wants
        .iter()
        .map(|want| want.iter().filter_map(|id| columns.binary_search(id).ok()).collect())
        .collect();
    matching::maximum(&edges, columns.len()).into_iter().map(|at| at.map(|at| columns[at])).collect()
}

/// Whether each can have one of its own.
pub(super) fn fits(wants: &[Vec<u32>]) -> bool {
    match wants {
        [only] => !only.is_empty(),
        several => pairs(several).iter().all(Option::is_some),
    }
}

/// One of its own for each; `None` where that cannot be. `choose` picks one of several by its index; what would leave
/// nothing for the wants that follow is passed over.
pub(super) fn pick(wants: &[Vec<u32>], mut choose: impl FnMut(&[u32]) -> usize) -> Option<Vec<u32>> {
    if !fits(wants) {
        return None;
    }
    if let [only] = wants {
        return Some(vec![only[choose(only).min(only.len() - 1)]]);
    }
    let mut left = wants.to_vec();
    let mut picked = Vec::new();
    for at in 0..wants.len() {
        let mut options = std::mem::take(&mut left[at]);
        loop {
            if options.is_empty() {
                return None;
            }
            let one = options.swap_remove(choose(&options).min(options.len() - 1));
            let rest: Vec<Vec<u32>> = left[at + 1..]
                .iter()
                .map(|want| want.iter().copied().filter(|id| *id != one).collect())
                .collect();
            if fits(&rest) {
                left.splice(at + 1.., rest);
                picked.push(one);
                break;
            }
        }
    }
    Some(picked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_chosen_that_another_needs() {
        let first = |_: &[u32]| 0;
        assert_eq!(pick(&[vec![1, 2], vec![1]], first), Some(vec![2, 1]));
        assert_eq!(pick(&[vec![1, 2, 3], vec![1], vec![2]], first), Some(vec![3, 1, 2]));
        assert_eq!(pick(&[vec![1], vec![1]], first), None);
        assert_eq!(pick(&[vec![4, 5]], |_| 7), Some(vec![5]));
        assert_eq!(pairs(&[vec![9], vec![9], vec![]]), [Some(9), None, None]);
    }
}
