//! The store beside the model.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use hull_state::{Container, Entry, Exit, Held, Lifecycle, RootDirectory, Run, StateError, Store};
use hull_types::{ContainerName, Timestamp};
use proptest::test_runner::{Config, TestRunner};

use crate::model::{Action, Life, Model, NAMES, Pod, Refusal, Step, actions};

/// Calls that change something; the program's own start makes none of them.
pub(crate) const CHANGES: [&str; 6] = [
    "mkdirat",
    "symlinkat",
    "renameat",
    "unlinkat",
    "write",
    "fchmodat",
];

/// The property.
pub(crate) fn pods_live_as_the_model_says() {
    let config = Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    };
    let judged = TestRunner::new(config).run(&actions(), |actions| {
        let mut scene = Scene::new();
        for action in &actions {
            scene.play(&scene.model.aim(action));
            scene.compare();
        }
        scene.close();
        Ok(())
    });
    judged.unwrap_or_else(|error| panic!("{error}"));
}

/// A store, its model, and the monitors that this process plays.
struct Scene {
    dir: tempfile::TempDir,
    store: Store,
    model: Model,
    monitors: BTreeMap<String, Held>,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(&dir.path().join("root")).unwrap(),
            dir,
            model: Model::default(),
            monitors: BTreeMap::new(),
        }
    }

    fn play(&mut self, action: &Action) {
        match action {
            Action::Whole(step) => {
                let expected = self.model.after(step);
                let done = carry_out_in(&self.store, step);
                match (expected, done) {
                    (Ok(mut after), Ok(())) => self.model = after.pop().unwrap(),
                    (Err(refusal), Err(error)) => assert!(is(&error, refusal), "{error:?}"),
                    (expected, done) => panic!("{step:?}: {done:?}, not {expected:?}"),
                }
            }
            Action::Killed(step, call, count) => {
                self.kill(step, CHANGES[*call], *count);
                collect(&self.store).unwrap();
                let after = self.model.after(step);
                let after = after.unwrap_or_else(|_| vec![self.model.clone()]);
                let seen = self.seen();
                let fits = |model: &&Model| pods(model) == seen;
                let Some(model) = after.iter().rev().find(fits) else {
                    panic!("{step:?}: {seen:?} is none of {after:#?}");
                };
                self.model = model.clone();
            }
            Action::Start { name } => match self.model.start(*name) {
                Ok(()) => {
                    let held = self.hold(*name).unwrap();
                    held.started(0, run()).unwrap();
                    self.monitors.insert(held.id.to_string(), held);
                }
                Err(refusal) => assert!(is(&self.hold(*name).unwrap_err(), refusal)),
            },
            Action::Exit { name, code } => {
                if let Some(held) = self.monitor(*name) {
                    end(&self.store, held, *code).unwrap();
                    self.model.exit(*name, *code);
                }
            }
            Action::Die {
                name,
                torn,
                survived,
            } => {
                if let Some(held) = self.monitor(*name) {
                    if *torn {
                        rustix::io::write(held.as_fd(), b"{\"exited\":{\"contai").unwrap();
                    }
                    self.model.die(*name, *survived);
                }
            }
            Action::Freeze { name, frozen } => {
                let runs = self.model.named(*name).is_some_and(|pod| pod.held);
                self.model.frozen.retain(|other| other != name);
                if *frozen && runs {
                    self.model.frozen.push(*name);
                }
            }
            Action::Restarting { name } => match self.model.restarting(*name) {
                Ok(()) => {
                    let found = self.store.find(&text(*name)).unwrap();
                    drop(self.store.restarting(&found).unwrap());
                }
                Err(refusal) => assert!(is(&self.store.find(&text(*name)).unwrap_err(), refusal)),
            },
        }
    }

    /// Has a step carried out by another process, which is killed.
    fn kill(&self, step: &Step, call: &str, count: u8) {
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:signal=SIGKILL:when={count}");
        let step = serde_json::to_string(step).unwrap();
        let status = Command::new("strace")
            .args(["-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
            .arg(std::env::current_exe().unwrap())
            .arg("--step")
            .arg(self.store.path())
            .arg(&step)
            .stderr(Stdio::null())
            .status();
        // Without strace the step is not killed, which is one of the ways it may go.
        if status.is_err() {
            carry_out(self.store.path(), &step);
        }
    }

    /// Takes the monitor of a running container, if this process plays it.
    fn monitor(&mut self, name: usize) -> Option<Held> {
        let found = self.store.find(&text(name)).ok()?;
        self.monitors.remove(&found.pod.id().to_string())
    }

    fn hold(&self, name: usize) -> Result<Held, StateError> {
        self.store.hold(self.store.find(&text(name))?.pod.id())
    }

    /// Returns the pods that the records and locks say there are.
    fn seen(&self) -> Vec<Pod> {
        let (read, unreadable) = self.store.pods().unwrap();
        assert!(unreadable.is_empty(), "{unreadable:?}");
        let mut seen: Vec<Pod> = read.iter().map(pod).collect();
        seen.sort();
        seen
    }

    fn compare(&self) {
        assert_eq!(self.seen(), pods(&self.model));
        for name in 0..NAMES {
            let found = self.store.find(&text(name));
            let Some(expected) = self.model.named(name) else {
                assert!(is(&found.unwrap_err(), Refusal::NotFound));
                continue;
            };
            let found = found.unwrap();
            let survives = self.model.survivors.contains(&name);
            let frozen = self.model.frozen.contains(&name);
            let status = found.pod.status(0, |_| survives, |_| frozen);
            assert_eq!(status.word(), self.model.word(expected), "{found:?}");
            let id = found.container().id;
            for asked in [id.to_string(), id.short(), found.pod.id().to_string()] {
                assert_eq!(self.store.find(&asked).unwrap().container().id, id);
            }
        }
    }

    /// Collects what is left: then there is what the model says, and nothing else.
    fn close(self) {
        collect(&self.store).unwrap();
        self.compare();
        let list = |directory: &str| -> Vec<String> {
            let entries = std::fs::read_dir(self.dir.path().join("root").join(directory)).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name());
            let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        let mut names: Vec<String> = self.model.pods.iter().map(|pod| text(pod.name)).collect();
        names.sort();
        assert_eq!(list("names"), names);
        assert_eq!(list("pods").len(), names.len());
        assert!(list("garbage").is_empty());
        assert_eq!(list(""), ["VERSION", "garbage", "names", "pods"]);
    }
}

/// Carries out a step as another process.
pub(crate) fn carry_out(root: &Path, step: &str) {
    let store = Store::open(root).unwrap();
    carry_out_in(&store, &serde_json::from_str(step).unwrap()).ok();
}

fn carry_out_in(store: &Store, step: &Step) -> Result<(), StateError> {
    let hold = |name: usize| store.hold(store.find(&text(name))?.pod.id());
    match *step {
        Step::Create { name, remove } => {
            let name: ContainerName = text(name).parse().unwrap();
            let (reserved, id, name) = store.reserve(Some(&name))?;
            reserved.make_container(0, RootDirectory::default())?;
            let container = Container {
                id,
                name,
                layers: Vec::new(),
                config: serde_json::value::to_raw_value(&()).unwrap(),
            };
            reserved.publish(Timestamp::now(), remove, vec![container])?;
            Ok(())
        }
        Step::Rename { from, to } => {
            store.rename(&store.find(&text(from))?, &text(to).parse().unwrap())
        }
        Step::Remove { name } => store.discard(hold(name)?),
        Step::Fail { name } => hold(name)?.append(&Entry::Failed {
            container: 0,
            exit: exit(127),
        }),
        Step::Run { name, code } => {
            let held = hold(name)?;
            held.started(0, run())?;
            end(store, held, code)
        }
        Step::Collect => collect(store),
    }
}

/// What a monitor does at the end.
fn end(store: &Store, held: Held, code: u8) -> Result<(), StateError> {
    held.exited(0, exit(code))?;
    let journal = held.read()?;
    if journal.record.remove && !journal.restarting {
        store.discard(held)?;
    }
    Ok(())
}

fn collect(store: &Store) -> Result<(), StateError> {
    for unfinished in store.unfinished()? {
        store.discard(unfinished)?;
    }
    store.sweep().map(drop)
}

fn pod(read: &hull_state::Pod) -> Pod {
    let name = read.container(0).name.as_str();
    Pod {
        name: name.strip_prefix("name").unwrap().parse().unwrap(),
        remove: read.journal.record.remove,
        life: match &read.journal.lives[0] {
            Lifecycle::Created => Life::Created,
            Lifecycle::Running { .. } => Life::Running,
            Lifecycle::Stopped { exit, .. } => Life::Stopped(exit.code),
        },
        starts: read.journal.starts[0],
        held: read.held,
        restarting: read.journal.restarting,
    }
}

fn pods(model: &Model) -> Vec<Pod> {
    let mut pods = model.pods.clone();
    pods.sort();
    pods
}

fn is(error: &StateError, refusal: Refusal) -> bool {
    match refusal {
        Refusal::NotFound => matches!(error, StateError::NotFound { .. }),
        Refusal::NameTaken => matches!(error, StateError::NameTaken { .. }),
        Refusal::Held => matches!(error, StateError::Held { .. }),
    }
}

fn text(name: usize) -> String {
    format!("name{name}")
}

fn run() -> Run {
    Run {
        started: Timestamp::now(),
        pid: 7,
        cgroup: "hull/x".into(),
        network: None,
    }
}

fn exit(code: u8) -> Exit {
    Exit {
        code,
        ..Exit::default()
    }
}
