//! What pods there should be: names, lives, who supervises. Pure.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::life::CHANGES;

/// Few, so that they clash.
pub(crate) const NAMES: usize = 4;

/// What a command does from its beginning to its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    Create {
        name: usize,
        remove: bool,
    },
    Rename {
        from: usize,
        to: usize,
    },
    Remove {
        name: usize,
    },
    /// A start that fails.
    Fail {
        name: usize,
    },
    /// A run from its start to its end.
    Run {
        name: usize,
        code: u8,
    },
    Collect,
}

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Whole(Step),
    /// The command is killed before its so-many-th call of a kind, if it makes as many.
    Killed(Step, usize, u8),
    /// A monitor takes the pod up, and stays.
    Start {
        name: usize,
    },
    Exit {
        name: usize,
        code: u8,
    },
    /// The monitor is killed: perhaps in the middle of a line, perhaps survived by its container.
    Die {
        name: usize,
        torn: bool,
        survived: bool,
    },
    Freeze {
        name: usize,
        frozen: bool,
    },
    /// Somebody says that he ends it to start it again.
    Restarting {
        name: usize,
    },
}

/// Why a step changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotFound,
    NameTaken,
    Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Life {
    Created,
    Running,
    Stopped(u8),
}

/// A pod of one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pod {
    pub(crate) name: usize,
    pub(crate) remove: bool,
    pub(crate) life: Life,
    pub(crate) starts: u32,
    pub(crate) held: bool,
    pub(crate) restarting: bool,
}

/// All pods. The kernel's part is not on disk: who is frozen, whose processes survive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) pods: Vec<Pod>,
    pub(crate) frozen: Vec<usize>,
    pub(crate) survivors: Vec<usize>,
}

impl Model {
    /// Returns the action with names of its own: a number past the names means one of those that pods have.
    pub(crate) fn aim(&self, action: &Action) -> Action {
        let mut action = action.clone();
        let name = match &mut action {
            Action::Whole(step) | Action::Killed(step, ..) => match step {
                Step::Create { .. } | Step::Collect => return action,
                Step::Rename { from: name, .. }
                | Step::Remove { name }
                | Step::Fail { name }
                | Step::Run { name, .. } => name,
            },
            Action::Start { name }
            | Action::Exit { name, .. }
            | Action::Die { name, .. }
            | Action::Freeze { name, .. }
            | Action::Restarting { name } => name,
        };
        if *name >= NAMES {
            let pod = self.pods.get(*name % self.pods.len().max(1));
            *name = pod.map_or(*name % NAMES, |pod| pod.name);
        }
        action
    }

    pub(crate) fn named(&self, name: usize) -> Option<&Pod> {
        self.pods.iter().find(|pod| pod.name == name)
    }

    fn named_mut(&mut self, name: usize) -> Option<&mut Pod> {
        self.pods.iter_mut().find(|pod| pod.name == name)
    }

    fn free(&mut self, name: usize) -> Result<&mut Pod, Refusal> {
        match self.named_mut(name) {
            None => Err(Refusal::NotFound),
            Some(pod) if pod.held => Err(Refusal::Held),
            Some(pod) => Ok(pod),
        }
    }

    fn remove(&mut self, name: usize) {
        self.pods.retain(|pod| pod.name != name);
        self.forget(name);
    }

    fn forget(&mut self, name: usize) {
        self.frozen.retain(|other| *other != name);
        self.survivors.retain(|other| *other != name);
    }

    /// Returns what there may be once a step was begun, the whole step last; or why it is refused.
    pub(crate) fn after(&self, step: &Step) -> Result<Vec<Self>, Refusal> {
        let mut all = vec![self.clone()];
        let mut next = self.clone();
        match *step {
            Step::Create { name, .. } if self.named(name).is_some() => {
                return Err(Refusal::NameTaken);
            }
            Step::Create { name, remove } => next.pods.push(Pod {
                name,
                remove,
                life: Life::Created,
                starts: 0,
                held: false,
                restarting: false,
            }),
            Step::Rename { from, to } => {
                let pod = next.named_mut(from).ok_or(Refusal::NotFound)?;
                pod.name = to;
                if from != to && self.named(to).is_some() {
                    return Err(Refusal::NameTaken);
                }
                for names in [&mut next.frozen, &mut next.survivors] {
                    names
                        .iter_mut()
                        .filter(|name| **name == from)
                        .for_each(|name| *name = to);
                }
            }
            Step::Remove { name } => {
                next.free(name)?;
                next.remove(name);
            }
            Step::Fail { name } => {
                let pod = next.free(name)?;
                (pod.life, pod.restarting) = (Life::Stopped(127), false);
                next.forget(name);
            }
            Step::Run { name, code } => {
                let pod = next.free(name)?;
                (pod.life, pod.restarting) = (Life::Running, false);
                pod.starts += 1;
                let remove = pod.remove;
                next.forget(name);
                all.push(next.clone());
                next.free(name)?.life = Life::Stopped(code);
                if remove {
                    all.push(next.clone());
                    next.remove(name);
                }
            }
            Step::Collect => {}
        }
        all.push(next);
        Ok(all)
    }

    pub(crate) fn start(&mut self, name: usize) -> Result<(), Refusal> {
        let pod = self.free(name)?;
        (pod.life, pod.held, pod.restarting) = (Life::Running, true, false);
        pod.starts += 1;
        self.forget(name);
        Ok(())
    }

    pub(crate) fn exit(&mut self, name: usize, code: u8) {
        let pod = self.named_mut(name).expect("it runs");
        (pod.life, pod.held) = (Life::Stopped(code), false);
        if pod.remove && !pod.restarting {
            self.remove(name);
        }
        self.forget(name);
    }

    pub(crate) fn die(&mut self, name: usize, survived: bool) {
        self.named_mut(name).expect("it runs").held = false;
        self.forget(name);
        if survived {
            self.survivors.push(name);
        }
    }

    pub(crate) fn restarting(&mut self, name: usize) -> Result<(), Refusal> {
        self.named_mut(name).ok_or(Refusal::NotFound)?.restarting = true;
        Ok(())
    }

    /// Returns the word that `ps` shows.
    pub(crate) fn word(&self, pod: &Pod) -> &'static str {
        match pod.life {
            Life::Created => "created",
            Life::Running if pod.held && self.frozen.contains(&pod.name) => "paused",
            Life::Running if pod.held => "running",
            Life::Running if self.survivors.contains(&pod.name) => "lost",
            Life::Running | Life::Stopped(_) => "exited",
        }
    }
}

pub(crate) fn actions() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 1..40)
}

/// A name, or (mostly) one of those that there are: see [`Model::aim`].
fn aimed() -> impl Strategy<Value = usize> {
    0..5 * NAMES
}

fn action() -> impl Strategy<Value = Action> {
    let name = aimed;
    prop_oneof![
        8 => step().prop_map(Action::Whole),
        9 => (step(), 0..CHANGES.len(), 1_u8..4)
            .prop_map(|(step, call, count)| Action::Killed(step, call, count)),
        5 => name().prop_map(|name| Action::Start { name }),
        3 => (name(), any::<u8>()).prop_map(|(name, code)| Action::Exit { name, code }),
        2 => (name(), any::<bool>(), any::<bool>())
            .prop_map(|(name, torn, survived)| Action::Die { name, torn, survived }),
        1 => (name(), any::<bool>()).prop_map(|(name, frozen)| Action::Freeze { name, frozen }),
        1 => name().prop_map(|name| Action::Restarting { name }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let name = aimed;
    let new = || 0..NAMES;
    prop_oneof![
        6 => (new(), any::<bool>()).prop_map(|(name, remove)| Step::Create { name, remove }),
        6 => (name(), new()).prop_map(|(from, to)| Step::Rename { from, to }),
        2 => name().prop_map(|name| Step::Remove { name }),
        1 => name().prop_map(|name| Step::Fail { name }),
        2 => (name(), any::<u8>()).prop_map(|(name, code)| Step::Run { name, code }),
        1 => Just(Step::Collect),
    ]
}
