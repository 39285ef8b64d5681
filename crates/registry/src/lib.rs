//! the distribution protocol as a client.
