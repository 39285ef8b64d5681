//! Real containers beside a model of their lives: whatever is done in whatever order, and whoever's monitor is killed meanwhile,
//! `ps` shows what the model says, each verb is taken or refused as it says, and in the end nothing is left.

use std::collections::BTreeMap;

use hull_suites::Hull;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// None could be the beginning of an id.
const NAMES: [&str; 3] = ["x", "y", "z"];

#[derive(Clone, Debug)]
enum Action {
    /// With `--rm`; with an app that outlives a killed monitor.
    Create(usize, bool, bool),
    Start(usize),
    Stop(usize),
    Kill(usize),
    Restart(usize),
    Pause(usize),
    Unpause(usize),
    Exec(usize),
    Rename(usize, usize),
    Remove(usize, bool),
    KillMonitor(usize),
    Collect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Created,
    Running,
    Paused,
    Exited,
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Container {
    remove: bool,
    survives: bool,
    state: State,
}

/// The containers there should be.
type Model = BTreeMap<&'static str, Container>;

fn actions() -> impl Strategy<Value = Vec<Action>> {
    use Action::*;
    let name = || 0..NAMES.len();
    let action = prop_oneof![
        4 => (name(), any::<bool>(), any::<bool>()).prop_map(|(name, rm, lives)| Create(name, rm, lives)),
        6 => name().prop_map(Start),
        2 => name().prop_map(Stop),
        1 => name().prop_map(Kill),
        2 => name().prop_map(Restart),
        2 => name().prop_map(Pause),
        1 => name().prop_map(Unpause),
        1 => name().prop_map(Exec),
        2 => (name(), name()).prop_map(|(from, to)| Rename(from, to)),
        1 => (name(), any::<bool>()).prop_map(|(name, force)| Remove(name, force)),
        3 => name().prop_map(KillMonitor),
        1 => Just(Collect),
    ];
    prop::collection::vec(action, 8..24)
}

/// Does in the model what an action does; returns whether it is taken.
fn follow(model: &mut Model, action: &Action) -> bool {
    use State::*;
    let (Action::Create(at, ..)
    | Action::Start(at)
    | Action::Stop(at)
    | Action::Kill(at)
    | Action::Restart(at)
    | Action::Pause(at)
    | Action::Unpause(at)
    | Action::Exec(at)
    | Action::Rename(at, _)
    | Action::Remove(at, _)
    | Action::KillMonitor(at)) = *action
    else {
        model.retain(|_, container| {
            if container.state == Lost {
                container.state = Exited;
            }
            !(container.remove && container.state == Exited)
        });
        return true;
    };
    let name = NAMES[at];
    let Some(container) = model.get_mut(name) else {
        if let Action::Create(_, remove, survives) = *action {
            let state = Created;
            model.insert(
                name,
                Container {
                    remove,
                    survives,
                    state,
                },
            );
        }
        return matches!(action, Action::Create(..));
    };
    let state = &mut container.state;
    match (action, *state) {
        (Action::Create(..), _) => return false,
        (Action::Start(_), Running | Paused) => {}
        (Action::Start(_) | Action::Restart(_), _) => *state = Running,
        (Action::Stop(_), Created | Exited) => {}
        (Action::Stop(_) | Action::Kill(_), Lost) => *state = Exited,
        (Action::Stop(_) | Action::Kill(_), Running | Paused) => {
            *state = Exited;
            if container.remove {
                model.remove(name);
            }
        }
        (Action::Pause(_), Running) => *state = Paused,
        (Action::Unpause(_), Paused) => *state = Running,
        (Action::Exec(_), Running) => {}
        (Action::Rename(_, to), _) => {
            let taken = *to != at && model.contains_key(NAMES[*to]);
            if !taken && let Some(container) = model.remove(name) {
                model.insert(NAMES[*to], container);
            }
            return !taken;
        }
        (Action::Remove(_, force), now) => {
            let goes = *force || !matches!(now, Running | Paused);
            if goes {
                model.remove(name);
            }
            return goes;
        }
        (Action::KillMonitor(_), Running | Paused) if container.survives => *state = Lost,
        (Action::KillMonitor(_), Running | Paused) => *state = Exited,
        _ => return false,
    }
    true
}

/// Does it; returns whether it was taken.
fn carry_out(hull: &Hull, action: &Action) -> bool {
    let line = match *action {
        Action::Create(name, remove, survives) => format!(
            "hull create {} --network none --name {} busybox {}",
            if remove { "--rm" } else { "" },
            NAMES[name],
            // Who becomes another user loses his death signal.
            if survives {
                "su -s /bin/sh nobody -c 'sleep 1000'"
            } else {
                "sleep 1000"
            }
        ),
        Action::Start(name) => {
            // The app that survives is to have become another user before anything else happens to it.
            format!("hull start {0} && sleep 0.03", NAMES[name])
        }
        Action::Stop(name) => format!("hull stop -t 0 {}", NAMES[name]),
        Action::Kill(name) => format!("hull kill {}", NAMES[name]),
        Action::Restart(name) => format!("hull restart -t 0 {} && sleep 0.03", NAMES[name]),
        Action::Pause(name) => format!("hull pause {}", NAMES[name]),
        Action::Unpause(name) => format!("hull unpause {}", NAMES[name]),
        Action::Exec(name) => format!("hull exec {} true", NAMES[name]),
        Action::Rename(from, to) => format!("hull rename {} {}", NAMES[from], NAMES[to]),
        Action::Remove(name, true) => format!("hull inspect {0} && hull rm -f {0}", NAMES[name]),
        Action::Remove(name, false) => format!("hull rm {}", NAMES[name]),
        Action::KillMonitor(name) => {
            let state = hull.sh(&format!(
                "hull inspect --format '{{{{.State.Status}}}}' {}",
                NAMES[name]
            ));
            if !matches!(state.out.trim(), "running" | "paused") {
                return false;
            }
            format!("kill -9 {}", hull.monitor(NAMES[name]))
        }
        Action::Collect => "hull gc".to_owned(),
    };
    hull.sh(&line).code == 0
}

fn agrees(hull: &Hull, model: &Model) -> Result<(), String> {
    let mut expected: Vec<String> = model
        .iter()
        .map(|(name, container)| format!("{name} {:?}", container.state).to_lowercase())
        .collect();
    expected.sort();
    let mut seen = Vec::new();
    // Ends take a moment.
    for _ in 0..300 {
        seen = hull
            .ok("hull ps -a --format '{{.Names}} {{.State}}'")
            .lines()
            .map(str::to_owned)
            .collect();
        seen.sort();
        if seen == expected {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(format!("{seen:?} instead of {expected:?}"))
}

/// How many lives are led: 500 with `--all`, in three minutes; fewer where `HULL_TEST_STRIDE` asks for a part.
fn cases() -> u32 {
    let stride = std::env::var("HULL_TEST_STRIDE").ok();
    let stride: Option<u32> = stride.and_then(|stride| stride.parse().ok());
    500 / stride.unwrap_or(1).max(1)
}

#[test]
fn containers_live_as_the_model_says() {
    let config = Config {
        cases: cases(),
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Config::default()
    };
    let hull = Hull::with_busybox();
    let judged = TestRunner::new(config).run(&actions(), |actions| {
        let mut model = Model::new();
        let mut wrong = None;
        for (at, action) in actions.iter().enumerate() {
            let (before, expected) = (model.clone(), follow(&mut model, action));
            let taken = carry_out(&hull, action);
            let agreed = agrees(&hull, &model);
            if taken != expected || agreed.is_err() {
                wrong = Some(format!(
                    "action {at}, {action:?}, of {before:?}: taken {taken}, expected {expected}; {agreed:?}"
                ));
                break;
            }
        }
        hull.ok("names=$(ls $HULL_ROOT/names); [ -z \"$names\" ] || hull rm -f -v $names; hull gc");
        hull.assert_nothing_left();
        wrong.map_or(Ok(()), |wrong| Err(TestCaseError::fail(wrong)))
    });
    judged.unwrap_or_else(|error| panic!("{error}"));
}
