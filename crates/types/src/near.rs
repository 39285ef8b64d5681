//! "Did you mean …?"

/// Returns the candidates that a person may have meant by `asked`: at most three, nearest first, none that is too far.
pub fn near<'a>(asked: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let allowed = ((asked.chars().count() + 1) / 3).max(1);
    let mut close: Vec<(usize, &str)> = candidates
        .into_iter()
        .map(|candidate| (distance(asked, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    close.sort_unstable();
    close.dedup();
    close
        .into_iter()
        .take(3)
        .map(|(_, candidate)| candidate.to_owned())
        .collect()
}

/// How many slips lie between two words: characters added, dropped, changed, or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let changed = above[j] + usize::from(from != to);
            let mut least = changed.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from == &b[j - 1] && to == &a[i - 1] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        assert_eq!(near("debain", ["debian", "alpine", "debian"]), ["debian"]);
        assert_eq!(near("wb", ["web", "db", "cache"]), ["db", "web"]);
        assert_eq!(near("naem", ["name", "env"]), ["name"]);
        assert!(near("foo", ["ro", "root", "rw"]).is_empty());
        assert!(near("x", ["postgres"]).is_empty());
        assert!(near("", ["postgres"]).is_empty());
    }
}
