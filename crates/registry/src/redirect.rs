//! Where a redirect may lead.

use crate::RegistryError;
use crate::url::{Host, Scheme, Url};

/// More than this is a loop, or a game.
pub(crate) const MAX_REDIRECTS: usize = 5;

/// Returns where to go from `from`, on the way for the `hop`th time (from 1): never from encrypted to plain, and to plain
/// only where that is allowed anyway.
pub(crate) fn next(
    from: &Url,
    location: &str,
    hop: usize,
    may_be_plain: impl Fn(&Host) -> bool,
) -> Result<Url, RegistryError> {
    let host = from.host.to_string();
    if hop > MAX_REDIRECTS {
        let limit = MAX_REDIRECTS;
        return Err(RegistryError::TooManyRedirects { host, limit });
    }
    let to = match from.join(location) {
        Ok(to) => to,
        Err(source) => return Err(RegistryError::BadRedirect { host, source }),
    };
    let downgrade = from.scheme == Scheme::Https || !may_be_plain(&to.host);
    if to.scheme == Scheme::Http && downgrade {
        let to = to.to_string();
        return Err(RegistryError::InsecureRedirect { host, to });
    }
    Ok(to)
}

/// Says whether `status` asks to go elsewhere for the same thing.
pub(crate) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_never_leave_encryption() {
        let rows = [
            (
                "https://r.example/a",
                "https://cdn.example/x",
                1,
                Ok("https://cdn.example/x"),
            ),
            ("https://r.example/a", "/x", 5, Ok("https://r.example/x")),
            ("https://r.example/a", "/x", 6, Err("more than 5 times")),
            (
                "https://r.example/a",
                "http://r.example/x",
                1,
                Err("not encrypted"),
            ),
            (
                "https://r.example/a",
                "http://localhost/x",
                1,
                Err("not encrypted"),
            ),
            (
                "http://localhost/a",
                "http://127.0.0.1:5000/x",
                1,
                Ok("http://127.0.0.1:5000/x"),
            ),
            (
                "http://localhost/a",
                "https://cdn.example/x",
                1,
                Ok("https://cdn.example/x"),
            ),
            (
                "http://localhost/a",
                "http://cdn.example/x",
                1,
                Err("not encrypted"),
            ),
            (
                "https://r.example/a",
                "file:///etc/passwd",
                1,
                Err("cannot be used"),
            ),
            (
                "https://r.example/a",
                "https://u:p@cdn.example/",
                1,
                Err("cannot be used"),
            ),
        ];
        for (from, location, hop, expected) in rows {
            let next = next(&Url::parse(from).unwrap(), location, hop, Host::is_loopback);
            match (next, expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url.to_string(), expected),
                (Err(error), Err(expected)) => {
                    let error = error.to_string();
                    assert!(error.contains(expected), "{error}");
                }
                (next, expected) => panic!("{from} -> {location}: {next:?} is not {expected:?}"),
            }
        }
    }
}
