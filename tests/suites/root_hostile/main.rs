//! Images that lie: each is refused with a clear error, leaves nothing behind, and touches nothing outside.

mod archives;
mod documents;
mod layers;
mod scene;
