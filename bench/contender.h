/*
 * contender.h - what a contender is: a few functions, one file each.
 *
 * A contender is opened and filled by one process, its host. Then come the workers: processes forked by the host, or
 * threads of it where the contender lives within one process. Functions work on variables of their own file, since a
 * host serves one contender only. Whatever fails calls bench_die(): no figure comes of a run that went wrong.
 *
 * An operation does `count` of the same thing in its own loop, so that no call through a pointer is part of what is
 * measured, and returns a sum over its answers, which is checked.
 */
#ifndef BENCH_CONTENDER_H
#define BENCH_CONTENDER_H

#include "keys.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bench_op {
    OP_FIND,            /* hits, copied; independent of each other */
    OP_MISS,            /* ids that are not there */
    OP_VIEW,            /* hits, read in place */
    OP_GET,             /* hits, with all that is known of them */
    OP_BATCH,           /* hits, 16 a call */
    OP_DEPENDENT,       /* hits, where the address of the next key hangs on the last answer */
    OP_REGISTER,        /* add one and take it away again; names and ids are the worker's own */
    OP_REGISTER_SAME,   /* the same, all workers under one name */
    OP_MIX_99,          /* 99 finds, then one change: a registration, and next time its end */
    OP_MIX_90,          /* 9 finds, then one change */
    OP_COUNT,           /* how many instances a name has */
    OP_DISCOVER,        /* the instances of a name, copied */
    OP_ITERATE,         /* the instances of a name, read in place */
    OP_DISCOVER_SPREAD, /* the instances of a name out of many names, read in place */
    OP_SELECT,          /* one instance of a name, in turn, copied */
    OP_SELECT_LEAST,    /* the same, by requests in flight */
    OP_SELECT_WEIGHTED, /* the same, in turn by weight */
    OP_SELECT_FASTEST,  /* the same, by latency and requests in flight */
    OP_SELECT_RANDOM,   /* the same, at random by weight */
    OP_SELECT_CLIENT,   /* the same, by the hash of a client's id, which is one of the stream */
    OP_ALL,             /* all services, read in place */
    OP_REPORT,          /* count a request to one service, the same for all workers */
    OP_REPORT_SPREAD,   /* count a request to services at random */
    OP_ATTACH,          /* attach and detach */
    OP_ADD,             /* an atomic addition to a word that nobody else uses */
    OPS
} bench_op_t;

/* What a mesh looks like. */
typedef enum bench_profile {
    PROFILE_PLAIN, /* ten services a name */
    PROFILE_NAMES  /* and besides, names with 1, 10, 1,000 and 10,000 instances */
} bench_profile_t;

#define BENCH_BATCH 16u
#define BENCH_PER_NAME 10u
#define BENCH_PATH_BYTES 128u

/* One mesh of one size, for all contenders alike. */
typedef struct bench_place {
    const bench_keys_t *keys;
    bench_profile_t profile;
    char dir[BENCH_PATH_BYTES]; /* its own, in memory; removed by the runner with all that lies in it */
    unsigned workers;           /* at most */
    const char *plant;          /* a contender whose answers are made wrong, to see that it is noticed; or null */
} bench_place_t;

typedef struct bench_job {
    const bench_place_t *place;
    unsigned worker, workers; /* which one, of how many in this turn */
    unsigned instances;       /* of the name to discover */
} bench_job_t;

/* The questions at `first` and after it in the stream; self is what begin() gave. */
typedef uint64_t bench_op_fn(void *self, const bench_job_t *job, uint64_t first, uint64_t count);

typedef struct bench_contender {
    const char *name;      /* "ck_ht" */
    const char *about;     /* version, flavour, how it is used: goes into the results */
    bool threads;          /* workers are threads of the host */
    bool yardstick;        /* the machine itself: its operations return how many there were, not a sum over answers */
    uint64_t most;         /* sizes above it are left out */
    const char *why;       /* they are */
    unsigned most_workers; /* 0: any number */
    /* Makes it, empty. Null, or the reason why this host has none of it, which is printed. */
    const char *(*open)(const bench_place_t *place);
    void (*fill)(const bench_place_t *place);
    uint64_t (*bytes)(const bench_place_t *place); /* memory that it has taken */
    void *(*begin)(const bench_place_t *place, unsigned worker);
    bench_op_fn *ops[OPS];
    void (*end)(void *self);
    void (*close)(const bench_place_t *place);
} bench_contender_t;

/* Those that were built in; ends with a null pointer. Those that were not are named in bench_left_out. */
extern const bench_contender_t *const bench_contenders[];
extern const char *const bench_left_out[];

static inline const char *bench_hit(const bench_keys_t *keys, uint64_t i)
{
    return keys->hits[i & (keys->stream - 1)].text;
}

static inline const char *bench_miss(const bench_keys_t *keys, uint64_t i)
{
    return keys->misses[i & (keys->stream - 1)].text;
}

/* 0, in a way that neither compiler nor CPU knows before `answer` is there. */
static inline uint64_t bench_nothing_of(uint64_t answer)
{
    uint64_t nothing = 0;

    __asm__ volatile("" : "+r"(nothing));
    return answer & nothing;
}

#ifdef __cplusplus
}
#endif

#endif /* BENCH_CONTENDER_H */
