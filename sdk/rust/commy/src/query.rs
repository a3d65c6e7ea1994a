//! Looking services up.

use std::fmt;
use std::iter::FusedIterator;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::raw::c_char;

use commy_sys as sys;

use crate::error::{check, check_count, failed, in_few_words, Error, Result};
use crate::mesh::Mesh;
use crate::service::{Service, Services, Target};
use crate::text::Text;

/// How often a list is asked for again because more came while it was copied.
const MOST_TURNS: usize = 64;

impl Mesh {
    /// All live instances of a name, whatever their health. Holds every service that is live throughout the call exactly
    /// once; each was live at some instant of it. A name that nobody registered has none.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/mod.rs"));
    /// # fn main() -> commy::Result<()> {
    /// # let _place = Place::of_process();
    /// # let mesh = commy::Mesh::create("discovers", 1)?;
    /// for service in mesh.discover_services("web")? {
    ///     println!("{} at {}", service.id(), service.address());
    /// }
    /// # Ok(()) }
    /// ```
    pub fn discover_services(&self, name: impl Text) -> Result<Services> {
        name.with_c(|name| {
            // SAFETY: a text that ends with NUL, and room as said.
            let count = check_count(unsafe { sys::commy_discover_services_count(self.handle, name) })?;
            list(count, |out, capacity, count| unsafe {
                sys::commy_discover_services(self.handle, name, out, capacity, count)
            })
        })?
    }

    /// All live services of the mesh.
    pub fn all_services(&self) -> Result<Services> {
        list(self.count_all_services()?, |out, capacity, count| {
            // SAFETY: room as said.
            unsafe { sys::commy_get_all_services(self.handle, out, capacity, count) }
        })
    }

    /// The number of live instances of a name.
    pub fn count_services(&self, name: impl Text) -> Result<usize> {
        name.with_c(|name| check_count(unsafe { sys::commy_discover_services_count(self.handle, name) }))?
    }

    /// The number of live services in the mesh.
    pub fn count_all_services(&self) -> Result<usize> {
        check_count(unsafe { sys::commy_get_active_service_count(self.handle) })
    }

    /// Everything about one service. Errors: `NotFound`.
    pub fn get_service(&self, id: impl Text) -> Result<Service> {
        let mut info = MaybeUninit::uninit();
        check(id.with_c(|id| unsafe { sys::commy_get_service(self.handle, id, info.as_mut_ptr()) })?)?;
        // SAFETY: on success the library has written all of it.
        Ok(Service::from_raw(unsafe { info.assume_init() }))
    }

    /// What a client needs to connect to a service: the fastest lookup, without a system call and without writing to shared
    /// memory. Costs what it costs in C by a `&CStr`; a `&str` is copied first, which costs as much again. Errors:
    /// `NotFound`.
    #[inline(always)]
    pub fn find(&self, id: impl Text) -> Result<Target> {
        target(|target| id.with_c(|id| unsafe { sys::commy_find(self.handle, id, target) }))
    }

    /// The same into a target that is there already, which compilers of any age need not copy; on failure it is that of
    /// nobody, as [`Target::default`] is.
    #[inline]
    pub fn find_into(&self, id: impl Text, target: &mut Target) -> Result<()> {
        match id.with_c(|id| unsafe { sys::commy_find(self.handle, id, target.as_mut_ptr()) }) {
            Ok(sys::COMMY_STATUS_SUCCESS) => Ok(()),
            Ok(code) => {
                *target = Target::default();
                Err(failed(code))
            }
            Err(error) => {
                *target = Target::default();
                Err(error)
            }
        }
    }

    /// The same where nobody having the id is nothing wrong: no error is made of it, which costs many times what finding
    /// somebody does.
    #[inline(always)]
    pub fn lookup(&self, id: impl Text) -> Result<Option<Target>> {
        let mut target = MaybeUninit::uninit();
        match id.with_c(|id| unsafe { sys::commy_find(self.handle, id, target.as_mut_ptr()) })? {
            // SAFETY: on success the library has filled it in.
            sys::COMMY_STATUS_SUCCESS => Ok(Some(unsafe { Target::from_raw(target) })),
            sys::COMMY_STATUS_NOT_FOUND => Ok(None),
            code => Err(failed(code)),
        }
    }

    /// Finds many at once, overlapping their cache misses: each with its own result, in the order of the ids.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/mod.rs"));
    /// # fn main() -> commy::Result<()> {
    /// # let _place = Place::of_process();
    /// # let mesh = commy::Mesh::create("finds", 1)?;
    /// # mesh.register_service("a", "a-1", "127.0.0.1", 80)?;
    /// let found = mesh.find_many(&["a-1", "nobody"])?;
    /// assert_eq!(found.get(0).unwrap().port(), 80);
    /// assert_eq!(found.get(1), None);
    /// for result in &found {
    ///     match result {
    ///         Ok(target) => println!("{}", target.address()),
    ///         Err(error) => println!("{error}"),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn find_many<S: AsRef<str>>(&self, ids: &[S]) -> Result<Found> {
        const UNTOUCHED: i32 = i32::MIN;
        let texts = Texts::new(ids);
        let pointers = texts.pointers();
        let mut found = Found { targets: Vec::with_capacity(ids.len()), codes: vec![UNTOUCHED; ids.len()] };
        let (targets, codes) = (found.targets.as_mut_ptr(), found.codes.as_mut_ptr());
        // SAFETY: there is room for as many as there are ids.
        let code = unsafe { sys::commy_find_many(self.handle, pointers.as_ptr(), ids.len(), targets.cast(), codes) };
        // It returns the first failure among the ids; where the call itself failed, it has looked at none.
        if code != sys::COMMY_STATUS_SUCCESS && !found.codes.iter().any(|&code| code != UNTOUCHED) {
            return Err(failed(code));
        }
        // SAFETY: of those that may be uninitialised; which are, the codes tell.
        unsafe { found.targets.set_len(ids.len()) };
        Ok(found)
    }

    /// A service's metadata; empty where it has none. Errors: `NotFound`, `Busy` (replaced faster than it could be read).
    pub fn metadata(&self, id: impl Text) -> Result<String> {
        let mut text = vec![0u8; sys::COMMY_LIMIT_METADATA_BYTES as usize + 1];
        let mut length = 0;
        // SAFETY: there is room for `capacity` bytes.
        let get = |id, out: *mut u8, capacity, length: &mut usize| unsafe {
            sys::commy_get_service_metadata(self.handle, id, out.cast(), capacity, length)
        };
        let capacity = text.len();
        check(id.with_c(|id| get(id, text.as_mut_ptr(), capacity, &mut length))?)?;
        text.truncate(length.min(capacity - 1));
        Ok(String::from_utf8(text).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }
}

/// The target that a call fills in.
#[inline(always)]
pub(crate) fn target(fill: impl FnOnce(*mut sys::commy_target_t) -> Result<i32>) -> Result<Target> {
    let mut target = MaybeUninit::uninit();
    match fill(target.as_mut_ptr()) {
        // SAFETY: on success the library has filled it in.
        Ok(sys::COMMY_STATUS_SUCCESS) => Ok(unsafe { Target::from_raw(target) }),
        Ok(code) => Err(failed(code)),
        Err(error) => Err(error),
    }
}

/// A list of services by a call that says how many there are when there is no room for all of them.
fn list(expected: usize, get: impl Fn(*mut sys::commy_service_info_t, usize, *mut usize) -> i32) -> Result<Services> {
    let mut count = expected;
    let mut infos: Vec<sys::commy_service_info_t> = Vec::new();
    for _ in 0..MOST_TURNS {
        let capacity = count + count / 8 + 2; // for those that come meanwhile
        infos.reserve(capacity);
        check(get(infos.as_mut_ptr(), capacity, &mut count))?;
        if count <= capacity {
            // SAFETY: as many have been written in full.
            unsafe { infos.set_len(count) };
            return Ok(Services::new(infos.into_iter().map(Service::from_raw).collect()));
        }
    }
    Err(Error::Busy("services are registered faster than they can be listed: try again".into()))
}

/// What [`Mesh::find_many`] found: a result for each id, in the order of the ids.
#[derive(Clone)]
pub struct Found {
    targets: Vec<MaybeUninit<Target>>,
    codes: Vec<i32>,
}

impl Found {
    /// How many ids were asked for.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Whoever has the id at that place of the list; none where nobody has, or the list is shorter.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&Target> {
        match self.codes.get(index) {
            // SAFETY: found, so the library has filled it in.
            Some(&sys::COMMY_STATUS_SUCCESS) => Some(unsafe { self.targets[index].assume_init_ref() }),
            _ => None,
        }
    }

    /// All of them: whoever has the id, or why nobody was found, `NotFound` or `Invalid`.
    pub fn iter(&self) -> FoundIter<'_> {
        FoundIter { found: self, places: 0..self.len() }
    }

    /// The library has one sentence for a batch: what one of its ids came to is said here.
    #[cold]
    fn error(&self, index: usize) -> Error {
        let code = self.codes[index];
        Error::with_code(code, format!("id {index} of {}: {}", self.len(), in_few_words(code)))
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The results of a [`Found`], one after the other.
#[derive(Clone, Debug)]
pub struct FoundIter<'f> {
    found: &'f Found,
    places: Range<usize>,
}

impl<'f> Iterator for FoundIter<'f> {
    type Item = Result<&'f Target>;

    fn next(&mut self) -> Option<Result<&'f Target>> {
        let index = self.places.next()?;
        Some(self.found.get(index).ok_or_else(|| self.found.error(index)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.places.size_hint()
    }
}

impl ExactSizeIterator for FoundIter<'_> {}
impl FusedIterator for FoundIter<'_> {}

impl<'f> IntoIterator for &'f Found {
    type Item = Result<&'f Target>;
    type IntoIter = FoundIter<'f>;

    fn into_iter(self) -> FoundIter<'f> {
        self.iter()
    }
}

/// Many texts, one behind the other, each with its NUL.
struct Texts {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Texts {
    fn new<S: AsRef<str>>(texts: &[S]) -> Texts {
        let total = texts.iter().map(|text| text.as_ref().len() + 1).sum();
        let (mut bytes, mut starts) = (Vec::with_capacity(total), Vec::with_capacity(texts.len()));
        for text in texts.iter().map(|text| text.as_ref().as_bytes()) {
            starts.push(bytes.len());
            if !text.contains(&0) {
                bytes.extend_from_slice(text); // else empty, which is as invalid as a NUL inside
            }
            bytes.push(0);
        }
        Texts { bytes, starts }
    }

    fn pointers(&self) -> Vec<*const c_char> {
        self.starts.iter().map(|&start| self.bytes[start..].as_ptr().cast()).collect()
    }
}
