// A directory for regions that is removed in the end. Examples in the documentation include this file, too.

use std::path::PathBuf;

/// Made in memory where there is some.
#[allow(dead_code)]
pub struct Place {
    pub dir: PathBuf,
}

#[allow(dead_code)]
impl Place {
    pub fn new() -> Place {
        use std::sync::atomic::{AtomicU32, Ordering};
        static LAST: AtomicU32 = AtomicU32::new(0);
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("commy-rust-{}-{number}", std::process::id()));
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
        Place { dir }
    }

    /// One that the whole process uses by default.
    pub fn of_process() -> Place {
        let place = Place::new();
        std::env::set_var("COMMY_DIR", &place.dir);
        place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
