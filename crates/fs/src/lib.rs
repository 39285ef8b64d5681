//! Durable and confined files: what a crash leaves whole and what an image cannot lead astray.
//!
//! | wanted | here |
//! |---|---|
//! | a record replaced as a whole | [`replace()`], [`replace_at`] |
//! | a record read, with a bound | [`read_at`], [`list`] |
//! | "is anybody at it?" without disturbing them | [`Lock`] |
//! | a name an image or a person gave, resolved inside a directory | [`Root`] |
//! | a tree gone, however deep or unreadable, and nothing outside it | [`remove_tree`] |
//! | what was begun, taken back unless it is kept | [`Undo`] |
//! | how much a tree takes | [`disk_usage`] |
//! | a name nobody can guess | [`temp_name`] |
//! | what killed writers left under such names, gone | [`remove_unfinished`], [`Making`] |
//! | a file made as somebody else, where only they may | [`as_owner`] |
//! | layers stacked by an overlayfs that wants paths | [`overlay::Stack`] |
//!
//! Directories are descriptors; paths appear in errors. Nothing here prints or keeps global state; only [`overlay`] starts a
//! thread, and that ends before it returns.
#![forbid(unsafe_code)]

mod error;
mod lock;
mod names;
mod owner;
mod read;
mod remove;
mod replace;
mod root;
mod undo;
mod unfinished;
mod usage;

pub mod overlay;
pub mod tar;

pub use error::FsError;
pub use lock::Lock;
pub use names::{random_hex, temp_name};
pub use owner::as_owner;
pub use read::{list, read_at};
pub use remove::remove_tree;
pub use replace::{Durability, replace, replace_at};
pub use root::Root;
pub use undo::Undo;
pub use unfinished::{Making, remove_unfinished};
pub use usage::{Usage, disk_usage};
