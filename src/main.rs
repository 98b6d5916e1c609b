//! The `promox` program: one binary that serves, imports, backs up and verifies a shop.

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Whatever is written, by any library, is for who runs this alone.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    // Huge pages would round a small shop up: 12 MiB more of nothing. Where they cannot be done without it is right all the same.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // One crypto library for everything; a provider that is installed already is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    promox::cli::main()
}
