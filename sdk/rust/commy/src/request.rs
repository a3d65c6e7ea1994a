//! Requests: counting them, and those in flight.

use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use commy_sys as sys;

use crate::error::{check, Result};
use crate::mesh::{nanos, Mesh};
use crate::service::Target;
use crate::text::{with_option, Text};

/// Names one registration of a service, and no later one of the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reference(pub(crate) u64);

impl Reference {
    /// A reference that came as a number, for instance from another process.
    pub fn from_raw(number: u64) -> Reference {
        Reference(number)
    }

    pub fn as_raw(self) -> u64 {
        self.0
    }
}

impl From<&Target> for Reference {
    fn from(target: &Target) -> Reference {
        target.reference()
    }
}

/// A request in flight as a number, for those who cannot keep a [`Request`]; ended with [`Mesh::end_request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(u64);

impl Token {
    pub fn from_raw(number: u64) -> Token {
        Token(number)
    }

    pub fn as_raw(self) -> u64 {
        self.0
    }
}

/// A request in flight. Whoever begins it ends it with [`succeed`](Request::succeed), [`fail`](Request::fail) or
/// [`end`](Request::end).
///
/// One that is dropped ends as failed: an early return by `?`, a panic and a future that is dropped are requests of which
/// nobody said that they went well. Where the mesh is stopped first, it has ended all of them, uncounted.
#[derive(Debug)]
#[must_use = "a request that is dropped ends as failed"]
pub struct Request<'m> {
    mesh: &'m Mesh,
    token: Token,
    begun: Instant,
}

impl Request<'_> {
    /// Ends it as a success that took from [`Mesh::begin`] until now. Errors: see [`Mesh::end_request`].
    pub fn succeed(self) -> Result<()> {
        let latency = self.begun.elapsed();
        self.end(latency, true)
    }

    /// Ends it as a failure that took from [`Mesh::begin`] until now.
    pub fn fail(self) -> Result<()> {
        let latency = self.begun.elapsed();
        self.end(latency, false)
    }

    /// Ends it with a latency that was measured otherwise.
    pub fn end(self, latency: Duration, success: bool) -> Result<()> {
        let mesh = self.mesh;
        mesh.end_request(self.into_token(), latency, success)
    }

    /// Lets it go on without this guard: it is in flight until its token is ended.
    pub fn into_token(self) -> Token {
        ManuallyDrop::new(self).token
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        // Nobody to tell: what can go wrong here is that the mesh has stopped meanwhile, which has ended it.
        let _ = self.mesh.end_request(self.token, self.begun.elapsed(), false);
    }
}

impl Mesh {
    /// Begins a request to a service: it counts as in flight, for all who select, until it ends, this mesh stops or the
    /// process dies.
    ///
    /// Errors: `NotFound` (that registration is gone), `Limit` (65,535 of this mesh are in flight), `Full`, `NoSpace`,
    /// `NoMemory`, `Busy`.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/mod.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let _place = Place::of_process();
    /// # let mesh = commy::Mesh::create("requests", 1)?;
    /// # let server = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # mesh.register_service("web", "web-1", "127.0.0.1", server.local_addr()?.port())?;
    /// let target = mesh.select("web")?;
    /// let request = mesh.begin(&target)?;
    /// std::net::TcpStream::connect(target.address())?; // `?` drops the request: a failure
    /// request.succeed()?;
    /// # assert_eq!(mesh.statistics()?.successful_requests, 1);
    /// # Ok(()) }
    /// ```
    pub fn begin(&self, service: impl Into<Reference>) -> Result<Request<'_>> {
        let begun = Instant::now();
        Ok(Request { mesh: self, token: self.begin_request(service)?, begun })
    }

    /// The same as a number, which nothing ends but [`Mesh::end_request`], by any thread.
    #[inline]
    pub fn begin_request(&self, service: impl Into<Reference>) -> Result<Token> {
        let mut token = 0;
        check(unsafe { sys::commy_begin_request(self.handle, service.into().0, &mut token) })?;
        Ok(Token(token))
    }

    /// Ends a request and counts it, with its latency (over an hour counts as an hour). Succeeds also where the service is
    /// gone meanwhile: the mesh's totals then count it.
    ///
    /// Errors: `Invalid` (the token is of no open request of this mesh), `NotRunning` (stopped since).
    #[inline]
    pub fn end_request(&self, token: Token, latency: Duration, success: bool) -> Result<()> {
        check(unsafe { sys::commy_end_request(self.handle, token.0, nanos(latency), success.into()) })
    }

    /// Counts one request that has ended. Errors: `NotFound` (that registration is gone), `Full`, `NoSpace`.
    #[inline]
    pub fn report(&self, service: impl Into<Reference>, latency: Duration, success: bool) -> Result<()> {
        check(unsafe { sys::commy_report(self.handle, service.into().0, nanos(latency), success.into()) })
    }

    /// The same by id, in whole milliseconds (rounded down). Errors: `NotFound`, `Full`, `NoSpace`.
    pub fn report_service(&self, id: impl Text, response_time: Duration, success: bool) -> Result<()> {
        let ms = u64::try_from(response_time.as_millis()).unwrap_or(u64::MAX);
        check(id.with_c(|id| unsafe { sys::commy_report_service_performance(self.handle, id, ms, success.into()) })?)
    }

    /// The latency that a share of the reported requests did not exceed, within 7 %: of a service or, where no service has
    /// that id, of all instances of that name; none: of the whole mesh. Zero where nothing was reported yet.
    ///
    /// `quantile`: 0 to 1. Errors: `NotFound`.
    pub fn latency(&self, id_or_name: Option<&str>, quantile: f64) -> Result<Duration> {
        let mut ns = 0;
        check(with_option(id_or_name, |text| unsafe {
            sys::commy_get_latency(self.handle, text, quantile, &mut ns)
        })?)?;
        Ok(Duration::from_nanos(ns))
    }

    /// The requests to all live instances of a name, added up. Errors: `NotFound` (it has none).
    pub fn load_balancer_statistics(&self, name: impl Text) -> Result<Requests> {
        let mut sums = Requests { total: 0, successful: 0, failed: 0, average_response_time_ms: 0.0 };
        check(name.with_c(|name| unsafe {
            sys::commy_get_load_balancer_stats(
                self.handle,
                name,
                &mut sums.total,
                &mut sums.successful,
                &mut sums.failed,
                &mut sums.average_response_time_ms,
            )
        })?)?;
        Ok(sums)
    }
}

/// Requests that were counted. Total = successful + failed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Requests {
    pub total: u64,
    pub successful: u64,
    pub failed: u64,
    /// 0 before the first.
    pub average_response_time_ms: f64,
}
