//! Has the linker fold identical functions in release builds, because generic code is compiled for many types of the same
//! shape, and pack the relocations of pointers in constants, which otherwise take 24 bytes each.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MOLD_PATH");
    let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    // Where rustc links with lld, which can do both; GNU ld cannot.
    let has_lld = set("CARGO_CFG_TARGET_ARCH", "x86_64") && set("CARGO_CFG_TARGET_OS", "linux");
    if has_lld && set("CARGO_CFG_TARGET_ENV", "gnu") && set("PROFILE", "release") {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        // `mold -run` replaces lld and sets this variable. Before version 2, mold omits the mark without which glibc
        // refuses to load a program with packed relocations.
        if std::env::var_os("MOLD_PATH").is_none() && loads_packed_relocations() {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}

/// Whether this machine's glibc is 2.36 or newer, which is the first to load packed relocations.
fn loads_packed_relocations() -> bool {
    let Ok(output) = std::process::Command::new("getconf").arg("GNU_LIBC_VERSION").output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let number = |text: &str| text.parse::<u32>().ok();
    version.and_then(|(major, minor)| Some((number(major)?, number(minor)?))).is_some_and(|version| version >= (2, 36))
}
