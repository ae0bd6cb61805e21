//! Links liblogtap.so without a C library. Only for the profile that ships it: an ordinary build of this
//! package is a plain library for tests and lints.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    let profile = Path::new(&out).ancestors().nth(3).and_then(Path::file_name);
    if profile.is_none_or(|profile| profile != "preload") {
        return;
    }
    // The largest page that a kernel of the architecture may have. More than that makes every loader map, cut
    // and unmap to find such an address.
    let page = match std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("x86_64") => 4096,
        _ => 65536,
    };
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,max-page-size={page}");
    for argument in [
        "-nostdlib",
        "-nostartfiles",
        "-Wl,-soname,liblogtap.so",
        "-Wl,-Bsymbolic",
        "-Wl,--hash-style=both",
        "-Wl,-z,now",
        "-Wl,-z,relro",
        "-Wl,-z,noexecstack",
        "-Wl,-z,separate-loadable-segments",
        "-Wl,-z,nodelete",
        "-Wl,-z,initfirst",
        "-Wl,-z,defs",
        "-Wl,--build-id=sha1",
        "-Wl,--gc-sections",
    ] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
