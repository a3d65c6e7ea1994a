/* A participant of this process. Internal to the room: keeper.c makes it and ends it, watch.c keeps it busy. */
#ifndef CMY_LIFE_PARTICIPANT_H
#define CMY_LIFE_PARTICIPANT_H

#include <pthread.h>

#include "life/life.h"

/* What the kernel walks when the keeper ends. */
typedef struct cmy_robust_page {
    struct robust_list_head head;
    struct robust_list node;
} cmy_robust_page_t;

typedef enum cmy_stage { CMY_STAGE_STARTING, CMY_STAGE_ARMED, CMY_STAGE_FAILED, CMY_STAGE_RUNNING } cmy_stage_t;

#define CMY_BELL_STOP 1u /* set once; the rest counts nudges */
#define CMY_BELL_NUDGE 2u

/* What the keeper found at its last look, and is about to sleep on. */
#define CMY_WATCHED 31u /* more would cost every keeper, and wake nobody sooner */
typedef struct cmy_watch {
    uint32_t count;
    uint32_t value[CMY_WATCHED];
    const cmy_word32_t *word[CMY_WATCHED];
    uint32_t in_turn; /* slot to examine next */
    bool no_waitv;
    bool deserted; /* the program has ended without us */
    uint64_t examine_at_ns;
} cmy_watch_t;

struct cmy_participant {
    cmy_region_t *region;
    cmy_robust_page_t *page;
    pthread_t thread;
    uint32_t slot, owner;
    _Atomic uint32_t bell; /* futex of this process */

    cmy_housekeeping_fn *housekeeping;
    void *user;

    /* From the joiner to the keeper, and back. */
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    cmy_stage_t stage;
    commy_status_t status; /* CMY_STAGE_FAILED: why */
    int error;
    size_t node_id_bytes;
    char node_id[COMMY_LIMIT_MESH_BYTES + 1];
    uint16_t listen_port;

    cmy_watch_t watch; /* the keeper's own */
};

/* The keeper's work, from arming until the bell says stop. */
void cmy_life_watch(cmy_participant_t *participant);

#endif /* CMY_LIFE_PARTICIPANT_H */
