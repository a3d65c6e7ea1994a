//! What other processes see of this one: a forked child, one that ends without dropping anything, one that is killed.
//!
//! This program starts itself again for the latter two, with $COMMY_TEST_CHILD saying what to do.

mod common;

use std::os::raw::c_int;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Place;
use commy::{Error, Mesh};

extern "C" {
    fn fork() -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
}

fn mesh(place: &Place) -> Mesh {
    Mesh::options().dir(&place.dir).capacity(64).open().unwrap()
}

/// Runs `child` in a forked process; the number of the check that failed there, or 0.
fn in_child(child: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: the child makes commy's calls and those of the allocator, which survive a fork, and ends.
    unsafe {
        let pid = fork();
        assert!(pid >= 0);
        if pid == 0 {
            _exit(child());
        }
        let mut status = 0;
        assert_eq!(waitpid(pid, &mut status, 0), pid);
        assert_eq!(status & 0x7f, 0, "the child was killed by signal {}", status & 0x7f);
        status >> 8
    }
}

#[test]
fn a_forked_child_is_told_and_leaves_its_parents_mesh_alone() {
    let place = Place::new();
    let mesh = mesh(&place);
    mesh.register_service("web", "web-1", "127.0.0.1", 80).unwrap();
    let token = mesh.begin_request(&mesh.find("web-1").unwrap()).unwrap();
    let mut inherited = Some((mesh, token));
    let failed = in_child(|| {
        let (mesh, token) = inherited.take().unwrap();
        let refused = |result: Result<(), Error>| matches!(result, Err(Error::Forked(_)));
        if !refused(mesh.find("web-1").map(drop)) || !refused(mesh.start()) || !refused(mesh.stop()) {
            return 1;
        }
        if !refused(mesh.end_request(token, Duration::ZERO, true)) {
            return 2;
        }
        drop(mesh);
        let own = match Mesh::options().dir(&place.dir).must_exist().open() {
            Ok(own) => own,
            Err(_) => return 3,
        };
        if own.find("web-1").is_err() || own.register_service("web", "web-2", "127.0.0.1", 81).is_err() {
            return 4;
        }
        if own.count_services("web").ok() != Some(2) {
            return 5;
        }
        0 // without dropping `own`: the end of the process is enough
    });
    assert_eq!(failed, 0);
    let (mesh, token) = inherited.unwrap();
    assert_eq!(mesh.discover_services("web").unwrap().map(|s| s.id().to_owned()).collect::<Vec<_>>(), ["web-1"]);
    mesh.end_request(token, Duration::ZERO, true).unwrap();
    assert_eq!(mesh.statistics().unwrap().successful_requests, 1);
}

fn start(place: &Place, what: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "what_a_started_process_does", "--nocapture"])
        .env("COMMY_DIR", &place.dir)
        .env("COMMY_TEST_CHILD", what)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Nothing, but in a process that another test has started.
#[test]
fn what_a_started_process_does() {
    let what = match std::env::var("COMMY_TEST_CHILD") {
        Ok(what) => what,
        Err(_) => return,
    };
    let mesh = Mesh::create(&what, 1).unwrap();
    mesh.register_service("other", format!("other-{what}"), "127.0.0.1", 80).unwrap();
    let _request = mesh.begin(&mesh.find(format!("other-{what}")).unwrap()).unwrap().into_token();
    std::io::stdin().read_line(&mut String::new()).unwrap(); // until this test's maker says so, or is gone
    match what.as_str() {
        "exits" => std::process::exit(0), // with an open mesh
        "forgets" => std::mem::forget(mesh),
        "aborts" => std::process::abort(),
        _ => drop(mesh),
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn however_a_process_ends_its_services_go() {
    let place = Place::new();
    let mesh = mesh(&place);
    for what in ["drops", "exits", "forgets", "aborts", "killed"] {
        let mut child = start(&place, what);
        let id = format!("other-{what}");
        eventually("it registers", || mesh.find(&id).is_ok());
        assert_eq!(mesh.get_service(&id).unwrap().owner_pid(), Some(child.id()));
        let version = mesh.wait(Some("other"), 0, None).unwrap();
        if what == "killed" {
            child.kill().unwrap();
        } else {
            drop(child.stdin.take());
        }
        mesh.wait(Some("other"), version, Some(Duration::from_secs(20))).unwrap();
        child.wait().unwrap();
        assert!(matches!(mesh.find(&id), Err(Error::NotFound(_))), "{what}");
        assert_eq!(mesh.count_services("other").unwrap(), 0);
    }
}
