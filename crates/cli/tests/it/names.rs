//! `images`, `tag`, `rmi`, `image prune`, `image inspect`.

use crate::home::Home;

const NAMES: &str = "hull images --format '{{.Repository}}:{{.Tag}}' | sort | tr '\\n' ' '";

#[test]
fn root_names_come_and_go() {
    let Some(home) = Home::new(&["busybox"]) else {
        return;
    };
    let id = home.ok("hull import -c 'LABEL tier=web' tree shop:1");
    let id = id.trim();
    home.ok("hull tag shop:1 shop:2 && hull tag shop:1 registry.lan:5000/shop");
    assert_eq!(
        home.ok(NAMES),
        "registry.lan:5000/shop:latest shop:1 shop:2 "
    );
    assert_eq!(home.ok("hull images -q --no-trunc"), format!("{id}\n"));
    assert_eq!(home.ok("hull images -q"), format!("{}\n", &id[7..19]));
    for (line, count) in [
        ("hull images shop", 3),
        ("hull images 'sh*:2'", 2),
        (
            "hull images --filter label=tier=web --filter reference=shop:1",
            2,
        ),
        ("hull images --filter label=tier=db", 1),
        ("hull images --filter dangling=true", 1),
    ] {
        assert_eq!(home.ok(line).lines().count(), count, "{line}");
    }
    assert!(
        home.fails("hull images --filter lable=x")
            .contains("did you mean `label`")
    );
    assert!(
        home.fails("hull tag shpo:1 x")
            .contains("hint: did you mean shop:1")
    );
    let several = home.fails(&format!("hull rmi {id}"));
    assert!(several.contains("has more than one name"), "{several}");
    assert_eq!(home.ok("hull rmi shop:2"), "Untagged: shop:2\n");
    let mixed = home.sh("hull rmi nowhere registry.lan:5000/shop");
    assert_eq!(
        (mixed.code, mixed.out.as_str()),
        (1, "Untagged: registry.lan:5000/shop:latest\n")
    );
    assert_eq!(home.ok("hull rmi -f nowhere"), "");
    assert_eq!(
        home.ok("hull rmi shop:1"),
        format!("Untagged: shop:1\nDeleted: {id}\n")
    );
    assert_eq!(home.ok("find root/layers -name 'sha256*' | wc -l"), "0\n");
}

#[test]
fn root_what_a_container_needs_stays() {
    let Some(home) = Home::new(&["busybox"]) else {
        return;
    };
    let id = home.ok("hull import tree used");
    home.ok(
        "hull create --name c --network none used /bin/true; hull import -c 'ENV A=b' tree unused",
    );
    let refused = home.fails("hull rmi used");
    assert!(
        refused.contains("image `used` is used by a container\nhint: "),
        "{refused}"
    );
    assert_eq!(home.ok("hull rmi -f used"), "Untagged: used:latest\n");
    assert_eq!(home.ok(NAMES), "<none>:<none> unused:latest ");
    assert_eq!(
        home.ok("hull image prune -f"),
        "Total reclaimed space: 0B\n"
    );
    home.ok("hull rm c");
    let no = home.ok("echo n | hull image prune");
    assert!(no.contains("WARNING! This will remove all dangling images.") && !no.contains("Total"));
    assert!(
        home.ok("hull image prune -f")
            .contains(&format!("Deleted: {id}"))
    );
    assert!(
        home.ok("hull image prune -af")
            .contains("Untagged: unused:latest")
    );
    assert_eq!(home.ok(NAMES), "");
    let said = home.ok("hull import tree x; hull image inspect -f '{{.RepoTags}} {{.Os}}' x");
    assert!(said.ends_with("[x:latest] linux\n"), "{said}");
}
