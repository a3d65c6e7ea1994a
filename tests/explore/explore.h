/*
 * The interleaving explorer: the library's own code, run by simulated processes one access at a time.
 *
 * Every access to a word of the region goes through base/atomic.h, which in this build calls cmy_schedule_point() first.
 * A simulated process is a fiber with a stack of its own, a handle of its own and a life word of its own; all of them
 * share one region in one real process. Between two accesses only one fiber runs, so that a run is told completely by
 * the order in which fibers made their accesses, and by the points at which processes died.
 *
 *     fiber.c    stacks, switching, what a process is at
 *     world.c    the region; every write to it can be taken back
 *     seams.c    what cannot be simulated: kernel, clocks, futexes, errors
 *     program.c  cases in letters, and what each letter calls
 *     history.c  what was called, in which order, with what result; whether one order explains it
 *     verdict.c  what must hold when a run has come to its end, and at every state on the way
 *     turns.c    the same for circuit breakers
 *     search.c   which runs to make
 *     trace.c    names of words, and replaying a schedule for people
 *     checkers.c who checks a service's health
 *     cases.c    what is explored
 *     main.c     the command
 *
 * What is explored: all interleavings of a case, not a sample, wherever the case comes to its end. A depth-first search
 * goes through all choices, and takes its steps back by restoring the words that were written and the stack of the fiber
 * that ran, so that a step costs the same at any depth. A state that was met before is not entered again. Two things
 * keep states few:
 *
 * a. A state is the content of the region, the live stacks, and the history; equal states have equal futures. It is told
 *    by 64 bits of hash. (Two different ones that meet in it would hide a part of the runs, never make one up.)
 * b. An access to a word that no other process ever writes, or that only this process ever touches, is made together with
 *    the one before. Which words these are is found out: a search that meets a new shared word is made again with what
 *    is known now, until there is no new one. A run in which somebody else touches such a word would contain a first
 *    touch that the search had met.
 *
 * Memory is sequentially consistent here; orders weaker than that are argued in docs/design.md.
 */
#ifndef EX_EXPLORE_H
#define EX_EXPLORE_H

#include <stdio.h>

#include "event/event.h"
#include "registry/check.h"
#include "registry/mesh.h"

/* Who acts. Processes of the case come first; everybody but the kernel has the participant slot of his number. */
#define EX_PROCESSES 4u
#define EX_SETTLER 4u  /* did the setup */
#define EX_OBSERVER 5u /* looks on afterwards, and beside stopped processes */
#define EX_ACTORS 6u
#define EX_KERNEL 6u /* writes life words */

/* ------------------------------------------------------------------ cases */

#define EX_MAY_BE_FULL 1u /* a registration may find no room */
#define EX_GROWS 2u       /* slabs begin empty and grow record by record */
#define EX_THREADS 8u     /* processes are threads of one: they share a handle, and die together */
#define EX_APART 4u       /* processes have not joined when they begin */

typedef struct ex_case {
    const char *name;                              /* what should be true */
    const char *program;                           /* see program.c */
    const char *setup;                             /* one process that has done all this when the others begin */
    uint8_t deaths;                                /* at most this many processes die, at any access */
    bool settler_dies;                             /* after the setup, not counted */
    uint8_t homes;                                 /* lines of each index */
    uint8_t line_cells, group_cells, line_members; /* 0 here and below: what is usual */
    uint8_t stat_cells;                            /* of participants, in a statistics block itself */
    uint8_t services, groups, lines, blocks;       /* records of each slab */
    uint8_t failures, most; /* that open a breaker; percent of a name's that are; 0: no breakers */
    uint8_t flags;
    uint8_t weight; /* share of the time, where all cases share it; 0: one */
} ex_case_t;

extern const ex_case_t ex_cases[];
extern const size_t ex_case_count;

/* ---------------------------------------------------------------- history */

#define EX_EVENTS 48u
#define EX_SCRATCH_EVENT (EX_EVENTS - 1) /* of calls that nobody asks about */
#define EX_OPS 28u                       /* of one process */
#define EX_IDS 4u
#define EX_DEATH '+'
#define EX_NOT_ENDED (-1)

#define EX_DETACHED 1u /* flags of a registration */
#define EX_TTL 2u
#define EX_WITH_TEXT 4u
#define EX_LONG_TEXT 8u
#define EX_IMPATIENT 16u /* of an offer to check */
#define EX_HALF 32u      /* of a leap of the clock */

/* One call, or one death. */
typedef struct ex_event {
    uint8_t who, kind, id, name, flags;
    bool begun, ended;
    int32_t status;
    uint64_t value, detail; /* what came of it; see program.c */
    uint64_t before;        /* a bit for each event that had ended when this one began */
} ex_event_t;

typedef struct ex_history {
    uint64_t ended, hash;
    ex_event_t event[EX_EVENTS];
} ex_history_t;

extern ex_history_t ex_history;

void ex_history_begin(uint32_t event);
void ex_history_end(uint32_t event);
uint64_t ex_history_hash(void);

/* Whether an order of the calls explains all results; ex_blame() says what else is wrong with them. */
bool ex_history_explained(void);
void ex_history_print(FILE *out);

/* --------------------------------------------------------------- programs */

#define EX_EVENT_KIND 63u /* of events that programs record */

typedef struct ex_op {
    uint8_t kind, id, name, flags;
} ex_op_t;

typedef struct ex_program {
    uint32_t count, first_event;
    ex_op_t op[EX_OPS];
} ex_program_t;

extern ex_program_t ex_program[EX_ACTORS];
extern uint32_t ex_process_count;

/* Sets up programs and events of a case. False, with a message, where its letters make no sense. */
bool ex_program_parse(const ex_case_t *what);

/* Gives the observer a program; its events come behind all others. */
void ex_program_observe(const char *ops);

/* One call, on the actor's fiber. */
void ex_program_run(uint32_t who, const ex_op_t *op, uint32_t event);

/* The event that ended a request, or will when it ends: of its process, an end, a leave or a death; EX_EVENTS: none. */
uint32_t ex_end_of_request(uint32_t begin);

/* Event of the observer's call of that number, in the latest program. */
uint32_t ex_observed_event(uint32_t number);

/* Of an offer's value: it was taken, and the result of the check that followed counted. */
#define EX_ELECTED 1u
#define EX_NOTED 2u

commy_status_t ex_offer(commy_mesh_t *mesh, const ex_op_t *op, ex_event_t *out);
commy_status_t ex_give_back(commy_mesh_t *mesh, const ex_op_t *op);

/* Event of a process's death. */
uint32_t ex_death_event(uint32_t who);

/* Texts of ids and names by number, from 1. */
const char *ex_id_text(uint32_t id);
const char *ex_name_text(uint32_t name);
void ex_program_choose_texts(void);

/* ----------------------------------------------------------------- fibers */

typedef enum ex_status {
    EX_NOBODY,
    EX_READY,  /* will touch `pending` next */
    EX_ASLEEP, /* in a futex */
    EX_DONE,   /* alive, with nothing left to do */
    EX_DEAD
} ex_status_t;

typedef struct ex_process {
    uint8_t status;
    bool timed_out;
    uint8_t op;          /* calls begun */
    uint8_t event;       /* of the one at hand */
    const void *pending; /* word; the process's start word in front of a call */
    const void *asleep_on;
    void *sp;
    uint64_t local; /* hash of the live stack; 0: not known */
} ex_process_t;

extern ex_process_t ex_process[EX_ACTORS];
extern uint32_t ex_running; /* actor whose fiber runs; EX_KERNEL: none */

#define EX_TOKENS 2u /* of one process, to one id */

/* What a process has for itself. It lies above its stack, and is saved with it. */
typedef struct ex_private {
    commy_mesh_t mesh;
    uint32_t owner, tid;               /* of its latest life */
    void *heap;                        /* of the selection at hand; see seams.c */
    uint64_t token[EX_IDS][EX_TOKENS]; /* of its requests to each id, the last first */
    cmy_flight_t flight[EX_IDS * EX_TOKENS];
    uint8_t open;        /* a bit for each of these */
    cmy_region_t region; /* its own view, where slabs grow; else all have the explorer's */
} ex_private_t;

ex_private_t *ex_private(uint32_t who);

/* What a selection allocates. It lies on the fiber's stack, so that it is saved and told apart with all else that the process
 * knows. */
typedef struct ex_heap {
    _Alignas(64) unsigned char memory[24576];
    size_t used;
} ex_heap_t;

/* The actor's handle: its own, or the one that threads share. */
extern commy_mesh_t ex_shared_mesh;
commy_mesh_t *ex_mesh(uint32_t who);

/* A fresh fiber that will run the actor's program from its first call. */
void ex_fiber_start(uint32_t who);

/* Lets it run up to its next access, or its end. */
void ex_fiber_resume(uint32_t who);

/* On a fiber: gives way. */
void ex_fiber_yield(void);

/* Hash of all that the process knows. */
uint64_t ex_fiber_hash(uint32_t who);

/* Live part of a stack: copies it to `to` and returns its bytes; puts it back. */
size_t ex_fiber_save(uint32_t who, void *to);
void ex_fiber_restore(uint32_t who, const void *from);
#define EX_STACK_BYTES 65536u

/* ------------------------------------------------------------------ world */

extern unsigned char *ex_base;
extern uint64_t ex_world_hash; /* of all that was written since the world was made */

/* A fresh region for a case, with its setup done and its processes joined. False where the setup came to a violation. */
bool ex_world_make(const ex_case_t *what);

/* One access of a process, and what follows it up to the next; returns whether it wrote. */
bool ex_world_step(uint32_t who);

/* The process dies here, or learns that its sleep is over. */
void ex_world_kill(uint32_t who);
void ex_world_time_out(uint32_t who);

/* Writes that can be taken back: a mark, and going back to it. */
size_t ex_world_mark(void);
void ex_world_back_to(size_t mark);

/* A word's value; writing it past the scheduler. Recorded where a fiber has it pending, or where nobody runs. */
uint64_t ex_peek(const void *word);
void ex_poke32(cmy_word32_t *word, uint32_t value);
void ex_poke64(cmy_word64_t *word, uint64_t value);

/* On a fiber, or nowhere: what the kernel does for a thread that ends. */
void ex_kernel_marks(uint32_t slot, uint32_t tid);

/* Whether somebody else may touch a word; EX_NEW_SHARED counts words that turned out to be. */
bool ex_is_shared(const void *word);
extern uint64_t ex_newly_shared;
extern bool ex_observer_counts; /* as somebody else */

/* Words beside the region: the clock, and one a process that it touches in front of each call. */
cmy_word64_t *ex_clock_word(void);
cmy_word64_t *ex_start_word(uint32_t who);

cmy_region_t *ex_region(void);

/* ---------------------------------------------------------------- verdict */

/* The first violation; empty: none. */
extern char ex_violation[1024];
void ex_blame(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Nobody can go on: everything that must hold then. Leaves the world as it was. */
void ex_verdict_end(const ex_case_t *what);

/* A part of it: of whom is elected to check services. */
void ex_verdict_checkers(void);

/* In the middle, everybody stopped: each can end its call alone; a bystander can do one of everything; the audit. Each
 * leaves the world as it was. */
void ex_verdict_solo(uint32_t who);
void ex_verdict_bystander(void);
void ex_verdict_audit(void);

/* The same for circuit breakers: at the end, and after the observer has looked at them. */
void ex_verdict_breakers(const ex_case_t *what);

/* After the observer's "F A I T I A S I" of an id. free: what ex_turn_is_free() said before. */
void ex_verdict_tried(uint32_t id, bool free);

/* Whether an observer has to be given the turn to try an id as it stands: it is open, and whoever tries it is dead. */
bool ex_turn_is_free(uint32_t id);

/* ----------------------------------------------------------------- search */

typedef struct ex_tally {
    uint64_t states, steps, ends, deaths, solos, passes;
    double schedules; /* paths through all states */
    uint32_t depth;
    bool complete;
} ex_tally_t;

/* All interleavings with at most so many preemptions, until there are no more or time is up. Stops at the first
 * violation. */
#define EX_UNBOUNDED UINT32_MAX
void ex_search_all(const ex_case_t *what, double seconds, uint32_t bound, ex_tally_t *tally);

/* Random ones. */
void ex_search_random(const ex_case_t *what, double seconds, uint64_t seed, ex_tally_t *tally);

/* The run that led to the violation. */
const char *ex_search_schedule(void);
void ex_search_found(const char *schedule); /* to be told instead */

/* Everything that moves, for going back. */
typedef struct ex_snapshot ex_snapshot_t;
ex_snapshot_t *ex_snapshot_take(uint32_t who);  /* who: whose stack may change; EX_KERNEL: nobody's */
void ex_snapshot_back(ex_snapshot_t *snapshot); /* and gives it up; in reverse order of taking */

/* Processor time in seconds, so that what is searched does not depend on what else the machine does. */
double ex_now(void);

/* ------------------------------------------------------------------ trace */

/* What people call a word. */
const char *ex_word_name(const void *word, char *out, size_t room);

/* Runs a schedule and prints each access. Returns whether it was one. */
bool ex_replay(const ex_case_t *what, const char *schedule, FILE *out);

#endif /* EX_EXPLORE_H */
