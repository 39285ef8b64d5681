//! What people do with an image, once.

use crate::{Hull, eventually};

/// Runs, enters, reads the log of, stops and removes a container of this image, which has a shell.
#[track_caller]
pub fn whole_life(hull: &Hull, image: &str) {
    hull.ok(&format!(
        "hull run -d --name life --network none {image} sh -c 'echo hello; sleep 1000'"
    ));
    assert_eq!(hull.ok("hull exec life echo entered"), "entered", "{image}");
    eventually("the log has it", || {
        hull.sh("hull logs life").out == "hello\n"
    });
    hull.ok("hull stop -t 0 life && hull rm life");
    hull.assert_nothing_left();
}
