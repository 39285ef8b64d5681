//! What a shell offers when a key is pressed, asked of the shells themselves.

use hull_suites::{Hull, is_root, require};

/// The candidates a shell finds for a line, sorted, without what it says about them.
fn offered(hull: &Hull, shell: &str, line: &str) -> String {
    hull.write("line", line);
    let script = match shell {
        "bash" => BASH,
        "zsh" => ZSH,
        _ => FISH,
    };
    hull.write("ask", script);
    hull.write(".zshrc", ZSHRC);
    hull.ok(&format!("hull completion {shell} > script"));
    let mut words: Vec<String> = hull
        .ok(&format!("{shell} ask"))
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    words.sort();
    words.dedup();
    words.join(" ")
}

/// Bash's completion is a function that is called with the line.
const BASH: &str = r#"
. ./script
COMP_LINE=$(cat line; echo .); COMP_LINE=${COMP_LINE%.}
COMP_LINE=${COMP_LINE%$'\n'}
COMP_POINT=${#COMP_LINE}
compopt() { [[ $* == *default* ]] && echo FILES; :; }
_hull
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// Zsh completes only where somebody types: in a terminal. What it would show goes to a file.
const ZSH: &str = r#"
zmodload zsh/zpty
export ZDOTDIR=$PWD
rm -f ready found
until_there() {
    integer tries
    # What the shell echoes is read all the while, or it would wait for us.
    while [[ ! -s $1 ]] && (( tries++ < 400 )); do
        zpty -r -t shell >/dev/null 2>&1
        sleep 0.05
    done
}
zpty -b shell zsh -d -i
until_there ready
zpty -w -n shell "$(<line)"$'\t'
until_there found
zpty -d shell
cat found
"#;

/// What zsh reads when it starts. All candidates of one place come in one call.
const ZSHRC: &str = r#"
PS1=
autoload -U compinit
compinit -u -D
source ./script
_files() { print FILES >>found }
compadd() {
    local -a shown
    builtin compadd -A shown "$@"
    print -l -- $shown >>found
}
precmd() { print ready >ready }
"#;

/// Fish answers when asked.
const FISH: &str =
    "source script; complete -C (string collect <line) | string split -f1 \\t; true\n";

#[test]
fn bash_completes_verbs_options_and_values() {
    require!("bash");
    shell_completes("bash");
}

#[test]
fn zsh_completes_verbs_options_and_values() {
    require!("zsh");
    shell_completes("zsh");
}

#[test]
fn fish_completes_verbs_options_and_values() {
    require!("fish");
    shell_completes("fish");
}

fn shell_completes(shell: &str) {
    let hull = Hull::new();
    for (line, expected) in [
        ("hull rest", "restart"),
        ("hull volume ins", "inspect"),
        ("hull image p", "prune pull"),
        ("hull ps --no-t", "--no-trunc"),
        ("hull run --pull al", "always"),
        ("hull run --rm --network ho", "host"),
        ("hull save --format oci", "oci-archive"),
    ] {
        assert_eq!(offered(&hull, shell, line), expected, "{shell}: {line}");
    }
    assert!(!hull.root().exists(), "looking makes no installation");
    if !is_root() {
        return;
    }
    hull.ok("hull import \"$HULL_ROOTFS\" shop:1; hull tag shop:1 shop:2");
    hull.ok("hull create --name made shop:1 true; hull run -d --name runs shop:1 sleep 100");
    for (line, expected) in [
        ("hull start ", "made"),
        ("hull stop ", "runs"),
        ("hull rm ", "made runs"),
        ("hull run --name x sho", "shop:1 shop:2"),
    ] {
        assert_eq!(offered(&hull, shell, line), expected, "{shell}: {line}");
    }
}

#[test]
fn bash_goes_on_behind_a_colon() {
    require!("bash");
    if !is_root() {
        return;
    }
    let hull = Hull::new();
    hull.ok("hull import \"$HULL_ROOTFS\" shop:1; hull tag shop:1 shop:2");
    // What stands before the colon is a word of its own to bash, and is not replaced.
    assert_eq!(offered(&hull, "bash", "hull rmi shop:"), "1 2");
    assert_eq!(offered(&hull, "bash", "hull run --pull=mi"), "missing");
    assert_eq!(offered(&hull, "bash", "hull run shop:1 "), "FILES");
}

#[test]
fn pages_are_what_man_reads() {
    require!("man", "groff");
    let hull = Hull::new();
    hull.ok("mkdir -p man/man1; hull man man/man1");
    for (page, said) in [
        ("hull", "hull-volume-ls(1)"),
        ("hull-run", "--pids-limit"),
        ("hull-image-prune", "hull image prune"),
        ("hull-cp", "tar archive"),
    ] {
        let text = hull.ok(&format!(
            "MANPAGER=cat MANWIDTH=100 man --warnings -M man {page} 2>&1 | col -b"
        ));
        assert!(text.contains(said), "{page}: {text}");
        assert!(!text.contains("warning:"), "{page}: {text}");
    }
}
