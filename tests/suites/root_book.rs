//! What the README and the book show to type, typed: every line of their `sh` blocks, in their order.

use hull_suites::{Hull, OciLayout, require};

/// What a test cannot have on its machine, and what stands for it.
const INSTEAD: [(&str, &str); 11] = [
    (
        "cargo xtask rootfs busybox.tar",
        "cp $HULL_ROOTFS busybox.tar",
    ),
    (
        "cargo xtask registry /tmp/registry 5000 &",
        "\"$HULL_XTASK\" registry registry 5000 > /dev/null 2>&1 & trap \"kill $!\" EXIT; sleep 1;",
    ),
    (
        "wget -qO- 127.0.0.1:8080",
        "for try in $(seq 50); do wget -qO- 127.0.0.1:8080 && break; sleep 0.1; done",
    ),
    ("IMAGE PROGRAM", "busybox true"),
    ("IMAGE", "service"),
    ("/etc/bash_completion.d", "."),
    ("/usr/local/share/man/man1", "man"),
    ("/var/lib/hull/images", "$HULL_ROOT/images"),
    ("rm -rf /var/lib/hull /run/hull", "rm -rf $HULL_ROOT"),
    ("shop:1", "busybox:latest"),
    ("-- make", "-- make -s"),
];

/// What is not typed here, and why.
const ELSEWHERE: [(&str, &str); 11] = [
    ("cargo run --release", "tests of xtask build and run it"),
    ("cargo xtask test", "it is what runs this"),
    ("debootstrap", "slice_debootstrap"),
    ("tar -C rootfs -c . | hull import", "slice_debootstrap"),
    ("docker save", "needs docker"),
    ("hull pull debian:12", "needs a network"),
    ("hull save shop:1 | ssh", "needs another host"),
    (
        "skopeo copy oci:/var/lib/hull/images:docker.io/library/shop:1",
        "needs registry.lan",
    ),
    (
        "hull run --rm --network ns:",
        "root_network; the name would be the host's",
    ),
    ("export HULL_ROOT=/srv/try", "root_roots"),
    (
        "hull rm -f $(hull ps -aq)",
        "typed by the test itself, when there may be none",
    ),
];

/// Returns the `sh` blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("```sh\n") {
        let (block, after) = after.split_once("```").expect("every fence has its end");
        blocks.push(block.to_owned());
        rest = after;
    }
    blocks
}

/// Types a page's lines, as far as they can be typed here.
#[track_caller]
fn type_page(hull: &Hull, page: &str) {
    hull.write("typed/Makefile", "all:\n\ttrue\n");
    hull.write("typed/site/index.html", "hello\n");
    OciLayout::default()
        .busybox()
        .write(&hull.dir().join("typed/layout"), "from-layout:1");
    let path = format!("{}/../{page}", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(path).expect("the page is there");
    for block in blocks(&page) {
        let here = block
            .lines()
            .filter(|line| ELSEWHERE.iter().all(|(begin, _)| !line.starts_with(begin)));
        let mut script = here.collect::<Vec<_>>().join("\n");
        for (shown, instead) in INSTEAD {
            script = script.replace(shown, instead);
        }
        if !script.trim().is_empty() {
            hull.ok(&format!("set -eo pipefail; cd typed; {script}"));
        }
    }
}

#[test]
fn lines_of_the_readme_work() {
    require!("docker-registry", "skopeo", "wget", "nft");
    if std::env::var_os("HULL_XTASK").is_none() {
        hull_suites::skip("HULL_XTASK names the program xtask; `cargo xtask test` sets it");
        return;
    }
    let hull = Hull::new();
    type_page(&hull, "README.md");
}

#[test]
fn lines_of_the_book_work() {
    require!("make");
    let hull = Hull::with_busybox();
    hull.ok("hull import -c 'CMD [\"sleep\", \"1\"]' $HULL_ROOTFS service");
    type_page(&hull, "docs/book/how-to.md");
    hull.ok("hull rm -f $(hull ps -aq)");
}
