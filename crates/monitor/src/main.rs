//! The program; see the library.
#![no_main]

hull_sys::entry!(hull_monitor::main);
