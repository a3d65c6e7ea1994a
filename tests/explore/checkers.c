/* Who checks a service: the calls of a candidate, and what must hold of them (verdict.c). */
#include "service/checker.h"

#include "explore.h"

/* The impatient look twice, and have no patience left at the second look. */
commy_status_t ex_offer(commy_mesh_t *mesh, const ex_op_t *op, ex_event_t *out)
{
    uint32_t record, owner = mesh->actor.owner;
    uint64_t state, patience = op->flags & EX_IMPATIENT ? 1 : UINT64_MAX;
    cmy_checker_watch_t watch = {0};
    commy_status_t status = cmy_mesh_look_up(mesh, ex_id_text(op->id), &record, &state);
    bool elected = false;
    for (uint64_t now = 1; status == COMMY_STATUS_SUCCESS && !elected && now <= 2; now++)
        elected = cmy_checker_elect(mesh->region, owner, record, state, &watch, patience, now);
    if (!elected)
        return status;
    uint64_t before = cmy_checked_read(mesh->region, record);
    out->value = EX_ELECTED;
    if (cmy_checker_note(mesh->region, owner, record, state, before, false, 1, 1, 1))
        out->value |= EX_NOTED;
    return status;
}

commy_status_t ex_give_back(commy_mesh_t *mesh, const ex_op_t *op)
{
    uint32_t record;
    uint64_t state;
    commy_status_t status = cmy_mesh_look_up(mesh, ex_id_text(op->id), &record, &state);
    if (status == COMMY_STATUS_SUCCESS)
        cmy_checker_give_back(mesh->region, mesh->actor.owner, record, state);
    return status;
}

/* Whether something may have freed what `who` was elected to in event `since`, before event `until` ended. */
static bool may_be_free(uint32_t since, uint32_t until)
{
    const ex_event_t *was = &ex_history.event[since];
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *is = &ex_history.event[event];
        if (!is->begun || (is->before >> until & 1) || (was->before >> event & 1))
            continue;
        if ((is->who == was->who && strchr("~L+", is->kind)) || (is->kind == 'U' && is->id == was->id))
            return true;
    }
    return false;
}

static bool is_elected(uint32_t event)
{
    const ex_event_t *is = &ex_history.event[event];
    return is->kind == '!' && is->ended && (is->value & EX_ELECTED);
}

/* Two who were elected to one service: the first of them had gone or given it back. */
static void check_pair(uint32_t one, uint32_t other)
{
    const ex_event_t *a = &ex_history.event[one], *b = &ex_history.event[other];
    if (a->who == b->who || a->id != b->id)
        return;
    bool a_first = b->before >> one & 1, b_first = a->before >> other & 1;
    if ((!b_first && may_be_free(one, other)) || (!a_first && may_be_free(other, one)))
        return;
    ex_blame("[%u] and [%u] were elected to check id %u, both", one, other, a->id);
}

/* Whether somebody who lives may have been elected to check an id, and not have given it back. */
static bool may_be_checked(uint32_t id)
{
    uint64_t freed = 0; /* elections that are over for certain */
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *is = &ex_history.event[event];
        for (uint32_t other = 0; is->begun && other < EX_SCRATCH_EVENT; other++) {
            const ex_event_t *was = &ex_history.event[other];
            if ((is->before >> other & 1) && was->kind == '!' &&
                ((is->who == was->who && strchr("~L+", is->kind)) || (is->kind == 'U' && is->id == id && is->ended)))
                freed |= 1ull << other;
        }
    }
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *is = &ex_history.event[event];
        if (is->kind == '!' && is->id == id && is->who != EX_OBSERVER && is->ended && (is->value & EX_ELECTED) &&
            !(freed >> event & 1))
            return true;
    }
    return false;
}

/* The observer, who comes last, was elected if nobody else was. The service is healthy; where somebody was impatient, a former
 * checker's late write may stand until the next result, which is the observer's if he was elected. */
static void check_last(const ex_event_t *last, uint32_t noted, uint32_t begun, bool one_life, bool patient)
{
    cmy_key_t key;
    uint32_t record;
    uint64_t state;
    if (!(last->value & EX_ELECTED) && !may_be_checked(last->id))
        ex_blame("nobody checks id %u, and nobody can be elected to", last->id);
    cmy_key_make(&key, ex_region()->seed, ex_id_text(last->id), strlen(ex_id_text(last->id)));
    if (!cmy_service_find(ex_region(), &key, &record, &state))
        return;
    uint32_t run = cmy_checked_run(ex_peek(&cmy_cold_at(ex_region(), record)->checked));
    if ((one_life && run < noted) || run > begun)
        ex_blame("id %u has %u results, of %u acknowledged and %u begun", last->id, run, noted, begun);
    if (one_life && noted > 0 && (patient || (last->value & EX_ELECTED)) &&
        cmy_condition_health(ex_peek(&cmy_service_at(ex_region(), record)->condition)) != COMMY_HEALTH_HEALTHY)
        ex_blame("id %u was found well, and is not healthy", last->id);
}

void ex_verdict_checkers(void)
{
    uint32_t noted = 0, begun = 0;
    bool one_life = true, patient = true;
    const ex_event_t *last = NULL;
    for (uint32_t event = 0; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *is = &ex_history.event[event];
        one_life &= is->kind != 'U' || !is->begun;
        if (is->kind != '!' || !is->begun)
            continue;
        patient &= !(is->flags & EX_IMPATIENT);
        begun += !is->ended || (is->value & EX_NOTED);
        noted += is->ended && (is->value & EX_NOTED);
        if (is->ended && is->who == EX_OBSERVER)
            last = is;
    }
    for (uint32_t event = 0; patient && event < EX_SCRATCH_EVENT; event++)
        for (uint32_t other = 0; is_elected(event) && other < event; other++)
            if (is_elected(other))
                check_pair(other, event);
    if (last && last->status == COMMY_STATUS_SUCCESS)
        check_last(last, noted, begun, one_life, patient);
}
