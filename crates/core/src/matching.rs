//! The largest matching of a bipartite graph, by augmenting paths found in layers (Hopcroft and Karp, 1973). What the
//! two sides are is not known here.

use std::collections::VecDeque;

/// Pairs as many on the left with one each on the right as can be. `edges[left]` names, by index, what `left` goes
/// together with; `right` is how many there are on the other side. For each on the left, its pair.
pub fn maximum(edges: &[Vec<usize>], right: usize) -> Vec<Option<usize>> {
    let mut graph =
        Graph { edges, of_left: vec![None; edges.len()], of_right: vec![None; right], layer: Vec::new() };
    while graph.find_layers() {
        for left in 0..edges.len() {
            if graph.of_left[left].is_none() {
                graph.augment(left);
            }
        }
    }
    graph.of_left
}

struct Graph<'a> {
    edges: &'a [Vec<usize>],
    of_left: Vec<Option<usize>>,
    of_right: Vec<Option<usize>>,
    /// How many exchanges lead to each on the left in this round; `None` where none do any more.
    layer: Vec<Option<usize>>,
}

impl Graph<'_> {
    /// Sorts the left side by how many exchanges lead there; whether anyone on the right is left to be found.
    fn find_layers(&mut self) -> bool {
        self.layer = self.of_left.iter().map(|pair| pair.is_none().then_some(0)).collect();
        let mut queue: VecDeque<usize> =
            (0..self.edges.len()).filter(|left| self.of_left[*left].is_none()).collect();
        let mut found = false;
        while let Some(left) = queue.pop_front() {
            for &right in &self.edges[left] {
                match self.of_right[right] {
                    None => found = true,
                    Some(next) if self.layer[next].is_none() => {
                        self.layer[next] = self.layer[left].map(|layer| layer + 1);
                        queue.push_back(next);
                    }
                    Some(_) => {}
                }
            }
        }
        found
    }

    /// Finds a pair for one on the left, who may take one away from somebody who finds another. The path is kept in a
    /// list, not on the stack: a place may have any number of parts.
    fn augment(&mut self, start: usize) {
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some(&mut (left, ref mut tried)) = path.last_mut() {
            let Some(&right) = self.edges[left].get(*tried) else {
                self.layer[left] = None;
                path.pop();
                continue;
            };
            *tried += 1;
            match self.of_right[right] {
                None => {
                    for (left, tried) in path {
                        let right = self.edges[left][tried - 1];
                        self.of_left[left] = Some(right);
                        self.of_right[right] = Some(left);
                    }
                    return;
                }
                Some(next) => {
                    let follows = self.layer[left].map(|layer| layer + 1);
                    if follows.is_some() && self.layer[next] == follows {
                        path.push((next, 0));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::maximum;

    /// Tries every choice.
    fn largest(edges: &[Vec<usize>], taken: &mut Vec<bool>) -> usize {
        let Some((first, rest)) = edges.split_first() else { return 0 };
        let mut best = largest(rest, taken);
        for &right in first {
            if !taken[right] {
                taken[right] = true;
                best = best.max(1 + largest(rest, taken));
                taken[right] = false;
            }
        }
        best
    }

    fn check(edges: &[Vec<usize>], right: usize) -> usize {
        let pairs = maximum(edges, right);
        let mut taken = vec![false; right];
        for (left, pair) in pairs.iter().enumerate() {
            if let Some(right) = *pair {
                assert!(edges[left].contains(&right), "{left} and {right} do not go together");
                assert!(!std::mem::replace(&mut taken[right], true), "{right} is paired twice");
            }
        }
        pairs.iter().flatten().count()
    }

    proptest! {
        #[test]
        fn none_is_larger(edges in prop::collection::vec(prop::collection::vec(0..6_usize, 0..5), 0..7)) {
            prop_assert_eq!(check(&edges, 6), largest(&edges, &mut vec![false; 6]));
        }
    }

    #[test]
    fn a_long_path_is_found() {
        // Each may have its own or the next one; the last must move everybody.
        let size = 20_000;
        let mut edges: Vec<Vec<usize>> = (0..size).map(|at| vec![at, at + 1]).collect();
        edges.push(vec![0]);
        assert_eq!(check(&edges, size + 1), size + 1);
    }
}
