use std::{
    os::fd::{AsFd, OwnedFd},
    process::ExitCode,
};

use hull_engine::{
    ExecRequest, Running, Stdio, TerminalSize,
    request::{Environment, Streams},
};
use hull_sys::clone::{Forked, fork};
use hull_types::Signal;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    io::{Errno, retry_on_intr},
    pipe::{PipeFlags, pipe_with},
    process::{WaitId, WaitIdOptions, pidfd_send_signal, waitid},
};

use super::{
    Perform,
    attached::{passing, terminal_agrees},
};
use crate::{
    Failure,
    args::{
        Exec, Globals,
        options::{self, Caller},
    },
    output,
    terminal::{Near, Outcome, Passing, Pty, Signals, Wish, callers_size, relay},
};

impl Perform for Exec {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let (container, command) = self.split()?;
        let terminal = self.streams.tty && !self.detach;
        let stdin = self.streams.interactive && !self.detach;
        terminal_agrees("exec", terminal, stdin)?;
        let directory = self.workdir.as_deref();
        let request = ExecRequest {
            command: command.to_vec(),
            environment: Environment(self.environment.meant(Caller::this_process())?),
            directory: directory.map(options::directory).transpose()?,
            user: self.user.clone(),
            privileged: self.privileged,
            // With a terminal, its end says it.
            die_with_caller: !self.detach && !terminal,
        };
        let engine = globals.engine()?;
        let listed = engine.find(container.as_str())?;
        // Before the start: a signal that comes meanwhile is the process's.
        let signals = match self.detach {
            true => None,
            false => Some(take(passing(true, terminal, stdin))?),
        };
        let running = engine.exec(&listed, &request, self.stdio(terminal, stdin)?)?;
        let warnings: Vec<String> = running.warnings.iter().map(ToString::to_string).collect();
        output::notes(&warnings);
        match signals {
            None => Ok(ExitCode::SUCCESS),
            Some(signals) if terminal => self.relayed(running, signals, stdin),
            Some(signals) => watched(&running, &signals),
        }
    }
}

impl Exec {
    /// Without a terminal the caller's own streams are the process's: nothing stands between.
    fn stdio(&self, terminal: bool, stdin: bool) -> Result<Stdio, Failure> {
        if terminal {
            let (rows, columns) = callers_size().unwrap_or((24, 80));
            return Ok(Stdio::Terminal(TerminalSize { rows, columns }));
        }
        let own = |stream| rustix::io::fcntl_dupfd_cloexec(stream, 3);
        let make = || -> Result<Stdio, Errno> {
            Ok(Stdio::Streams {
                stdin: match stdin {
                    true => own(rustix::stdio::stdin())?,
                    false => null()?,
                },
                stdout: match self.detach {
                    true => null()?,
                    false => own(rustix::stdio::stdout())?,
                },
                stderr: match self.detach {
                    true => null()?,
                    false => own(rustix::stdio::stderr())?,
                },
            })
        };
        make().map_err(|source| Failure::Streams {
            what: "pass standard streams on",
            source,
        })
    }

    /// Stands between the caller's terminal and the process's.
    fn relayed(
        &self,
        mut running: Running,
        signals: Signals,
        stdin: bool,
    ) -> Result<ExitCode, Failure> {
        let Some(master) = running.terminal.take() else {
            return watched(&running, &signals);
        };
        let keys = self.detach_keys.clone().unwrap_or_default();
        let near = Near {
            streams: Streams {
                stdin,
                stdout: true,
                stderr: true,
            },
            terminal: Some(&keys),
            ends_input: false,
            signals,
        };
        let mut far =
            Pty::new(master, running.pidfd.as_fd()).map_err(|source| Failure::Streams {
                what: "use the terminal",
                source,
            })?;
        let outcome = relay(&mut far, near, |signal| pass_on(&running, signal))?;
        match outcome {
            Outcome::Left => leave(far.into_master()),
            Outcome::Signalled(signal) => Ok(ExitCode::from(
                u8::try_from(128 + signal.number()).unwrap_or(255),
            )),
            Outcome::Exited(_) | Outcome::Gone | Outcome::Fed => wait(&running),
        }
    }
}

/// The process goes on without the caller: somebody has to hold its terminal, and read what it writes.
///
/// Whoever stays leaves the caller's session before the caller ends. With a session's leader everybody goes who is still in
/// the foreground of its terminal (`SIGHUP`), and with the one who stays, the process: its terminal would hang up.
fn leave(master: OwnedFd) -> Result<ExitCode, Failure> {
    let failed = |source| Failure::Streams {
        what: "leave the terminal to a process of its own",
        source,
    };
    let (stays, says) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    if let Forked::Parent { .. } = fork().map_err(failed)? {
        drop((says, master));
        return match retry_on_intr(|| rustix::io::read(&stays, &mut [0; 1][..])) {
            Ok(0) => Err(failed(Errno::SRCH)),
            Ok(_) => Ok(ExitCode::SUCCESS),
            Err(source) => Err(failed(source)),
        };
    }
    rustix::process::setsid().map_err(failed)?;
    let null = null().map_err(failed)?;
    rustix::stdio::dup2_stdin(&null).map_err(failed)?;
    rustix::stdio::dup2_stdout(&null).map_err(failed)?;
    rustix::stdio::dup2_stderr(&null).map_err(failed)?;
    rustix::io::write(&says, &[0]).map_err(failed)?;
    let mut bytes = [0; 4096];
    loop {
        let mut polled = [PollFd::new(&master, PollFlags::IN)];
        poll(&mut polled, None::<&Timespec>).ok();
        match rustix::io::read(&master, &mut bytes[..]) {
            Ok(0) => break,
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => break,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for a process that has the caller's own streams, passing signals on.
fn watched(running: &Running, signals: &Signals) -> Result<ExitCode, Failure> {
    loop {
        let mut polled = [
            PollFd::new(&running.pidfd, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        match poll(&mut polled, None::<&Timespec>) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(source) => {
                return Err(Failure::Streams {
                    what: "wait for the command",
                    source,
                });
            }
        }
        if !polled[0].revents().is_empty() {
            return wait(running);
        }
        while let Some(wish) = signals.next() {
            if let Wish::PassOn(signal) = wish {
                pass_on(running, signal)?;
            }
        }
    }
}

fn pass_on(running: &Running, signal: Signal) -> Result<(), Failure> {
    if let Some(signal) = hull_sys::signal::from_raw(signal.number()) {
        // One that has ended takes no signal.
        pidfd_send_signal(&running.pidfd, signal).ok();
    }
    Ok(())
}

/// Waits until the process has ended; its code is the caller's.
fn wait(running: &Running) -> Result<ExitCode, Failure> {
    loop {
        match waitid(WaitId::PidFd(running.pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                let code = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => code & 0xff,
                    (None, Some(signal)) => 128 + signal,
                    (None, None) => 255,
                };
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(255)));
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(source) => {
                return Err(Failure::Streams {
                    what: "wait for the command",
                    source,
                });
            }
        }
    }
}

fn null() -> Result<OwnedFd, Errno> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

fn take(passing: Passing) -> Result<Signals, Failure> {
    Signals::take(passing).map_err(|source| Failure::Streams {
        what: "take over signals",
        source,
    })
}
