/*
 * What the programs about processes and files share: owners that do something to themselves on command, and what an
 * observer sees of them through the public API.
 */
#ifndef COMMY_TESTS_FAULTS_PEOPLE_H
#define COMMY_TESTS_FAULTS_PEOPLE_H

#include "../acceptance.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "registry/mesh.h"

#define PATIENCE_NS 60000000000ull /* under valgrind, on a busy machine, a program takes seconds to begin */
#define STRANGER 65534u

/* Between a process and whoever started it. */
typedef struct signpost {
    _Atomic uint32_t stage;
    _Atomic int32_t pid, tid, status, other;
} signpost_t;
static signpost_t *post; /* shared; SIGNPOSTS of them */
#define SIGNPOSTS 8

static inline bool await(_Atomic uint32_t *stage, uint32_t least)
{
    for (uint64_t began = now_ns(); atomic_load(stage) < least; sleep_us(200))
        if (now_ns() - began > PATIENCE_NS)
            return false;
    return true;
}

static inline void reach(signpost_t *at, uint32_t stage)
{
    atomic_store(&at->stage, stage);
}

static inline commy_status_t put(commy_mesh_t *mesh, const char *id)
{
    const commy_service_config_t config = {.size = sizeof config,
                                           .service_name = "name",
                                           .service_id = id,
                                           .endpoint = "127.0.0.1",
                                           .metadata = "{\"a\":1}",
                                           .port = 80};
    return commy_service_register(mesh, &config, NULL);
}

static inline bool found(const commy_mesh_t *mesh, const char *id)
{
    commy_target_t target;
    return commy_service_find(mesh, id, &target) == COMMY_STATUS_SUCCESS;
}

/* Whether it is found at every one of some looks, spread over so many milliseconds. */
static inline bool found_throughout(const commy_mesh_t *mesh, const char *id, uint32_t ms, bool is_there)
{
    for (uint64_t began = now_ns(); now_ns() - began < ms * 1000000ull; sleep_us(1000))
        if (found(mesh, id) != is_there)
            return false;
    return found(mesh, id) == is_there;
}

/* Attaches, joins and registers `id`; tells its pid and its keeper's thread id. */
static inline commy_mesh_t *become_owner(const char *id, signpost_t *at)
{
    commy_mesh_t *mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, id);
    if (put(mesh, id) != COMMY_STATUS_SUCCESS) {
        printf("  %s: %s\n", id, commy_last_error_message());
        fflush(stdout);
        _exit(2);
    }
    uint32_t slot = cmy_owner_slot(mesh->actor.owner);
    atomic_store(&at->pid, getpid());
    atomic_store(&at->tid, (int32_t)cmy_life_tid(cmy_load64_acquire(&mesh->region->life[slot].phase)));
    atomic_store(&at->other, (int32_t)slot);
    return mesh;
}

static inline cmy_life_phase_t phase_of(const commy_mesh_t *mesh, int32_t slot)
{
    return cmy_life_phase(cmy_load64_acquire(&mesh->region->life[slot].phase));
}

static inline bool is_marked(const commy_mesh_t *mesh, int32_t slot)
{
    return (cmy_load32_acquire(&mesh->region->life[slot].word) & FUTEX_OWNER_DIED) != 0;
}

/* The second sign is all that tells of this owner's death then. */
static inline void bend_word(const commy_mesh_t *mesh, int32_t slot)
{
    cmy_store32_relaxed(&mesh->region->life[slot].word, FUTEX_WAITERS | 1);
}

/* Reaps until nobody but the living is left, as keepers do by themselves, and audits. */
static inline bool settles(commy_mesh_t *mesh, size_t living)
{
    size_t count = 0;
    for (uint64_t began = now_ns(); now_ns() - began < PATIENCE_NS; sleep_us(1000)) {
        commy_mesh_reap(mesh, NULL);
        if (commy_mesh_participants(mesh, NULL, 0, &count) == COMMY_STATUS_SUCCESS && count == living)
            return is_clean(mesh);
    }
    printf("  %zu participants are left, not %zu\n", count, living);
    return false;
}

static inline void idle(void)
{
    for (;;)
        pause();
}

/* Writes a text to a file that is there. */
static inline bool write_file(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    bool good = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
    if (file >= 0)
        close(file);
    return good;
}

#endif /* COMMY_TESTS_FAULTS_PEOPLE_H */
