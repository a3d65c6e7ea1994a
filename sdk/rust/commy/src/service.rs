//! Services as they are found: copies, all of them; nothing here refers to shared memory.

use std::fmt;
use std::iter::FusedIterator;
use std::mem::MaybeUninit;
use std::ptr::addr_of;
use std::time::{Duration, SystemTime};

use commy_sys as sys;

use crate::request::Reference;
use crate::text;

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Health {
    /// It has a check that has no result yet.
    Unknown,
    Healthy,
    Unhealthy,
    /// It works, but not well; selected as if it were healthy.
    Degraded,
}

impl Health {
    /// What no release of the library calls anything is unknown.
    pub(crate) fn from_raw(status: i32) -> Health {
        match status {
            sys::COMMY_HEALTH_HEALTHY => Health::Healthy,
            sys::COMMY_HEALTH_UNHEALTHY => Health::Unhealthy,
            sys::COMMY_HEALTH_DEGRADED => Health::Degraded,
            _ => Health::Unknown,
        }
    }

    /// The library's number for it (`commy_health_t`).
    pub fn code(self) -> i32 {
        match self {
            Health::Unknown => sys::COMMY_HEALTH_UNKNOWN,
            Health::Healthy => sys::COMMY_HEALTH_HEALTHY,
            Health::Unhealthy => sys::COMMY_HEALTH_UNHEALTHY,
            Health::Degraded => sys::COMMY_HEALTH_DEGRADED,
        }
    }
}

/// What its operators want of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Admin {
    Enabled,
    /// Not selected any more; what it has begun goes on.
    Draining,
    /// Not selected.
    Maintenance,
}

impl Admin {
    /// What no release of the library calls anything is nothing to send requests to.
    pub(crate) fn from_raw(admin: i32) -> Admin {
        match admin {
            sys::COMMY_ADMIN_ENABLED => Admin::Enabled,
            sys::COMMY_ADMIN_DRAINING => Admin::Draining,
            _ => Admin::Maintenance,
        }
    }

    /// The library's number for it (`commy_admin_t`).
    pub fn code(self) -> i32 {
        match self {
            Admin::Enabled => sys::COMMY_ADMIN_ENABLED,
            Admin::Draining => sys::COMMY_ADMIN_DRAINING,
            Admin::Maintenance => sys::COMMY_ADMIN_MAINTENANCE,
        }
    }
}

/// Everything known about a service at the instant it was looked at, but for its metadata's text
/// ([`Mesh::metadata`](crate::Mesh::metadata)).
#[derive(Clone)]
pub struct Service {
    info: sys::commy_service_info_t,
}

impl Service {
    pub(crate) fn from_raw(info: sys::commy_service_info_t) -> Service {
        Service { info }
    }

    /// What it is called: the name that all instances share.
    pub fn name(&self) -> &str {
        text::from_field(&self.info.name)
    }

    /// Its id, unique in the mesh.
    pub fn id(&self) -> &str {
        text::from_field(&self.info.id)
    }

    /// Host, address or `unix:/path`.
    pub fn endpoint(&self) -> &str {
        text::from_field(&self.info.endpoint)
    }

    /// 0 only with `unix:`.
    pub fn port(&self) -> u16 {
        self.info.port
    }

    /// `endpoint:port`, as `std::net::TcpStream::connect` takes it; the endpoint alone where there is no port.
    pub fn address(&self) -> String {
        address(self.endpoint(), self.port())
    }

    /// Empty for none.
    pub fn version(&self) -> &str {
        text::from_field(&self.info.version)
    }

    /// Empty for none.
    pub fn zone(&self) -> &str {
        text::from_field(&self.info.zone)
    }

    /// The node that registered it; empty for a detached service.
    pub fn node_id(&self) -> &str {
        text::from_field(&self.info.node_id)
    }

    /// Its tags, up to 16.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        let count = (self.info.tag_count as usize).min(self.info.tags.len());
        self.info.tags[..count].iter().map(|tag| text::from_field(tag))
    }

    /// Its share of the load, 0 to 65535.
    pub fn weight(&self) -> u32 {
        self.info.weight
    }

    /// The process that owns it, in that process's PID namespace; none for a detached service.
    pub fn owner_pid(&self) -> Option<u32> {
        Some(self.info.owner_pid).filter(|&pid| pid != 0)
    }

    pub fn health(&self) -> Health {
        Health::from_raw(self.info.status)
    }

    pub fn admin(&self) -> Admin {
        Admin::from_raw(self.info.admin)
    }

    pub fn registered_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.registered_at_ns())
    }

    /// The same in nanoseconds of Unix time.
    pub fn registered_at_ns(&self) -> u64 {
        self.info.registered_at_ns
    }

    /// Length of its metadata.
    pub fn metadata_bytes(&self) -> u64 {
        self.info.metadata_bytes
    }

    /// Average of the reported latencies in milliseconds; 0 before the first.
    pub fn response_time_ms(&self) -> f64 {
        self.info.response_time_ms
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name())
            .field("id", &self.id())
            .field("endpoint", &self.endpoint())
            .field("port", &self.port())
            .field("version", &self.version())
            .field("zone", &self.zone())
            .field("node_id", &self.node_id())
            .field("tags", &self.tags().collect::<Vec<_>>())
            .field("weight", &self.weight())
            .field("owner_pid", &self.owner_pid())
            .field("health", &self.health())
            .field("admin", &self.admin())
            .field("registered_at_ns", &self.registered_at_ns())
            .field("metadata_bytes", &self.metadata_bytes())
            .field("response_time_ms", &self.response_time_ms())
            .finish()
    }
}

/// Services that were discovered, one after the other. They were copied when it was made: what changes afterwards does not
/// change them.
#[derive(Clone, Debug)]
pub struct Services {
    found: std::vec::IntoIter<Service>,
}

impl Services {
    pub(crate) fn new(found: Vec<Service>) -> Services {
        Services { found: found.into_iter() }
    }

    /// Those that have not been taken yet.
    pub fn as_slice(&self) -> &[Service] {
        self.found.as_slice()
    }
}

impl Iterator for Services {
    type Item = Service;

    fn next(&mut self) -> Option<Service> {
        self.found.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.found.size_hint()
    }
}

impl DoubleEndedIterator for Services {
    fn next_back(&mut self) -> Option<Service> {
        self.found.next_back()
    }
}

impl ExactSizeIterator for Services {}
impl FusedIterator for Services {}

/// What a client needs to connect to a service and to report on it.
///
/// The library writes an endpoint as long as it is and nothing behind it, which saves a quarter of a kilobyte of writing at
/// each lookup: what follows its NUL is never read here either.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Target {
    raw: MaybeUninit<sys::commy_target_t>,
}

impl Target {
    /// Whoever lets the library write here sees to it that all of it is written, or replaces it.
    #[inline]
    pub(crate) fn as_mut_ptr(&mut self) -> *mut sys::commy_target_t {
        self.raw.as_mut_ptr()
    }

    /// # Safety
    /// The library filled it in: all fields, and the endpoint up to its NUL.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: MaybeUninit<sys::commy_target_t>) -> Target {
        Target { raw }
    }

    /// The registration that it names, and no later one of the same id.
    #[inline]
    pub fn reference(&self) -> Reference {
        // SAFETY: filled in by the library, like all that follows.
        Reference(unsafe { addr_of!((*self.raw.as_ptr()).reference).read() })
    }

    /// Its share of the load, 0 to 65535.
    #[inline]
    pub fn weight(&self) -> u32 {
        unsafe { addr_of!((*self.raw.as_ptr()).weight).read() }
    }

    #[inline]
    pub fn health(&self) -> Health {
        Health::from_raw(unsafe { addr_of!((*self.raw.as_ptr()).status).read() })
    }

    /// 0 only with `unix:`.
    #[inline]
    pub fn port(&self) -> u16 {
        unsafe { addr_of!((*self.raw.as_ptr()).port).read() }
    }

    /// Host, address or `unix:/path`.
    #[inline]
    pub fn endpoint(&self) -> &str {
        // SAFETY: the library wrote the endpoint and its NUL; only these bytes are read.
        let endpoint = unsafe { std::ffi::CStr::from_ptr(addr_of!((*self.raw.as_ptr()).endpoint).cast()) };
        text::utf8_start(endpoint.to_bytes())
    }

    /// `endpoint:port`, as `std::net::TcpStream::connect` takes it; the endpoint alone where there is no port.
    pub fn address(&self) -> String {
        address(self.endpoint(), self.port())
    }
}

impl Default for Target {
    /// That of nobody: no reference, no endpoint.
    fn default() -> Target {
        Target { raw: MaybeUninit::zeroed() }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("reference", &self.reference())
            .field("weight", &self.weight())
            .field("health", &self.health())
            .field("port", &self.port())
            .field("endpoint", &self.endpoint())
            .finish()
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Target) -> bool {
        self.reference() == other.reference()
            && self.weight() == other.weight()
            && self.health() == other.health()
            && self.port() == other.port()
            && self.endpoint() == other.endpoint()
    }
}

impl Eq for Target {}

fn address(endpoint: &str, port: u16) -> String {
    if port == 0 {
        endpoint.to_owned()
    } else if endpoint.contains(':') && !endpoint.starts_with('[') && !endpoint.starts_with("unix:") {
        format!("[{endpoint}]:{port}") // IPv6
    } else {
        format!("{endpoint}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_can_be_connected_to() {
        assert_eq!(address("127.0.0.1", 80), "127.0.0.1:80");
        assert_eq!(address("::1", 80), "[::1]:80");
        assert_eq!(address("[::1]", 80), "[::1]:80");
        assert_eq!(address("unix:/run/a", 0), "unix:/run/a");
        assert_eq!(address("db.local", 5432), "db.local:5432");
    }

    #[test]
    fn unknown_numbers_are_nothing_to_send_requests_to() {
        assert_eq!(Health::from_raw(77), Health::Unknown);
        assert_eq!(Admin::from_raw(77), Admin::Maintenance);
        for code in 0..4 {
            assert_eq!(Health::from_raw(code).code(), code);
        }
        for code in 0..3 {
            assert_eq!(Admin::from_raw(code).code(), code);
        }
    }
}
