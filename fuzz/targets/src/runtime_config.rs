//! `config.json` of the OCI runtime specification.

use hull_spec::runtime::Spec;

/// The strict reader accepts what the tolerant one understands whole, and nothing is lost in writing.
pub fn runtime_config(bytes: &[u8]) {
    let strict = Spec::parse(bytes);
    match Spec::parse_tolerant(bytes) {
        Ok((spec, ignored)) => {
            assert_eq!(strict.is_ok(), ignored.is_empty());
            let again = Spec::parse(&spec.to_json()).expect("what is written is read, strictly");
            assert_eq!(again, spec);
        }
        Err(error) => {
            assert!(strict.is_err());
            super::explain(&error);
        }
    }
}
