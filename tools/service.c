/*
 * service.c - see service.h.
 */
#include "service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "json.h"
#include "table.h"
#include "text.h"

static const char *const health_names[] = {
    [COMMY_HEALTH_UNKNOWN] = "unknown",
    [COMMY_HEALTH_HEALTHY] = "healthy",
    [COMMY_HEALTH_UNHEALTHY] = "unhealthy",
    [COMMY_HEALTH_DEGRADED] = "degraded",
};

static const char *const admin_names[] = {
    [COMMY_ADMIN_ENABLED] = "enabled",
    [COMMY_ADMIN_DRAINING] = "draining",
    [COMMY_ADMIN_MAINTENANCE] = "maintenance",
};

static const char *const breaker_names[] = {
    [COMMY_BREAKER_CLOSED] = "closed",
    [COMMY_BREAKER_OPEN] = "open",
    [COMMY_BREAKER_HALF_OPEN] = "half-open",
};

#define TRIES 1000 /* of reading what others keep replacing */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *name_of(const char *const *names, size_t count, int32_t number)
{
    return number >= 0 && (size_t)number < count ? names[number] : "?";
}

static int32_t number_of(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return (int32_t)i;
    return -1;
}

const char *health_name(int32_t health)
{
    return name_of(health_names, COUNT(health_names), health);
}

const char *admin_name(int32_t admin)
{
    return name_of(admin_names, COUNT(admin_names), admin);
}

const char *breaker_name(int32_t breaker)
{
    return name_of(breaker_names, COUNT(breaker_names), breaker);
}

int32_t health_number(const char *name)
{
    return number_of(health_names, COUNT(health_names), name);
}

int32_t admin_number(const char *name)
{
    return number_of(admin_names, COUNT(admin_names), name);
}

bool is_healthy(const commy_service_info_t *info)
{
    return info->status == COMMY_HEALTH_HEALTHY || info->status == COMMY_HEALTH_DEGRADED;
}

const char *state_text(const commy_service_info_t *info, char buffer[STATE_TEXT_BYTES])
{
    if (info->admin == COMMY_ADMIN_ENABLED)
        snprintf(buffer, STATE_TEXT_BYTES, "%s", health_name(info->status));
    else
        snprintf(buffer, STATE_TEXT_BYTES, "%s, %s", health_name(info->status), admin_name(info->admin));
    return buffer;
}

const char *state_color(const commy_service_info_t *info)
{
    if (info->status == COMMY_HEALTH_UNHEALTHY)
        return "red";
    if (info->status == COMMY_HEALTH_HEALTHY && info->admin == COMMY_ADMIN_ENABLED)
        return "green";
    return "yellow";
}

/* The text may be replaced faster than it can be read; nobody keeps that up for long. */
static void read_metadata(const commy_mesh_t *mesh, struct service *service)
{
    commy_status_t status = COMMY_STATUS_BUSY;

    service->metadata[0] = '\0';
    if (service->info.metadata_bytes == 0)
        return;
    for (int tries = 0; tries < TRIES && status == COMMY_STATUS_BUSY; tries++)
        status = commy_service_metadata(mesh, service->info.id, service->metadata, sizeof(service->metadata), NULL);
    if (status != COMMY_STATUS_SUCCESS)
        service->metadata[0] = '\0';
}

commy_status_t service_read(const commy_mesh_t *mesh, const commy_view_t *view, struct service *service)
{
    commy_service_stats_t stats;
    commy_status_t status = commy_view_info(mesh, view, &service->info);

    if (status != COMMY_STATUS_SUCCESS)
        return status;
    service->reference = view->reference;
    service->in_flight =
        commy_service_stats(mesh, service->info.id, &stats) == COMMY_STATUS_SUCCESS ? stats.in_flight : 0;
    if (commy_service_breaker(mesh, service->info.id, &service->breaker) != COMMY_STATUS_SUCCESS)
        return COMMY_STATUS_NOT_FOUND;
    read_metadata(mesh, service);
    /* These were read by id: they belong to this registration only if that is there still. */
    if (!commy_view_valid(mesh, view))
        return COMMY_STATUS_NOT_FOUND;
    service->owner_alive = service->info.owner_pid != 0;
    return COMMY_STATUS_SUCCESS;
}

commy_status_t service_find(const commy_mesh_t *mesh, const char *id, struct service *service)
{
    commy_status_t status = COMMY_STATUS_NOT_FOUND;

    for (int tries = 0; tries < TRIES && status == COMMY_STATUS_NOT_FOUND; tries++) {
        commy_view_t view;
        status = commy_service_view(mesh, id, &view);
        if (status != COMMY_STATUS_SUCCESS)
            return status;
        status = service_read(mesh, &view, service); /* not found: registered anew since the view was made */
    }
    return status;
}

static json_t *metadata_value(const char *metadata)
{
    if (metadata[0] == '\0')
        return json_null();
    return json_parse(metadata, NULL, 0);
}

json_t *service_json(const struct service *service)
{
    const commy_service_info_t *info = &service->info;
    json_t *object = must_have(json_object());
    json_t *tags = must_have(json_array());
    json_t *metadata = metadata_value(service->metadata);

    json_put_text(object, "name", info->name);
    json_put_text(object, "id", info->id);
    json_put_text(object, "endpoint", info->endpoint);
    json_put_number(object, "port", info->port);
    json_put_number(object, "weight", info->weight);
    json_put_text_or_null(object, "version", info->version);
    json_put_text_or_null(object, "zone", info->zone);
    for (uint32_t i = 0; i < info->tag_count && i < COMMY_LIMIT_TAGS; i++)
        json_append_text(tags, info->tags[i]);
    json_put(object, "tags", tags);
    if (metadata != NULL)
        json_put(object, "metadata", metadata);
    else
        json_put_text(object, "metadata", service->metadata);
    json_put_text(object, "status", health_name(info->status));
    json_put_text(object, "admin", admin_name(info->admin));
    json_put_text_or_null(object, "node", info->node_id);
    json_put(object, "pid", info->owner_pid != 0 ? json_integer(info->owner_pid) : json_null());
    json_put(object, "owner_alive", json_boolean(service->owner_alive));
    json_put_time(object, "registered_at", info->registered_at_ns);
    json_put_number(object, "in_flight", service->in_flight);
    json_put_text(object, "breaker", breaker_name(service->breaker.state));
    return object;
}

void service_tags(const commy_service_info_t *info, char *buffer, size_t capacity)
{
    size_t length = 0;

    buffer[0] = '\0';
    for (uint32_t i = 0; i < info->tag_count && i < COMMY_LIMIT_TAGS && length < capacity; i++)
        length += (size_t)snprintf(buffer + length, capacity - length, "%s%s", i == 0 ? "" : " ", info->tags[i]);
}

static void print_table(const struct service *service)
{
    const commy_service_info_t *info = &service->info;
    struct table *table = table_open_pairs();
    char address[ADDRESS_TEXT_BYTES], when[TIME_TEXT_BYTES], tags[COMMY_LIMIT_TAGS * (COMMY_LIMIT_TAG_BYTES + 1) + 1];

    service_tags(info, tags, sizeof(tags));
    table_pair(table, "name", "%s", info->name);
    table_pair(table, "id", "%s", info->id);
    table_pair(table, "address", "%s", address_text(info->endpoint, info->port, address));
    table_pair(table, "status", "%s", health_name(info->status));
    table_paint(table, 1, state_color(info));
    table_pair(table, "admin", "%s", admin_name(info->admin));
    table_pair(table, "breaker", "%s", breaker_name(service->breaker.state));
    table_pair(table, "weight", "%u", info->weight);
    table_pair(table, "in flight", "%ju", (uintmax_t)service->in_flight);
    table_pair(table, "version", "%s", info->version);
    table_pair(table, "zone", "%s", info->zone);
    table_pair(table, "tags", "%s", tags);
    table_pair(table, "metadata", "%s", service->metadata);
    if (info->owner_pid != 0)
        table_pair(table, "owner", "%s, pid %u", info->node_id, info->owner_pid);
    else
        table_pair(table, "owner", "none: detached, lives as long as its TTL is renewed");
    table_pair(table, "registered", "%s", time_text(info->registered_at_ns, when));
    table_close(&table);
}

void service_print(const struct service *service)
{
    if (tool.json)
        json_print(service_json(service));
    else
        print_table(service);
}
