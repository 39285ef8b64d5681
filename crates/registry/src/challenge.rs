//! `WWW-Authenticate` (RFC 9110 §11.6.1): what a registry wants before it answers.

/// One way to prove who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    /// A token that `realm` gives out.
    Bearer {
        realm: String,
        service: Option<String>,
    },
    /// A scheme nobody here knows.
    Other(String),
}

/// Reads the challenges of one header; what is not understood ends the reading.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut text = Text(header);
    let mut challenges = Vec::new();
    while let Some(scheme) = text.next_scheme() {
        let mut realm = None;
        let mut service = None;
        while let Some((name, value)) = text.parameter() {
            // The first of a name counts: a second one could only be there to confuse.
            let slot = match name.to_ascii_lowercase().as_str() {
                "realm" => &mut realm,
                "service" => &mut service,
                _ => continue,
            };
            slot.get_or_insert(value);
        }
        challenges.push(match (scheme.to_ascii_lowercase().as_str(), realm) {
            ("basic", _) => Challenge::Basic,
            ("bearer", Some(realm)) => Challenge::Bearer { realm, service },
            _ => Challenge::Other(scheme.to_owned()),
        });
    }
    challenges
}

/// What is left of the header.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    fn next_scheme(&mut self) -> Option<&'a str> {
        self.skip(|c| c == ',' || is_blank(c));
        let scheme = self.token()?;
        // What some schemes have instead of parameters (`Negotiate abc==`).
        let before = self.0;
        self.skip(is_blank);
        if self.token68().is_none() {
            self.0 = before;
        }
        Some(scheme)
    }

    /// Takes `name=value` or `name="value"`, and the comma before it; nothing if a scheme comes next.
    fn parameter(&mut self) -> Option<(&'a str, String)> {
        let before = self.0;
        let parameter = self.try_parameter();
        if parameter.is_none() {
            self.0 = before;
        }
        parameter
    }

    fn try_parameter(&mut self) -> Option<(&'a str, String)> {
        self.skip(|c| c == ',' || is_blank(c));
        let name = self.token()?;
        self.skip(is_blank);
        self.0 = self.0.strip_prefix('=')?;
        self.skip(is_blank);
        match self.0.strip_prefix('"') {
            Some(rest) => self.quoted(rest).map(|value| (name, value)),
            None => self.token().map(|value| (name, value.to_owned())),
        }
    }

    fn quoted(&mut self, rest: &'a str) -> Option<String> {
        let mut value = String::new();
        let mut characters = rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.0 = &rest[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                _ => value.push(character),
            }
        }
        None
    }

    /// Takes letters up to padding that ends the challenge.
    fn token68(&mut self) -> Option<()> {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        let rest = self.0.trim_start_matches(is_letter);
        let padded = rest.trim_start_matches('=').trim_start_matches(is_blank);
        let ends = padded.is_empty() || padded.starts_with(',');
        let any = rest.len() < self.0.len();
        (any && ends).then(|| self.0 = padded)
    }

    fn token(&mut self) -> Option<&'a str> {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.0.find(|c| !is_token(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        self.0 = self.0.trim_start_matches(skipped);
    }
}

fn is_blank(character: char) -> bool {
    character == ' ' || character == '\t'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        }
    }

    #[test]
    fn headers_of_real_registries_are_read() {
        let docker = bearer("https://auth.docker.io/token", Some("registry.docker.io"));
        let rows = [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                vec![docker.clone()],
            ),
            (
                r#"bearer scope="repository:x:pull" , service=registry.docker.io,  REALM = "https://auth.docker.io/token""#,
                vec![docker],
            ),
            (r#"Basic realm="Registry Realm""#, vec![Challenge::Basic]),
            ("Basic", vec![Challenge::Basic]),
            (
                r#"Bearer realm="https://ghcr.io/token",service="ghcr.io", Basic realm="x""#,
                vec![
                    bearer("https://ghcr.io/token", Some("ghcr.io")),
                    Challenge::Basic,
                ],
            ),
            (
                r#"Negotiate, NTLM abc/+==, Basic realm="a\"b, Bearer realm=c""#,
                vec![
                    Challenge::Other("Negotiate".to_owned()),
                    Challenge::Other("NTLM".to_owned()),
                    Challenge::Basic,
                ],
            ),
            (r#"Bearer realm="a",realm="b""#, vec![bearer("a", None)]),
            (
                r#"Bearer service="x""#,
                vec![Challenge::Other("Bearer".to_owned())],
            ),
            (
                r#"Bearer realm="unfinished"#,
                vec![
                    Challenge::Other("Bearer".to_owned()),
                    Challenge::Other("realm".to_owned()),
                ],
            ),
            ("", vec![]),
            (",,", vec![]),
            ("=\"", vec![]),
        ];
        for (header, expected) in rows {
            assert_eq!(parse(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "\\PC{0,80}") {
            prop_assert!(parse(&text).len() <= text.len());
        }

        #[test]
        fn quoted_realms_come_back(realm in "[ -~]{0,40}") {
            let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("Bearer realm=\"{quoted}\", service=\"s\"");
            prop_assert_eq!(parse(&header), vec![bearer(&realm, Some("s"))]);
        }
    }
}
