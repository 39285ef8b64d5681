//! How an image is fetched, shown while it is: bars on a terminal, lines elsewhere.
//!
//! Nothing here has a thread: bars are drawn when bytes come, because whoever fetches may become a monitor afterwards.

use std::{
    collections::HashMap,
    io::{self, IsTerminal},
};

use hull_engine::{Descriptor, Engine, Progress};
use hull_types::{Digest, Reference};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{format::human, output};

/// Where progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// Standard output: progress is what the verb prints.
    Output,
    /// Standard error: standard output is somebody else's.
    Error,
}

impl Voice {
    fn is_terminal(self) -> bool {
        match self {
            Self::Output => io::stdout().is_terminal(),
            Self::Error => io::stderr().is_terminal(),
        }
    }

    fn say(self, line: &str) {
        let line = format!("{line}\n");
        match self {
            // Who does not listen to progress may still want the image.
            Self::Output => output::print(&line).unwrap_or_default(),
            Self::Error => output::complain(&line),
        }
    }

    fn target(self) -> ProgressDrawTarget {
        match self {
            Self::Output => ProgressDrawTarget::stdout(),
            Self::Error => ProgressDrawTarget::stderr(),
        }
    }
}

/// Returns what shows progress there.
pub(crate) fn to(voice: Voice) -> Box<dyn Progress> {
    if voice.is_terminal() {
        Box::new(Bars::new(voice))
    } else {
        Box::new(Lines {
            voice,
            layers: Vec::new(),
        })
    }
}

/// Sets how the image of a new container is fetched, if it must be.
pub(crate) fn of_container(engine: &Engine, quiet: bool, insecure: &[String]) {
    if !quiet {
        engine.report_to(to(Voice::Error));
    }
    engine.allow_plain_http(insecure);
}

/// Returns what a layer is called: docker's twelve digits.
fn short(layer: &Digest) -> &str {
    &layer.hex()[..12]
}

/// Returns docker's first line about a fetch.
fn title(name: &Reference) -> String {
    let tag = match (name.tag(), name.digest()) {
        (_, Some(digest)) => digest.to_string(),
        (Some(tag), None) => tag.as_str().to_owned(),
        (None, None) => "latest".to_owned(),
    };
    format!("{tag}: Pulling from {}", name.name())
}

/// A line when a layer begins and one when it is there: for logs and files.
struct Lines {
    voice: Voice,
    /// Layers that were not spoken of yet, lowest first.
    layers: Vec<Descriptor>,
}

impl Lines {
    /// Layers come in order: those before the one that comes were here.
    fn take_until(&mut self, layer: Option<&Digest>) {
        let end = self
            .layers
            .iter()
            .position(|other| Some(&other.digest) == layer);
        let end = end.unwrap_or(self.layers.len());
        for here in self.layers.drain(..end) {
            self.voice
                .say(&format!("{}: Already exists", short(&here.digest)));
        }
    }
}

impl Progress for Lines {
    fn begun(&mut self, name: &Reference) {
        self.voice.say(&title(name));
    }

    fn layers(&mut self, layers: &[Descriptor]) {
        self.layers = layers.to_vec();
    }

    fn received(&mut self, layer: &Digest, bytes: u64, size: u64) {
        if self.layers.iter().any(|other| other.digest == *layer) {
            self.take_until(Some(layer));
            self.layers.remove(0);
            let size = human::size(size);
            self.voice.say(&format!("{}: Pulling {size}", short(layer)));
        }
        if bytes == size {
            self.voice.say(&format!("{}: Pull complete", short(layer)));
        }
    }

    fn ended(&mut self, whole: bool) {
        if whole {
            self.take_until(None);
        }
    }
}

/// A bar for each layer, and one for all of them.
struct Bars {
    screen: MultiProgress,
    voice: Voice,
    layers: Vec<Descriptor>,
    bars: HashMap<Digest, ProgressBar>,
    total: ProgressBar,
}

impl Bars {
    fn new(voice: Voice) -> Self {
        Self {
            screen: MultiProgress::with_draw_target(voice.target()),
            voice,
            layers: Vec::new(),
            bars: HashMap::new(),
            total: ProgressBar::hidden(),
        }
    }

    /// Layers come in order: those before the one that comes were here, and are no part of what is still to come.
    fn pass_over(&mut self, layer: Option<&Digest>) {
        let end = self
            .layers
            .iter()
            .position(|other| Some(&other.digest) == layer);
        for here in self.layers.drain(..end.unwrap_or(self.layers.len())) {
            if let Some(bar) = self.bars.get(&here.digest)
                && bar.position() == 0
                && !bar.is_finished()
            {
                close(bar, "Already exists");
                self.total
                    .set_length(self.total.length().unwrap_or(0).saturating_sub(here.size));
            }
        }
    }
}

impl Progress for Bars {
    fn begun(&mut self, name: &Reference) {
        self.voice.say(&title(name));
    }

    fn layers(&mut self, layers: &[Descriptor]) {
        self.layers = layers.to_vec();
        for layer in layers {
            if self.bars.contains_key(&layer.digest) {
                continue;
            }
            let bar = self.screen.add(ProgressBar::new(layer.size));
            bar.set_style(style("{prefix}: {msg}"));
            bar.set_prefix(short(&layer.digest).to_owned());
            bar.set_message("Waiting");
            bar.tick();
            self.bars.insert(layer.digest.clone(), bar);
        }
        if layers.len() > 1 {
            let sum = layers.iter().map(|layer| layer.size).sum();
            self.total = self.screen.add(ProgressBar::new(sum));
            self.total.set_prefix("Total");
            self.total.set_style(style(
                "{prefix:>12}: [{bar:40}] {decimal_bytes:>10}/{decimal_total_bytes}  {decimal_bytes_per_sec} {eta:>4}",
            ));
        }
    }

    fn received(&mut self, layer: &Digest, bytes: u64, size: u64) {
        if bytes == 0 {
            self.pass_over(Some(layer));
        }
        let Some(bar) = self.bars.get(layer) else {
            return;
        };
        if bytes == 0 {
            bar.set_style(style(
                "{prefix}: [{bar:40}] {decimal_bytes:>10}/{decimal_total_bytes}",
            ));
            bar.set_message("");
            bar.reset_elapsed();
        }
        self.total.inc(bytes.saturating_sub(bar.position()));
        bar.set_position(bytes);
        if bytes == size {
            close(bar, "Pull complete");
        }
    }

    fn ended(&mut self, whole: bool) {
        if whole {
            self.pass_over(None);
        }
        self.total.finish_and_clear();
        for bar in self.bars.values().filter(|bar| !bar.is_finished()) {
            if bar.position() > 0 {
                bar.abandon();
            } else {
                bar.finish_and_clear();
            }
        }
        // What was drawn stays above what is said next.
        self.screen.set_move_cursor(false);
    }
}

/// Ends a bar with a word in its place.
fn close(bar: &ProgressBar, word: &'static str) {
    bar.set_style(style("{prefix}: {msg}"));
    bar.finish_with_message(word);
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates here are right")
        .progress_chars("=> ")
}
