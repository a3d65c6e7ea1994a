/* Real servers on loopback, one thread each, that count who asks. Ended with the process, or by server_stop(). */
#ifndef COMMY_TESTS_SUPPORT_SERVER_H
#define COMMY_TESTS_SUPPORT_SERVER_H

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "support_registry.h"

#define SERVER_SILENT 0 /* takes connections and never answers */

typedef struct server {
    int fd;
    uint16_t port;
    _Atomic int status; /* to answer with */
    _Atomic unsigned connections;
    _Atomic unsigned requests;
    _Atomic bool stop;
    char seen[512]; /* the first request */
    pthread_t thread;
} server_t;

static inline void server_answer(server_t *server, int fd)
{
    char request[512] = "", answer[256];
    atomic_fetch_add(&server->connections, 1);
    if (recv(fd, request, sizeof request - 1, 0) <= 0)
        return; /* a connect only */
    if (atomic_fetch_add(&server->requests, 1) == 0)
        memcpy(server->seen, request, sizeof request);
    int status = atomic_load(&server->status);
    snprintf(answer, sizeof answer,
             "HTTP/1.1 %d What\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
             status);
    if (status != SERVER_SILENT)
        (void)!send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    else
        sleep_ms(20); /* the connection stays with the kernel's queue for the next ones; this one is closed late */
}

static inline void *server_run(void *argument)
{
    server_t *server = argument;
    while (!atomic_load(&server->stop)) {
        struct pollfd ready = {.fd = server->fd, .events = POLLIN};
        if (poll(&ready, 1, 20) <= 0 || atomic_load(&server->status) == SERVER_SILENT)
            continue;
        int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        server_answer(server, fd);
        close(fd);
    }
    return NULL;
}

/* A socket that listens at a port of loopback. */
static inline int listen_at(uint16_t *port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(*port)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0, "port %u", *port);
    cr_assert_eq(listen(fd, 512), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static inline void server_start(server_t *server, int status)
{
    *server = (server_t){.status = status};
    server->fd = listen_at(&server->port);
    cr_assert_eq(pthread_create(&server->thread, NULL, server_run, server), 0);
}

static inline void server_stop(server_t *server)
{
    atomic_store(&server->stop, true);
    pthread_join(server->thread, NULL);
    close(server->fd);
}

/* A port of loopback that nobody listens at. */
static inline uint16_t closed_port(void)
{
    uint16_t port = 0;
    close(listen_at(&port));
    return port;
}

/* Registers a service at a port of loopback; tag may be null. */
static inline void add_checked(commy_mesh_t *to, const char *id, uint16_t port, const char *tag)
{
    commy_service_config_t config = config_of("web", id);
    config.port = port;
    config.tags = &tag;
    config.tag_count = tag != NULL;
    cr_assert_eq(commy_service_register(to, &config, NULL), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

static inline int32_t status_of(const commy_mesh_t *in, const char *id)
{
    int32_t status = -1;
    double ms;
    cr_assert_eq(commy_service_health(in, id, &status, &ms), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    return status;
}

#endif /* COMMY_TESTS_SUPPORT_SERVER_H */
