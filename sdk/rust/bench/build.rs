//! Compiles the loops in C that the crate is measured against, with the C compiler's usual optimisation.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(status.success(), "{command:?}: {status}");
}

fn main() {
    println!("cargo:rerun-if-changed=src/loops.c");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    let (object, archive) = (out.join("loops.o"), out.join("libloops.a"));
    let mut compile = Command::new(env::var("CC").unwrap_or_else(|_| "cc".into()));
    compile.args(["-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-c", "src/loops.c", "-o"]).arg(&object);
    for directory in env::split_paths(&env::var_os("DEP_COMMY_INCLUDE").unwrap_or_default()) {
        compile.arg("-I").arg(directory);
    }
    run(&mut compile);
    let _ = std::fs::remove_file(&archive);
    run(Command::new("ar").arg("rcs").arg(&archive).arg(&object));
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=loops");
}
