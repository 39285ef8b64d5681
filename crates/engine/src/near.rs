//! Words that look like the one somebody typed, as a question.

pub use hull_types::near;

/// Writes names as a question: ``did you mean `a` or `b`?``; nothing when there are none.
pub fn did_you_mean<T: AsRef<str>>(names: &[T]) -> Option<String> {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    (!quoted.is_empty()).then(|| format!("did you mean {}?", quoted.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_name_every_candidate() {
        assert_eq!(did_you_mean::<&str>(&[]), None);
        assert_eq!(
            did_you_mean(&["a", "b"]).unwrap(),
            "did you mean `a` or `b`?"
        );
    }
}
