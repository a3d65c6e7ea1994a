//! Circuit breakers, which all processes of the host share.

use commy_sys as sys;

use crate::error::{check, Result};
use crate::mesh::Mesh;
use crate::text::Text;

/// How a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreakerState {
    Closed,
    /// Not selected.
    Open,
    /// One participant of the host may try it, or does.
    HalfOpen,
}

impl BreakerState {
    /// What no release of the library calls anything is not to be sent requests to.
    fn from_raw(state: i32) -> BreakerState {
        match state {
            sys::COMMY_BREAKER_CLOSED => BreakerState::Closed,
            sys::COMMY_BREAKER_HALF_OPEN => BreakerState::HalfOpen,
            _ => BreakerState::Open,
        }
    }

    /// The library's number for it (`commy_breaker_state_t`).
    pub fn code(self) -> i32 {
        match self {
            BreakerState::Closed => sys::COMMY_BREAKER_CLOSED,
            BreakerState::Open => sys::COMMY_BREAKER_OPEN,
            BreakerState::HalfOpen => sys::COMMY_BREAKER_HALF_OPEN,
        }
    }
}

/// The circuit breaker of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitBreaker {
    pub state: BreakerState,
    /// In a row, over all processes; counted while it is closed.
    pub failures: u32,
}

impl Mesh {
    /// How the breaker of a service stands; closed where breakers are not enabled
    /// ([`LoadBalancer::circuit_breaker`](crate::LoadBalancer::circuit_breaker)). Errors: `NotFound`.
    pub fn circuit_breaker(&self, id: impl Text) -> Result<CircuitBreaker> {
        let (mut state, mut failures) = (0, 0);
        let get = |id| unsafe { sys::commy_get_circuit_breaker_status(self.handle, id, &mut state, &mut failures) };
        check(id.with_c(get)?)?;
        Ok(CircuitBreaker { state: BreakerState::from_raw(state), failures })
    }

    /// Closes it, and forgets the failures that were counted. Errors: `NotFound`.
    pub fn reset_circuit_breaker(&self, id: impl Text) -> Result<()> {
        check(id.with_c(|id| unsafe { sys::commy_reset_circuit_breaker(self.handle, id) })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_numbers_belong_together() {
        for code in 0..3 {
            assert_eq!(BreakerState::from_raw(code).code(), code);
        }
        assert_eq!(BreakerState::from_raw(77), BreakerState::Open);
    }
}
