/*
 * The soak test's log: what each process is about to do and what it was told, shared with the auditor (soak.c). The
 * processes themselves are in soak_worker.c.
 */
#ifndef COMMY_TESTS_SOAK_H
#define COMMY_TESTS_SOAK_H

#include "acceptance.h"

#define WORKERS 8u
#define ENTRIES 24u /* ids of each worker */
#define CALM 12u    /* from this one on they change rarely, so that an audit meets them at rest */
#define NAMES 12u
#define ANCHORS 4u /* services of the parent that everybody reports to */
#define SHARED 6u  /* ids that everybody registers and unregisters */
#define CAPACITY 1024u

/* What a registration says, drawn from one number, so that it can be drawn again to compare. */
typedef struct contents {
    uint32_t name, port, weight, tag_count;
    uint32_t metadata_bytes;
    char letter;
    bool long_endpoint;
} contents_t;

/* One id. Written by its worker alone, and by the parent while the worker is dead. */
typedef struct entry {
    _Atomic uint32_t turn; /* odd: a change is under way */
    _Atomic uint32_t present;
    _Atomic uint64_t drawn, text_drawn; /* contents at registration; metadata since */
    _Atomic uint64_t reference;
    _Atomic uint64_t successes, failures; /* reports acknowledged for this registration */
} entry_t;

typedef struct worker {
    _Atomic uint32_t life; /* odd: being killed, or dead */
    pid_t pid;
    _Atomic uint64_t operations, violations;
    /* Reports, over all lives: begun, acknowledged, refused; those to each anchor apart. */
    _Atomic uint64_t begun, successes, failures, refused;
    _Atomic uint64_t anchor_begun[ANCHORS], anchor_done[ANCHORS];
    entry_t entry[ENTRIES];
} worker_t;

typedef struct board {
    _Atomic uint64_t anchor[ANCHORS]; /* references */
    _Atomic bool over;
    _Atomic bool at_rest; /* ids from CALM on are left alone, so that it is the auditor who must notice a loss */
    worker_t worker[WORKERS];
} board_t;

extern board_t *board;

/* Id, and what the numbers in contents stand for. */
void soak_id(char id[64], uint32_t worker, uint32_t entry);
contents_t soak_contents(uint64_t drawn);
const char *soak_name(uint32_t name);
const char *soak_endpoint(const contents_t *contents);
const char *soak_tag(uint32_t i);

/* A life of a worker: works until the board says that it is over. */
typedef struct life {
    commy_mesh_t *mesh;
    worker_t *me;
    uint32_t number;
    uint64_t random;
} life_t;
void soak_work(life_t *life);

#endif /* COMMY_TESTS_SOAK_H */
