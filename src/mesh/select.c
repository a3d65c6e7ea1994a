/* Selecting one instance of a name; see picker.h for what stands behind it. */
#include "mesh/select.h"

#include <stdio.h>

#include "mesh/breaker.h"
#include "mesh/draw.h"

/* Turns that a selection takes before it makes the picker anew, where the instances it comes to may not be selected. */
#define TURNS 4

/* Pickers that it makes before it gives up. */
#define ROUNDS 16

/* What is asked for. */
typedef struct ask {
    commy_mesh_t *mesh;
    cmy_key_t name;
    int32_t policy;
    uint64_t client;            /* hash of the client's id */
    const cmy_filter_t *filter; /* null: none */
} ask_t;

/* ----------------------------------------------------------------- picking */

/* Enabled, and healthy or degraded: both have the lower bit of health; and the breaker is not open. */
#define CONDITION_OTHERWISE cmy_condition(0, 0, 1, 3)
#define CONDITION_BITS (CONDITION_OTHERWISE | CMY_CONDITION_OPEN)
#define CONDITION_FIT cmy_condition(0, 0, COMMY_HEALTH_HEALTHY & 1, COMMY_ADMIN_ENABLED)
_Static_assert((COMMY_HEALTH_HEALTHY & 1) && (COMMY_HEALTH_DEGRADED & 1) && !(COMMY_HEALTH_UNKNOWN & 1) &&
                   !(COMMY_HEALTH_UNHEALTHY & 1) && COMMY_ADMIN_ENABLED == 0,
               "one comparison tells");

/* Copies an instance if it still is what it was picked as and may be selected. bits: what its condition is judged by. */
static inline bool take_by(const cmy_region_t *region, const cmy_pick_t *pick, uint64_t bits, bool by_weight,
                           commy_target_t *target)
{
    const cmy_service_shm_t *service = cmy_service_at(region, pick->record);
    uint64_t state = cmy_load64_acquire(&service->state);
    if (state != pick->state || !cmy_service_visible(region, service, state))
        return false;
    uint64_t condition = cmy_load64_relaxed(&service->condition);
    if ((condition & bits) != CONDITION_FIT || (by_weight && cmy_condition_weight(condition) == 0) ||
        cmy_lease_ended(cmy_load64_relaxed(&service->lease)))
        return false;
    cmy_shape_t shape = cmy_shape_unpack(cmy_load64_relaxed(&service->shape));
    target->reference = cmy_reference(pick->record, state);
    cmy_condition_tell(condition, target);
    target->port = shape.port;
    if (__builtin_expect(shape.endpoint_bytes < CMY_HOT_ENDPOINT_BYTES, 1))
        cmy_service_copy_hot_endpoint(service, shape.endpoint_bytes, target->endpoint);
    else
        cmy_service_copy_endpoint(region, pick->record, target->endpoint);
    return cmy_service_same(service, state);
}

static inline bool take(const cmy_region_t *region, const cmy_pick_t *pick, bool by_weight, commy_target_t *target)
{
    return take_by(region, pick, CONDITION_BITS, by_weight, target);
}

/* Where instances are open: the same as take(), for one that is to be tried. */
typedef struct trial {
    const ask_t *ask;
    commy_target_t *target;
} trial_t;

static bool would_do(void *user, const cmy_pick_t *pick)
{
    const trial_t *trial = user;
    return take_by(trial->ask->mesh->region, pick, CONDITION_OTHERWISE, cmy_policy_weighs(trial->ask->policy),
                   trial->target);
}

static bool seek_open(cmy_picker_t *picker, const ask_t *ask, commy_target_t *target)
{
    trial_t trial = {ask, target};
    return cmy_breaker_seek(ask->mesh, picker, would_do, &trial);
}

/* One that was not taken: it may have opened since the picker was made, and its turn have come; or the breaker is off. */
static __attribute__((noinline, cold)) bool take_open(const ask_t *ask, const cmy_pick_t *pick, commy_target_t *target)
{
    commy_mesh_t *mesh = ask->mesh;
    uint64_t tick, condition = cmy_load64_acquire(&cmy_service_at(mesh->region, pick->record)->condition);
    trial_t trial = {ask, target};
    if (!(condition & CMY_CONDITION_OPEN) || !would_do(&trial, pick))
        return false;
    return !cmy_rules_on(mesh->region) ||
           (atomic_load_explicit(&mesh->phase, memory_order_acquire) == CMY_MESH_JOINED &&
            cmy_breaker_try(mesh, pick->record, pick->state, &tick));
}

/* Selects from a picker. A few turns are taken where instances may not be selected any more; a client has only one. */
static inline bool pick(const cmy_region_t *region, cmy_picker_t *picker, const ask_t *ask, commy_target_t *target)
{
    bool by_weight = cmy_policy_weighs(ask->policy);
    int turns = ask->policy == COMMY_POLICY_CONSISTENT_HASH ? 1 : TURNS;
    for (int turn = 0; turn < turns; turn++) {
        const cmy_pick_t *one = &picker->pick[cmy_draw(region, picker, ask->client)];
        if (__builtin_expect(take(region, one, by_weight, target), 1) || take_open(ask, one, target))
            return true;
    }
    return false;
}

/* The same where some are open: one that is to be tried comes first. False also where the picker is out of date. */
static __attribute__((noinline)) bool pick_beside(cmy_picker_t *picker, const ask_t *ask, commy_target_t *target)
{
    const cmy_region_t *region = ask->mesh->region;
    return !cmy_picker_spurns(region, picker) &&
           (seek_open(picker, ask, target) ||
            (!cmy_picker_spurns(region, picker) && pick(region, picker, ask, target)));
}

/* All of a picker's instances, one after another. */
static bool pick_any(const cmy_region_t *region, const cmy_picker_t *picker, const ask_t *ask, commy_target_t *target)
{
    bool by_weight = cmy_policy_weighs(ask->policy);
    for (uint32_t i = 0; i < picker->count; i++)
        if (take(region, &picker->pick[i], by_weight, target))
            return true;
    return false;
}

/* ------------------------------------------------------------------ asking */

commy_status_t cmy_policy_check(int32_t policy)
{
    if (policy >= COMMY_POLICY_ROUND_ROBIN && policy <= COMMY_POLICY_CONSISTENT_HASH)
        return COMMY_STATUS_SUCCESS;
    return cmy_fail(COMMY_STATUS_INVALID,
                    "policy %d is none of 0 round robin, 1 least connections, 2 weighted round robin, 3 performance, "
                    "4 random, 5 consistent hash",
                    policy);
}

static commy_status_t hash_client(const commy_mesh_t *mesh, const char *client_id, uint64_t *hash)
{
    size_t bytes = client_id ? cmy_bytes_length(client_id, COMMY_LIMIT_CLIENT_BYTES + 1) : 0;
    if (bytes > 0 && bytes <= COMMY_LIMIT_CLIENT_BYTES) {
        *hash = cmy_key_hash(client_id, bytes, mesh->region->seed);
        return COMMY_STATUS_SUCCESS;
    }
    if (!client_id)
        return cmy_fail(COMMY_STATUS_INVALID, "client_id is null; consistent hash needs one");
    return cmy_fail(COMMY_STATUS_INVALID, "client_id has %s bytes; give 1 to %u", bytes == 0 ? "0" : "more than 255",
                    COMMY_LIMIT_CLIENT_BYTES);
}

/* Everything that may be wrong with a question. */
static commy_status_t check(commy_mesh_t *mesh, const char *name, int32_t policy, const char *client_id,
                            const commy_target_t *target, ask_t *ask)
{
    commy_status_t status = cmy_mesh_usable(mesh);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_mesh_key(mesh->region, "service name", name, COMMY_LIMIT_NAME_BYTES, &ask->name);
    if (status == COMMY_STATUS_SUCCESS)
        status = cmy_policy_check(policy);
    if (status == COMMY_STATUS_SUCCESS && policy == COMMY_POLICY_CONSISTENT_HASH)
        status = hash_client(mesh, client_id, &ask->client);
    if (status == COMMY_STATUS_SUCCESS && !target)
        status = cmy_mesh_null("target");
    ask->mesh = mesh;
    ask->policy = policy;
    return status;
}

/* ------------------------------------------------------------ at once, or not */

static inline __attribute__((always_inline)) bool at_once(commy_mesh_t *mesh, const char *name, int32_t policy,
                                                          const char *client_id, const cmy_filter_t *filter,
                                                          commy_target_t *target)
{
    ask_t ask = {.mesh = mesh, .policy = policy};
    if (!mesh || !name || !target || !cmy_region_is_usable(mesh->region))
        return false;
    cmy_pickers_t *pickers = (cmy_pickers_t *)cmy_rcu_load(&mesh->pickers);
    size_t bytes = cmy_bytes_length(name, COMMY_LIMIT_NAME_BYTES + 1);
    if (!pickers || bytes == 0 || bytes > COMMY_LIMIT_NAME_BYTES)
        return false;
    cmy_key_make_salted(&ask.name, &mesh->region->salt, name, bytes);
    if (policy == COMMY_POLICY_CONSISTENT_HASH) {
        size_t client_bytes = client_id ? cmy_bytes_length(client_id, COMMY_LIMIT_CLIENT_BYTES + 1) : 0;
        if (client_bytes == 0 || client_bytes > COMMY_LIMIT_CLIENT_BYTES)
            return false;
        ask.client = cmy_key_hash(client_id, client_bytes, mesh->region->seed);
    }
    cmy_rcu_read_lock();
    cmy_picker_t *picker = cmy_picker_find(pickers, &ask.name, policy, filter);
    bool selected = false;
    if (picker && cmy_picker_current(mesh->region, picker)) {
        if (__builtin_expect(cmy_breaker_wants(picker), 0))
            selected = pick_beside(picker, &ask, target);
        else
            selected = pick(mesh->region, picker, &ask, target);
    }
    if (selected && __builtin_expect(!atomic_load_explicit(&picker->used, memory_order_relaxed), 0))
        atomic_store_explicit(&picker->used, 1, memory_order_relaxed);
    cmy_rcu_read_unlock();
    return selected;
}

bool cmy_select_at_once(commy_mesh_t *mesh, const char *name, int32_t policy, const char *client_id,
                        commy_target_t *target)
{
    return at_once(mesh, name, policy, client_id, NULL, target);
}

/* Nothing may be selected: says why. */
static commy_status_t none_fit(const ask_t *ask, const cmy_picker_t *made, const cmy_unfit_t *unfit)
{
    const cmy_region_t *region = ask->mesh->region;
    const char *name = ask->name.text;
    if (unfit->instances == 0)
        return cmy_fail(COMMY_STATUS_NOT_FOUND,
                        "name '%s' has no instance in mesh %s of %s; `commy ls` shows which have", name, region->mesh,
                        region->dir);
    const cmy_filter_t nothing = {0}, *filter = ask->filter ? ask->filter : &nothing;
    const struct {
        uint32_t count;
        const char *what, *text;
    } reasons[] = {
        {unfit->filtered[CMY_FILTER_TAG], "without tag", filter->text[CMY_FILTER_TAG]},
        {unfit->filtered[CMY_FILTER_VERSION], "not of version", filter->text[CMY_FILTER_VERSION]},
        {unfit->filtered[CMY_FILTER_ZONE], "not in zone", filter->text[CMY_FILTER_ZONE]},
        {unfit->open, "ejected by the circuit breaker", NULL},
        {unfit->unhealthy, "unhealthy", NULL},
        {unfit->unknown, "of unknown health", NULL},
        {unfit->draining, "draining", NULL},
        {unfit->maintenance, "in maintenance", NULL},
        {unfit->weightless, "of weight 0", NULL},
    };
    char list[448] = "", when[64] = ""; /* all of them, with the longest texts, take 360 */
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].count > 0)
            bytes += (size_t)snprintf(list + bytes, sizeof list - bytes, reasons[i].text ? "%s%u %s '%s'" : "%s%u %s",
                                      bytes ? ", " : "", reasons[i].count, reasons[i].what, reasons[i].text);
    uint64_t soonest_ms = cmy_breaker_soonest_ms(region, made);
    if (unfit->open > 0 && soonest_ms > 0)
        snprintf(when, sizeof when, "; the first may be tried in %llu ms", (unsigned long long)soonest_ms);
    else if (unfit->open > 0)
        snprintf(when, sizeof when, "; one may be tried, by a handle that joined the mesh");
    if (unfit->open > 0)
        return cmy_fail(COMMY_STATUS_CIRCUIT_OPEN,
                        "none of the %u instances of name '%s' in mesh %s of %s may be selected: %s%s",
                        unfit->instances, name, region->mesh, region->dir, list, when);
    return cmy_fail(COMMY_STATUS_NO_HEALTHY,
                    "none of the %u instances of name '%s' in mesh %s of %s may be selected: %s", unfit->instances,
                    name, region->mesh, region->dir, list);
}

/*
 * Selects from a picker that is old, while another thread makes the next. False: nobody is at that, or it has nothing
 * any more; *alone is then the serial of the picker whose next is the caller's to make, or 0.
 */
static bool pick_meanwhile(commy_mesh_t *mesh, cmy_pickers_t *pickers, const ask_t *ask, uint64_t *alone,
                           commy_target_t *target)
{
    bool selected = false;
    *alone = 0;
    cmy_rcu_read_lock();
    cmy_picker_t *former = cmy_picker_find(pickers, &ask->name, ask->policy, ask->filter);
    if (former && atomic_exchange_explicit(&former->making, 1, memory_order_relaxed) == 0)
        *alone = former->serial;
    else if (former)
        selected = pick(mesh->region, former, ask, target);
    cmy_rcu_read_unlock();
    return selected;
}

/* Publishes a picker and selects from it. */
static bool pick_anew(commy_mesh_t *mesh, cmy_pickers_t *pickers, const ask_t *ask, cmy_picker_t *made, bool any,
                      commy_target_t *target)
{
    bool published;
    cmy_rcu_read_lock();
    cmy_picker_t *gone = cmy_picker_publish(mesh->region, pickers, made, &published);
    bool selected = (cmy_breaker_wants(made) && seek_open(made, ask, target)) ||
                    pick(mesh->region, made, ask, target) || (any && pick_any(mesh->region, made, ask, target));
    cmy_rcu_read_unlock();
    if (published)
        cmy_picker_retire(pickers, gone);
    else
        cmy_picker_free(made);
    return selected;
}

/* The next picker was not made, or did not come into the place of its former: that may be tried again. */
static void give_up_making(cmy_pickers_t *pickers, const ask_t *ask, uint64_t alone)
{
    cmy_rcu_read_lock();
    cmy_picker_t *former = alone ? cmy_picker_find(pickers, &ask->name, ask->policy, ask->filter) : NULL;
    if (former && former->serial == alone)
        atomic_store_explicit(&former->making, 0, memory_order_relaxed);
    cmy_rcu_read_unlock();
}

/* Selects from a picker of which all instances are open. */
static bool try_open(const ask_t *ask, cmy_picker_t *made, commy_target_t *target)
{
    if (!cmy_breaker_wants(made))
        return false;
    cmy_rcu_read_lock();
    bool selected = seek_open(made, ask, target);
    cmy_rcu_read_unlock();
    return selected;
}

/* One try; returns whether it is decided, and *status says how. last: any instance is better than none. */
static bool try_anew(commy_mesh_t *mesh, cmy_pickers_t *pickers, const ask_t *ask, bool last, commy_target_t *target,
                     commy_status_t *status)
{
    cmy_picker_t *made;
    cmy_unfit_t unfit;
    uint64_t alone;
    *status = COMMY_STATUS_SUCCESS;
    if (pick_meanwhile(mesh, pickers, ask, &alone, target))
        return true;
    bool selected = false;
    *status = cmy_picker_make(mesh, &ask->name, ask->policy, ask->filter, &made, &unfit);
    if (*status == COMMY_STATUS_SUCCESS && made->count > 0) {
        selected = pick_anew(mesh, pickers, ask, made, last || ask->policy != COMMY_POLICY_CONSISTENT_HASH, target);
    } else if (*status == COMMY_STATUS_SUCCESS) {
        selected = try_open(ask, made, target);
        if (!selected)
            *status = none_fit(ask, made, &unfit);
        cmy_picker_free(made);
    }
    give_up_making(pickers, ask, alone);
    return selected || *status != COMMY_STATUS_SUCCESS;
}

static commy_status_t select_anew(commy_mesh_t *mesh, const ask_t *ask, commy_target_t *target)
{
    commy_status_t status;
    cmy_pickers_t *pickers = cmy_pickers_of(mesh);
    if (!pickers)
        return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory for %zu bytes of pickers", sizeof *pickers);
    for (int round = 1; round <= ROUNDS; round++)
        if (try_anew(mesh, pickers, ask, round == ROUNDS, target, &status))
            return status;
    return cmy_fail(COMMY_STATUS_BUSY,
                    "the instances of name '%s' changed each of the %d times that one was selected; try again",
                    ask->name.text, ROUNDS);
}

/* Whether options, of this library's size, narrow the choice, or have flags. */
static inline bool asks(const commy_select_options_t *options)
{
    return ((uintptr_t)options->tag | (uintptr_t)options->version | (uintptr_t)options->zone | options->flags) != 0;
}

/* Options of another library's size, or that mean nothing. */
static commy_status_t read_options(const commy_select_options_t *from, commy_select_options_t *options)
{
    *options = (commy_select_options_t){.size = sizeof *options};
    commy_status_t status = from ? cmy_mesh_sized("options", from, options, sizeof *options) : COMMY_STATUS_SUCCESS;
    if (status == COMMY_STATUS_SUCCESS && (options->flags & ~COMMY_SELECT_PREFER_ZONE) != 0)
        status = cmy_fail(COMMY_STATUS_INVALID, "options.flags 0x%x has bits that mean nothing; use COMMY_SELECT_*",
                          options->flags);
    return status;
}

/* Any selection: with a filter, or without a picker that would do. */
static __attribute__((noinline)) commy_status_t select_any(commy_mesh_t *mesh, const char *name,
                                                           const commy_select_options_t *from, commy_target_t *target)
{
    ask_t ask = {0};
    cmy_filter_t filter;
    commy_select_options_t options;
    commy_status_t status = read_options(from, &options);
    if (status == COMMY_STATUS_SUCCESS)
        status = check(mesh, name, options.policy, options.client_id, target, &ask);
    if (status == COMMY_STATUS_SUCCESS && asks(&options)) {
        ask.filter = &filter;
        status = cmy_filter_make(mesh->region, &options, &filter);
    }
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (ask.filter && at_once(mesh, name, options.policy, options.client_id, ask.filter, target))
        return COMMY_STATUS_SUCCESS;
    return select_anew(mesh, &ask, target);
}

commy_status_t commy_service_select(commy_mesh_t *mesh, const char *name, const commy_select_options_t *options,
                                    commy_target_t *target)
{
    int32_t policy = COMMY_POLICY_ROUND_ROBIN;
    const char *client_id = NULL;
    if (options) {
        if (__builtin_expect(options->size != sizeof *options || asks(options), 0))
            return select_any(mesh, name, options, target);
        policy = options->policy;
        client_id = options->client_id;
    }
    if (__builtin_expect(cmy_select_at_once(mesh, name, policy, client_id, target), 1))
        return COMMY_STATUS_SUCCESS;
    return select_any(mesh, name, options, target);
}
