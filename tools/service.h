/*
 * service.h - a service as the commands show it: copied out of the region with its metadata, as JSON, as words.
 */
#ifndef COMMY_TOOL_SERVICE_H
#define COMMY_TOOL_SERVICE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <commy/commy.h>

struct service {
    commy_service_info_t info;
    uint64_t reference, in_flight;
    commy_breaker_status_t breaker;
    bool owner_alive; /* at the end of the copying; false for a detached service, which has no owner */
    char metadata[COMMY_LIMIT_METADATA_BYTES + 1];
};

/* Copies the service behind a view. Errors: NOT_FOUND (it is gone), CORRUPT. */
commy_status_t service_read(const commy_mesh_t *mesh, const commy_view_t *view, struct service *service);

/* Copies the service of an id. */
commy_status_t service_find(const commy_mesh_t *mesh, const char *id, struct service *service);

/* The object that scripts rely on; metadata is parsed where it is JSON, else a string, or null. */
json_t *service_json(const struct service *service);

/* Prints one service in full: JSON or a table, as the command line says. */
void service_print(const struct service *service);

/* Its tags, with blanks in between. */
void service_tags(const commy_service_info_t *info, char *buffer, size_t capacity);

/* Words for numbers; "?" for a number that has none. */
const char *health_name(int32_t health);
const char *admin_name(int32_t admin);
const char *breaker_name(int32_t breaker);

/* Numbers for words; -1 for a word that is none. */
int32_t health_number(const char *name);
int32_t admin_number(const char *name);

/* Whether lookups call it healthy: a degraded service is one. */
bool is_healthy(const commy_service_info_t *info);

/* "healthy", or "healthy, draining"; and the colour that goes with it. */
#define STATE_TEXT_BYTES 40
const char *state_text(const commy_service_info_t *info, char buffer[STATE_TEXT_BYTES]);
const char *state_color(const commy_service_info_t *info);

#endif /* COMMY_TOOL_SERVICE_H */
