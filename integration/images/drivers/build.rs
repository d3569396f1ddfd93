// SPDX-License-Identifier: Apache-2.0
//! Links the guest as tests/bare does: no start files, no libraries, at 1 MiB.

fn main() {
    let bare = "../../../tests/bare/x86_64";
    println!("cargo:rerun-if-changed={bare}/link.ld");
    println!("cargo:rerun-if-changed={bare}/start.S");
    let script = std::fs::canonicalize(format!("{bare}/link.ld")).unwrap();
    for argument in ["-fuse-ld=bfd", "-nostdlib", "-nostartfiles", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,--gc-sections",
                     "-Wl,--no-warn-rwx-segments"] {
        println!("cargo:rustc-link-arg={argument}");
    }
    println!("cargo:rustc-link-arg=-Wl,-T,{}", script.display());
}
