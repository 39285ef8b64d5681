//! limits, freezing, statistics over cgroup v1, hybrid and v2.
