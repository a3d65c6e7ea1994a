/*
 * etcd.c - etcd on localhost: a daemon, and a request over TCP for each lookup.
 *
 * The host starts an etcd of its own on free ports of the loopback interface, with its data in memory; it dies with the host.
 * The worker speaks to the HTTP/JSON gateway of its v3 API over one connection that it keeps, with as little code in
 * between as there can be. A service is a key with a value of 64 bytes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contender.h"

#define FILL_AT_ONCE 128u /* etcd's limit for a transaction */
#define START_MS 20000u
#define BODY_BYTES (FILL_AT_ONCE * 256u)
#define KEY_CHARS 28u    /* of 21 bytes in base64 */
#define RECORD_CHARS 88u /* of 64 bytes */

typedef struct worker {
    int socket;
    bench_id_t own;
    bench_record_t record;
} worker_t;

static pid_t server;
static uint16_t port;

/* ------------------------------------------------------------------------------- base64 */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Writes (bytes + 2) / 3 * 4 characters and a NUL. */
static void encode(char *out, const void *data, size_t bytes)
{
    const uint8_t *in = data;

    for (size_t i = 0; i < bytes; i += 3, out += 4) {
        uint32_t some = (uint32_t)in[i] << 16;
        some |= i + 1 < bytes ? (uint32_t)in[i + 1] << 8 : 0;
        some |= i + 2 < bytes ? (uint32_t)in[i + 2] : 0;
        for (unsigned k = 0; k < 4; k++)
            out[k] = digits[some >> (18 - 6 * k) & 63];
        if (i + 1 >= bytes)
            out[2] = '=';
        if (i + 2 >= bytes)
            out[3] = '=';
    }
    *out = '\0';
}

static uint32_t value_of(char digit)
{
    const char *at = strchr(digits, digit);

    return at ? (uint32_t)(at - digits) : 0;
}

static void decode(void *data, const char *in, size_t bytes)
{
    uint8_t *out = data;

    for (size_t i = 0; i < bytes; i += 3, in += 4) {
        uint32_t some = value_of(in[0]) << 18 | value_of(in[1]) << 12 | value_of(in[2]) << 6 | value_of(in[3]);
        for (size_t k = 0; k < 3 && i + k < bytes; k++)
            out[i + k] = (uint8_t)(some >> (16 - 8 * k));
    }
}

/* --------------------------------------------------------------------------------- HTTP */

static int connect_to(uint16_t to)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(to), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static void send_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t sent = send(fd, text, bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            bench_die("etcd: send: %s", strerror(errno));
        text += sent > 0 ? sent : 0;
        bytes -= sent > 0 ? (size_t)sent : 0;
    }
}

/* Asks; 1.0 has the server close the connection behind its answer, 1.1 keeps it. */
static void ask(int fd, const char *version, const char *what, const char *body)
{
    static __thread char text[BODY_BYTES + 256];
    int bytes =
        snprintf(text, sizeof text, "POST /v3/kv/%s HTTP/%s\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", what,
                 version, strlen(body), body);

    if (bytes < 0 || (size_t)bytes >= sizeof text)
        bench_die("etcd: a question is too long");
    send_all(fd, text, (size_t)bytes);
}

/* Whether the answer has come in full: to its Content-Length. */
static bool is_whole(const char *text, size_t bytes)
{
    const char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");

    return body && length && length < body &&
           bytes >= (size_t)(body + 4 - text) + strtoul(length + strlen("Content-Length: "), NULL, 10);
}

/* The answer, headers and body; ends where its length says, or where the server closes the connection. */
static const char *answer_of(int fd)
{
    static __thread char text[BODY_BYTES];
    size_t bytes = 0;
    ssize_t some = 1;

    text[0] = '\0';
    while (some > 0 && !is_whole(text, bytes)) {
        some = recv(fd, text + bytes, sizeof text - 1 - bytes, 0);
        if (some < 0 || bytes + (size_t)some == sizeof text - 1)
            bench_die("etcd: recv: %s", some < 0 ? strerror(errno) : "an answer is too long");
        bytes += (size_t)some;
        text[bytes] = '\0';
    }
    if (strncmp(text, "HTTP/1.", 7) != 0 || strncmp(text + 8, " 200", 4) != 0)
        bench_die("etcd: %.200s", text);
    return text;
}

/* ------------------------------------------------------------------------------- server */

/* Two ports that were free a moment ago. */
static void choose_ports(uint16_t ports[2])
{
    int sockets[2];

    for (unsigned i = 0; i < 2; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t bytes = sizeof address;
        sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(sockets[i], (struct sockaddr *)&address, bytes) != 0 ||
            getsockname(sockets[i], (struct sockaddr *)&address, &bytes) != 0)
            bench_die("no free port: %s", strerror(errno));
        ports[i] = ntohs(address.sin_port);
    }
    close(sockets[0]);
    close(sockets[1]);
}

static void run_server(const bench_place_t *place, pid_t host, const uint16_t ports[2])
{
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    char dir[BENCH_PATH_BYTES + 8], client[64], peer[64], cluster[96];

    bench_die_with(host);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    snprintf(dir, sizeof dir, "%s/etcd", place->dir);
    snprintf(client, sizeof client, "http://127.0.0.1:%u", ports[0]);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%u", ports[1]);
    snprintf(cluster, sizeof cluster, "default=%s", peer);
    execlp("etcd", "etcd", "--data-dir", dir, "--listen-client-urls", client, "--advertise-client-urls", client,
           "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster,
           (char *)NULL);
    _exit(errno == ENOENT ? 127 : 126);
}

/* It listens before it has elected itself; a question is answered once it has. */
static void await_leader(void)
{
    int fd = connect_to(port);

    ask(fd, "1.0", "range", "{\"key\":\"AA==\"}");
    answer_of(fd);
    close(fd);
}

static const char *open_server(const bench_place_t *place)
{
    pid_t host = getpid();
    uint16_t ports[2];
    int status;

    choose_ports(ports);
    port = ports[0];
    server = fork();
    if (server == 0)
        run_server(place, host, ports);
    for (unsigned waited = 0; waited < START_MS; waited++) {
        int fd = connect_to(port);
        if (fd >= 0) {
            close(fd);
            await_leader();
            return NULL;
        }
        if (waitpid(server, &status, WNOHANG) == server)
            return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? "there is no etcd (Debian: etcd-server)"
                                                                   : "etcd ended when it should have started";
        bench_sleep_us(1000);
    }
    bench_die("etcd does not listen after %u ms", START_MS);
}

static void close_server(const bench_place_t *place)
{
    (void)place;
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
}

static size_t write_put(char *out, size_t room, const bench_id_t *id, const bench_record_t *record)
{
    char key[KEY_CHARS + 1], value[RECORD_CHARS + 1];

    encode(key, id->text, BENCH_ID_BYTES);
    encode(value, record, sizeof *record);
    return (size_t)snprintf(out, room, "{\"key\":\"%s\",\"value\":\"%s\"}", key, value);
}

static void fill_some(const bench_keys_t *keys, uint64_t first, uint64_t count)
{
    static char body[BODY_BYTES];
    size_t bytes = (size_t)snprintf(body, sizeof body, "{\"success\":[");
    bench_record_t record;

    for (uint64_t i = first; i < first + count; i++) {
        bench_write_record(&record, keys->seed, i);
        bytes += (size_t)snprintf(body + bytes, sizeof body - bytes, "%s{\"request_put\":", i > first ? "," : "");
        bytes += write_put(body + bytes, sizeof body - bytes, &keys->ids[i], &record);
        bytes += (size_t)snprintf(body + bytes, sizeof body - bytes, "}");
    }
    snprintf(body + bytes, sizeof body - bytes, "]}");
    int fd = connect_to(port);
    ask(fd, "1.0", "txn", body);
    answer_of(fd);
    close(fd);
}

static void fill(const bench_place_t *place)
{
    for (uint64_t i = 0; i < place->keys->size; i += FILL_AT_ONCE)
        fill_some(place->keys, i, place->keys->size - i < FILL_AT_ONCE ? place->keys->size - i : FILL_AT_ONCE);
}

/* ------------------------------------------------------------------------------- worker */

static void *begin(const bench_place_t *place, unsigned number)
{
    worker_t *worker = calloc(1, sizeof *worker);

    worker->socket = connect_to(port);
    if (worker->socket < 0)
        bench_die("etcd: a worker could not connect");
    bench_write_id(&worker->own, place->keys->seed, BENCH_SPARE_OF(number));
    bench_write_record(&worker->record, place->keys->seed, BENCH_SPARE_OF(number));
    return worker;
}

static void end(void *self)
{
    worker_t *worker = self;

    close(worker->socket);
    free(worker);
}

static const char *ask_for(const worker_t *worker, const char *what, const char *id)
{
    char body[64] = "{\"key\":\"";
    size_t bytes = strlen(body);

    encode(body + bytes, id, BENCH_ID_BYTES);
    strcat(body, "\"}");
    ask(worker->socket, "1.1", what, body);
    return answer_of(worker->socket);
}

static bool get(const worker_t *worker, const char *id, bench_record_t *record)
{
    static const char before[] = "\"value\":\"";
    const char *value = strstr(ask_for(worker, "range", id), before);

    if (!value || strlen(value) < sizeof before + RECORD_CHARS)
        return false;
    decode(record, value + sizeof before - 1, sizeof *record);
    return true;
}

static uint64_t find(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        if (get(self, bench_hit(keys, first + i), &record))
            sum += bench_record_answer(&record);
    return sum;
}

static uint64_t miss(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        sum += get(self, bench_miss(keys, first + i), &record);
    return sum;
}

static bool change_once(const worker_t *worker)
{
    char body[256];

    write_put(body, sizeof body, &worker->own, &worker->record);
    ask(worker->socket, "1.1", "put", body);
    answer_of(worker->socket);
    return strstr(ask_for(worker, "deleterange", worker->own.text), "\"deleted\":\"1\"") != NULL;
}

static uint64_t change(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    uint64_t sum = 0;

    (void)job, (void)first;
    for (uint64_t i = 0; i < count; i++)
        sum += change_once(self);
    return sum;
}

const bench_contender_t bench_etcd = {
    .name = "etcd",
    .about = "etcd on the loopback interface, data in memory, the HTTP/JSON gateway of its v3 API, one worker with one "
             "connection",
    .most = 65536,
    .why = "filling it would take longer than all the rest",
    .most_workers = 1,
    .open = open_server,
    .fill = fill,
    .begin = begin,
    .ops = {[OP_FIND] = find, [OP_MISS] = miss, [OP_REGISTER] = change},
    .end = end,
    .close = close_server,
};
