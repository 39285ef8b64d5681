//! layered root file systems.
