/* Looking at wards, for those who fight over them (ward.c) and who audit them (ward_audit.c). */
#ifndef COMMY_TESTS_WAR_WARD_H
#define COMMY_TESTS_WAR_WARD_H

#include "war.h"

#include "registry/breaker.h"

#define WARD_NAME "wards"

extern const commy_breaker_config_t war_ward_rules;

void war_ward_id(uint32_t w, char id[16]);

typedef struct ward_look {
    uint64_t condition, turn; /* 0: not there, or changed under the look */
} ward_look_t;

static inline bool ward_is_open(const ward_look_t *look)
{
    return look->condition & CMY_CONDITION_OPEN;
}
/* Open throughout, and in the same change. */
static inline bool ward_stayed_open(const ward_look_t *before, const ward_look_t *after)
{
    return ward_is_open(before) && before->condition == after->condition;
}
static inline bool ward_stayed_closed(const ward_look_t *before, const ward_look_t *after)
{
    return before->condition != 0 && !ward_is_open(before) && before->condition == after->condition;
}

static inline ward_look_t ward_look_at(const commy_mesh_t *mesh, uint32_t w)
{
    char id[16];
    uint32_t record;
    uint64_t state, link;
    ward_look_t look = {0};
    war_ward_id(w, id);
    if (cmy_mesh_look_up(mesh, id, &record, &state) != COMMY_STATUS_SUCCESS)
        return look;
    const cmy_word64_t *condition = &cmy_service_at(mesh->region, record)->condition;
    const cmy_tally_shm_t *tally = cmy_tally_follow(mesh->region, record, state, &link);
    look.condition = cmy_load64_seq_cst(condition);
    look.turn = tally ? cmy_load64_seq_cst(&tally->breaker.turn) : 0;
    if (cmy_load64_seq_cst(condition) != look.condition)
        look = (ward_look_t){0};
    return look;
}

static inline void ward_look_at_all(const commy_mesh_t *mesh, ward_look_t look[WARDS])
{
    for (uint32_t w = 0; w < WARDS; w++)
        look[w] = ward_look_at(mesh, w);
}

/* Selects any ward, or one by its tag; before receives what there was. WARDS: none. */
uint32_t war_ward_choose(war_fighter_t *f, const char *tag, ward_look_t before[WARDS]);
void war_ward_reset(commy_mesh_t *mesh, uint32_t w);

/* Selects that very ward. Its turn was free where *was_free says so; whether it was given to us. */
bool war_ward_take(war_fighter_t *f, uint32_t w, bool *was_free);

/* Reports on it, as the one whose turn it is or as anybody. */
void war_ward_tell(war_fighter_t *f, uint32_t w, bool success);

#endif /* COMMY_TESTS_WAR_WARD_H */
