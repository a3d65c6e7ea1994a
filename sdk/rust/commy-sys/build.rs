//! Finds libcommy: in $COMMY_LIBRARY_DIR, else through pkg-config. Anything else is an error that says what to do.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const SONAME: &str = "libcommy.so.1";

/// Where the library and its headers are.
struct Found {
    libdir: Option<PathBuf>,
    include: Vec<PathBuf>,
}

fn from_directory(dir: PathBuf) -> Result<Found, String> {
    let dir = dir.canonicalize().map_err(|e| format!("COMMY_LIBRARY_DIR is {}: {e}", dir.display()))?;
    if !dir.join(SONAME).is_file() {
        return Err(format!("COMMY_LIBRARY_DIR is {}, where there is no {SONAME}", dir.display()));
    }
    let include = match env::var_os("COMMY_INCLUDE_DIR") {
        Some(include) => vec![PathBuf::from(include)],
        None => dir.parent().map(|prefix| prefix.join("include")).into_iter().collect(),
    };
    Ok(Found { libdir: Some(dir), include })
}

fn pkg_config(what: &[&str]) -> Result<String, String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    let output = Command::new(&program)
        .arg("--print-errors")
        .args(what)
        .arg("commy >= 1")
        .output()
        .map_err(|e| format!("COMMY_LIBRARY_DIR is not set, and {program} does not run: {e}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("COMMY_LIBRARY_DIR is not set, and {program} says: {}", words.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// pkg-config leaves out what the linker and the compiler look at by themselves: asked for by name, it does not.
fn from_pkg_config() -> Result<Found, String> {
    let libdir = PathBuf::from(pkg_config(&["--variable=libdir"])?);
    let include = pkg_config(&["--variable=includedir"])?;
    let libdir = if libdir.join(SONAME).is_file() { Some(libdir) } else { None };
    Ok(Found { libdir, include: vec![PathBuf::from(include)] })
}

/// Cargo adds directories below its own target directory to the run path of what it starts, and no others; and
/// COMMY_LIBRARY_DIR need not have the name that the linker looks for. Links to the library serve both.
fn link_to(libdir: &Path) -> std::io::Result<PathBuf> {
    let links = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("link");
    std::fs::create_dir_all(&links)?;
    for name in [SONAME, "libcommy.so"] {
        let link = links.join(name);
        if link.symlink_metadata().is_ok() {
            std::fs::remove_file(&link)?;
        }
        std::os::unix::fs::symlink(libdir.join(SONAME), &link)?;
    }
    Ok(links)
}

fn tell_cargo(found: &Found) -> std::io::Result<()> {
    if let Some(libdir) = &found.libdir {
        println!("cargo:rustc-link-search=native={}", link_to(libdir)?.display());
        println!("cargo:libdir={}", libdir.display());
        println!("cargo:rerun-if-changed={}", libdir.join(SONAME).display());
    }
    println!("cargo:rustc-link-lib=dylib=commy");
    let include = env::join_paths(&found.include).expect("no directory's name holds a colon");
    println!("cargo:include={}", include.to_string_lossy());
    println!("cargo:rustc-env=COMMY_SYS_INCLUDE={}", include.to_string_lossy());
    Ok(())
}

fn main() -> ExitCode {
    for variable in ["COMMY_LIBRARY_DIR", "COMMY_INCLUDE_DIR", "PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("DOCS_RS").is_some() {
        println!("cargo:rustc-env=COMMY_SYS_INCLUDE=");
        return ExitCode::SUCCESS; // documentation is made where nothing is installed, and links nothing
    }

    let found = match env::var_os("COMMY_LIBRARY_DIR") {
        Some(dir) => from_directory(PathBuf::from(dir)),
        None => from_pkg_config(),
    };
    match found.and_then(|found| tell_cargo(&found).map_err(|e| format!("{SONAME} cannot be linked to: {e}"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}.");
            eprintln!(
                "commy is not installed where this build looks. Install it (in its sources: meson setup build && meson \
                 install -C build), set PKG_CONFIG_PATH to the directory of its commy.pc, or COMMY_LIBRARY_DIR to that of \
                 {SONAME}."
            );
            ExitCode::FAILURE
        }
    }
}
