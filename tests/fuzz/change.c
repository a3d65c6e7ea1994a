/* The property's second half: every change, in an order and with values that the plan's chance chooses. */
#include <string.h>

#include "property.h"
#include "service/checker.h"

typedef struct changer {
    commy_mesh_t *mesh;
    const fuzz_plan_t *plan;
    uint64_t chance;
    uint64_t reference; /* of something that was found or registered last */
    uint64_t token;     /* of what was begun last */
} changer_t;

static const char *some_id(changer_t *changer)
{
    return fuzz_ids[fuzz_below(&changer->chance, FUZZ_ID_COUNT)];
}

/* "", a small one, a large one. */
static const char *some_metadata(changer_t *changer)
{
    static char large[COMMY_LIMIT_METADATA_BYTES + 1];
    if (!large[0])
        memset(large, 'y', sizeof large - 1);
    switch (fuzz_below(&changer->chance, 4)) {
    case 0:
        return NULL;
    case 1:
        return "{}";
    default:
        return large + fuzz_below(&changer->chance, COMMY_LIMIT_METADATA_BYTES);
    }
}

static void enroll(changer_t *changer)
{
    static const char *const tags[] = {"a", "b", "0123456789012345678901234567890"};
    static const char *const endpoints[] = {"127.0.0.1", "unix:/run/somewhere/that/takes/a/while/to/say", "::1"};
    uint64_t *chance = &changer->chance;
    bool detached = fuzz_below(chance, 4) == 0;
    const commy_service_config_t config = {
        .size = sizeof config,
        .flags = detached ? COMMY_SERVICE_DETACHED : 0,
        .service_name = fuzz_names[fuzz_below(chance, FUZZ_NAME_COUNT)],
        .service_id = some_id(changer),
        .endpoint = endpoints[fuzz_below(chance, 3)],
        .metadata = some_metadata(changer),
        .version = fuzz_below(chance, 2) ? "2.0" : NULL,
        .zone = fuzz_below(chance, 2) ? "south" : NULL,
        .tags = tags,
        .tag_count = fuzz_below(chance, 4),
        .weight = fuzz_below(chance, 65536),
        .ttl_ms = detached ? 1 + fuzz_below(chance, 1000) : fuzz_below(chance, 3) * 1000,
        .port = 80,
    };
    CALL(CALL_REGISTER, commy_service_register(changer->mesh, &config, &changer->reference));
}

/* What a monitor does with a service: offers to check it, writes what came of a check, gives it back or not. */
static void oversee(const changer_t *changer)
{
    cmy_region_t *region = changer->mesh->region;
    uint32_t owner = changer->mesh->actor.owner, record;
    uint64_t state, chance = changer->chance;
    cmy_checker_watch_t watch = {0};
    if (!cmy_service_refer(region, changer->reference, &record, &state))
        return;
    for (uint64_t now = 1; now <= 2; now++) { /* at the second look its patience has ended */
        uint64_t before = cmy_checked_read(region, record);
        if (cmy_checker_elect(region, owner, record, state, &watch, 1, now))
            cmy_checker_note(region, owner, record, state, before, chance & now, chance >> 32, 1, 2);
    }
    if (chance & 4)
        cmy_checker_give_back(region, owner, record, state);
}

static void look(changer_t *changer)
{
    commy_target_t target;
    if (CALL(CALL_FIND, commy_service_find(changer->mesh, some_id(changer), &target)) != COMMY_STATUS_SUCCESS)
        return;
    changer->reference = target.reference;
    fuzz_begin(CALL_CHECKER);
    oversee(changer);
    fuzz_end(CALL_CHECKER, COMMY_STATUS_SUCCESS);
}

static void report(changer_t *changer)
{
    uint64_t reference = fuzz_below(&changer->chance, 8) ? changer->reference : fuzz_chance(&changer->chance);
    CALL(CALL_REPORT, commy_service_report(changer->mesh, reference, fuzz_chance(&changer->chance) >> 20,
                                           fuzz_below(&changer->chance, 2)));
}

/* Begins, or ends what is begun, or what never was. */
static void request(changer_t *changer)
{
    uint64_t chance = fuzz_chance(&changer->chance), token = chance & 7 ? changer->token : chance;
    if (chance & 8)
        CALL(CALL_BEGIN, commy_service_begin(changer->mesh, changer->reference, &changer->token));
    else
        CALL(CALL_END, commy_service_end(changer->mesh, token, chance >> 20, chance & 16));
}

/* Configures breakers so that they open soon, closes one, or lets one that failed be selected. */
static void breaker(changer_t *changer)
{
    uint64_t chance = fuzz_chance(&changer->chance);
    const commy_breaker_config_t config = {.size = sizeof config,
                                           .enabled = (chance & 7) != 0,
                                           .consecutive_failures = 1 + (chance >> 3 & 3),
                                           .failure_percent = chance >> 5 & 63,
                                           .minimum_requests = chance >> 11 & 3,
                                           .most_ejected_percent = 30 + (chance >> 13 & 63),
                                           .open_ms = 1};
    commy_target_t target;
    commy_breaker_status_t status;
    const char *id = some_id(changer);
    switch (chance >> 24 & 3) {
    case 0:
        CALL(CALL_SET_BREAKER, commy_mesh_set_breaker(changer->mesh, chance & 64 ? &config : NULL));
        break;
    case 1:
        CALL(CALL_RESET_BREAKER, commy_service_reset_breaker(changer->mesh, id));
        break;
    default:
        CALL(CALL_SELECT, commy_service_select(changer->mesh, fuzz_names[chance >> 32 & 1], NULL, &target));
        for (int i = 0; i < 4; i++)
            CALL(CALL_REPORT, commy_service_report(changer->mesh, changer->reference, 1, chance >> (40 + i) & 1));
        if (CALL(CALL_SERVICE_BREAKER, commy_service_breaker(changer->mesh, id, &status)) == COMMY_STATUS_SUCCESS &&
            (status.state < COMMY_BREAKER_CLOSED || status.state > COMMY_BREAKER_HALF_OPEN))
            fuzz_broken("its breaker is in state %d", (int)status.state);
    }
}

static void sweep(void)
{
    fuzz_begin(CALL_HOUSEKEEPING);
    fuzz_housekeeping();
    fuzz_end(CALL_HOUSEKEEPING, COMMY_STATUS_SUCCESS);
}

static void leave_and_return(changer_t *changer)
{
    CALL(CALL_LEAVE, commy_mesh_leave(changer->mesh));
    CALL(CALL_JOIN, commy_mesh_join(changer->mesh, "again", 7));
}

static void change(changer_t *changer)
{
    commy_mesh_t *mesh = changer->mesh;
    switch (fuzz_below(&changer->chance, 18)) {
    case 0:
    case 1:
    case 2:
        enroll(changer);
        break;
    case 3:
    case 4:
        CALL(CALL_UNREGISTER, commy_service_unregister(mesh, some_id(changer)));
        break;
    case 5:
        CALL(CALL_HEARTBEAT, commy_service_heartbeat(mesh, some_id(changer)));
        break;
    case 6:
        CALL(CALL_SET_HEALTH,
             commy_service_set_health(mesh, some_id(changer), (int32_t)fuzz_below(&changer->chance, 4)));
        break;
    case 7:
        CALL(CALL_SET_ADMIN, commy_service_set_admin(mesh, some_id(changer), (int32_t)fuzz_below(&changer->chance, 3)));
        break;
    case 8:
        CALL(CALL_SET_WEIGHT, commy_service_set_weight(mesh, some_id(changer), fuzz_below(&changer->chance, 65536)));
        break;
    case 9:
    case 10:
        CALL(CALL_SET_METADATA, commy_service_set_metadata(mesh, some_id(changer), some_metadata(changer)));
        break;
    case 11:
        look(changer);
        break;
    case 12:
        report(changer);
        break;
    case 13:
        request(changer);
        break;
    case 14:
        sweep();
        break;
    case 15:
    case 16:
        breaker(changer);
        break;
    default:
        if (fuzz_below(&changer->chance, 4) == 0)
            leave_and_return(changer);
        else
            CALL(CALL_REAP, commy_mesh_reap(mesh, NULL));
    }
}

void fuzz_changes(commy_mesh_t *mesh, const fuzz_plan_t *plan)
{
    changer_t changer = {.mesh = mesh, .plan = plan, .chance = plan->chance, .reference = 1};
    commy_reap_report_t reaped;
    CALL(CALL_JOIN, commy_mesh_join(mesh, NULL, 4242));
    for (uint32_t i = 0; i < plan->changes; i++)
        change(&changer);
    sweep();
    CALL(CALL_REAP, commy_mesh_reap(mesh, &reaped));
    if (plan->parts & FUZZ_AGAIN)
        fuzz_queries(mesh, plan);
    CALL(CALL_LEAVE, commy_mesh_leave(mesh));
}
