//! Requests in flight, and what becomes of the guard.

mod common;

use std::time::Duration;

use common::Place;
use commy::{Error, Mesh, Reference, Token};

struct Counted {
    mesh: Mesh,
    _place: Place,
}

impl Counted {
    fn new() -> Counted {
        let place = Place::new();
        let mesh = Mesh::options().dir(&place.dir).capacity(16).open().unwrap();
        mesh.register_service("web", "web-1", "127.0.0.1", 80).unwrap();
        Counted { mesh, _place: place }
    }

    /// Successes and failures of the mesh.
    fn counts(&self) -> (u64, u64) {
        let stats = self.mesh.statistics().unwrap();
        assert_eq!(stats.total_requests, stats.successful_requests + stats.failed_requests);
        (stats.successful_requests, stats.failed_requests)
    }
}

#[test]
fn a_guard_ends_as_it_is_told() {
    let counted = Counted::new();
    let mesh = &counted.mesh;
    let target = mesh.select("web").unwrap();
    mesh.begin(&target).unwrap().succeed().unwrap();
    assert_eq!(counted.counts(), (1, 0));
    mesh.begin(&target).unwrap().fail().unwrap();
    assert_eq!(counted.counts(), (1, 1));
    mesh.begin(target.reference()).unwrap().end(Duration::from_millis(700), true).unwrap();
    assert_eq!(counted.counts(), (2, 1));
    let slowest = mesh.latency(Some("web"), 1.0).unwrap();
    assert!((650..=750).contains(&slowest.as_millis()), "{slowest:?}");
    assert_eq!(mesh.latency(Some("web-1"), 1.0).unwrap(), slowest);
    assert_eq!(mesh.latency(None, 1.0).unwrap(), slowest);
}

#[test]
fn a_guard_measures_from_its_beginning() {
    let counted = Counted::new();
    let request = counted.mesh.begin(&counted.mesh.find("web-1").unwrap()).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    request.succeed().unwrap();
    assert!(counted.mesh.get_service("web-1").unwrap().response_time_ms() >= 30.0);
}

#[test]
fn a_guard_that_is_dropped_has_failed() {
    let counted = Counted::new();
    let mesh = &counted.mesh;
    drop(mesh.begin(&mesh.find("web-1").unwrap()).unwrap());
    assert_eq!(counted.counts(), (0, 1));

    let returns_early = || -> Result<(), std::num::ParseIntError> {
        let _request = mesh.begin(&mesh.find("web-1").unwrap()).unwrap();
        "no number".parse::<u32>()?;
        Ok(())
    };
    returns_early().unwrap_err();
    assert_eq!(counted.counts(), (0, 2));

    let panics = std::panic::AssertUnwindSafe(|| {
        let _request = mesh.begin(&mesh.find("web-1").unwrap()).unwrap();
        std::panic::resume_unwind(Box::new("on its way"));
    });
    std::panic::catch_unwind(panics).unwrap_err();
    assert_eq!(counted.counts(), (0, 3));
}

#[test]
fn a_token_is_ended_once_by_any_thread() {
    let counted = Counted::new();
    let mesh = &counted.mesh;
    let token = mesh.begin(&mesh.find("web-1").unwrap()).unwrap().into_token();
    assert_eq!(counted.counts(), (0, 0));
    std::thread::scope(|scope| {
        let end = || mesh.end_request(token, Duration::ZERO, true).is_ok();
        let threads = [scope.spawn(end), scope.spawn(end), scope.spawn(end)];
        assert_eq!(threads.map(|thread| thread.join().unwrap()).iter().filter(|&&ended| ended).count(), 1);
    });
    assert_eq!(counted.counts(), (1, 0));
    assert!(matches!(mesh.end_request(token, Duration::ZERO, true), Err(Error::Invalid(_))));
    let never = Token::from_raw(token.as_raw().wrapping_add(1));
    assert!(matches!(mesh.end_request(never, Duration::ZERO, true), Err(Error::Invalid(_))));
}

#[test]
fn stopping_ends_requests_uncounted_and_guards_bear_with_it() {
    let counted = Counted::new();
    let mesh = &counted.mesh;
    let target = mesh.find("web-1").unwrap();
    let (dropped, told) = (mesh.begin(&target).unwrap(), mesh.begin(&target).unwrap());
    mesh.stop().unwrap();
    assert!(matches!(told.succeed(), Err(Error::NotRunning(_))));
    drop(dropped);
    mesh.start().unwrap();
    assert_eq!(counted.counts(), (0, 0));
}

#[test]
fn reports_count_and_know_the_registration() {
    let counted = Counted::new();
    let mesh = &counted.mesh;
    let reference = mesh.find("web-1").unwrap().reference();
    mesh.report(reference, Duration::from_millis(2), true).unwrap();
    mesh.report_service("web-1", Duration::from_millis(4), false).unwrap();
    assert_eq!(counted.counts(), (1, 1));
    assert!((mesh.get_service("web-1").unwrap().response_time_ms() - 3.0).abs() < 0.2);
    mesh.unregister_service("web-1").unwrap();
    mesh.register_service("web", "web-1", "127.0.0.1", 80).unwrap();
    assert!(matches!(mesh.report(reference, Duration::ZERO, true), Err(Error::NotFound(_))));
    assert!(matches!(mesh.begin(reference), Err(Error::NotFound(_))));
    assert!(matches!(mesh.report(Reference::from_raw(0), Duration::ZERO, true), Err(Error::NotFound(_))));
}

#[test]
fn an_endless_latency_counts_as_an_hour() {
    let counted = Counted::new();
    let mesh = &counted.mesh;
    mesh.report(&mesh.find("web-1").unwrap(), Duration::MAX, true).unwrap();
    let latency = mesh.latency(None, 1.0).unwrap();
    assert!((3300..=3900).contains(&latency.as_secs()), "{latency:?}");
}
