/* Attaching, joining, leaving; see mesh.h for the states of a handle. */
#include "registry/mesh.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/node.h"
#include "event/event.h"

commy_status_t cmy_mesh_null(const char *what)
{
    return cmy_fail(COMMY_STATUS_INVALID, "%s is null; pass one", what);
}

void cmy_mesh_bad_key(const char *what, const char *text, size_t max)
{
    if (text)
        cmy_text_check(what, text, 1, max, false, NULL);
    else
        cmy_mesh_null(what);
}

commy_status_t cmy_mesh_no_service(const commy_mesh_t *mesh, const char *id)
{
    return cmy_fail_no_service(mesh->region->place, id);
}

commy_status_t cmy_mesh_look_up(const commy_mesh_t *mesh, const char *id, uint32_t *record, uint64_t *state)
{
    cmy_key_t key;
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_mesh_key(mesh->region, "service id", id, COMMY_LIMIT_ID_BYTES, &key);
    if (status == COMMY_STATUS_SUCCESS && !cmy_service_find(mesh->region, &key, record, state))
        status = cmy_mesh_no_service(mesh, id);
    return status;
}

commy_status_t cmy_mesh_sized(const char *what, const void *from, void *to, size_t bytes)
{
    uint32_t size;
    memcpy(&size, from, sizeof size);
    if (size < 2 * sizeof size || size > 4096)
        return cmy_fail(COMMY_STATUS_INVALID, "%s.size is %u; set it to sizeof the structure, %zu here", what, size,
                        bytes);
    memset(to, 0, bytes);
    memcpy(to, from, size < bytes ? size : bytes);
    return COMMY_STATUS_SUCCESS;
}

/* ------------------------------------------------------------- region */

/* Options as the caller's library knew them, with defaults; and the region they name. */
static commy_status_t read_options(const commy_open_options_t *from, commy_open_options_t *options,
                                   cmy_region_name_t *name)
{
    *options = (commy_open_options_t){.size = sizeof *options};
    if (from) {
        commy_status_t status = cmy_mesh_sized("options", from, options, sizeof *options);
        if (status != COMMY_STATUS_SUCCESS)
            return status;
    }
    if (options->flags & ~7u)
        return cmy_fail(COMMY_STATUS_INVALID, "options.flags 0x%x has bits that mean nothing; use COMMY_OPEN_*",
                        options->flags);
    if ((options->flags & COMMY_OPEN_MUST_NOT_EXIST) &&
        (options->flags & (COMMY_OPEN_MUST_EXIST | COMMY_OPEN_READ_ONLY)))
        return cmy_fail(COMMY_STATUS_INVALID,
                        "options.flags 0x%x asks for a region that must not exist and must; "
                        "leave one out",
                        options->flags);
    return cmy_region_resolve(options->dir, options->mesh, name);
}

commy_status_t commy_mesh_create(const commy_open_options_t *from)
{
    commy_open_options_t options;
    cmy_region_name_t name;
    commy_status_t status = read_options(from, &options, &name);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    return cmy_region_create(&name, options.capacity, options.group, options.mode);
}

/* Maps what is there; makes it where it is missing and wanted. Whoever loses the race to make it maps the winner's. */
static commy_status_t open_region(const commy_open_options_t *options, const cmy_region_name_t *name,
                                  cmy_region_t **region)
{
    bool writable = !(options->flags & COMMY_OPEN_READ_ONLY);
    cmy_error_t before;
    cmy_error_save(&before);
    commy_status_t status = COMMY_STATUS_MESH_NOT_FOUND;
    for (int turn = 0; turn < 8; turn++) {
        if (!(options->flags & COMMY_OPEN_MUST_NOT_EXIST)) {
            status = cmy_region_map(name, writable, region);
            if (status != COMMY_STATUS_MESH_NOT_FOUND || !writable || (options->flags & COMMY_OPEN_MUST_EXIST))
                break;
        }
        status = cmy_region_create(name, options->capacity, options->group, options->mode);
        if (status == COMMY_STATUS_EXISTS && !(options->flags & COMMY_OPEN_MUST_NOT_EXIST))
            continue;
        if (status != COMMY_STATUS_SUCCESS)
            break;
        status = cmy_region_map(name, writable, region);
        if (status != COMMY_STATUS_MESH_NOT_FOUND)
            break;
    }
    if (status == COMMY_STATUS_SUCCESS)
        cmy_error_restore(&before);
    return status;
}

commy_status_t commy_mesh_attach(const commy_open_options_t *from, commy_mesh_t **mesh)
{
    if (!mesh)
        return cmy_mesh_null("where the mesh is to be stored");
    *mesh = NULL;
    commy_open_options_t options;
    cmy_region_name_t name;
    commy_status_t status = read_options(from, &options, &name);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (options.node_id && *options.node_id) {
        status = cmy_text_check_token("node id", options.node_id, NULL);
        if (status != COMMY_STATUS_SUCCESS)
            return status;
    }
    commy_mesh_t *made = calloc(1, sizeof *made);
    if (!made)
        return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory for a handle of %zu bytes", sizeof *made);
    status = open_region(&options, &name, &made->region);
    if (status != COMMY_STATUS_SUCCESS) {
        free(made);
        return status;
    }
    pthread_mutex_init(&made->leaving, NULL);
    pthread_mutex_init(&made->lifecycle, NULL);
    made->actor.region = made->region;
    made->listen_port = options.listen_port;
    if (options.node_id)
        snprintf(made->node_id, sizeof made->node_id, "%s", options.node_id);
    *mesh = made;
    return COMMY_STATUS_SUCCESS;
}

void commy_mesh_detach(commy_mesh_t **mesh)
{
    if (!mesh || !*mesh)
        return;
    commy_mesh_t *gone = *mesh;
    *mesh = NULL;
    if (cmy_region_is_forked(gone->region)) { /* frees private memory only; the locks may be a lost thread's */
        cmy_life_leave(&gone->participant);
        cmy_tokens_free(&gone->tokens);
    } else {
        commy_mesh_leave(gone);
    }
    if (gone->lookout)
        gone->lookout->end(gone->lookout);
    if (gone->pickers)
        gone->pickers->end(gone->pickers);
    if (gone->monitor)
        gone->monitor->end(gone->monitor);
    cmy_region_unmap(&gone->region);
    free(gone);
}

commy_status_t commy_mesh_remove(const commy_open_options_t *from, bool force)
{
    commy_open_options_t options;
    cmy_region_name_t name;
    commy_status_t status = read_options(from, &options, &name);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    return cmy_region_remove(&name, force, cmy_life_count);
}

/* ------------------------------------------------------- participation */

/* On the keeper's thread, which looks by itself for deaths that the kernel could not mark (life/watch.c). */
static void housekeeping(void *user)
{
    commy_mesh_t *mesh = user;
    commy_reap_report_t report = {0};
    if (atomic_load_explicit(&mesh->phase, memory_order_acquire) == CMY_MESH_JOINED)
        cmy_reap(&mesh->actor, false, &report);
    if (report.participants + report.services > 0)
        cmy_log(CMY_LOG_INFO, "gave back in mesh %s what had died or expired: %u participants, %u services",
                mesh->region->mesh, report.participants, report.services);
}

/* ATTACHED or LEFT -> JOINED. `lifecycle` is held. */
static commy_status_t join(commy_mesh_t *mesh)
{
    if (!mesh->node_id[0])
        cmy_node_default(mesh->node_id);
    commy_status_t status =
        cmy_life_join(mesh->region, mesh->node_id, mesh->listen_port, housekeeping, mesh, &mesh->participant);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    mesh->actor.owner = cmy_life_owner(mesh->participant);
    cmy_event_participant(mesh->region, cmy_owner_slot(mesh->actor.owner), COMMY_EVENT_JOINED);
    atomic_store_explicit(&mesh->phase, CMY_MESH_JOINED, memory_order_release);
    cmy_log(CMY_LOG_INFO, "joined mesh %s of %s as node %s", mesh->region->mesh, mesh->region->dir, mesh->node_id);
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t not_running(const commy_mesh_t *mesh)
{
    return cmy_fail(COMMY_STATUS_NOT_RUNNING, "the handle has left mesh %s of %s; start it again", mesh->region->mesh,
                    mesh->region->dir);
}

static commy_status_t writable(const commy_mesh_t *mesh)
{
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (!mesh->region->writable)
        return cmy_fail(COMMY_STATUS_READ_ONLY,
                        "mesh %s of %s is attached read-only; attach it for writing to change it", mesh->region->mesh,
                        mesh->region->dir);
    return COMMY_STATUS_SUCCESS;
}

commy_status_t commy_mesh_join(commy_mesh_t *mesh, const char *node_id, uint16_t listen_port)
{
    commy_status_t status = writable(mesh);
    if (status == COMMY_STATUS_SUCCESS && node_id)
        status = cmy_text_check_token("node id", node_id, NULL);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    pthread_mutex_lock(&mesh->leaving);
    pthread_mutex_lock(&mesh->lifecycle);
    if (atomic_load_explicit(&mesh->phase, memory_order_relaxed) != CMY_MESH_JOINED) {
        if (node_id)
            snprintf(mesh->node_id, sizeof mesh->node_id, "%s", node_id);
        if (listen_port)
            mesh->listen_port = listen_port;
        status = join(mesh);
    }
    pthread_mutex_unlock(&mesh->lifecycle);
    pthread_mutex_unlock(&mesh->leaving);
    return status;
}

/* The first change of a handle that never joined. */
static commy_status_t join_first(commy_mesh_t *mesh)
{
    commy_status_t status = COMMY_STATUS_SUCCESS;
    pthread_mutex_lock(&mesh->lifecycle);
    if (atomic_load_explicit(&mesh->phase, memory_order_relaxed) == CMY_MESH_ATTACHED)
        status = join(mesh);
    pthread_mutex_unlock(&mesh->lifecycle);
    return status;
}

commy_status_t cmy_mesh_enter_slowly(commy_mesh_t *mesh)
{
    commy_status_t status = writable(mesh);
    while (status == COMMY_STATUS_SUCCESS) {
        cmy_rcu_read_lock();
        int phase = atomic_load_explicit(&mesh->phase, memory_order_acquire);
        if (__builtin_expect(phase == CMY_MESH_JOINED, 1))
            return COMMY_STATUS_SUCCESS;
        cmy_rcu_read_unlock();
        if (phase != CMY_MESH_ATTACHED)
            return not_running(mesh);
        status = join_first(mesh);
    }
    return status;
}

commy_status_t commy_mesh_leave(commy_mesh_t *mesh)
{
    if (!mesh)
        return cmy_mesh_null("mesh");
    if (cmy_region_is_forked(mesh->region))
        return cmy_region_refused(mesh->region);
    pthread_mutex_lock(&mesh->leaving);
    pthread_mutex_lock(&mesh->lifecycle);
    bool joined = atomic_load_explicit(&mesh->phase, memory_order_relaxed) == CMY_MESH_JOINED;
    atomic_store_explicit(&mesh->phase, joined ? CMY_MESH_LEAVING : CMY_MESH_LEFT, memory_order_release);
    pthread_mutex_unlock(&mesh->lifecycle);
    if (joined) {
        cmy_rcu_synchronize(); /* no change is under way any more */
        cmy_annex_t *monitor = cmy_rcu_load(&mesh->monitor);
        if (monitor)
            monitor->leave(monitor);
        pthread_mutex_lock(&mesh->lifecycle);
        cmy_tokens_free(&mesh->tokens); /* requests in flight end here, uncounted */
        cmy_reap_own(&mesh->actor);
        uint32_t slot = cmy_owner_slot(mesh->actor.owner);
        cmy_event_participant(mesh->region, slot, COMMY_EVENT_LEFT);
        cmy_life_leave(&mesh->participant);
        /* Nothing is left under this owner, so the slot need not wait for a reaper. */
        uint64_t phase = cmy_load64_acquire(&mesh->region->life[slot].phase);
        if (cmy_life_phase(phase) == CMY_SLOT_DEAD &&
            cmy_life_incarnation(phase) == cmy_owner_incarnation(mesh->actor.owner))
            cmy_life_free(mesh->region, slot, phase);
        atomic_store_explicit(&mesh->phase, CMY_MESH_LEFT, memory_order_release);
        cmy_log(CMY_LOG_INFO, "left mesh %s of %s", mesh->region->mesh, mesh->region->dir);
        pthread_mutex_unlock(&mesh->lifecycle);
    }
    pthread_mutex_unlock(&mesh->leaving);
    return COMMY_STATUS_SUCCESS;
}

commy_status_t commy_mesh_reap(commy_mesh_t *mesh, commy_reap_report_t *report)
{
    if (report)
        *report = (commy_reap_report_t){0};
    commy_status_t status = cmy_mesh_enter(mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_reap(&mesh->actor, true, report);
    cmy_mesh_exit(mesh);
    return COMMY_STATUS_SUCCESS;
}
