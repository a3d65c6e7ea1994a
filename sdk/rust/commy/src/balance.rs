//! Selecting one instance of a name.

use std::time::Duration;

use commy_sys as sys;

use crate::error::{check, Result};
use crate::mesh::{millis, Mesh};
use crate::query::target;
use crate::service::Target;
use crate::text::Text;

/// How one instance of a name is selected. Configuring one that the loaded library does not have is `Invalid`, and the sentence
/// names those that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// In turn: one rotation for the whole host.
    RoundRobin,
    /// Of two drawn by weight, that with fewer requests in flight for its weight.
    LeastConnections,
    /// In turn, by weight, evenly spread.
    WeightedRoundRobin,
    /// Of two drawn by weight, that with less latency and less in flight.
    Performance,
    /// By weight.
    Random,
    /// By client id: the same client, the same instance, while it can be.
    ConsistentHash,
    /// A number that this release of the crate has no name for.
    Other(i32),
}

impl Policy {
    /// The library's number for it (`commy_policy_t`).
    pub fn code(self) -> i32 {
        match self {
            Policy::RoundRobin => sys::COMMY_POLICY_ROUND_ROBIN,
            Policy::LeastConnections => sys::COMMY_POLICY_LEAST_CONNECTIONS,
            Policy::WeightedRoundRobin => sys::COMMY_POLICY_WEIGHTED_ROUND_ROBIN,
            Policy::Performance => sys::COMMY_POLICY_PERFORMANCE,
            Policy::Random => sys::COMMY_POLICY_RANDOM,
            Policy::ConsistentHash => sys::COMMY_POLICY_CONSISTENT_HASH,
            Policy::Other(code) => code,
        }
    }

    /// The policy of a number.
    pub fn from_code(code: i32) -> Policy {
        const NAMED: [Policy; 6] = [
            Policy::RoundRobin,
            Policy::LeastConnections,
            Policy::WeightedRoundRobin,
            Policy::Performance,
            Policy::Random,
            Policy::ConsistentHash,
        ];
        NAMED.into_iter().find(|policy| policy.code() == code).unwrap_or(Policy::Other(code))
    }
}

/// How a mesh selects from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadBalancer {
    policy: Policy,
    breaker: bool,
    threshold: u32,
    timeout_ms: u64,
}

impl LoadBalancer {
    /// By a policy, without a circuit breaker.
    pub fn new(policy: Policy) -> LoadBalancer {
        LoadBalancer { policy, breaker: false, threshold: 0, timeout_ms: 0 }
    }

    /// With circuit breakers, which are the mesh's: this switches them on for all processes. `threshold` failures in a row, 1 to
    /// 10,000, eject an instance for `timeout`, up to an hour (rounded up to whole milliseconds). One without switches
    /// them off if this mesh handle had switched them on.
    pub fn circuit_breaker(self, threshold: u32, timeout: Duration) -> LoadBalancer {
        LoadBalancer { breaker: true, threshold, timeout_ms: millis(timeout), ..self }
    }

    pub(crate) fn to_raw(self) -> sys::commy_load_balancer_config_t {
        sys::commy_load_balancer_config_t {
            algorithm: self.policy.code(),
            enable_circuit_breaker: self.breaker.into(),
            circuit_breaker_threshold: self.threshold,
            circuit_breaker_timeout_ms: self.timeout_ms,
        }
    }
}

impl Mesh {
    /// How [`Mesh::select`] of this mesh selects from now on; without it, round robin. Errors: `Invalid`.
    pub fn configure_load_balancer(&self, balancer: LoadBalancer) -> Result<()> {
        // SAFETY: a structure of numbers.
        check(unsafe { sys::commy_configure_load_balancer(self.handle, &balancer.to_raw()) })
    }

    /// Selects one instance of a name: one that is enabled, and healthy or degraded. Costs the same for any number of
    /// instances.
    ///
    /// Errors: `NotFound` (the name has no instance), `NoHealthy` (none may be selected; the sentence counts the reasons),
    /// `CircuitOpen`, `NoMemory`, `Busy`.
    #[inline(always)]
    pub fn select(&self, name: impl Text) -> Result<Target> {
        let select = |name, target| unsafe { sys::commy_select_service(self.handle, name, std::ptr::null(), target) };
        target(|target| name.with_c(|name| select(name, target)))
    }

    /// The same for a client: with [`Policy::ConsistentHash`] one client gets the same instance in every process. Other
    /// policies ignore it. `client`: 1 to 255 bytes.
    #[inline(always)]
    pub fn select_for(&self, name: impl Text, client: impl Text) -> Result<Target> {
        let select = |name, client, target| unsafe { sys::commy_select_service(self.handle, name, client, target) };
        target(|target| name.with_c(|name| client.with_c(|client| select(name, client, target)))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_and_numbers_belong_together() {
        for code in -1..8 {
            assert_eq!(Policy::from_code(code).code(), code);
        }
        assert_eq!(Policy::from_code(7), Policy::Other(7));
        assert_eq!(Policy::from_code(5), Policy::ConsistentHash);
    }
}
