/*
 * Eight processes register, look up, discover, report, change and unregister at random, and every 50 ms one of them is
 * killed with -9 and started again. Whatever a process was told had succeeded is there, with the right contents, at every
 * audit; nothing of a dead process is ever found after waitpid(); no count goes back or loses what was acknowledged.
 *
 * Usage: soak [SECONDS [SEED]]             60 seconds: 10^6 operations and 1,000 deaths are asked for
 *        soak --plant [SECONDS [SEED]]     takes one acknowledged registration away behind everybody's back; must fail
 *        soak --catch [SECONDS [SEED]]     runs itself with --plant (4 seconds) and passes if exactly that is found
 *
 * Each process writes what it is about to do, and what it was told, into a log that the auditor shares: an entry for
 * each of its ids, whose turn is odd while a change is under way. The auditor reads the turn, asks the registry, and
 * reads the turn and the process's life again: if neither moved, the answer must be what the log says. Nobody is paused.
 */
#include "soak.h"

#define KILL_EVERY_NS 50000000ull
#define AUDIT_EVERY_NS 250000000ull
#define CHECK_EVERY_NS 1000000000ull

board_t *board;

static property_t kept = {"an acknowledged registration of a live process is found, with the right contents", 0, 0};
static property_t once = {"discovering its name gives it exactly once", 0, 0};
static property_t ended = {"what was unregistered is not found", 0, 0};
static property_t buried = {"nothing of a dead process is found after waitpid()", 0, 0};
static property_t counted = {"a service's counts are what was acknowledged", 0, 0};
static property_t bounded = {"mesh totals are at least what was acknowledged, and at most that and what is in doubt", 0,
                             0};
static property_t monotone = {"mesh totals never go back", 0, 0};
static property_t unique = {"an id that everybody wants is there at most once", 0, 0};
static property_t sound = {"the audit finds nothing", 0, 0};
static property_t obeyed = {"calls of the processes come to what their log makes them expect", 0, 0};
static property_t enough = {"there were enough operations and deaths", 0, 0};
static property_t empty = {"nothing is left at the end", 0, 0};

/* -------------------------------------------------------------- the auditor */

/* What an entry said at an instant; `known` is false while a change is under way or its process is dead. */
typedef struct claim {
    bool known, present;
    uint32_t turn, life;
    uint64_t drawn, text_drawn, reference, successes, failures;
} claim_t;

static claim_t read_claim(uint32_t w, uint32_t i)
{
    const worker_t *worker = &board->worker[w];
    const entry_t *entry = &worker->entry[i];
    claim_t claim = {.life = atomic_load(&worker->life), .turn = atomic_load(&entry->turn)};
    claim.present = atomic_load(&entry->present);
    claim.drawn = atomic_load(&entry->drawn);
    claim.text_drawn = atomic_load(&entry->text_drawn);
    claim.reference = atomic_load(&entry->reference);
    claim.successes = atomic_load(&entry->successes);
    claim.failures = atomic_load(&entry->failures);
    claim.known = claim.life % 2 == 0 && claim.turn % 2 == 0;
    return claim;
}

/* Whether nothing has happened to the entry since its claim was read. */
static bool still(const claim_t *claim, uint32_t w, uint32_t i)
{
    const worker_t *worker = &board->worker[w];
    return claim->known && atomic_load(&worker->entry[i].turn) == claim->turn &&
           atomic_load(&worker->life) == claim->life;
}

static bool is_right(const commy_mesh_t *mesh, const claim_t *claim, uint32_t w, const char *id,
                     const commy_target_t *target)
{
    commy_service_info_t info;
    char text[4200];
    size_t bytes;
    contents_t c = soak_contents(claim->drawn), t = soak_contents(claim->text_drawn);
    if (commy_service_get(mesh, id, &info) != COMMY_STATUS_SUCCESS ||
        commy_service_metadata(mesh, id, text, sizeof text, &bytes) != COMMY_STATUS_SUCCESS)
        return false;
    bool right = strcmp(info.id, id) == 0 && strcmp(info.name, soak_name(c.name)) == 0 &&
                 strcmp(info.endpoint, soak_endpoint(&c)) == 0 && strcmp(target->endpoint, soak_endpoint(&c)) == 0 &&
                 info.port == c.port && target->port == c.port && info.weight == (c.weight ? c.weight : 100) &&
                 info.tag_count == c.tag_count && bytes == t.metadata_bytes && info.metadata_bytes == bytes &&
                 target->reference == claim->reference && info.owner_pid == (uint32_t)board->worker[w].pid;
    for (uint32_t i = 0; right && i < c.tag_count; i++)
        right = strcmp(info.tags[i], soak_tag(i)) == 0;
    for (size_t i = 0; right && i < bytes; i++)
        right = text[i] == t.letter;
    return right;
}

static void audit_entry(const commy_mesh_t *mesh, uint32_t w, uint32_t i)
{
    char id[64];
    commy_target_t target = {0};
    commy_service_stats_t stats = {0};
    soak_id(id, w, i);
    claim_t claim = read_claim(w, i);
    if (!claim.known)
        return;
    commy_status_t status = commy_service_find(mesh, id, &target);
    bool right = status == COMMY_STATUS_SUCCESS && is_right(mesh, &claim, w, id, &target);
    commy_status_t has_stats = commy_service_stats(mesh, id, &stats);
    if (!still(&claim, w, i))
        return;
    if (!claim.present) {
        hold(&ended, status == COMMY_STATUS_NOT_FOUND, "%s is found: %d", id, (int)status);
        return;
    }
    hold(&kept, right, "%s: %s", id, status == COMMY_STATUS_SUCCESS ? "other contents" : commy_last_error_message());
    /* Others report to it as well; what its own process was told is the least. */
    hold(&counted,
         has_stats == COMMY_STATUS_SUCCESS && stats.failed_requests == claim.failures &&
             stats.successful_requests >= claim.successes,
         "%s has %" PRIu64 " and %" PRIu64 ", not %" PRIu64 " and %" PRIu64, id, stats.successful_requests,
         stats.failed_requests, claim.successes, claim.failures);
}

/* Discovers one name and compares it with the claims of those who were in it, or were not, throughout. */
static void audit_name(const commy_mesh_t *mesh, uint32_t name)
{
    static commy_service_info_t list[CAPACITY];
    static claim_t claims[WORKERS][ENTRIES];
    size_t count;
    char id[64];
    for (uint32_t w = 0; w < WORKERS; w++)
        for (uint32_t i = 0; i < ENTRIES; i++)
            claims[w][i] = read_claim(w, i);
    commy_name_discover(mesh, soak_name(name), list, CAPACITY, &count);
    for (uint32_t w = 0; w < WORKERS; w++) {
        for (uint32_t i = 0; i < ENTRIES; i++) {
            size_t times = 0;
            soak_id(id, w, i);
            for (size_t k = 0; k < count; k++)
                times += strcmp(list[k].id, id) == 0;
            bool wanted = claims[w][i].present && soak_contents(claims[w][i].drawn).name == name;
            if (still(&claims[w][i], w, i))
                hold(&once, times == wanted, "%s comes %zu times in %s, not %d", id, times, soak_name(name), wanted);
        }
    }
}

/* Two registrations of one id that are both valid at one instant: the second was, and the first before and after. */
static void audit_shared(const commy_mesh_t *mesh)
{
    commy_view_t seen[64], view;
    commy_iterator_t walk_all;
    size_t count = 0;
    commy_iterate_all(mesh, &walk_all);
    while (count < 64 && commy_iterate_next(mesh, &walk_all, &view))
        if (strncmp(view.id, "shared-", 7) == 0)
            seen[count++] = view;
    for (size_t a = 0; a < count; a++) {
        for (size_t b = 0; b < count; b++) {
            char id[2][16];
            snprintf(id[0], sizeof id[0], "%.*s", (int)seen[a].id_bytes, seen[a].id);
            snprintf(id[1], sizeof id[1], "%.*s", (int)seen[b].id_bytes, seen[b].id);
            bool both = commy_view_valid(mesh, &seen[a]) && commy_view_valid(mesh, &seen[b]) &&
                        commy_view_valid(mesh, &seen[a]);
            hold(&unique, !both || a == b || strcmp(id[0], id[1]) != 0, "%s is there twice", id[0]);
        }
    }
}

static void audit_totals(const commy_mesh_t *mesh)
{
    static commy_mesh_stats_t last;
    commy_mesh_stats_t now;
    uint64_t successes = 0, failures = 0, refused = 0, begun = 0;
    for (uint32_t w = 0; w < WORKERS; w++) {
        refused += atomic_load(&board->worker[w].refused);
        successes += atomic_load(&board->worker[w].successes);
        failures += atomic_load(&board->worker[w].failures);
    }
    uint64_t anchor_done[ANCHORS] = {0}, anchor_begun[ANCHORS] = {0};
    commy_service_stats_t anchor[ANCHORS];
    for (uint32_t i = 0; i < ANCHORS; i++) {
        char id[16];
        snprintf(id, sizeof id, "anchor-%u", i);
        for (uint32_t w = 0; w < WORKERS; w++)
            anchor_done[i] += atomic_load(&board->worker[w].anchor_done[i]);
        commy_status_t status = commy_service_stats(mesh, id, &anchor[i]);
        for (uint32_t w = 0; w < WORKERS; w++)
            anchor_begun[i] += atomic_load(&board->worker[w].anchor_begun[i]);
        hold(&counted,
             status == COMMY_STATUS_SUCCESS && anchor[i].total_requests >= anchor_done[i] &&
                 anchor[i].total_requests <= anchor_begun[i],
             "%s has %" PRIu64 " of %" PRIu64 " to %" PRIu64, id, anchor[i].total_requests, anchor_done[i],
             anchor_begun[i]);
    }
    commy_mesh_stats(mesh, &now);
    for (uint32_t w = 0; w < WORKERS; w++)
        begun += atomic_load(&board->worker[w].begun);
    hold(&bounded,
         now.successful_requests >= successes && now.failed_requests >= failures &&
             now.total_requests <= begun - refused &&
             now.total_requests == now.successful_requests + now.failed_requests,
         "%" PRIu64 " successes of %" PRIu64 ", %" PRIu64 " failures of %" PRIu64 ", at most %" PRIu64 " in all",
         now.successful_requests, successes, now.failed_requests, failures, begun - refused);
    hold(&monotone, now.successful_requests >= last.successful_requests && now.failed_requests >= last.failed_requests,
         "%" PRIu64 " after %" PRIu64, now.total_requests, last.total_requests);
    last = now;
}

static void audit(const commy_mesh_t *mesh)
{
    for (uint32_t w = 0; w < WORKERS; w++)
        for (uint32_t i = 0; i < ENTRIES; i++)
            audit_entry(mesh, w, i);
    for (uint32_t name = 0; name < NAMES; name++)
        audit_name(mesh, name);
    audit_shared(mesh);
    audit_totals(mesh);
}

/* -------------------------------------------------------------- the parent */

static uint64_t chances;

static void work(void *argument)
{
    life_t life = *(const life_t *)argument;
    life.mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "worker");
    (void)!nice(10); /* so that killing and auditing keep their pace on few processors */
    soak_work(&life);
    commy_mesh_detach(&life.mesh);
}

static void start_worker(uint32_t w)
{
    life_t life = {.me = &board->worker[w], .number = w, .random = chance(&chances) | 1};
    for (uint32_t i = 0; i < ENTRIES; i++) {
        entry_t *entry = &life.me->entry[i];
        atomic_store(&entry->present, 0);
        atomic_store(&entry->turn, (atomic_load(&entry->turn) + 2) & ~1u);
    }
    atomic_fetch_add(&life.me->life, 1); /* even from here on */
    life.me->pid = start_process(work, &life);
}

static void kill_worker(const commy_mesh_t *mesh, uint32_t w)
{
    worker_t *worker = &board->worker[w];
    char id[64];
    commy_target_t target;
    commy_iterator_t walk_all;
    commy_view_t view;
    commy_service_info_t info;
    atomic_fetch_add(&worker->life, 1);
    int status = end_process(worker->pid, true);
    hold(&obeyed, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "worker %u had ended with 0x%x", w,
         (unsigned)status);
    size_t found = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        soak_id(id, w, i);
        found += commy_service_find(mesh, id, &target) != COMMY_STATUS_NOT_FOUND;
    }
    commy_iterate_all(mesh, &walk_all);
    while (commy_iterate_next(mesh, &walk_all, &view))
        found += commy_view_info(mesh, &view, &info) == COMMY_STATUS_SUCCESS && info.owner_pid == (uint32_t)worker->pid;
    hold(&buried, found == 0, "%zu services of worker %u", found, w);
}

/* Takes one acknowledged registration of worker 0 away, which from here on nobody kills. */
static bool plant(commy_mesh_t *mesh)
{
    char id[64];
    atomic_store(&board->at_rest, true);
    for (uint32_t i = CALM; i < ENTRIES; i++) {
        claim_t claim = read_claim(0, i);
        soak_id(id, 0, i);
        if (claim.known && claim.present && commy_service_unregister(mesh, id) == COMMY_STATUS_SUCCESS &&
            still(&claim, 0, i)) {
            printf("planted: %s was unregistered behind its owner's back\n", id);
            return true;
        }
    }
    return false;
}

static void make_anchors(commy_mesh_t *mesh)
{
    for (uint32_t i = 0; i < ANCHORS; i++) {
        char id[16];
        uint64_t reference;
        snprintf(id, sizeof id, "anchor-%u", i);
        const commy_service_config_t config = {
            .size = sizeof config, .service_name = "anchor", .service_id = id, .endpoint = "::1", .port = 1};
        if (commy_service_register(mesh, &config, &reference) != COMMY_STATUS_SUCCESS) {
            printf("%s: %s\n", id, commy_last_error_message());
            exit(2);
        }
        atomic_store(&board->anchor[i], reference);
    }
}

static void finish(commy_mesh_t *mesh)
{
    uint64_t began = now_ns();
    commy_mesh_stats_t stats;
    size_t participants = 0;
    atomic_store(&board->over, true);
    for (uint32_t w = 0; w < WORKERS; w++) {
        int status = end_process(board->worker[w].pid, false);
        hold(&obeyed, WIFEXITED(status) && WEXITSTATUS(status) == 0, "worker %u ended with 0x%x", w, (unsigned)status);
        hold(&obeyed, atomic_load(&board->worker[w].violations) == 0, "worker %u: %" PRIu64 " calls", w,
             atomic_load(&board->worker[w].violations));
    }
    do {
        commy_mesh_reap(mesh, NULL);
        commy_mesh_stats(mesh, &stats);
        commy_mesh_participants(mesh, NULL, 0, &participants);
    } while ((stats.total_services > ANCHORS || participants > 1) && now_ns() - began < 3000000000u);
    hold(&empty, stats.total_services == ANCHORS && participants == 1, "%u services, %zu participants",
         stats.total_services, participants);
    hold(&sound, is_clean(mesh), "at the end");
    audit_totals(mesh);
}

static int soak(double seconds, bool with_plant)
{
    uint64_t operations = 0, deaths = 0, acknowledged = 0, doubtful = 0;
    bool planted = false;
    board = share(sizeof *board);
    commy_mesh_t *mesh = attach_or_exit(CAPACITY, 0, "auditor");
    make_anchors(mesh);
    for (uint32_t w = 0; w < WORKERS; w++) {
        board->worker[w].life = 1;
        start_worker(w);
    }
    uint64_t began = now_ns(), end = began + (uint64_t)(seconds * 1e9);
    uint64_t next_kill = began + KILL_EVERY_NS, next_audit = began, next_check = began;
    double wanted = 1000 * seconds / 60; /* a busy machine gets half as much time again for them */
    for (uint64_t now; (now = now_ns()) < end || ((double)deaths < wanted && now < end + (end - began) / 2);) {
        if (now >= next_kill) {
            uint32_t w = planted ? 1 + below(&chances, WORKERS - 1) : below(&chances, WORKERS);
            kill_worker(mesh, w);
            start_worker(w);
            deaths++;
            next_kill += KILL_EVERY_NS;
        } else if (now >= next_audit) {
            audit(mesh);
            next_audit = now + AUDIT_EVERY_NS;
        } else if (now >= next_check) {
            hold(&sound, is_clean(mesh), "after %.1f s", (double)(now - began) / 1e9);
            next_check = now + CHECK_EVERY_NS;
        } else {
            uint64_t next = next_kill < next_audit ? next_kill : next_audit;
            sleep_us(next > now ? (next - now) / 1000 + 1 : 1);
        }
        if (with_plant && !planted && now > began + (end - began) / 3)
            planted = plant(mesh);
    }
    audit(mesh);
    finish(mesh);
    for (uint32_t w = 0; w < WORKERS; w++) {
        const worker_t *worker = &board->worker[w];
        operations += atomic_load(&worker->operations);
        acknowledged += atomic_load(&worker->successes) + atomic_load(&worker->failures);
        doubtful += atomic_load(&worker->begun) - atomic_load(&worker->refused);
    }
    hold(&enough, (double)operations >= 1e6 * seconds / 60 && (double)deaths >= wanted,
         "%" PRIu64 " operations, %" PRIu64 " deaths", operations, deaths);
    printf("%.0f s: %" PRIu64 " operations, %" PRIu64 " deaths; %" PRIu64 " reports acknowledged, %" PRIu64
           " in doubt\n",
           seconds, operations, deaths, acknowledged, doubtful - acknowledged);
    commy_mesh_detach(&mesh);
    const property_t all[] = {kept,     once,   ended, buried, counted, bounded,
                              monotone, unique, sound, obeyed, enough,  empty};
    return verdict(all, sizeof all / sizeof all[0]);
}

/* Runs this program with a planted loss and tells whether it saw the loss, and failed for it. */
static int catch_plant(char *const *argv)
{
    property_t caught = {"a registration that was lost makes the soak fail", 0, 0};
    property_t shown = {"and it says which", 0, 0};
    char line[512], planted[64] = "";
    bool named = false;
    int pipes[2];
    if (pipe(pipes) != 0)
        return 2;
    pid_t child = fork();
    if (child == 0) {
        char *const arguments[] = {argv[0], (char *)"--plant", argv[2] ? argv[2] : (char *)"4",
                                   argv[2] ? argv[3] : NULL, NULL};
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(pipes[1], 1);
        close(pipes[0]);
        close(pipes[1]);
        execv("/proc/self/exe", arguments);
        _exit(127);
    }
    close(pipes[1]);
    FILE *output = fdopen(pipes[0], "r");
    while (output && fgets(line, sizeof line, output)) {
        printf("    %s", line);
        if (sscanf(line, "planted: %63s", planted) != 1 && planted[0] &&
            strstr(line, "violated: an acknowledged registration") && strstr(line, planted))
            named = true;
    }
    int status = 0;
    waitpid(child, &status, 0);
    hold(&caught, WIFEXITED(status) && WEXITSTATUS(status) == 1, "it ended with 0x%x", (unsigned)status);
    hold(&shown, planted[0] && named, "'%s' was planted", planted);
    const property_t all[] = {caught, shown};
    return verdict(all, 2);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--catch") == 0)
        return catch_plant(argv);
    bool with_plant = argc > 1 && strcmp(argv[1], "--plant") == 0;
    char **numbers = argv + 1 + with_plant;
    double seconds = numbers[0] ? atof(numbers[0]) : 60;
    chances = numbers[0] && numbers[1] ? strtoull(numbers[1], NULL, 0) | 1 : 0x2545f4914f6cdd1du;
    test_begin((unsigned)seconds + 60);
    return soak(seconds, with_plant);
}
