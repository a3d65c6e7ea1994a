/*
 * Random war: what its files share.
 *
 *     main.c        the command line, and wars that must be lost
 *     commander.c   chooses fighters, kills and stops them, buries them, calls truces, ends battles
 *     log.c         the log that all processes of a war share: places, entries, properties
 *     expect.c      what one entry, or one name, of the log lets anybody expect of the registry
 *     fight.c       what a thread of a fighter does
 *     serve.c       what clients do: select, and have requests in flight
 *     brawl.c       what many fight for at once, and what comes and goes in crowds
 *     lives.c       what lives they lead: for a millisecond, with many threads, as forked children
 *     ward.c        what clients do to circuit breakers: fail, try, reset, and are turned away
 *     ward_audit.c  how many are open, and what is exact of them at rest
 *     patients.c    who checks whose health: monitors, and the sockets that they ask
 *     watch.c       read-only watchers, and those that have a watcher of the library's
 *     recorder.c    what the flight recorder tells
 *     peace.c       what one process does while all others rest
 *     strangers.c   fighters that know nothing of the log or are written in another language
 *     audit.c       audits while the war goes on, and exact ones while it rests
 *     plant.c       faults that are put in on purpose, to show that the war finds them
 *
 * The log lies in memory that no library function ever touches. A fighter writes there what it is about to do before a
 * call and what it was told after it. Whoever looks at the registry, and everybody may at any time, reads the log, asks,
 * and reads the log again: where the log says the same before and after, the answer must be what it says. Nobody is
 * paused for that.
 *
 * A place is what one process after another fights under. Its ids are its own, so that an entry of the log has one writer
 * at a time: a thread of the process, or, once waitpid() returned, the commander.
 *
 *     doom   epoch * 2 + 1 from before the process may be dead (killed, leaving) until the next one begins
 *
 *     word   63              32 31           8 7       0
 *           +------------------+--------------+---------+
 *           | registration  32 | change    24 | state 8 |
 *           +------------------+--------------+---------+
 *
 *     NONE --call--> ENTERING --success--> HELD <--> UPDATING; HELD --call--> LEAVING --success--> NONE
 *
 * In HELD all is known, in UPDATING that it is registered, in NONE that it is not; in ENTERING and LEAVING nothing is. A
 * registration number never comes back, so two equal words mean that nothing happened in between.
 */
#ifndef COMMY_TESTS_WAR_H
#define COMMY_TESTS_WAR_H

#include "../acceptance.h"

#define SEATS 64u          /* places of processes that the commander starts */
#define PLACES (2 * SEATS) /* the second half: children that those have forked */
#define ENTRIES 8u         /* ids of a place */
#define LEASED 7u          /* the entry whose services are detached */
#define THREADS 4u         /* most threads of a fighter */
#define OPEN 8u            /* most requests that one of them has in flight */
#define NAMES 12u          /* the names of most battles; the first of */
#define MANY_NAMES 600u    /* those of battles in which there is no room for so many */
#define SHARED 10u         /* ids that everybody wants */
#define BRINKS 8u          /* ids of leases that end all the time */
#define WARDS 20u          /* services that nothing happens to but what opens and closes their breakers */
#define PATIENTS 4u        /* services that are checked; the first half of them answers */
#define ALL (PLACES * ENTRIES)

/* --------------------------------------------------------------- properties */

/* name, what should be true, whether a war without it has failed (some need a command or a library to be given) */
#define WAR_PROPERTIES(X)                                                                                              \
    X(FOUND, "an acknowledged registration of a live process is found", 1)                                             \
    X(CONTENT, "its contents are what was acknowledged last", 1)                                                       \
    X(ONCE, "it comes exactly once among its name's instances and in a walk over all", 1)                              \
    X(WHOLE, "whatever is found is one registration of that id from end to end", 1)                                    \
    X(ABSENT, "nothing is found that was refused, unregistered, or never registered", 1)                               \
    X(BURIED, "nothing of a process is found after its waitpid()", 1)                                                  \
    X(LEASE, "a detached service is found until its lease ends and not after, whoever died", 1)                        \
    X(UNIQUE, "an id that many want has one holder at a time", 1)                                                      \
    X(STALE, "a reference to what was unregistered is refused", 1)                                                     \
    X(CALLS, "calls succeed, or are refused for a reason that holds", 1)                                               \
    X(ROOM, "a region with room refuses nothing", 1)                                                                   \
    X(FORKED, "a forked child gets code 15 from the handle it inherited, and may attach anew", 1)                      \
    X(TOTALS, "mesh totals lie between acknowledged and acknowledged with in doubt", 1)                                \
    X(COUNTED, "a service's counts are what was acknowledged, or in doubt", 1)                                         \
    X(SELECTED, "what is selected is registered, enabled, and healthy or degraded", 1)                                 \
    X(DRAINED, "what was said to be drained, in maintenance or unhealthy is not selected any more", 1)                 \
    X(FIT, "a selection is refused only where nothing may be selected", 1)                                             \
    X(IN_FLIGHT, "at rest a service has in flight what the living have begun and not ended", 1)                        \
    X(LAPSED, "who misses its TTL is unhealthy to all from then on, until a heartbeat", 1)                             \
    X(SPARED, "an open instance is selected by nobody but the one whose turn it is", 1)                                \
    X(TURN, "one at a time has the turn to try an open instance", 1)                                                   \
    X(FREE_TURN, "a turn that nobody has is given to the next who selects the instance", 1)                            \
    X(HEIR, "so is the turn of the dead, at once", 1)                                                                  \
    X(DECIDED, "what the one who tries an instance reports decides, at rest", 1)                                       \
    X(SHARE, "no more are open than the share, and one for each who died or was stopped opening one", 1)               \
    X(RESET, "a breaker that was reset has closed; at rest its instance can be selected", 1)                           \
    X(CONFIGURED, "a configuration of breakers that was acknowledged is there", 1)                                     \
    X(CHECKER, "at rest a monitored service has one checker, who lives, whoever had it before", 1)                     \
    X(CHECKS, "the checker checks, and nobody else", 1)                                                                \
    X(DIAGNOSED, "at rest the health of who is monitored is what its checks say", 1)                                   \
    X(FORWARD, "no counter goes back", 1)                                                                              \
    X(GROWS, "versions grow only", 1)                                                                                  \
    X(MOVES, "a version has moved when a change is acknowledged", 1)                                                   \
    X(STANDS, "versions stand still while nothing changes", 1)                                                         \
    X(LAST, "a sleeping watcher has seen the last state", 1)                                                           \
    X(WATCHED, "so has a watcher of the library's, by waits or by descriptor, and of each change", 1)                  \
    X(EVENTS, "every event of the flight recorder is whole, and makes sense", 1)                                       \
    X(OBITUARY, "it tells of the death of none who lives", 1)                                                          \
    X(RECORDED, "it tells once of what was acknowledged, and of a death that was reaped, at rest", 1)                  \
    X(SOUND, "the audit finds nothing while the war goes on", 1)                                                       \
    X(EXACT, "the exact audit finds nothing at rest", 1)                                                               \
    X(NO_LEAK, "records in use at rest are those acknowledged or in doubt", 1)                                         \
    X(SLOTS, "participants at rest are the live processes that joined", 1)                                             \
    X(PROGRESS, "others complete every operation while many are stopped anywhere", 1)                                  \
    X(PARKED, "every call comes to its end", 1)                                                                        \
    X(ENDED, "processes end only when they are killed or want to", 1)                                                  \
    X(REMOVED, "a deserted region can be removed, and nothing is left of it", 1)                                       \
    X(WRAPPED, "programs under `commy run` are registered", 0)                                                         \
    X(SCRIPTED, "a client in another language is told what it expects", 0)

typedef enum war_property {
#define WAR_ENUM(name, what, needed) WAR_##name,
    WAR_PROPERTIES(WAR_ENUM)
#undef WAR_ENUM
        WAR_PROPERTY_COUNT
} war_property_t;

/* Looks at a property once, from any process. The first few violations are printed. Returns `holds`. */
bool war_hold(war_property_t property, bool holds, const char *format, ...) __attribute__((format(printf, 3, 4)));
int war_verdict(void);
bool war_is_lost(void);         /* something was violated */
bool war_is_decided(void);      /* and the war ends with that */
uint64_t war_patience_ns(void); /* with what comes to rest when nobody dies any more */

/* -------------------------------------------------------------------- the log */

enum { WAR_NONE, WAR_ENTERING, WAR_HELD, WAR_UPDATING, WAR_LEAVING };

#define WAR_DETACHED (1ull << 20)
#define WAR_PLAIN (1ull << 21) /* as strangers register: a name, an endpoint and a port */

/* 64 bytes; client.py knows word, content and reports by their places. */
typedef struct war_entry {
    _Atomic uint64_t word;
    _Atomic uint64_t content; /* weight 16, health 2, admin 2, DETACHED, PLAIN, number of the metadata from bit 32 */
    _Atomic uint64_t lasts_until_ns, ends_by_ns; /* of a lease: sure to be there, sure to be gone */
    _Atomic uint64_t reports;                    /* acknowledged ones: registration 32, number 32 */
    _Atomic uint64_t ttl_ns;                     /* 0: its lease never ends */
    _Atomic uint64_t tried;                      /* reports begun: registration 32, number 32 */
    uint64_t pad;
} war_entry_t;

/* What one thread of a place did, over all epochs: 64 bytes. */
typedef struct war_cell {
    _Atomic uint64_t operations;
    _Atomic uint64_t begun[2], done[2], refused[2]; /* reports: failures, successes */
    _Atomic uint32_t parked;                        /* the truce it knows of */
    uint32_t pad;
} war_cell_t;

typedef enum war_kind {
    WAR_BRIEF,   /* joins, registers a few, is killed after a moment */
    WAR_CHURNER, /* several threads, a long life */
    WAR_FORKER,  /* forks while it holds registrations */
    WAR_CHILD,   /* what a forker forked */
    WAR_WATCHER, /* read-only: looks, and sleeps until something changes */
    WAR_WRAPPER, /* `commy run` */
    WAR_SCRIPT,  /* client.py */
    WAR_KINDS
} war_kind_t;

typedef struct war_place {
    _Atomic uint32_t doom;
    _Atomic int32_t pid;
    _Atomic uint32_t taken;   /* a process has it; of a forked child: from before the fork */
    _Atomic uint32_t threads; /* that will park; 0: not yet known */
    _Atomic uint32_t joined;  /* participants that it is */
    _Atomic uint32_t kind;
    uint32_t pad[10];
    /* A watcher's last look, written between two increments of `turn`. */
    _Atomic uint64_t turn, watched, version, digest, wakes;
    _Atomic uint64_t by_watcher; /* it has one of the library's */
    uint64_t pad_watch[2];
    war_cell_t cell[THREADS];
    war_entry_t entry[ENTRIES];
    _Atomic uint64_t open[THREADS][OPEN]; /* requests in flight, by reference: from after begin to before end */
    /* Of wards that it tries: until when it is sure to have the turn, and in which change; from after the selection to
     * before its next report. 0: none. */
    _Atomic uint64_t trying[WARDS];
    _Atomic uint32_t failing[THREADS], failed[THREADS]; /* failures of wards: begun, and ended soon; over all epochs */
    _Atomic uint32_t monitors[PATIENTS];                /* from after its call to before the one that ends it */
} war_place_t;

typedef struct war_log {
    _Atomic uint64_t looked[WAR_PROPERTY_COUNT], violated[WAR_PROPERTY_COUNT];
    _Atomic uint32_t truce;   /* odd: everybody comes to the end of a call and waits */
    _Atomic uint32_t calm;    /* auditors ask the commander to stop nobody */
    _Atomic uint32_t closing; /* the battle ends: the auditor goes home */
    _Atomic uint64_t holder[SHARED];
    _Atomic uint64_t brink[BRINKS];  /* until when each lasts at least */
    _Atomic uint32_t breakers;       /* are configured */
    _Atomic uint32_t round, arrived; /* at rest: of those who fail wards at the same time */
    _Atomic uint32_t ward[WARDS];    /* is registered; so is */
    _Atomic uint32_t patient[PATIENTS];
    /* Who came to a patient's socket last, and how often: another than before, any, the commander. */
    _Atomic int32_t visitor[PATIENTS];
    _Atomic uint32_t others[PATIENTS], visits[PATIENTS], rounds[PATIENTS];
    uint64_t began_real_ns; /* the battle */
    _Atomic uint64_t audits, exact_audits, version_moves;
    _Atomic uint32_t battle, guests; /* guests: participants that have no place */
    uint32_t capacity, names;
    bool first;   /* the war is over when something was violated */
    bool planted; /* a fault, so that it is lost anyway */
    bool roomy;   /* the region has room for all, so that nothing may be refused */
    pid_t commander;
    int memory; /* descriptor of the log itself, for those that cannot inherit its mapping */
    char dir[64];
    war_place_t place[PLACES];
} war_log_t;

extern war_log_t *war;

static inline uint64_t war_real_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void war_log_make(void);
void war_log_clear(void); /* between battles: nothing is registered, nothing was reported; epochs go on */

static inline uint32_t war_state(uint64_t word)
{
    return (uint32_t)(word & 0xff);
}
static inline uint32_t war_registration(uint64_t word)
{
    return (uint32_t)(word >> 32);
}
static inline bool war_is_in(uint64_t word)
{
    return war_state(word) == WAR_HELD || war_state(word) == WAR_UPDATING;
}
/* The next word: of the next registration when that begins, else of the next change. */
static inline uint64_t war_next(uint64_t word, uint32_t state)
{
    if (state == WAR_ENTERING)
        return ((word >> 32) + 1) << 32 | state;
    return (word & 0xffffffff00000000u) | ((word + 0x100) & 0xffffff00u) | state;
}
/* Of a lease that is sure to last; of one that never ends UINT64_MAX. */
static inline uint64_t war_lasts_until(const war_entry_t *entry)
{
    return atomic_load(&entry->ttl_ns) == 0 ? UINT64_MAX : atomic_load(&entry->lasts_until_ns);
}
static inline war_entry_t *war_entry(uint32_t number)
{
    return &war->place[number / ENTRIES].entry[number % ENTRIES];
}

/* After waitpid(): nothing is registered under a place any more but what is detached. */
void war_place_clear(uint32_t place);

/* ------------------------------------------------------- what is registered under an entry */

typedef struct war_service {
    char id[128], endpoint[256], version[32], zone[32], tags[4][32];
    const char *tag[4];
    uint32_t tag_count, name;
    uint16_t port;
} war_service_t;

const char *war_name(uint32_t name);
void war_id(uint32_t entry, char id[128]);
uint32_t war_name_of(uint32_t entry, uint32_t registration);
void war_describe(uint32_t entry, uint32_t registration, uint64_t content, war_service_t *service);
size_t war_metadata(uint32_t entry, uint64_t content, char text[1024]);
bool war_entry_of(const char *id, uint32_t *entry); /* false: none of the log's */
void war_node(uint32_t place, uint32_t epoch, char node[64]);

/* -------------------------------------------------------------------- expecting */

/* Looks at the services of an entry, or of a name, or (WALK) of all, and holds them up against the log. */
#define WAR_WALK UINT32_MAX
uint32_t war_registration_of(uint32_t entry, uint16_t port); /* out of its last 50,000 */
void war_expect_entry(const commy_mesh_t *mesh, uint32_t entry, bool deep);
void war_expect_whole(uint32_t entry, const commy_service_info_t *info);
void war_expect_target(uint32_t entry, const commy_target_t *target);
void war_expect_name(const commy_mesh_t *mesh, uint32_t name);

/* A number for all that can be seen of a name, or of all, that does not depend on the order. */
uint64_t war_digest(const commy_mesh_t *mesh, const char *name);

/* The same of what a watcher watches: 0 the mesh, up to NAMES a name, behind these an entry. */
uint64_t war_digest_watched(const commy_mesh_t *mesh, uint64_t watched);

/* --------------------------------------------------------------------- fighting */

/* A request in flight, or none (token 0). */
typedef struct war_open {
    uint64_t token;
    uint32_t entry, registration;
} war_open_t;

/* One thread of a fighter. */
typedef struct war_fighter {
    commy_mesh_t *mesh;
    uint32_t place, epoch, thread, threads;
    uint64_t random;
    uint64_t version[NAMES + 1]; /* last seen; the mesh's behind those of the names */
    uint64_t held[ENTRIES];      /* references to its own services, */
    uint64_t gone[ENTRIES];      /* and to some that it has unregistered */
    war_open_t open[OPEN];
} war_fighter_t;

bool war_called(commy_status_t status, const char *what, uint32_t entry);            /* what any call may come to */
void war_act(war_fighter_t *fighter);                                                /* one thing or another */
commy_status_t war_report(war_fighter_t *fighter, uint64_t reference, bool success); /* counted in the log */
void war_brawl_begin(const commy_mesh_t *mesh);                                      /* once in a process */
void war_brawl(war_fighter_t *fighter);
bool war_count(_Atomic uint64_t *requests, uint32_t registration);
void war_serve(war_fighter_t *fighter);
void war_expect_drained(war_fighter_t *fighter, uint32_t entry, uint64_t content); /* its own, just changed */
bool war_select(commy_mesh_t *mesh, uint64_t *random, uint32_t *entry, commy_target_t *target);
void war_forget_requests(war_fighter_t *fighter); /* the handle has left */
void war_audit_requests(const commy_mesh_t *mesh);

/* Breakers: once in a process that joined; one thing or another; the commander's and the auditor's part. */
void war_ward_begin(commy_mesh_t *mesh);
void war_ward(war_fighter_t *fighter);
void war_audit_wards(const commy_mesh_t *mesh);
void war_wards_at_rest(war_fighter_t *fighter);
void war_forget_turns(uint32_t place); /* the handle leaves */

/* Health checks. */
void war_consult_begin(war_fighter_t *fighter);
void war_consult(war_fighter_t *fighter);
void war_host(void *argument) __attribute__((noreturn)); /* a process, which patients are behind */
void war_audit_patients(const commy_mesh_t *mesh);       /* at rest */

/* Wards and patients that are there; takes all of them away. */
uint32_t war_inmates(const commy_mesh_t *mesh, const char *stem,
                     uint32_t of); /* how many of stem-0, stem-1 ... there are */
void war_discharge(commy_mesh_t *mesh, const char *stem, uint32_t of);

/* The flight recorder. */
void war_audit_events(const commy_mesh_t *mesh);
void war_record_at_rest(war_fighter_t *fighter);

void war_settle(war_fighter_t *fighter); /* takes away what the last one here left detached and in doubt */
void war_desert(war_fighter_t *fighter); /* leaves the mesh and joins it again */

commy_mesh_t *war_attach(uint32_t flags, uint32_t place); /* null: there is no region */
void war_fight(uint32_t place, war_kind_t kind, uint64_t random) __attribute__((noreturn));
void war_watch(uint32_t place, uint64_t random) __attribute__((noreturn));
/* A watcher over one change of one's own, seldom; whether that was acknowledged, and is one. */
typedef struct war_sight {
    commy_watcher_t *watcher;
    int fd;
} war_sight_t;
void war_sight_open(war_fighter_t *fighter, uint32_t entry, uint32_t name, war_sight_t *sight);
void war_sight_close(war_sight_t *sight, bool changed);
void war_run_wrapper(uint32_t place) __attribute__((noreturn));
void war_run_script(uint32_t place, uint64_t random) __attribute__((noreturn));
bool war_has_tool(void);
bool war_has_script(void);
/* The commander sees by itself that a wrapper has registered its program. */
void war_see_wrapper(const commy_mesh_t *mesh, uint32_t place);
/* One of every operation, by a process of its own, in a given time. */
bool war_probe(uint32_t seconds);
/* What is exact where everybody else rests: a process of its own. */
bool war_peace(uint32_t seconds);
bool war_errand(void (*body)(void), uint32_t seconds); /* a process that ends with 0, in time */

/* --------------------------------------------------------------------- auditing */

void war_audit(void *argument) __attribute__((noreturn)); /* a process */
void war_audit_all(const commy_mesh_t *mesh);
void war_audit_truce(const commy_mesh_t *mesh); /* everybody is parked */
void war_audit_deserted(commy_mesh_t *mesh);    /* everybody is dead and buried */

/* --------------------------------------------------------------------- planting */

typedef enum war_plant {
    WAR_PLANT_NOTHING,
    WAR_PLANT_LOST,
    WAR_PLANT_GHOST,
    WAR_PLANT_LEAK,
    WAR_PLANT_COUNTER,
    WAR_PLANT_TURN,
    WAR_PLANT_CROWDED,
    WAR_PLANT_QUACK,
    WAR_PLANT_ERASED,
    WAR_PLANTS
} war_plant_t;
bool war_plant_named(const char *name, war_plant_t *plant);
void war_plant(void *argument) __attribute__((noreturn)); /* a process */

/* ------------------------------------------------------------------- commanding */

typedef struct war_tally {
    uint64_t kills, stops, ends, started[WAR_KINDS], battles, truces, halts;
    uint64_t inside, outside; /* killed in the middle of a change; before having joined, or after having left */
} war_tally_t;
extern war_tally_t war_tally;
void war_battle(uint64_t ns, uint64_t random, war_plant_t plant);

#endif /* COMMY_TESTS_WAR_H */
