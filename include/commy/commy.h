/*
 * commy/commy.h - the C API: a service registry for one host that lives in shared memory.
 *
 * A mesh is a region: one file in memory that any program on the host may map. Programs attach to it, join it as
 * participants, register services, and find those of others in nanoseconds. What a program registered disappears the
 * moment it dies.
 *
 * What holds for every function here, unless it says otherwise:
 *
 * - Threads: any thread may call it at any time on the same handle, except commy_mesh_detach(), which must be the
 *   handle's last call.
 * - Blocking: none. Queries (const commy_mesh_t *) are wait-free, make no system call and write nothing to the region;
 *   they work on a read-only attachment. Changes are lock-free; a process stopped or killed inside one delays nobody.
 * - Crash: a process killed inside a change leaves it done or not done; what it held is given back by whoever reaps.
 * - Changes join the mesh first where the handle never joined; after commy_mesh_leave() they fail with
 *   COMMY_STATUS_NOT_RUNNING, on a read-only attachment with COMMY_STATUS_READ_ONLY.
 * - Every function may fail with COMMY_STATUS_INVALID (a null or out-of-bounds parameter), COMMY_STATUS_FORKED (the
 *   handle was made before a fork), COMMY_STATUS_REMOVED (the region was removed) and COMMY_STATUS_CORRUPT (a walk met
 *   its bound); the lists below name the rest.
 * - Strings are UTF-8 without control characters, end with NUL and belong to whoever passes them in.
 * - After a failure commy_last_error_message() holds a sentence for people.
 */
#ifndef COMMY_COMMY_H
#define COMMY_COMMY_H

#include <stdbool.h>

#include <commy/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An attachment to one region. */
typedef struct commy_mesh commy_mesh_t;

/* ------------------------------------------------------------------ region */

/*
 * Makes a region and does not attach to it. The region appears whole or not at all, with room reserved for its tables.
 *
 * options: which one, and how large; `capacity` 16 to 1,048,576 services; `group` and `mode` (0600, 0640 or 0660) open
 *          it to a group. Null: the default region.
 *
 * Errors: EXISTS, PERMISSION (the directory is somebody else's or open to the world), NO_SPACE, LIMIT (file size,
 * descriptors), KERNEL. Blocks for as long as the file system takes to reserve the room.
 * Technique: an unnamed file (O_TMPFILE) put in place by linkat(2), see open(2).
 */
COMMY_API commy_status_t commy_mesh_create(const commy_open_options_t *options);

/*
 * Maps a region; makes it first where it is missing, unless COMMY_OPEN_MUST_EXIST or COMMY_OPEN_READ_ONLY says not to.
 * The attachment needs no descriptor afterwards and is not inherited by forked children.
 *
 * options: which one, and how; null: the default region.
 * mesh:    receives the attachment, to be given back with commy_mesh_detach(); null on failure.
 *
 * Errors: those of commy_mesh_create(), MESH_NOT_FOUND, NOT_A_REGION, LAYOUT, CORRUPT, OTHER_BOOT, REMOVED (a copy, or
 * one being removed), PERMISSION, NO_MEMORY.
 */
COMMY_API commy_status_t commy_mesh_attach(const commy_open_options_t *options, commy_mesh_t **mesh);

/*
 * Leaves the mesh where the handle joined it, unmaps the region and clears *mesh. No other call on the handle may be
 * running or follow. Waits for the handle's own keeper thread to end (microseconds). A null handle is ignored.
 */
COMMY_API void commy_mesh_detach(commy_mesh_t **mesh);

/*
 * Marks a region removed, so that everybody attached to it gets COMMY_STATUS_REMOVED, and unlinks its file. Also
 * unlinks what can no longer be attached to: a region of an earlier boot, of another layout, a damaged one.
 *
 * force: remove it even while participants live.
 *
 * Errors: MESH_NOT_FOUND, BUSY (participants live; the sentence counts them), NOT_A_REGION (the file is something else
 * and is left alone), PERMISSION.
 */
COMMY_API commy_status_t commy_mesh_remove(const commy_open_options_t *options, bool force);

/* What an attachment is attached to. Strings end with NUL. */
typedef struct commy_mesh_info {
    char dir[256], mesh[64], node_id[64];
    uint32_t capacity;          /* services it was made for */
    uint32_t reserved_services; /* services that backed memory is reserved for */
    uint32_t participants;      /* live ones */
    uint32_t read_only, joined; /* 0 or 1 */
    uint32_t owner_uid, owner_gid, mode;
    uint64_t region_bytes;     /* size of the mapping */
    uint64_t reserved_bytes;   /* memory that is backed or promised */
    uint64_t statistics_bytes; /* the part of it that holds per-service statistics */
    uint64_t created_at_ns;    /* Unix time */
} commy_mesh_info_t;

COMMY_API commy_status_t commy_mesh_info(const commy_mesh_t *mesh, commy_mesh_info_t *info);

/*
 * Joins the mesh as a participant, which is what owns services. Starts one thread, the keeper: it runs no code of the
 * caller's, blocks all signals, and holds the word in the region by which the kernel certifies this process's death.
 * Joining a mesh that the handle has joined already changes nothing and succeeds.
 *
 * node_id:     1 to 63 of A-Z a-z 0-9 . _ -; null: the one given at attach, else "<host name>-<pid>".
 * listen_port: shown to others, 0 to 65535.
 *
 * Errors: READ_ONLY, LIMIT (1,024 participants, or threads), KERNEL (no robust futexes, as under qemu-user), NO_MEMORY.
 * Waits for the keeper to start (tens of microseconds).
 */
COMMY_API commy_status_t commy_mesh_join(commy_mesh_t *mesh, const char *node_id, uint16_t listen_port);

/*
 * Unregisters what the handle registered, ends its requests in flight, and leaves the mesh. Calls that change the mesh and
 * are running in other threads are waited for (but for reports, of which nothing stays the handle's). Succeeds where the
 * handle is not joined. The handle may join again.
 */
COMMY_API commy_status_t commy_mesh_leave(commy_mesh_t *mesh);

/* One participant as `commy nodes` shows it. */
typedef struct commy_participant {
    char node_id[64];
    uint32_t pid;      /* in its own PID namespace */
    uint32_t uid;      /* effective user id */
    uint32_t slot;     /* 0 to 1,023 */
    uint32_t services; /* that it owns */
    uint32_t alive;    /* 1, or 0 for one that died and has not been reaped yet */
    uint16_t listen_port;
    uint64_t joined_at_ns; /* Unix time */
} commy_participant_t;

/*
 * Lists the participants.
 *
 * out, capacity: room for the list; null and 0 to count only.
 * count:         receives their full number, which may exceed `capacity`.
 */
COMMY_API commy_status_t commy_mesh_participants(const commy_mesh_t *mesh, commy_participant_t *out, size_t capacity,
                                                 size_t *count);

/* Sums up the mesh. Walks all services: cost grows with their number. */
COMMY_API commy_status_t commy_mesh_stats(const commy_mesh_t *mesh, commy_mesh_stats_t *stats);

/*
 * Waits until something changed in the mesh, or among the instances of one name, since `version`. Level-triggered: a
 * change between two calls is never missed; a return without a change is possible.
 *
 * name:        a service name, or null for the whole mesh.
 * version:     what the last call gave; 0: give the current version at once.
 * timeout_ms:  0: do not wait; negative: for ever.
 * new_version: receives the version to wait for next, also on TIMED_OUT. It only grows and starts above 0.
 *
 * Errors: TIMED_OUT, INTERRUPTED (a signal handler ran).
 * Blocks; looks again at least every 100 ms, so that a waker that is stopped or killed delays it no longer than that.
 * Versions are shared by names that fall on the same of 128 stripes, which is where spurious returns come from.
 */
COMMY_API commy_status_t commy_mesh_wait(const commy_mesh_t *mesh, const char *name, uint64_t version,
                                         int32_t timeout_ms, uint64_t *new_version);

/* ---------------------------------------------------------------- watchers */

/* Who remembers what it saw last, and tells when there is more. */
typedef struct commy_watcher commy_watcher_t;

/*
 * What to watch. `size` is sizeof(commy_watch_options_t); null: any. Either one service by its id, whether or not it is
 * registered now; or the instances of a name, all of them or those with a tag, a version and a zone; or, without id and
 * name, everything in the mesh.
 */
typedef struct commy_watch_options {
    uint32_t size, flags;             /* flags: 0 */
    const char *id, *name;            /* one of them, or none */
    const char *tag, *version, *zone; /* only with a name; 1-31 bytes each */
} commy_watch_options_t;

/*
 * Makes a watcher.
 *
 * options: null: the whole mesh. Copied.
 * watcher: receives it, to be given back with commy_watcher_destroy(); null on failure. It may outlive the attachment,
 *          and leaving the mesh does not touch it.
 *
 * Errors: INVALID (id and name, a filter without a name, a text out of bounds), NO_MEMORY. Does not join the mesh.
 */
COMMY_API commy_status_t commy_watcher_create(commy_mesh_t *mesh, const commy_watch_options_t *options,
                                              commy_watcher_t **watcher);

/*
 * Waits until what is watched changed since the last wait gave success: an instance came, went or died, its health,
 * weight, admin state or metadata changed, or its lease ended. The first wait returns at once. Level-triggered: the last
 * change is never missed, however many came in between; a return without a change is possible, at most about ten times
 * a second (for the whole mesh: only after a change).
 *
 * timeout_ms: 0: do not wait; negative: for ever.
 * version:    receives a number that grows, that of the state which was waited for; may be null. (It stays the same
 *             where a lease ended with nobody there who could write that down.)
 *
 * Errors: TIMED_OUT; INTERRUPTED (commy_watcher_wake(), or a signal handler ran); REMOVED; NOT_RUNNING (the handle was
 * detached); CORRUPT. On error what was known stays known.
 * Blocks; looks again at least every 100 ms, which is all that a read-only attachment needs. Several threads may wait
 * at once: what ends one of their waits ends all that are under way.
 * Technique: futex_waitv(2), on the region's word and one of the watcher's; before Linux 5.16 a look every 10 ms.
 */
COMMY_API commy_status_t commy_watcher_wait(commy_watcher_t *watcher, int32_t timeout_ms, uint64_t *version);

/*
 * Ends every wait on the watcher that is under way with INTERRUPTED; where there is none, the next one, once. Its
 * descriptor becomes readable, too. Any thread may call it, and a signal handler. Errors: none besides INVALID and FORKED.
 */
COMMY_API commy_status_t commy_watcher_wake(commy_watcher_t *watcher);

/*
 * A descriptor for poll(2) and event loops: readable when commy_watcher_wait() would return, and sometimes without need.
 * A wait with a timeout of 0 is what makes it unreadable; nothing is to be read from it.
 *
 * fd: receives one end of a pair of sockets, non-blocking and close-on-exec. The watcher's: not to be closed, and gone with
 *     it. The same one each time.
 *
 * The first descriptor of a handle starts a thread, which lives as long as there is one. It runs no code of the program's
 * and blocks all signals. Where the region is removed or the handle detached the descriptor stays readable.
 * Errors: LIMIT (descriptors, threads), NO_MEMORY, REMOVED, NOT_RUNNING.
 */
COMMY_API commy_status_t commy_watcher_fd(commy_watcher_t *watcher, int *fd);

/*
 * Gives a watcher back and clears *watcher. No other call on it may be running or follow. Waits for the thread behind its
 * descriptor, if it was the last. In a forked child only memory is given back. Null is ignored.
 */
COMMY_API void commy_watcher_destroy(commy_watcher_t **watcher);

/* What a reap gave back. */
typedef struct commy_reap_report {
    uint32_t participants, services, groups, blocks;
} commy_reap_report_t;

/*
 * Gives back what the dead left: their services, half-made records, participant slots, expired detached services.
 * Keepers do this by themselves; calling it is never needed for lookups to be right. Any number may reap at once.
 * report: may be null.
 */
COMMY_API commy_status_t commy_mesh_reap(commy_mesh_t *mesh, commy_reap_report_t *report);

/* What an event of the flight recorder is about: first the participant that it names, then a service. */
typedef enum commy_event_kind {
    COMMY_EVENT_JOINED = 1,
    COMMY_EVENT_LEFT = 2,
    COMMY_EVENT_DIED = 3, /* its process died; told when it was reaped */
    COMMY_EVENT_REGISTERED = 4,
    COMMY_EVENT_UNREGISTERED = 5, /* reason: by its owner, by another, or since its owner left */
    COMMY_EVENT_OWNER_DIED = 6,   /* it went with its owner; told when it was taken away */
    COMMY_EVENT_EXPIRED = 7,      /* a detached one, whose lease ended */
    COMMY_EVENT_TTL_MISSED = 8,   /* unhealthy from here on; told when somebody who may write noticed */
    COMMY_EVENT_TTL_RENEWED = 9,  /* by a heartbeat after that */
    COMMY_EVENT_HEALTH = 10,      /* was set: from, to */
    COMMY_EVENT_ADMIN = 11,       /* was set: from, to */
    COMMY_EVENT_CHECK = 12,       /* a health check came to another result: from, to */
    COMMY_EVENT_BREAKER_OPENED = 13,
    COMMY_EVENT_BREAKER_HALF_OPENED = 14,
    COMMY_EVENT_BREAKER_CLOSED = 15
} commy_event_kind_t;

/* Why. */
typedef enum commy_event_reason {
    COMMY_REASON_NONE = 0,
    COMMY_REASON_OWNER = 1,           /* its owner wanted it so */
    COMMY_REASON_ANOTHER = 2,         /* somebody else did */
    COMMY_REASON_OWNER_LEFT = 3,      /* its owner left the mesh */
    COMMY_REASON_FAILURES = 4,        /* so many failures in a row */
    COMMY_REASON_FAILURE_RATE = 5,    /* too large a share of failures */
    COMMY_REASON_PROBE_FAILED = 6,    /* the request that was let through */
    COMMY_REASON_PROBE_SUCCEEDED = 7, /* the same */
    COMMY_REASON_TIME = 8,            /* enough time has passed */
    COMMY_REASON_RESET = 9,           /* somebody said so */
    COMMY_REASON_SHARE = 10           /* too many others of its name are open */
} commy_event_reason_t;

#define COMMY_EVENT_TEXT_BYTES 48u

/* One event; 144 bytes. A later library may tell of kinds and reasons that are not listed above. */
typedef struct commy_event {
    uint64_t sequence; /* above 0; of this event alone, in this region. Says nothing about which came first */
    uint64_t time_ns;  /* Unix time. A registration's is its registered_at_ns */
    int32_t kind;      /* commy_event_kind_t */
    int32_t reason;    /* commy_event_reason_t */
    int32_t from, to;  /* of COMMY_EVENT_HEALTH and _CHECK (commy_health_t) and _ADMIN (commy_admin_t); else 0 */
    uint32_t slot;     /* of the participant that did it, or that it happened to; UINT32_MAX: nobody */
    uint32_t pid;      /* of the same, in its own PID namespace; 0: nobody, or not known any more */
    bool id_cut;       /* the id is longer, and was cut at the border of a character */
    bool name_cut;     /* the same of the name */
    uint8_t reserved[6];
    char id[COMMY_EVENT_TEXT_BYTES];   /* of the service; empty for a participant's event */
    char name[COMMY_EVENT_TEXT_BYTES]; /* of the service; a participant's event has its node id here */
} commy_event_t;

/*
 * Reads the flight recorder: what happened last in the mesh, by whom and why. It is bounded and lossy: 8 rings, one of
 * which a writer takes by its processor, keep 128 events each; an event of a process that was killed before it could
 * write it is missing, and so may be one whose writer was stopped meanwhile. What is there was written so, whoever has
 * died since. An event is written after the change that it tells of and before waiters are woken.
 *
 * out, capacity: room for the newest of them, in the order of their time, oldest first; null and 0 to count only. All
 *                fit in COMMY_LIMIT_EVENTS. `sequence` tells events of one call from those of the next.
 * count:         receives how many were put there; with capacity 0, how many there are.
 *
 * Takes 24 KiB of stack and no memory. Technique: a sequence lock for each entry, in which writers do not wait.
 */
COMMY_API commy_status_t commy_mesh_events(const commy_mesh_t *mesh, commy_event_t *out, size_t capacity,
                                           size_t *count);

/* A word for a kind ("registered"), and for a reason ("owner-left", "" for none); "unknown" for any other number. Static
 * texts, which are the same for text and JSON. */
COMMY_API const char *commy_event_kind_name(int32_t kind);
COMMY_API const char *commy_event_reason_name(int32_t reason);

/* Called by commy_mesh_check() for each thing that is wrong: where, and what. */
typedef void commy_finding_fn(void *user, const char *where, const char *what);

/*
 * Audits every structure of the region against its invariants. Others may go on working: what is changing while it
 * is looked at is looked at again, and only what stays wrong is reported. Records of the dead that await reaping are
 * not findings.
 *
 * finding, user: called on this thread for each finding; may be null.
 * findings:      receives their number; may be null.
 *
 * Returns SUCCESS when nothing is wrong, CORRUPT otherwise. Cost grows with the region's size.
 */
COMMY_API commy_status_t commy_mesh_check(const commy_mesh_t *mesh, commy_finding_fn *finding, void *user,
                                          uint64_t *findings);

/* ---------------------------------------------------------------- services */

/*
 * Registers a service. When this returns success, every process that looks finds it, until it is unregistered or the
 * owner leaves or dies.
 *
 * config:    name 1-63 bytes, id 1-127, endpoint 1-255, port 1-65535 (0 only with "unix:/path"), version and zone up to
 *            31, up to 16 tags of 1-31, metadata up to 4096 (newline and tab allowed), weight up to 65535, ttl_ms up to
 *            a year. Copied; nothing of it is kept.
 * reference: receives what commy_target_t.reference would be; may be null.
 *
 * Errors: EXISTS (the sentence names the holder; the id of a dead owner is free at once), FULL (services, names,
 * metadata), NO_SPACE (memory could not be reserved; nothing was changed), those of commy_mesh_join(), BUSY.
 */
COMMY_API commy_status_t commy_service_register(commy_mesh_t *mesh, const commy_service_config_t *config,
                                                uint64_t *reference);

/* Unregisters a service, whoever registered it. Errors: NOT_FOUND. */
COMMY_API commy_status_t commy_service_unregister(commy_mesh_t *mesh, const char *id);

/*
 * Renews a service's lease: it expires `ttl_ms` after this call. Acknowledged means kept: no expiry that was under way
 * overtakes it. Succeeds and changes nothing for a service without a TTL. Errors: NOT_FOUND (also: expired before).
 */
COMMY_API commy_status_t commy_service_heartbeat(commy_mesh_t *mesh, const char *id);

/* Sets what lookups report as the service's status. health: a commy_health_t. Errors: NOT_FOUND. */
COMMY_API commy_status_t commy_service_set_health(commy_mesh_t *mesh, const char *id, int32_t health);

/* Sets what its operators want of it. admin: a commy_admin_t. Errors: NOT_FOUND. */
COMMY_API commy_status_t commy_service_set_admin(commy_mesh_t *mesh, const char *id, int32_t admin);

/* Sets its share of the load. weight: 0 (never selected by weight) to 65535. Errors: NOT_FOUND. */
COMMY_API commy_status_t commy_service_set_weight(commy_mesh_t *mesh, const char *id, uint32_t weight);

/*
 * Replaces a service's metadata; readers see the old text or the new one, never a mixture.
 * metadata: up to 4096 bytes, newline and tab allowed; null or empty: none. Errors: NOT_FOUND, FULL, NO_SPACE.
 */
COMMY_API commy_status_t commy_service_set_metadata(commy_mesh_t *mesh, const char *id, const char *metadata);

/* Finds a service by id: what a client needs to connect to it. Errors: NOT_FOUND. */
COMMY_API commy_status_t commy_service_find(const commy_mesh_t *mesh, const char *id, commy_target_t *target);

/*
 * Finds many at once, overlapping their cache misses.
 *
 * ids, n:  the ids, and how many.
 * targets: room for n.
 * codes:   receives a code for each, as commy_service_find() returns it.
 *
 * Returns SUCCESS when all were found, else the first code that is not, which the last failure then explains.
 */
COMMY_API commy_status_t commy_service_find_many(const commy_mesh_t *mesh, const char *const *ids, size_t n,
                                                 commy_target_t *targets, int32_t *codes);

/* Copies all that is known of a service but its metadata's text. Errors: NOT_FOUND. */
COMMY_API commy_status_t commy_service_get(const commy_mesh_t *mesh, const char *id, commy_service_info_t *info);

/*
 * Copies a service's metadata.
 *
 * out, capacity: room for the text and its NUL; null and 0 to learn the length only. A text that does not fit is cut.
 * length:        receives its full length in bytes without the NUL; may be null.
 *
 * Errors: NOT_FOUND, BUSY (replaced faster than it could be read).
 */
COMMY_API commy_status_t commy_service_metadata(const commy_mesh_t *mesh, const char *id, char *out, size_t capacity,
                                                size_t *length);

/* A service's counters. They never go backwards while it is registered; requests = successes + failures. */
typedef struct commy_service_stats {
    uint64_t total_requests, successful_requests, failed_requests;
    double average_response_time_ms;
    uint64_t in_flight; /* requests that living participants have begun and not ended */
} commy_service_stats_t;

/* Reads a service's counters. Errors: NOT_FOUND. */
COMMY_API commy_status_t commy_service_stats(const commy_mesh_t *mesh, const char *id, commy_service_stats_t *stats);

/*
 * The same, added up over all live instances of a name; an instance that has gone takes what it counted out of the sum.
 * stats: in_flight too; left alone on failure. Errors: NOT_FOUND (it has none). Cost: grows with the instances.
 */
COMMY_API commy_status_t commy_name_stats(const commy_mesh_t *mesh, const char *name, commy_service_stats_t *stats);

/*
 * Counts one request to a service.
 *
 * reference:  from commy_target_t, a view, or the registration.
 * latency_ns: how long it took; over an hour counts as an hour.
 * success:    whether it succeeded.
 *
 * Errors: NOT_FOUND (that registration is gone), FULL or NO_SPACE (no room for the service's first statistics block;
 * the mesh's totals then do not count it either).
 */
COMMY_API commy_status_t commy_service_report(commy_mesh_t *mesh, uint64_t reference, uint64_t latency_ns,
                                              bool success);

/*
 * Begins a request to a service: it is in flight until it is ended, or until this handle leaves or its process dies,
 * whatever ends it first; then it is gone from commy_service_stats_t.in_flight of every process at once.
 *
 * reference: from commy_target_t, a view, or the registration.
 * token:     receives what to end it with, by any thread of this process; never 0. On failure 0, and nothing is in flight.
 *
 * Errors: NOT_FOUND (that registration is gone), LIMIT (65,535 requests of this handle are in flight), FULL or NO_SPACE
 * (no room for the service's first statistics block, or for the cell of this participant), NO_MEMORY, BUSY.
 * Crash: killed inside, the request is not in flight; so it is not wherever else the process dies before the end.
 */
COMMY_API commy_status_t commy_service_begin(commy_mesh_t *mesh, uint64_t reference, uint64_t *token);

/*
 * Ends a request, and counts it as commy_service_report() does.
 *
 * token:      from commy_service_begin() of this handle. Ended once, by whichever thread comes first.
 * latency_ns: how long it took; over an hour counts as an hour.
 * success:    whether it succeeded.
 *
 * Succeeds also if the service was unregistered or died since: the mesh's totals then count the request, and no service
 * does. Leaving the mesh (also by detaching, or through commy_stop_mesh()) has ended what was in flight and counts none of
 * it; such a token is refused from then on.
 *
 * Errors: INVALID (the token is of no open request: never given out, ended before, another handle's; nothing changes),
 * NOT_RUNNING (the handle has left). Crash: killed inside, the request is counted or not, and in flight no more.
 */
COMMY_API commy_status_t commy_service_end(commy_mesh_t *mesh, uint64_t token, uint64_t latency_ns, bool success);

/*
 * The latency that a share of the reported requests did not exceed, within 7 %; below a microsecond: 991 ns.
 *
 * id:       of a service; null: all services of the mesh that are registered.
 * quantile: 0 to 1; 0.99 is the 99th percentile.
 * ns:       receives it, CLOCK_MONOTONIC nanoseconds, at most about an hour; 0 where nothing was reported yet, and on
 *           failure.
 *
 * Errors: NOT_FOUND. Cost: 223 words of the service's; of every service's for the mesh.
 */
COMMY_API commy_status_t commy_service_latency(const commy_mesh_t *mesh, const char *id, double quantile, uint64_t *ns);

/* The same over all live instances of a name. Errors: NOT_FOUND (it has none). */
COMMY_API commy_status_t commy_name_latency(const commy_mesh_t *mesh, const char *name, double quantile, uint64_t *ns);

/* --------------------------------------------------------- circuit breakers */

/*
 * What opens the circuit breakers of a mesh, and for how long. `size` is sizeof(commy_breaker_config_t); zero means the
 * default. There is one configuration a mesh, which every process obeys from its next report or selection on.
 */
typedef struct commy_breaker_config {
    uint32_t size, enabled;        /* enabled: 0 or 1 */
    uint32_t consecutive_failures; /* in a row, over all processes: 1 to 10,000; default 5 */
    uint32_t failure_percent;      /* or that share of the requests of a window: 1 to 100; default: no share opens */
    uint32_t minimum_requests;     /* that the share is judged by: 1 to 10,000; default 20 */
    uint32_t most_ejected_percent; /* of a name's instances, rounded down: 1 to 100; default 100 */
    uint64_t window_ms;            /* from the first failure on: 1 to 1,800,000; default 10,000 */
    uint64_t open_ms;              /* until it is tried, twice as long after each try that fails: 1 to 3,600,000;
                                      default 5,000 */
    uint64_t longest_open_ms;      /* and at most: 1 to 86,400,000; default 300,000, or open_ms if that is more */
} commy_breaker_config_t;

/*
 * Configures the circuit breakers of a mesh; as a mesh is made there are none.
 *
 * A breaker belongs to a service and is shared by all processes: what any of them reports (commy_service_report(), _end())
 * counts. Once as many failures in a row came together, or their share of a window's requests, it opens, and nobody
 * selects the service. When the time has passed it is half-open: one selection of one joined participant of the host gets
 * the service, and that participant's next report on it decides: a success closes it for all, a failure leaves it open for
 * twice the time. A participant that dies or leaves meanwhile is replaced at once; one that does not report, when that time
 * has passed again. Reports by others change nothing while it is open. Finding a service, and beginning a request, do not
 * look at the breaker.
 *
 * most_ejected_percent: of n instances of a name floor(n * percent / 100) may be open; a failing one beyond that stays
 *                       selected. Where processes are stopped or killed while they open one, it may be one more for each.
 *
 * config: null, or not enabled: no breakers any more. Instances that were open can be selected at once; enabled again, they
 *         are tried first, unless they were reported to succeed meanwhile.
 *
 * Errors: INVALID (names the field and its bounds). Crash: killed inside, how long is configured and what opens is not, or
 * both or neither. Two who configure at once may leave what opens of the one and how long of the other.
 * Technique: Nygard, "Release It!" (2007).
 */
COMMY_API commy_status_t commy_mesh_set_breaker(commy_mesh_t *mesh, const commy_breaker_config_t *config);

/* Reads the configuration; what was given as default says what it is. config->size is set. */
COMMY_API commy_status_t commy_mesh_breaker(const commy_mesh_t *mesh, commy_breaker_config_t *config);

/* How the breaker of a service stands. */
typedef struct commy_breaker_status {
    int32_t state;          /* commy_breaker_state_t; closed where breakers are not enabled */
    uint32_t failures;      /* in a row; counted while it is closed */
    uint32_t failed_probes; /* since it opened, up to 15: the time is doubled as often */
    uint32_t prober_pid;    /* who tries it, in its own PID namespace; 0: nobody */
    char prober[64];        /* its node id */
    uint64_t probe_in_ms;   /* until it may be tried, or the one who tries is replaced; 0: now, or it is closed */
    uint64_t openings;      /* of this registration */
} commy_breaker_status_t;

/* Reads it. Errors: NOT_FOUND. */
COMMY_API commy_status_t commy_service_breaker(const commy_mesh_t *mesh, const char *id,
                                               commy_breaker_status_t *status);

/* Closes the breaker of a service, and forgets the failures that were counted. One who tries the service meanwhile decides
 * nothing any more. Succeeds also if it is closed. Errors: NOT_FOUND. */
COMMY_API commy_status_t commy_service_reset_breaker(commy_mesh_t *mesh, const char *id);

/* --------------------------------------------------------------- selecting */

/* commy_select_options_t.flags */
#define COMMY_SELECT_PREFER_ZONE 1u /* from `zone` if an instance there may be selected, else from any zone */

/* How to select. `size` is sizeof(commy_select_options_t); zero and null mean the default. */
typedef struct commy_select_options {
    uint32_t size, flags;             /* flags: COMMY_SELECT_* */
    int32_t policy;                   /* commy_policy_t; default: round robin */
    const char *client_id;            /* consistent hash: who asks, 1 to 255 bytes of any kind but NUL; else ignored */
    const char *tag, *version, *zone; /* only from instances with that tag, of that version, in that zone: 1-31 bytes */
} commy_select_options_t;

/*
 * Selects one instance of a name. Only instances that are enabled, and healthy or degraded, and whose circuit breaker is
 * not open, are selected; by weight, which is by all policies but round robin and consistent hash, only those whose weight
 * is not 0. From the instant of its owner's death an instance is not selected any more, nor once it was drained, was set
 * unhealthy, missed its TTL or was unregistered.
 *
 * Where a breaker is half-open, the next selection by a joined participant that the instance suits gets it, whatever the
 * policy would say, and has to report on it, by the same handle. A handle that never joined, or is attached read-only, is
 * not given one.
 *
 * name:    of the service, 1-63 bytes.
 * options: null: round robin.
 * target:  receives the instance; may be written to on failure too.
 *
 * Round robin and weighted round robin go on from where the last process of the host stopped, and count the turn in the
 * region for it; a handle that is attached read-only has rotations of its own, and writes nothing. By weight, nobody is
 * ever a whole turn ahead or behind; weights that add up to very many turns are rounded (docs/design.md). Consistent
 * hash gives a client the same instance in every process, which follows from the ids of the instances and from the
 * region; when an instance comes or goes, its own clients move and no others (of more than 1,024 instances: one in as
 * many as there are instances besides).
 *
 * A tag, a version and a zone narrow the choice down; those that do not fit count as if they were not there. In turn, each
 * such narrower choice of a handle has a rotation of its own, that begins anywhere.
 *
 * Least connections and performance draw two instances by weight and take the better one: that with fewer requests in
 * flight for its weight, or that with the lower product of mean latest latency and requests in flight and one, for its
 * weight. Requests in flight and latencies are what all processes of the host have told with commy_service_begin(), _end()
 * and _report(), this one included; a client's that died are gone at that instant. Performance prefers an instance without
 * a latency while fewer than four requests are in flight there; a failure makes the mean latency of its instance twice as
 * long; and one selection in 32 does not compare, so that an instance that recovered is found out. (Mitzenmacher, "The
 * power of two choices in randomized load balancing", 2001.)
 *
 * Errors: NOT_FOUND (the name has no instance), NO_HEALTHY (none of its instances may be selected; the sentence counts
 * the reasons), CIRCUIT_OPEN (the same, but one or more could be selected were it not for their breakers; the sentence says
 * when the first may be tried), NO_MEMORY (nothing is lost), BUSY (the instances changed all the time), INVALID (also: a
 * policy that is none, the sentence names those that are; a zone that is preferred and not named).
 *
 * Cost: the same for any number of instances, wait-free and without a system call, from a list that the handle keeps of
 * a name's instances, of up to 1,024 names, policies and filters. The first call after an instance changed, or one of another
 * name whose versions fall on the same stripe (commy_mesh_wait()), makes that list anew: it walks the instances as
 * commy_iterate_name() does, allocates memory, and once in a while waits for calls of other threads to end before it
 * frees former lists. Calls of other threads select from the former list meanwhile, and may miss what came or what was
 * weighed anew during that walk; nothing that went.
 *
 * Does not join the mesh. Crash: a process killed inside has used up one turn at most.
 */
COMMY_API commy_status_t commy_service_select(commy_mesh_t *mesh, const char *name,
                                              const commy_select_options_t *options, commy_target_t *target);

/* ------------------------------------------------------------------ health */

/*
 * Has a service's health checked from now on, by this process or by another that asked for the same: of all handles that
 * monitor a service, one at a time checks it. When that one leaves or dies, another takes over within 100 ms and goes on
 * from the results there are; when it is stopped, after three intervals and a timeout (a second at least).
 *
 * A service says by a tag how it wants to be checked: "check=tcp" (a connection can be made to its endpoint; also without
 * such a tag), "check=http" or "check=http:/path" (a GET is answered with a status from 200 to 399; redirects are answers
 * and not followed, 64 KiB of the answer are read at most, no proxy is used), "check=none" (not at all).
 *
 * id:     of a registered service. It stays monitored when it is unregistered, or its owner dies: what is registered under
 *         the id later is checked too.
 * config: how often, and when it is healthy; null: every 5 s, 1 s of time, 3 failures, 2 successes. Copied. Where the
 *         handle monitors the service already, it replaces what was said before.
 *
 * Status: where it was never checked in this registration, it is unknown until the first result, which decides;
 * from then on `max_failures` failures in a row make it unhealthy, `recovery_checks` successes healthy. A status that is
 * set meanwhile (commy_service_set_health()) stays until a result says otherwise; degraded counts as healthy and is
 * left to who set it. To take a service out by hand, set its admin state. When nobody monitors it any more, the last
 * status stays.
 *
 * Joins the mesh; ends when the handle leaves. The first call of a handle starts a thread, which runs no code of the
 * caller's, blocks all signals, has file descriptors of its own and drives all checks of the handle, up to 256 at once: a
 * check that hangs, or a name that resolves slowly, delays no other. Checks that this process cannot make (no descriptors)
 * count as nothing. Names are resolved on threads of libcurl's.
 *
 * Errors: NOT_FOUND, INVALID (a zero or a number out of bounds in config; a tag or an endpoint that cannot be checked),
 * INIT_FAILED (no libcurl.so.4), NO_MEMORY, LIMIT (no thread), those of commy_mesh_join(). Opens libcurl at the first call
 * of the process (milliseconds); waits no longer than the thread looks at its services once.
 * Crash: killed anywhere, another monitor goes on; at most the check under way is lost.
 */
COMMY_API commy_status_t commy_service_monitor(commy_mesh_t *mesh, const char *id, const commy_health_config_t *config);

/* Ends that for this handle; others that monitor the service go on. Errors: NOT_FOUND (this handle does not monitor it),
 * NOT_RUNNING. */
COMMY_API commy_status_t commy_service_unmonitor(commy_mesh_t *mesh, const char *id);

/* What came of one check. */
typedef struct commy_check_result {
    int32_t status;          /* COMMY_HEALTH_HEALTHY or _UNHEALTHY */
    int32_t http_status;     /* of the answer; 0: none, or not asked for */
    double response_time_ms; /* until it connected, or answered; or until it was given up */
    char reason[160];        /* why it is unhealthy, for people; else empty */
} commy_check_result_t;

/*
 * Checks a service once, as its tag says (commy_service_monitor()), on the calling thread. Changes nothing in the region and
 * counts for no monitor; a read-only attachment will do.
 *
 * timeout_ms: 1 to 240,000. Blocks that long at most (a system's resolver of names is not waited for).
 * result:     receives the outcome; a service that does not answer is a result, not an error.
 *
 * Errors: NOT_FOUND, INVALID (also: a tag or an endpoint that cannot be checked), INIT_FAILED (no libcurl.so.4), NO_MEMORY,
 * LIMIT (this process could not make the check; no descriptors).
 */
COMMY_API commy_status_t commy_service_check(const commy_mesh_t *mesh, const char *id, uint32_t timeout_ms,
                                             commy_check_result_t *result);

/*
 * A service's health as every reader sees it: what was set or found by checks, unhealthy while it misses its TTL.
 *
 * status:           receives a commy_health_t.
 * response_time_ms: receives the time of the last check or, where nobody checked it, the average of the reported requests; 0
 *                   before the first.
 *
 * Errors: NOT_FOUND.
 */
COMMY_API commy_status_t commy_service_health(const commy_mesh_t *mesh, const char *id, int32_t *status,
                                              double *response_time_ms);

/* ------------------------------------------------------------------- views */

/*
 * A service without copying: pointers into the region, good to rely on only if commy_view_valid() still says so after
 * they were read. The strings end with NUL in a sound region; their lengths are bounded by the mapping in any.
 * Fields that start with an underscore are the library's.
 */
typedef struct commy_view {
    const char *id, *name, *endpoint;
    uint64_t reference;
    uint16_t port;
    uint8_t id_bytes, name_bytes, endpoint_bytes;
    const void *_record;
    uint64_t _state;
    uint32_t _index;
} commy_view_t;

/* Looks a service up by id without copying it. Errors: NOT_FOUND. */
COMMY_API commy_status_t commy_service_view(const commy_mesh_t *mesh, const char *id, commy_view_t *view);

/* Whether the registration behind a view was there all the time since the view was made, and its owner alive. */
COMMY_API bool commy_view_valid(const commy_mesh_t *mesh, const commy_view_t *view);

/* Fills in a target, or everything, from a view. Errors: NOT_FOUND (the view is no longer valid). */
COMMY_API commy_status_t commy_view_target(const commy_mesh_t *mesh, const commy_view_t *view, commy_target_t *target);
COMMY_API commy_status_t commy_view_info(const commy_mesh_t *mesh, const commy_view_t *view,
                                         commy_service_info_t *info);

/* A walk over instances; the caller's, on the stack. Dropping it in the middle leaves nothing behind. */
typedef struct commy_iterator {
    uint64_t _group_state, _container_state;
    uint32_t _group, _container, _position, _steps;
    uint32_t _all, _endless;
} commy_iterator_t;

/* Starts a walk over the instances of one name (an unknown name has none), or over all services of the mesh. */
COMMY_API commy_status_t commy_iterate_name(const commy_mesh_t *mesh, const char *name, commy_iterator_t *iterator);
COMMY_API commy_status_t commy_iterate_all(const commy_mesh_t *mesh, commy_iterator_t *iterator);

/*
 * The next instance. Every service that is live from commy_iterate_name() to the end of the walk comes exactly once;
 * each that comes was live at some instant of it. Returns false at the end, to which a walk comes also where the region is
 * removed meanwhile.
 */
COMMY_API bool commy_iterate_next(const commy_mesh_t *mesh, commy_iterator_t *iterator, commy_view_t *view);

/* How many live instances a name has. 0 for a name nobody registered. */
COMMY_API commy_status_t commy_name_count(const commy_mesh_t *mesh, const char *name, size_t *count);

/*
 * Copies the live instances of a name, or (name null) all services of the mesh.
 *
 * out, capacity: room; null and 0 to count only.
 * count:         receives their full number, which may exceed `capacity`.
 */
COMMY_API commy_status_t commy_name_discover(const commy_mesh_t *mesh, const char *name, commy_service_info_t *out,
                                             size_t capacity, size_t *count);

#ifdef __cplusplus
}
#endif

#endif /* COMMY_COMMY_H */
