//! What was begun is undone, unless it is kept.

use std::fmt;

type Step<'a> = Box<dyn FnOnce() + 'a>;

/// Steps back, taken newest first when this is dropped, unless [`Undo::keep`] was called.
///
/// What the steps borrow has to be declared before the list: it is used when the list is dropped.
///
/// A step that fails does not keep the older ones from being taken. Nobody is told: something else has failed already, and what
/// stays is for a collector.
#[derive(Default)]
pub struct Undo<'a> {
    steps: Vec<(&'static str, Step<'a>)>,
}

impl<'a> Undo<'a> {
    /// Adds the step back from what was just done. `what` reads well after "cannot": `remove snapshot`.
    pub fn push<E>(&mut self, what: &'static str, step: impl FnOnce() -> Result<(), E> + 'a) {
        self.steps.push((what, Box::new(|| drop(step()))));
    }

    /// Forgets every step: all that was begun is finished. Nothing after it should be able to fail.
    pub fn keep(mut self) {
        self.steps.clear();
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let newest_first = std::mem::take(&mut self.steps).into_iter().rev();
        newest_first.for_each(|(_, step)| step());
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

    #[test]
    fn steps_are_taken_back_newest_first_though_one_fails() {
        let done = RefCell::new(Vec::new());
        let step = |number| {
            done.borrow_mut().push(number);
            if number == 2 { Err(()) } else { Ok(()) }
        };
        let mut undo = Undo::default();
        (1..=3).for_each(|number| undo.push("count", move || step(number)));
        assert_eq!(format!("{undo:?}"), r#"["count", "count", "count"]"#);
        drop(undo);
        assert_eq!(*done.borrow(), [3, 2, 1]);
    }

    #[test]
    fn kept_steps_are_not_taken() {
        let mut undo = Undo::default();
        undo.push("do this", || -> Result<(), ()> { panic!("it was kept") });
        undo.keep();
    }
}
