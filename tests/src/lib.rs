//! What the suites in `suites/` share: an installation of Hull of their own, and ways to look at it from outside.
//!
//! A test owns a [`Hull`]: a root directory on a real disk, a shell in which `hull` is the program under test, and at its end
//! the proof that nothing is left of it, in the kernel or on disk. The tests know Hull only by what it says and does: no crate
//! of Hull's own is used here. So the crates' own tests may use this one: for [`run_cases`] and [`DockerRegistry`].
//!
//! ```no_run
//! let hull = hull_suites::Hull::with_busybox();
//! assert_eq!(hull.ok("hull run --rm busybox echo hi | tr a-z A-Z"), "HI");
//! hull.fails(127, "hull run --rm busybox nosuch");
//! ```

mod archive;
mod cases;
mod digest;
mod docker_registry;
mod hull;
mod left;
mod life;
mod machine;
mod ran;
mod registry;
mod sweep;
mod terminal;
mod tree;

pub use archive::{Entry, OciLayout, gzip, tar};
pub use cases::{Case, run_cases};
pub use digest::sha256;
pub use docker_registry::DockerRegistry;
pub use hull::{Child, Hull};
pub use left::{Left, cgroup_parent};
pub use life::whole_life;
pub use machine::{eventually, is_root, missing, skip};
pub use ran::Ran;
pub use registry::{Change, Login, Registry, Serving, join_platforms};
pub use sweep::{Story, Sweep, Victim};
pub use terminal::Terminal;
pub use tree::Tree;
