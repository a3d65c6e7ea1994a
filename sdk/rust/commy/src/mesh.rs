//! Opening a mesh, starting and stopping, and what concerns it as a whole.

use std::ffi::{CStr, CString};
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use commy_sys as sys;

use crate::error::{check, last, Error, Result};
use crate::text::{owned, pointer, with_option, Text};

/// An attachment to one mesh. Dropping it stops and closes it: what it registered is gone from the mesh then.
///
/// A mesh that was never started is started by the first call that needs it.
#[derive(Debug)]
pub struct Mesh {
    pub(crate) handle: sys::commy_handle_t,
}

impl Mesh {
    /// Attaches to the default mesh, made where it is missing: `$COMMY_MESH` or `default`, in `$COMMY_DIR` or
    /// `/dev/shm/commy-<euid>`. Does not start it.
    ///
    /// `node_id`: 1 to 63 of `A-Z a-z 0-9 . _ -`. `listen_port`: 1 to 65535; shown to others.
    ///
    /// Errors: `Invalid`, `Permission`, `NoSpace`, `Limit`, `Kernel`, `NotARegion`, `Layout`, `Corrupt`, `OtherBoot`,
    /// `Removed`, `NoMemory`.
    pub fn create(node_id: impl Text, listen_port: u16) -> Result<Mesh> {
        // SAFETY: the text ends with NUL.
        Mesh::from_handle(node_id.with_c(|node_id| unsafe { sys::commy_create_mesh(node_id, listen_port) })?)
    }

    /// Every choice there is about opening a mesh.
    pub fn options<'a>() -> OpenOptions<'a> {
        OpenOptions::new()
    }

    fn from_handle(handle: sys::commy_handle_t) -> Result<Mesh> {
        if handle.instance_id == 0 {
            return Err(last());
        }
        Ok(Mesh { handle })
    }

    /// The library's number for this attachment, for code that uses `commy-sys`. It stays this object's.
    pub fn instance_id(&self) -> u64 {
        self.handle.instance_id
    }

    /// Joins the mesh. Starting twice is success. Waits for the library's own thread to start (tens of microseconds).
    ///
    /// Errors: `ReadOnly`, `Limit` (1,024 participants, or threads), `Kernel`, `NoMemory`.
    pub fn start(&self) -> Result<()> {
        // SAFETY: any handle will do; the same in what follows.
        check(unsafe { sys::commy_start_mesh(self.handle) })
    }

    /// Unregisters what this mesh registered, ends its requests in flight uncounted, and leaves. Stopping twice is success.
    /// Until it is started again, calls fail with `NotRunning`.
    pub fn stop(&self) -> Result<()> {
        check(unsafe { sys::commy_stop_mesh(self.handle) })
    }

    /// Whether it is started.
    pub fn is_running(&self) -> Result<bool> {
        match unsafe { sys::commy_is_mesh_running(self.handle) } {
            0 => Ok(false),
            1 => Ok(true),
            code => Err(crate::error::failed(-code)),
        }
    }

    /// What dropping does, with a result. Calls under way in other threads end first; those that come later fail with
    /// `NoHandle`, as does closing twice. Dropping it afterwards does nothing.
    pub fn close(&self) -> Result<()> {
        check(unsafe { sys::commy_destroy_mesh(self.handle) })
    }

    /// The name under which it joins.
    pub fn node_id(&self) -> Result<String> {
        let text = unsafe { sys::commy_get_node_id(self.handle) };
        if text.is_null() {
            return Err(last());
        }
        // SAFETY: a text of ours now, until it is freed.
        let node_id = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        unsafe { sys::commy_free_string(text) };
        Ok(node_id)
    }

    /// The mesh in numbers. Walks all services: cost grows with their number.
    pub fn statistics(&self) -> Result<Statistics> {
        // SAFETY: of numbers alone, for which zero is a value.
        let mut stats: sys::commy_mesh_stats_t = unsafe { std::mem::zeroed() };
        check(unsafe { sys::commy_get_mesh_stats(self.handle, &mut stats) })?;
        Ok(Statistics {
            total_services: stats.total_services,
            healthy_services: stats.healthy_services,
            unhealthy_services: stats.unhealthy_services,
            registered_services: stats.registered_services,
            total_requests: stats.total_requests,
            successful_requests: stats.successful_requests,
            failed_requests: stats.failed_requests,
            average_response_time_ms: stats.average_response_time_ms,
        })
    }

    /// Waits until something changed since `version`: among the instances of one name, or in the whole mesh. A change
    /// between two calls is never missed; a return without a change is possible.
    ///
    /// `version`: what the last call gave; 0 gives the current one at once. `timeout`: none waits for ever; the longest is
    /// 24 days (more is `Invalid`). Returns the version to wait for next.
    ///
    /// Errors: `TimedOut`, `Interrupted` (a signal handler ran), `NotRunning` (stopped or closed meanwhile).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/mod.rs"));
    /// # fn main() -> commy::Result<()> {
    /// # use std::time::Duration;
    /// # let _place = Place::of_process();
    /// # let mesh = commy::Mesh::create("waits", 1)?;
    /// let version = mesh.wait(Some("db"), 0, None)?; // before the first look: what changes behind it ends the wait
    /// let instances = mesh.discover_services("db")?;
    /// match mesh.wait(Some("db"), version, Some(Duration::from_millis(10))) {
    ///     Ok(_version) => println!("look again"),
    ///     Err(commy::Error::TimedOut(sentence)) => println!("{sentence}"),
    ///     Err(error) => return Err(error),
    /// }
    /// # assert_eq!(instances.len(), 0);
    /// # Ok(()) }
    /// ```
    pub fn wait(&self, name: Option<&str>, version: u64, timeout: Option<Duration>) -> Result<u64> {
        let mut new_version = 0;
        let timeout_ms = timeout_ms(timeout)?;
        check(with_option(name, |name| unsafe {
            sys::commy_wait(self.handle, name, version, timeout_ms, &mut new_version)
        })?)?;
        Ok(new_version)
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // In a forked child this lets go of the number and leaves the parent's mesh alone; after close() it does nothing.
        unsafe { sys::commy_destroy_mesh(self.handle) };
    }
}

/// The mesh in numbers. Total = healthy + unhealthy + unknown; degraded counts as healthy.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Statistics {
    pub total_services: u32,
    pub healthy_services: u32,
    pub unhealthy_services: u32,
    /// Those that this mesh handle owns.
    pub registered_services: u32,
    /// Successes and failures together.
    pub total_requests: u64,
    pub successful_requests: u64,
    pub failed_requests: u64,
    pub average_response_time_ms: f64,
}

/// Which region, and how to open it. Whatever is not said has its default.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/mod.rs"));
/// # fn main() -> commy::Result<()> {
/// # let _place = Place::of_process();
/// let mesh = commy::Mesh::options().mesh("orders").node_id("checkout").capacity(100).open()?;
/// # mesh.close()
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct OpenOptions<'a> {
    flags: u32,
    mesh: Option<&'a str>,
    dir: Option<&'a Path>,
    node_id: Option<&'a str>,
    group: Option<&'a str>,
    capacity: u32,
    mode: u32,
    listen_port: u16,
}

impl<'a> OpenOptions<'a> {
    pub fn new() -> OpenOptions<'a> {
        OpenOptions::default()
    }

    /// Default: `$COMMY_MESH`, else `default`.
    pub fn mesh(mut self, mesh: &'a str) -> Self {
        self.mesh = Some(mesh);
        self
    }

    /// The directory of the regions. Default: `$COMMY_DIR`, else `/dev/shm/commy-<euid>`.
    pub fn dir(mut self, dir: &'a (impl AsRef<Path> + ?Sized)) -> Self {
        self.dir = Some(dir.as_ref());
        self
    }

    /// The name to join under. Default: host name and process number.
    pub fn node_id(mut self, node_id: &'a str) -> Self {
        self.node_id = Some(node_id);
        self
    }

    /// Shown to others.
    pub fn listen_port(mut self, listen_port: u16) -> Self {
        self.listen_port = listen_port;
        self
    }

    /// How many services a region that is made here has room for: 16 to 1,048,576; default 8,192.
    pub fn capacity(mut self, capacity: u32) -> Self {
        self.capacity = capacity;
        self
    }

    /// A group that a region that is made here is open to.
    pub fn group(mut self, group: &'a str) -> Self {
        self.group = Some(group);
        self
    }

    /// Its permissions: 0600, 0640 or 0660.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Maps the region read-only, which must exist: queries work, changes fail with `ReadOnly`.
    pub fn read_only(self) -> Self {
        self.flag(sys::COMMY_OPEN_READ_ONLY)
    }

    /// Never makes a region.
    pub fn must_exist(self) -> Self {
        self.flag(sys::COMMY_OPEN_MUST_EXIST)
    }

    /// Makes the region, or fails with `Exists`.
    pub fn must_not_exist(self) -> Self {
        self.flag(sys::COMMY_OPEN_MUST_NOT_EXIST)
    }

    fn flag(mut self, flag: u32) -> Self {
        self.flags |= flag;
        self
    }

    /// Attaches. Errors: those of [`Mesh::create`], `MeshNotFound`, `Exists`.
    pub fn open(&self) -> Result<Mesh> {
        let text = |text: Option<&str>| text.map(owned).transpose();
        let dir = self.dir.map(|dir| {
            CString::new(dir.as_os_str().as_bytes()).map_err(|_| {
                Error::Invalid(format!("directory {dir:?} holds a NUL, where paths end: leave it out").into())
            })
        });
        let (mesh, dir, node_id, group) = (text(self.mesh)?, dir.transpose()?, text(self.node_id)?, text(self.group)?);
        let options = sys::commy_open_options_t {
            size: size_of::<sys::commy_open_options_t>() as u32,
            flags: self.flags,
            mesh: pointer(&mesh),
            dir: pointer(&dir),
            node_id: pointer(&node_id),
            group: pointer(&group),
            capacity: self.capacity,
            mode: self.mode,
            listen_port: self.listen_port,
        };
        // SAFETY: its texts live until the end of this function.
        Mesh::from_handle(unsafe { sys::commy_open_mesh(&options) })
    }
}

/// Whole milliseconds, rounded up, so that what is not nothing does not become it.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from((duration.as_nanos() + 999_999) / 1_000_000).unwrap_or(u64::MAX)
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// None: for ever.
pub(crate) fn timeout_ms(timeout: Option<Duration>) -> Result<i32> {
    let too_long = |timeout| {
        let sentence = format!("a time-out of {timeout:?} is over 24 days, the longest: pass None to wait for ever");
        Error::Invalid(sentence.into())
    };
    timeout.map_or(Ok(-1), |timeout| i32::try_from(millis(timeout)).map_err(|_| too_long(timeout)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_up_and_stop_at_the_largest_number() {
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_micros(1001)), 2);
        assert_eq!(millis(Duration::MAX), u64::MAX);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
        assert_eq!(timeout_ms(None).unwrap(), -1);
        assert_eq!(timeout_ms(Some(Duration::ZERO)).unwrap(), 0);
        assert_eq!(timeout_ms(Some(Duration::from_millis(2147483647))).unwrap(), i32::MAX);
        timeout_ms(Some(Duration::from_millis(2147483648))).unwrap_err();
        timeout_ms(Some(Duration::MAX)).unwrap_err();
    }
}
