/*
 * crew.h - the processes of one contender: a host that holds it, and its workers, who wait for their turns.
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include "contender.h"

#define CREW_WORKERS 256u
#define CREW_SAMPLES 20000u

typedef struct crew crew_t;

/* One turn: what the first `workers` of a crew do at the same time. */
typedef struct turn {
    bench_op_t op;
    unsigned workers, instances;
    uint64_t count, warm_up; /* operations of each worker; those of warm_up come first and are not timed */
    bool single;             /* time each operation on its own, CREW_SAMPLES at most */
} turn_t;

/* What one worker has done in a turn. */
typedef struct stint {
    uint64_t began_ns, ended_ns, ran_ns; /* ran: CPU time of the worker in between */
    uint64_t first;                      /* position in the stream of its first timed operation */
    uint64_t sum;
    uint32_t samples;
    uint32_t sample_ns[CREW_SAMPLES];
} stint_t;

/* Starts a host and has it open and fill the contender; null, and the reason, where this machine has none of it. */
crew_t *crew_start(const bench_contender_t *contender, const bench_place_t *place, char *reason, size_t reason_bytes);

const bench_contender_t *crew_contender(const crew_t *crew);
uint64_t crew_bytes(const crew_t *crew);

/* Has a turn done. The stints, one a worker, are good until the next turn. */
const stint_t *crew_turn(crew_t *crew, const turn_t *turn);

/* Ends workers and host, and clears *crew. */
void crew_stop(crew_t **crew);

/* Ends all that runs, at once; may be called by a signal handler. */
void crew_kill_all(void);

#endif /* BENCH_CREW_H */
