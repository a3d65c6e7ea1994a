//! Health: having services checked, and saying how they are.

use std::time::Duration;

use commy_sys as sys;

use crate::balance::LoadBalancer;
use crate::error::{check, Result};
use crate::mesh::{millis, Mesh};
use crate::service::{Admin, Health};
use crate::text::Text;

/// How often a service is checked, and what makes it unhealthy or healthy.
///
/// ```
/// use commy::HealthConfig;
/// use std::time::Duration;
/// let often = HealthConfig { check_interval: Duration::from_millis(500), ..HealthConfig::default() };
/// # assert_eq!(often.max_failures, 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthConfig {
    /// From one check's start to the next, give or take a tenth; up to a day, rounded up to whole milliseconds.
    pub check_interval: Duration,
    /// After which a check has failed; up to four minutes, rounded up to whole milliseconds.
    pub timeout: Duration,
    /// Failures in a row that make a service unhealthy, 1 to 255.
    pub max_failures: u32,
    /// Successes in a row that make it healthy again, 1 to 255.
    pub recovery_checks: u32,
}

impl Default for HealthConfig {
    /// Every five seconds, a second of time, three failures, two successes.
    fn default() -> HealthConfig {
        HealthConfig {
            check_interval: Duration::from_millis(sys::COMMY_DEFAULT_CHECK_INTERVAL_MS.into()),
            timeout: Duration::from_millis(sys::COMMY_DEFAULT_CHECK_TIMEOUT_MS.into()),
            max_failures: sys::COMMY_DEFAULT_MAX_FAILURES,
            recovery_checks: sys::COMMY_DEFAULT_RECOVERY_CHECKS,
        }
    }
}

impl HealthConfig {
    fn to_raw(self) -> sys::commy_health_config_t {
        sys::commy_health_config_t {
            check_interval_ms: millis(self.check_interval),
            timeout_ms: millis(self.timeout),
            max_failures: self.max_failures,
            recovery_checks: self.recovery_checks,
        }
    }
}

/// How a service is, and how fast it answered.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Checked {
    pub health: Health,
    /// Of the check in milliseconds; where nobody checked it, the average of the reported requests; 0 before the first.
    pub response_time_ms: f64,
}

/// What a call fills in.
fn checked(get: impl FnOnce(*mut i32, *mut f64) -> Result<i32>) -> Result<Checked> {
    let (mut status, mut response_time_ms) = (0, 0.0);
    check(get(&mut status, &mut response_time_ms)?)?;
    Ok(Checked { health: Health::from_raw(status), response_time_ms })
}

impl Mesh {
    /// How this mesh has services checked, and how it selects, where a call says nothing else. None: unchanged. All or
    /// nothing. Errors: `Invalid` (a zero, or a number out of bounds).
    pub fn configure(&self, health: Option<HealthConfig>, balancer: Option<LoadBalancer>) -> Result<()> {
        let (health, balancer) = (health.map(HealthConfig::to_raw), balancer.map(LoadBalancer::to_raw));
        let health = health.as_ref().map_or(std::ptr::null(), |health| health);
        let balancer = balancer.as_ref().map_or(std::ptr::null(), |balancer| balancer);
        // SAFETY: null, or structures of numbers.
        check(unsafe { sys::commy_configure_mesh(self.handle, health, balancer) })
    }

    /// Has a service checked from now on, by this process or by another that asked for the same. A tag of the service says how:
    /// `check=tcp` (also without such a tag), `check=http`, `check=http:/path` or `check=none`. None: as configured.
    ///
    /// Errors: `NotFound`, `Invalid`, `InitFailed` (no libcurl.so.4), `NoMemory`, `Limit`, those of [`Mesh::start`].
    pub fn start_health_monitoring(&self, id: impl Text, config: Option<HealthConfig>) -> Result<()> {
        let config = config.map(HealthConfig::to_raw);
        let config = config.as_ref().map_or(std::ptr::null(), |config| config);
        check(id.with_c(|id| unsafe { sys::commy_start_health_monitoring(self.handle, id, config) })?)
    }

    /// Ends that for this mesh. Errors: `NotFound` (it does not monitor that service).
    pub fn stop_health_monitoring(&self, id: impl Text) -> Result<()> {
        check(id.with_c(|id| unsafe { sys::commy_stop_health_monitoring(self.handle, id) })?)
    }

    /// A service's health as every reader sees it. Errors: `NotFound`.
    pub fn service_health(&self, id: impl Text) -> Result<Checked> {
        checked(|health, ms| id.with_c(|id| unsafe { sys::commy_get_service_health(self.handle, id, health, ms) }))
    }

    /// Checks a service once, on the calling thread, and changes nothing. A service that does not answer is a result, not an
    /// error. Blocks for the configured timeout at most. Errors: `NotFound`, `Invalid`, `InitFailed`, `NoMemory`, `Limit`.
    pub fn check_health(&self, id: impl Text) -> Result<Checked> {
        checked(|health, ms| id.with_c(|id| unsafe { sys::commy_manual_health_check(self.handle, id, health, ms) }))
    }

    /// Sets what lookups report as the service's health, until a check says otherwise. Errors: `NotFound`.
    pub fn set_health(&self, id: impl Text, health: Health) -> Result<()> {
        check(id.with_c(|id| unsafe { sys::commy_set_health(self.handle, id, health.code()) })?)
    }

    /// Sets what its operators want of a service. Errors: `NotFound`.
    pub fn set_admin(&self, id: impl Text, admin: Admin) -> Result<()> {
        check(id.with_c(|id| unsafe { sys::commy_set_admin(self.handle, id, admin.code()) })?)
    }
}
