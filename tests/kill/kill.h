/*
 * What the files of this test share.
 *
 * A *world* is a real region with two participants that never move (a process of its own holds them, stopped for good).
 * A *scene* is the bytes that a run starts from. An *image* is a private copy of a region's bytes that the library's own
 * functions work on, as if it were mapped. A *victim* is a process that makes one call while it is single-stepped.
 */
#ifndef COMMY_TESTS_KILL_H
#define COMMY_TESTS_KILL_H

#include "../acceptance.h"

#include "group/internal.h"
#include "registry/check.h"
#include "registry/mesh.h"

/* Slots of participants, the same in every run: two live ones, the victim, and two who died. */
enum { SLOT_A, SLOT_B, SLOT_VICTIM, SLOT_DEAD, SLOT_REAPER, SLOTS_USED };
#define SLOTS_WATCHED 8u

typedef struct world {
    const char *dir, *name;
    uint32_t capacity;
    commy_mesh_t *mesh;   /* acts as participant A */
    cmy_region_t *region; /* mesh's */
    size_t bytes;
    unsigned char *calm; /* the region when nobody but A and B is in it */
} world_t;

typedef struct image {
    commy_mesh_t mesh; /* acts as participant A; may be handed to any public function */
    cmy_region_t region;
    unsigned char *bytes;
} image_t;

extern world_t worlds[2];

/* What differs between two looks at a real region, looked for where it can be. */
typedef struct watch {
    const world_t *world;
    unsigned char *shadow; /* the region as it was at the last look */
    uint32_t used[CMY_SLABS];
} watch_t;

/* ------------------------------------------------------------------- image.c */

commy_mesh_t *attach_to(const char *dir, const char *name, uint32_t flags);
void world_open(world_t *world, const char *dir, const char *name, uint32_t capacity);
void world_close(world_t *world);
void world_restore(const world_t *world, const unsigned char *bytes); /* nobody is at work */
uint32_t owner_in(const unsigned char *bytes, const world_t *world, uint32_t slot);

void image_open(image_t *image, const world_t *world);
void image_close(image_t *image);
void image_load(image_t *image, const unsigned char *bytes);
void image_act_as(image_t *image, uint32_t slot);
void image_seat(image_t *image, uint32_t slot);               /* an ARMED participant that exists here only */
void image_bury(image_t *image, uint32_t slot, bool noticed); /* it is dead; noticed: somebody moved it to DEAD */
void image_kill(image_t *image, uint32_t slot);               /* as the kernel would: its process was killed */

void watch_open(watch_t *watch, const world_t *world);
void watch_close(watch_t *watch);
void watch_begin(watch_t *watch);
bool watch_changed(watch_t *watch);
bool watch_complete(const watch_t *watch); /* nothing changed elsewhere */

/* -------------------------------------------------------------------- calls.c */

/* What a call wants to find in its scene. */
#define WANT_JOINED 1u    /* the victim has joined */
#define WANT_SUBJECT 2u   /* the service that the call is about */
#define WANT_STATS 4u     /* which has a statistics block */
#define WANT_LAPSED 8u    /* and whose lease has ended */
#define WANT_OWN 16u      /* further services of the victim's */
#define WANT_LEFT 32u     /* something that a dead owner left */
#define CALL_BLOCKS 64u   /* waits for the victim's keeper, which then is stepped too */
#define CALL_ENDS 128u    /* takes all services of the victim away */
#define CALL_STORES 256u  /* is killed behind every store */
#define CALL_SLEEPS 512u  /* until somebody announces a change */
#define CALL_CLEANS 1024u /* leaves nothing of the dead */
#define WANT_FAILED 2048u /* it has failed so often that once more opens its breaker */
#define WANT_OPEN 4096u   /* its breaker is open, and it may be tried */
#define WANT_TRIED 8192u  /* the same, and the victim tries it */
#define CALL_OPENS 16384u /* its breaker is open afterwards */
#define CALL_CLOSES 32768u

/* What is seen of one service. */
typedef struct sight {
    commy_service_info_t info;
    uint64_t text_hash, reference, requests, in_flight, lease_end, open;
} sight_t;

typedef enum verdict_kind { VERDICT_BEFORE, VERDICT_AFTER, VERDICT_NEITHER } verdict_kind_t;

typedef struct call {
    const char *name;
    unsigned flags;
    const commy_service_config_t *config; /* of the subject: what is registered, or what the scene holds */
    commy_status_t (*run)(commy_mesh_t **mesh, const struct call *call, uint64_t reference);
    /* null, null: absent. null function: nothing may change. */
    verdict_kind_t (*judge)(const struct call *call, const sight_t *before, const sight_t *now);
} call_t;

extern const call_t calls[];
extern const size_t calls_count;
extern const char new_text[], small_text[], large_text[];
bool is_registering(const call_t *call);
bool is_counting(const call_t *call); /* one request */
bool is_failing(const call_t *call);  /* which failed */
bool sight_same(const sight_t *a, const sight_t *b);

/* ------------------------------------------------------------------- scenes.c */

typedef struct scene {
    const call_t *call;
    const char *state;
    const world_t *world;
    unsigned char *bytes;
    uint64_t reference; /* of the subject */
    commy_status_t expected;
} scene_t;

extern const char *const states[];
extern const size_t states_count;
void scene_make(scene_t *scene, const call_t *call, size_t state);
void scene_free(scene_t *scene);

/* ------------------------------------------------------------------- victim.c */

/* Shared with victims. */
typedef struct board {
    _Atomic int go, done;
    _Atomic uint32_t operation; /* of a stepped other */
    int status;
} board_t;
extern board_t *board;

typedef struct victim {
    pid_t pid, keeper;           /* keeper 0: none */
    bool blocks;                 /* the keeper is stepped whenever the calling thread sleeps */
    bool main_runs, keeper_runs; /* was resumed and has not stopped */
    bool keeper_gone;
} victim_t;

typedef enum step { STEP_STOPPED, STEP_DONE, STEP_CRASHED, STEP_STUCK } step_t;

/* Runs body(argument) in a traced child up to its trap(). */
void victim_begin(victim_t *victim, void (*body)(const void *argument), const void *argument);
void victim_freeze_keeper(victim_t *victim);
step_t victim_step(victim_t *victim); /* one instruction */
/* Lets it run until it is done. wake: called again and again meanwhile. */
bool victim_finish(victim_t *victim, void (*wake)(const void *argument), const void *argument);
void victim_kill(victim_t *victim);              /* SIGKILL, and waits */
uint64_t victim_address(const victim_t *victim); /* of its next instruction */
/* Runs to an instruction, and past it so many times less one. False where it does not come by. */
bool victim_run_to(const victim_t *victim, uint64_t address, uint64_t times);
bool victim_calls(const victim_t *victim); /* its next instruction is a system call */
void trap(void);                           /* where the tracer takes over; also behind the call */
pid_t hold_participants(void);

/* ------------------------------------------------------------------- others.c */

/* What another process does while the victim is stopped. */
typedef struct others {
    const call_t *call; /* the victim's */
    uint32_t turn;      /* counts operations */
    bool last;          /* nobody wants the subject after this one */
} others_t;
extern const char *const operations[];
extern const size_t operations_count;
/* Makes one operation; false with a reason where it is not what it must be. */
bool other_operation(commy_mesh_t *mesh, others_t *others, size_t operation, const char **why);
bool other_swaps(commy_mesh_t *mesh, others_t *others, const char **why);
/* Attaching, joining, leaving, detaching, creating and removing, which are another process's in the region itself; and
 * a death. */
bool other_lifecycle(const world_t *world, bool death, const char **why);
void helper_begin(void);
void helper_end(void);

/* ------------------------------------------------------------------ verdict.c */

/* What is there to see in a region. */
#define SIGHTS 72
typedef struct panorama {
    sight_t sight[SIGHTS];
    uint32_t count;
    uint64_t successes, failures, latency_ns;
    uint32_t participants;
} panorama_t;

typedef struct tally {
    uint64_t stops, changes, audits, kills, others, real_others, violations, stepped, missed;
    uint64_t beside; /* victims that went on to their end in what others had left */
    uint64_t many;   /* stops at which others made each operation a thousand times (the slice: a hundred) */
} tally_t;

/* One run of a call from a scene. */
typedef struct run {
    const scene_t *scene;
    image_t *image;
    pid_t victim_pid;
    panorama_t before;
    bool after;       /* the call has taken effect */
    uint64_t version; /* of the subject's name, before the call */
    uint64_t stop, change;
    uint32_t taken[CMY_SLABS]; /* records in use at the beginning, but for those of the dead */
    tally_t tally;
    bool plant; /* spoil every copy before it is audited */
} run_t;

void run_begin(run_t *run, const unsigned char *bytes);
void judge_image(run_t *run, const unsigned char *bytes);
void judge_others(run_t *run, const unsigned char *bytes, uint32_t times);
void judge_real(run_t *run);
void judge_answer(run_t *run, int status, bool subject_was_taken);
void judge_remains(run_t *run, const commy_mesh_t *mesh);
void judge_end(run_t *run, const unsigned char *bytes, int status);
bool run_holds(run_t *run, property_t *property, bool holds, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

extern property_t p_audit, p_whole, p_unhurt, p_no_leak, p_dead_unseen, p_result, p_told, p_progress, p_bound,
    p_watched, p_killed, p_enough, p_files;
extern bool first_only; /* end the test at the first violation */
extern uint64_t longest_operation_ns;
extern size_t longest_operation;

/* --------------------------------------------------------------------- runs.c */

/* Where the judged victim stood at each stop, and at which stops the region had changed. */
struct trail {
    uint64_t *address, *changed_at;
    uint64_t stops, changes;
    uint64_t told;  /* the stop at which a sleeper was told of a change; 0: none was */
    uint64_t alone; /* up to here its keeper had no part in it */
};
extern struct trail trail;
extern bool plant; /* spoil every copy before it is audited */
extern uint64_t worst_steps[16];

uint64_t instructions_seen(void); /* how many different ones victims were stopped at */

void runs_begin(const char *dir);
void runs_end(void);
void add_up(tally_t *sum, const tally_t *more);
/* Steps through the whole call and judges. others_often: how often others make each operation at 1 % of the stops. */
void judge_all(const scene_t *scene, tally_t *tally, uint32_t others_often);
void kill_at(const scene_t *scene, tally_t *tally, uint64_t stop);
/* Who works in the real region while a victim is stopped. */
typedef struct company {
    uint32_t times;     /* each operation */
    bool takes_subject; /* and unregisters the subject at last, */
    bool swaps;         /* or registers its id in another's place, and nothing else */
    bool count;         /* and is stepped through all of that once, in front */
} company_t;
/* The victim is stopped, others work where it stands, and it goes on to its end in what they left. */
void stop_at(const scene_t *scene, tally_t *tally, uint64_t stop, const company_t *company);

/* -------------------------------------------------------------------- files.c */

/* Returns how many of its pairs the slice leaves out. */
uint32_t files_run(const char *in, bool full, bool (*wanted)(const char *call, const char *state),
                   void (*print)(const char *call, const char *state, const tally_t *tally));

#endif /* COMMY_TESTS_KILL_H */
