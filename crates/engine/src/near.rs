//! Words that look like the one somebody typed: for "did you mean" hints.

/// Returns at most three candidates that are a slip of the finger away from `word`, nearest first.
///
/// Case is ignored. A word may differ by one edit (insert, delete, replace, swap neighbours) for every three letters, at least
/// one; a candidate that starts with the word counts too, since people also type half of a name.
pub fn near<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let letters = word.chars().count();
    let allowed = (letters / 3).max(1);
    let mut close: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let edits = distance(&word, &other);
            let half = letters >= 3 && other.starts_with(&word);
            (edits <= allowed || half).then_some((edits, candidate))
        })
        .collect();
    close.sort();
    close.dedup();
    close.truncate(3);
    close.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Writes names as a question: ``did you mean `a` or `b`?``; nothing when there are none.
pub fn did_you_mean<T: AsRef<str>>(names: &[T]) -> Option<String> {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    (!quoted.is_empty()).then(|| format!("did you mean {}?", quoted.join(" or ")))
}

/// Returns the number of edits between two words, where swapping neighbours is one (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Words this far apart in length are never near: saves the table for long lists of long names.
    if a.len().abs_diff(b.len()) > a.len() {
        return usize::MAX;
    }
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(from != to);
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_near() {
        let names = ["State", "Status", "Config", "debian:12", "memory-swap", "memory"];
        for (word, expected) in [
            ("Stat", vec!["State", "Status"]),
            ("state", vec!["State", "Status"]),
            ("Cofnig", vec!["Config"]),
            ("debain:12", vec!["debian:12"]),
            ("mem", vec!["memory", "memory-swap"]),
            ("zzz", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(near(word, names), expected, "{word}");
        }
    }

    #[test]
    fn questions_name_every_candidate() {
        assert_eq!(did_you_mean::<&str>(&[]), None);
        assert_eq!(did_you_mean(&["a", "b"]).unwrap(), "did you mean `a` or `b`?");
    }
}
