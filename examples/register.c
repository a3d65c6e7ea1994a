/*
 * register.c - offers one service for as long as this program runs.
 *
 *     register web web-1 127.0.0.1 8080
 *
 * Programs attached to the same mesh find the service until this one ends, however it ends: try kill -9.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <commy/commy.h>

static int fail(const char *what)
{
    fprintf(stderr, "register: cannot %s: %s\n", what, commy_last_error_message());
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: register NAME ID ENDPOINT PORT\n");
        return EXIT_FAILURE;
    }
    unsigned long port = strtoul(argv[4], NULL, 10);
    if (port < 1 || port > UINT16_MAX) {
        fprintf(stderr, "register: port %s is not between 1 and 65535\n", argv[4]);
        return EXIT_FAILURE;
    }

    /* Blocked before the first thread starts, so that sigwait() below is the only place that takes them. */
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);

    commy_mesh_t *mesh;
    if (commy_mesh_attach(NULL, &mesh) != COMMY_STATUS_SUCCESS)
        return fail("attach");

    commy_service_config_t service = {
        .size = sizeof service,
        .service_name = argv[1],
        .service_id = argv[2],
        .endpoint = argv[3],
        .port = (uint16_t)port,
    };
    if (commy_service_register(mesh, &service, NULL) != COMMY_STATUS_SUCCESS) {
        int code = fail("register");
        commy_mesh_detach(&mesh);
        return code;
    }
    printf("%s is registered until this program ends\n", argv[2]);
    fflush(stdout);

    int signal_number;
    sigwait(&stop, &signal_number);
    commy_mesh_detach(&mesh); /* unregisters it, too */
    return EXIT_SUCCESS;
}
