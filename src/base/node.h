/* What a participant is called when nobody gave it a name. */
#ifndef CMY_BASE_NODE_H
#define CMY_BASE_NODE_H

#include <commy/types.h>

/*
 * "<host name>-<pid>": characters that a node name may not have are replaced by '-', and a long host name is cut so that
 * the process id stays whole. Differs on the two sides of a fork.
 */
void cmy_node_default(char node_id[COMMY_LIMIT_MESH_BYTES + 1]);

#endif /* CMY_BASE_NODE_H */
