/*
 * commy/ffi.h - the language ABI: what Python, Node.js, Go, Rust and others load from libcommy.so.1.
 *
 * Handles by value, scalars and caller-owned memory; nothing but the result of commy_get_node_id() changes hands.
 * Functions return a commy_status_t as int32_t unless they say otherwise; those that return a count or a flag return
 * the code negated on failure. Every call is safe with a null pointer, with a stale, foreign or zero handle, from any
 * thread, and in a forked child (code 15). commy_last_error() and commy_last_error_message() belong to the calling
 * thread; success leaves them alone. Limits, lifetimes and meanings are those of commy.h, which each function names.
 *
 * A handle that never started is started by the first call that needs it; after commy_stop_mesh() such calls fail with
 * code 12 until commy_start_mesh().
 */
#ifndef COMMY_FFI_H
#define COMMY_FFI_H

#include <commy/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One attachment. instance_id 0 is none; a number is never used again within a process. */
typedef struct commy_handle {
    uint64_t instance_id;
} commy_handle_t;

/* ----------------------------------------------------------------- library */

/* Optional and repeatable. */
COMMY_API int32_t commy_ffi_init(void);

/* Stops and destroys every handle of this process. Repeatable; new handles may be made afterwards. */
COMMY_API int32_t commy_ffi_cleanup(void);

/* The library's version, "major.minor.patch". Static. */
COMMY_API const char *commy_ffi_version(void);

/* -------------------------------------------------------------------- mesh */

/*
 * Attaches to the default mesh, made where it is missing. Does not start it.
 * node_id 1-63 of A-Z a-z 0-9 . _ -, listen_port 1-65535. Handle 0 on failure, the reason in commy_last_error().
 */
COMMY_API commy_handle_t commy_create_mesh(const char *node_id, uint16_t listen_port);

/* The same with every choice (commy_mesh_attach()). Null options: the default mesh. */
COMMY_API commy_handle_t commy_open_mesh(const commy_open_options_t *options);

/* Joins the mesh (commy_mesh_join()). Starting twice is success. */
COMMY_API int32_t commy_start_mesh(commy_handle_t h);

/* Unregisters what the handle registered and leaves (commy_mesh_leave()). Stopping twice is success. */
COMMY_API int32_t commy_stop_mesh(commy_handle_t h);

/* 1 when started, 0 when not, or a negated code. */
COMMY_API int32_t commy_is_mesh_running(commy_handle_t h);

/* Stops the handle and gives it back. Calls under way in other threads finish first; the region stays. */
COMMY_API int32_t commy_destroy_mesh(commy_handle_t h);

/* The node id, to be freed with commy_free_string(); null on failure. */
COMMY_API char *commy_get_node_id(commy_handle_t h);

/* Frees what commy_get_node_id() gave. Null is ignored. */
COMMY_API void commy_free_string(char *string);

/* commy_mesh_stats(). */
COMMY_API int32_t commy_get_mesh_stats(commy_handle_t h, commy_mesh_stats_t *stats);

/* ---------------------------------------------------------------- services */

/* commy_service_register() with a name, an id, an endpoint and a port. */
COMMY_API int32_t commy_register_service_simple(commy_handle_t h, const char *name, const char *id,
                                                const char *endpoint, uint16_t port);
COMMY_API int32_t commy_register_service(commy_handle_t h, const commy_service_config_t *config);
COMMY_API int32_t commy_unregister_service(commy_handle_t h, const char *id);

/* The number of live instances of a name, and of live services in the mesh; or a negated code. */
COMMY_API int32_t commy_discover_services_count(commy_handle_t h, const char *name);
COMMY_API int32_t commy_get_active_service_count(commy_handle_t h);

/* Copies them. `count` receives the full number even when `capacity` is smaller; out may be null when capacity is 0. */
COMMY_API int32_t commy_discover_services(commy_handle_t h, const char *name, commy_service_info_t *out,
                                          size_t capacity, size_t *count);
COMMY_API int32_t commy_get_all_services(commy_handle_t h, commy_service_info_t *out, size_t capacity, size_t *count);

/* commy_service_get(), _find(), _find_many(), _metadata(). */
COMMY_API int32_t commy_get_service(commy_handle_t h, const char *id, commy_service_info_t *info);
COMMY_API int32_t commy_find(commy_handle_t h, const char *id, commy_target_t *target);
COMMY_API int32_t commy_find_many(commy_handle_t h, const char *const *ids, size_t n, commy_target_t *out,
                                  int32_t *codes);
COMMY_API int32_t commy_get_service_metadata(commy_handle_t h, const char *id, char *out, size_t capacity,
                                             size_t *length);

/* commy_service_set_metadata(), _set_weight(), _set_health(), _set_admin(), _heartbeat(). */
COMMY_API int32_t commy_update_service_metadata(commy_handle_t h, const char *id, const char *metadata);
COMMY_API int32_t commy_set_service_weight(commy_handle_t h, const char *id, uint32_t weight);
COMMY_API int32_t commy_set_health(commy_handle_t h, const char *id, int32_t status);
COMMY_API int32_t commy_set_admin(commy_handle_t h, const char *id, int32_t admin);
COMMY_API int32_t commy_heartbeat(commy_handle_t h, const char *id);

/* Counts one request: by id with milliseconds, or by the reference of a target with nanoseconds. */
COMMY_API int32_t commy_report_service_performance(commy_handle_t h, const char *id, uint64_t response_time_ms,
                                                   int32_t success);
COMMY_API int32_t commy_report(commy_handle_t h, uint64_t reference, uint64_t latency_ns, int32_t success);

/* commy_service_begin(), _end(): a request in flight. Stopping or destroying the handle ends them all, uncounted. */
COMMY_API int32_t commy_begin_request(commy_handle_t h, uint64_t reference, uint64_t *token);
COMMY_API int32_t commy_end_request(commy_handle_t h, uint64_t token, uint64_t latency_ns, int32_t success);

/* commy_service_latency() of a service id or, where no service has that id, of a name; null: of the whole mesh. */
COMMY_API int32_t commy_get_latency(commy_handle_t h, const char *id_or_name, double quantile, uint64_t *ns);

/* --------------------------------------------------------------- selecting */

/*
 * How this handle selects from now on; without it, round robin. The algorithm is this handle's, and not shared: every process
 * configures its own. Circuit breakers are the mesh's (commy_mesh_set_breaker()): enable_circuit_breaker 1 switches them on
 * for all processes, with this threshold and time-out, and leaves the rest of their configuration as it is; 0 switches them
 * off if this handle had switched them on, and else changes nothing about them.
 * Errors: INVALID (an algorithm that is none; the sentence names those that are; numbers out of the bounds said with the
 * structure), READ_ONLY (breakers are to be switched on by a handle that is attached read-only). Nothing is changed then.
 * Allowed before start and after stop.
 */
COMMY_API int32_t commy_configure_load_balancer(commy_handle_t h, const commy_load_balancer_config_t *config);

/* commy_service_select() with the handle's algorithm. client_id: for consistent hash; else null, or ignored. */
COMMY_API int32_t commy_select_service(commy_handle_t h, const char *name, const char *client_id,
                                       commy_target_t *target);

/*
 * commy_service_breaker(). state: a commy_breaker_state_t (0 closed, 1 open, 2 half-open); failures: in a row. Either may be
 * null, not both; neither is written to on failure.
 */
COMMY_API int32_t commy_get_circuit_breaker_status(commy_handle_t h, const char *id, int32_t *state,
                                                   uint32_t *failures);

/* commy_service_reset_breaker(). */
COMMY_API int32_t commy_reset_circuit_breaker(commy_handle_t h, const char *id);

/*
 * commy_name_stats(): requests to all live instances of a name, and their mean latency in milliseconds, 0 before the first.
 * Any of the four may be null, if it is not wanted; they are left alone on failure. Errors: NOT_FOUND (it has no instance).
 */
COMMY_API int32_t commy_get_load_balancer_stats(commy_handle_t h, const char *name, uint64_t *total,
                                                uint64_t *successful, uint64_t *failed, double *average_ms);

/* ------------------------------------------------------------------ health */

/*
 * How this handle has services checked, and how it selects (commy_configure_load_balancer()), where a call says nothing else.
 * Null: unchanged. All or nothing. Errors: INVALID (a zero, or a number out of the bounds said with the structures),
 * READ_ONLY (as there).
 * Allowed before start and after stop; services that are monitored already keep what they were given.
 */
COMMY_API int32_t commy_configure_mesh(commy_handle_t h, const commy_health_config_t *health,
                                       const commy_load_balancer_config_t *balancer);

/* commy_service_monitor(), _unmonitor(). config: null: the handle's. */
COMMY_API int32_t commy_start_health_monitoring(commy_handle_t h, const char *id, const commy_health_config_t *config);
COMMY_API int32_t commy_stop_health_monitoring(commy_handle_t h, const char *id);

/* commy_service_health(). */
COMMY_API int32_t commy_get_service_health(commy_handle_t h, const char *id, int32_t *status, double *response_time_ms);

/* commy_service_check() with the handle's timeout, on the calling thread. Neither pointer may be null. Errors besides:
 * NOT_RUNNING (the handle was stopped or destroyed meanwhile). */
COMMY_API int32_t commy_manual_health_check(commy_handle_t h, const char *id, int32_t *status,
                                            double *response_time_ms);

/* commy_mesh_wait(): name null for the whole mesh; version 0 gives the current one at once. */
COMMY_API int32_t commy_wait(commy_handle_t h, const char *name, uint64_t version, int32_t timeout_ms,
                             uint64_t *new_version);

/* ---------------------------------------------------------------- watching */

/*
 * A watch: commy_wait() with a memory of its own, an interrupt and a descriptor (commy_watcher_create() and its like). It
 * belongs to the handle it was opened with: while that is stopped its calls fail with code 12, and once it was destroyed,
 * with 3; the descriptor is readable then. In both cases the watch still has to be closed.
 *
 * name:  whose instances to watch; null: the whole mesh.
 * watch: receives its number, which is never 0, never used again within a process, and no handle's; 0 on failure.
 *
 * Errors: NO_HANDLE, NOT_RUNNING, INVALID, NO_MEMORY, LIMIT (1,024 watches of this process).
 */
COMMY_API int32_t commy_watch_open(commy_handle_t h, const char *name, uint64_t *watch);

/* A descriptor that is readable when something changed since the last commy_watch_wait(), or a negated code
 * (commy_watcher_fd()). Not to be closed, nor read from: commy_watch_wait() with a timeout of 0 makes it unreadable. */
COMMY_API int32_t commy_watch_fd(uint64_t watch);

/* Waits for a change since the last call; the first returns at once (commy_watcher_wait()). version may be null. Errors
 * besides: INTERRUPTED when the watch is closed, NOT_RUNNING when its handle is stopped or destroyed, during the wait. */
COMMY_API int32_t commy_watch_wait(uint64_t watch, int32_t timeout_ms, uint64_t *version);

/* Ends the waits that are under way with INTERRUPTED, or the next one (commy_watcher_wake()); works while the handle is
 * stopped, too. */
COMMY_API int32_t commy_watch_wake(uint64_t watch);

/* Closes a watch and its descriptor. Waits for its calls in other threads, which end at once. Errors: NO_HANDLE; FORKED (in
 * a forked child: the number is out of use all the same). */
COMMY_API int32_t commy_watch_close(uint64_t watch);

/* --------------------------------------------------------------- callbacks */

/*
 * Callbacks run in commy_dispatch(), on the thread that calls it and on no other. Texts belong to the library and are
 * good until the callback returns. A callback may call anything, also what unregisters its service, sets callbacks, stops or
 * destroys the handle, dispatches again, or cleans up; nothing of the library's is locked or held meanwhile.
 */

/* What became of a service: commy_service_callback_t's event. */
#define COMMY_CALLBACK_REGISTERED 1 /* it is there */
#define COMMY_CALLBACK_GONE 2       /* it was unregistered, its owner left or died, or its lease ended */
#define COMMY_CALLBACK_CHANGED 3    /* its weight, admin state or metadata is another */
typedef void (*commy_service_callback_t)(void *user, int32_t event, const char *service_name, const char *service_id);

/* A service's health is another; both are a commy_health_t. */
typedef void (*commy_health_callback_t)(void *user, const char *service_name, const char *service_id,
                                        int32_t old_status, int32_t new_status);

/* What the library has to say, which never prints. */
#define COMMY_LOG_ERROR 1   /* something could not be done, and nobody asked for it */
#define COMMY_LOG_WARNING 2 /* something will not go on as it should */
#define COMMY_LOG_INFO 3
typedef void (*commy_log_callback_t)(void *user, int32_t level, const char *text);

/*
 * Who is told what becomes of services, of the whole mesh, from now on: first of those that are there, as registered. fn
 * null: nobody. What came and went faster than it was dispatched may never be told; the last state always is, and a service
 * that was registered anew under its id goes before it comes.
 *
 * Events of a former callback are dropped; it may still be running in another thread's dispatch when this returns.
 * The first callback starts a thread (as commy_watcher_fd() does), which keeps 220 KiB, and about 100 bytes for each
 * service; the last one that is taken away ends it. Errors: LIMIT (threads), NO_MEMORY, NOT_RUNNING.
 */
COMMY_API int32_t commy_set_service_callback(commy_handle_t h, commy_service_callback_t fn, void *user);

/* The same for health, which a service's registration is no change of: every service begins healthy, so that those that are
 * not are told first. */
COMMY_API int32_t commy_set_health_callback(commy_handle_t h, commy_health_callback_t fn, void *user);

/*
 * Who is told what the library's own threads meet; of the process, told in any handle's dispatch. fn null: nobody. The last
 * 256 lines wait; where more come, the oldest are lost, and their number is told. Not inherited by forked children.
 * Errors: NO_MEMORY.
 */
COMMY_API int32_t commy_set_log_callback(commy_log_callback_t fn, void *user);

/*
 * Runs callbacks for what has arrived, in order, 1,024 at most; where nothing has, waits for it.
 *
 * timeout_ms: 0: do not wait; negative: for ever.
 *
 * Returns how many ran, 0 when the time has passed, or a negated code where none ran: NOT_RUNNING (stopped, also during
 * the wait), NO_HANDLE, FORKED, REMOVED, NO_MEMORY. Several threads may dispatch at once; each event goes to one of them.
 */
COMMY_API int32_t commy_dispatch(commy_handle_t h, int32_t timeout_ms);

#ifdef __cplusplus
}
#endif

#endif /* COMMY_FFI_H */
