//! every system call rustix lacks, made safe.
