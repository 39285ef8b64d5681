use std::{collections::BTreeMap, io, path::Path};

use clap::{CommandFactory, FromArgMatches};
use hull_engine::request::RunRequest;
use serde_json::Value;

use super::{
    Exec, Run, Stop,
    options::{Caller, Meant},
    parse,
};
use crate::{Failure, UsageError, usage::from_clap};

/// Reads words as a shell would split them: at blanks, with single quotes.
fn split(line: &str) -> Vec<std::ffi::OsString> {
    let mut words = vec![];
    let (mut word, mut quoted, mut begun) = (String::new(), false, false);
    for c in line.chars() {
        match c {
            '\'' => (quoted, begun) = (!quoted, true),
            ' ' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word).into());
                }
                begun = false;
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word.into());
    }
    words
}

fn typed<A: CommandFactory + FromArgMatches>(verb: &str, line: &str) -> Result<A, UsageError> {
    let matches = parse(A::command(), &split(line)).map_err(|error| from_clap(verb, &error))?;
    A::from_arg_matches(&matches).map_err(|error| from_clap(verb, &error))
}

/// A caller in /home/me with HOME and LANG, and three files.
fn caller() -> Caller<'static> {
    fn read(path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some("env") => Ok(
                "\u{feff}# colours\nA=from file\n\n  B=two words \nHOME\nNOT_THERE\n".to_owned(),
            ),
            Some("bad") => Ok("GOOD=1\nBAD NAME=1\n".to_owned()),
            Some("labels") => Ok("team=storage\nfast\n".to_owned()),
            _ => Err(io::Error::from_raw_os_error(2)),
        }
    }
    Caller {
        variable: &|name| match name {
            "HOME" => Some("/home/me".to_owned()),
            "LANG" => Some("C".to_owned()),
            _ => None,
        },
        directory: &|| Ok("/home/me".into()),
        read: &read,
    }
}

fn run(line: &str) -> Result<Meant, UsageError> {
    Ok(Run::meant(&split(line), caller())?.expect("no line asks for help"))
}

/// Lists what a request says beyond `hull run IMAGE`, one leaf a line.
fn beyond_the_usual(request: &RunRequest) -> String {
    fn leaves(path: String, value: &Value, all: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(object) if !object.is_empty() => {
                for (key, value) in object {
                    let path = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    leaves(path, value, all);
                }
            }
            value => drop(all.insert(path, value.to_string())),
        }
    }
    let all = |request: &RunRequest| {
        let mut all = BTreeMap::new();
        leaves(
            String::new(),
            &serde_json::to_value(request).unwrap(),
            &mut all,
        );
        all
    };
    let usual = all(&RunRequest::new(request.image.clone()));
    let mut text = String::new();
    for (path, value) in all(request) {
        if path == "image" || usual.get(&path) != Some(&value) {
            text.push_str(&format!("    {path} = {value}\n"));
        }
    }
    if request.session != Default::default() {
        text.push_str(&format!("    {:?}\n", request.session));
    }
    text
}

fn table(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(&format!("hull run {line}\n"));
        match run(line) {
            Ok(meant) => {
                text.push_str(&beyond_the_usual(&meant.request));
                for note in meant.notes {
                    text.push_str(&format!("    note: {note}\n"));
                }
            }
            Err(error) => {
                for line in Failure::from(error).report().lines() {
                    text.push_str(&format!("    {line}\n"));
                }
            }
        }
    }
    text
}

#[test]
fn what_is_typed_becomes_what_is_meant() {
    let report = table(&[
        "debian",
        "--rm @host -- cat /etc/os-release",
        "-- @host cat",
        "-it --rm debian:12 bash -c 'echo -n hi' --rm -it",
        "debian -- -- x",
        "-dit --name web -h box -p 8080:80 -p 127.0.0.1::443/tcp -P --expose 9/udp nginx",
        "--rm=true --init=false -d=1 --tty=0 debian",
        "--rm --rm=false debian",
        "--name a --name b debian",
        "-e A=1 -e HOME -e NOT_THERE -e EMPTY= --env-file env debian",
        "--entrypoint '' debian sh",
        "--entrypoint /bin/x -w /srv -u 1000:www --group-add 7 --group-add audio debian",
        "-v ./data:/data:ro -v cache:/cache -v /anon --mount type=bind,src=/a,dst=/b,readonly --tmpfs /run:size=1m debian",
        "--read-only --shm-size 128m --device /dev/fuse --device /dev/sda:/dev/x:r debian",
        "-m 512m --memory-swap -1 --memory-reservation 256m --cpus 1.5 -c 512 --cpuset-cpus 0-1 --pids-limit -1 debian",
        "-m 0 --memory-swap 0 --cpu-shares 0 --shm-size 0 debian",
        "--ulimit nofile=1024:2048 --ulimit core=0 --oom-score-adj -500 --stop-signal INT --stop-timeout -1 --init debian",
        "--cap-add NET_ADMIN --cap-add=SYS_TIME --cap-drop ALL --security-opt no-new-privileges --security-opt seccomp=p.json --privileged debian",
        "--security-opt label=disable --security-opt apparmor=unconfined --security-opt systempaths=unconfined debian",
        "--network none --dns 9.9.9.9 --dns-search a.example --dns-opt ndots:2 --add-host db:10.0.0.7 debian",
        "--net host --userns host --pid host --ipc none --uts host --cgroupns host debian",
        "--network container:web --pid container:web --ipc container:web debian",
        "-l a=1 --label b --label-file labels --annotation x.y=z --cidfile id debian",
        "--sysctl net.core.somaxconn=9 --cgroup-parent /batch debian",
        "--pull always --platform linux/arm64/v8 -q debian",
        "--log-driver json-file --log-opt max-size=1m --log-opt max-file=2 debian",
        "-a stdout -a STDERR --detach-keys ctrl-a,d --sig-proxy=false debian",
        "-u '' --memory '' --pid '' debian",
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn what_cannot_be_meant_is_explained() {
    let report = table(&[
        "",
        "--rm",
        "--bogus debian",
        "--naem web debian",
        "--restart always debian",
        "-y debian",
        "--rm=maybe debian",
        "--name",
        "Debian",
        "-m lots debian",
        "-m 1m debian",
        "--memory-swap 1g debian",
        "--cpus two debian",
        "--name=-web debian",
        "--cap-add NET_ADMN debian",
        "--security-opt apparmor=mine debian",
        "--ulimit nofiles=1 debian",
        "-v data/x:/y debian",
        "-v /a:/x -v /b:/x debian",
        "--mount type=bind,source=/a debian",
        "--network none --network host debian",
        "--network container:web -p 80 debian",
        "--sysctl kernel.panic=1 debian",
        "--env-file missing debian",
        "--env-file bad debian",
        "-e =x debian",
        "-w srv debian",
        "--stop-signal NOPE debian",
        "--platform a/b/c/d debian",
        "--pull sometimes debian",
        "-d -a stdout debian",
        "-a stdwhat debian",
        "--detach-keys ctrl-1 debian",
        "--oom-score-adj 2000 debian",
        "--dns here debian",
        "--hostname a_b! debian",
        "--cpu-shares many debian",
        "--log-driver syslog debian",
        "--cgroup-parent ../x debian",
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn exec_keeps_the_commands_own_options() {
    let exec: Exec = typed("exec", "-it -e A=1 -u 1000 web ls -la --color").unwrap();
    assert!(exec.streams.interactive && exec.streams.tty && !exec.detach);
    let (container, command) = exec.split().unwrap();
    assert_eq!(container.as_str(), "web");
    assert_eq!(command, ["ls", "-la", "--color"]);
    let exec: Exec = typed("exec", "web -- sh").unwrap();
    assert_eq!(exec.split().unwrap().1, ["sh"]);
    let exec: Exec = typed("exec", "web").unwrap();
    assert!(exec.split().is_err());
}

#[test]
fn other_verbs_explain_words_that_are_wrong() {
    let told = |line: &str| Failure::from(typed::<Stop>("stop", line).unwrap_err()).report();
    let report = ["", "-t soon web", "-s NOPE web", "a/b", "--tiem 3 web"]
        .map(|line| format!("hull stop {line}\n{}", told(line)))
        .concat();
    insta::assert_snapshot!(report);
    let stop: Stop = typed("stop", "-t -1 --time 3 -s 9 web db").unwrap();
    assert_eq!(stop.timeout.unwrap().to_string(), "3");
    assert_eq!(stop.containers.len(), 2);
}

#[test]
fn help_of_run_is_as_reviewed() {
    let page = Run::command()
        .bin_name("hull run")
        .term_width(100)
        .render_help();
    insta::assert_snapshot!(page);
}

#[test]
fn every_definition_is_sound() {
    let commands = [
        super::Attach::command(),
        super::Commit::command(),
        super::Completion::command(),
        super::Copy::command(),
        super::Create::command(),
        super::Diff::command(),
        super::Doctor::command(),
        super::Exec::command(),
        super::Export::command(),
        super::Gc::command(),
        super::Images::command(),
        super::Import::command(),
        super::Info::command(),
        super::Inspect::command(),
        super::Kill::command(),
        super::Load::command(),
        super::Logs::command(),
        super::Man::command(),
        super::Pause::command(),
        super::Port::command(),
        super::Prune::command(),
        super::Ps::command(),
        super::Pull::command(),
        super::Rename::command(),
        super::Restart::command(),
        super::Rm::command(),
        super::Rmi::command(),
        super::Run::command(),
        super::Save::command(),
        super::Start::command(),
        super::Stop::command(),
        super::Tag::command(),
        super::Top::command(),
        super::Unpause::command(),
        super::Version::command(),
        super::Wait::command(),
    ];
    for command in commands {
        command.debug_assert();
    }
}
