//! A caller attached to a container that somebody else supervises: what `run -t`, `start -a` and `attach` have in common.
//!
//! The caller is a client: when it is killed, its terminal closed or its output not read, the container goes on.

use std::{os::fd::OwnedFd, process::ExitCode};

use hull_engine::{
    Created, Engine, How,
    request::{DetachKeys, Streams},
};
use hull_types::{ContainerId, ContainerName};
use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    termios::isatty,
};

use crate::{
    Failure, UsageError, output,
    terminal::{Monitor, Near, Outcome, Passing, Signals, callers_size, relay},
};

/// How the caller wants to be attached.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) streams: Streams,
    pub(super) keys: DetachKeys,
    pub(super) passing: Passing,
    /// Whether the end of the caller's input is the end of the container's.
    pub(super) ends_input: bool,
}

/// The container one is attached to.
#[derive(Debug)]
pub(super) struct Name<'a> {
    pub(super) id: &'a ContainerId,
    pub(super) name: &'a ContainerName,
    pub(super) terminal: bool,
}

/// Refuses a terminal at the far end whose keys nobody could press.
pub(super) fn terminal_agrees(verb: &str, terminal: bool, stdin: bool) -> Result<(), UsageError> {
    if terminal && stdin && !isatty(rustix::stdio::stdin()) {
        return Err(UsageError::Words {
            verb: verb.to_owned(),
            problem: "cannot give the container a terminal: standard input is not one".to_owned(),
            hint: "leave -t out to pipe into the container".to_owned(),
        });
    }
    Ok(())
}

/// Starts a container with the caller as its monitor's first client, so that nothing it writes is missed.
pub(super) fn start(
    engine: &Engine,
    created: Created,
    wanted: Wanted,
) -> Result<ExitCode, Failure> {
    let Created {
        held,
        id,
        name,
        config,
        ..
    } = created;
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|source| Failure::Streams {
        what: "make a socket for the container's streams",
        source,
    })?;
    let how = How::Behind {
        client: Some(theirs),
        size: callers_size(),
    };
    let order = engine.order(held, id, &name, &config, how)?;
    // Before the start: a signal that comes meanwhile is the container's.
    let signals = take(wanted.passing)?;
    let started = engine.hand_over(order)?;
    output::notes(&started.warnings);
    let container = Name {
        id: &id,
        name: &name,
        terminal: config.request.process.terminal,
    };
    follow(engine, &container, ours, wanted, signals)
}

/// Attaches to a container that runs.
pub(super) fn join(
    engine: &Engine,
    container: &Name<'_>,
    socket: OwnedFd,
    wanted: Wanted,
) -> Result<ExitCode, Failure> {
    let signals = take(wanted.passing)?;
    if container.terminal
        && let Some((rows, columns)) = callers_size()
    {
        use crate::terminal::Far as _;
        let mut far = Monitor::new(socket);
        // A size that changes makes what runs there draw itself anew.
        far.resize((rows.saturating_add(1), columns));
        far.resize((rows, columns));
        return follow_far(engine, container, far, wanted, signals);
    }
    follow(engine, container, socket, wanted, signals)
}

fn take(passing: Passing) -> Result<Signals, Failure> {
    Signals::take(passing).map_err(|source| Failure::Streams {
        what: "take over signals",
        source,
    })
}

fn follow(
    engine: &Engine,
    container: &Name<'_>,
    socket: OwnedFd,
    wanted: Wanted,
    signals: Signals,
) -> Result<ExitCode, Failure> {
    follow_far(engine, container, Monitor::new(socket), wanted, signals)
}

fn follow_far(
    engine: &Engine,
    container: &Name<'_>,
    mut far: Monitor,
    wanted: Wanted,
    signals: Signals,
) -> Result<ExitCode, Failure> {
    let id = container.id.to_string();
    let near = Near {
        streams: wanted.streams,
        terminal: container.terminal.then_some(&wanted.keys),
        ends_input: wanted.ends_input,
        signals,
    };
    let outcome = relay(&mut far, near, |signal| match engine.kill(&id, signal) {
        // It ended meanwhile: that is told by its monitor.
        Ok(()) | Err(_) => Ok(()),
    })?;
    Ok(match outcome {
        Outcome::Exited(code) => ExitCode::from(code),
        Outcome::Left => {
            let name = container.name;
            let note = format!("container {name} goes on; `hull attach {name}` comes back");
            output::notes(&[note]);
            ExitCode::SUCCESS
        }
        Outcome::Fed => ExitCode::SUCCESS,
        Outcome::Signalled(signal) => {
            ExitCode::from(u8::try_from(128 + signal.number()).unwrap_or(255))
        }
        Outcome::Gone => return lost(engine, container),
    })
}

/// The monitor went away without a word: it was killed, or had no patience with a caller that did not read.
fn lost(engine: &Engine, container: &Name<'_>) -> Result<ExitCode, Failure> {
    let lost = || Failure::Lost {
        name: container.name.to_string(),
    };
    // The kernel ends the container right after its monitor.
    for _ in 0..20 {
        let listed = engine.find(&container.id.to_string()).map_err(|_| lost())?;
        if let Some(exit) = listed.status.exit() {
            return Ok(ExitCode::from(exit.code));
        }
        if listed.is_supervised() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    Err(lost())
}

/// Says which signals go on: with a terminal and its keys at the far end, none, as the caller's end is not the container's.
pub(super) fn passing(wanted: bool, terminal: bool, stdin: bool) -> Passing {
    match (wanted, terminal) {
        (false, _) => Passing::None,
        (true, false) => Passing::All,
        (true, true) if stdin => Passing::None,
        (true, true) => Passing::Keys,
    }
}
