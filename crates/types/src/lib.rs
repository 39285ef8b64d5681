//! words and numbers people and standards use: names, ids, digests, references, sizes, times.
