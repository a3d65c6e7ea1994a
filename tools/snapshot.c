/*
 * snapshot.c - see snapshot.h.
 *
 * A look costs a copy of every service, but words are made only for those that are new or have changed.
 */
#include "snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "json.h"
#include "service.h"
#include "text.h"

static uint64_t mix(uint64_t digest, const void *bytes, size_t count)
{
    const unsigned char *byte = bytes;

    for (size_t i = 0; i < count; i++)
        digest = (digest ^ byte[i]) * 0x100000001b3u; /* FNV-1a */
    return digest;
}

/* The rest of a registration never changes. */
static uint64_t digest_of(const struct service *service)
{
    const commy_service_info_t *info = &service->info;
    uint64_t digest = 0xcbf29ce484222325u;

    digest = mix(digest, &info->status, sizeof(info->status));
    digest = mix(digest, &info->admin, sizeof(info->admin));
    digest = mix(digest, &info->weight, sizeof(info->weight));
    return mix(digest, service->metadata, strlen(service->metadata));
}

static char *text_of(const struct service *service)
{
    const commy_service_info_t *info = &service->info;
    char address[ADDRESS_TEXT_BYTES], state[STATE_TEXT_BYTES], *text = NULL;

    if (tool.json)
        return json_line(service_json(service));
    if (asprintf(&text, "%s %s %s (%s, weight %u)%s%s", info->name, info->id,
                 address_text(info->endpoint, info->port, address), state_text(info, state), info->weight,
                 service->metadata[0] != '\0' ? " " : "", service->metadata) < 0)
        must_have(NULL);
    return text;
}

static int by_reference(const void *a, const void *b)
{
    uint64_t left = ((const struct sighting *)a)->reference, right = ((const struct sighting *)b)->reference;

    return (left > right) - (left < right);
}

static struct sighting *find(const struct snapshot *snapshot, uint64_t reference)
{
    struct sighting wanted = {.reference = reference};

    if (snapshot->count == 0)
        return NULL;
    return bsearch(&wanted, snapshot->sightings, snapshot->count, sizeof(wanted), by_reference);
}

static struct sighting *append(struct snapshot *snapshot)
{
    if (snapshot->count == snapshot->room) {
        snapshot->room = snapshot->room != 0 ? snapshot->room * 2 : 64;
        snapshot->sightings =
            must_have(reallocarray(snapshot->sightings, snapshot->room, sizeof(*snapshot->sightings)));
    }
    return &snapshot->sightings[snapshot->count++];
}

static void sight(const struct service *service, struct snapshot *before, struct snapshot *now)
{
    struct sighting *old = find(before, service->reference);
    struct sighting new = {.reference = service->reference, .digest = digest_of(service)};

    if (old != NULL && old->text == NULL) /* the walk met it twice */
        return;
    if (old != NULL && old->digest == new.digest) {
        new.text = old->text;
        new.change = UNCHANGED;
    } else {
        new.text = text_of(service);
        new.change = old != NULL ? CHANGED : ADDED;
        if (old != NULL)
            free(old->text);
    }
    if (old != NULL)
        old->text = NULL;
    *append(now) = new;
}

/* A service that was registered while the walk went on may come twice: the second one is dropped. */
static void drop_doubles(struct snapshot *now)
{
    size_t kept = 0;

    for (size_t i = 0; i < now->count; i++) {
        if (kept != 0 && now->sightings[kept - 1].reference == now->sightings[i].reference)
            free(now->sightings[i].text);
        else
            now->sightings[kept++] = now->sightings[i];
    }
    now->count = kept;
}

commy_status_t snapshot_take(const commy_mesh_t *mesh, const char *name, struct snapshot *before, struct snapshot *now)
{
    commy_iterator_t iterator;
    commy_view_t view;
    struct service service;
    commy_status_t status =
        name != NULL ? commy_iterate_name(mesh, name, &iterator) : commy_iterate_all(mesh, &iterator);

    *now = (struct snapshot){0};
    while (status == COMMY_STATUS_SUCCESS && commy_iterate_next(mesh, &iterator, &view)) {
        status = service_read(mesh, &view, &service);
        if (status == COMMY_STATUS_SUCCESS)
            sight(&service, before, now);
        else if (status == COMMY_STATUS_NOT_FOUND) /* gone since the iterator met it */
            status = COMMY_STATUS_SUCCESS;
    }
    if (now->count != 0)
        qsort(now->sightings, now->count, sizeof(*now->sightings), by_reference);
    drop_doubles(now);
    return status;
}

void snapshot_free(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++)
        free(snapshot->sightings[i].text);
    free(snapshot->sightings);
    *snapshot = (struct snapshot){0};
}
