//! parent of one pod's containers.
