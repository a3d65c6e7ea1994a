/*
 * plan.c - see plan.h.
 */
#include "plan.h"

#define EVERY (CROWD_ONE | CROWD_TWO | CROWD_MORE | ENDS | CROWD_OVER)
#define ENDS (CROWD_ONE | CROWD_ALL)
#define PAIR (ENDS | CROWD_TWO)

#define LOOKUP(name, op, check, crowds, quick)                                                                         \
    {                                                                                                                  \
        name, op, check, PROFILE_PLAIN, crowds, quick, 0, 0, 0, 0, 0                                                   \
    }
#define MIDDLE(name, op, check, crowds, quick)                                                                         \
    {                                                                                                                  \
        name, op, check, PROFILE_PLAIN, crowds, quick, 0, 0, SIZE_MIDDLE, SIZE_MIDDLE, 0                               \
    }
#define NAMES(name, op, check, instances)                                                                              \
    {                                                                                                                  \
        name, op, check, PROFILE_NAMES, CROWD_ONE, CROWD_ONE, SIZE_MIDDLE, 0, SIZE_MIDDLE, 0, instances                \
    }

const bench_workload_t bench_plan[] = {
    LOOKUP("find", OP_FIND, CHECK_ANSWERS, EVERY, ENDS),
    LOOKUP("miss", OP_MISS, CHECK_NOTHING, EVERY, ENDS),
    LOOKUP("batch", OP_BATCH, CHECK_ANSWERS, ENDS, CROWD_ONE),
    LOOKUP("dependent", OP_DEPENDENT, CHECK_ANSWERS, ENDS, CROWD_ONE),
    LOOKUP("view", OP_VIEW, CHECK_EACH, CROWD_ONE, CROWD_ONE),
    LOOKUP("get", OP_GET, CHECK_ANSWERS, CROWD_ONE, CROWD_ONE),
    MIDDLE("register", OP_REGISTER, CHECK_EACH, EVERY, PAIR),
    MIDDLE("register-same", OP_REGISTER_SAME, CHECK_EACH, EVERY, ENDS),
    MIDDLE("mix-99-1", OP_MIX_99, CHECK_EACH, EVERY, ENDS | CROWD_OVER),
    MIDDLE("mix-90-10", OP_MIX_90, CHECK_EACH, EVERY, ENDS | CROWD_OVER),
    MIDDLE("report", OP_REPORT, CHECK_EACH, EVERY, PAIR),
    MIDDLE("report-spread", OP_REPORT_SPREAD, CHECK_EACH, EVERY, CROWD_ALL),
    MIDDLE("atomic-add", OP_ADD, CHECK_EACH, CROWD_ONE, CROWD_ONE),
    LOOKUP("iterate-all", OP_ALL, CHECK_ALL, CROWD_ONE, CROWD_ONE),
    LOOKUP("attach", OP_ATTACH, CHECK_EACH, CROWD_ONE, CROWD_ONE),
    NAMES("count", OP_COUNT, CHECK_INSTANCES, 1),
    NAMES("count", OP_COUNT, CHECK_INSTANCES, 10),
    NAMES("count", OP_COUNT, CHECK_INSTANCES, 1000),
    NAMES("discover", OP_DISCOVER, CHECK_INSTANCES, 1),
    NAMES("discover", OP_DISCOVER, CHECK_INSTANCES, 10),
    NAMES("discover", OP_DISCOVER, CHECK_INSTANCES, 1000),
    NAMES("iterate", OP_ITERATE, CHECK_INSTANCES, 1),
    NAMES("iterate", OP_ITERATE, CHECK_INSTANCES, 10),
    NAMES("iterate", OP_ITERATE, CHECK_INSTANCES, 1000),
    NAMES("select", OP_SELECT, CHECK_EACH, 10),
    NAMES("select", OP_SELECT, CHECK_EACH, 10000),
    NAMES("select-least", OP_SELECT_LEAST, CHECK_EACH, 10),
    NAMES("select-least", OP_SELECT_LEAST, CHECK_EACH, 10000),
    NAMES("select-weighted", OP_SELECT_WEIGHTED, CHECK_EACH, 10),
    NAMES("select-weighted", OP_SELECT_WEIGHTED, CHECK_EACH, 10000),
    NAMES("select-fastest", OP_SELECT_FASTEST, CHECK_EACH, 10),
    NAMES("select-fastest", OP_SELECT_FASTEST, CHECK_EACH, 10000),
    NAMES("select-random", OP_SELECT_RANDOM, CHECK_EACH, 10),
    NAMES("select-random", OP_SELECT_RANDOM, CHECK_EACH, 10000),
    NAMES("select-client", OP_SELECT_CLIENT, CHECK_EACH, 10),
    NAMES("select-client", OP_SELECT_CLIENT, CHECK_EACH, 10000),
    NAMES("iterate-spread", OP_DISCOVER_SPREAD, CHECK_EACH, BENCH_PER_NAME),
    NAMES("dependent", OP_DEPENDENT, CHECK_ANSWERS, 0),
};
const unsigned bench_plan_length = sizeof bench_plan / sizeof bench_plan[0];
