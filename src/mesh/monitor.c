/* Putting services on a handle's list and taking them off; starting and ending its thread. See monitor.h. */
#include "mesh/monitor.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fork.h"
#include "base/thread.h"

#define STACK_BYTES (512u * 1024)

/* --------------------------------------------------------------- config */

static commy_status_t in_bounds(const char *what, uint64_t value, uint64_t most, const char *unit)
{
    if (value > 0 && value <= most)
        return COMMY_STATUS_SUCCESS;
    return cmy_fail(COMMY_STATUS_INVALID, "%s is %llu; give 1 to %llu%s", what, (unsigned long long)value,
                    (unsigned long long)most, unit);
}

commy_status_t cmy_health_config_check(const commy_health_config_t *config)
{
    commy_status_t status =
        in_bounds("check_interval_ms", config->check_interval_ms, COMMY_LIMIT_CHECK_INTERVAL_MS, " ms");
    if (status == COMMY_STATUS_SUCCESS)
        status = in_bounds("timeout_ms", config->timeout_ms, COMMY_LIMIT_CHECK_TIMEOUT_MS, " ms");
    if (status == COMMY_STATUS_SUCCESS)
        status = in_bounds("max_failures", config->max_failures, COMMY_LIMIT_CHECKS, "");
    if (status == COMMY_STATUS_SUCCESS)
        status = in_bounds("recovery_checks", config->recovery_checks, COMMY_LIMIT_CHECKS, "");
    return status;
}

/* --------------------------------------------------------------- thread */

static void forget_all(cmy_monitor_t *monitor, bool give_back)
{
    for (uint32_t i = 0; i < monitor->count; i++) {
        cmy_monitored_t *one = monitor->list[i];
        if (give_back && one->state)
            cmy_checker_give_back(monitor->region, monitor->owner, one->record, one->state);
        free(one);
    }
    monitor->count = 0;
}

static void leave(cmy_annex_t *annex)
{
    cmy_monitor_t *monitor = (cmy_monitor_t *)annex;
    pthread_mutex_lock(&monitor->lock);
    bool running = monitor->running;
    monitor->left = monitor->mesh->actor.owner;
    monitor->stop = true;
    pthread_cond_signal(&monitor->changed);
    pthread_mutex_unlock(&monitor->lock);
    if (!running)
        return;

    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    pthread_join(monitor->thread, NULL);
    pthread_setcancelstate(cancel, NULL);
    pthread_mutex_lock(&monitor->lock);
    monitor->running = false;
    forget_all(monitor, true);
    pthread_mutex_unlock(&monitor->lock);
}

static void end(cmy_annex_t *annex)
{
    cmy_monitor_t *monitor = (cmy_monitor_t *)annex;
    bool forked = !cmy_fork_same(monitor->generation);
    if (forked && pthread_mutex_trylock(&monitor->lock) != 0)
        return; /* somebody was changing the list when the process forked: in a child it is left alone */
    forget_all(monitor, false); /* in a forked child; elsewhere the handle has left */
    free(monitor->list);
    if (!forked) {
        pthread_cond_destroy(&monitor->changed);
        pthread_mutex_destroy(&monitor->lock);
    }
    free(monitor);
}

/* The handle's monitor, made at the first call. Null: no memory. */
static cmy_monitor_t *monitor_of(commy_mesh_t *mesh)
{
    cmy_annex_t *there = cmy_rcu_load(&mesh->monitor);
    if (there)
        return (cmy_monitor_t *)there;
    cmy_monitor_t *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&made->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&made->lock, NULL);
    made->annex = (cmy_annex_t){.end = end, .leave = leave};
    made->mesh = mesh;
    made->generation = cmy_fork_generation();
    made->random = cmy_clock_monotonic_ns() ^ (uintptr_t)made;
    if (cmy_rcu_swap(&mesh->monitor, &there, &made->annex))
        return made;
    end(&made->annex);
    return (cmy_monitor_t *)there;
}

/* ----------------------------------------------------------------- list */

static cmy_monitored_t *find(const cmy_monitor_t *monitor, const cmy_key_t *key)
{
    for (uint32_t i = 0; i < monitor->count; i++) {
        cmy_monitored_t *one = monitor->list[i];
        if (!one->dropped && one->key.hash == key->hash && one->key.bytes == key->bytes &&
            memcmp(one->id, key->text, key->bytes) == 0)
            return one;
    }
    return NULL;
}

/* Room for one more. */
static bool grow(cmy_monitor_t *monitor)
{
    if (monitor->count < monitor->room)
        return true;
    uint32_t room = monitor->room ? 2 * monitor->room : 16;
    cmy_monitored_t **list = reallocarray(monitor->list, room, sizeof(void *));
    if (!list)
        return false;
    monitor->list = list;
    monitor->room = room;
    return true;
}

static commy_status_t no_memory(void)
{
    return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory for %zu bytes of a monitored service", sizeof(cmy_monitored_t));
}

/* Starts the thread where there is none. The lock is held. */
static commy_status_t ensure_thread(cmy_monitor_t *monitor, uint32_t owner)
{
    if (monitor->running)
        return COMMY_STATUS_SUCCESS;
    monitor->stop = false;
    monitor->region = monitor->mesh->region;
    monitor->owner = owner;
    int error = cmy_thread_start(&monitor->thread, STACK_BYTES, cmy_monitor_work, monitor);
    if (error) {
        errno = error;
        return cmy_fail_errno(COMMY_STATUS_LIMIT, "no thread could be started to check services");
    }
    monitor->running = true;
    return COMMY_STATUS_SUCCESS;
}

/* The lock is held. */
static commy_status_t add(cmy_monitor_t *monitor, uint32_t owner, const cmy_key_t *key,
                          const commy_health_config_t *config)
{
    cmy_monitored_t *one = find(monitor, key);
    if (one) {
        one->config = *config;
        return COMMY_STATUS_SUCCESS;
    }
    if (!grow(monitor))
        return no_memory();
    one = calloc(1, sizeof *one);
    if (!one)
        return no_memory();
    commy_status_t status = ensure_thread(monitor, owner);
    if (status != COMMY_STATUS_SUCCESS) {
        free(one);
        return status;
    }
    one->config = *config;
    memcpy(one->id, key->text, key->bytes);
    one->key = *key;
    one->key.text = one->id;
    monitor->list[monitor->count++] = one;
    return COMMY_STATUS_SUCCESS;
}

/* ------------------------------------------------------------------ API */

static commy_status_t has_left(const commy_mesh_t *mesh)
{
    return cmy_fail(COMMY_STATUS_NOT_RUNNING, "the handle left mesh %s of %s meanwhile; start it again",
                    mesh->region->mesh, mesh->region->dir);
}

/* Whether the life that a call began in is over, or ends: left last, or before that. The lock is held. */
static bool is_over(const cmy_monitor_t *monitor, uint32_t owner)
{
    return monitor->left == owner || !cmy_life_alive(monitor->mesh->region, owner);
}

/* Joins; gives the service's key and the owner to act as. */
static commy_status_t begin(commy_mesh_t *mesh, const char *id, cmy_key_t *key, uint32_t *owner)
{
    commy_status_t status = cmy_mesh_enter(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    *owner = mesh->actor.owner;
    status = cmy_mesh_key(mesh->region, "service id", id, COMMY_LIMIT_ID_BYTES, key);
    cmy_mesh_exit(mesh);
    return status;
}

commy_status_t commy_service_monitor(commy_mesh_t *mesh, const char *id, const commy_health_config_t *from)
{
    const commy_health_config_t defaults = {COMMY_DEFAULT_CHECK_INTERVAL_MS, COMMY_DEFAULT_CHECK_TIMEOUT_MS,
                                            COMMY_DEFAULT_MAX_FAILURES, COMMY_DEFAULT_RECOVERY_CHECKS};
    const commy_health_config_t *config = from ? from : &defaults;
    commy_service_info_t info;
    cmy_aim_t aim;
    cmy_key_t key;
    uint32_t owner = CMY_NOBODY;
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_health_config_check(config);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    /* Before the handle is seen to have joined: leaving then sees the monitor. */
    cmy_monitor_t *monitor = monitor_of(mesh);
    if (!monitor)
        return no_memory();
    status = begin(mesh, id, &key, &owner);
    if (status == COMMY_STATUS_SUCCESS)
        status = commy_service_get(mesh, id, &info);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_aim_make(&info, &aim);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_ping_ready(&aim);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    pthread_mutex_lock(&monitor->lock);
    status = is_over(monitor, owner) ? has_left(mesh) : add(monitor, owner, &key, config);
    pthread_cond_signal(&monitor->changed);
    pthread_mutex_unlock(&monitor->lock);
    return status;
}

commy_status_t commy_service_unmonitor(commy_mesh_t *mesh, const char *id)
{
    cmy_key_t key;
    uint32_t owner;
    commy_status_t status = begin(mesh, id, &key, &owner);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_monitor_t *monitor = (cmy_monitor_t *)cmy_rcu_load(&mesh->monitor);
    cmy_monitored_t *one = NULL;
    if (monitor) {
        pthread_mutex_lock(&monitor->lock);
        one = is_over(monitor, owner) ? NULL : find(monitor, &key);
        if (one) {
            one->dropped = true;
            if (one->state)
                cmy_checker_give_back(monitor->region, monitor->owner, one->record, one->state);
        }
        pthread_cond_signal(&monitor->changed);
        pthread_mutex_unlock(&monitor->lock);
    }
    if (one)
        return COMMY_STATUS_SUCCESS;
    return cmy_fail(COMMY_STATUS_NOT_FOUND, "service id '%s' is not monitored by this handle", id);
}
