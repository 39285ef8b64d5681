//! What was begun is undone, unless it is kept.

use std::error::Error;
use std::fmt;

/// Why a step could not be undone.
#[derive(Debug)]
pub struct UndoFailure {
    /// The step, in the words it was pushed with.
    pub what: &'static str,
    /// What went wrong.
    pub error: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for UndoFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.what)
    }
}

impl Error for UndoFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.error.as_ref())
    }
}

type Action<'a> = Box<dyn FnOnce() -> Result<(), Box<dyn Error + Send + Sync>> + 'a>;
type Report<'a> = Box<dyn FnMut(UndoFailure) + 'a>;

/// Steps back, taken newest first when this is dropped, unless [`Undo::keep`] was called.
///
/// What the steps borrow has to be declared before the list: it is used when the list is dropped.
///
/// A step that fails does not keep the older ones from being taken. Failures go to the report, if there is one: they are
/// logged, never raised, as something else has failed already.
#[derive(Default)]
pub struct Undo<'a> {
    steps: Vec<(&'static str, Action<'a>)>,
    report: Option<Report<'a>>,
}

impl<'a> Undo<'a> {
    /// Returns an empty list whose failures are given to `report`.
    pub fn reporting(report: impl FnMut(UndoFailure) + 'a) -> Self {
        Self {
            steps: Vec::new(),
            report: Some(Box::new(report)),
        }
    }

    /// Adds the step back from what was just done. `what` reads well after "cannot": `remove snapshot`.
    pub fn push<E: Into<Box<dyn Error + Send + Sync>>>(
        &mut self,
        what: &'static str,
        step: impl FnOnce() -> Result<(), E> + 'a,
    ) {
        self.steps
            .push((what, Box::new(|| step().map_err(Into::into))));
    }

    /// Forgets every step: all that was begun is finished. Nothing after it should be able to fail.
    pub fn keep(mut self) {
        self.steps.clear();
    }

    /// Takes the steps back now and returns what went wrong.
    pub fn run(mut self) -> Vec<UndoFailure> {
        self.take_back()
    }

    fn take_back(&mut self) -> Vec<UndoFailure> {
        let newest_first = std::mem::take(&mut self.steps).into_iter().rev();
        newest_first
            .filter_map(|(what, step)| step().err().map(|error| UndoFailure { what, error }))
            .collect()
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let failures = self.take_back();
        if let Some(report) = &mut self.report {
            failures.into_iter().for_each(report);
        }
    }
}

impl fmt::Debug for Undo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.steps.iter().map(|(what, _)| what))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::io;

    #[test]
    fn steps_are_taken_back_newest_first() {
        let done = RefCell::new(Vec::new());
        let step = |number| {
            done.borrow_mut().push(number);
            Ok::<(), io::Error>(())
        };
        let mut undo = Undo::default();
        (1..=3).for_each(|number| undo.push("count", move || step(number)));
        drop(undo);
        assert_eq!(*done.borrow(), [3, 2, 1]);
    }

    #[test]
    fn kept_steps_are_not_taken() {
        let mut undo = Undo::default();
        undo.push("do this", || -> Result<(), io::Error> {
            panic!("it was kept")
        });
        undo.keep();
    }

    #[test]
    fn failure_is_reported_and_does_not_stop_the_others() {
        let (done, failures) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let mut undo = Undo::reporting(|failure| failures.borrow_mut().push(failure));
        undo.push("remove first", || {
            done.borrow_mut().push(1);
            Ok::<(), io::Error>(())
        });
        undo.push("remove second", || Err("it is busy"));
        drop(undo);
        assert_eq!(*done.borrow(), [1]);
        let failures = failures.into_inner();
        assert_eq!(failures[0].to_string(), "cannot remove second");
        assert_eq!(failures[0].source().unwrap().to_string(), "it is busy");
    }

    #[test]
    fn steps_taken_now_are_not_taken_again() {
        let count = RefCell::new(0);
        let mut undo = Undo::default();
        undo.push("count", || {
            *count.borrow_mut() += 1;
            Err("always")
        });
        assert_eq!(format!("{undo:?}"), "[\"count\"]");
        let failures = undo.run();
        assert_eq!((failures.len(), *count.borrow()), (1, 1));
    }
}
