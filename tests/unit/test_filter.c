/* Selecting from the instances with a tag, of a version, in a zone. */
#include <stdlib.h>

#include "mesh/picker.h"
#include "support_registry.h"

TestSuite(filter, .init = set_up, .fini = tear_down, .timeout = 60);

#define POLICIES 6

static void add_as(uint16_t port, const char *version, const char *zone, const char *tag, const char *other_tag)
{
    char id[32];
    const char *tags[] = {tag, other_tag};
    snprintf(id, sizeof id, "web-%u", port);
    commy_service_config_t config = config_of("web", id);
    config.port = port;
    config.version = version;
    config.zone = zone;
    config.tags = tags;
    config.tag_count = other_tag ? 2 : tag ? 1 : 0;
    cr_assert_eq(commy_service_register(mesh, &config, NULL), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

/* Three zones, two versions, tags on some. */
static void populate(void)
{
    begin(64);
    add_as(1, "1", "eu", "blue", NULL);
    add_as(2, "1", "eu", "green", "blue");
    add_as(3, "2", "eu", NULL, NULL);
    add_as(4, "2", "us", "green", NULL);
    add_as(5, "2", "us", "bluest", "blu");
    add_as(6, "1", NULL, "blue", "green");
}

static commy_select_options_t asking(const char *tag, const char *version, const char *zone, uint32_t flags)
{
    return (commy_select_options_t){.size = sizeof(commy_select_options_t),
                                    .flags = flags,
                                    .client_id = "me",
                                    .tag = tag,
                                    .version = version,
                                    .zone = zone};
}

static commy_status_t try_select(commy_mesh_t *from, commy_select_options_t how, uint16_t *port)
{
    commy_target_t target;
    commy_status_t status = commy_service_select(from, "web", &how, &target);
    *port = target.port;
    return status;
}

/* A bit for each port that is selected by a policy, of 400 times. */
static uint32_t ports_by(commy_mesh_t *from, commy_select_options_t how, int32_t policy)
{
    uint32_t seen = 0;
    char client[16];
    how.policy = policy;
    how.client_id = client;
    for (uint32_t i = 0; i < 400; i++) {
        uint16_t port;
        snprintf(client, sizeof client, "%u", i);
        cr_assert_eq(try_select(from, how, &port), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
        seen |= 1u << port;
    }
    return seen;
}

static void expect_ports(commy_mesh_t *from, commy_select_options_t how, uint32_t ports)
{
    for (int32_t policy = 0; policy < POLICIES; policy++) {
        uint32_t seen = ports_by(from, how, policy);
        cr_assert_eq(seen, ports, "policy %d came to %#x, not to %#x", policy, seen, ports);
    }
}

Test(filter, takes_those_that_have_all_that_is_asked_for)
{
    populate();
    commy_mesh_t *reader = attach(COMMY_OPEN_READ_ONLY);
    commy_mesh_t *const all[] = {mesh, reader};
    for (size_t who = 0; who < 2; who++) {
        expect_ports(all[who], asking(NULL, NULL, NULL, 0), 0x7e);
        expect_ports(all[who], asking("blue", NULL, NULL, 0), 0x46);
        expect_ports(all[who], asking("green", NULL, NULL, 0), 0x54);
        expect_ports(all[who], asking(NULL, "1", NULL, 0), 0x46);
        expect_ports(all[who], asking(NULL, "2", NULL, 0), 0x38);
        expect_ports(all[who], asking(NULL, NULL, "eu", 0), 0x0e);
        expect_ports(all[who], asking(NULL, "2", "eu", 0), 0x08);
        expect_ports(all[who], asking("green", "2", "us", 0), 0x10);
        expect_ports(all[who], asking("green", "1", "eu", 0), 0x04);
    }
    commy_mesh_detach(&reader);
    audit();
}

Test(filter, a_zone_is_preferred_while_an_instance_there_is_fit)
{
    populate();
    const commy_select_options_t eu = asking(NULL, NULL, "eu", COMMY_SELECT_PREFER_ZONE),
                                 blue_us = asking("blue", NULL, "us", COMMY_SELECT_PREFER_ZONE),
                                 nowhere = asking(NULL, "2", "asia", COMMY_SELECT_PREFER_ZONE);
    expect_ports(mesh, eu, 0x0e);
    expect_ports(mesh, blue_us, 0x46);
    expect_ports(mesh, nowhere, 0x38);
    commy_service_set_admin(mesh, "web-1", COMMY_ADMIN_DRAINING);
    commy_service_set_health(mesh, "web-2", COMMY_HEALTH_UNHEALTHY);
    expect_ports(mesh, eu, 0x08);
    drop(mesh, "web-3");
    expect_ports(mesh, eu, 0x70);
    commy_service_set_health(mesh, "web-2", COMMY_HEALTH_DEGRADED);
    expect_ports(mesh, eu, 0x04);
    add_as(7, "3", "us", "blue", NULL);
    expect_ports(mesh, blue_us, 0x80);
    audit();
}

/* Half-open is who may be tried; a client that prefers its zone goes there while it need not go elsewhere. */
Test(filter, one_to_be_tried_is_tried_from_another_zone_only_where_the_preferred_has_none)
{
    populate();
    const commy_breaker_config_t breaker = {
        .size = sizeof breaker, .enabled = 1, .consecutive_failures = 1, .open_ms = 1};
    cr_assert_eq(commy_mesh_set_breaker(mesh, &breaker), COMMY_STATUS_SUCCESS);
    commy_target_t target;
    cr_assert_eq(commy_service_find(mesh, "web-4", &target), COMMY_STATUS_SUCCESS);
    cr_assert_eq(commy_service_report(mesh, target.reference, 1, false), COMMY_STATUS_SUCCESS);
    sleep_ms(60);
    expect_ports(mesh, asking(NULL, NULL, "eu", COMMY_SELECT_PREFER_ZONE), 0x0e);
    uint16_t port;
    cr_assert_eq(try_select(mesh, asking(NULL, NULL, "asia", COMMY_SELECT_PREFER_ZONE), &port), COMMY_STATUS_SUCCESS);
    cr_assert_eq(port, 4, "where no zone has to be left, it came to %u", port);
    audit();
}

static void own_port_8_in_asia(commy_mesh_t *own)
{
    commy_service_config_t config = config_of("web", "web-8");
    config.port = 8;
    config.zone = "asia";
    if (commy_service_register(own, &config, NULL) != COMMY_STATUS_SUCCESS)
        _exit(3);
}

Test(filter, a_death_in_the_zone_is_seen_by_the_next_selection)
{
    populate();
    const commy_select_options_t prefers = asking(NULL, NULL, "asia", COMMY_SELECT_PREFER_ZONE),
                                 only = asking(NULL, NULL, "asia", 0);
    for (int round = 0; round < 3; round++) {
        uint16_t port;
        pid_t owner = start_owner(own_port_8_in_asia);
        expect_ports(mesh, prefers, 0x100);
        expect_ports(mesh, only, 0x100);
        kill_owner(owner);
        for (int32_t policy = 0; policy < POLICIES; policy++) {
            commy_select_options_t how = only;
            how.policy = policy;
            cr_assert_eq(try_select(mesh, how, &port), COMMY_STATUS_NO_HEALTHY);
        }
        expect_ports(mesh, prefers, 0x7e);
    }
}

Test(filter, what_does_not_fit_is_counted_by_the_first_reason)
{
    populate();
    uint16_t port;
    expect(try_select(mesh, asking("red", NULL, NULL, 0), &port), COMMY_STATUS_NO_HEALTHY,
           "none of the 6 instances of name 'web'");
    expect(try_select(mesh, asking("red", NULL, NULL, 0), &port), COMMY_STATUS_NO_HEALTHY, "6 without tag 'red'");
    commy_service_set_admin(mesh, "web-1", COMMY_ADMIN_MAINTENANCE);
    expect(try_select(mesh, asking("blue", "1", "us", 0), &port), COMMY_STATUS_NO_HEALTHY,
           "3 without tag 'blue', 3 not in zone 'us'");
    expect(try_select(mesh, asking("green", "3", NULL, 0), &port), COMMY_STATUS_NO_HEALTHY,
           "3 without tag 'green', 3 not of version '3'");
    commy_service_set_health(mesh, "web-2", COMMY_HEALTH_UNHEALTHY);
    expect(try_select(mesh, asking("blue", NULL, "eu", 0), &port), COMMY_STATUS_NO_HEALTHY,
           "3 without tag 'blue', 1 not in zone 'eu', 1 unhealthy, 1 in maintenance");
    for (uint16_t i = 1; i <= 6; i++) {
        char id[8];
        snprintf(id, sizeof id, "web-%u", i);
        drop(mesh, id);
    }
    expect(try_select(mesh, asking("red", NULL, NULL, 0), &port), COMMY_STATUS_NOT_FOUND, "has no instance");
}

/* With the host's rotation the one would see the even turns only, and so one of its two. */
Test(filter, filters_used_by_turns_each_see_all_their_instances)
{
    populate();
    uint32_t seen[16] = {0};
    uint16_t port;
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(try_select(mesh, asking(NULL, NULL, "us", 0), &port), COMMY_STATUS_SUCCESS);
        seen[port]++;
        cr_assert_eq(try_select(mesh, asking(NULL, NULL, NULL, 0), &port), COMMY_STATUS_SUCCESS);
    }
    cr_assert_eq(seen[4], 500);
    cr_assert_eq(seen[5], 500);
    commy_select_options_t weighted = asking(NULL, NULL, "us", 0);
    weighted.policy = COMMY_POLICY_WEIGHTED_ROUND_ROBIN;
    commy_service_set_weight(mesh, "web-4", 300);
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(try_select(mesh, weighted, &port), COMMY_STATUS_SUCCESS);
        seen[port]++;
    }
    cr_assert_eq(seen[4], 500 + 750);
    const cmy_group_shm_t *group = cmy_group_at(mesh->region, 0);
    cr_assert_eq(cmy_load64_relaxed(&group->rotation), 1000, "the host's turns are those without a filter");
    cr_assert_eq(cmy_load64_relaxed(&group->weighted_rotation), 0);
}

Test(filter, any_number_of_filters_leaves_a_bounded_number_of_pickers)
{
    populate();
    uint16_t port;
    char zone[32];
    uint32_t count = 0;
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 3000; i++) {
            snprintf(zone, sizeof zone, "zone-%u", i);
            commy_select_options_t how = asking(NULL, "2", zone, COMMY_SELECT_PREFER_ZONE);
            cr_assert_eq(try_select(mesh, how, &port), COMMY_STATUS_SUCCESS);
            cr_assert(port >= 3 && port <= 5);
        }
    const cmy_pickers_t *pickers = (const cmy_pickers_t *)mesh->pickers;
    for (uint32_t set = 0; set < CMY_PICKER_SETS; set++)
        for (uint32_t way = 0; way < CMY_PICKER_WAYS; way++)
            count += pickers->way[set][way] != NULL;
    cr_assert_leq(count, CMY_PICKERS);
    cr_assert_gt(count, CMY_PICKERS * 9 / 10);
    expect_ports(mesh, asking("blue", NULL, NULL, 0), 0x46);
}

Test(filter, questions_without_sense_are_refused)
{
    populate();
    uint16_t port;
    char text[33];
    memset(text, 't', sizeof text);
    text[32] = '\0';
    const struct {
        commy_select_options_t how;
        const char *part;
    } refused[] = {
        {asking("", NULL, NULL, 0), "options.tag"},
        {asking(NULL, "", NULL, 0), "options.version"},
        {asking(NULL, NULL, "", 0), "options.zone"},
        {asking(text, NULL, NULL, 0), "options.tag"},
        {asking(NULL, text, NULL, 0), "options.version"},
        {asking(NULL, NULL, text, 0), "options.zone"},
        {asking("a\nb", NULL, NULL, 0), "options.tag"},
        {asking(NULL, NULL, "\xff", 0), "options.zone"},
        {asking("blue", NULL, NULL, COMMY_SELECT_PREFER_ZONE), "name the zone that is preferred"},
        {asking(NULL, NULL, "eu", 2), "options.flags 0x2"},
        {asking(NULL, NULL, NULL, 1u << 31), "options.flags 0x80000000"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        expect(try_select(mesh, refused[i].how, &port), COMMY_STATUS_INVALID, refused[i].part);
    text[31] = '\0';
    expect(try_select(mesh, asking(text, text, text, 0), &port), COMMY_STATUS_NO_HEALTHY, "6 without tag 'ttt");
    /* Of a caller that knows of no filters: what lies behind its structure is not looked at. */
    commy_select_options_t old = asking("red", "9", "none", 0);
    old.size = offsetof(commy_select_options_t, tag);
    cr_assert_eq(try_select(mesh, old, &port), COMMY_STATUS_SUCCESS);
}
