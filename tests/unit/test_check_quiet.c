/*
 * The audit when nobody is at work: then nothing may be in flight, and all dead are reaped. And damage in which one thing
 * wrong must not lead to a look at another that is not there.
 */
#include <unistd.h>

#include "life/sign.h"
#include "support_check.h"

static void set_up_filled(void)
{
    set_up();
    fill_with(mesh, false);
    commy_mesh_leave(mesh); /* nobody is left who would reap */
}

TestSuite(quiet, .init = set_up_filled, .fini = tear_down, .timeout = 120);

static void expect_found(const char *where, const char *what)
{
    uint64_t told = 0, findings = 0;
    found[0] = '\0';
    cr_assert_eq(cmy_check_region(reader->region, true, note, &told, &findings), COMMY_STATUS_SUCCESS);
    cr_assert(strstr(found, where) && strstr(found, what), "'%s: %s' is not among\n%s", where, what, found);
}

/* A participant who lives, or did, as far as the region says. */
static uint32_t plant_owner(bool alive)
{
    cmy_life_shm_t *life = &region->life[5];
    uint32_t tid = (uint32_t)getpid();
    cmy_store32_relaxed(&life->word, alive ? tid | FUTEX_WAITERS : FUTEX_OWNER_DIED | FUTEX_WAITERS);
    cmy_store64_relaxed(&life->phase, cmy_life_word(CMY_SLOT_ARMED, cmy_life_namespace(), 1, tid));
    return cmy_owner(5, 1);
}

Test(quiet, what_is_held_is_told)
{
    set_state(CMY_SERVICES, free_record(CMY_SERVICES), plant_owner(true), CMY_CLAIMED);
    expect_found("service", "and nobody is at work");
}

Test(quiet, a_block_that_is_being_given_back_is_told)
{
    set_state(CMY_STATS, free_record(CMY_STATS), plant_owner(true), CMY_DYING);
    expect_found("statistics block", "which it cannot be in");
}

Test(quiet, who_is_dead_and_was_not_reaped_is_told)
{
    plant_owner(false);
    expect_found("participant slot", "is dead and was not reaped");
}

/* Two services under one key whose lengths make no sense: they are told for that, and not compared byte by byte. */
Test(quiet, keys_of_impossible_length_are_not_compared)
{
    commy_mesh_detach(&mesh);
    attach(&mesh, 0);
    region = mesh->region;
    put(mesh, "web", "web-1", NULL, 0, false);
    put(mesh, "web", "web-2", NULL, 0, false);
    cmy_service_shm_t *service[2];
    for (uint32_t i = 0, seen = 0; seen < 2; i++) {
        cr_assert(cmy_region_holds(region, CMY_SERVICES, i));
        if (cmy_state_phase(cmy_load64_relaxed(&cmy_service_at(region, i)->state)) == CMY_LIVE)
            service[seen++] = cmy_service_at(region, i);
    }
    for (int i = 0; i < 2; i++) {
        cmy_shape_t shape = cmy_shape_unpack(cmy_load64_relaxed(&service[i]->shape));
        shape.id_bytes = 200;
        cmy_store64_relaxed(&service[i]->shape, cmy_shape_pack(shape));
        cmy_store64_relaxed(&service[i]->hash, 0x1234567890abcdefull);
    }
    cr_assert_neq(audit(reader), 0);
}
