use std::{path::Path, time::Duration};

use hull_fs::Durability;
use hull_types::{ContainerName, PodId, Timestamp};
use rustix::fs::{Mode, mkdirat, renameat};

use super::*;
use crate::{Container, Exit, Lifecycle, Status, lifecycle::tests::run};

struct Home {
    _temp: tempfile::TempDir,
    store: Store,
}

fn home() -> Home {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(&temp.path().join("a/b")).unwrap();
    Home { _temp: temp, store }
}

fn make(store: &Store, name: &str) -> Held {
    let name: ContainerName = name.parse().unwrap();
    let (reserved, id, name) = store.reserve(Some(&name)).unwrap();
    reserved
        .make_container(0, crate::RootDirectory::default())
        .unwrap();
    let config = serde_json::value::to_raw_value("config").unwrap();
    reserved
        .publish(
            Timestamp::now(),
            false,
            vec![Container {
                id,
                name,
                layers: Vec::new(),
                config,
            }],
        )
        .unwrap()
}

fn names(store: &Store, directory: &str) -> Vec<String> {
    let mut names = Vec::new();
    store
        .each(directory, |name| names.push(name.to_owned()))
        .unwrap();
    names
}

#[test]
fn a_container_is_found_by_name_id_and_prefix() {
    let home = home();
    let held = make(&home.store, "web");
    let other = make(&home.store, "db");
    let id = home.store.find("web").unwrap().container().id;
    for asked in [
        id.to_string(),
        id.short(),
        id.to_string()[..3].to_owned(),
        held.id.to_string(),
        id.to_string().to_uppercase(),
    ] {
        let found = home.store.find(&asked);
        if asked.len() > 3 {
            assert_eq!(found.unwrap().container().id, id, "{asked}");
        }
    }
    assert!(matches!(
        home.store.find(""),
        Err(StateError::NotFound { .. })
    ));
    let Err(StateError::NotFound { near, .. }) = home.store.find("wen") else {
        panic!("found")
    };
    assert_eq!(near, ["web"]);
    drop(other);
}

#[test]
fn a_name_has_one_owner_until_it_is_freed() {
    let home = home();
    let held = make(&home.store, "web");
    let name: ContainerName = "web".parse().unwrap();
    assert!(matches!(
        home.store.reserve(Some(&name)),
        Err(StateError::NameTaken { .. })
    ));
    assert_eq!(
        names(&home.store, "pods").len(),
        1,
        "the refused pod left nothing"
    );
    home.store.discard(held).unwrap();
    assert!(names(&home.store, "names").is_empty());
    assert!(names(&home.store, "garbage").is_empty());
    home.store.discard(make(&home.store, "web")).unwrap();
}

#[test]
fn the_lock_is_exclusive_and_readers_do_not_take_it() {
    let home = home();
    let held = make(&home.store, "web");
    let id = held.id;
    assert!(matches!(home.store.hold(id), Err(StateError::Held { .. })));
    assert!(home.store.find("web").unwrap().pod.held);
    drop(held);
    assert!(!home.store.find("web").unwrap().pod.held);
    home.store.hold(id).unwrap();
}

#[test]
fn status_follows_the_journal() {
    let home = home();
    let held = make(&home.store, "web");
    let status = |held: bool| {
        let found = home.store.find("web").unwrap();
        assert_eq!(found.pod.held, held);
        found.pod.status(0, |_| true, |_| false).word()
    };
    assert_eq!(status(true), "starting");
    held.started(0, run(7)).unwrap();
    assert_eq!(status(true), "running");
    let id = held.id;
    drop(held);
    assert_eq!(status(false), "lost");
    let held = home.store.hold(id).unwrap();
    held.exited(
        0,
        Exit {
            code: 3,
            ..Exit::default()
        },
    )
    .unwrap();
    assert_eq!(status(true), "exited");
    let Status::Stopped { exit, .. } =
        home.store
            .find("web")
            .unwrap()
            .pod
            .status(0, |_| false, |_| false)
    else {
        panic!("not stopped");
    };
    assert_eq!(exit.code, 3);
}

#[test]
fn a_torn_line_is_ignored_and_the_next_one_is_not() {
    let home = home();
    let held = make(&home.store, "web");
    held.started(0, run(7)).unwrap();
    rustix::io::write(held.as_fd(), b"{\"exited\":{\"contai").unwrap();
    assert!(matches!(
        held.read().unwrap().lives[0],
        Lifecycle::Running { .. }
    ));
    let id = held.id;
    drop(held);
    let held = home.store.hold(id).unwrap();
    held.exited(0, Exit::default()).unwrap();
    assert!(matches!(
        held.read().unwrap().lives[0],
        Lifecycle::Stopped { .. }
    ));
}

#[test]
fn a_rename_moves_the_name_while_somebody_holds_the_pod() {
    let home = home();
    let _held = make(&home.store, "web");
    let found = home.store.find("web").unwrap();
    home.store.rename(&found, &"shop".parse().unwrap()).unwrap();
    assert!(matches!(
        home.store.find("web"),
        Err(StateError::NotFound { .. })
    ));
    assert_eq!(
        home.store.find("shop").unwrap().container().name.as_str(),
        "shop"
    );
}

#[test]
fn sweep_takes_what_killed_makers_left_and_nothing_else() {
    let home = home();
    let kept = make(&home.store, "web");
    let name: ContainerName = "ghost".parse().unwrap();
    let dead =
        Reserved::make(&home.store, PodId::from_random([1; 16]), vec![name.clone()]).unwrap();
    dead.make_container(0, crate::RootDirectory::default())
        .unwrap();
    std::mem::forget(dead.abandon());
    mkdirat(
        home.store.root(),
        format!("pods/{}", PodId::from_random([2; 16])),
        Mode::RWXU,
    )
    .unwrap();
    let alive = Reserved::make(&home.store, PodId::from_random([3; 16]), Vec::new()).unwrap();
    for unfinished in home.store.unfinished().unwrap() {
        home.store.discard(unfinished).unwrap();
    }
    let garbage = home.store.path().join("garbage/half");
    std::fs::create_dir(&garbage).unwrap();
    let text = vec![b'x'; 100_000];
    hull_fs::replace(&garbage.join("f"), &text, Mode::RUSR, Durability::Cached).unwrap();
    let swept = home.store.sweep().unwrap();
    assert_eq!(
        swept.removed,
        ["name ghost of a pod that is gone", "garbage/half"]
    );
    assert!((100_000..200_000).contains(&swept.bytes), "{swept:?}");
    let mut left = names(&home.store, "pods");
    left.sort();
    let mut expected = vec![kept.id.to_string(), alive.id().to_string()];
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(names(&home.store, "names"), ["web"]);
    assert!(names(&home.store, "garbage").is_empty());
}

/// Does what a command does that made a store and leaves nothing in it.
fn leave(root: &Path, as_far_as: usize) {
    std::fs::remove_file(root.join("VERSION")).ok();
    let directories = ["pods", "names", "garbage", ""];
    for directory in directories.iter().take(as_far_as) {
        std::fs::remove_dir(root.join(directory)).unwrap();
    }
}

#[test]
fn directories_that_their_maker_took_away_are_made_anew() {
    for as_far_as in 0..=4 {
        let home = home();
        leave(home.store.path(), as_far_as);
        let held = make(&home.store, "web");
        let other = Store::open(home.store.path()).unwrap();
        assert_eq!(other.find("web").unwrap().pod.id(), held.id);
        home.store.discard(held).unwrap();
        assert!(names(&other, "pods").is_empty() && names(&other, "garbage").is_empty());
    }
}

#[test]
fn a_store_is_made_and_left_by_many_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("a/b");
    std::thread::scope(|scope| {
        for starter in 0..4 {
            let root = &root;
            scope.spawn(move || {
                for turn in 0..100 {
                    let store = Store::open(root).unwrap();
                    let held = make(&store, &format!("web-{starter}-{turn}"));
                    store.discard(held).unwrap();
                    std::fs::remove_file(root.join("VERSION")).ok();
                    for directory in ["pods", "names", "garbage", "", ".."] {
                        if std::fs::remove_dir(root.join(directory)).is_err() {
                            break;
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn a_rename_is_not_lost_in_a_torn_line() {
    let home = home();
    let held = make(&home.store, "web");
    held.started(0, run(7)).unwrap();
    rustix::io::write(held.as_fd(), b"{\"exited\":{\"contai").unwrap();
    drop(held);
    let found = home.store.find("web").unwrap();
    home.store.rename(&found, &"shop".parse().unwrap()).unwrap();
    let found = home.store.find("shop").unwrap();
    assert_eq!(found.container().name.as_str(), "shop");
    assert_eq!(names(&home.store, "names"), ["shop"]);
}

#[test]
fn a_name_that_a_killed_rename_left_is_freed() {
    let home = home();
    let held = make(&home.store, "web");
    let (new, old) = ("shop".parse().unwrap(), "web".parse().unwrap());
    // Killed before the line, and after it.
    home.store.take_name(&new, held.id).unwrap();
    assert!(matches!(
        home.store.reserve(Some(&new)),
        Err(StateError::NameTaken { .. })
    ));
    let renaming = home.store.renaming().unwrap();
    home.store.sweep().unwrap();
    assert_eq!(home.store.owner(&new).unwrap(), Some(held.id));
    drop(renaming);
    home.store.sweep().unwrap();
    assert_eq!(names(&home.store, "names"), ["web"]);
    let found = home.store.find("web").unwrap();
    home.store.rename(&found, &new).unwrap();
    home.store.take_name(&old, held.id).unwrap();
    home.store.sweep().unwrap();
    assert_eq!(names(&home.store, "names"), ["shop"]);
}

#[test]
fn a_name_is_waited_for_while_its_pod_is_being_removed() {
    let home = home();
    let held = make(&home.store, "web");
    let id = held.id;
    let (pods, garbage) = (format!("pods/{id}"), format!("garbage/{id}"));
    renameat(home.store.root(), &pods, home.store.root(), &garbage).unwrap();
    home.store.sweep().unwrap();
    assert_eq!(names(&home.store, "names"), ["web"]);
    std::thread::scope(|scope| {
        let taker = scope.spawn(|| make(&home.store, "web").id);
        std::thread::sleep(Duration::from_millis(20));
        assert!(!taker.is_finished());
        home.store.free_own_name(&"web".parse().unwrap(), id);
        let owner = taker.join().unwrap();
        assert_eq!(
            home.store.owner(&"web".parse().unwrap()).unwrap(),
            Some(owner)
        );
    });
    drop(held);
    home.store.sweep().unwrap();
    assert!(names(&home.store, "garbage").is_empty());
}

#[test]
fn a_newer_store_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(temp.path()).unwrap();
    hull_fs::replace_at(
        store.root(),
        "VERSION",
        b"2\n",
        Mode::RUSR,
        Durability::Cached,
    )
    .unwrap();
    assert!(matches!(
        Store::open(temp.path()),
        Err(StateError::NewerVersion { .. })
    ));
}

#[test]
fn starters_race_and_one_wins() {
    let home = home();
    let id = make(&home.store, "web").id;
    let winners: usize = std::thread::scope(|scope| {
        let starter = |_| {
            scope.spawn(|| {
                home.store.hold(id).is_ok_and(|held| {
                    held.started(0, run(7))
                        .map(|()| std::mem::forget(held))
                        .is_ok()
                })
            })
        };
        let starters: Vec<_> = (0..16).map(starter).collect();
        starters
            .into_iter()
            .map(|starter| usize::from(starter.join().unwrap()))
            .sum()
    });
    assert_eq!(winners, 1);
}
