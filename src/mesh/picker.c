/* Making, publishing and freeing pickers; see picker.h. */
#include "mesh/picker.h"

#include <stdlib.h>
#include <sys/random.h>

#include "mesh/load.h"

#define MOST_RETIRED 32u
#define MOST_RETIRED_BYTES ((size_t)4 << 20)

/* ---------------------------------------------------------------- freeing */

static void let_go(cmy_table_t *table)
{
    if (!table || atomic_fetch_sub_explicit(&table->holders, 1, memory_order_acq_rel) > 1)
        return;
    free(table->memory);
    free(table);
}

void cmy_picker_free(cmy_picker_t *picker)
{
    if (!picker)
        return;
    let_go(picker->table);
    free(picker->pick);
    free(picker->open);
    free(picker->block);
    free(picker);
}

static void free_chain(cmy_picker_t *picker)
{
    while (picker) {
        cmy_picker_t *next = picker->next;
        cmy_picker_free(picker);
        picker = next;
    }
}

void cmy_picker_retire(cmy_pickers_t *pickers, cmy_picker_t *picker)
{
    if (!picker)
        return;
    size_t bytes = picker->bytes;
    picker->next = cmy_rcu_load(&pickers->retired);
    while (!cmy_rcu_swap(&pickers->retired, &picker->next, picker))
        continue;
    bytes += atomic_fetch_add_explicit(&pickers->retired_bytes, bytes, memory_order_relaxed);
    uint32_t count = atomic_fetch_add_explicit(&pickers->retired_count, 1, memory_order_relaxed) + 1;
    if (count < MOST_RETIRED && bytes < MOST_RETIRED_BYTES)
        return;
    atomic_store_explicit(&pickers->retired_count, 0, memory_order_relaxed);
    atomic_store_explicit(&pickers->retired_bytes, 0, memory_order_relaxed);
    cmy_picker_t *all = cmy_rcu_exchange(&pickers->retired, NULL);
    cmy_rcu_synchronize(); /* all of them were taken out of the table before they came here */
    free_chain(all);
}

/* With the handle: nobody selects any more. */
static void end(cmy_annex_t *annex)
{
    cmy_pickers_t *pickers = (cmy_pickers_t *)annex;
    for (uint32_t set = 0; set < CMY_PICKER_SETS; set++)
        for (uint32_t way = 0; way < CMY_PICKER_WAYS; way++)
            cmy_picker_free(pickers->way[set][way]);
    free_chain(pickers->retired);
    free(pickers);
}

cmy_pickers_t *cmy_pickers_of(commy_mesh_t *mesh)
{
    cmy_annex_t *there = cmy_rcu_load(&mesh->pickers);
    if (there)
        return (cmy_pickers_t *)there;
    cmy_pickers_t *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) /* early in the boot: others' will do */
        seed = cmy_clock_monotonic_ns() ^ (uintptr_t)made;
    atomic_store_explicit(&made->random, seed, memory_order_relaxed);
    made->annex.end = end;
    if (cmy_rcu_swap(&mesh->pickers, &there, &made->annex))
        return made;
    free(made);
    return (cmy_pickers_t *)there;
}

/* ----------------------------------------------------------------- making */

/* Instances that a walk came to, with what the policies ask of them. */
typedef struct found {
    cmy_pick_t *pick;
    uint32_t *weight;
    uint64_t *hash; /* of the id */
    uint32_t count, room;
    cmy_pick_t *open; /* what would fit, were its breaker not open */
    uint32_t open_count, open_room;
    uint32_t preferred, open_preferred; /* which stand first in either */
} found_t;

static bool make_room(found_t *found)
{
    uint32_t room = found->room ? 2 * found->room : 16;
    cmy_pick_t *pick = realloc(found->pick, room * sizeof *pick);
    if (pick)
        found->pick = pick;
    uint32_t *weight = realloc(found->weight, room * sizeof *weight);
    if (weight)
        found->weight = weight;
    uint64_t *hash = realloc(found->hash, room * sizeof *hash);
    if (hash)
        found->hash = hash;
    if (!pick || !weight || !hash)
        return false;
    found->room = room;
    return true;
}

/* Whether a filter lets a record through. */
static bool passes(const cmy_filter_t *filter, const cmy_region_t *region, uint32_t record, cmy_unfit_t *unfit)
{
    for (cmy_filter_text_t what = 0; filter && what < CMY_FILTER_TEXTS; what++)
        if (!(what == CMY_FILTER_ZONE && filter->prefer_zone) && !cmy_filter_finds(filter, what, region, record)) {
            unfit->filtered[what]++;
            return false;
        }
    return true;
}

/* Counts an instance, and for which reason it is left out, if it is. */
static bool fits(const cmy_service_shm_t *service, uint64_t condition, int32_t policy, cmy_unfit_t *unfit)
{
    int32_t health = cmy_service_health(service);
    switch (cmy_condition_admin(condition)) {
    case COMMY_ADMIN_ENABLED:
        break;
    case COMMY_ADMIN_DRAINING:
        unfit->draining++;
        return false;
    default:
        unfit->maintenance++;
        return false;
    }
    unfit->unhealthy += health == COMMY_HEALTH_UNHEALTHY;
    unfit->unknown += health == COMMY_HEALTH_UNKNOWN;
    if (health != COMMY_HEALTH_HEALTHY && health != COMMY_HEALTH_DEGRADED)
        return false;
    if (!cmy_policy_weighs(policy) || cmy_condition_weight(condition) > 0)
        return true;
    unfit->weightless++;
    return false;
}

static commy_status_t no_memory(const cmy_key_t *name)
{
    return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory to select from the instances of name '%.*s'", (int)name->bytes,
                    name->text);
}

static commy_status_t damaged(const cmy_region_t *region, const cmy_key_t *name)
{
    return cmy_fail(COMMY_STATUS_CORRUPT,
                    "region %s/%s is damaged: the lines of name '%.*s' have no end; run `commy check`", region->dir,
                    region->mesh, (int)name->bytes, name->text);
}

#define EXCHANGE(array, i, k)                                                                                          \
    do {                                                                                                               \
        __typeof__(*(array)) was_ = (array)[i];                                                                        \
        (array)[i] = (array)[k];                                                                                       \
        (array)[k] = was_;                                                                                             \
    } while (0)

/* The last one goes to those that are preferred; who stood there goes to the end. */
static void put_first(found_t *found)
{
    uint32_t last = found->count - 1, to = found->preferred++;
    EXCHANGE(found->pick, to, last);
    EXCHANGE(found->weight, to, last);
    EXCHANGE(found->hash, to, last);
}

/* Notes one that is open; those that are preferred come first here, too. */
static bool add_open(found_t *found, cmy_pick_t pick, bool preferred)
{
    if (found->open_count == found->open_room) {
        uint32_t room = found->open_room ? 2 * found->open_room : 4;
        cmy_pick_t *open = realloc(found->open, room * sizeof *open);
        if (!open)
            return false;
        found->open = open;
        found->open_room = room;
    }
    found->open[found->open_count++] = pick;
    if (preferred)
        EXCHANGE(found->open, found->open_preferred, found->open_count - 1);
    found->open_preferred += preferred;
    return true;
}

/* One pass over the instances. */
static commy_status_t walk(const commy_mesh_t *mesh, const cmy_key_t *name, int32_t policy, const cmy_filter_t *filter,
                           found_t *found, cmy_unfit_t *unfit)
{
    const cmy_region_t *region = mesh->region;
    const uint64_t open = cmy_rules_on(region) ? CMY_CONDITION_OPEN : 0;
    commy_iterator_t iterator;
    commy_view_t view;
    commy_status_t status = commy_iterate_name(mesh, name->text, &iterator);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    while (commy_iterate_next(mesh, &iterator, &view)) {
        const cmy_service_shm_t *service = cmy_service_at(region, view._index);
        uint64_t condition = cmy_load64_relaxed(&service->condition), hash = cmy_load64_relaxed(&service->hash);
        cmy_unfit_t with = *unfit;
        bool preferred = filter && cmy_filter_prefers(filter, region, view._index);
        bool fit = passes(filter, region, view._index, &with) && fits(service, condition, policy, &with);
        if (!cmy_service_same(service, view._state))
            continue;
        *unfit = with;
        unfit->instances++;
        if (!fit)
            continue;
        const cmy_pick_t pick = {view._state, view._index, cmy_condition_weight(condition)};
        if (condition & open) {
            unfit->open++;
            if (!add_open(found, pick, preferred))
                return no_memory(name);
            continue;
        }
        if (found->count == found->room && !make_room(found))
            return no_memory(name);
        found->pick[found->count] = pick;
        found->weight[found->count] = cmy_condition_weight(condition);
        found->hash[found->count++] = hash;
        if (preferred)
            put_first(found);
    }
    if (found->preferred > 0) { /* others are not tried, either */
        found->count = found->preferred;
        found->open_count = found->open_preferred;
    }
    return iterator._endless ? damaged(region, name) : COMMY_STATUS_SUCCESS;
}

/* Whether a former picker's table serves for what was found now: places do not weigh. */
static bool serves(const cmy_picker_t *former, const found_t *found)
{
    if (former->count != found->count)
        return false;
    for (uint32_t i = 0; i < found->count; i++) {
        const cmy_pick_t *one = &former->pick[i], *other = &found->pick[i];
        if (one->state != other->state || one->record != other->record ||
            (one->weight != other->weight && former->policy != COMMY_POLICY_CONSISTENT_HASH))
            return false;
    }
    return true;
}

/* Takes over what stays: where the rotation, or the random numbers, stand, and the table, if the same instances stand in it still, as they do
 * where another name's changes made this walk necessary. */
static void inherit(cmy_pickers_t *pickers, const cmy_key_t *name, cmy_picker_t *picker, const found_t *found)
{
    uint64_t stands = cmy_mix(atomic_fetch_add_explicit(&pickers->random, CMY_MIX_STEP, memory_order_relaxed));
    uint32_t used = 0;
    cmy_rcu_read_lock();
    const cmy_filter_t *filter = picker->filter.hash != 0 ? &picker->filter : NULL;
    cmy_picker_t *former = cmy_picker_find(pickers, name, picker->policy, filter);
    if (former) {
        stands = atomic_load_explicit(&former->own_rotation, memory_order_relaxed);
        used = atomic_load_explicit(&former->used, memory_order_relaxed);
    }
    if (former && former->table && serves(former, found)) {
        picker->table = former->table;
        atomic_fetch_add_explicit(&picker->table->holders, 1, memory_order_relaxed);
    }
    cmy_rcu_read_unlock();
    atomic_init(&picker->own_rotation, stands);
    atomic_init(&picker->used, used);
}

/* The policy's table; null: no memory. */
static cmy_table_t *make_table(int32_t policy, const found_t *found)
{
    uint32_t n = found->count;
    cmy_table_t *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    atomic_init(&table->holders, 1);
    if (policy == COMMY_POLICY_WEIGHTED_ROUND_ROBIN) {
        table->memory = cmy_turns_make(found->weight, n, &table->turns);
        table->bytes = table->turns * sizeof(uint32_t);
    } else if (policy == COMMY_POLICY_CONSISTENT_HASH) {
        table->memory = cmy_places_make(found->hash, n);
        table->bytes = cmy_places_bytes(n);
    } else {
        table->memory = cmy_alias_make(found->weight, n);
        table->bytes = n * sizeof(cmy_alias_t);
    }
    if (table->memory)
        return table;
    free(table);
    return NULL;
}

/* Gives a picker all that follows from its instances. */
static bool complete(cmy_pickers_t *pickers, const cmy_key_t *name, cmy_picker_t *picker, const found_t *found)
{
    picker->count = picker->turns = found->count;
    picker->bytes = sizeof *picker + (found->room + found->open_room) * sizeof *found->pick;
    inherit(pickers, name, picker, found);
    if (found->count == 0 || picker->policy == COMMY_POLICY_ROUND_ROBIN)
        return true;
    if (!picker->table)
        picker->table = make_table(picker->policy, found);
    if (!picker->table)
        return false;
    picker->memory = picker->table->memory;
    picker->bytes += picker->table->bytes;
    if (picker->policy == COMMY_POLICY_WEIGHTED_ROUND_ROBIN)
        picker->turns = picker->table->turns;
    if (!cmy_policy_compares(picker->policy))
        return true;
    picker->block = calloc(found->count, sizeof *picker->block);
    picker->bytes += found->count * sizeof *picker->block;
    return picker->block != NULL;
}

/* Where the rotation stands: in the name's group, of a region that may be written to. */
static cmy_word64_t *rotation_of(const commy_mesh_t *mesh, const cmy_key_t *name, int32_t policy)
{
    uint32_t group;
    uint64_t state;
    if (!mesh->region->writable || !cmy_group_find(mesh->region, name, &group, &state))
        return NULL;
    cmy_group_shm_t *record = cmy_group_at(mesh->region, group);
    return policy == COMMY_POLICY_WEIGHTED_ROUND_ROBIN ? &record->weighted_rotation : &record->rotation;
}

commy_status_t cmy_picker_make(commy_mesh_t *mesh, const cmy_key_t *name, int32_t policy, const cmy_filter_t *filter,
                               cmy_picker_t **made, cmy_unfit_t *unfit)
{
    cmy_pickers_t *pickers = cmy_pickers_of(mesh);
    found_t found = {0};
    *made = NULL;
    *unfit = (cmy_unfit_t){0};
    cmy_picker_t *picker = aligned_alloc(alignof(cmy_picker_t), sizeof *picker);
    if (!picker)
        return no_memory(name);
    *picker = (cmy_picker_t){
        .word = cmy_wait_word(mesh->region, name->hash),
        .epoch = cmy_load64_acquire(&mesh->region->header->death_epoch),
        .hash = name->hash ^ (filter ? filter->hash : 0),
        .policy = policy,
        .name_bytes = name->bytes,
        .serial = atomic_fetch_add_explicit(&pickers->serial, 1, memory_order_relaxed) + 1,
    };
    picker->version = cmy_load64_acquire(picker->word); /* before the walk: what changes during it is a newer one's */
    memcpy(picker->name, name->text, name->bytes);
    if (filter)
        picker->filter = *filter;
    commy_status_t status = walk(mesh, name, policy, filter, &found, unfit);
    picker->pick = found.pick;
    picker->open = found.open;
    picker->open_count = found.open_count;
    if (status == COMMY_STATUS_SUCCESS && !complete(pickers, name, picker, &found))
        status = no_memory(name);
    else if (picker->block)
        cmy_load_meet(mesh->region, picker);
    free(found.weight);
    free(found.hash);
    if (status != COMMY_STATUS_SUCCESS) {
        cmy_picker_free(picker);
        return status;
    }
    picker->inverse = picker->turns ? UINT64_MAX / picker->turns : 0;
    picker->rotation = filter ? NULL : rotation_of(mesh, name, policy);
    *made = picker;
    return COMMY_STATUS_SUCCESS;
}

/* ------------------------------------------------------------- publishing */

static bool same_key(const cmy_picker_t *one, const cmy_picker_t *other)
{
    return one->hash == other->hash && one->policy == other->policy && one->name_bytes == other->name_bytes &&
           memcmp(one->name, other->name, one->name_bytes) == 0 && cmy_filter_same(&one->filter, &other->filter);
}

/* The place in a set to put a picker into: its former's, an empty one, or one that was not used of late. */
static cmy_picker_t **choose_way(cmy_picker_t **set, const cmy_picker_t *made, cmy_picker_t **seen)
{
    cmy_picker_t **empty = NULL, **idle = NULL;
    for (uint32_t way = 0; way < CMY_PICKER_WAYS; way++) {
        cmy_picker_t *picker = cmy_rcu_load(&set[way]);
        if (!picker) {
            empty = empty ? empty : &set[way];
        } else if (same_key(picker, made)) {
            *seen = picker;
            return &set[way];
        }
    }
    *seen = NULL;
    if (empty)
        return empty;
    for (uint32_t way = 0; way < CMY_PICKER_WAYS; way++) {
        cmy_picker_t *picker = cmy_rcu_load(&set[way]);
        if (!picker || atomic_exchange_explicit(&picker->used, 0, memory_order_relaxed) || idle)
            continue;
        idle = &set[way];
        *seen = picker;
    }
    if (idle)
        return idle;
    idle = &set[made->hash % CMY_PICKER_WAYS];
    *seen = cmy_rcu_load(idle);
    return idle;
}

cmy_picker_t *cmy_picker_publish(const cmy_region_t *region, cmy_pickers_t *pickers, cmy_picker_t *made,
                                 bool *published)
{
    cmy_picker_t *seen, **way = choose_way(cmy_pickers_set(pickers, made->hash, made->policy), made, &seen);
    bool overtaken = seen && same_key(seen, made) && seen->serial > made->serial && cmy_picker_current(region, seen) &&
                     !cmy_picker_spurns(region, seen);
    *published = !overtaken && cmy_rcu_swap(way, &seen, made);
    return *published ? seen : NULL;
}
