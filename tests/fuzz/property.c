/*
 * The property: attach to the image as strangers do, by directory and name; ask everything, read-only; attach again for
 * writing, and change everything. See fuzz.h for what must hold.
 *
 * Of every call: the code is one of the contract's and not "internal"; a failure has a sentence, and success leaves that of
 * the failure before it alone; it took no more of the processor than FUZZ_CALL_MS. Of every answer (query.c): texts end
 * within their fields, numbers are within what the header files say, counts within what the region can hold.
 *
 * What is beyond it: the region's bytes stand still while it is read, but for what its own calls change; scribble.c is
 * for bytes that move. And what a region answers after somebody wrote nonsense into it is nonsense: a registration that
 * was acknowledged in one may be lost. Only that nobody is hurt is promised.
 */
#include "property.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const names[CALLS] = {
    [CALL_ATTACH_READ_ONLY] = "attach, read-only",
    [CALL_ATTACH] = "attach",
    [CALL_DETACH] = "detach",
    [CALL_INFO] = "info",
    [CALL_PARTICIPANTS] = "participants",
    [CALL_EVENTS] = "events",
    [CALL_STATS] = "stats",
    [CALL_WAIT] = "wait",
    [CALL_WATCH] = "watcher",
    [CALL_WATCH_WAIT] = "watcher's wait",
    [CALL_LOOKOUT] = "lookout's walk",
    [CALL_CHECK] = "check",
    [CALL_FIND] = "find",
    [CALL_FIND_MANY] = "find_many",
    [CALL_GET] = "get",
    [CALL_METADATA] = "metadata",
    [CALL_SERVICE_STATS] = "service_stats",
    [CALL_NAME_STATS] = "name_stats",
    [CALL_VIEW] = "view",
    [CALL_VIEW_TARGET] = "view_target",
    [CALL_VIEW_INFO] = "view_info",
    [CALL_SELECT] = "select",
    [CALL_ITERATE_NAME] = "iterate_name",
    [CALL_ITERATE_ALL] = "iterate_all",
    [CALL_COUNT] = "name_count",
    [CALL_DISCOVER] = "discover",
    [CALL_DISCOVER_ALL] = "discover, all",
    [CALL_JOIN] = "join",
    [CALL_LEAVE] = "leave",
    [CALL_REAP] = "reap",
    [CALL_HOUSEKEEPING] = "keeper's sweep",
    [CALL_REGISTER] = "register",
    [CALL_UNREGISTER] = "unregister",
    [CALL_HEARTBEAT] = "heartbeat",
    [CALL_SET_HEALTH] = "set_health",
    [CALL_SET_ADMIN] = "set_admin",
    [CALL_SET_WEIGHT] = "set_weight",
    [CALL_SET_METADATA] = "set_metadata",
    [CALL_REPORT] = "report",
    [CALL_BEGIN] = "begin",
    [CALL_END] = "end",
    [CALL_LATENCY] = "latency",
    [CALL_BREAKER] = "breaker",
    [CALL_SERVICE_BREAKER] = "service_breaker",
    [CALL_SET_BREAKER] = "set_breaker",
    [CALL_RESET_BREAKER] = "reset_breaker",
    [CALL_HEALTH] = "health",
    [CALL_CHECKER] = "checker",
    [CALL_REMOVE] = "remove",
};

static struct {
    uint64_t calls, successes, all_ns, longest_ns;
} tally[CALLS];

fuzz_figures_t fuzz_figures;
const char *volatile fuzz_at = "nothing";

void fuzz_broken(const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "fuzz: VIOLATION in %s: ", fuzz_at);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    abort();
}

/* ------------------------------------------------------------------- calls */

static uint64_t processor_ns(void)
{
    return cmy_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* Of a clock that the library does not look at; see guard.c. */
static uint64_t wall_ns(void)
{
    return cmy_clock_ns(CLOCK_MONOTONIC_RAW);
}

/* The thread's clock takes a system call, and hundreds of thousands of calls a second are timed; so the wall's is asked
 * first, and only where that says a millisecond or more, the thread's: as much as it used since it was asked last. */
static uint64_t began_ns, used_ns;

/* The last failure before every call: one that no call makes, so that a code tells whether it stands. */
static const cmy_error_t planted = {.code = INT32_MAX, .message = "before the call"};

void fuzz_mark(void)
{
    used_ns = processor_ns();
}

void fuzz_begin(call_t call)
{
    fuzz_at = names[call];
    if (commy_last_error() != planted.code)
        cmy_error_restore(&planted);
    began_ns = wall_ns();
}

static uint64_t took(void)
{
    uint64_t wall = wall_ns() - began_ns;
    if (wall < 1000000)
        return wall;
    uint64_t before = used_ns;
    fuzz_mark();
    return used_ns - before < wall ? used_ns - before : wall;
}

commy_status_t fuzz_end(call_t call, commy_status_t status)
{
    uint64_t ns = took();
    tally[call].calls++;
    tally[call].successes += status == COMMY_STATUS_SUCCESS;
    tally[call].all_ns += ns;
    fuzz_figures.calls++;
    if (ns > tally[call].longest_ns)
        tally[call].longest_ns = ns;
    if (ns > FUZZ_CALL_MS * 1000000ull)
        fuzz_broken("it took %llu ms of the processor; status %d: %s", (unsigned long long)ns / 1000000, (int)status,
                    commy_last_error_message());
    if ((int)status < 0 || status > COMMY_STATUS_MESH_NOT_FOUND)
        fuzz_broken("it returned %d: %s", (int)status, commy_last_error_message());
    if (status == COMMY_STATUS_SUCCESS && commy_last_error() != planted.code)
        fuzz_broken("it succeeded, and changed the last failure to %d: %s", (int)commy_last_error(),
                    commy_last_error_message());
    if (status != COMMY_STATUS_SUCCESS &&
        (commy_last_error() != (int32_t)status || commy_last_error_message()[0] == '\0'))
        fuzz_broken("it returned %d without a sentence; the last one is %d: %s", (int)status, (int)commy_last_error(),
                    commy_last_error_message());
    return status;
}

void fuzz_print_calls(FILE *out)
{
    for (int call = 0; call < CALLS; call++)
        if (tally[call].calls > 0)
            fprintf(out, "  %-18s %10llu calls %10llu with success, %9.3f us on average, longest %8.3f ms\n",
                    names[call], (unsigned long long)tally[call].calls, (unsigned long long)tally[call].successes,
                    (double)tally[call].all_ns / (double)tally[call].calls / 1e3, (double)tally[call].longest_ns / 1e6);
}

unsigned fuzz_calls_without_success(void)
{
    unsigned without = 0;
    for (int call = 0; call < CALLS; call++) {
        if (tally[call].successes > 0)
            continue;
        printf("  %s never succeeded, in %llu calls\n", names[call], (unsigned long long)tally[call].calls);
        without++;
    }
    return without;
}

void *fuzz_exactly(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory) {
        fprintf(stderr, "fuzz: no memory\n");
        exit(3);
    }
    return memory;
}

/* -------------------------------------------------------------- the property */

/* What attaching may answer to whatever is in the file. */
static bool may_be_refused_with(commy_status_t status)
{
    switch (status) {
    case COMMY_STATUS_NOT_A_REGION:
    case COMMY_STATUS_LAYOUT:
    case COMMY_STATUS_CORRUPT:
    case COMMY_STATUS_OTHER_BOOT:
    case COMMY_STATUS_REMOVED:
        return true;
    default:
        return false;
    }
}

static commy_mesh_t *attach(const fuzz_plan_t *plan, call_t call)
{
    commy_mesh_t *mesh;
    const commy_open_options_t options = {
        .size = sizeof options,
        .flags = call == CALL_ATTACH ? COMMY_OPEN_MUST_EXIST : COMMY_OPEN_READ_ONLY,
        .dir = fuzz_dir,
        .mesh = plan->seed->mesh,
        .node_id = "fuzz",
    };
    fuzz_guard(FUZZ_SHUT);
    commy_status_t status = CALL(call, commy_mesh_attach(&options, &mesh));
    fuzz_guard(FUZZ_OPEN);
    if ((status == COMMY_STATUS_SUCCESS) != (mesh != NULL))
        fuzz_broken("status %d, and %s mesh", (int)status, mesh ? "a" : "no");
    if (status != COMMY_STATUS_SUCCESS && !may_be_refused_with(status))
        fuzz_broken("the file is refused with %d: %s", (int)status, commy_last_error_message());
    if (mesh && plan->file_bytes != plan->seed->layout.region_bytes)
        fuzz_broken("a file of another size is mapped");
    if (status != COMMY_STATUS_SUCCESS && !plan->header_is_hostile &&
        plan->file_bytes == plan->seed->layout.region_bytes)
        fuzz_broken("a sound header is refused: %s", commy_last_error_message());
    return mesh;
}

static void detach(commy_mesh_t **mesh)
{
    fuzz_begin(CALL_DETACH);
    commy_mesh_detach(mesh);
    fuzz_end(CALL_DETACH, COMMY_STATUS_SUCCESS);
}

static void remove_it(const fuzz_plan_t *plan)
{
    const commy_open_options_t options = {.size = sizeof options, .dir = fuzz_dir, .mesh = plan->seed->mesh};
    fuzz_guard(FUZZ_SHUT);
    if (CALL(CALL_REMOVE, commy_mesh_remove(&options, plan->chance & 1)) == COMMY_STATUS_SUCCESS)
        fuzz_file_make(plan->seed);
    fuzz_guard(FUZZ_OPEN);
}

void fuzz_property(const fuzz_plan_t *plan)
{
    bool whole = plan->file_bytes == plan->seed->layout.region_bytes;
    fuzz_figures.images++;
    if (!whole && ftruncate(plan->seed->file, (off_t)plan->file_bytes) != 0)
        fuzz_broken("the file cannot be cut");
    fuzz_mark();
    fuzz_keeper_is_real(plan->real_keeper);
    fuzz_time_is_own(!plan->real_keeper, plan->chance);
    commy_mesh_t *mesh = attach(plan, plan->parts & FUZZ_READ ? CALL_ATTACH_READ_ONLY : CALL_ATTACH);
    fuzz_figures.attached += mesh != NULL;
    if (mesh)
        fuzz_queries(mesh, plan);
    if (mesh && plan->parts & FUZZ_CHANGE) {
        if (plan->parts & FUZZ_READ) {
            detach(&mesh);
            mesh = attach(plan, CALL_ATTACH);
        }
        if (mesh)
            fuzz_changes(mesh, plan);
    }
    if (mesh)
        detach(&mesh);
    fuzz_keeper_is_real(true);
    if (plan->removes)
        remove_it(plan);
    fuzz_time_is_own(false, 0);
    if (!whole)
        fuzz_file_fill(plan->seed);
    fuzz_at = "nothing";
}

void fuzz_one(const uint8_t *input, size_t bytes)
{
    fuzz_plan_t plan;
    fuzz_decode(input, bytes, &plan);
    fuzz_property(&plan);
}
