/* Default node names: see node.h. */
#include "base/node.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* By hand: isalnum() asks the locale. */
static bool may_stand_in_a_name(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

void cmy_node_default(char node_id[COMMY_LIMIT_MESH_BYTES + 1])
{
    char host[HOST_NAME_MAX + 1] = "", suffix[16];
    if (gethostname(host, sizeof(host)) || !host[0])
        strcpy(host, "localhost");
    host[sizeof(host) - 1] = '\0';
    for (char *c = host; *c; c++)
        if (!may_stand_in_a_name(*c))
            *c = '-';
    int suffix_bytes = snprintf(suffix, sizeof(suffix), "-%ld", (long)getpid());
    snprintf(node_id, COMMY_LIMIT_MESH_BYTES + 1, "%.*s%s", (int)COMMY_LIMIT_MESH_BYTES - suffix_bytes, host, suffix);
}
