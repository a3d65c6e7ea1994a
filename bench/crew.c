/*
 * crew.c - see crew.h.
 *
 * All talk goes over a board in shared memory: the runner writes the turn there and posts a semaphore for each worker that
 * takes part; these warm up, meet at a barrier, work, write their stints, and post `done`. Who has no turn sleeps. A
 * host ends with an error as soon as one of its workers does, and everybody dies with their parent.
 */
#include "crew.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_AGAIN_MS 100
#define SPINS 200 /* at the barrier, before the CPU is offered to others */

typedef struct board {
    sem_t done;
    sem_t go[CREW_WORKERS];
    turn_t turn;
    bool stop;
    _Atomic unsigned arrived;
    uint64_t bytes;
    char reason[256]; /* why there is no contender; empty: there is one */
    stint_t stints[];
} board_t;

struct crew {
    const bench_contender_t *contender;
    const bench_place_t *place;
    board_t *board;
    size_t board_bytes;
    pid_t host;
};

#define CREWS 32
static volatile pid_t hosts[CREWS];

void crew_kill_all(void)
{
    for (int i = 0; i < CREWS; i++)
        if (hosts[i] > 0)
            kill(hosts[i], SIGKILL);
}

static void note_host(pid_t was, pid_t is)
{
    int i = 0;

    while (i < CREWS && hosts[i] != was)
        i++;
    if (i == CREWS)
        bench_die("too many hosts");
    hosts[i] = is;
}

/* ------------------------------------------------------------------------------ workers */

static void await(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        if (errno != EINTR)
            bench_die("sem_wait: %s", strerror(errno));
}

/* All of a turn start as one. */
static void meet(board_t *board, unsigned workers)
{
    atomic_fetch_add(&board->arrived, 1);
    for (unsigned spins = 0; atomic_load_explicit(&board->arrived, memory_order_acquire) < workers; spins++)
        if (spins % SPINS == SPINS - 1)
            sched_yield();
}

static void time_each(bench_op_fn *op, void *self, const bench_job_t *job, stint_t *stint, uint64_t count)
{
    stint->samples = 0;
    for (uint64_t i = 0; i < count && i < CREW_SAMPLES; i++) {
        uint64_t began = bench_now_ns();
        stint->sum += op(self, job, stint->first + i, 1);
        uint64_t took = bench_now_ns() - began;
        stint->sample_ns[stint->samples++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
    }
}

static void take_turn(crew_t *crew, void *self, unsigned worker, uint64_t *position)
{
    board_t *board = crew->board;
    const turn_t turn = board->turn;
    stint_t *stint = &board->stints[worker];
    bench_op_fn *op = crew->contender->ops[turn.op];
    const bench_job_t job = {
        .place = crew->place, .worker = worker, .workers = turn.workers, .instances = turn.instances};

    bench_pin(worker);
    if (turn.warm_up > 0)
        op(self, &job, *position, turn.warm_up);
    stint->first = *position + turn.warm_up;
    stint->sum = 0;
    *position = (stint->first + turn.count) % crew->place->keys->stream;
    meet(board, turn.workers);
    uint64_t ran = bench_cpu_time_ns();
    stint->began_ns = bench_now_ns();
    if (turn.single)
        time_each(op, self, &job, stint, turn.count);
    else
        stint->sum = op(self, &job, stint->first, turn.count);
    stint->ended_ns = bench_now_ns();
    if (crew->place->plant && strcmp(crew->place->plant, crew->contender->name) == 0)
        stint->sum++;
    stint->ran_ns = bench_cpu_time_ns() - ran;
}

/* Workers start at different places of the stream. */
static void work(crew_t *crew, unsigned worker)
{
    board_t *board = crew->board;
    uint64_t position = crew->place->keys->stream / crew->place->workers * worker;
    void *self = crew->contender->begin(crew->place, worker);

    sem_post(&board->done);
    for (;;) {
        await(&board->go[worker]);
        if (board->stop)
            break;
        take_turn(crew, self, worker, &position);
        sem_post(&board->done);
    }
    if (crew->contender->end)
        crew->contender->end(self);
}

typedef struct worker_thread {
    crew_t *crew;
    unsigned worker;
    pthread_t thread;
} worker_thread_t;

static void *run_thread(void *argument)
{
    worker_thread_t *self = argument;

    work(self->crew, self->worker);
    return NULL;
}

static void run_threads(crew_t *crew)
{
    static worker_thread_t threads[CREW_WORKERS];

    for (unsigned i = 0; i < crew->place->workers; i++) {
        threads[i] = (worker_thread_t){.crew = crew, .worker = i};
        if (pthread_create(&threads[i].thread, NULL, run_thread, &threads[i]) != 0)
            bench_die("a thread could not be started");
    }
    for (unsigned i = 0; i < crew->place->workers; i++)
        pthread_join(threads[i].thread, NULL);
}

static void run_processes(crew_t *crew)
{
    pid_t self = getpid();
    int status;

    for (unsigned i = 0; i < crew->place->workers; i++) {
        pid_t child = fork();
        if (child < 0)
            bench_die("fork: %s", strerror(errno));
        if (child > 0)
            continue;
        bench_die_with(self);
        work(crew, i);
        exit(0);
    }
    for (unsigned left = crew->place->workers; left > 0; left--)
        if (wait(&status) < 0 || status != 0)
            bench_die("a worker of %s ended badly (status 0x%x)", crew->contender->name, (unsigned)status);
}

static void host(crew_t *crew)
{
    const bench_contender_t *contender = crew->contender;
    const char *reason = contender->open(crew->place);

    if (reason) {
        snprintf(crew->board->reason, sizeof crew->board->reason, "%s", reason);
        sem_post(&crew->board->done);
        return;
    }
    if (contender->fill)
        contender->fill(crew->place);
    crew->board->bytes = contender->bytes ? contender->bytes(crew->place) : 0;
    sem_post(&crew->board->done);
    if (contender->threads)
        run_threads(crew);
    else
        run_processes(crew);
    if (contender->close)
        contender->close(crew->place);
}

/* ------------------------------------------------------------------------------- runner */

/* Waits for so many posts of `done`; ends the program where the host has died meanwhile. */
static void await_done(crew_t *crew, unsigned posts)
{
    while (posts > 0) {
        struct timespec until;
        int status;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_AGAIN_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (sem_timedwait(&crew->board->done, &until) == 0)
            posts--;
        else if (waitpid(crew->host, &status, WNOHANG) == crew->host) {
            note_host(crew->host, 0);
            bench_die("%s ended badly (status 0x%x)", crew->contender->name, (unsigned)status);
        }
    }
}

static void free_crew(crew_t **crew)
{
    munmap((*crew)->board, (*crew)->board_bytes);
    free(*crew);
    *crew = NULL;
}

static void await_end(crew_t *crew)
{
    int status;

    while (waitpid(crew->host, &status, 0) < 0)
        if (errno != EINTR)
            bench_die("waitpid: %s", strerror(errno));
    note_host(crew->host, 0);
    if (status != 0)
        bench_die("%s ended badly (status 0x%x)", crew->contender->name, (unsigned)status);
}

crew_t *crew_start(const bench_contender_t *contender, const bench_place_t *place, char *reason, size_t reason_bytes)
{
    crew_t *crew = calloc(1, sizeof *crew);
    pid_t self = getpid();

    if (place->workers > CREW_WORKERS)
        bench_die("%u workers are more than %u", place->workers, CREW_WORKERS);
    crew->contender = contender;
    crew->place = place;
    crew->board_bytes = sizeof(board_t) + place->workers * sizeof(stint_t);
    crew->board = bench_share(crew->board_bytes);
    sem_init(&crew->board->done, 1, 0);
    for (unsigned i = 0; i < place->workers; i++)
        sem_init(&crew->board->go[i], 1, 0);
    fflush(NULL);
    crew->host = fork();
    if (crew->host < 0)
        bench_die("fork: %s", strerror(errno));
    if (crew->host == 0) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        signal(SIGPIPE, SIG_DFL);
        bench_die_with(self);
        host(crew);
        exit(0);
    }
    note_host(0, crew->host);
    await_done(crew, 1);
    if (crew->board->reason[0] != '\0') {
        snprintf(reason, reason_bytes, "%s", crew->board->reason);
        await_end(crew);
        free_crew(&crew);
        return NULL;
    }
    await_done(crew, place->workers);
    return crew;
}

const bench_contender_t *crew_contender(const crew_t *crew)
{
    return crew->contender;
}

uint64_t crew_bytes(const crew_t *crew)
{
    return crew->board->bytes;
}

const stint_t *crew_turn(crew_t *crew, const turn_t *turn)
{
    board_t *board = crew->board;

    bench_go_on();
    board->turn = *turn;
    atomic_store(&board->arrived, 0);
    for (unsigned i = 0; i < turn->workers; i++)
        sem_post(&board->go[i]);
    await_done(crew, turn->workers);
    return board->stints;
}

void crew_stop(crew_t **crew)
{
    board_t *board = (*crew)->board;

    board->stop = true;
    for (unsigned i = 0; i < (*crew)->place->workers; i++)
        sem_post(&board->go[i]);
    await_end(*crew);
    free_crew(crew);
}
