//! SPDX licence expressions: `(MIT OR Apache-2.0) AND Unicode-3.0`, and the older `MIT/Apache-2.0`.

use std::collections::BTreeSet;

/// An expression, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    /// With its exception: `Apache-2.0 WITH LLVM-exception`.
    One(String),
    Any(Vec<Self>),
    All(Vec<Self>),
}

impl Expression {
    /// Reads it; none when it is not one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let spaced = text
            .replace('/', " OR ")
            .replace('(', " ( ")
            .replace(')', " ) ");
        let mut words = spaced.split_whitespace().peekable();
        let expression = any(&mut words)?;
        words.next().is_none().then_some(expression)
    }

    /// Says whether these licences, and no others, are enough.
    pub(crate) fn is_met_by(&self, allowed: &BTreeSet<String>) -> bool {
        match self {
            Self::One(name) => allowed.contains(name),
            Self::Any(parts) => parts.iter().any(|part| part.is_met_by(allowed)),
            Self::All(parts) => parts.iter().all(|part| part.is_met_by(allowed)),
        }
    }
}

type Words<'t> = std::iter::Peekable<std::str::SplitWhitespace<'t>>;

fn any(words: &mut Words<'_>) -> Option<Expression> {
    let mut parts = vec![all(words)?];
    while words.next_if_eq(&"OR").is_some() {
        parts.push(all(words)?);
    }
    Some(if parts.len() == 1 {
        parts.remove(0)
    } else {
        Expression::Any(parts)
    })
}

fn all(words: &mut Words<'_>) -> Option<Expression> {
    let mut parts = vec![one(words)?];
    while words.next_if_eq(&"AND").is_some() {
        parts.push(one(words)?);
    }
    Some(if parts.len() == 1 {
        parts.remove(0)
    } else {
        Expression::All(parts)
    })
}

fn one(words: &mut Words<'_>) -> Option<Expression> {
    if words.next_if_eq(&"(").is_some() {
        let inner = any(words)?;
        return words.next_if_eq(&")").map(|_| inner);
    }
    let name = words
        .next()
        .filter(|word| !["OR", "AND", "WITH", ")"].contains(word))?;
    Some(Expression::One(match words.next_if_eq(&"WITH") {
        Some(_) => format!("{name} WITH {}", words.next()?),
        None => name.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_or_not() {
        let allowed: BTreeSet<String> =
            ["MIT", "Apache-2.0", "ISC", "Apache-2.0 WITH LLVM-exception"]
                .map(str::to_owned)
                .into();
        for (text, met) in [
            ("MIT", true),
            ("GPL-3.0-or-later", false),
            ("MIT OR GPL-2.0", true),
            ("MIT/GPL-2.0", true),
            ("Apache-2.0 AND ISC", true),
            ("Apache-2.0 AND OpenSSL", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", false),
            ("Zlib OR Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0 WITH Classpath", false),
            // AND binds closer.
            ("MIT OR GPL-2.0 AND OpenSSL", true),
        ] {
            assert_eq!(
                Expression::parse(text).unwrap().is_met_by(&allowed),
                met,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in [
            "",
            "MIT OR",
            "(MIT",
            "MIT)",
            "MIT Apache-2.0",
            "AND MIT",
            "MIT WITH",
        ] {
            assert_eq!(Expression::parse(text), None, "{text}");
        }
    }
}
