/* What the two halves of the property share: the count of calls, and what must hold of every answer. */
#ifndef COMMY_TESTS_FUZZ_PROPERTY_H
#define COMMY_TESTS_FUZZ_PROPERTY_H

#include "fuzz.h"

typedef enum call {
    CALL_ATTACH_READ_ONLY,
    CALL_ATTACH,
    CALL_DETACH,
    CALL_INFO,
    CALL_PARTICIPANTS,
    CALL_EVENTS,
    CALL_STATS,
    CALL_WAIT,
    CALL_WATCH,
    CALL_WATCH_WAIT,
    CALL_LOOKOUT,
    CALL_CHECK,
    CALL_FIND,
    CALL_FIND_MANY,
    CALL_GET,
    CALL_METADATA,
    CALL_SERVICE_STATS,
    CALL_NAME_STATS,
    CALL_VIEW,
    CALL_VIEW_TARGET,
    CALL_VIEW_INFO,
    CALL_SELECT,
    CALL_ITERATE_NAME,
    CALL_ITERATE_ALL,
    CALL_COUNT,
    CALL_DISCOVER,
    CALL_DISCOVER_ALL,
    CALL_JOIN,
    CALL_LEAVE,
    CALL_REAP,
    CALL_HOUSEKEEPING,
    CALL_REGISTER,
    CALL_UNREGISTER,
    CALL_HEARTBEAT,
    CALL_SET_HEALTH,
    CALL_SET_ADMIN,
    CALL_SET_WEIGHT,
    CALL_SET_METADATA,
    CALL_REPORT,
    CALL_BEGIN,
    CALL_END,
    CALL_LATENCY,
    CALL_BREAKER,
    CALL_SERVICE_BREAKER,
    CALL_SET_BREAKER,
    CALL_RESET_BREAKER,
    CALL_HEALTH,
    CALL_CHECKER,
    CALL_REMOVE,
    CALLS
} call_t;

/* A call begins, and ends with a code: counted, timed, and held up against what is documented. */
void fuzz_begin(call_t call);
commy_status_t fuzz_end(call_t call, commy_status_t status);

/* Before a run of calls: what the thread used up to now is not theirs. */
void fuzz_mark(void);

#define CALL(call, expression) (fuzz_begin(call), fuzz_end(call, (expression)))

/* Memory of exactly that size, so that a sanitizer sees the first byte behind it touched. Ends the process where there
 * is none. */
void *fuzz_exactly(size_t bytes);

/* Every query, on whatever mesh. */
void fuzz_queries(commy_mesh_t *mesh, const fuzz_plan_t *plan);

/* A run of changes, chosen by the plan's chance, with looks in between. */
void fuzz_changes(commy_mesh_t *mesh, const fuzz_plan_t *plan);

#endif /* COMMY_TESTS_FUZZ_PROPERTY_H */
