//! `diff`, `commit`, `export`, `cp`: the files of a container.

use crate::home::Home;

#[test]
fn root_files_of_a_container_are_seen_copied_and_kept() {
    let Some(home) = Home::new(&["busybox", "tar"]) else {
        return;
    };
    home.ok("hull import tree base");
    home.ok("hull run --name c --network none base /bin/sh -c 'echo new > /etc/new; busybox rm /etc/passwd'");
    let changes = "C /etc\nA /etc/new\nD /etc/passwd\n";
    assert_eq!(home.ok("hull diff c"), changes);
    assert_eq!(
        home.ok("hull diff --format '{{.Path}}' c | head -1"),
        "/etc\n"
    );
    home.ok("hull commit -a me -m why -c 'CMD [\"/bin/busybox\", \"cat\", \"/etc/new\"]' c kept");
    assert_eq!(home.ok("hull run --rm --network none kept"), "new\n");
    assert_eq!(
        home.ok("hull image inspect -f '{{.Author}} {{.Comment}} {{len .RootFS.Layers}}' kept"),
        "me why 2\n"
    );
    let listed = home.ok("hull export c | tar -t | grep -E '^etc/(new|passwd)$'");
    assert_eq!(listed, "etc/new\n");
    home.ok("hull export -o c.tar c && hull import c.tar flat");
    home.file("mine", b"mine\n");
    assert_eq!(
        home.ok("hull cp mine c:/tmp/ && hull cp c:/tmp/mine back && cat back"),
        "mine\n"
    );
    home.ok("mkdir d; mv mine d/; tar -C d -c mine | hull cp - c:/etc");
    assert_eq!(home.ok("hull cp c:/etc - | tar -xO etc/mine"), "mine\n");
    for (line, said) in [
        ("hull cp c:/nowhere .", "c:/nowhere does not exist"),
        ("hull cp d e", "between two places on the host"),
        ("hull cp c:/a c:/b", "between two containers"),
        (
            "hull export nobody -o x.tar",
            "no container is called `nobody`",
        ),
        ("hull commit c 'Bad Name'", "capital letters"),
    ] {
        let error = home.fails(line);
        assert!(error.contains(said), "{line}: {error}");
    }
    assert_eq!(home.ok("hull export c | head -c 1 | wc -c"), "1\n");
    home.ok("hull rm c");
}
