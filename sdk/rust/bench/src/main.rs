//! What the crate adds to the library's calls: each against the same loop in C, in the same process and in turns.
//!
//!     commy-bench [--quick] [--json]
//!
//! Ids are of 21 bytes and drawn at random from all services. A figure is the median of its turns. Ends with 1 where a
//! target is missed, with 2 where an answer is wrong.

use std::ffi::{CStr, CString};
use std::os::raw::c_char;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use commy::{Error, Mesh, Reference, Target, Text};
use commy_sys::commy_handle_t;

extern "C" {
    fn loops_find(h: commy_handle_t, ids: *const *const c_char, n: u64) -> u64;
    fn loops_miss(h: commy_handle_t, ids: *const *const c_char, n: u64) -> u64;
    fn loops_select(h: commy_handle_t, name: *const c_char, n: u64) -> u64;
    fn loops_request(h: commy_handle_t, reference: u64, n: u64) -> u64;
    fn loops_batch(h: commy_handle_t, ids: *const *const c_char, n: u64) -> u64;
}

const TURN: usize = 16384;
const BATCH: usize = 16;

/// Everything that the loops need.
struct Stage {
    mesh: Mesh,
    hits: Vec<CString>,
    texts: Vec<String>,
    misses: Vec<CString>,
    reference: Reference,
}

/// A row of the report: the crate's loop beside C's.
struct Row {
    name: &'static str,
    /// Most that the crate may take, as a multiple of C; none: shown only.
    target: Option<f64>,
    rust: fn(&Stage) -> u64,
    c: fn(&Stage) -> u64,
}

impl Stage {
    fn make(dir: &std::path::Path, services: usize) -> commy::Result<Stage> {
        let mesh = Mesh::options().dir(dir).node_id("bench").capacity(services as u32 + 16).open()?;
        for i in 0..services {
            mesh.register_service("bench", id_of(i), "10.0.0.1:1234567", 1000 + (i % 60000) as u16)?;
        }
        let mut random = 88172645463325252u64;
        let mut draw = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize % services
        };
        let texts: Vec<String> = (0..TURN).map(|_| id_of(draw())).collect();
        let hits = texts.iter().map(|id| CString::new(id.as_str()).unwrap()).collect();
        let misses = (0..TURN).map(|_| CString::new(id_of(services + draw())).unwrap()).collect();
        let reference = mesh.find(id_of(0))?.reference();
        Ok(Stage { mesh, hits, texts, misses, reference })
    }

    fn handle(&self) -> commy_handle_t {
        commy_handle_t { instance_id: self.mesh.instance_id() }
    }
}

fn id_of(i: usize) -> String {
    format!("service-{i:08}-local")
}

fn pointers(ids: &[CString]) -> Vec<*const c_char> {
    ids.iter().map(|id| id.as_ptr()).collect()
}

/// The rows of find() by the two kinds of text, of which C has one.
fn find_by<T: Text>(mesh: &Mesh, ids: impl Iterator<Item = T>) -> u64 {
    let mut sum = 0;
    for id in ids {
        if let Ok(target) = mesh.find(id) {
            sum += u64::from(target.port());
        }
    }
    sum
}

fn find_into(stage: &Stage) -> u64 {
    let (mut target, mut sum) = (Target::default(), 0);
    for id in &stage.hits {
        if stage.mesh.find_into(id, &mut target).is_ok() {
            sum += u64::from(target.port());
        }
    }
    sum
}

fn find_in_c(stage: &Stage) -> u64 {
    // SAFETY: here and below, as many texts as are said.
    unsafe { loops_find(stage.handle(), pointers(&stage.hits).as_ptr(), TURN as u64) }
}

fn find_nobody(stage: &Stage) -> u64 {
    stage.misses.iter().filter(|id| matches!(stage.mesh.find(id.as_c_str()), Err(Error::NotFound(_)))).count() as u64
}

fn lookup_nobody(stage: &Stage) -> u64 {
    stage.misses.iter().filter(|id| matches!(stage.mesh.lookup(id.as_c_str()), Ok(None))).count() as u64
}

fn miss_in_c(stage: &Stage) -> u64 {
    unsafe { loops_miss(stage.handle(), pointers(&stage.misses).as_ptr(), TURN as u64) }
}

fn find_many(stage: &Stage) -> u64 {
    let mut sum = 0;
    for ids in stage.texts.chunks_exact(BATCH) {
        let found = stage.mesh.find_many(ids).unwrap();
        for target in found.iter().flatten() {
            sum += u64::from(target.port());
        }
    }
    sum
}

fn select(stage: &Stage) -> u64 {
    let name = CStr::from_bytes_with_nul(b"bench\0").unwrap();
    let mut sum = 0;
    for _ in 0..TURN {
        if let Ok(target) = stage.mesh.select(name) {
            sum += u64::from(target.port());
        }
    }
    sum
}

fn begin_and_end(stage: &Stage) -> u64 {
    let mut ended = 0;
    for _ in 0..TURN {
        let token = stage.mesh.begin_request(stage.reference).unwrap();
        ended += u64::from(stage.mesh.end_request(token, Duration::from_micros(1), true).is_ok());
    }
    ended
}

fn guard(stage: &Stage) -> u64 {
    let mut ended = 0;
    for _ in 0..TURN {
        ended += u64::from(stage.mesh.begin(stage.reference).unwrap().succeed().is_ok());
    }
    ended
}

fn request_in_c(stage: &Stage) -> u64 {
    unsafe { loops_request(stage.handle(), stage.reference.as_raw(), TURN as u64) }
}

const ROWS: &[Row] = &[
    Row { name: "find_into by &CStr", target: Some(1.1), rust: find_into, c: find_in_c },
    Row {
        name: "find by &CStr",
        target: Some(1.1),
        rust: |stage| find_by(&stage.mesh, stage.hits.iter().map(|id| id.as_c_str())),
        c: find_in_c,
    },
    Row { name: "find by &str", target: None, rust: |stage| find_by(&stage.mesh, stage.texts.iter()), c: find_in_c },
    Row { name: "find of nobody", target: None, rust: find_nobody, c: miss_in_c },
    Row { name: "lookup of nobody", target: Some(1.1), rust: lookup_nobody, c: miss_in_c },
    Row {
        name: "find_many of 16, each",
        target: None,
        rust: find_many,
        c: |stage| unsafe { loops_batch(stage.handle(), pointers(&stage.hits).as_ptr(), TURN as u64) },
    },
    Row {
        name: "select by &CStr",
        target: Some(1.1),
        rust: select,
        c: |stage| unsafe { loops_select(stage.handle(), b"bench\0".as_ptr().cast(), TURN as u64) },
    },
    Row { name: "begin and end by token", target: Some(1.1), rust: begin_and_end, c: request_in_c },
    Row { name: "begin and end by guard", target: None, rust: guard, c: request_in_c },
];

/// Nanoseconds of one call; the loop's answer.
fn timed(stage: &Stage, work: fn(&Stage) -> u64) -> (f64, u64) {
    let began = Instant::now();
    let sum = work(stage);
    (began.elapsed().as_nanos() as f64 / TURN as f64, sum)
}

fn median(mut turns: Vec<f64>) -> f64 {
    turns.sort_by(f64::total_cmp);
    turns[turns.len() / 2]
}

/// Median costs in Rust and in C, and of the ratios of turns that lay side by side. None where the answers differ.
fn measure(stage: &Stage, row: &Row, turns: usize) -> Option<(f64, f64, f64)> {
    let (mut rust, mut c, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let rotates = row.name.starts_with("select"); // each goes on where the other stopped
    for turn in 0..turns + 2 {
        let ((of_rust, rust_sum), (of_c, c_sum)) = (timed(stage, row.rust), timed(stage, row.c));
        if rust_sum == 0 || (rust_sum != c_sum && !rotates) {
            return None;
        }
        if turn >= 2 {
            rust.push(of_rust);
            c.push(of_c);
            ratios.push(of_rust / of_c);
        }
    }
    Some((median(rust), median(c), median(ratios)))
}

fn main() -> ExitCode {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = flags.iter().find(|flag| !["--quick", "--json"].contains(&flag.as_str())) {
        eprintln!("commy-bench: unknown argument {unknown}; known: --quick, --json");
        return ExitCode::from(64);
    }
    let given = |flag: &str| flags.iter().any(|other| other == flag);
    let turns = if given("--quick") { 101 } else { 401 };
    let dir = std::path::PathBuf::from(format!("/dev/shm/commy-bench-rust-{}", std::process::id()));
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&dir).unwrap();
    let code = report(&dir, turns, given("--json"));
    std::fs::remove_dir_all(&dir).unwrap();
    ExitCode::from(code)
}

fn report(dir: &std::path::Path, turns: usize, json: bool) -> u8 {
    let stage = match Stage::make(dir, 1000) {
        Ok(stage) => stage,
        Err(error) => {
            eprintln!("commy-bench: {error}");
            return 2;
        }
    };
    let mut code = 0;
    for row in ROWS {
        let (rust, c, ratio) = match measure(&stage, row, turns) {
            Some(figures) => figures,
            None => {
                eprintln!("commy-bench: {}: the answers in Rust and in C differ", row.name);
                return 2;
            }
        };
        let verdict = match row.target {
            None => "",
            Some(most) if ratio <= most => "met",
            Some(_) => "MISSED",
        };
        if verdict == "MISSED" {
            code = 1;
        }
        let target = row.target.map_or(String::new(), |most| format!("<= {most}x"));
        if json {
            println!(
                "{{\"row\":\"{}\",\"rust_ns\":{rust:.2},\"c_ns\":{c:.2},\"ratio\":{ratio:.3},\"verdict\":\"{verdict}\"}}",
                row.name
            );
        } else {
            println!("{:24} {rust:7.1} ns, in C {c:7.1} ns: {ratio:.3}x {target:8} {verdict}", row.name);
        }
    }
    code
}
