//! `hull run`, as people who know docker type it: exit codes, the process, its files, its name.

use hull_suites::{Hull, Terminal, eventually, require};
use rustix::process::Signal;

#[test]
fn exit_codes_are_dockers() {
    let hull = Hull::with_busybox();
    for (words, code) in [
        ("busybox true", 0),
        ("busybox false", 1),
        ("busybox sh -c 'exit 3'", 3),
        ("--init busybox sh -c 'kill -TERM $$'", 143),
        ("--init busybox sh -c 'kill -KILL $$'", 137),
        // Process 1 is not ended by a signal it does not handle, as everywhere.
        ("busybox sh -c 'kill -TERM $$; exit 4'", 4),
        ("busybox nosuch", 127),
        ("busybox /nosuch", 127),
        ("busybox /etc", 126),
        ("busybox /etc/passwd", 126),
        ("--nosuch busybox true", 125),
        ("--pull never nosuch true", 125),
        ("--memory lots busybox true", 125),
        ("-u nobodyknows busybox true", 125),
        ("", 125),
    ] {
        hull.fails(code, &format!("hull run --rm --network none {words}"));
    }
}

#[test]
fn streams_are_the_callers() {
    let hull = Hull::with_busybox();
    let ran = hull.sh("hull run --rm busybox sh -c 'echo out; echo err >&2'");
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("out\n", "err\n"));
    assert_eq!(hull.ok("echo hi | hull run --rm -i busybox cat"), "hi");
    // Without -i nothing is read from the caller.
    assert_eq!(hull.ok("echo hi | hull run --rm busybox cat"), "");
    assert_eq!(
        hull.ok("head -c 3000000 /dev/urandom > in; hull run --rm -i busybox cat < in | cmp - in && echo same"),
        "same"
    );
    assert_eq!(
        hull.ok("hull run --rm busybox yes 2>/dev/null | head -n 2"),
        "y\ny"
    );
}

#[test]
fn environment_is_the_images_the_files_and_the_words() {
    let hull = Hull::with_busybox();
    hull.write("env", "# a comment\nA=from file\nB=2\n\nPASSED\nABSENT\n");
    hull.prints(&[
        ("-e A=1 -e B='x y' busybox sh -c 'echo $A,$B'", "1,x y"),
        (
            "--env-file env busybox sh -c 'echo $A,$B,${ABSENT-none}'",
            "from file,2,none",
        ),
        ("--env-file env -e A=word busybox sh -c 'echo $A'", "word"),
        (
            "busybox sh -c 'echo $PATH'",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        ("busybox sh -c 'echo $HOME'", "/root"),
        ("-u nobody busybox sh -c 'echo $HOME'", "/home"),
        ("-h box busybox sh -c 'echo $HOSTNAME'", "box"),
        (
            "busybox sh -c 'echo ${HULL_ROOT-unset}${T-unset}'",
            "unsetunset",
        ),
    ]);
    assert_eq!(
        hull.ok("PASSED=on hull run --rm -e PASSED --env-file env busybox sh -c 'echo $PASSED'"),
        "on"
    );
}

#[test]
fn user_is_found_by_name_and_number() {
    let hull = Hull::with_busybox();
    hull.prints(&[
        ("busybox id -u", "0"),
        ("-u nobody busybox sh -c 'id -u; id -g'", "65534\n65534"),
        ("-u 1000 busybox sh -c 'id -u; id -g'", "1000\n0"),
        ("-u 1000:50 busybox sh -c 'id -u; id -g'", "1000\n50"),
        ("-u nobody:staff busybox sh -c 'id -u; id -g'", "65534\n50"),
        (
            "-u 1000 --group-add staff --group-add 777 busybox id -G",
            "0 50 777",
        ),
        ("-w /tmp busybox pwd", "/tmp"),
        ("-w /made/here busybox pwd", "/made/here"),
    ]);
}

#[test]
fn names_of_the_host_and_the_container() {
    let hull = Hull::with_busybox();
    hull.prints(&[
        ("-h box busybox hostname", "box"),
        ("-h box busybox cat /etc/hostname", "box"),
        (
            "--domainname dom busybox cat /proc/sys/kernel/domainname",
            "dom",
        ),
    ]);
    let id = hull.ok("hull run -d --name web --cidfile cid busybox sleep 1000");
    assert_eq!(id.len(), 64);
    assert_eq!(hull.ok("cat cid"), id);
    assert_eq!(hull.ok("hull ps -q --no-trunc"), id);
    assert_eq!(hull.ok("hull exec web hostname"), id[..12]);
    assert!(
        hull.fails(125, "hull run --rm --cidfile cid busybox true")
            .contains("cid")
    );
    assert!(
        hull.fails(125, "hull run --rm --name web busybox true")
            .contains("`web`")
    );
    for asked in ["web", &id, &id[..12], &id[..4]] {
        assert_eq!(
            hull.ok(&format!("hull inspect --format '{{{{.Name}}}}' {asked}")),
            "/web"
        );
    }
}

#[test]
fn volumes_binds_and_tmpfs() {
    let hull = Hull::with_busybox();
    hull.write("d/f", "content");
    hull.prints(
        &[
            ("-v $T/d:/d busybox cat /d/f", "content"),
            ("-v ./d:/d busybox cat /d/f", "content"),
            (
                "-v $T/d:/d:ro busybox sh -c 'touch /d/g 2>/dev/null || echo refused'",
                "refused",
            ),
            (
                "--mount type=bind,source=$T/d,target=/d,readonly busybox sh -c 'touch /d/g 2>/dev/null || echo refused'",
                "refused",
            ),
            ("-v $T/d/f:/etc/one busybox cat /etc/one", "content"),
            ("-v $T/d:/a/b/c busybox cat /a/b/c/f", "content"),
            (
                "--tmpfs /t busybox sh -c 'grep \" /t \" /proc/mounts | cut -d\" \" -f3; touch /t/x && echo ok'",
                "tmpfs\nok",
            ),
            (
                "--tmpfs /t:size=1m busybox sh -c 'dd if=/dev/zero of=/t/x bs=1M count=2 2>/dev/null || echo full'",
                "full",
            ),
            (
                "--mount type=tmpfs,target=/t,tmpfs-size=1m busybox sh -c 'df -k /t | tail -n 1 | tr -s \" \" | cut -d\" \" -f2'",
                "1024",
            ),
            (
                "--tmpfs /t:exec,suid,dev,noatime,uid=5,mode=711 busybox sh -c 'grep \" /t \" /proc/mounts | cut -d\" \" -f4 | cut -d, -f1-3; stat -c %u:%a /t'",
                "rw,relatime,mode=711\n5:711",
            ),
            (
                "--mount type=bind,source=$T/d,target=/d,ro,bind-recursive=disabled busybox cat /d/f",
                "content",
            ),
            (
                "--read-only busybox sh -c 'touch /x 2>/dev/null || echo refused'",
                "refused",
            ),
            (
                "--read-only --tmpfs /tmp busybox sh -c 'touch /tmp/x && echo ok'",
                "ok",
            ),
        ],
    );
    // What root in the container writes into a bound directory is root's outside as well: the mount is id-mapped.
    hull.ok("hull run --rm -v $T/d:/d busybox touch /d/made");
    assert_eq!(hull.ok("stat -c %u d/made"), "0");
    // A missing source of -v is made; of --mount it is an error.
    hull.ok("hull run --rm -v $T/new:/d busybox touch /d/x && test -f new/x");
    hull.fails(
        125,
        "hull run --rm --mount type=bind,source=$T/absent,target=/d busybox true",
    );
    // Named volumes live on.
    hull.ok("hull run --rm -v data:/d busybox sh -c 'echo kept > /d/f'");
    assert_eq!(hull.ok("hull run --rm -v data:/d busybox cat /d/f"), "kept");
}

#[test]
fn labels_annotations_and_what_inspect_says_of_them() {
    let hull = Hull::with_busybox();
    hull.write("labels", "c=3\n# no\nd=\n");
    hull.ok(
        "hull create --name x -l a=1 -l b --label-file labels --annotation an.no=tate busybox true",
    );
    assert_eq!(
        hull.ok("hull inspect -f '{{json .Config.Labels}}' x"),
        r#"{"a":"1","b":"","c":"3","d":""}"#
    );
    assert_eq!(hull.ok("hull ps -a -q --filter label=a=1 | wc -l"), "1");
    assert_eq!(hull.ok("hull ps -a -q --filter label=a=2 | wc -l"), "0");
    assert_eq!(hull.state("x"), "created");
}

#[test]
fn init_reaps_and_passes_signals_on() {
    let hull = Hull::with_busybox();
    hull.prints(&[
        ("busybox sh -c 'echo $$'", "1"),
        ("--init busybox sh -c '[ $$ != 1 ] && echo other'", "other"),
    ]);
    let zombies = hull.sh(
        "hull run --rm --init busybox sh -c 'for i in 1 2 3; do (sleep 0.05 &); done; sleep 0.4; ps -o stat | grep -c Z'",
    );
    assert_eq!(zombies.out.trim(), "0", "{}", zombies.text());
    hull.ok("hull run -d --init --name x busybox sh -c 'trap \"exit 9\" TERM; while :; do sleep 0.05; done'");
    // Nothing of whoever started it: neither its words nor its environment.
    let shown =
        hull.ok("hull exec x sh -c 'tr \"\\0\" \" \" < /proc/1/cmdline; echo; cat /proc/1/comm'");
    let (words, name) = shown.split_once('\n').unwrap();
    assert!(
        "hull-init -- sh -c trap ".starts_with(words.trim_end()),
        "{shown}"
    );
    assert_eq!(name, "hull-init");
    hull.fails(1, "hull exec x cat /proc/1/environ");
    let words = hull.ok("hull run --rm --init busybox head -c 30 /proc/1/cmdline | tr '\\0' ' '");
    assert_eq!(words, "hull-init -- head -c 30 /proc/");
    hull.ok("hull stop x");
    assert_eq!(hull.ok("hull inspect -f '{{.State.ExitCode}}' x"), "9");
}

#[test]
fn foreground_run_is_the_monitor_and_its_signals_are_the_containers() {
    let hull = Hull::with_busybox();
    for (signal, code) in [(Signal::TERM, 31), (Signal::INT, 32), (Signal::HUP, 33)] {
        let child = hull.spawn(
            "exec hull run --rm --name x busybox sh -c \
             'trap \"exit 31\" TERM; trap \"exit 32\" INT; trap \"exit 33\" HUP; echo up > /ready; while :; do sleep 0.05; done'",
        );
        eventually("the container is up", || {
            hull.sh("hull exec x test -f /ready").code == 0
        });
        assert_eq!(hull.monitor("x"), child.id());
        child.signal(signal);
        assert_eq!(child.wait().code, code);
        hull.assert_nothing_left();
    }
}

#[test]
fn detached_container_leaves_no_output_open() {
    let hull = Hull::with_busybox();
    // The shell's `$( )` ends only when nobody keeps the pipe.
    let id = hull.ok("id=$(hull run -d busybox sleep 1000 2>&1); echo $id");
    assert_eq!(
        hull.ok(&format!("hull inspect -f '{{{{.State.Running}}}}' {id}")),
        "true"
    );
    assert_eq!(hull.ok(&format!("hull kill {id}")), id);
    assert_eq!(hull.ok(&format!("hull wait {id}")), "137");
}

#[test]
fn terminal_has_a_size_that_follows_and_detach_keys() {
    let hull = Hull::with_busybox();
    let mut terminal = Terminal::start(
        &hull,
        "hull run -it --rm --name x busybox sh -c 'stty size; tty; echo $TERM; read line; stty size; exit 5'; echo over=$?",
    );
    terminal.expect("24 80\r\n/dev/pts/0\r\nxterm\r\n");
    terminal.resize(40, 100);
    eventually("the size has changed", || {
        hull.sh("hull exec x sh -c 'stty size < /dev/pts/0'").out == "40 100\n"
    });
    terminal.send("\n");
    terminal.expect("40 100\r\n");
    terminal.expect("over=5");

    let mut terminal = Terminal::start(
        &hull,
        "hull run -it --name y --detach-keys ctrl-a,d busybox sh -c 'echo up; while read line; do [ $line = end ] && exit 7; echo $line $line; done'; echo over=$?",
    );
    terminal.expect("up");
    terminal.send("\u{1}d");
    terminal.expect("over=0");
    assert_eq!(hull.state("y"), "running");
    let mut terminal = Terminal::start(&hull, "hull attach y; echo over=$?");
    terminal.send("again\n");
    terminal.expect("again again\r\n");
    terminal.send("\u{10}\u{11}");
    terminal.expect("over=0");
    assert_eq!(hull.state("y"), "running");
    let mut terminal = Terminal::start(&hull, "hull attach y; echo over=$?");
    terminal.send("end\n");
    terminal.expect("over=7");
}

#[test]
fn terminal_is_what_it_seems() {
    let hull = Hull::with_busybox();
    // A terminal joins the streams and turns line ends into those of a terminal; -t works without one on this side.
    assert_eq!(
        hull.ok("hull run --rm -t busybox sh -c 'test -t 1 && echo tty; echo err >&2' | od -c | head -n 1"),
        "0000000   t   t   y  \\r  \\n   e   r   r  \\r  \\n"
    );
    hull.fails(1, "hull run --rm busybox test -t 1");
    // -i with -t and no terminal here: docker refuses.
    let ran = hull.sh("echo x | hull run --rm -it busybox cat");
    assert_ne!(ran.code, 0, "{}", ran.text());
}

#[test]
fn end_of_input_typed_ahead_is_an_end() {
    require!("script");
    let hull = Hull::with_busybox();
    // `script` types the end of its own input at once, before the terminal is taken over.
    let ran = hull.ok("script -qec \"hull run --rm -it --network none busybox sh -c 'cat; echo over'\" /dev/null < /dev/null");
    assert_eq!(ran.trim_end(), "over");
}

#[test]
fn kernels_that_take_no_descriptors_make_the_same_root() {
    require!("gcc");
    let hull = Hull::with_busybox().with_older_kernel();
    let look = "exec 2>&1; ls -an / | grep -v proc; cat /proc/self/uid_map | tr -s ' ' | cut -d' ' -f2,4; touch /new; mv /etc/os-release /etc/moved; chmod 700 /bin; df /dev | tail -n 1; wc -l < /proc/self/mountinfo";
    for options in [
        "busybox",
        "--userns host busybox",
        "--read-only -v v:/v --tmpfs /t busybox",
        "@host --",
    ] {
        let line = format!(
            "hull run --rm --network none {options} sh -c \"{look}\" 2>&1 | sed -E 's/[0-9]{{2}}:[0-9]{{2}}|[0-9]+%//'"
        );
        assert_eq!(
            hull.ok(&format!("./older {line}")),
            hull.ok(&line),
            "{options}"
        );
    }
    hull.ok("./older hull run --name x --network none -v v:/v busybox sh -c 'mv /etc /moved; echo in > /v/f'");
    assert_eq!(hull.ok("./older hull diff x"), hull.ok("hull diff x"));
    hull.ok("./older hull cp x:/moved/passwd p && ./older hull cp x:/v/f f && ./older hull commit x made");
    assert_eq!(hull.ok("cat f; grep -c root p"), "in\n1");
    assert_eq!(
        hull.ok("./older hull run --rm --network none made ls /moved/passwd"),
        "/moved/passwd"
    );
    assert_eq!(
        hull.ok("./older hull export x | tar -t | sort"),
        hull.ok("hull export x | tar -t | sort")
    );
    assert_eq!(
        hull.ok("./older hull doctor | grep -v disk"),
        hull.ok("hull doctor | grep -v disk")
    );
}

#[test]
fn image_configuration_is_honoured() {
    let hull = Hull::new();
    hull_suites::OciLayout::default()
        .busybox()
        .layer(&[
            hull_suites::Entry::dir("data").mode(0o750).owner(1000, 50),
            hull_suites::Entry::file("data/seed", "seeded").owner(1000, 50),
        ])
        .config(serde_json::json!({
            "Entrypoint": ["echo", "entry"], "Cmd": ["cmd"], "Env": ["FROM=image", "PATH=/bin"],
            "User": "nobody:staff", "WorkingDir": "/work/deep", "Volumes": {"/data": {}},
            "StopSignal": "SIGUSR1", "Labels": {"of": "image"}, "ExposedPorts": {"80/tcp": {}}
        }))
        .write(&hull.dir().join("oci"), "shop:1");
    hull.ok("hull load -i oci");
    hull.prints(
        &[
            ("shop:1", "entry cmd"),
            ("shop:1 other words", "entry other words"),
            ("--entrypoint pwd shop:1", "/work/deep"),
            (
                "--entrypoint sh shop:1 -c 'echo $FROM; id -u; id -g'",
                "image\n65534\n50",
            ),
            (
                "--entrypoint sh shop:1 -c 'stat -c %u:%g:%a /data; cat /data/seed 2>/dev/null || echo not mine'",
                "1000:50:750\nseeded",
            ),
            ("--entrypoint '' shop:1 echo plain", "plain"),
        ],
    );
    hull.ok("hull run -d --name x -l of=words -l and=more --entrypoint sh shop:1 -c 'trap \"exit 10\" USR1; while :; do sleep 0.05; done'");
    assert_eq!(
        hull.ok("hull inspect -f '{{json .Config.Labels}}' x"),
        r#"{"and":"more","of":"words"}"#
    );
    assert_eq!(
        hull.ok("hull inspect -f '{{json .Config.ExposedPorts}}' x"),
        r#"{"80/tcp":{}}"#
    );
    hull.ok("hull stop x");
    assert_eq!(hull.ok("hull inspect -f '{{.State.ExitCode}}' x"), "10");
    // Anonymous volumes go with -v.
    assert_eq!(hull.ok("ls $HULL_ROOT/volumes | wc -l"), "1");
    hull.ok("hull rm -v x");
    assert_eq!(hull.ok("ls $HULL_ROOT/volumes | wc -l"), "0");
}

#[test]
fn host_image_shows_the_host_and_keeps_its_secrets() {
    let hull = Hull::new();
    assert_eq!(
        hull.ok("hull run --rm @host -- cat /etc/os-release"),
        hull.ok("cat /etc/os-release")
    );
    let refused = hull.sh("hull run --rm @host -- cat /etc/shadow");
    assert_ne!(refused.code, 0);
    assert!(
        refused.err.contains("Permission denied"),
        "{}",
        refused.text()
    );
    assert_eq!(
        hull.ok("hull run --rm @host -- sh -c 'echo x > /tmp/made && cat /tmp/made; touch /etc/x 2>/dev/null || echo refused; ls /root /home | wc -l'"),
        "x\nrefused\n3"
    );
    assert!(!std::path::Path::new("/tmp/made").exists());
    assert!(!hull.root().exists(), "nothing is left afterwards");
}

#[test]
fn users_have_their_primary_group_among_their_groups() {
    let hull = Hull::with_busybox();
    for (options, groups) in [("-u 1000", "0"), ("-u 1000:5 --group-add 7", "5 7")] {
        assert_eq!(
            hull.ok(&format!(
                "hull run --rm --network none {options} busybox awk '/^Groups/ {{$1 = \"\"; print}}' /proc/self/status | xargs"
            )),
            groups
        );
    }
}
