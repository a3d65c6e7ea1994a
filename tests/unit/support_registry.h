/* What the tests of the registry share: one region in the test's own directory, and the checks that everybody makes. */
#ifndef COMMY_TESTS_SUPPORT_REGISTRY_H
#define COMMY_TESTS_SUPPORT_REGISTRY_H

#include <commy/commy.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "registry/mesh.h"
#include "support.h"

static commy_mesh_t *mesh; /* attached for writing; what most tests work on */

static inline commy_open_options_t options_for(uint32_t capacity, uint32_t flags)
{
    return (commy_open_options_t){.size = sizeof(commy_open_options_t),
                                  .flags = flags,
                                  .dir = test_dir,
                                  .mesh = "m",
                                  .node_id = "tester",
                                  .capacity = capacity,
                                  .listen_port = 4711};
}

static inline commy_mesh_t *attach(uint32_t flags)
{
    commy_mesh_t *attached;
    const commy_open_options_t options = options_for(0, flags);
    cr_assert_eq(commy_mesh_attach(&options, &attached), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    return attached;
}

/* Makes the region and attaches `mesh` to it. */
static inline void begin(uint32_t capacity)
{
    const commy_open_options_t options = options_for(capacity, 0);
    cr_assert_eq(commy_mesh_create(&options), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    mesh = attach(COMMY_OPEN_MUST_EXIST);
}

/* Every test ends with an audit of what it leaves behind. */
static inline void report_finding(void *user, const char *where, const char *what)
{
    (void)user;
    fprintf(stderr, "check: %s: %s\n", where, what);
}

static inline void audit(void)
{
    uint64_t findings = 99;
    commy_status_t status = commy_mesh_check(mesh, report_finding, NULL, &findings);
    cr_assert_eq(status, COMMY_STATUS_SUCCESS, "the audit says %d with %" PRIu64 " findings", (int)status, findings);
    cr_assert_eq(findings, 0);
}

static inline void set_up(void)
{
    test_dir_make();
}

static inline void tear_down(void)
{
    commy_mesh_detach(&mesh);
    test_dir_destroy();
}

/* -------------------------------------------------------------- services */

static inline commy_service_config_t config_of(const char *name, const char *id)
{
    return (commy_service_config_t){.size = sizeof(commy_service_config_t),
                                    .service_name = name,
                                    .service_id = id,
                                    .endpoint = "127.0.0.1",
                                    .port = 8080};
}

static inline commy_status_t try_add(commy_mesh_t *to, const char *name, const char *id)
{
    const commy_service_config_t config = config_of(name, id);
    return commy_service_register(to, &config, NULL);
}

static inline void add(commy_mesh_t *to, const char *name, const char *id)
{
    cr_assert_eq(try_add(to, name, id), COMMY_STATUS_SUCCESS, "%s: %s", id, commy_last_error_message());
}

static inline void add_with_ttl(commy_mesh_t *to, const char *name, const char *id, uint32_t flags, uint64_t ttl_ms)
{
    commy_service_config_t config = config_of(name, id);
    config.flags = flags;
    config.ttl_ms = ttl_ms;
    cr_assert_eq(commy_service_register(to, &config, NULL), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

static inline void drop(commy_mesh_t *from, const char *id)
{
    cr_assert_eq(commy_service_unregister(from, id), COMMY_STATUS_SUCCESS, "%s: %s", id, commy_last_error_message());
}

static inline bool there(const commy_mesh_t *in, const char *id)
{
    commy_target_t target;
    commy_status_t status = commy_service_find(in, id, &target);
    cr_assert(status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_NOT_FOUND, "%s", commy_last_error_message());
    return status == COMMY_STATUS_SUCCESS;
}

static inline commy_service_info_t info_of(const commy_mesh_t *in, const char *id)
{
    commy_service_info_t info;
    cr_assert_eq(commy_service_get(in, id, &info), COMMY_STATUS_SUCCESS, "%s: %s", id, commy_last_error_message());
    return info;
}

static inline size_t count_of(const commy_mesh_t *in, const char *name)
{
    size_t count = 99, discovered = 98;
    cr_assert_eq(commy_name_count(in, name, &count), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert_eq(commy_name_discover(in, name, NULL, 0, &discovered), COMMY_STATUS_SUCCESS);
    cr_assert_eq(count, discovered, "two ways to count agree: %zu and %zu", count, discovered);
    return count;
}

static inline commy_mesh_stats_t numbers_of(const commy_mesh_t *in)
{
    commy_mesh_stats_t stats;
    cr_assert_eq(commy_mesh_stats(in, &stats), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    return stats;
}

static inline size_t participants_of(const commy_mesh_t *in)
{
    size_t count = 0;
    cr_assert_eq(commy_mesh_participants(in, NULL, 0, &count), COMMY_STATUS_SUCCESS);
    return count;
}

/* A call came to a code, which is remembered, with a sentence that holds `part`. */
static inline void expect(commy_status_t got, commy_status_t wanted, const char *part)
{
    const char *sentence = commy_last_error_message();
    cr_assert_eq(got, wanted, "%s, not %s: %s", commy_status_string((int32_t)got), commy_status_string((int32_t)wanted),
                 sentence);
    cr_assert_eq((commy_status_t)commy_last_error(), wanted);
    cr_assert(strstr(sentence, part), "says '%s': %s", part, sentence);
}

/* Records of a slab that are not FREE. */
static inline uint32_t records_in_use(const commy_mesh_t *in, cmy_slab_kind_t kind)
{
    uint32_t used = 0, records = cmy_region_reserved_again(in->region, kind);
    for (uint32_t i = 0; i < records; i++)
        used += cmy_state_phase(cmy_load64_acquire(cmy_state_at(in->region, kind, i))) != CMY_FREE;
    return used;
}

/* ------------------------------------------------------ time and processes */

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t now_ms(void)
{
    return now_ns() / 1000000;
}

static inline void sleep_ms(uint64_t ms)
{
    struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR)
        ;
}

/* Waits until a condition holds, at most ten seconds; the value is whether it did. */
#define EVENTUALLY(condition)                                                                                          \
    ({                                                                                                                 \
        uint64_t began_ = now_ms();                                                                                    \
        while (!(condition) && now_ms() - began_ < 10000)                                                              \
            sleep_ms(1);                                                                                               \
        (condition);                                                                                                   \
    })

/*
 * Starts a process that attaches for itself, runs `body`, and then holds what it registered until it is killed. Returns
 * once the body is done.
 */
static inline pid_t start_owner(void (*body)(commy_mesh_t *own))
{
    int done[2];
    char byte;
    cr_assert_eq(pipe(done), 0);
    pid_t parent = getpid(), child = test_fork();
    cr_assert_neq(child, -1);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        commy_mesh_t *own;
        commy_open_options_t options = options_for(0, COMMY_OPEN_MUST_EXIST);
        options.node_id = "child";
        if (getppid() != parent || commy_mesh_attach(&options, &own) != COMMY_STATUS_SUCCESS)
            _exit(1);
        body(own);
        if (write(done[1], "x", 1) != 1)
            _exit(2);
        for (;;)
            pause();
    }
    close(done[1]);
    cr_assert_eq(read(done[0], &byte, 1), 1, "the owner failed");
    close(done[0]);
    return child;
}

/* Kills it and waits for it; from here on the kernel has certified its death. */
static inline void kill_owner(pid_t owner)
{
    int status;
    cr_assert_eq(kill(owner, SIGKILL), 0);
    cr_assert_eq(waitpid(owner, &status, 0), owner);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

#endif /* COMMY_TESTS_SUPPORT_REGISTRY_H */
