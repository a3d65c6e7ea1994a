//! Registering services and changing them.

use std::ffi::CString;
use std::mem::size_of;
use std::os::raw::c_char;
use std::time::Duration;

use commy_sys as sys;

use crate::error::{check, Result};
use crate::json;
use crate::mesh::{millis, Mesh};
use crate::text::{owned, pointer, Text};

/// A service with everything that may be said of it.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/mod.rs"));
/// # fn main() -> commy::Result<()> {
/// # use std::time::Duration;
/// # let _place = Place::of_process();
/// # let mesh = commy::Mesh::create("registers", 1)?;
/// use commy::Registration;
/// let db = Registration::new("db", "db-1", "unix:/run/db.sock", 0)
///     .version("15.4")
///     .zone("rack-2")
///     .tags(["primary", "ssd"])
///     .metadata(r#"{"role": "primary"}"#)
///     .weight(200)
///     .ttl(Duration::from_secs(5));
/// mesh.register(&db)?;
/// mesh.heartbeat("db-1")?; // at least every five seconds
/// # assert_eq!(mesh.get_service("db-1")?.tags().collect::<Vec<_>>(), ["primary", "ssd"]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Registration<'a> {
    name: &'a str,
    id: &'a str,
    endpoint: &'a str,
    port: u16,
    version: Option<&'a str>,
    zone: Option<&'a str>,
    metadata: Option<&'a str>,
    tags: Vec<&'a str>,
    weight: u32,
    ttl: Duration,
    flags: u32,
}

impl<'a> Registration<'a> {
    /// `name` 1 to 63 bytes, shared by all instances; `id` 1 to 127, unique in the mesh; `endpoint` 1 to 255: host, address
    /// or `unix:/path`; `port` 1 to 65535, 0 only with `unix:`. UTF-8 without control characters, as all that follows.
    pub fn new(name: &'a str, id: &'a str, endpoint: &'a str, port: u16) -> Self {
        Registration {
            name,
            id,
            endpoint,
            port,
            version: None,
            zone: None,
            metadata: None,
            tags: Vec::new(),
            weight: 0,
            ttl: Duration::ZERO,
            flags: 0,
        }
    }

    /// Up to 31 bytes.
    pub fn version(mut self, version: &'a str) -> Self {
        self.version = Some(version);
        self
    }

    /// Up to 31 bytes.
    pub fn zone(mut self, zone: &'a str) -> Self {
        self.zone = Some(zone);
        self
    }

    /// JSON of up to 4,096 bytes, without control characters but newline and tab. Empty: none.
    pub fn metadata(mut self, metadata: &'a str) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// One tag more, 1 to 31 bytes; up to 16 of them.
    pub fn tag(mut self, tag: &'a str) -> Self {
        self.tags.push(tag);
        self
    }

    /// More tags.
    pub fn tags(mut self, tags: impl IntoIterator<Item = &'a str>) -> Self {
        self.tags.extend(tags);
        self
    }

    /// Its share of the load, up to 65535. Here 0 stands for the default of 100: to select it never by weight, call
    /// [`Mesh::set_weight`].
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// It is unhealthy as every reader sees it when no heartbeat came for so long; up to a year, rounded up to whole
    /// milliseconds. Zero: no such time.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Owned by nobody: it outlives this process, needs a TTL, and is gone when that expires.
    pub fn detached(mut self) -> Self {
        self.flags |= sys::COMMY_SERVICE_DETACHED;
        self
    }
}

impl Mesh {
    /// Registers a service with a name, an id, an endpoint and a port; bounds as in [`Registration::new`]. When this returns
    /// success, every process that looks finds it, until it is unregistered, or this mesh stops, or the process dies.
    ///
    /// Errors: `Exists` (the sentence names the holder), `Full`, `NoSpace`, `Busy`, those of [`Mesh::start`].
    pub fn register_service(&self, name: impl Text, id: impl Text, endpoint: impl Text, port: u16) -> Result<()> {
        let register = |name, id, endpoint| {
            // SAFETY: texts that end with NUL.
            unsafe { sys::commy_register_service_simple(self.handle, name, id, endpoint, port) }
        };
        check(name.with_c(|name| id.with_c(|id| endpoint.with_c(|endpoint| register(name, id, endpoint))))???)
    }

    /// The same with everything that may be said of a service.
    pub fn register(&self, service: &Registration<'_>) -> Result<()> {
        json::check(service.metadata.unwrap_or("").as_bytes())?;
        let text = |text: Option<&str>| text.map(owned).transpose();
        let (name, id, endpoint) = (owned(service.name)?, owned(service.id)?, owned(service.endpoint)?);
        let (version, zone, metadata) = (text(service.version)?, text(service.zone)?, text(service.metadata)?);
        let tags = service.tags.iter().map(|tag| owned(tag)).collect::<Result<Vec<CString>>>()?;
        let tag_pointers: Vec<*const c_char> = tags.iter().map(|tag| tag.as_ptr()).collect();
        let config = sys::commy_service_config_t {
            size: size_of::<sys::commy_service_config_t>() as u32,
            flags: service.flags,
            service_name: name.as_ptr(),
            service_id: id.as_ptr(),
            endpoint: endpoint.as_ptr(),
            metadata: pointer(&metadata),
            version: pointer(&version),
            zone: pointer(&zone),
            tags: tag_pointers.as_ptr(),
            tag_count: u32::try_from(tag_pointers.len()).unwrap_or(u32::MAX),
            weight: service.weight,
            ttl_ms: millis(service.ttl),
            port: service.port,
        };
        // SAFETY: its texts live until the end of this function; what is too long or too many is refused unread.
        check(unsafe { sys::commy_register_service(self.handle, &config) })
    }

    /// Unregisters a service, whoever registered it. Errors: `NotFound`.
    pub fn unregister_service(&self, id: impl Text) -> Result<()> {
        check(id.with_c(|id| unsafe { sys::commy_unregister_service(self.handle, id) })?)
    }

    /// Renews a service's lease: it expires its TTL after this call. Changes nothing for a service without one. Errors:
    /// `NotFound` (also: a detached one that expired before).
    pub fn heartbeat(&self, id: impl Text) -> Result<()> {
        check(id.with_c(|id| unsafe { sys::commy_heartbeat(self.handle, id) })?)
    }

    /// Replaces a service's metadata, JSON of up to 4,096 bytes; readers see the old text or the new one, never a mixture. Empty:
    /// none. Errors: `NotFound`, `Full`, `NoSpace`.
    pub fn set_metadata(&self, id: impl Text, metadata: impl Text) -> Result<()> {
        json::check(metadata.bytes())?;
        let set = |id, metadata| unsafe { sys::commy_update_service_metadata(self.handle, id, metadata) };
        check(id.with_c(|id| metadata.with_c(|metadata| set(id, metadata)))??)
    }

    /// Sets a service's share of the load: 0 (never selected by weight) to 65535. Errors: `NotFound`.
    pub fn set_weight(&self, id: impl Text, weight: u32) -> Result<()> {
        check(id.with_c(|id| unsafe { sys::commy_set_service_weight(self.handle, id, weight) })?)
    }
}
