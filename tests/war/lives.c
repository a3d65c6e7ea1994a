/*
 * The lives that fighters lead. Each ends by SIGKILL at a moment of the commander's choice, now and then by the fighter's
 * own will; none goes on for more than a minute, should the commander be gone.
 */
#include "war.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#define LONGEST_LIFE_S 60u

commy_mesh_t *war_attach(uint32_t flags, uint32_t place)
{
    char node[64];
    commy_mesh_t *mesh;
    war_node(place, atomic_load(&war->place[place].doom) / 2, node);
    const commy_open_options_t options = {.size = sizeof options,
                                          .flags = flags,
                                          .mesh = "m",
                                          .dir = war->dir,
                                          .node_id = node,
                                          .capacity = war->capacity};
    commy_status_t status = commy_mesh_attach(&options, &mesh);
    bool missing = status == COMMY_STATUS_MESH_NOT_FOUND && (flags & (COMMY_OPEN_READ_ONLY | COMMY_OPEN_MUST_EXIST));
    war_hold(WAR_CALLS, missing || status == COMMY_STATUS_SUCCESS, "attach: code %d, %s", (int)status,
             commy_last_error_message());
    return mesh;
}

/* The truce is odd while it lasts. No call is under way when a thread has parked. */
static void rest(const war_fighter_t *f)
{
    uint32_t truce = atomic_load(&war->truce);
    if (truce % 2 == 0)
        return;
    atomic_store(&war->place[f->place].cell[f->thread].parked, truce);
    while (atomic_load(&war->truce) == truce)
        sleep_us(500);
}

/* From before the process may be seen leaving, nobody expects anything of it any more. */
static void doom_oneself(uint32_t place)
{
    atomic_fetch_or(&war->place[place].doom, 1);
}

static void leave_for_good(war_fighter_t *f)
{
    doom_oneself(f->place);
    switch (below(&f->random, 3)) {
    case 0:
        commy_mesh_detach(&f->mesh);
        break;
    case 1:
        commy_mesh_leave(f->mesh);
        break;
    default:
        break;
    }
    _exit(0);
}

/* -------------------------------------------------------------------- forking */

/* Every call on a handle that was inherited is refused, and the handle can be given back. */
static void refuse_all(commy_mesh_t *mesh)
{
    uint64_t version, token;
    size_t count;
    commy_target_t target;
    commy_iterator_t walk;
    const commy_service_config_t config = {
        .size = sizeof config, .service_name = "forked", .service_id = "forked", .endpoint = "forked", .port = 1};
    const commy_status_t codes[] = {
        commy_service_register(mesh, &config, NULL),
        commy_service_find(mesh, "w0-0", &target),
        commy_service_unregister(mesh, "w0-0"),
        commy_service_heartbeat(mesh, "w0-0"),
        commy_service_set_weight(mesh, "w0-0", 1),
        commy_service_report(mesh, 4711, 1, true),
        commy_service_begin(mesh, 4711, &token),
        commy_service_end(mesh, 4711, 1, true),
        commy_service_select(mesh, "api", NULL, &target),
        commy_mesh_wait(mesh, NULL, 0, 0, &version),
        commy_name_count(mesh, "api", &count),
        commy_iterate_all(mesh, &walk),
        commy_mesh_reap(mesh, NULL),
        commy_mesh_check(mesh, NULL, NULL, NULL),
        commy_mesh_join(mesh, "forked", 0),
        commy_mesh_leave(mesh),
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        war_hold(WAR_FORKED, codes[i] == COMMY_STATUS_FORKED, "call %zu: code %d", i, (int)codes[i]);
    commy_mesh_detach(&mesh);
}

/*
 * Forks, with all its threads and registrations. The child takes the place behind this one's, if that is free, and fights
 * on by itself. Nobody waits for it here: it is a zombie until the commander, to whom its parent's death gives it, does.
 */
static void beget(war_fighter_t *f)
{
    uint32_t number = f->place + SEATS, expected = 0;
    war_place_t *place = &war->place[number];
    if (f->place >= SEATS || !atomic_compare_exchange_strong(&place->taken, &expected, 1))
        return;
    atomic_store(&place->kind, WAR_CHILD);
    atomic_store(&place->doom, (atomic_load(&place->doom) | 1) + 1);
    pid_t child = fork();
    if (child < 0)
        atomic_store(&place->taken, 0);
    if (child != 0)
        return;
    atomic_store(&place->pid, getpid());
    refuse_all(f->mesh);
    war_fight(number, WAR_CHILD, chance(&f->random));
}

/* ---------------------------------------------------------------------- jolts */

/*
 * A thread is interrupted every now and then, wherever it is, and sleeps for a moment, so that others work where it stands.
 * The scheduler does the same hundreds of times a second, and the commander by SIGSTOP; this is thousands.
 */
static _Thread_local timer_t jolts;
static _Thread_local uint64_t jolts_random;

static void expect_jolt(void)
{
    const struct itimerspec in = {.it_value.tv_nsec = (20 + below(&jolts_random, 300)) * 1000};
    timer_settime(jolts, 0, &in, NULL);
}

static void on_jolt(int number)
{
    int error = errno;
    (void)number;
    if (below(&jolts_random, 2))
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = below(&jolts_random, 400) * 1000}, NULL);
    expect_jolt();
    errno = error;
}

/* Most threads; the others are as fast as they can be. */
static void be_jolted(war_fighter_t *f)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
    const struct sigaction action = {.sa_handler = on_jolt, .sa_flags = SA_RESTART};
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    jolts_random = chance(&f->random) | 1;
    if (below(&f->random, 4) == 0 || sigaction(SIGRTMIN, &action, NULL) != 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &jolts) != 0)
        return;
    expect_jolt();
}

/* -------------------------------------------------------------------- fighting */

static void *fight_on(void *argument)
{
    war_fighter_t *f = argument;
    be_jolted(f);
    uint32_t kind = atomic_load(&war->place[f->place].kind);
    war_settle(f);
    war_consult_begin(f);
    for (;;) {
        rest(f);
        war_act(f);
        uint32_t dice = below(&f->random, 4096);
        if (dice == 4095 && kill(war->commander, 0) != 0)
            _exit(0); /* of no use to anybody: a forked child has no parent-death signal */
        if (dice < 2 && f->threads == 1)
            war_desert(f);
        else if (dice < 4 && f->threads == 1 && kind == WAR_BRIEF)
            leave_for_good(f);
        else if (dice < 64 && f->thread == 0 && (kind == WAR_FORKER || kind == WAR_CHURNER))
            beget(f);
    }
    return NULL;
}

void war_fight(uint32_t number, war_kind_t kind, uint64_t random)
{
    static war_fighter_t fighter[THREADS];
    char node[64];
    war_place_t *place = &war->place[number];
    alarm(LONGEST_LIFE_S);
    random |= 1;
    uint32_t threads = kind == WAR_CHURNER ? 2 + 2 * below(&random, 2) : 1;
    commy_mesh_t *mesh = war_attach(0, number);
    war_node(number, atomic_load(&place->doom) / 2, node);
    if (mesh && war_called(commy_mesh_join(mesh, node, 0), "join", number * ENTRIES))
        atomic_store(&place->joined, 1);
    else
        _exit(0);
    war_ward_begin(mesh);
    war_brawl_begin(mesh);
    for (uint32_t t = 0; t < threads; t++)
        fighter[t] = (war_fighter_t){.mesh = mesh,
                                     .place = number,
                                     .epoch = atomic_load(&place->doom) / 2,
                                     .thread = t,
                                     .threads = threads,
                                     .random = chance(&random) | 1};
    atomic_store(&place->threads, threads);
    for (uint32_t t = 1; t < threads; t++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, fight_on, &fighter[t]) != 0)
            _exit(0);
    }
    fight_on(&fighter[0]);
    _exit(0);
}

/* --------------------------------------------------------------------- probing */

static void operate(void)
{
    size_t count;
    uint64_t reference, version, token;
    commy_target_t target;
    commy_service_info_t info;
    char id[32];
    commy_mesh_t *mesh = war_attach(COMMY_OPEN_MUST_EXIST, 0);
    for (uint32_t i = 0; mesh && i < 24; i++) {
        snprintf(id, sizeof id, "probe-%d-%u", (int)getpid(), i);
        const commy_service_config_t config = {.size = sizeof config,
                                               .service_name = war_name(i % NAMES),
                                               .service_id = id,
                                               .endpoint = "probe",
                                               .metadata = "probe",
                                               .port = 1};
        if (!war_called(commy_service_register(mesh, &config, &reference), "probe registers", 0))
            continue;
        war_called(commy_service_find(mesh, id, &target), "probe finds", 0);
        war_called(commy_service_get(mesh, id, &info), "probe gets", 0);
        war_called(commy_name_count(mesh, war_name(i % NAMES), &count), "probe counts", 0);
        war_called(commy_service_set_metadata(mesh, id, "of the probe"), "probe sets metadata", 0);
        war_called(commy_service_set_weight(mesh, id, 7), "probe sets a weight", 0);
        war_called(commy_service_heartbeat(mesh, id), "probe renews", 0);
        war_called(commy_service_select(mesh, war_name(i % NAMES), NULL, &target), "probe selects", 0);
        if (war_called(commy_service_begin(mesh, reference, &token), "probe begins", 0)) {
            atomic_fetch_add(&war->place[0].cell[0].begun[1], 1); /* as if it were of the first place */
            war_called(commy_service_end(mesh, token, 1, true), "probe ends", 0);
            atomic_fetch_add(&war->place[0].cell[0].done[1], 1);
        }
        war_called(commy_mesh_wait(mesh, war_name(i % NAMES), 0, 0, &version), "probe waits", 0);
        war_called(commy_service_unregister(mesh, id), "probe unregisters", 0);
    }
    if (mesh)
        war_called(commy_mesh_reap(mesh, NULL), "probe reaps", 0);
    commy_mesh_detach(&mesh);
}

bool war_errand(void (*body)(void), uint32_t seconds)
{
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body();
        _exit(0);
    }
    if (child < 0)
        return true;
    uint64_t until = now_ns() + seconds * 1000000000ull;
    int status;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (now_ns() > until) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return false;
        }
        sleep_us(200);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool war_probe(uint32_t seconds)
{
    return war_errand(operate, seconds);
}
