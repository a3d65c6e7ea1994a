//! Watches: waiting, the iterator, the descriptor, and what ends them.

mod common;

use std::os::raw::{c_int, c_short, c_ulong};
use std::time::{Duration, Instant};

use common::Place;
use commy::{Error, Mesh, Watch};

const SOON: Option<Duration> = Some(Duration::from_millis(30));
const LATE: Option<Duration> = Some(Duration::from_secs(20));

fn mesh(place: &Place) -> Mesh {
    Mesh::options().dir(&place.dir).capacity(64).open().unwrap()
}

#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

extern "C" {
    fn poll(fds: *mut PollFd, count: c_ulong, timeout_ms: c_int) -> c_int;
}

fn readable(watch: &Watch, timeout_ms: c_int) -> bool {
    let mut one = PollFd { fd: watch.fd().unwrap(), events: 1, revents: 0 };
    // SAFETY: one descriptor.
    unsafe { poll(&mut one, 1, timeout_ms) == 1 }
}

#[test]
fn the_first_wait_returns_at_once_and_each_change_ends_one() {
    let place = Place::new();
    let mesh = mesh(&place);
    let watch = mesh.watch(Some("web")).unwrap();
    let first = watch.wait(Some(Duration::ZERO)).unwrap();
    assert!(matches!(watch.wait(SOON), Err(Error::TimedOut(_))));
    mesh.register_service("web", "web-1", "127.0.0.1", 80).unwrap();
    let second = watch.wait(SOON).unwrap();
    assert!(second > first);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            mesh.unregister_service("web-1").unwrap();
        });
        assert!(watch.wait(LATE).unwrap() > second);
    });
    assert!(matches!(mesh.watch(Some("")), Err(Error::Invalid(_))));
    assert!(matches!(mesh.watch(Some("a\0b")), Err(Error::Invalid(_))));
    assert!(matches!(watch.wait(Some(Duration::MAX)), Err(Error::Invalid(_))));
}

#[test]
fn the_iterator_never_misses_the_last_state_and_ends_when_woken() {
    let place = Place::new();
    let mesh = mesh(&place);
    let watch = mesh.watch(None).unwrap();
    let mut seen = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..40 {
                mesh.register_service("web", format!("web-{i}"), "127.0.0.1", 80).unwrap();
            }
            let began = Instant::now();
            while mesh.lookup("seen-all").unwrap().is_none() {
                assert!(began.elapsed() < Duration::from_secs(20));
                std::thread::sleep(Duration::from_millis(1));
            }
            watch.wake().unwrap();
        });
        for version in &watch {
            version.unwrap();
            seen = mesh.count_services("web").unwrap();
            if seen == 40 && mesh.lookup("seen-all").unwrap().is_none() {
                mesh.register_service("other", "seen-all", "127.0.0.1", 80).unwrap();
            }
        }
    });
    assert_eq!(seen, 40);
}

#[test]
fn a_wake_is_kept_for_the_next_wait_and_closing_ends_all() {
    let place = Place::new();
    let mesh = mesh(&place);
    let watch = mesh.watch(None).unwrap();
    watch.wait(SOON).unwrap();
    watch.wake().unwrap();
    assert!(matches!(watch.wait(LATE), Err(Error::Interrupted(_))));
    assert!(matches!(watch.wait(SOON), Err(Error::TimedOut(_))));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| watch.changes().count());
        std::thread::sleep(Duration::from_millis(50));
        watch.close().unwrap();
        assert_eq!(waiter.join().unwrap(), 0);
    });
    assert!(matches!(watch.wait(SOON), Err(Error::NoHandle(_))));
    assert!(matches!(watch.close(), Err(Error::NoHandle(_))));
    assert!(matches!(watch.fd(), Err(Error::NoHandle(_))));
}

#[test]
fn the_descriptor_is_readable_when_there_is_something_to_wait_for() {
    let place = Place::new();
    let mesh = mesh(&place);
    let watch = mesh.watch(Some("web")).unwrap();
    assert!(readable(&watch, 5000), "the first state");
    watch.wait(Some(Duration::ZERO)).unwrap();
    assert!(!readable(&watch, 50));
    mesh.register_service("web", "web-1", "127.0.0.1", 80).unwrap();
    assert!(readable(&watch, 5000));
    assert_eq!(watch.fd().unwrap(), watch.fd().unwrap());
    watch.wait(Some(Duration::ZERO)).unwrap();
    assert!(!readable(&watch, 50));
}

#[test]
fn a_watch_outlives_its_mesh() {
    let place = Place::new();
    let mesh = mesh(&place);
    mesh.start().unwrap();
    let watch = mesh.watch(None).unwrap();
    watch.wait(SOON).unwrap();
    mesh.stop().unwrap();
    assert!(matches!(watch.wait(SOON), Err(Error::NotRunning(_))));
    mesh.start().unwrap();
    watch.wait(LATE).unwrap();
    drop(mesh);
    assert!(matches!(watch.wait(LATE), Err(Error::NoHandle(_))));
    let last: Vec<_> = watch.changes().collect();
    assert!(matches!(last.as_slice(), [Err(Error::NoHandle(_))]));
    watch.close().unwrap();
}
