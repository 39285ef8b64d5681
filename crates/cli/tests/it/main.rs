//! The image verbs of the program `hull`, beside other people's tools. They need root; a tool that is missing is named.

mod archives;
mod files;
mod home;
mod names;
mod registry;
