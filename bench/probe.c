/*
 * probe.c - commy-probe, the smallest program that uses commy; commy-bench starts it, see probe.h.
 */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <commy/commy.h>

#include "keys.h"

static void must(commy_status_t status, const char *what)
{
    if (status != COMMY_STATUS_SUCCESS)
        bench_die("probe: %s: %s", what, commy_last_error_message());
}

static commy_mesh_t *attach(const char *dir, uint32_t flags)
{
    const commy_open_options_t options = {.size = sizeof options, .flags = flags, .mesh = PROBE_MESH, .dir = dir};
    commy_mesh_t *mesh;

    must(commy_mesh_attach(&options, &mesh), "attaching");
    return mesh;
}

static int probe_attach(const char *dir, const char *id)
{
    commy_mesh_t *mesh = attach(dir, COMMY_OPEN_MUST_EXIST);
    commy_target_t target;

    must(commy_service_find(mesh, id, &target), "finding");
    commy_mesh_detach(&mesh);
    return 0;
}

/* Where the region is mapped, from the kernel. */
static void find_mapping(uintptr_t *from, uintptr_t *to)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");

    *from = UINTPTR_MAX, *to = 0;
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long low, high;
        if (!strstr(line, "/" PROBE_MESH "\n") || sscanf(line, "%lx-%lx", &low, &high) != 2)
            continue;
        *from = low < *from ? low : *from;
        *to = high > *to ? high : *to;
    }
    if (maps)
        fclose(maps);
    if (*to == 0)
        bench_die("the region is not among the mappings");
}

/* The marker is written before each find: that is how they are told apart in the trace. */
static volatile uint64_t marker;

static int find_many(const char *dir, uint64_t size, uint64_t seed)
{
    commy_mesh_t *mesh = attach(dir, COMMY_OPEN_READ_ONLY);
    commy_target_t target;
    uintptr_t from, to;
    bench_id_t id;

    find_mapping(&from, &to);
    printf("region %lx %lx marker %lx\n", (unsigned long)from, (unsigned long)to, (unsigned long)&marker);
    fflush(stdout);
    for (unsigned i = 0; i < PROBE_FINDS; i++) {
        bench_write_id(&id, seed, bench_mix(i) % size);
        marker = i;
        commy_status_t status = commy_service_find(mesh, id.text, &target);
        marker = i;
        must(status, "finding");
    }
    commy_mesh_detach(&mesh);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 1)
        return 0;
    if (argc == 4 && strcmp(argv[1], PROBE_ATTACH) == 0)
        return probe_attach(argv[2], argv[3]);
    if (argc == 5 && strcmp(argv[1], PROBE_LINES) == 0)
        return find_many(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
    return 64;
}
