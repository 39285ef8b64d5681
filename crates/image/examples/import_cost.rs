//! Imports one file into a fresh root: what `benches` measure against `igzip -dc | tar x`.
//!
//! `import_cost ROOT ARCHIVE`
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measuring program for developers"
)]

use std::path::Path;

use hull_image::{Images, Import, Input};
use hull_types::ShortNames;

fn main() {
    let mut words = std::env::args().skip(1);
    let (root, archive) = (words.next().unwrap(), words.next().unwrap());
    let images = Images::open(Path::new(&root), ShortNames::default(), Default::default()).unwrap();
    let input = Input::Path(Path::new(&archive));
    let image = images.import(input, &Import::default()).unwrap();
    println!("{}", image.id);
}
