/*
 * Monitoring: a handle's services that are to be checked, and the one thread that checks them.
 *
 *     commy_service_monitor() --> list <-- thread: for each service, about ten times a second and when it is due
 *                                              is it registered? is it mine to check (service/checker.h)? is it due?
 *                                              -> a ping (ping.h); when that ends -> its result
 *
 * The list is under a lock of the process's own, which the thread holds for one look at its services, never while it
 * waits. All else of a service on the list is the thread's alone; a service that is not to be monitored any more is given
 * back and marked at once, and freed by the thread.
 *
 * Acting under the participant's name without a section (registry/mesh.h): leaving first waits for changes, then ends
 * the thread, gives the elections back, and only then lets the participant end. A call that was on its way to the list
 * meanwhile finds there that its owner has left. The thread ends by itself where the participant is not alive (a program
 * whose own threads have all ended; life/watch.c).
 *
 * Descriptors: the thread has a table of its own, as the keeper has, so that a program that closes all it has closes no
 * check's, and no child inherits one. 0 to 2 are /dev/null there.
 *
 * Fork: a child has no such thread, and a lock in any state; it frees private memory and touches neither, nor libcurl's.
 * Crash: checker.h.
 */
#ifndef CMY_MESH_MONITOR_H
#define CMY_MESH_MONITOR_H

#include <pthread.h>

#include "mesh/ping.h"
#include "registry/mesh.h"
#include "service/checker.h"

#define CMY_MONITOR_SLICE_NS 100000000ull /* a checker's death is noticed by then */
#define CMY_MONITOR_RUNNING 256u          /* checks at once */

/* A service on the list. */
typedef struct cmy_monitored {
    /* Under the monitor's lock. */
    commy_health_config_t config;
    bool dropped; /* to be freed by the thread */

    /* The thread's, but that whoever drops it gives back the election of `record` in `state`, under the lock. */
    uint32_t record;
    uint64_t state; /* 0: not registered */
    bool checkable; /* its aim is one */
    bool mine;      /* elected, at the last look */
    cmy_checker_watch_t watch;
    uint64_t due_ns;
    uint64_t lost_ns; /* when the ping that runs is given up */
    uint64_t before;  /* the ping's: cmy_checked_read() */
    cmy_ping_t *ping;
    cmy_aim_t aim;

    /* Constant. */
    cmy_key_t key;
    char id[COMMY_LIMIT_ID_BYTES + 1];
} cmy_monitored_t;

typedef struct cmy_monitor {
    cmy_annex_t annex;
    commy_mesh_t *mesh;
    uint64_t generation; /* of the process that made it */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    cmy_monitored_t **list;
    uint32_t count, room;
    uint32_t left; /* owner that has left last */
    cmy_region_t *region;
    uint32_t owner;     /* of the life that the thread works for */
    bool running, stop; /* the thread: to be joined; to end */
    pthread_t thread;
    uint64_t random;    /* the thread's */
    uint32_t checks;    /* pings that run; the thread's */
    cmy_pings_t *pings; /* the thread's */
} cmy_monitor_t;

/* The thread's work, until `stop`; argument: the monitor. rounds.c */
void *cmy_monitor_work(void *argument);

/* Errors: INVALID, with a sentence that names the field. */
commy_status_t cmy_health_config_check(const commy_health_config_t *config);

/*
 * commy_service_check() that gives up when stop() says so, asked at least every 100 ms; then NOT_RUNNING without a
 * sentence. stop may be null.
 */
commy_status_t cmy_health_check(const commy_mesh_t *mesh, const char *id, uint64_t timeout_ms,
                                bool (*stop)(const void *user), const void *user, commy_check_result_t *result);

#endif /* CMY_MESH_MONITOR_H */
