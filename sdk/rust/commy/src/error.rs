//! What goes wrong, with the library's code and its sentence.

use std::ffi::CStr;
use std::fmt;

use commy_sys as sys;

/// What a call of this crate gives.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! errors {
    ($($(#[$doc:meta])* $variant:ident = $code:ident,)*) => {
        /// Why a call failed: one variant for each code of the library, each with a sentence that names the value and the
        /// way out.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Error {
            $($(#[$doc])* $variant(Box<str>),)*
            /// A code that this release of the crate has no name for.
            Other(i32, Box<str>),
        }

        impl Error {
            /// The error of a code other than 0.
            pub(crate) fn with_code(code: i32, message: impl Into<Box<str>>) -> Error {
                let message = message.into();
                match code {
                    $(sys::$code => Error::$variant(message),)*
                    other => Error::Other(other, message),
                }
            }

            /// The library's number for it (`commy_status_t`).
            pub fn code(&self) -> i32 {
                match self {
                    $(Error::$variant(_) => sys::$code,)*
                    Error::Other(code, _) => *code,
                }
            }

            /// The sentence: which value, and what to do about it.
            pub fn message(&self) -> &str {
                match self {
                    $(Error::$variant(message) => message,)*
                    Error::Other(_, message) => message,
                }
            }
        }
    };
}

errors! {
    /// The library could not set itself up.
    InitFailed = COMMY_STATUS_INIT_FAILED,
    /// A parameter is outside its limits.
    Invalid = COMMY_STATUS_INVALID,
    /// The mesh was closed.
    NoHandle = COMMY_STATUS_NO_HANDLE,
    /// Private memory ran out.
    NoMemory = COMMY_STATUS_NO_MEMORY,
    /// No live service of that id or name.
    NotFound = COMMY_STATUS_NOT_FOUND,
    /// A live service has that id; or the region is there already.
    Exists = COMMY_STATUS_EXISTS,
    /// The region holds as many as it was made for.
    Full = COMMY_STATUS_FULL,
    /// The file system or its owner says no.
    Permission = COMMY_STATUS_PERMISSION,
    /// The region was made by an incompatible library.
    Layout = COMMY_STATUS_LAYOUT,
    /// What the region holds makes no sense.
    Corrupt = COMMY_STATUS_CORRUPT,
    /// The time given has passed.
    TimedOut = COMMY_STATUS_TIMED_OUT,
    /// The mesh was stopped.
    NotRunning = COMMY_STATUS_NOT_RUNNING,
    /// No instance may be selected.
    NoHealthy = COMMY_STATUS_NO_HEALTHY,
    /// Every instance is ejected.
    CircuitOpen = COMMY_STATUS_CIRCUIT_OPEN,
    /// A forked child must open the mesh for itself.
    Forked = COMMY_STATUS_FORKED,
    /// The file system is full.
    NoSpace = COMMY_STATUS_NO_SPACE,
    /// The file is something else.
    NotARegion = COMMY_STATUS_NOT_A_REGION,
    /// The region was left by an earlier boot.
    OtherBoot = COMMY_STATUS_OTHER_BOOT,
    /// Descriptors, participants, a file size limit or requests in flight.
    Limit = COMMY_STATUS_LIMIT,
    /// The kernel lacks what is needed.
    Kernel = COMMY_STATUS_KERNEL,
    /// Opened read-only.
    ReadOnly = COMMY_STATUS_READ_ONLY,
    /// The region was removed or replaced.
    Removed = COMMY_STATUS_REMOVED,
    /// The bound of retries was reached, or the region is in use.
    Busy = COMMY_STATUS_BUSY,
    /// Somebody interrupted the wait.
    Interrupted = COMMY_STATUS_INTERRUPTED,
    /// No region of that name in that directory.
    MeshNotFound = COMMY_STATUS_MESH_NOT_FOUND,
    /// A defect in the library.
    Internal = COMMY_STATUS_INTERNAL,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Error {}

/// The calling thread's last failure. The sentence is the thread's own and is copied before anything else can fail.
#[cold]
pub(crate) fn last() -> Error {
    // SAFETY: both always succeed; the text is the thread's and stays until its next failure.
    let (code, message) = unsafe { (sys::commy_last_error(), CStr::from_ptr(sys::commy_last_error_message())) };
    Error::with_code(code, message.to_string_lossy())
}

/// The error that goes with a code that was just returned on this thread.
#[cold]
pub(crate) fn failed(code: i32) -> Error {
    // SAFETY: as in last().
    let message = unsafe { CStr::from_ptr(sys::commy_last_error_message()) };
    Error::with_code(code, message.to_string_lossy())
}

/// The error of a code for which the library left no sentence: its few words.
#[cold]
pub(crate) fn in_few_words(code: i32) -> Error {
    // SAFETY: static storage for any number.
    let words = unsafe { CStr::from_ptr(sys::commy_status_string(code)) };
    Error::with_code(code, words.to_string_lossy())
}

#[inline]
pub(crate) fn check(code: i32) -> Result<()> {
    if code == sys::COMMY_STATUS_SUCCESS {
        Ok(())
    } else {
        Err(failed(code))
    }
}

/// Of a function that returns a count or a negated code.
#[inline]
pub(crate) fn check_count(count: i32) -> Result<usize> {
    usize::try_from(count).map_err(|_| failed(-count))
}
