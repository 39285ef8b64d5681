//! Image configurations.

use hull_spec::image::ImageConfig;

/// What was read can be written and read as the same.
pub fn image_config(bytes: &[u8]) {
    match ImageConfig::parse(bytes) {
        Ok(config) => {
            config.platform().to_string();
            config.created_at();
            let again = ImageConfig::parse(&config.to_json()).expect("what is written is read");
            assert_eq!(again, config);
        }
        Err(error) => super::explain(&error),
    }
}
