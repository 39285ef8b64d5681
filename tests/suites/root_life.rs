//! A container's life from the outside: stop, kill, pause, restart, exec, attach, logs, files, and what lists say of it.

use hull_suites::{Hull, Terminal, eventually};

/// Ends with 9 when asked to, and says when it is ready to be asked.
const POLITE: &str = "sh -c 'trap \"exit 9\" TERM; echo up; while :; do sleep 0.05; done'";

#[track_caller]
fn exit_code(hull: &Hull, name: &str) -> String {
    hull.ok(&format!("hull inspect -f '{{{{.State.ExitCode}}}}' {name}"))
}

#[track_caller]
fn wait_for_output(hull: &Hull, name: &str) {
    eventually("it has written", || {
        !hull.sh(&format!("hull logs {name}")).out.is_empty()
    });
}

#[test]
fn stop_asks_first_and_then_kills() {
    let hull = Hull::with_busybox();
    hull.ok(&format!("hull run -d --name polite busybox {POLITE}"));
    wait_for_output(&hull, "polite");
    assert_eq!(hull.ok("hull stop polite"), "polite");
    assert_eq!(
        (
            hull.state("polite").as_str(),
            exit_code(&hull, "polite").as_str()
        ),
        ("exited", "9")
    );
    hull.ok("hull run -d --name deaf --stop-timeout 1 busybox sh -c 'trap \"\" TERM; echo up; while :; do sleep 0.05; done'");
    wait_for_output(&hull, "deaf");
    hull.ok("hull stop deaf");
    assert_eq!(exit_code(&hull, "deaf"), "137");
    // Stopping what has stopped is no error, stopping what is not there is one.
    hull.ok("hull stop polite");
    assert!(hull.fails(1, "hull stop nosuch").contains("`nosuch`"));
}

#[test]
fn kill_wait_and_restart() {
    let hull = Hull::with_busybox();
    hull.ok(&format!("hull run -d --name x busybox {POLITE}"));
    wait_for_output(&hull, "x");
    let waiting = hull.spawn("hull wait x");
    hull.ok("hull kill -s TERM x");
    assert_eq!(waiting.wait().out, "9\n");
    hull.fails(1, "hull kill x");
    hull.ok("hull start x");
    let first = hull.pid("x");
    hull.ok("hull restart -t 5 x");
    assert_ne!(hull.pid("x"), first);
    assert_eq!(hull.state("x"), "running");
    hull.ok("hull kill x");
    assert_eq!(hull.ok("hull wait x"), "137");
    assert_eq!(hull.ok("hull inspect -f '{{.RestartCount}}' x"), "0");
}

#[test]
fn killed_means_ended() {
    let hull = Hull::with_busybox();
    for _ in 0..10 {
        // Nobody has to wait between the two, as with docker.
        hull.ok(
            "hull run -d --name x --network none busybox sleep 1000 && hull kill x && hull rm x",
        );
    }
    hull.ok(
        "hull run -d --name x --network none busybox sleep 1000 && hull pause x && hull kill x",
    );
    assert_eq!(hull.state("x"), "exited");
}

#[test]
fn pause_stops_time_and_unpause_goes_on() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name x busybox sh -c 'while :; do echo tick; sleep 0.02; done'");
    wait_for_output(&hull, "x");
    hull.ok("hull pause x");
    assert_eq!(hull.state("x"), "paused");
    let lines = || hull.ok("hull logs x | wc -l");
    std::thread::sleep(std::time::Duration::from_millis(100));
    let before = lines();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(lines(), before);
    hull.fails(1, "hull pause x");
    hull.ok("hull unpause x");
    assert_eq!(hull.state("x"), "running");
    eventually("it goes on", || lines() != before);
    hull.ok("hull pause x");
    // What is frozen can still be ended.
    hull.ok("hull rm -f x");
    hull.assert_nothing_left();
}

#[test]
fn rm_and_rename() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name x busybox sleep 1000");
    assert!(hull.fails(1, "hull rm x").contains("running"));
    hull.ok("hull rename x y");
    hull.fails(1, "hull inspect x");
    assert_eq!(hull.ok("hull ps --format '{{.Names}}'"), "y");
    hull.ok("hull create --name x busybox true");
    assert!(hull.fails(1, "hull rename y x").contains("`x`"));
    assert_eq!(hull.ok("hull rm -f x y"), "x\ny");
    hull.assert_nothing_left();
    hull.fails(1, "hull rm nosuch");
}

#[test]
fn exec_runs_beside_and_answers_with_its_own_code() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name x -e FROM=run busybox sleep 1000");
    assert_eq!(
        hull.ok("hull exec -e A=1 -w /tmp -u 1000:50 x sh -c 'echo $A $FROM; pwd; id -u; id -g'"),
        "1 run\n/tmp\n1000\n50"
    );
    assert_eq!(hull.ok("echo hi | hull exec -i x cat"), "hi");
    hull.fails(3, "hull exec x sh -c 'exit 3'");
    hull.fails(127, "hull exec x nosuch");
    hull.fails(126, "hull exec x /etc/passwd");
    hull.fails(143, "hull exec x sh -c 'kill -TERM $$'");
    hull.ok("hull exec -d x sh -c 'sleep 0.1; echo done > /done'");
    eventually("the detached command has run", || {
        hull.sh("hull exec x cat /done").out == "done\n"
    });
    let mut terminal = Terminal::start(
        &hull,
        "hull exec -it x sh -c 'tty; stty size; read x; exit 4'; echo over=$?",
    );
    terminal.expect("/dev/pts/");
    terminal.expect("24 80");
    terminal.send("\n");
    terminal.expect("over=4");
    hull.ok("hull kill x");
    assert_ne!(hull.sh("hull exec x true").code, 0);
}

#[test]
fn clients_come_and_go_and_the_container_stays() {
    let hull = Hull::with_busybox();
    let mut terminal = Terminal::start(
        &hull,
        "exec hull run -it --name x busybox sh -c 'echo up; sleep 1000'",
    );
    terminal.expect("up");
    terminal.kill();
    assert_eq!(
        hull.state("x"),
        "running",
        "{}",
        hull.ok("hull inspect -f '{{json .State}}' x")
    );
    for line in [
        "exec hull attach x",
        "exec hull logs -f x",
        "exec hull exec x sleep 1000",
        "exec hull wait x",
    ] {
        let client = hull.spawn(line);
        std::thread::sleep(std::time::Duration::from_millis(150));
        client.signal(rustix::process::Signal::KILL);
        client.wait();
        assert_eq!(hull.state("x"), "running", "{line}");
    }
    hull.ok("hull exec x true");
}

/// Says whether such a process is in the container.
fn runs(hull: &Hull, container: &str, words: &str) -> bool {
    let top = hull.ok(&format!("hull top {container}"));
    top.lines().any(|line| line.ends_with(words))
}

#[test]
fn keys_leave_a_command_of_exec_and_it_goes_on() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name x --network none busybox sleep 1000");
    // The client is the leader of its terminal's session, with whose end the kernel hangs up on whoever is still in it.
    for round in 0..6 {
        let mut terminal = Terminal::start(
            &hull,
            &format!(
                "exec hull exec -it x sh -c 'echo up; read x; seq 1 20000; touch /left{round}; exec sleep 200{round}'"
            ),
        );
        terminal.expect("up");
        terminal.send("go\n\x10\x11");
        let left = terminal.wait();
        assert_eq!(left.code, 0, "{}", left.text());
        eventually("somebody reads what it writes", || {
            hull.sh(&format!("hull exec x test -e /left{round}")).code == 0
        });
    }
    for round in 0..6 {
        assert!(runs(&hull, "x", &format!("sleep 200{round}")), "{round}");
    }
    hull.ok("hull rm -f x");
    hull.assert_nothing_left();
}

#[test]
fn client_of_exec_that_is_killed_takes_its_command_along_and_nothing_else() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name x --network none busybox sleep 1000");
    let on_a_terminal = |script: &str| {
        let mut terminal =
            Terminal::start(&hull, &format!("exec hull exec -it x sh -c '{script}'"));
        terminal.expect("up");
        terminal.kill();
    };
    hull.ok("hull exec -d x sleep 2001");
    on_a_terminal("echo up; exec sleep 2002");
    on_a_terminal("trap \"\" HUP; echo up; exec sleep 2003");
    let client = hull.spawn("exec hull exec x sleep 2004");
    eventually("it runs", || runs(&hull, "x", "sleep 2004"));
    client.signal(rustix::process::Signal::KILL);
    client.wait();
    for gone in ["sleep 2002", "sleep 2004"] {
        eventually("the command has ended", || !runs(&hull, "x", gone));
    }
    for kept in ["sleep 1000", "sleep 2001", "sleep 2003"] {
        assert!(runs(&hull, "x", kept), "{kept}");
    }
    assert_eq!(hull.state("x"), "running");
    hull.ok("hull exec x true && hull rm -f x");
    hull.assert_nothing_left();
}

#[test]
fn attach_without_a_terminal_sees_output_and_ends_with_the_container() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d -i --name x busybox cat");
    // As with docker, one client's end of input does not end the container's: it was started without one.
    let client = hull.spawn("echo typed | exec hull attach x");
    eventually("it was echoed", || hull.sh("hull logs x").out == "typed\n");
    assert_eq!(hull.state("x"), "running");
    hull.ok("hull kill x");
    let ran = client.wait();
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (137, "typed\n"),
        "{}",
        ran.text()
    );
}

#[test]
fn logs_are_shown_from_any_end() {
    let hull = Hull::with_busybox();
    hull.ok(
        "hull run -d --name x busybox sh -c 'for i in 1 2 3 4 5; do echo $i; done; echo e >&2'",
    );
    hull.ok("hull wait x");
    assert_eq!(hull.ok("hull logs x 2>/dev/null"), "1\n2\n3\n4\n5");
    assert_eq!(hull.ok("hull logs x 2>&1 >/dev/null"), "e");
    assert_eq!(hull.ok("hull logs --tail 2 x 2>&1 | sort"), "5\ne");
    assert_eq!(hull.ok("hull logs --tail 0 x 2>&1"), "");
    assert_eq!(hull.ok("hull logs --since 1h x 2>/dev/null | wc -l"), "5");
    assert_eq!(hull.ok("hull logs --until 1h x 2>&1"), "");
    let stamped = hull.ok("hull logs -t --tail 2 x 2>/dev/null");
    assert!(stamped.contains("Z 5"), "{stamped}");
    hull.ok("hull run -d --name y busybox sh -c 'while :; do echo tick; sleep 0.02; done'");
    assert_eq!(
        hull.ok("timeout 20 hull logs -f y | head -n 5 | wc -l"),
        "5"
    );
    let following = hull.spawn("hull logs -f y");
    std::thread::sleep(std::time::Duration::from_millis(100));
    hull.ok("hull rm -f y");
    assert_eq!(
        following.wait().code,
        0,
        "following ends with the container"
    );
}

#[test]
fn rotation_loses_the_oldest_and_nothing_else() {
    let hull = Hull::with_busybox();
    hull.ok("hull run --rm=false --name x --network none --log-opt max-size=64k --log-opt max-file=3 busybox seq 1 60000 > all");
    assert_eq!(hull.ok("wc -l < all"), "60000");
    hull.ok("hull logs x > kept");
    let kept = hull.ok("wc -l < kept");
    let kept: u32 = kept.parse().unwrap();
    assert!((2000..60000).contains(&kept), "{kept}");
    assert_eq!(
        hull.ok(&format!("tail -n {kept} all | cmp - kept && echo same")),
        "same"
    );
    let size: u64 = hull
        .ok("du -cb $HULL_ROOT/pods/*/0.log* | tail -n 1 | cut -f1")
        .parse()
        .unwrap();
    assert!(size <= 3 * 65_536 + 4096, "{size}");
}

#[test]
fn long_and_torn_lines_come_out_whole() {
    let hull = Hull::with_busybox();
    hull.ok("hull run --name x --network none busybox sh -c 'head -c 100000 /dev/zero | tr \"\\0\" a; echo; printf half; sleep 0.1; printf \" and half\\nlast\"' > all");
    hull.ok("hull logs x > logged");
    assert_eq!(hull.ok("cmp all logged && echo same"), "same");
}

#[test]
fn slow_reader_loses_nothing() {
    let hull = Hull::with_busybox();
    assert_eq!(
        hull.ok("hull run --rm --network none busybox seq 1 100000 | (sleep 11; wc -l)"),
        "100000"
    );
}

#[test]
fn files_go_in_and_out() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name x busybox sleep 1000");
    hull.write("f", "from outside");
    hull.ok("hull cp f x:/tmp/g");
    assert_eq!(hull.ok("hull exec x cat /tmp/g"), "from outside");
    hull.ok("hull exec x sh -c 'mkdir /tmp/d; echo in > /tmp/d/e; ln -s /etc/passwd /tmp/l; rm /etc/os-release'");
    hull.ok("hull cp x:/tmp/d out && hull cp x:/tmp/d/e -  | tar -x -O > e");
    assert_eq!(hull.ok("cat out/e e"), "in\nin");
    let diff = hull.ok("hull diff x");
    for line in [
        "A /tmp/d",
        "A /tmp/d/e",
        "A /tmp/l",
        "D /etc/os-release",
        "C /etc",
    ] {
        assert!(
            diff.lines().any(|changed| changed == line),
            "{line} not in\n{diff}"
        );
    }
    hull.ok("hull commit -c 'CMD [\"cat\", \"/tmp/g\"]' x made:1");
    assert_eq!(
        hull.ok("hull run --rm --network none made:1"),
        "from outside"
    );
    hull.fails(
        1,
        "hull run --rm --network none made:1 test -e /etc/os-release",
    );
    assert_eq!(
        hull.ok("hull export x | tar -t | grep -c -E '^(\\./)?tmp/(d/e|g|l)$'"),
        "3"
    );
}

#[test]
fn lists_tell_and_templates_choose() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name a -l kind=one busybox sleep 1000");
    hull.ok("hull create --name b busybox true");
    hull.fails(3, "hull run --name c --network none busybox sh -c 'exit 3'");
    assert_eq!(hull.ok("hull ps --format '{{.Names}}'"), "a");
    assert_eq!(
        hull.ok("hull ps -a --format '{{.Names}}' | sort | tr '\\n' ' '"),
        "a b c "
    );
    for (filter, names) in [
        ("status=exited", "c"),
        ("status=created", "b"),
        ("exited=3", "c"),
        ("label=kind", "a"),
        ("name=b", "b"),
    ] {
        assert_eq!(
            hull.ok(&format!(
                "hull ps -a --filter {filter} --format '{{{{.Names}}}}'"
            )),
            names
        );
    }
    assert_eq!(
        hull.ok("hull ps -a --format json | jq -r .Names | sort | tr '\\n' ' '"),
        "a b c "
    );
    assert!(hull.ok("hull ps -a").starts_with("CONTAINER ID"));
    assert_eq!(
        hull.ok("hull ps --format '{{.Names}} {{.Label \"kind\"}}{{.Label \"no\"}}'"),
        "a one"
    );
    assert_eq!(
        hull.ok("hull ps --format 'table {{.Names}}\\t{{.Label \"kind\"}}' | head -n 1"),
        "NAMES     kind"
    );
    // Docker's templates that people have in their scripts.
    for (template, value) in [
        (
            "{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}",
            "none",
        ),
        (
            "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
            "",
        ),
        ("{{.NetworkSettings.Networks.bridge.IPAddress}}", ""),
        (
            "{{.HostConfig.LogConfig.Type}} {{.HostConfig.RestartPolicy.Name}}",
            "cri no",
        ),
        (
            "{{len .HostConfig.MaskedPaths}} {{.HostConfig.SecurityOpt}}",
            "12 []",
        ),
        (
            "{{.Config.StopTimeout}} {{.HostConfig.CgroupnsMode}}",
            "<no value> private",
        ),
    ] {
        let line = format!("hull inspect -f '{template}' b");
        assert_eq!(hull.ok(&line), value, "{line}");
    }
    let own = hull.ok("hull version --format '{{.Version}}'");
    assert_eq!(
        hull.ok("hull version --format '{{.Client.Version}} {{.Server.Version}}'"),
        format!("{own} {own}")
    );
    assert!(hull.ok("hull top a").contains("sleep 1000"));
    assert_eq!(
        hull.ok("hull inspect -f '{{.State.Running}} {{.Config.Image}}' a"),
        "true busybox"
    );
    assert_eq!(
        hull.ok("hull inspect a b | jq -r '.[].Name' | tr '\\n' ' '"),
        "/a /b "
    );
    for line in [
        "hull version",
        "hull info",
        "hull info --format json | jq .",
        "hull doctor",
        "hull completion bash",
    ] {
        assert!(!hull.ok(line).is_empty(), "{line}");
    }
    assert!(hull.ok("hull prune -f").contains('b'));
    assert_eq!(hull.ok("hull ps -a --format '{{.Names}}'"), "a");
}

#[test]
fn gc_removes_only_what_no_record_names() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --name a busybox sleep 1000 && hull create --name b busybox true");
    hull.ok("hull gc");
    assert_eq!(hull.ok("hull ps -aq | wc -l"), "2");
    assert_eq!(hull.state("a"), "running");
    hull.ok("hull start b && hull exec a true && hull run --rm --network none busybox true");
}

#[test]
fn restart_keeps_what_would_be_removed_at_its_end() {
    let hull = Hull::with_busybox();
    hull.ok("hull run -d --rm --name x -v /data busybox sh -c 'date +%N >> /data/starts; exec sleep 1000'");
    eventually("the app has written", || {
        hull.sh("hull exec x test -s /data/starts").code == 0
    });
    let first = hull.pid("x");
    hull.ok("hull restart -t 0 x");
    assert_eq!(hull.state("x"), "running");
    assert_ne!(hull.pid("x"), first);
    eventually("the volume is the same", || {
        hull.ok("hull exec x wc -l /data/starts").starts_with('2')
    });
    hull.ok("hull gc");
    hull.ok("hull stop -t 0 x");
    eventually("it is gone", || hull.ok("hull ps -a -q").is_empty());
    assert_eq!(hull.ok("ls $HULL_ROOT/volumes"), "");
}

#[test]
fn volume_takes_what_its_first_containers_image_has() {
    let hull = Hull::with_busybox();
    hull.ok("hull volume create early && hull run --rm --network none -v early:/etc busybox ls /etc/passwd");
    // Only once: what is in use belongs to its users.
    hull.ok("hull run --rm --network none -v early:/mnt busybox sh -c 'rm -r /mnt/*'");
    assert_eq!(
        hull.ok("hull run --rm --network none -v early:/etc busybox ls /etc/passwd || echo gone"),
        "gone"
    );
    // Read-only from the start: the files that every container gets have places all the same.
    assert_eq!(
        hull.ok("hull run --rm --network none -h box -v conf:/etc:ro busybox sh -c 'cat /etc/hostname; touch /etc/x || echo refused'"),
        "box\nrefused"
    );
    // Several at once fill it once.
    hull.ok("hull volume create crowd; for i in $(seq 8); do hull run --rm --network none -v crowd:/etc busybox cat /etc/passwd > $i.txt & done; wait; for i in $(seq 8); do cmp 1.txt $i.txt; done; test -s 1.txt");
    assert_eq!(hull.ok("ls $HULL_ROOT/volumes/crowd"), "data\nvolume.json");
    hull.ok("hull volume rm early conf crowd");
}

#[test]
fn lists_and_inspect_say_what_is_mounted_and_published() {
    let hull = Hull::with_busybox();
    hull.ok("mkdir d && hull run -d --name web -v named:/n -v /anonymous -v $PWD/d:/d --tmpfs /t -p 8181:80 --expose 90 busybox sleep 1000");
    let rows = hull.ok("hull ps --no-trunc --format '{{.Mounts}} {{.LocalVolumes}}'");
    let dir = hull.dir().join("d").display().to_string();
    assert!(
        rows.contains("named,") && rows.contains(&dir) && rows.ends_with(" 2"),
        "{rows}"
    );
    for (filter, found) in [
        ("publish=8181", 1),
        ("publish=8000-9000/tcp", 1),
        ("publish=80", 0),
        ("publish=8181/udp", 0),
        ("expose=80", 1),
        ("expose=85-95", 1),
        ("expose=8181", 0),
    ] {
        assert_eq!(
            hull.ok(&format!("hull ps -q --filter {filter} | wc -l")),
            found.to_string(),
            "{filter}"
        );
    }
    assert_eq!(
        hull.ok("hull inspect -f '{{range .Mounts}}{{println .Type .Driver .Destination}}{{end}}' web | grep . | sort"),
        "bind  /d\ntmpfs  /t\nvolume local /anonymous\nvolume local /n"
    );
    assert_eq!(hull.ok("hull inspect -f '{{.Name}}' named"), "named");
    assert_eq!(
        hull.ok("hull inspect --type volume -f '{{.Scope}}' named"),
        "local"
    );
    hull.fails(1, "hull inspect --type volume web");
    hull.fails(1, "hull inspect nosuch");
    hull.ok("hull rm -f -v web && hull volume rm named");
}
