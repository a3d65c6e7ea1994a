//! Health checks and circuit breakers, on real sockets.

mod common;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::Place;
use commy::{Admin, BreakerState, Error, Health, HealthConfig, LoadBalancer, Mesh, Policy};

fn mesh(place: &Place) -> Mesh {
    Mesh::options().dir(&place.dir).capacity(64).open().unwrap()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

const OFTEN: HealthConfig = HealthConfig {
    check_interval: Duration::from_millis(20),
    timeout: Duration::from_millis(500),
    max_failures: 2,
    recovery_checks: 1,
};

#[test]
fn a_service_that_is_checked_is_as_it_answers() {
    let place = Place::new();
    let mesh = mesh(&place);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    mesh.register_service("web", "web-1", "127.0.0.1", address.port()).unwrap();
    assert_eq!(mesh.check_health("web-1").unwrap().health, Health::Healthy);
    mesh.start_health_monitoring("web-1", Some(OFTEN)).unwrap();
    eventually("it is checked", || mesh.service_health("web-1").unwrap().response_time_ms > 0.0);
    assert_eq!(mesh.find("web-1").unwrap().health(), Health::Healthy);

    drop(listener);
    eventually("it is down", || mesh.service_health("web-1").unwrap().health == Health::Unhealthy);
    assert_eq!(mesh.check_health("web-1").unwrap().health, Health::Unhealthy);
    assert!(matches!(mesh.select("web"), Err(Error::NoHealthy(_))));

    let _again = TcpListener::bind(address).unwrap();
    eventually("it is up again", || mesh.select("web").is_ok());
    mesh.stop_health_monitoring("web-1").unwrap();
    assert!(matches!(mesh.stop_health_monitoring("web-1"), Err(Error::NotFound(_))));
}

#[test]
fn configurations_are_checked_whole() {
    let place = Place::new();
    let mesh = mesh(&place);
    let balancer = LoadBalancer::new(Policy::Random);
    mesh.configure(None, None).unwrap();
    mesh.configure(Some(HealthConfig::default()), Some(balancer)).unwrap();
    for wrong in [
        HealthConfig { check_interval: Duration::ZERO, ..OFTEN },
        HealthConfig { timeout: Duration::ZERO, ..OFTEN },
        HealthConfig { max_failures: 0, ..OFTEN },
        HealthConfig { recovery_checks: 256, ..OFTEN },
    ] {
        assert!(matches!(mesh.configure(Some(wrong), None), Err(Error::Invalid(_))), "{wrong:?}");
    }
    let wrong = balancer.circuit_breaker(0, Duration::from_secs(1));
    assert!(matches!(mesh.configure(None, Some(wrong)), Err(Error::Invalid(_))));
    assert!(matches!(mesh.start_health_monitoring("nobody", None), Err(Error::NotFound(_))));
    assert!(matches!(mesh.check_health("nobody"), Err(Error::NotFound(_))));
}

#[test]
fn what_is_set_by_hand_is_seen() {
    let place = Place::new();
    let mesh = mesh(&place);
    mesh.register_service("web", "web-1", "127.0.0.1", 80).unwrap();
    for health in [Health::Unhealthy, Health::Degraded, Health::Unknown, Health::Healthy] {
        mesh.set_health("web-1", health).unwrap();
        assert_eq!(mesh.service_health("web-1").unwrap().health, health);
        assert_eq!(mesh.get_service("web-1").unwrap().health(), health);
        assert_eq!(mesh.select("web").is_ok(), matches!(health, Health::Healthy | Health::Degraded));
    }
    for admin in [Admin::Draining, Admin::Maintenance, Admin::Enabled] {
        mesh.set_admin("web-1", admin).unwrap();
        assert_eq!(mesh.get_service("web-1").unwrap().admin(), admin);
        assert_eq!(mesh.select("web").is_ok(), admin == Admin::Enabled);
    }
    assert!(matches!(mesh.set_health("nobody", Health::Healthy), Err(Error::NotFound(_))));
    assert!(matches!(mesh.set_admin("nobody", Admin::Enabled), Err(Error::NotFound(_))));
}

#[test]
fn a_breaker_opens_after_failures_in_a_row_and_is_reset() {
    let place = Place::new();
    let mesh = mesh(&place);
    mesh.register_service("web", "web-1", "127.0.0.1", 80).unwrap();
    let breaker = LoadBalancer::new(Policy::RoundRobin).circuit_breaker(3, Duration::from_secs(60));
    mesh.configure_load_balancer(breaker).unwrap();
    for failures in 0..3 {
        let seen = mesh.circuit_breaker("web-1").unwrap();
        assert_eq!((seen.state, seen.failures), (BreakerState::Closed, failures));
        mesh.begin(&mesh.select("web").unwrap()).unwrap().fail().unwrap();
    }
    assert_eq!(mesh.circuit_breaker("web-1").unwrap().state, BreakerState::Open);
    assert!(matches!(mesh.select("web"), Err(Error::CircuitOpen(_))));
    mesh.reset_circuit_breaker("web-1").unwrap();
    assert_eq!(mesh.circuit_breaker("web-1").unwrap().state, BreakerState::Closed);
    mesh.begin(&mesh.select("web").unwrap()).unwrap().succeed().unwrap();
    assert!(matches!(mesh.circuit_breaker("nobody"), Err(Error::NotFound(_))));
    assert!(matches!(mesh.reset_circuit_breaker("nobody"), Err(Error::NotFound(_))));
}

#[test]
fn requests_to_a_name_are_added_up() {
    let place = Place::new();
    let mesh = mesh(&place);
    for port in [80, 81] {
        mesh.register_service("web", format!("web-{port}"), "127.0.0.1", port).unwrap();
    }
    for turn in 0..4 {
        mesh.report(&mesh.select("web").unwrap(), Duration::from_millis(3), turn != 0).unwrap();
    }
    let requests = mesh.load_balancer_statistics("web").unwrap();
    assert_eq!((requests.total, requests.successful, requests.failed), (4, 3, 1));
    assert!((requests.average_response_time_ms - 3.0).abs() < 0.2, "{requests:?}");
    assert!(matches!(mesh.load_balancer_statistics("nobody"), Err(Error::NotFound(_))));
}
