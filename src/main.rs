//! The `promox` program: one binary that serves, imports, backs up and verifies a shop.

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Files that any library writes are private to the user who runs the program.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    // Huge pages would cost a small shop 12 MiB of unused memory. Failing to switch them off is harmless.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // One TLS crypto provider for the whole process; an error means that it is already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    promox::cli::main()
}
