//! Image names, as people, registries and archives spell them.

use hull_types::{Reference, ShortNames};

/// A name that was read is written so that it is read as the same name again: in full, and as short as the rule allows.
pub fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for short in rules() {
        let name = match Reference::parse(text, &short) {
            Ok(name) => name,
            Err(error) => {
                super::explain(&error);
                continue;
            }
        };
        for spelling in [name.to_string(), name.familiar(&short)] {
            assert_eq!(
                Reference::parse(&spelling, &short).as_ref(),
                Ok(&name),
                "`{text}` by {short:?}, written as `{spelling}`"
            );
        }
        let full: Result<Reference, _> = name.to_string().parse();
        assert_eq!(full.as_ref(), Ok(&name), "the full name needs no rule");
        let path = name.repository();
        assert!(
            !path.starts_with('/') && path.split('/').all(|part| !part.is_empty() && part != ".."),
            "`{path}` would be no plain path in a registry's addresses"
        );
        let tagged = name.or_latest();
        assert!(tagged.tag().is_some() || tagged.digest().is_some());
    }
}

fn rules() -> [ShortNames; 3] {
    let rule = |registry: &str, namespace: Option<&str>| ShortNames {
        registry: registry.to_owned(),
        namespace: namespace.map(str::to_owned),
    };
    [
        ShortNames::default(),
        rule("registry.lan:5000", None),
        rule("quay.io", Some("team/base")),
    ]
}
