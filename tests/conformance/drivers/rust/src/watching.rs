//! Watches, as a program of the language has them: poll() on the descriptor, and the iterator.

use std::os::raw::{c_int, c_short, c_ulong};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::time::Duration;

use commy::{Error, Watch};

#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

const POLLIN: c_short = 1;

extern "C" {
    fn poll(fds: *mut PollFd, count: c_ulong, timeout_ms: c_int) -> c_int;
}

/// Whether the watch's descriptor can be read now.
pub fn readable(watch: &Watch) -> Result<bool, Error> {
    let mut one = PollFd { fd: watch.fd()?, events: POLLIN, revents: 0 };
    // SAFETY: one descriptor.
    Ok(unsafe { poll(&mut one, 1, 0) } == 1 && one.revents & POLLIN != 0)
}

/// So many changes from the iterator, or those that came until the time had passed: then its end is woken.
pub fn changes(watch: &Watch, count: usize, timeout: Option<Duration>) -> Result<Vec<u64>, Error> {
    let (done, waits) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let longest = timeout.unwrap_or(Duration::MAX);
            if let Err(RecvTimeoutError::Timeout) = waits.recv_timeout(longest) {
                let _ = watch.wake();
            }
        });
        let changes = watch.changes().take(count).collect();
        drop(done);
        changes
    })
}
