/*
 * The nth system call fails: for every call of the C API that makes any, every call site and every error that it may
 * plausibly come to, once and for ever.
 *
 * Usage: syscalls [full | list | SCENARIO...]    without: every site with every error once, and one in three for ever too
 *
 * Each run starts from a region of its own state, made anew. After it
 *
 *   - the victim has ended by itself: no crash, no hang;
 *   - the call succeeded, or came to a code that says what happened, with a sentence;
 *   - no descriptor and no mapping is left of a call that failed, and nothing half-made in the directory;
 *   - without the fault the same call works, and so does a round through the API;
 *   - the audit, with nobody at work, finds nothing, and neither a service nor a participant is left.
 */
#include "scenarios.h"

#include "registry/check.h"

static property_t alive = {"no system call that fails ends or hangs the process", 0, 0};
static property_t code_fits = {"a call whose system call failed says so with the code for it, or succeeds", 0, 0};
static property_t sentence = {"a failure leaves its code and a sentence", 0, 0};
static property_t no_file = {"no descriptor is left by a call that met a fault", 0, 0};
static property_t no_map = {"a failed attach leaves no mapping", 0, 0};
static property_t no_half = {"a failed creation leaves nothing in the directory", 0, 0};
static property_t again = {"the same call works when the fault is gone", 0, 0};
static property_t proof = {"the whole API works when the fault is gone", 0, 0};
static property_t clean = {"the audit finds nothing afterwards, and nothing is left behind", 0, 0};
static property_t reached = {"every listed site was reached by a run", 0, 0};

#if defined(__has_feature)
#define HAS_FEATURE(feature) __has_feature(feature)
#else
#define HAS_FEATURE(feature) 0
#endif
/* Sanitizers have allocators of their own; allocations do not fail there. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !HAS_FEATURE(address_sanitizer) &&              \
    !HAS_FEATURE(thread_sanitizer) && !HAS_FEATURE(memory_sanitizer)
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

static bool may_allocate(void)
{
    if (!armed)
        return true;
    int kept = errno;
    syscall(ALLOCATE_CALL);
    bool may = errno != ENOMEM;
    errno = may ? kept : ENOMEM;
    return may;
}

void *malloc(size_t bytes)
{
    return may_allocate() ? __libc_malloc(bytes) : NULL;
}

void *calloc(size_t count, size_t bytes)
{
    return may_allocate() ? __libc_calloc(count, bytes) : NULL;
}

void *realloc(void *old, size_t bytes)
{
    return may_allocate() ? __libc_realloc(old, bytes) : NULL;
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return may_allocate() ? __libc_memalign(alignment, bytes) : NULL;
}
#endif

/* ----------------------------------------------------------------------- victim */

static const scenario_t *current;

static void victim(void)
{
    const scenario_t *scenario = current;
    if (scenario->prepare)
        scenario->prepare();
    mark(MARK_BEGIN);
    armed = true;
    board->status = scenario->act();
    armed = false;
    board->recorded = commy_last_error();
    snprintf(board->sentence, sizeof board->sentence, "%s", commy_last_error_message());
    mark(MARK_END);
    board->again = board->status == COMMY_STATUS_SUCCESS ? COMMY_STATUS_SUCCESS : scenario->act();
    board->proof = prove();
    snprintf(board->proof_sentence, sizeof board->proof_sentence, "%s", commy_last_error_message());
}

/* ----------------------------------------------------------------------- judging */

#define CODE(status) ((uint64_t)1 << ((status) < 63 ? (status) : 63)) /* all beyond are one */

/* The codes that an error may become. Success is always one: a fault may be made good, or not matter. */
static uint64_t codes_for(const kind_t *kind, int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return CODE(COMMY_STATUS_NO_SPACE);
    case EMFILE:
    case ENFILE:
    case EFBIG:
        return CODE(COMMY_STATUS_LIMIT);
    case EINTR: /* random numbers are asked for again, and are lacking in the end */
        return CODE(kind->number == SYS_getrandom ? COMMY_STATUS_KERNEL : COMMY_STATUS_INTERRUPTED);
    case ENOSYS:
    case EOPNOTSUPP:
        return CODE(COMMY_STATUS_KERNEL);
    case EINVAL: /* of a group: one that this user's namespace does not know */
        return CODE(kind->number == SYS_fchown ? COMMY_STATUS_INVALID : COMMY_STATUS_KERNEL);
    case EAGAIN:
        return CODE(COMMY_STATUS_LIMIT) | CODE(COMMY_STATUS_BUSY) | CODE(COMMY_STATUS_NO_SPACE) |
               CODE(COMMY_STATUS_NO_MEMORY);
    case ENOMEM:
    case EFAULT:
        /* Threads: what pthread_create(3) was refused does not say what there was too little of. Reserving: memory is
         * space. */
        return CODE(COMMY_STATUS_NO_MEMORY) | CODE(COMMY_STATUS_NO_SPACE) | CODE(COMMY_STATUS_LIMIT);
    case ENOENT: /* a mesh, or a directory, or /proc, that was there a moment ago */
        return CODE(COMMY_STATUS_MESH_NOT_FOUND) | CODE(COMMY_STATUS_KERNEL) | CODE(COMMY_STATUS_REMOVED);
    case ELOOP: /* somebody put a link there a moment ago */
        return CODE(COMMY_STATUS_NOT_A_REGION) | CODE(COMMY_STATUS_REMOVED);
    case EACCES:
    case EPERM:
        return CODE(COMMY_STATUS_PERMISSION) |
               (strcmp(kind->name, "openat") == 0 ? 0 : CODE(COMMY_STATUS_KERNEL) | CODE(COMMY_STATUS_LIMIT));
    default:
        return CODE(COMMY_STATUS_INTERNAL) | CODE(COMMY_STATUS_KERNEL); /* EIO: there is no code for it */
    }
}

static const char *wait_status(int status, char text[48])
{
    if (WIFSIGNALED(status))
        snprintf(text, 48, "ended by signal %d", WTERMSIG(status));
    else
        snprintf(text, 48, "exited with %d", WEXITSTATUS(status));
    return text;
}

typedef struct figures {
    uint64_t runs, missed, codes[32];
    uint64_t ended_by_liburcu[2]; /* for want of memory; for want of membarrier(2) */
} figures_t;
static figures_t figures;

/* In a process of its own: what a first use makes in the library has to be made, and may fail, in each victim. */
static void audit_here(const char *what)
{
    const commy_open_options_t options = region_options(COMMY_OPEN_MUST_EXIST);
    commy_mesh_t *auditor;
    commy_mesh_stats_t stats = {0};
    size_t nodes = 99;
    uint64_t findings = 99;
    if (!hold(&clean, commy_mesh_attach(&options, &auditor) == COMMY_STATUS_SUCCESS, "%s: %s", what,
              commy_last_error_message()))
        return;
    if (!hold(&clean, commy_mesh_reap(auditor, NULL) == COMMY_STATUS_SUCCESS, "%s: %s", what,
              commy_last_error_message()))
        return;
    commy_mesh_leave(auditor);
    commy_mesh_stats(auditor, &stats);
    commy_mesh_participants(auditor, NULL, 0, &nodes);
    hold(&clean, stats.total_services == 0 && nodes == 0, "%s: %u services and %zu participants are left", what,
         stats.total_services, nodes);
    cmy_check_region(auditor->region, true, print_finding, NULL, &findings);
    hold(&clean, findings == 0, "%s: %" PRIu64 " findings", what, findings);
    commy_mesh_detach(&auditor);
}

static void audit(const char *what)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        audit_here(what);
        board->clean = clean;
        fflush(stdout);
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    if (status == 0)
        clean = board->clean;
    hold(&clean, status == 0, "%s: the audit itself ended with %#x", what, (unsigned)status);
}

static void fresh_directory(bool region)
{
    unlink(test_path("m"));
    unlink(test_path("own/m"));
    rmdir(test_path("own"));
    if (!region)
        return;
    const commy_open_options_t options = region_options(0);
    must((int32_t)commy_mesh_create(&options), "create");
}

/*
 * liburcu ends the process where membarrier(2), which worked when it was loaded, fails later: a sandbox that is put on
 * then has to allow the call. And where it finds no memory to enter a thread into its registry.
 */
static bool ended_by_liburcu(const run_t *run, const kind_t *kind)
{
    bool known = kind->number == SYS_membarrier || kind->number == SYS_mremap || kind->number == SYS_mmap;
    bool ended = known && !run->stuck && WIFSIGNALED(run->status) && WTERMSIG(run->status) == SIGABRT;
    figures.ended_by_liburcu[kind->number == SYS_membarrier] += ended;
    return ended;
}

static void judge_run(const scenario_t *scenario, const run_t *run, const fault_t *fault, const kind_t *kind)
{
    char what[160], how[48];
    snprintf(what, sizeof what, "%s: %s %u of thread %d: %s %s", scenario->name, kind->name, fault->nth + 1,
             fault->role, strerrorname_np(fault->error), fault->for_ever ? "for ever" : "once");
    if (ended_by_liburcu(run, kind))
        return;
    bool ended = hold(&alive, !run->stuck && WIFEXITED(run->status) && WEXITSTATUS(run->status) == 0, "%s: %s", what,
                      run->stuck ? "hangs" : wait_status(run->status, how));
    if (!ended)
        return;
    uint64_t fits = codes_for(kind, fault->error) | CODE(COMMY_STATUS_SUCCESS);
    hold(&code_fits, board->status >= 0 && (fits & CODE(board->status)) != 0, "%s: code %d: %s", what, board->status,
         board->sentence);
    figures.codes[board->status & 31]++;
    if (board->status != COMMY_STATUS_SUCCESS) {
        hold(&sentence, board->recorded == board->status && strlen(board->sentence) > 16, "%s: code %d, then %d: %s",
             what, board->status, board->recorded, board->sentence);
        hold(&again, board->again == COMMY_STATUS_SUCCESS || board->again == (int32_t)scenario->also_fine,
             "%s: code %d", what, board->again);
        hold(&no_map, run->maps_after <= run->maps_before, "%s: %d mappings, %d before", what, run->maps_after,
             run->maps_before);
        /* A region that was made, and then not attached to, is whole: the proof attaches to it. */
        if (!scenario->region)
            hold(&no_half, run->entries_after <= (scenario->act == act_attach), "%s: %d entries, code %d", what,
                 run->entries_after, board->status);
    }
    if (kind->number != SYS_close)
        hold(&no_file, run->files_after <= run->files_before, "%s: %d open, %d before", what, run->files_after,
             run->files_before);
    hold(&proof, board->proof == COMMY_STATUS_SUCCESS, "%s: %s", what, board->proof_sentence);
    audit(what);
}

/* ------------------------------------------------------------------------ running */

#define PATIENCE_MS 5000
static bool full, list;

static void run_one(const scenario_t *scenario, const fault_t *fault, const kind_t *kind, run_t *run)
{
    fresh_directory(scenario->region);
    memset(board, 0, sizeof *board);
    current = scenario;
    run_traced(victim, fault, scenario->lack, PATIENCE_MS, run);
    figures.runs++;
    if (!kind)
        return;
    if (!run->hit) {
        figures.missed++; /* a thread that did not come so far this time */
        return;
    }
    judge_run(scenario, run, fault, kind);
}

static void run_site(const scenario_t *scenario, int role, uint32_t at, const call_t *call)
{
    const kind_t *kind = kind_of_call(call->number);
    bool any = false;
    run_t run;
    for (int i = 0; i < MOST_ERRORS && kind->errors[i] != 0; i++) {
        fault_t fault = {role, call->number, call->nth, kind->errors[i], false};
        if (!plausible(call, fault.error))
            continue;
        run_one(scenario, &fault, kind, &run);
        any |= run.hit;
        if (!full && (at + (uint32_t)i) % 3 != 0)
            continue;
        fault.for_ever = true;
        run_one(scenario, &fault, kind, &run);
        any |= run.hit;
    }
    /* How often threads meet on a lock is chance. */
    if (role == 0 && call->number != SYS_futex && plausible(call, kind->errors[0]))
        hold(&reached, any, "%s: %s %u of thread %d", scenario->name, kind->name, call->nth + 1, role);
}

static uint32_t run_scenario(const scenario_t *scenario)
{
    static run_t dry;
    const fault_t none = {.role = -1};
    uint32_t sites = 0;
    uint64_t before = figures.runs, began = now_ns();
    run_one(scenario, &none, NULL, &dry);
    hold(&alive, WIFEXITED(dry.status) && WEXITSTATUS(dry.status) == 0 && !dry.stuck, "%s without a fault",
         scenario->name);
    hold(&proof, board->status == 0 && board->proof == 0, "%s without a fault: %s %s", scenario->name, board->sentence,
         board->proof_sentence);
    for (int role = 0; role < MOST_ROLES; role++) {
        for (uint32_t at = 0; at < dry.sites[role]; at++) {
            const call_t *call = &dry.site[role][at];
            if (list)
                printf("  %d.%-3u %s(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ")\n", role, at,
                       kind_of_call(call->number)->name, call->args[0], call->args[1], call->args[2]);
            else
                run_site(scenario, role, at, call);
        }
        sites += dry.sites[role];
    }
    printf("%-34s %3u call sites, %5" PRIu64 " runs, %4.1f s\n", scenario->name, sites, figures.runs - before,
           (double)(now_ns() - began) / 1e9);
    return sites;
}

static bool wanted(const scenario_t *scenario, int count, char **names)
{
    if (count == 0 || full || list)
        return true;
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], scenario->name) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
#if !defined(__x86_64__)
    (void)argc;
    (void)argv;
    printf("not run: results are rewritten through the registers of x86-64 here\n0 passed, 0 failed\n");
    return 77;
#endif
    uint32_t sites = 0;
    test_begin(3600);
    board = share(sizeof *board);
    full = argc > 1 && strcmp(argv[1], "full") == 0;
    list = argc > 1 && strcmp(argv[1], "list") == 0;
    for (size_t i = 0; i < SCENARIOS; i++)
        if (wanted(&scenarios[i], argc - 1, argv + 1))
            sites += run_scenario(&scenarios[i]);
    printf("%u call sites, %" PRIu64 " runs (%" PRIu64 " did not come to their site), results:", sites, figures.runs,
           figures.missed);
    for (int code = 0; code < 32; code++)
        if (figures.codes[code])
            printf(" %s %" PRIu64, commy_status_string(code), figures.codes[code]);
    printf("\n");
    printf("ended by liburcu and not counted as passed or failed: %" PRIu64 " runs without membarrier(2), %" PRIu64
           " without memory for its registry of threads\n",
           figures.ended_by_liburcu[1], figures.ended_by_liburcu[0]);
    const property_t all[] = {alive, code_fits, sentence, no_file, no_map, no_half, again, proof, clean, reached};
    if (argc == 1 || full)
        return verdict(all, sizeof all / sizeof *all);
    /* Some scenarios only: not all that is promised could be looked at. */
    property_t looked_at[sizeof all / sizeof *all];
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].looked > 0)
            looked_at[count++] = all[i];
    return verdict(looked_at, count);
}
