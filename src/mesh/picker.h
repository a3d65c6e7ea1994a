/*
 * Pickers: what a handle keeps so that selecting one of ten thousand instances costs what selecting one of ten does.
 *
 * A picker is made for one name, one policy and one filter: an immutable array of the instances that might be selected
 * when it was made, the policy's table over them, and where loads are compared the numbers of their blocks as far as they are known. It is reached under RCU through a table of sets of four:
 *
 *     hash of name and filter, policy --> set --> [ picker | picker | null | picker ]
 *
 *                      build                 publish                   a newer one, or another name's
 *     the region's walk -----> private ------------------> published ------------------------------> retired --> freed
 *                                 |  another thread was first                                       grace period
 *                                 +--------------------------------> used once, freed
 *
 * a. A picker is current while neither the word of the name's stripe (wait.h) nor the death epoch has moved since
 *    before the walk that it was made of, and nobody was passed over whose breaker is closed, or off. Every change of an instance raises the word after it can be seen, so a picker
 *    that is current holds all that was acknowledged.
 * b. What is selected is looked at in the region again, whether or not the picker is current: the instance's state is
 *    the very one that it was picked under, its owner lives, it is enabled and healthy or degraded, and then the state
 *    again. So a death, a drain and a missed lease are seen by the next selection, before any picker is made anew.
 * c. A picker that is not current is made anew by one thread at a time; others meanwhile select from the old one, to
 *    which b. applies, and make one for themselves only if it has nothing for them. Who is stopped while making one
 *    delays nobody.
 * d. At most CMY_PICKERS pickers stand in the table, and 32 or 4 MiB of retired ones wait to be freed. The one that
 *    goes for another name's is one that was not used again since the last went from its set, if there is such: names
 *    that are asked for once make room for each other.
 *
 * A filter's pickers have rotations of their own. With the host's, of two filters that are used by turns each would see
 * every other turn, and some of its instances none.
 *
 * Progress: selecting from a current picker is wait-free; making one is bounded by the walk. Crash: private memory, but
 * for the rotations (shm.h). A forked child frees what it inherits with the handle, and is refused everything else.
 */
#ifndef CMY_MESH_PICKER_H
#define CMY_MESH_PICKER_H

#include <stdalign.h>
#include <stdatomic.h>

#include "mesh/filter.h"
#include "mesh/policy.h"
#include "registry/mesh.h"
#include "stat/breaker.h"

#define CMY_PICKER_SETS 256u
#define CMY_PICKER_WAYS 4u
#define CMY_PICKERS (CMY_PICKER_SETS * CMY_PICKER_WAYS)

/* An instance, and the state and weight in which it was found. */
typedef struct cmy_pick {
    uint64_t state;
    uint32_t record, weight;
} cmy_pick_t;

/* What kept instances out of a picker. */
typedef struct cmy_unfit {
    uint32_t instances;                  /* all of the name, fit ones too */
    uint32_t filtered[CMY_FILTER_TEXTS]; /* by the first text that they lack */
    uint32_t maintenance, draining, unhealthy, unknown, weightless, open;
} cmy_unfit_t;

/* What a policy draws from; shared by pickers of which one came after the other. */
typedef struct cmy_table {
    _Atomic uint32_t holders;
    uint32_t turns; /* weighted round robin: of a period */
    size_t bytes;
    void *memory; /* policy.h: turns, columns or places */
} cmy_table_t;

typedef struct cmy_picker {
    /* Constant while published, but for next, and for what block points to. */
    const cmy_word64_t *word;
    uint64_t version, epoch; /* of the stripe's word, of deaths */
    uint64_t hash;           /* of the name, xor of the filter */
    int32_t policy;          /* commy_policy_t */
    uint32_t count;          /* of pick */
    uint32_t turns;          /* of a rotation */
    uint32_t name_bytes;
    uint64_t inverse;       /* UINT64_MAX / turns */
    cmy_word64_t *rotation; /* the host's; null: own_rotation */
    const void *memory;     /* the table's */
    cmy_table_t *table;     /* null: round robin */
    cmy_pick_t *pick;
    size_t bytes;            /* of all that is allocated for it */
    uint64_t serial;         /* of the handle's pickers; tells whose `making` was set */
    struct cmy_picker *next; /* retired ones */
    char name[COMMY_LIMIT_NAME_BYTES + 1];
    cmy_filter_t filter;
    _Atomic uint32_t *block; /* by pick: its statistics block (load.h); null where no loads are compared */
    cmy_pick_t *open;        /* passed over: their breakers are open (breaker.h) */
    uint32_t open_count;     /* 0 mostly */

    /* Written by whoever selects: on a line of its own. */
    alignas(64) _Atomic uint64_t own_rotation; /* of policies that draw: CMY_MIX_STEP for each number */
    _Atomic uint32_t used;                     /* again, since the last went from its set */
    _Atomic uint32_t making;                   /* a thread is making the next one */
    _Atomic uint64_t try_at;  /* when one of the open may be tried, in units of stat/breaker.h; not sooner */
    _Atomic uint32_t tried;   /* where the last walk over the open ended */
    _Atomic uint32_t stale;   /* one of the open is closed, and nobody came to announce it */
    _Atomic uint64_t kept[2]; /* load.h: pairs of later selections */
    unsigned char apart[16];
} cmy_picker_t;

/* A handle's pickers. */
typedef struct cmy_pickers {
    cmy_annex_t annex;
    cmy_picker_t *way[CMY_PICKER_SETS][CMY_PICKER_WAYS];
    _Atomic uint64_t random; /* where pickers begin to count; goes up by CMY_MIX_STEP with each */
    _Atomic uint64_t serial; /* of the last picker that was made */
    cmy_picker_t *retired;
    _Atomic size_t retired_bytes;
    _Atomic uint32_t retired_count;
} cmy_pickers_t;

/* The handle's pickers, made at the first call. Null: no memory. */
cmy_pickers_t *cmy_pickers_of(commy_mesh_t *mesh);

static inline cmy_picker_t **cmy_pickers_set(cmy_pickers_t *pickers, uint64_t hash, int32_t policy)
{
    return pickers->way[((hash >> 16) + (uint32_t)policy) % CMY_PICKER_SETS];
}

/* The picker of a name, a policy and a filter; null: none. filter: null for none. Within a read section. */
static inline __attribute__((always_inline)) cmy_picker_t *
cmy_picker_find(cmy_pickers_t *pickers, const cmy_key_t *name, int32_t policy, const cmy_filter_t *filter)
{
    /* Without a filter the hash tells it from those with one, whose hash is not 0. */
    uint64_t hash = filter ? name->hash ^ filter->hash : name->hash;
    cmy_picker_t **set = cmy_pickers_set(pickers, hash, policy);
    for (uint32_t way = 0; way < CMY_PICKER_WAYS; way++) {
        cmy_picker_t *picker = cmy_rcu_load(&set[way]);
        if (picker && picker->hash == hash && picker->policy == policy && picker->name_bytes == name->bytes &&
            memcmp(picker->name, name->text, name->bytes) == 0 && (!filter || cmy_filter_same(&picker->filter, filter)))
            return picker;
    }
    return NULL;
}

static inline bool cmy_picker_current(const cmy_region_t *region, const cmy_picker_t *picker)
{
    return cmy_load64_acquire(picker->word) == picker->version &&
           cmy_load64_acquire(&region->header->death_epoch) == picker->epoch;
}

/* Whether it passes somebody over who need not be: one was closed, or the breakers switched off. */
static inline bool cmy_picker_spurns(const cmy_region_t *region, const cmy_picker_t *picker)
{
    return picker->open_count > 0 &&
           (atomic_load_explicit(&picker->stale, memory_order_relaxed) || !cmy_rules_on(region));
}

/*
 * Makes a picker of the instances that may be selected now; one without any has the count 0, and is not for publishing.
 * Outside of read sections, since it allocates: what forks may wait for them. unfit: receives what was found.
 * Errors: NO_MEMORY, CORRUPT, with a sentence.
 */
commy_status_t cmy_picker_make(commy_mesh_t *mesh, const cmy_key_t *name, int32_t policy, const cmy_filter_t *filter,
                               cmy_picker_t **made, cmy_unfit_t *unfit);

/*
 * Puts a picker into the table: in place of an older one, or where there is room, or in another's place; not where a newer
 * one that is current stands there by now, or somebody else was faster. (An older one may be current and yet have nothing:
 * a death is no change of a version before it is reaped.) Within a read section. Returns whom to retire, or
 * null.
 */
cmy_picker_t *cmy_picker_publish(const cmy_region_t *region, cmy_pickers_t *pickers, cmy_picker_t *made,
                                 bool *published);

/* Frees a picker that was never published, or has come to the end of its grace period. Null is ignored. */
void cmy_picker_free(cmy_picker_t *picker);

/* Frees a picker that was taken out of the table, later; null is ignored. Outside of read sections; may wait for a
 * grace period. */
void cmy_picker_retire(cmy_pickers_t *pickers, cmy_picker_t *picker);

#endif /* CMY_MESH_PICKER_H */
