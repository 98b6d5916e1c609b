//! Has the linker fold identical functions in release builds: generic code is compiled for many types of the same shape.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    // Where rustc links with lld, which can fold functions; GNU ld cannot.
    let has_lld = set("CARGO_CFG_TARGET_ARCH", "x86_64") && set("CARGO_CFG_TARGET_OS", "linux");
    if has_lld && set("CARGO_CFG_TARGET_ENV", "gnu") && set("PROFILE", "release") {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}
