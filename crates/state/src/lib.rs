//! records of pods and containers on disk.
