//! What commands print on standard output.

use std::fmt;
use std::io::{self, Write as _};

/// Prints a line. See [`print`].
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::cli::output::print(format_args!("{}\n", format_args!($($argument)*)))
    };
}
pub(super) use say;

/// Prints a text. A reader that has closed the pipe, such as `head`, does not end the command; any other failure, such as
/// a full disk, ends it with 74, because what the command was asked for is lost.
pub(super) fn print(text: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    let written = out.write_fmt(text).and_then(|()| out.flush());
    if let Err(error) = written.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    }) {
        eprintln!("the output could not be written: {error}");
        std::process::exit(i32::from(crate::exit::IO));
    }
}
