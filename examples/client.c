/*
 * client.c - spreads real HTTP requests over the instances of a service and counts what came of them.
 *
 *     client web 300        in turn
 *     client web 300 1      by policy 1, least connections; the numbers are those of commy_policy_t
 *
 * Asks whatever instance is selected for "/" over TCP. The request is in flight in the mesh meanwhile, and counted there with
 * its latency when it ends, where `commy stat` shows it. Ends with 0 when every request was answered.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <commy/commy.h>

#define REQUEST_TIMEOUT_MS 2000
#define INSTANCE_TIMEOUT_MS 5000
#define LOOK_AGAIN_MS 100 /* an instance may become fit without a change, as time passes */

/* What one instance did for us. */
typedef struct tally {
    uint64_t reference;
    char address[COMMY_LIMIT_ENDPOINT_BYTES + 8];
    uint64_t answered, failed, latency_ns;
} tally_t;

typedef struct tallies {
    tally_t *list;
    size_t count;
} tallies_t;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* -------------------------------------------------------------------- HTTP */

/* Waits until the socket can be read or written. False when the deadline comes first. */
static bool ready(int fd, short events, int64_t deadline_ns)
{
    struct pollfd poller = {.fd = fd, .events = events};
    for (;;) {
        int64_t left_ms = (deadline_ns - now_ns() + 999999) / 1000000;
        if (left_ms <= 0)
            return false;
        int n = poll(&poller, 1, (int)left_ms);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

/* Connects one address; the descriptor, or -1. */
static int connect_address(const struct addrinfo *address, int64_t deadline_ns)
{
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);
    if (fd < 0)
        return -1;
    int error = 0;
    socklen_t length = sizeof error;
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return fd;
    if (errno == EINPROGRESS && ready(fd, POLLOUT, deadline_ns) &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0)
        return fd;
    close(fd);
    return -1;
}

static int connect_target(const commy_target_t *target, int64_t deadline_ns)
{
    char port[8];
    snprintf(port, sizeof port, "%" PRIu16, target->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses;
    if (getaddrinfo(target->endpoint, port, &hints, &addresses) != 0)
        return -1;
    int fd = -1;
    for (const struct addrinfo *address = addresses; address && fd < 0; address = address->ai_next)
        fd = connect_address(address, deadline_ns);
    freeaddrinfo(addresses);
    return fd;
}

static bool send_all(int fd, const char *text, size_t bytes, int64_t deadline_ns)
{
    while (bytes > 0) {
        ssize_t n = send(fd, text, bytes, MSG_NOSIGNAL);
        if (n >= 0) {
            text += n;
            bytes -= (size_t)n;
        } else if (errno != EINTR && (errno != EAGAIN || !ready(fd, POLLOUT, deadline_ns))) {
            return false;
        }
    }
    return true;
}

/* Reads the whole answer; true when it begins as a successful one does. */
static bool receive_success(int fd, int64_t deadline_ns)
{
    char start[] = "HTTP/1.x 2", buffer[4096];
    size_t have = 0;
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n == 0)
            break;
        if (n < 0) {
            if (errno == EINTR || (errno == EAGAIN && ready(fd, POLLIN, deadline_ns)))
                continue;
            return false;
        }
        size_t room = sizeof start - 1 - have;
        size_t taken = (size_t)n < room ? (size_t)n : room;
        memcpy(start + have, buffer, taken);
        have += taken;
    }
    return have == sizeof start - 1 && memcmp(start, "HTTP/1.", 7) == 0 && start[9] == '2';
}

/* One GET of "/"; true when it was answered with success in time. */
static bool http_get(const commy_target_t *target)
{
    int64_t deadline_ns = now_ns() + (int64_t)REQUEST_TIMEOUT_MS * 1000000;
    int fd = connect_target(target, deadline_ns);
    if (fd < 0)
        return false;
    char request[512];
    int bytes = snprintf(request, sizeof request, "GET / HTTP/1.0\r\nHost: %s:%" PRIu16 "\r\n\r\n", target->endpoint,
                         target->port);
    bool answered = send_all(fd, request, (size_t)bytes, deadline_ns) && receive_success(fd, deadline_ns);
    close(fd);
    return answered;
}

/* --------------------------------------------------------------- instances */

/* Selects an instance, waiting for one to appear where there is none. False when none comes in time. */
static bool select_or_wait(commy_mesh_t *mesh, const char *name, int32_t policy, commy_target_t *target)
{
    char client[32];
    snprintf(client, sizeof client, "client-%d", (int)getpid());
    const commy_select_options_t options = {.size = sizeof options, .policy = policy, .client_id = client};
    int64_t deadline_ns = now_ns() + (int64_t)INSTANCE_TIMEOUT_MS * 1000000;
    for (;;) {
        /* The version first: what changes after the look below changes it, and ends the wait. */
        uint64_t version;
        if (commy_mesh_wait(mesh, name, 0, 0, &version) != COMMY_STATUS_SUCCESS)
            return false;
        commy_status_t status = commy_service_select(mesh, name, &options, target);
        if (status == COMMY_STATUS_SUCCESS)
            return true;
        int64_t left_ms = (deadline_ns - now_ns()) / 1000000;
        if (status == COMMY_STATUS_INVALID || left_ms <= 0)
            return false;
        commy_mesh_wait(mesh, name, version, left_ms < LOOK_AGAIN_MS ? (int32_t)left_ms : LOOK_AGAIN_MS, &version);
    }
}

static tally_t *tally_of(tallies_t *tallies, const commy_target_t *target)
{
    for (size_t i = 0; i < tallies->count; i++)
        if (tallies->list[i].reference == target->reference)
            return &tallies->list[i];
    tally_t *list = realloc(tallies->list, (tallies->count + 1) * sizeof *list);
    if (!list)
        return NULL;
    tallies->list = list;
    tally_t *tally = &list[tallies->count++];
    *tally = (tally_t){.reference = target->reference};
    snprintf(tally->address, sizeof tally->address, "%s:%" PRIu16, target->endpoint, target->port);
    return tally;
}

/* Sends one request to whoever is selected and says what came of it, here and to the mesh. */
static bool request(commy_mesh_t *mesh, const char *name, int32_t policy, tallies_t *tallies)
{
    commy_target_t target;
    uint64_t token;
    commy_status_t status;
    do {
        if (!select_or_wait(mesh, name, policy, &target)) {
            fprintf(stderr, "client: cannot select: %s\n", commy_last_error_message());
            return false;
        }
        status = commy_service_begin(mesh, target.reference, &token);
    } while (status == COMMY_STATUS_NOT_FOUND); /* it left meanwhile */

    int64_t started_ns = now_ns();
    bool answered = status == COMMY_STATUS_SUCCESS && http_get(&target);
    uint64_t latency_ns = (uint64_t)(now_ns() - started_ns);
    if (status == COMMY_STATUS_SUCCESS)
        status = commy_service_end(mesh, token, latency_ns, answered);
    if (status != COMMY_STATUS_SUCCESS) {
        fprintf(stderr, "client: cannot count a request: %s\n", commy_last_error_message());
        return false;
    }

    tally_t *tally = tally_of(tallies, &target);
    if (!tally) {
        fprintf(stderr, "client: out of memory\n");
        return false;
    }
    tally->latency_ns += latency_ns;
    if (answered)
        tally->answered++;
    else
        tally->failed++;
    return true;
}

static uint64_t print_tallies(const tallies_t *tallies)
{
    uint64_t failed = 0;
    for (size_t i = 0; i < tallies->count; i++) {
        const tally_t *tally = &tallies->list[i];
        uint64_t requests = tally->answered + tally->failed;
        printf("%s: %" PRIu64 " answered, %" PRIu64 " failed, %.2f ms on average\n", tally->address, tally->answered,
               tally->failed, (double)tally->latency_ns / (double)requests / 1e6);
        failed += tally->failed;
    }
    return failed;
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: client NAME REQUESTS [POLICY]\n");
        return EXIT_FAILURE;
    }
    size_t requests = strtoul(argv[2], NULL, 10);
    int32_t policy = argc == 4 ? (int32_t)strtol(argv[3], NULL, 10) : COMMY_POLICY_ROUND_ROBIN;

    commy_open_options_t options = {.size = sizeof options, .flags = COMMY_OPEN_MUST_EXIST};
    commy_mesh_t *mesh;
    if (commy_mesh_attach(&options, &mesh) != COMMY_STATUS_SUCCESS) {
        fprintf(stderr, "client: cannot attach: %s\n", commy_last_error_message());
        return EXIT_FAILURE;
    }

    tallies_t tallies = {0};
    size_t done = 0;
    while (done < requests && request(mesh, argv[1], policy, &tallies))
        done++;
    uint64_t failed = print_tallies(&tallies);

    free(tallies.list);
    commy_mesh_detach(&mesh);
    return done == requests && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
