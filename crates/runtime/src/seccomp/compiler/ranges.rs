//! The search tree over call numbers.
//!
//! Numbers fall into segments with one verdict each. An inner node asks `number >= k`; a leaf covers a stretch with one
//! verdict but for a few single numbers, which it asks for by `== k` first: one instruction for a hole of one number, where
//! two boundaries would cost two. An inner node costs one instruction wherever it cuts, so the fewest instructions come
//! from the best row of leaves, which dynamic programming finds; the tree above them is as flat as can be. (The kernel
//! runs the filter once for each number when it is loaded, so depth costs at every start.)

use super::graph::{Graph, NodeId, Test};

/// A leaf with more single numbers than this would be a linear search.
const MAX_SINGLES: usize = 5;

/// The first number of a run of numbers with one verdict, and where that verdict is.
pub(crate) type Segment = (u32, NodeId);

/// Builds the tree for `segments`, which ascend and are not empty; the last has no end.
pub(crate) fn tree(graph: &mut Graph, segments: &[Segment]) -> NodeId {
    let mut nodes = Vec::new();
    for stretch in leaves(segments) {
        let base = stretch.base;
        let stretch = &segments[stretch.from..stretch.to];
        let node = stretch.iter().rev().fold(base, |rest, &(number, node)| {
            if node == base {
                rest
            } else {
                graph.test(Test::Equal, number, node, rest)
            }
        });
        nodes.push((stretch[0].0, node));
    }
    search(graph, &nodes)
}

fn search(graph: &mut Graph, leaves: &[Segment]) -> NodeId {
    if let [leaf] = leaves {
        return leaf.1;
    }
    let (low, high) = leaves.split_at(leaves.len() / 2);
    let boundary = high[0].0;
    let low = search(graph, low);
    let high = search(graph, high);
    graph.test(Test::GreaterOrEqual, boundary, high, low)
}

/// The segments `from..to`, which all lead to `base` but for `singles` single numbers.
#[derive(Clone, Copy)]
struct Leaf {
    from: usize,
    to: usize,
    base: NodeId,
    singles: usize,
}

/// Cuts the segments into the leaves that cost least, in order.
fn leaves(segments: &[Segment]) -> Vec<Leaf> {
    // best[to]: what the segments before `to` cost, and their last leaf.
    let mut best: Vec<(usize, Option<Leaf>)> = vec![(0, None)];
    for to in 1..=segments.len() {
        let widest = 2 * MAX_SINGLES + 1;
        let candidates = (to.saturating_sub(widest)..to).filter_map(|from| {
            let leaf = leaf(segments, from, to)?;
            Some((best[from].0 + leaf.singles + 1, Some(leaf)))
        });
        // The later of equals has the shorter leaf, so the flatter tree.
        let (cost, leaf) = candidates
            .reduce(|best, next| if next.0 <= best.0 { next } else { best })
            .expect("one segment alone is a leaf");
        best.push((cost, leaf));
    }
    let mut leaves = Vec::new();
    let mut to = segments.len();
    while let Some(leaf) = best[to].1 {
        leaves.push(leaf);
        to = leaf.from;
    }
    leaves.reverse();
    leaves
}

fn leaf(segments: &[Segment], from: usize, to: usize) -> Option<Leaf> {
    let is_single = |at: usize| {
        let next = segments.get(at + 1).map(|segment| segment.0);
        next == segments[at].0.checked_add(1) && next.is_some()
    };
    let wide = (from..to).find(|&at| !is_single(at)).unwrap_or(from);
    let base = segments[wide].1;
    let others = || (from..to).filter(|&at| segments[at].1 != base);
    let singles = others().count();
    (singles <= MAX_SINGLES && others().all(is_single)).then_some(Leaf {
        from,
        to,
        base,
        singles,
    })
}
