/*
 * Six threads that have services monitored, take them off again, check them by hand and ask how they are, through one handle
 * that leaves and joins meanwhile, and one that reads, while the services come and go. Checks go to a socket of this
 * process that listens. A plain program, made to be run under the thread sanitizer; ends with an audit, and a look at whether
 * anybody was left as a checker.
 *
 * Usage: tsan_monitor [SECONDS]           3 seconds
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

#include "acceptance.h"
#include "registry/mesh.h"
#include "service/checker.h"

#define THREADS 6u
#define IDS 12u

static commy_mesh_t *mesh, *owner, *reader;
static uint16_t port;
static _Atomic bool over;
static _Atomic uint64_t calls, refused, checked;
static property_t sound = {"the audit finds nothing", 0, 0},
                  allowed = {"no call ends in another way than it may", 0, 0},
                  busy = {"services were monitored, and checks made", 0, 0},
                  given_back = {"who has left checks nothing", 0, 0};

static void note(commy_status_t status)
{
    bool may = status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_NOT_FOUND || status == COMMY_STATUS_EXISTS ||
               status == COMMY_STATUS_NOT_RUNNING;
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    if (!may && atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed) < SHOWN_VIOLATIONS)
        printf("  violated: %d: %s\n", (int)status, commy_last_error_message());
}

static void check_by_hand(const char *id)
{
    commy_check_result_t result;
    commy_status_t status = commy_service_check(reader, id, 1000, &result);
    note(status);
    if (status == COMMY_STATUS_SUCCESS)
        atomic_fetch_add_explicit(&checked, result.status == COMMY_HEALTH_HEALTHY, memory_order_relaxed);
}

static void enroll(const char *id)
{
    const commy_service_config_t config = {
        .size = sizeof config, .service_name = "web", .service_id = id, .endpoint = "127.0.0.1", .port = port};
    note(commy_service_register(owner, &config, NULL));
}

static void *work(void *argument)
{
    uint64_t random = (uintptr_t)argument;
    const commy_health_config_t health = {2, 1000, 2, 2};
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        char id[16];
        int32_t status;
        double ms;
        snprintf(id, sizeof id, "id-%u", below(&random, IDS));
        switch (below(&random, 12)) {
        case 0:
        case 1:
        case 2:
            note(commy_service_monitor(mesh, id, &health));
            break;
        case 3:
            note(commy_service_unmonitor(mesh, id));
            break;
        case 4:
            note(commy_service_unregister(owner, id));
            break;
        case 5:
        case 6:
            enroll(id);
            break;
        case 7:
            check_by_hand(id);
            break;
        case 8:
            note(commy_service_set_health(owner, id, (int32_t)below(&random, 4)));
            break;
        default:
            note(commy_service_health(below(&random, 2) ? reader : owner, id, &status, &ms));
        }
    }
    return NULL;
}

static void leave_and_join(double seconds)
{
    uint64_t until = now_ns() + (uint64_t)(seconds * 1e9);
    while (now_ns() < until) {
        sleep_us(20000);
        note(commy_mesh_leave(mesh));
        note(commy_mesh_join(mesh, NULL, 0));
    }
}

static uint32_t checkers_left(void)
{
    uint32_t left = 0;
    for (uint32_t record = 0; cmy_region_holds(owner->region, CMY_SERVICES, record); record++)
        left += cmy_state_phase(cmy_load64_acquire(&cmy_service_at(owner->region, record)->state)) == CMY_LIVE &&
                cmy_state_owner(cmy_load64_acquire(&cmy_cold_at(owner->region, record)->checker)) != CMY_NOBODY;
    return left;
}

static int listen_somewhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, bytes) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) != 0)
        exit(2);
    port = ntohs(address.sin_port);
    return fd;
}

/* Takes each connection and closes it. */
static void *serve(void *argument)
{
    int listening = (int)(intptr_t)argument;
    for (int fd; (fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EMFILE;)
        close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 3;
    pthread_t thread[THREADS], server;
    test_begin((unsigned)seconds + 100);
    int fd = listen_somewhere();
    owner = attach_or_exit(64, COMMY_OPEN_MUST_NOT_EXIST, "owner");
    mesh = attach_or_exit(0, 0, "mesh");
    reader = attach_or_exit(0, COMMY_OPEN_READ_ONLY, "reader");
    if (pthread_create(&server, NULL, serve, (void *)(intptr_t)fd) != 0)
        return 2;
    for (uint32_t i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)(i * 7919u + 1)) != 0)
            return 2;
    leave_and_join(seconds);
    atomic_store(&over, true);
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    note(commy_mesh_leave(mesh));
    hold(&given_back, checkers_left() == 0, "%u services have a checker", checkers_left());
    hold(&sound, is_clean(owner), "when all is quiet");
    commy_mesh_detach(&mesh);
    commy_mesh_detach(&owner);
    hold(&sound, is_clean(reader), "when all have left");
    commy_mesh_detach(&reader);
    shutdown(fd, SHUT_RDWR);
    pthread_join(server, NULL);
    close(fd);
    printf("%" PRIu64 " calls in %.0f s, %" PRIu64 " checks by hand found somebody well\n", atomic_load(&calls),
           seconds, atomic_load(&checked));
    hold(&busy, atomic_load(&checked) > 0, "no check was made");
    allowed.looked = atomic_load(&calls);
    allowed.violated = atomic_load(&refused);
    const property_t all[] = {allowed, busy, given_back, sound};
    return verdict(all, sizeof all / sizeof all[0]);
}
