/* The tables behind the policies, by themselves: shares, evenness, and who moves when an instance goes. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "mesh/policy.h"

static uint64_t state = 1;
static uint32_t chance(uint32_t below)
{
    return (uint32_t)((cmy_mix(state += CMY_MIX_STEP) >> 32) * below >> 32);
}

/* ------------------------------------------------- weighted round robin */

/* How often each comes in a period, and that none ever is a whole turn ahead or behind. */
static void check_even(const uint32_t *order, uint32_t turns, uint32_t n, uint32_t *often)
{
    uint32_t *taken = calloc(n, sizeof *taken);
    for (uint32_t t = 0; t < turns; t++) {
        cr_assert_lt(order[t], n);
        often[order[t]]++;
    }
    for (uint32_t t = 0; t < turns; t++) {
        taken[order[t]]++;
        for (uint32_t i = n > 50 ? order[t] : 0; i < (n > 50 ? order[t] + 1 : n); i++) {
            double ahead = taken[i] - (t + 1.0) * often[i] / turns;
            cr_assert(fabs(ahead) < 1, "after %u turns of %u instance %u is %f ahead", t + 1, turns, i, ahead);
        }
    }
    free(taken);
}

Test(policy, turns_come_as_often_as_weights_say_and_evenly)
{
    const uint32_t weight[] = {500, 100, 100};
    uint32_t turns, often[3] = {0};
    uint32_t *order = cmy_turns_make(weight, 3, &turns);
    cr_assert_eq(turns, 7, "what divides all weights is taken out: %u", turns);
    check_even(order, turns, 3, often);
    cr_assert(often[0] == 5 && often[1] == 1 && often[2] == 1);
    free(order);
}

Test(policy, turns_of_equal_weights_are_the_plain_rotation)
{
    uint32_t weight[1000], turns;
    for (uint32_t i = 0; i < 1000; i++)
        weight[i] = 65535;
    uint32_t *order = cmy_turns_make(weight, 1000, &turns);
    cr_assert_eq(turns, 1000);
    for (uint32_t t = 0; t < turns; t++)
        cr_assert_eq(order[t], t);
    free(order);
    order = cmy_turns_make(weight, 1, &turns);
    cr_assert(turns == 1 && order[0] == 0);
    free(order);
}

Test(policy, turns_are_even_and_exact_while_they_are_few_and_bounded_when_not)
{
    static uint32_t weight[3000], often[3000];
    for (int round = 0; round < 300; round++) {
        uint32_t n = round % 20 == 0 ? 1000 + chance(2000) : 1 + chance(20), most = round % 2 ? 65535 : 60, turns;
        uint64_t sum = 0;
        uint32_t poor = 0, limit = n > 1024 ? 8 * n : 8192;
        memset(often, 0, sizeof often);
        for (uint32_t i = 0; i < n; i++)
            sum += weight[i] = 1 + chance(most);
        uint32_t *order = cmy_turns_make(weight, n, &turns);
        cr_assert_leq(turns, limit + n);
        check_even(order, turns, n, often);
        for (uint32_t i = 0; i < n; i++)
            poor += (double)weight[i] / (double)sum < 1.0 / limit;
        for (uint32_t i = 0; i < n; i++) {
            double share = (double)weight[i] / (double)sum, off = fabs((double)often[i] / turns - share);
            double bound = sum <= limit ? 1e-12 : (1 + poor * share) / limit;
            cr_assert_gt(often[i], 0);
            cr_assert(off <= bound, "a share of %g is off by %g, more than %g", share, off, bound);
        }
        free(order);
    }
}

/* --------------------------------------------------------------- random */

Test(policy, columns_add_up_to_the_weights)
{
    static uint32_t weight[2000];
    static double share[2000];
    for (int round = 0; round < 200; round++) {
        uint32_t n = 1 + chance(round % 10 == 0 ? 2000 : 12);
        double sum = 0;
        memset(share, 0, sizeof share);
        for (uint32_t i = 0; i < n; i++)
            sum += weight[i] = 1 + chance(round % 2 ? 65535 : 3);
        cmy_alias_t *column = cmy_alias_make(weight, n);
        for (uint32_t i = 0; i < n; i++) {
            double own = column[i].threshold / 0x1p32;
            cr_assert_lt(column[i].other, n);
            share[i] += own / n;
            share[column[i].other] += (1 - own) / n;
        }
        for (uint32_t i = 0; i < n; i++)
            cr_assert(fabs(share[i] - weight[i] / sum) < 1e-9, "%u of %u: %g, not %g", i, n, share[i], weight[i] / sum);
        cr_assert_lt(cmy_alias_draw(column, n, UINT64_MAX), n);
        cr_assert_lt(cmy_alias_draw(column, n, 0), n);
        free(column);
    }
}

/* ------------------------------------------------------ consistent hash */

#define CLIENTS 100000

static uint64_t client(uint32_t number)
{
    return cmy_mix(0xc11e47 + number * 7ull);
}

/* One of n goes: who moves, of 100,000 clients. */
static void check_movement(uint32_t n, uint32_t gone)
{
    uint64_t *hash = calloc(n, sizeof *hash);
    uint32_t moved = 0, bystanders = 0, back = 0;
    for (uint32_t i = 0; i < n; i++)
        hash[i] = cmy_mix(n * 1000003ull + i);
    uint32_t *with = cmy_places_make(hash, n);
    uint64_t lost = hash[gone], last = hash[n - 1];
    hash[gone] = last; /* the others in another order, too */
    uint32_t *without = cmy_places_make(hash, n - 1);
    hash[gone] = lost;
    hash[n - 1] = last;
    uint32_t *again = cmy_places_make(hash, n);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        uint32_t before = cmy_places_find(with, n, client(i)), after = cmy_places_find(without, n - 1, client(i));
        uint32_t is = before == n - 1 ? gone : before;
        moved += before == gone || after != is;
        bystanders += before != gone && after != is;
        back += cmy_places_find(again, n, client(i)) == before;
    }
    free(with), free(without), free(again), free(hash);
    cr_assert_eq(back, CLIENTS, "they come back when it does");
    cr_assert_leq(moved, CLIENTS / n + CLIENTS / 50, "%u of %u clients moved when one of %u went", moved, CLIENTS, n);
    if (n <= CMY_PLACES_INSTANCES)
        cr_assert_eq(bystanders, 0, "%u of others moved, of %u instances", bystanders, n);
    else
        cr_assert_leq(bystanders, 2 * CLIENTS / n, "%u of others moved, of %u instances", bystanders, n);
}

Test(policy, only_the_clients_of_who_goes_move)
{
    const uint32_t sizes[] = {2, 3, 4, 5, 7, 10, 16, 20, 33, 50, 100, 300, 1000, 1024, 1025, 1026, 2048, 2049, 3000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_movement(sizes[i], 0);
        check_movement(sizes[i], sizes[i] / 2);
        check_movement(sizes[i], sizes[i] - 1);
    }
}

/* Shares within six standard deviations of the places that an even share has, and of the clients that fall there. */
Test(policy, clients_are_spread_as_evenly_as_is_promised)
{
    const uint32_t sizes[] = {2, 3, 10, 100, 1000, 3000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint32_t n = sizes[i], tables = cmy_places_tables(n);
        uint64_t *hash = calloc(n, sizeof *hash);
        uint32_t *has = calloc(n, sizeof *has), nothing = 0;
        for (uint32_t k = 0; k < n; k++)
            hash[k] = cmy_mix(k + 77);
        uint32_t *places = cmy_places_make(hash, n);
        for (uint32_t k = 0; k < tables * CMY_PLACES; k++)
            has[places[k]]++;
        double even = (double)tables * CMY_PLACES / n;
        for (uint32_t k = 0; k < n; k++) {
            cr_assert(fabs(has[k] - even) < 6 * sqrt(even) + 6, "%u of %u has %u places, not %.0f", k, n, has[k], even);
            nothing += has[k] == 0;
        }
        cr_assert_leq(nothing, n / 1000 + 1);
        free(places), free(has), free(hash);
    }
}

Test(policy, instances_that_damage_made_alike_are_spread_all_the_same, .timeout = 30)
{
    static uint64_t hash[3000];
    uint32_t *places = cmy_places_make(hash, 3000);
    for (uint32_t i = 0; i < 3 * CMY_PLACES; i++)
        cr_assert_lt(places[i], 3000);
    free(places);
    places = cmy_places_make(hash, 1);
    cr_assert_eq(cmy_places_find(places, 1, 12345), 0);
    free(places);
}

Test(policy, nobody_has_no_places)
{
    cr_assert_null(cmy_places_make(NULL, 0));
}
