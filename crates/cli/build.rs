//! Has the linker lay the code of a start side by side, as `start.ld` says (docs/adr/0022).

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=start.ld");
    let text = |name: &str| env::var(name).unwrap_or_default();
    // Any other linker than the usual ones may not know the language of that file.
    let usual = text("RUSTC_LINKER").is_empty()
        && !text("CARGO_ENCODED_RUSTFLAGS").contains("fuse-ld")
        && text("CARGO_CFG_TARGET_OS") == "linux";
    if usual && text("PROFILE") == "release" {
        let directory = text("CARGO_MANIFEST_DIR");
        println!("cargo:rustc-link-arg-bin=hull=-Wl,-T,{directory}/start.ld");
    }
}
