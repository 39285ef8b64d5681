#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hull_fuzz_targets::tar(bytes));
