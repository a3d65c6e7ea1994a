//! Each error has its variant, its code, and a sentence of the thread that it happened on.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use common::Place;
use commy::{Error, Mesh};

fn mesh(place: &Place) -> Mesh {
    Mesh::options().dir(&place.dir).capacity(16).open().unwrap()
}

/// Asserts the variant, the code, and words that the sentence must hold.
macro_rules! assert_fails {
    ($result:expr, $variant:ident = $code:expr, $($words:expr),*) => {{
        let error = $result.map(drop).unwrap_err();
        assert!(matches!(error, Error::$variant(_)), "{error:?}");
        assert_eq!(error.code(), $code);
        $(assert!(error.to_string().contains($words), "{error}");)*
        assert_eq!(error.to_string(), error.message());
    }};
}

#[test]
fn what_cannot_be_opened() {
    let place = Place::new();
    let dir = place.dir.to_str().unwrap();
    let options = || Mesh::options().dir(&place.dir);
    assert_fails!(options().mesh("none").must_exist().open(), MeshNotFound = 25, "none", dir);
    assert_fails!(options().mesh("none").read_only().open(), MeshNotFound = 25, "none");
    assert_fails!(options().mesh("a/b").open(), Invalid = 2, "a/b");
    assert_fails!(options().mesh("a\0b").open(), Invalid = 2, "NUL");
    assert_fails!(options().capacity(15).open(), Invalid = 2, "15");
    assert_fails!(options().dir("a\0b").open(), Invalid = 2, "NUL");
    assert_fails!(Mesh::create("", 80), Invalid = 2, "");
    assert_fails!(Mesh::create("node", 0), Invalid = 2, "0");

    std::fs::write(place.dir.join("text"), "no region").unwrap();
    assert_fails!(options().mesh("text").open(), NotARegion = 17, "text");
    let _made = options().mesh("made").must_not_exist().open().unwrap();
    assert_fails!(options().mesh("made").must_not_exist().open(), Exists = 6, "made");
    std::fs::set_permissions(&place.dir, PermissionsExt::from_mode(0o777)).unwrap();
    assert_fails!(options().open(), Permission = 8, dir);
}

#[test]
fn what_cannot_be_done() {
    let place = Place::new();
    let mesh = mesh(&place);
    mesh.register_service("web", "web-1", "127.0.0.1", 80).unwrap();
    assert_fails!(mesh.register_service("web", "web-1", "127.0.0.1", 81), Exists = 6, "web-1");
    assert_fails!(mesh.register_service("web", "x".repeat(128), "h", 80), Invalid = 2, "127");
    assert_fails!(mesh.register_service("web", "x", "h", 0), Invalid = 2, "0");
    assert_fails!(mesh.find("nobody"), NotFound = 5, "nobody");
    assert_fails!(mesh.find("no\0body"), Invalid = 2, "byte 2");
    assert_fails!(mesh.set_weight("web-1", 65536), Invalid = 2, "65536");
    assert_fails!(mesh.latency(Some("web-1"), 1.5), Invalid = 2, "1.5");
    assert_fails!(mesh.latency(None, f64::NAN), Invalid = 2, "");
    let version = mesh.wait(None, 0, None).unwrap();
    assert_fails!(mesh.wait(None, version, Some(Duration::from_millis(20))), TimedOut = 11, "20 ms");
    assert_fails!(mesh.wait(None, version, Some(Duration::MAX)), Invalid = 2, "24 days");
    for i in 2..=16 {
        mesh.register_service("web", format!("web-{i}"), "127.0.0.1", 80).unwrap();
    }
    assert_fails!(mesh.register_service("web", "one-more", "127.0.0.1", 80), Full = 7, "16");

    let reader = Mesh::options().dir(&place.dir).read_only().open().unwrap();
    assert_eq!(reader.find("web-1").unwrap().port(), 80);
    assert_fails!(reader.unregister_service("web-1"), ReadOnly = 21, "");
    assert_fails!(reader.start(), ReadOnly = 21, "");

    mesh.stop().unwrap();
    assert_fails!(mesh.find("web-1"), NotRunning = 12, "");
    mesh.start().unwrap();
    assert_fails!(mesh.find("web-1"), NotFound = 5, "web-1");
    mesh.close().unwrap();
    assert_fails!(mesh.find("web-1"), NoHandle = 3, "");
    assert_fails!(mesh.is_running(), NoHandle = 3, "");
    assert_fails!(mesh.node_id(), NoHandle = 3, "");
}

#[test]
fn a_sentence_is_that_of_its_own_thread() {
    let place = Place::new();
    let mesh = mesh(&place);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let mesh = &mesh;
            scope.spawn(move || {
                for i in 0..2000 {
                    let id = format!("nobody-{thread}-{i}-");
                    assert_fails!(mesh.find(&id), NotFound = 5, &id);
                }
            });
        }
    });
}

#[test]
fn a_mesh_is_shared_by_threads_and_closed_under_them() {
    fn of_any_thread<T: Send + Sync>(_: &T) {}
    let place = Place::new();
    let mesh = mesh(&place);
    of_any_thread(&mesh);
    mesh.register_service("web", "web-1", "127.0.0.1", 80).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let version = mesh.wait(None, 0, None).unwrap();
            mesh.wait(None, version, Some(Duration::from_secs(20)))
        });
        let finders: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| loop {
                    if let Err(error) = mesh.find("web-1") {
                        return error;
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        mesh.close().unwrap();
        for finder in finders {
            let error = finder.join().unwrap();
            assert!(matches!(error, Error::NoHandle(_) | Error::NotFound(_) | Error::NotRunning(_)), "{error:?}");
        }
        // The mesh changes as it is closed, so that the wait may end with a version as well.
        assert!(matches!(waiter.join().unwrap(), Ok(_) | Err(Error::NotRunning(_) | Error::NoHandle(_))));
        assert!(began.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn a_wait_ends_with_a_change_by_another_thread() {
    let place = Place::new();
    let mesh = mesh(&place);
    let version = mesh.wait(Some("web"), 0, None).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            mesh.register_service("web", "web-1", "127.0.0.1", 80).unwrap();
        });
        let next = mesh.wait(Some("web"), version, Some(Duration::from_secs(20))).unwrap();
        assert!(next > version);
    });
    assert_eq!(mesh.count_services("web").unwrap(), 1);
}
