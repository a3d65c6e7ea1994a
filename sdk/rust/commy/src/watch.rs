//! Watching: waiting with a memory of its own, an interrupt, and a descriptor for event loops.

use std::iter::FusedIterator;
use std::os::unix::io::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use commy_sys as sys;

use crate::error::{check, failed, Error, Result};
use crate::mesh::{timeout_ms, Mesh};
use crate::text::with_option;

/// Remembers what it saw last, and tells when there is more: among the instances of one name, or in the whole mesh.
///
/// It may outlive its mesh, which ends its waits: while that is stopped they fail with `NotRunning`, once it is closed with
/// `NoHandle`. Dropping a watch closes it.
#[derive(Debug)]
pub struct Watch {
    watch: u64,
    /// Whether it was ever woken or closed: an interruption before that was a signal's.
    woken: AtomicBool,
}

impl Mesh {
    /// Begins to watch: the instances of a name; none: the whole mesh. Errors: `Invalid`, `NoMemory`, `Limit` (1,024 watches
    /// of this process).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/mod.rs"));
    /// # fn main() -> commy::Result<()> {
    /// # let _place = Place::of_process();
    /// # let mesh = commy::Mesh::create("watches", 1)?;
    /// let watch = mesh.watch(Some("db"))?;
    /// for version in &watch {
    ///     let instances = mesh.discover_services("db")?; // the first time at once, then after each change
    ///     println!("{} instances at version {}", instances.len(), version?);
    /// #   watch.wake()?;
    /// } // until another thread calls watch.wake()
    /// # Ok(()) }
    /// ```
    pub fn watch(&self, name: Option<&str>) -> Result<Watch> {
        let mut watch = 0;
        check(with_option(name, |name| unsafe { sys::commy_watch_open(self.handle, name, &mut watch) })?)?;
        Ok(Watch { watch, woken: AtomicBool::new(false) })
    }
}

impl Watch {
    /// Waits for a change since the last success; the first returns at once. The last change is never missed, however many
    /// came in between; a return without a change is possible. Returns the version of the state that was waited for.
    ///
    /// `timeout`: none waits for ever; the longest is 24 days.
    ///
    /// Errors: `TimedOut`, `Interrupted` ([`Watch::wake`], closed meanwhile, or a signal handler ran), `NotRunning`,
    /// `NoHandle`, `Removed`.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<u64> {
        let mut version = 0;
        let timeout_ms = timeout_ms(timeout)?;
        // SAFETY: any number will do; the same in what follows.
        check(unsafe { sys::commy_watch_wait(self.watch, timeout_ms, &mut version) })?;
        Ok(version)
    }

    /// A descriptor that is readable when there is something to [`wait`](Watch::wait) for, for `poll` and event loops. Nothing is
    /// to be read from it: a wait with a timeout of zero makes it unreadable. It is the watch's, the same one each time, and
    /// gone with it. Errors: `Limit`, `NoMemory`, `NotRunning`, `NoHandle`, `Removed`.
    pub fn fd(&self) -> Result<RawFd> {
        match unsafe { sys::commy_watch_fd(self.watch) } {
            fd if fd >= 0 => Ok(fd),
            code => Err(failed(-code)),
        }
    }

    /// Ends the waits that are under way with `Interrupted`, or the next one.
    pub fn wake(&self) -> Result<()> {
        self.woken.store(true, Ordering::Relaxed); // the library's own wake-up orders it before the interruption
        check(unsafe { sys::commy_watch_wake(self.watch) })
    }

    /// What dropping does, with a result: closes it and its descriptor, and ends its waits. Errors: `NoHandle` (closed before),
    /// `Forked`.
    pub fn close(&self) -> Result<()> {
        self.woken.store(true, Ordering::Relaxed);
        check(unsafe { sys::commy_watch_close(self.watch) })
    }

    /// The changes from now on, as they come: the first at once. Ends when somebody wakes or closes the watch; any other error
    /// is its last item. A signal handler does not end it, unless the watch was woken before.
    pub fn changes(&self) -> Changes<'_> {
        Changes { watch: self, ended: false }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // In a forked child this lets go of the number; after close() it does nothing.
        unsafe { sys::commy_watch_close(self.watch) };
    }
}

impl<'w> IntoIterator for &'w Watch {
    type Item = Result<u64>;
    type IntoIter = Changes<'w>;

    fn into_iter(self) -> Changes<'w> {
        self.changes()
    }
}

/// Versions as they come; [`next`](Iterator::next) blocks until there is one.
#[derive(Debug)]
pub struct Changes<'w> {
    watch: &'w Watch,
    ended: bool,
}

impl Iterator for Changes<'_> {
    type Item = Result<u64>;

    fn next(&mut self) -> Option<Result<u64>> {
        if self.ended {
            return None;
        }
        loop {
            let version = self.watch.wait(None);
            let woken = self.watch.woken.load(Ordering::Relaxed);
            match version {
                Ok(version) => return Some(Ok(version)),
                Err(Error::Interrupted(_)) if !woken => continue,
                Err(Error::Interrupted(_) | Error::NoHandle(_)) if woken => {
                    self.ended = true;
                    return None;
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl FusedIterator for Changes<'_> {}
