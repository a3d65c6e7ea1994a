/*
 * Patients: services whose health is checked, by whichever of their monitors is elected.
 *
 * They are detached, and sockets of the host's, a process that only answers and writes down who came; the second half of
 * them are sockets that nobody has. So what a check must say is known, and who checked. Meanwhile others set their health
 * to something else, which the next result must mend.
 *
 * While the war goes on who monitors, and checks, changes all the time, and a checker is killed with a check under way. At
 * rest nobody dies: whom the last deaths have left a patient to, must have taken it, and nobody else may come to it.
 */
#include "war.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "registry/mesh.h"
#include "service/checker.h"

#define NAME "patients"
#define ANSWERING (PATIENTS / 2)
#define INTERVAL_MS 50u
#define TIMEOUT_MS 60000u /* so that only the dead are succeeded: nobody who lives is silent for that long */
#define WINDOW_US 250000u

static void patient_id(uint32_t i, char id[16])
{
    snprintf(id, 16, "patient-%u", i);
}

static void socket_of(uint32_t i, struct sockaddr_un *to)
{
    *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(to->sun_path, sizeof to->sun_path, "%s/patient-%u", war->dir, i);
}

/* ------------------------------------------------------------------------ host */

static void receive(int listening, uint32_t i)
{
    struct ucred who = {0};
    socklen_t bytes = sizeof who;
    int visit = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    if (visit < 0)
        return;
    getsockopt(visit, SOL_SOCKET, SO_PEERCRED, &who, &bytes);
    close(visit);
    if (who.pid == war->commander) {
        atomic_fetch_add(&war->rounds[i], 1);
        return;
    }
    if (atomic_exchange(&war->visitor[i], who.pid) != who.pid)
        atomic_fetch_add(&war->others[i], 1);
    atomic_fetch_add(&war->visits[i], 1);
}

static struct sockaddr_un address[ANSWERING];

/* At the end of a battle, or when the commander has gone: where that was interrupted, the directory can go now. */
static void __attribute__((noreturn)) close_hospital(int number)
{
    for (uint32_t i = 0; i < ANSWERING; i++)
        unlink(address[i].sun_path);
    if (number != 0)
        rmdir(war->dir);
    _exit(0);
}

void war_host(void *argument)
{
    struct pollfd listening[ANSWERING];
    (void)argument;
    signal(SIGINT, close_hospital);
    signal(SIGTERM, close_hospital);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    for (uint32_t i = 0; i < ANSWERING; i++) {
        socket_of(i, &address[i]);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address[i], sizeof address[i]) != 0 || listen(fd, 1024) != 0)
            _exit(1);
        listening[i] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    while (!atomic_load(&war->closing)) {
        if (poll(listening, ANSWERING, 20) <= 0)
            continue;
        for (uint32_t i = 0; i < ANSWERING; i++)
            if (listening[i].revents & POLLIN)
                receive(listening[i].fd, i);
    }
    close_hospital(0);
}

/* -------------------------------------------------------------------- fighting */

static void admit(commy_mesh_t *mesh, uint32_t i)
{
    char id[16], endpoint[128];
    struct sockaddr_un door;
    patient_id(i, id);
    socket_of(i, &door);
    snprintf(endpoint, sizeof endpoint, "unix:%s", door.sun_path);
    const char *tags[] = {"check=tcp"};
    const commy_service_config_t patient = {.size = sizeof patient,
                                            .flags = COMMY_SERVICE_DETACHED,
                                            .service_name = NAME,
                                            .service_id = id,
                                            .endpoint = endpoint,
                                            .tags = tags,
                                            .tag_count = 1,
                                            .ttl_ms = 3600000};
    commy_status_t status = commy_service_register(mesh, &patient, NULL);
    if (status == COMMY_STATUS_EXISTS || war_called(status, "register a patient", i))
        atomic_store(&war->patient[i], 1);
}

static void monitor(war_fighter_t *f, uint32_t i)
{
    char id[16];
    patient_id(i, id);
    const commy_health_config_t config = {.check_interval_ms = INTERVAL_MS,
                                          .timeout_ms = TIMEOUT_MS,
                                          .max_failures = 1 + below(&f->random, 3),
                                          .recovery_checks = 1 + below(&f->random, 3)};
    if (war_called(commy_service_monitor(f->mesh, id, &config), "monitor", i))
        atomic_store(&war->place[f->place].monitors[i], 1);
}

/* Of those who live longer, since it takes milliseconds to begin with that; one in four does not. */
static bool may_monitor(const war_fighter_t *f)
{
    uint32_t kind = atomic_load(&war->place[f->place].kind);
    return war->roomy && f->thread == 0 && (kind == WAR_CHURNER || kind == WAR_FORKER);
}

void war_consult_begin(war_fighter_t *f)
{
    for (uint32_t i = 0; may_monitor(f) && i < PATIENTS; i++) {
        if (!atomic_load(&war->patient[i]))
            admit(f->mesh, i);
        if (f->epoch % 4 != 0)
            monitor(f, i);
    }
}

void war_consult(war_fighter_t *f)
{
    char id[16];
    uint32_t i = below(&f->random, PATIENTS), dice = below(&f->random, 8);
    if (!may_monitor(f))
        return;
    patient_id(i, id);
    if (dice < 2)
        war_called(commy_service_set_health(f->mesh, id, (int32_t)below(&f->random, 3)), "set a patient's health", i);
    else if (dice < 3 && atomic_exchange(&war->place[f->place].monitors[i], 0))
        war_called(commy_service_unmonitor(f->mesh, id), "end monitoring", i);
    else if (dice < 5 && f->epoch % 4 != 0)
        monitor(f, i);
}

/* ---------------------------------------------------------------------- at rest */

/* Its checker's word, where that is of its registration, 0 otherwise; and what was found last, 0: nothing. */
static uint64_t checker_of(const commy_mesh_t *mesh, uint32_t i, uint64_t *checked)
{
    char id[16];
    uint32_t record;
    uint64_t state;
    patient_id(i, id);
    *checked = 0;
    if (cmy_mesh_look_up(mesh, id, &record, &state) != COMMY_STATUS_SUCCESS)
        return 0;
    *checked = cmy_checked_read(mesh->region, record);
    *checked = cmy_checked_of(*checked, state) && cmy_checked_run(*checked) > 0 ? *checked : 0;
    uint64_t checker = cmy_load64_acquire(&cmy_cold_at(mesh->region, record)->checker);
    return cmy_checker_of(checker, state) ? checker : 0;
}

/* The process that checks it; 0: nobody, or who is dead. */
static uint32_t pid_of(const commy_mesh_t *mesh, uint64_t checker)
{
    commy_participant_t participant;
    uint32_t owner = cmy_state_owner(checker);
    return owner != CMY_NOBODY && cmy_life_alive(mesh->region, owner) &&
                   cmy_life_describe(mesh->region, cmy_owner_slot(owner), &participant)
               ? participant.pid
               : 0;
}

/* Whether a process has said that it monitors a patient (pid 0: whether any has). */
static bool is_monitored(uint32_t i, uint32_t pid)
{
    for (uint32_t p = 0; p < PLACES; p++) {
        const war_place_t *place = &war->place[p];
        if (atomic_load(&place->monitors[i]) && atomic_load(&place->doom) % 2 == 0 &&
            (pid == 0 || (uint32_t)atomic_load(&place->pid) == pid))
            return true;
    }
    return false;
}

static int32_t health_of(const commy_mesh_t *mesh, uint32_t i)
{
    char id[16];
    double ms;
    int32_t health = -1;
    patient_id(i, id);
    commy_service_health(mesh, id, &health, &ms);
    return health;
}

/* It has come to one checker, and to what that one finds, or does so in time. */
static void settle(const commy_mesh_t *mesh, uint32_t i)
{
    uint64_t began = now_ns(), checked;
    int32_t health, truth = i < ANSWERING ? COMMY_HEALTH_HEALTHY : COMMY_HEALTH_UNHEALTHY;
    uint32_t pid;
    bool settled;
    do {
        pid = pid_of(mesh, checker_of(mesh, i, &checked));
        health = health_of(mesh, i);
        settled = pid != 0 && is_monitored(i, pid) && health == truth && checked != 0 &&
                  cmy_checked_failed(checked) == (truth == COMMY_HEALTH_UNHEALTHY) &&
                  (i >= ANSWERING || (uint32_t)atomic_load(&war->visitor[i]) == pid);
        if (!settled)
            sleep_us(5000);
    } while (!settled && now_ns() - began < war_patience_ns());
    war_hold(WAR_CHECKER, pid != 0 && is_monitored(i, pid), "patient %u is monitored, and checked by %u", i, pid);
    war_hold(WAR_DIAGNOSED, settled || pid == 0, "patient %u is of health %d, not %d, after result %" PRIx64, i,
             (int)health, (int)truth, checked);
}

/* Knocks, and waits until the host has seen that: it has seen all who came before. */
static bool make_round(uint32_t i)
{
    struct sockaddr_un door;
    uint32_t before = atomic_load(&war->rounds[i]);
    uint64_t began = now_ns();
    socket_of(i, &door);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool knocked = fd >= 0 && connect(fd, (struct sockaddr *)&door, sizeof door) == 0;
    while (knocked && atomic_load(&war->rounds[i]) == before && now_ns() - began < war_patience_ns())
        sleep_us(500);
    if (fd >= 0)
        close(fd);
    return knocked && atomic_load(&war->rounds[i]) != before;
}

typedef struct round {
    bool made;
    uint64_t checker;
    uint32_t others, visits;
} round_t;

/* For a while, and until it came at least once, nobody but the checker comes, and that is who it was. */
static void expect_visits(const commy_mesh_t *mesh, uint32_t i, const round_t *before)
{
    uint64_t began = now_ns(), checked;
    while (atomic_load(&war->visits[i]) == before->visits && now_ns() - began < war_patience_ns())
        sleep_us(2000);
    uint32_t visits = atomic_load(&war->visits[i]) - before->visits;
    uint32_t others = atomic_load(&war->others[i]) - before->others, pid = pid_of(mesh, before->checker);
    war_hold(WAR_CHECKS,
             visits > 0 && others == 0 && (uint32_t)atomic_load(&war->visitor[i]) == pid &&
                 checker_of(mesh, i, &checked) == before->checker,
             "patient %u, of %u: %u visits, the last by %d, %u by another than before", i, pid, visits,
             (int)atomic_load(&war->visitor[i]), others);
}

void war_audit_patients(const commy_mesh_t *mesh)
{
    uint64_t checked;
    round_t before[ANSWERING] = {0};
    for (uint32_t i = 0; i < PATIENTS; i++)
        if (is_monitored(i, 0))
            settle(mesh, i);
    for (uint32_t i = 0; i < ANSWERING; i++) {
        before[i].made = is_monitored(i, 0) && make_round(i);
        before[i].checker = checker_of(mesh, i, &checked);
        before[i].others = atomic_load(&war->others[i]);
        before[i].visits = atomic_load(&war->visits[i]);
    }
    sleep_us(WINDOW_US);
    for (uint32_t i = 0; i < ANSWERING; i++)
        if (before[i].made)
            expect_visits(mesh, i, &before[i]);
}
