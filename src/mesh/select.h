/* Selecting one instance of a name, for the room above. */
#ifndef CMY_MESH_SELECT_H
#define CMY_MESH_SELECT_H

#include <commy/commy.h>

/* Whether a policy is one. Errors: INVALID, with a sentence that names those that are. */
commy_status_t cmy_policy_check(int32_t policy);

/*
 * Selects from a picker that is there and current, and makes none; false says nothing but that commy_service_select()
 * has to look. Waits for nothing, so that it may run in a read section of the caller's. Any of the pointers may be
 * null.
 */
bool cmy_select_at_once(commy_mesh_t *mesh, const char *name, int32_t policy, const char *client_id,
                        commy_target_t *target);

#endif /* CMY_MESH_SELECT_H */
