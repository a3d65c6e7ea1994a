/*
 * watch_death.c - kills a process and looks, without a pause, until its services are gone.
 *
 *     watch_death 4711 web-2
 *
 * One thread looks web-2 up as fast as it can; another one sends SIGKILL to process 4711 meanwhile. Prints how long after
 * the signal web-2 was returned for the last time. Attached read-only: what makes the service vanish is not this program.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <commy/commy.h>

#define HEAD_START_MS 10
#define GIVE_UP_S 10

typedef struct killer {
    pid_t pid;
    _Atomic int64_t sent_ns; /* just before the signal went out; 0 until then */
    _Atomic int error;       /* errno where it could not be sent */
} killer_t;

typedef struct watched {
    const char *id;
    int64_t last_seen_ns, missed_ns; /* missed_ns: 0 while it is returned */
    uint64_t looks;
} watched_t;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The killing thread: lets the other one get going first. */
static void *kill_it(void *argument)
{
    killer_t *killer = argument;
    nanosleep(&(struct timespec){.tv_nsec = HEAD_START_MS * 1000000}, NULL);
    atomic_store(&killer->sent_ns, now_ns());
    if (kill(killer->pid, SIGKILL) != 0)
        atomic_store(&killer->error, errno);
    return NULL;
}

/* Looks once. False when the look itself failed. */
static bool look(const commy_mesh_t *mesh, watched_t *watched)
{
    commy_target_t target;
    commy_status_t status = commy_service_find(mesh, watched->id, &target);
    watched->looks++;
    if (status == COMMY_STATUS_SUCCESS)
        watched->last_seen_ns = now_ns();
    else if (status == COMMY_STATUS_NOT_FOUND)
        watched->missed_ns = now_ns();
    else
        return false;
    return true;
}

/* Looks at those that are still returned, over and over, until there are none. */
static bool look_until_gone(const commy_mesh_t *mesh, killer_t *killer, watched_t *list, int count)
{
    int64_t give_up_ns = now_ns() + (int64_t)GIVE_UP_S * 1000000000;
    for (int left = count; left > 0;) {
        for (int i = 0; i < count; i++) {
            if (list[i].missed_ns)
                continue;
            if (!look(mesh, &list[i])) {
                fprintf(stderr, "watch_death: cannot look up %s: %s\n", list[i].id, commy_last_error_message());
                return false;
            }
            if (list[i].missed_ns)
                left--;
        }
        int error = atomic_load(&killer->error);
        if (error) {
            fprintf(stderr, "watch_death: cannot kill process %d: %s\n", (int)killer->pid, strerror(error));
            return false;
        }
        if (now_ns() > give_up_ns) {
            fprintf(stderr, "watch_death: still returned after %d s\n", GIVE_UP_S);
            return false;
        }
    }
    return true;
}

static void print_result(const watched_t *watched, int64_t sent_ns)
{
    printf("%s: ", watched->id);
    if (watched->last_seen_ns > sent_ns)
        printf("last returned %.1f us after the signal", (double)(watched->last_seen_ns - sent_ns) / 1e3);
    else
        printf("not returned any more after the signal");
    printf(", first missed at %.1f us (%" PRIu64 " looks)\n", (double)(watched->missed_ns - sent_ns) / 1e3,
           watched->looks);
}

static bool kill_and_watch(const commy_mesh_t *mesh, pid_t pid, watched_t *list, int count)
{
    for (int i = 0; i < count; i++) {
        if (!look(mesh, &list[i]) || list[i].missed_ns) {
            fprintf(stderr, "watch_death: %s is not there to begin with\n", list[i].id);
            return false;
        }
    }

    killer_t killer = {.pid = pid};
    pthread_t thread;
    int error = pthread_create(&thread, NULL, kill_it, &killer);
    if (error) {
        fprintf(stderr, "watch_death: cannot start a thread: %s\n", strerror(error));
        return false;
    }
    bool gone = look_until_gone(mesh, &killer, list, count);
    pthread_join(thread, NULL);

    for (int i = 0; gone && i < count; i++) {
        /* It went before the signal: somebody else ended it, and there is nothing to measure. */
        if (list[i].missed_ns < killer.sent_ns) {
            fprintf(stderr, "watch_death: %s was gone before the signal\n", list[i].id);
            return false;
        }
        print_result(&list[i], killer.sent_ns);
    }
    return gone;
}

int main(int argc, char **argv)
{
    pid_t pid = argc > 2 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
    if (pid <= 1) {
        fprintf(stderr, "usage: watch_death PID ID...\n");
        return EXIT_FAILURE;
    }
    int count = argc - 2;
    watched_t *list = calloc((size_t)count, sizeof *list);
    if (!list)
        return EXIT_FAILURE;
    for (int i = 0; i < count; i++)
        list[i].id = argv[2 + i];

    commy_open_options_t options = {.size = sizeof options, .flags = COMMY_OPEN_READ_ONLY};
    commy_mesh_t *mesh;
    if (commy_mesh_attach(&options, &mesh) != COMMY_STATUS_SUCCESS) {
        fprintf(stderr, "watch_death: cannot attach: %s\n", commy_last_error_message());
        free(list);
        return EXIT_FAILURE;
    }
    bool gone = kill_and_watch(mesh, pid, list, count);
    commy_mesh_detach(&mesh);
    free(list);
    return gone ? EXIT_SUCCESS : EXIT_FAILURE;
}
