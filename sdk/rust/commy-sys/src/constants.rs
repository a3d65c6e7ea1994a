//! Codes, limits and flags of `commy/types.h`, under their own names.

pub const COMMY_STATUS_SUCCESS: i32 = 0;
/// The library could not set itself up.
pub const COMMY_STATUS_INIT_FAILED: i32 = 1;
/// A parameter is outside its limits.
pub const COMMY_STATUS_INVALID: i32 = 2;
/// The handle is unknown or was destroyed.
pub const COMMY_STATUS_NO_HANDLE: i32 = 3;
/// Private memory ran out.
pub const COMMY_STATUS_NO_MEMORY: i32 = 4;
/// No live service of that id or name.
pub const COMMY_STATUS_NOT_FOUND: i32 = 5;
/// A live service has that id; or the region is there already.
pub const COMMY_STATUS_EXISTS: i32 = 6;
/// The region holds as many as it was made for.
pub const COMMY_STATUS_FULL: i32 = 7;
/// The file system or its owner says no.
pub const COMMY_STATUS_PERMISSION: i32 = 8;
/// The region was made by an incompatible library.
pub const COMMY_STATUS_LAYOUT: i32 = 9;
/// What the region holds makes no sense.
pub const COMMY_STATUS_CORRUPT: i32 = 10;
/// The time given has passed.
pub const COMMY_STATUS_TIMED_OUT: i32 = 11;
/// The handle was stopped.
pub const COMMY_STATUS_NOT_RUNNING: i32 = 12;
/// No instance may be selected.
pub const COMMY_STATUS_NO_HEALTHY: i32 = 13;
/// Every instance is ejected.
pub const COMMY_STATUS_CIRCUIT_OPEN: i32 = 14;
/// A forked child must attach for itself.
pub const COMMY_STATUS_FORKED: i32 = 15;
/// The file system is full.
pub const COMMY_STATUS_NO_SPACE: i32 = 16;
/// The file is something else.
pub const COMMY_STATUS_NOT_A_REGION: i32 = 17;
/// The region was left by an earlier boot.
pub const COMMY_STATUS_OTHER_BOOT: i32 = 18;
/// Descriptors, participants or a file size limit.
pub const COMMY_STATUS_LIMIT: i32 = 19;
/// The kernel lacks what is needed.
pub const COMMY_STATUS_KERNEL: i32 = 20;
/// Attached read-only.
pub const COMMY_STATUS_READ_ONLY: i32 = 21;
/// The region was removed or replaced.
pub const COMMY_STATUS_REMOVED: i32 = 22;
/// The bound of retries was reached, or the region is in use.
pub const COMMY_STATUS_BUSY: i32 = 23;
/// Somebody interrupted the wait.
pub const COMMY_STATUS_INTERRUPTED: i32 = 24;
/// No region of that name in that directory.
pub const COMMY_STATUS_MESH_NOT_FOUND: i32 = 25;
/// A defect in the library.
pub const COMMY_STATUS_INTERNAL: i32 = 99;

pub const COMMY_HEALTH_UNKNOWN: i32 = 0;
pub const COMMY_HEALTH_HEALTHY: i32 = 1;
pub const COMMY_HEALTH_UNHEALTHY: i32 = 2;
pub const COMMY_HEALTH_DEGRADED: i32 = 3;

pub const COMMY_ADMIN_ENABLED: i32 = 0;
pub const COMMY_ADMIN_DRAINING: i32 = 1;
pub const COMMY_ADMIN_MAINTENANCE: i32 = 2;

pub const COMMY_BREAKER_CLOSED: i32 = 0;
/// Not selected.
pub const COMMY_BREAKER_OPEN: i32 = 1;
/// One participant may try it, or does.
pub const COMMY_BREAKER_HALF_OPEN: i32 = 2;

/// In turn: one rotation for the whole host.
pub const COMMY_POLICY_ROUND_ROBIN: i32 = 0;
/// Of two drawn by weight, that with fewer requests in flight by weight.
pub const COMMY_POLICY_LEAST_CONNECTIONS: i32 = 1;
/// In turn, by weight, evenly spread: one rotation for the whole host.
pub const COMMY_POLICY_WEIGHTED_ROUND_ROBIN: i32 = 2;
/// Of two drawn by weight, that with less latency and less in flight.
pub const COMMY_POLICY_PERFORMANCE: i32 = 3;
/// By weight.
pub const COMMY_POLICY_RANDOM: i32 = 4;
/// By client id: the same client, the same instance, while it can be.
pub const COMMY_POLICY_CONSISTENT_HASH: i32 = 5;

pub const COMMY_LIMIT_NAME_BYTES: u32 = 63;
pub const COMMY_LIMIT_ID_BYTES: u32 = 127;
pub const COMMY_LIMIT_ENDPOINT_BYTES: u32 = 255;
pub const COMMY_LIMIT_VERSION_BYTES: u32 = 31;
pub const COMMY_LIMIT_ZONE_BYTES: u32 = 31;
pub const COMMY_LIMIT_TAGS: u32 = 16;
pub const COMMY_LIMIT_TAG_BYTES: u32 = 31;
pub const COMMY_LIMIT_METADATA_BYTES: u32 = 4096;
pub const COMMY_LIMIT_WEIGHT: u32 = 65535;
/// Mesh and node names: A-Z a-z 0-9 . _ -.
pub const COMMY_LIMIT_MESH_BYTES: u32 = 63;
pub const COMMY_LIMIT_PARTICIPANTS: u32 = 1024;
pub const COMMY_LIMIT_SERVICES_MIN: u32 = 16;
pub const COMMY_LIMIT_SERVICES_MAX: u32 = 1048576;
/// Requests that a handle may have in flight.
pub const COMMY_LIMIT_TOKENS: u32 = 65535;
/// That the flight recorder holds.
pub const COMMY_LIMIT_EVENTS: u32 = 1024;
/// A year.
pub const COMMY_LIMIT_TTL_MS: u64 = 31536000000;
/// A day.
pub const COMMY_LIMIT_CHECK_INTERVAL_MS: u64 = 86400000;
pub const COMMY_LIMIT_CHECK_TIMEOUT_MS: u64 = 240000;
/// Failures, or successes, in a row that count.
pub const COMMY_LIMIT_CHECKS: u32 = 255;
/// A client id.
pub const COMMY_LIMIT_CLIENT_BYTES: u32 = 255;
pub const COMMY_DEFAULT_CAPACITY: u32 = 8192;
pub const COMMY_DEFAULT_WEIGHT: u32 = 100;
pub const COMMY_DEFAULT_CHECK_INTERVAL_MS: u32 = 5000;
pub const COMMY_DEFAULT_CHECK_TIMEOUT_MS: u32 = 1000;
pub const COMMY_DEFAULT_MAX_FAILURES: u32 = 3;
pub const COMMY_DEFAULT_RECOVERY_CHECKS: u32 = 2;
/// Map read-only; the region must exist.
pub const COMMY_OPEN_READ_ONLY: u32 = 1;
/// Never make a region.
pub const COMMY_OPEN_MUST_EXIST: u32 = 2;
/// Make the region or fail with COMMY_STATUS_EXISTS.
pub const COMMY_OPEN_MUST_NOT_EXIST: u32 = 4;
/// Owned by nobody: lives until its TTL expires (ttl_ms is then required).
pub const COMMY_SERVICE_DETACHED: u32 = 1;

/// It is there.
pub const COMMY_CALLBACK_REGISTERED: i32 = 1;
/// It was unregistered, its owner left or died, or its lease ended.
pub const COMMY_CALLBACK_GONE: i32 = 2;
/// Its weight, admin state or metadata is another.
pub const COMMY_CALLBACK_CHANGED: i32 = 3;

/// Something could not be done, and nobody asked for it.
pub const COMMY_LOG_ERROR: i32 = 1;
/// Something will not go on as it should.
pub const COMMY_LOG_WARNING: i32 = 2;
pub const COMMY_LOG_INFO: i32 = 3;
