//! The container's streams: what it writes goes to the log and to whoever is attached, what clients type goes in.
//!
//! Nothing here waits: every descriptor is polled, and what cannot be written now is kept. What is kept is bounded by not
//! reading on: while the log is behind, or an attached client is more than [`AHEAD`] bytes behind, the app's own writes wait,
//! as on any pipe.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use hull_types::Timestamp;
use rustix::{
    buffer::spare_capacity,
    event::{PollFd, PollFlags},
    fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat},
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use crate::{
    LogWriter, Stream,
    attach::{FromClient, FromMonitor, PACKET},
};

/// How far a reader may fall behind before the app waits for it.
const AHEAD: usize = 256 << 10;
/// How long an attached client may take nothing before it is dropped: a stopped client must not stop a container.
const PATIENCE: Duration = Duration::from_secs(10);
/// While the disk refuses the log, how often it is asked again.
pub(crate) const RETRY: Duration = Duration::from_millis(200);

/// One thing the app writes to.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) stream: Stream,
    pub(crate) file: OwnedFd,
}

/// Somebody who gets what the app writes.
#[derive(Debug)]
struct Sink {
    file: SinkFile,
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    moved: Instant,
    /// Clients' wish: nothing more will be typed by this one.
    input_ended: bool,
}

#[derive(Debug)]
enum SinkFile {
    /// Our own standard output and error: `hull run` in the foreground.
    Own {
        stream: Stream,
        pipe: bool,
    },
    Client(OwnedFd),
}

/// All streams of one container.
#[derive(Debug)]
pub(crate) struct Streams {
    sources: Vec<Source>,
    sinks: Vec<Sink>,
    log: LogWriter,
    listener: Option<OwnedFd>,
    /// Where typed bytes go: a pipe, or the terminal.
    input: Option<OwnedFd>,
    typed: VecDeque<u8>,
    terminal: bool,
    buffer: Vec<u8>,
}

/// What a descriptor in the poll list stands for.
#[derive(Clone, Copy, Debug)]
enum Role {
    Source(usize),
    Sink(usize),
    Input,
    Listener,
}

impl Streams {
    pub(crate) fn new(
        log: LogWriter,
        sources: Vec<Source>,
        input: Option<OwnedFd>,
        terminal: bool,
    ) -> Self {
        for file in sources.iter().map(|source| &source.file).chain(&input) {
            set_nonblocking(file);
        }
        Self {
            sources,
            sinks: Vec::new(),
            log,
            listener: None,
            input,
            typed: VecDeque::new(),
            terminal,
            buffer: Vec::new(),
        }
    }

    /// Sends a copy to our own standard output and error.
    pub(crate) fn show(&mut self) {
        for (stream, file) in [
            (Stream::Stdout, rustix::stdio::stdout()),
            (Stream::Stderr, rustix::stdio::stderr()),
        ] {
            let pipe = fstat(file)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
            self.add(SinkFile::Own { stream, pipe });
        }
    }

    /// Attaches a client.
    pub(crate) fn attach(&mut self, client: OwnedFd) {
        self.add(SinkFile::Client(client));
    }

    /// Listens for clients.
    pub(crate) fn listen(&mut self, listener: OwnedFd) {
        set_nonblocking(&listener);
        self.listener = Some(listener);
    }

    fn add(&mut self, file: SinkFile) {
        self.sinks.push(Sink {
            file,
            waiting: VecDeque::new(),
            bytes: 0,
            moved: Instant::now(),
            input_ended: false,
        });
    }

    /// Waits until something happens on these streams or on `others`, for which it says which of them are ready; then does all
    /// that can be done without waiting.
    pub(crate) fn turn<const N: usize>(
        &mut self,
        others: [BorrowedFd<'_>; N],
        wait: Option<Duration>,
    ) -> Result<[bool; N], Errno> {
        let mut wait = wait;
        if self.log.is_behind() {
            wait = Some(wait.map_or(RETRY, |wait| wait.min(RETRY)));
        } else if self.sinks.iter().any(|sink| sink.bytes > 0) {
            wait = Some(wait.map_or(PATIENCE, |wait| wait.min(PATIENCE)));
        }
        let (ready, mine) = {
            let roles = self.roles();
            let mut polled: Vec<PollFd<'_>> = others
                .iter()
                .map(|other| PollFd::from_borrowed_fd(*other, PollFlags::IN))
                .collect();
            for (role, flags) in &roles {
                polled.push(PollFd::from_borrowed_fd(self.descriptor(*role), *flags));
            }
            let timeout = wait.and_then(|wait| rustix::event::Timespec::try_from(wait).ok());
            match rustix::event::poll(&mut polled, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            let events: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
            let mut ready = [false; N];
            for (ready, events) in ready.iter_mut().zip(&events) {
                *ready = !events.is_empty();
            }
            let mine: Vec<Role> = roles
                .iter()
                .zip(&events[N..])
                .filter(|(_, events)| !events.is_empty())
                .map(|((role, _), _)| *role)
                .collect();
            (ready, mine)
        };
        if self.log.is_behind() {
            self.log.flush().ok();
        }
        self.serve(&mine);
        Ok(ready)
    }

    /// Whether the app's writes must wait for a reader.
    fn must_wait(&self) -> bool {
        self.log.is_behind() || self.sinks.iter().any(|sink| sink.bytes > AHEAD)
    }

    fn roles(&self) -> Vec<(Role, PollFlags)> {
        let mut roles = Vec::with_capacity(8);
        if !self.must_wait() {
            roles.extend((0..self.sources.len()).map(|at| (Role::Source(at), PollFlags::IN)));
        }
        for (at, sink) in self.sinks.iter().enumerate() {
            let mut flags = PollFlags::empty();
            if sink.bytes > 0 {
                flags |= PollFlags::OUT;
            }
            if matches!(sink.file, SinkFile::Client(_)) && self.typed.len() < AHEAD {
                flags |= PollFlags::IN;
            }
            if !flags.is_empty() {
                roles.push((Role::Sink(at), flags));
            }
        }
        if self.input.is_some() && !self.typed.is_empty() {
            roles.push((Role::Input, PollFlags::OUT));
        }
        if self.listener.is_some() {
            roles.push((Role::Listener, PollFlags::IN));
        }
        roles
    }

    fn descriptor(&self, role: Role) -> BorrowedFd<'_> {
        match role {
            Role::Source(at) => self.sources[at].file.as_fd(),
            Role::Sink(at) => self.sinks[at].file.descriptor(),
            Role::Input => self
                .input
                .as_ref()
                .map_or(rustix::stdio::stdin(), AsFd::as_fd),
            Role::Listener => self
                .listener
                .as_ref()
                .map_or(rustix::stdio::stdin(), AsFd::as_fd),
        }
    }

    fn serve(&mut self, ready: &[Role]) {
        let (mut closed, mut gone) = (Vec::new(), Vec::new());
        for role in ready {
            match *role {
                Role::Source(at) if !self.read_source(at) => closed.push(at),
                Role::Sink(at) if !self.serve_client(at) => gone.push(at),
                Role::Input => self.write_input(),
                Role::Listener => self.accept(),
                Role::Source(_) | Role::Sink(_) => {}
            }
        }
        for at in closed.into_iter().rev() {
            self.sources.remove(at);
        }
        let now = Instant::now();
        for (at, sink) in self.sinks.iter_mut().enumerate() {
            if sink.bytes == 0 {
                sink.moved = now;
            } else if !sink.flush(now) {
                // Whoever read our own output has left: the app finds its pipe closed, as in any pipeline.
                if let SinkFile::Own { stream, .. } = sink.file {
                    self.sources.retain(|source| source.stream != stream);
                }
                gone.push(at);
            } else if sink.is_stuck(now) {
                gone.push(at);
            }
        }
        gone.sort_unstable();
        gone.dedup();
        for at in gone.into_iter().rev() {
            self.sinks.remove(at);
        }
    }

    /// Reads what a source has. `false`: it has ended.
    fn read_source(&mut self, at: usize) -> bool {
        self.buffer.clear();
        self.buffer.reserve(64 << 10);
        let source = &self.sources[at];
        match rustix::io::read(&source.file, spare_capacity(&mut self.buffer)) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::INTR) => return true,
            // A terminal whose last user is gone answers EIO.
            Err(_) => return false,
        }
        let bytes = &self.buffer[..];
        let stream = source.stream;
        for sink in &mut self.sinks {
            sink.push(stream, bytes);
        }
        // A disk that refuses is asked again later; the bytes wait in the writer.
        self.log.write(stream, bytes, Timestamp::now()).ok();
        true
    }

    /// Takes a client's packets. `false`: it is gone.
    fn serve_client(&mut self, at: usize) -> bool {
        let SinkFile::Client(socket) = &self.sinks[at].file else {
            return true;
        };
        let mut packet = [0; PACKET + 1];
        let count = match recv(socket, &mut packet[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => return false,
            Ok((count, _)) => count,
            Err(Errno::AGAIN | Errno::INTR) => return true,
            Err(_) => return false,
        };
        match FromClient::parse(&packet[..count]) {
            Some(FromClient::Input(bytes)) if self.input.is_some() => {
                self.typed.extend(bytes);
                self.write_input();
            }
            Some(FromClient::InputEnded) => {
                self.sinks[at].input_ended = true;
                self.end_input();
            }
            Some(FromClient::Resize { rows, columns }) if self.terminal => {
                self.resize(rows, columns)
            }
            _ => {}
        }
        true
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = rustix::termios::Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        if let Some(terminal) = &self.input {
            // A terminal that is gone needs no size.
            rustix::termios::tcsetwinsize(terminal, size).ok();
        }
    }

    /// Closes the app's standard input once everything typed has been written. A terminal is never closed: the line
    /// discipline's end-of-file character says it.
    fn end_input(&mut self) {
        if !self.terminal && self.typed.is_empty() && self.sinks.iter().any(|sink| sink.input_ended)
        {
            self.input = None;
        }
    }

    fn write_input(&mut self) {
        while let Some(input) = &self.input {
            let (head, _) = self.typed.as_slices();
            if head.is_empty() {
                break;
            }
            match rustix::io::write(input, head) {
                Ok(count) => drop(self.typed.drain(..count)),
                Err(Errno::AGAIN | Errno::INTR) => return,
                // The app closed its standard input: what is typed goes nowhere.
                Err(_) => {
                    self.typed.clear();
                    if !self.terminal {
                        self.input = None;
                    }
                }
            }
        }
        self.end_input();
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else {
            return;
        };
        if let Ok(client) = rustix::net::accept_with(listener, rustix::net::SocketFlags::CLOEXEC) {
            self.attach(client);
        }
    }

    /// Takes what is left after the app is gone: reads until there is nothing now, and writes the log out.
    pub(crate) fn drain(&mut self) {
        let mut at = 0;
        while at < self.sources.len() {
            let before = self.log.is_behind();
            if before && self.log.flush().is_err() {
                break;
            }
            if !self.has_more(at) || !self.read_source(at) {
                at += 1;
            }
        }
        self.sources.clear();
    }

    fn has_more(&self, at: usize) -> bool {
        let mut polled = [PollFd::from_borrowed_fd(
            self.sources[at].file.as_fd(),
            PollFlags::IN,
        )];
        let now = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        rustix::event::poll(&mut polled, Some(&now)).is_ok_and(|count| count > 0)
            && polled[0].revents().contains(PollFlags::IN)
    }

    /// Tells everyone attached how it ended, after all it wrote; gives each a moment to take it. Whoever reads our own output may
    /// take as long as it likes, as with any program.
    pub(crate) fn end(&mut self, code: u8) {
        for sink in &mut self.sinks {
            if matches!(sink.file, SinkFile::Client(_)) {
                sink.queue(FromMonitor::Exited(code).to_packet());
            }
        }
        self.listener = None;
        loop {
            let now = Instant::now();
            self.sinks
                .retain_mut(|sink| sink.flush(now) && sink.bytes > 0 && !sink.is_stuck(now));
            if self.sinks.is_empty() {
                return;
            }
            let mut polled: Vec<PollFd<'_>> = self
                .sinks
                .iter()
                .map(|sink| PollFd::from_borrowed_fd(sink.file.descriptor(), PollFlags::OUT))
                .collect();
            let wait = rustix::event::Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            };
            if rustix::event::poll(&mut polled, Some(&wait)).is_err() {
                return;
            }
        }
    }
}

impl SinkFile {
    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own {
                stream: Stream::Stdout,
                ..
            } => rustix::stdio::stdout(),
            Self::Own {
                stream: Stream::Stderr,
                ..
            } => rustix::stdio::stderr(),
            Self::Client(socket) => socket.as_fd(),
        }
    }
}

impl Sink {
    /// Takes output of one stream, if it is this sink's.
    fn push(&mut self, from: Stream, bytes: &[u8]) {
        match &self.file {
            SinkFile::Own { stream, .. } if *stream == from => self.queue(bytes.to_vec()),
            SinkFile::Own { .. } => {}
            SinkFile::Client(_) => {
                for part in bytes.chunks(PACKET) {
                    let packet = match from {
                        Stream::Stdout => FromMonitor::Stdout(part.to_vec()),
                        Stream::Stderr => FromMonitor::Stderr(part.to_vec()),
                    };
                    self.queue(packet.to_packet());
                }
            }
        }
    }

    /// Whether a client has taken nothing for too long. Our own output is never given up: a pager that
    /// waits for its reader is no reason to lose lines.
    fn is_stuck(&self, now: Instant) -> bool {
        matches!(self.file, SinkFile::Client(_)) && now.duration_since(self.moved) > PATIENCE
    }

    fn queue(&mut self, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.waiting.push_back(bytes);
    }

    /// Writes what can be written without waiting. `false`: nobody is there to take it.
    fn flush(&mut self, now: Instant) -> bool {
        while let Some(front) = self.waiting.front_mut() {
            let written = match &self.file {
                SinkFile::Client(socket) => {
                    send(socket, front, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
                }
                // Our standard output may be shared with others, so it is not made non-blocking. A pipe that is writable at all
                // takes a page without waiting.
                SinkFile::Own { pipe, .. } => {
                    let file = self.file.descriptor();
                    if !is_writable(file) {
                        return true;
                    }
                    let most = if *pipe {
                        front.len().min(4096)
                    } else {
                        front.len()
                    };
                    rustix::io::write(file, &front[..most])
                }
            };
            match written {
                Ok(count) => {
                    self.bytes -= count;
                    self.moved = now;
                    if count == front.len() {
                        self.waiting.pop_front();
                    } else {
                        front.drain(..count);
                    }
                }
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }
}

fn is_writable(file: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(file, PollFlags::OUT)];
    let now = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    rustix::event::poll(&mut polled, Some(&now)).is_ok_and(|count| count > 0)
}

fn set_nonblocking(file: &OwnedFd) {
    if let Ok(flags) = fcntl_getfl(file) {
        // A descriptor that refuses is one whose reads never wait.
        fcntl_setfl(file, flags | OFlags::NONBLOCK).ok();
    }
}
