//! A service registry for one host that lives in shared memory. Programs in any language map one region, register
//! services, find each other in nanoseconds, count their requests there, and vanish from it the instant they die.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/mod.rs"));
//! # fn main() -> commy::Result<()> {
//! # let _place = Place::of_process();
//! let mesh = commy::Mesh::create("test-node", 8080)?;
//! mesh.start()?;
//! mesh.register_service("auth-service", "auth-1", "127.0.0.1", 3001)?;
//! let services = mesh.discover_services("auth-service")?;
//! let stats = mesh.statistics()?; // total_services, healthy_services, ...
//! mesh.stop()?;
//! # assert_eq!(services.len(), 1);
//! # assert_eq!(stats.healthy_services, 1);
//! # Ok(()) }
//! ```
//!
//! # What holds for everything here
//!
//! - Threads: [`Mesh`] is `Send` and `Sync`; any call may run at any time beside any other, [`Mesh::close`] included.
//! - Memory: what a call returns is a copy. Nothing refers to shared memory.
//! - Errors: [`Error`] has a variant for each code of the library and carries its sentence.
//! - Lifetime: dropping a [`Mesh`] unregisters what it registered; so does the end of the process, however it ends.
//! - Forks: in a forked child every call on an inherited mesh fails with [`Error::Forked`]; the parent's is not touched,
//!   also when the child drops its copy. Open the mesh again there.
//! - Blocking: none but [`Mesh::wait`] and [`Watch::wait`], and where a function says so.

#![warn(missing_debug_implementations)]

mod balance;
mod breaker;
mod error;
mod health;
mod json;
mod mesh;
mod query;
mod register;
mod request;
mod service;
mod text;
mod watch;

pub use balance::{LoadBalancer, Policy};
pub use breaker::{BreakerState, CircuitBreaker};
pub use error::{Error, Result};
pub use health::{Checked, HealthConfig};
pub use mesh::{Mesh, OpenOptions, Statistics};
pub use query::{Found, FoundIter};
pub use register::Registration;
pub use request::{Reference, Request, Requests, Token};
pub use service::{Admin, Health, Service, Services, Target};
pub use text::Text;
pub use watch::{Changes, Watch};

use std::ffi::CStr;

/// Sets the library up. Optional and repeatable: opening a mesh does it too.
pub fn init() -> Result<()> {
    // SAFETY: takes nothing.
    error::check(unsafe { commy_sys::commy_ffi_init() })
}

/// Stops and closes every mesh of this process, also those that other libraries in it have opened. Repeatable; meshes may
/// be opened afterwards, and those from before answer [`Error::NoHandle`].
pub fn cleanup() -> Result<()> {
    // SAFETY: takes nothing.
    error::check(unsafe { commy_sys::commy_ffi_cleanup() })
}

/// The version of the library that is loaded, `major.minor.patch`.
pub fn version() -> &'static str {
    // SAFETY: a static text.
    let version = unsafe { CStr::from_ptr(commy_sys::commy_ffi_version()) };
    version.to_str().unwrap_or("")
}

/// The library's few words for a code.
pub fn status_string(code: i32) -> &'static str {
    // SAFETY: a static text for any number.
    let words = unsafe { CStr::from_ptr(commy_sys::commy_status_string(code)) };
    words.to_str().unwrap_or("")
}
