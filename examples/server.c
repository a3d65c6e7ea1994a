/*
 * server.c - an HTTP server that registers itself, as an instance of a service.
 *
 *     server web web-1
 *
 * Listens on a free port of the loopback interface and answers each request with its id. Whoever looks for `web` finds it
 * until it ends, however it ends: `client web 100` sends requests, `kill -9` ends it.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <commy/commy.h>

#define CLIENT_TIMEOUT_S 2

/* Listens on a port that the system chooses; the descriptor, or -1. */
static int listen_anywhere(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&address, bytes) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) != 0) {
        close(fd);
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

/* Reads up to the empty line that ends a request's headers. False when the client goes away or sends too much. */
static bool read_request(int fd)
{
    char request[8192];
    size_t have = 0;
    while (have < sizeof request - 1) {
        ssize_t n = recv(fd, request + have, sizeof request - 1 - have, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        have += (size_t)n;
        request[have] = '\0';
        if (strstr(request, "\r\n\r\n"))
            return true;
    }
    return false;
}

static void answer(int fd, const char *id)
{
    const struct timeval patience = {.tv_sec = CLIENT_TIMEOUT_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (!read_request(fd))
        return;
    char text[COMMY_LIMIT_ID_BYTES + 128];
    int bytes =
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s answers\n",
                 strlen(id) + strlen(" answers\n"), id);
    /* Short enough to go out at once; where the client does not want it, that is the client's affair. */
    (void)send(fd, text, (size_t)bytes, MSG_NOSIGNAL);
}

/* Serves one client after the other. Returns where no more can be had. */
static void serve(int listener, const char *id)
{
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0) {
            answer(fd, id);
            close(fd);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            perror("server: accept");
            return;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: server NAME ID\n");
        return EXIT_FAILURE;
    }
    uint16_t port;
    int listener = listen_anywhere(&port);
    if (listener < 0) {
        perror("server: cannot listen");
        return EXIT_FAILURE;
    }

    commy_mesh_t *mesh;
    const char *const tags[] = {"http"};
    commy_service_config_t service = {
        .size = sizeof service,
        .service_name = argv[1],
        .service_id = argv[2],
        .endpoint = "127.0.0.1",
        .port = port,
        .version = "1.0",
        .tags = tags,
        .tag_count = 1,
    };
    if (commy_mesh_attach(NULL, &mesh) != COMMY_STATUS_SUCCESS) {
        fprintf(stderr, "server: cannot attach: %s\n", commy_last_error_message());
        return EXIT_FAILURE;
    }
    if (commy_service_register(mesh, &service, NULL) == COMMY_STATUS_SUCCESS) {
        printf("%s serves %s on 127.0.0.1:%" PRIu16 "\n", argv[2], argv[1], port);
        fflush(stdout);
        serve(listener, argv[2]);
    } else {
        fprintf(stderr, "server: cannot register: %s\n", commy_last_error_message());
    }
    commy_mesh_detach(&mesh);
    close(listener);
    return EXIT_FAILURE;
}
