//! Collects the faults of a request, so that all are reported at once.

use promox_kernel::{Error, FieldError};

/// The faults found so far.
#[derive(Default)]
pub(crate) struct Faults(Vec<FieldError>);

impl Faults {
    /// The value, or a fault at `pointer` and a placeholder that is never used.
    pub(crate) fn take<T: Default>(&mut self, pointer: &str, checked: Result<T, String>) -> T {
        checked.unwrap_or_else(|detail| {
            self.0.push(FieldError::new(pointer, detail));
            T::default()
        })
    }

    /// As [`Faults::take`], for an optional member.
    pub(crate) fn optional<T>(
        &mut self,
        pointer: &str,
        value: Option<&str>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let checked = value.map(check).transpose();
        self.take(pointer, checked)
    }

    /// Adds a fault with its own code.
    pub(crate) fn note(&mut self, fault: FieldError) {
        self.0.push(fault);
    }

    /// Fails when there are faults.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::invalid(self.0)) }
    }
}
