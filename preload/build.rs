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
    for argument in [
        "-nostdlib",
        "-nostartfiles",
        "-Wl,-soname,liblogtap.so",
        "-Wl,-Bsymbolic",
        "-Wl,--hash-style=both",
        "-Wl,-z,now",
        "-Wl,-z,relro",
        "-Wl,-z,noexecstack",
        "-Wl,-z,nodelete",
        "-Wl,-z,initfirst",
        "-Wl,-z,max-page-size=65536",
        "-Wl,-z,defs",
        "-Wl,--build-id=sha1",
        "-Wl,--gc-sections",
    ] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
