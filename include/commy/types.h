/*
 * commy/types.h - codes, limits and plain structures shared by the C API (commy.h) and the language ABI (ffi.h).
 *
 * Everything in this file is frozen for libcommy.so.1: numbers, order of fields, meanings.
 */
#ifndef COMMY_TYPES_H
#define COMMY_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define COMMY_API __attribute__((visibility("default")))
#else
#define COMMY_API
#endif

/* What a call came to. Zero is success; commy_last_error_message() says in words what to do about anything else. */
typedef enum commy_status {
    COMMY_STATUS_SUCCESS = 0,
    COMMY_STATUS_INIT_FAILED = 1,     /* the library could not set itself up */
    COMMY_STATUS_INVALID = 2,         /* a parameter is outside its limits */
    COMMY_STATUS_NO_HANDLE = 3,       /* the handle is unknown or was destroyed */
    COMMY_STATUS_NO_MEMORY = 4,       /* private memory ran out */
    COMMY_STATUS_NOT_FOUND = 5,       /* no live service of that id or name */
    COMMY_STATUS_EXISTS = 6,          /* a live service has that id; or the region is there already */
    COMMY_STATUS_FULL = 7,            /* the region holds as many as it was made for */
    COMMY_STATUS_PERMISSION = 8,      /* the file system or its owner says no */
    COMMY_STATUS_LAYOUT = 9,          /* the region was made by an incompatible library */
    COMMY_STATUS_CORRUPT = 10,        /* what the region holds makes no sense */
    COMMY_STATUS_TIMED_OUT = 11,      /* the time given has passed */
    COMMY_STATUS_NOT_RUNNING = 12,    /* the handle was stopped */
    COMMY_STATUS_NO_HEALTHY = 13,     /* no instance may be selected */
    COMMY_STATUS_CIRCUIT_OPEN = 14,   /* what could be selected is ejected */
    COMMY_STATUS_FORKED = 15,         /* a forked child must attach for itself */
    COMMY_STATUS_NO_SPACE = 16,       /* the file system is full */
    COMMY_STATUS_NOT_A_REGION = 17,   /* the file is something else */
    COMMY_STATUS_OTHER_BOOT = 18,     /* the region was left by an earlier boot */
    COMMY_STATUS_LIMIT = 19,          /* descriptors, participants or a file size limit */
    COMMY_STATUS_KERNEL = 20,         /* the kernel lacks what is needed */
    COMMY_STATUS_READ_ONLY = 21,      /* attached read-only */
    COMMY_STATUS_REMOVED = 22,        /* the region was removed or replaced */
    COMMY_STATUS_BUSY = 23,           /* the bound of retries was reached, or the region is in use */
    COMMY_STATUS_INTERRUPTED = 24,    /* somebody interrupted the wait */
    COMMY_STATUS_MESH_NOT_FOUND = 25, /* no region of that name in that directory */
    COMMY_STATUS_INTERNAL = 99        /* a defect in the library */
} commy_status_t;

/* Limits, in bytes without the terminating NUL where strings are meant. */
#define COMMY_LIMIT_NAME_BYTES 63u
#define COMMY_LIMIT_ID_BYTES 127u
#define COMMY_LIMIT_ENDPOINT_BYTES 255u
#define COMMY_LIMIT_VERSION_BYTES 31u
#define COMMY_LIMIT_ZONE_BYTES 31u
#define COMMY_LIMIT_TAGS 16u
#define COMMY_LIMIT_TAG_BYTES 31u
#define COMMY_LIMIT_METADATA_BYTES 4096u
#define COMMY_LIMIT_WEIGHT 65535u
#define COMMY_LIMIT_MESH_BYTES 63u /* mesh and node names: A-Z a-z 0-9 . _ - */
#define COMMY_LIMIT_PARTICIPANTS 1024u
#define COMMY_LIMIT_SERVICES_MIN 16u
#define COMMY_LIMIT_SERVICES_MAX 1048576u
#define COMMY_LIMIT_TOKENS 65535u         /* requests that a handle may have in flight */
#define COMMY_LIMIT_TTL_MS 31536000000ull /* a year */

#define COMMY_LIMIT_CLIENT_BYTES 255u /* a client id */
#define COMMY_LIMIT_EVENTS 1024u      /* that the flight recorder holds */

#define COMMY_LIMIT_CHECK_INTERVAL_MS 86400000ull /* a day */
#define COMMY_LIMIT_CHECK_TIMEOUT_MS 240000ull
#define COMMY_LIMIT_CHECKS 255u /* failures, or successes, in a row that count */

/* commy_health_config_t where none is given */
#define COMMY_DEFAULT_CHECK_INTERVAL_MS 5000u
#define COMMY_DEFAULT_CHECK_TIMEOUT_MS 1000u
#define COMMY_DEFAULT_MAX_FAILURES 3u
#define COMMY_DEFAULT_RECOVERY_CHECKS 2u

#define COMMY_DEFAULT_CAPACITY 8192u
#define COMMY_DEFAULT_WEIGHT 100u

/* Health of a service. */
typedef enum commy_health {
    COMMY_HEALTH_UNKNOWN = 0,
    COMMY_HEALTH_HEALTHY = 1,
    COMMY_HEALTH_UNHEALTHY = 2,
    COMMY_HEALTH_DEGRADED = 3
} commy_health_t;

/* What its operators want of a service. */
typedef enum commy_admin {
    COMMY_ADMIN_ENABLED = 0,
    COMMY_ADMIN_DRAINING = 1,
    COMMY_ADMIN_MAINTENANCE = 2
} commy_admin_t;

/* How the circuit breaker of a service stands. */
typedef enum commy_breaker_state {
    COMMY_BREAKER_CLOSED = 0,
    COMMY_BREAKER_OPEN = 1,     /* not selected */
    COMMY_BREAKER_HALF_OPEN = 2 /* one participant may try it, or does */
} commy_breaker_state_t;

/* How one instance of a name is selected. */
typedef enum commy_policy {
    COMMY_POLICY_ROUND_ROBIN = 0,          /* in turn: one rotation for the whole host */
    COMMY_POLICY_LEAST_CONNECTIONS = 1,    /* of two drawn by weight, that with fewer requests in flight by weight */
    COMMY_POLICY_WEIGHTED_ROUND_ROBIN = 2, /* in turn, by weight, evenly spread: one rotation for the whole host */
    COMMY_POLICY_PERFORMANCE = 3,          /* of two drawn by weight, that with less latency and less in flight */
    COMMY_POLICY_RANDOM = 4,               /* by weight */
    COMMY_POLICY_CONSISTENT_HASH = 5       /* by client id: the same client, the same instance, while it can be */
} commy_policy_t;

/* commy_open_options_t.flags */
#define COMMY_OPEN_READ_ONLY 1u      /* map read-only; the region must exist */
#define COMMY_OPEN_MUST_EXIST 2u     /* never make a region */
#define COMMY_OPEN_MUST_NOT_EXIST 4u /* make the region or fail with COMMY_STATUS_EXISTS */

/* commy_service_config_t.flags */
#define COMMY_SERVICE_DETACHED 1u /* owned by nobody: lives until its TTL expires (ttl_ms is then required) */

/*
 * Which region, and how to open it. `size` is sizeof(commy_open_options_t) as the caller compiled it; a null pointer
 * or a zero means the default: mesh $COMMY_MESH or "default", dir $COMMY_DIR or /dev/shm/commy-<euid>, capacity
 * 8192 services, mode 0600 (0640 or 0660 with a group). `node_id` and `listen_port` are for joining.
 */
typedef struct commy_open_options {
    uint32_t size, flags;
    const char *mesh, *dir, *node_id, *group;
    uint32_t capacity, mode;
    uint16_t listen_port;
} commy_open_options_t;

/* What a service is registered with. `size` is sizeof(commy_service_config_t); null and zero mean "none" or default. */
typedef struct commy_service_config {
    uint32_t size, flags;
    const char *service_name, *service_id, *endpoint, *metadata, *version, *zone;
    const char *const *tags;
    uint32_t tag_count, weight; /* weight: 0 here means the default of 100; set a weight of 0 with the set call */
    uint64_t ttl_ms;
    uint16_t port;
} commy_service_config_t;

/* What a client needs to connect to a service and to report on it. What lies in `endpoint` behind its NUL means nothing.
 * `reference` names this registration and no later one. */
typedef struct commy_target {
    uint64_t reference;
    uint32_t weight;
    int32_t status; /* commy_health_t */
    uint16_t port;
    char endpoint[256];
} commy_target_t;

/* Everything known about a service, but for its metadata's text. */
typedef struct commy_service_info {
    char name[64], id[128], endpoint[256], version[32], zone[32], node_id[64], tags[16][32];
    uint32_t tag_count, weight, owner_pid; /* owner_pid: in the owner's PID namespace; 0 for a detached service */
    int32_t status, admin;                 /* commy_health_t, commy_admin_t */
    uint16_t port;
    uint64_t registered_at_ns, metadata_bytes; /* registered_at_ns: Unix time */
    double response_time_ms;                   /* average of the reported latencies; 0 before the first */
    uint8_t reserved[64];
} commy_service_info_t;

/* The mesh in numbers. total = healthy + unhealthy + unknown; degraded counts as healthy. `registered_services` are
 * those that the calling handle owns. */
typedef struct commy_mesh_stats {
    uint32_t total_services, healthy_services, unhealthy_services, registered_services;
    uint64_t total_requests, successful_requests, failed_requests;
    double average_response_time_ms;
} commy_mesh_stats_t;

/* How a service's health is checked. All four above 0: an interval of up to a day, a timeout of up to four minutes, 1 to 255
 * checks. */
typedef struct commy_health_config {
    uint64_t
        check_interval_ms; /* from one check's start to the next, give or take a tenth; not before the former ended */
    uint64_t timeout_ms;   /* after which a check has failed */
    uint32_t max_failures; /* failures in a row that make a service unhealthy */
    uint32_t recovery_checks; /* successes in a row that make it healthy again */
} commy_health_config_t;

/* How a handle of the language ABI selects. `algorithm` is a commy_policy_t. The circuit breaker's part is the mesh's: with
 * enable_circuit_breaker (0 or 1) threshold is 1 to 10,000 failures in a row, and timeout 1 ms to an hour. */
typedef struct commy_load_balancer_config {
    int32_t algorithm;
    uint32_t enable_circuit_breaker, circuit_breaker_threshold;
    uint64_t circuit_breaker_timeout_ms;
} commy_load_balancer_config_t;

/*
 * The code of the calling thread's last failure; success leaves it alone. Never fails, never blocks.
 */
COMMY_API int32_t commy_last_error(void);

/*
 * The sentence that goes with commy_last_error(): it names the value and the way out. Never null. Belongs to the
 * library and is overwritten by the calling thread's next failure.
 */
COMMY_API const char *commy_last_error_message(void);

/*
 * A few words for a code, static storage, never null ("unknown code" for numbers that are none). Negative numbers are
 * read as negated codes.
 */
COMMY_API const char *commy_status_string(int32_t status);

#ifdef __cplusplus
}
#endif

#endif /* COMMY_TYPES_H */
