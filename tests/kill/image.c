/*
 * Regions as bytes: the real ones, private copies of them, and what changes in them.
 *
 * A private copy is as good as the region itself for asking what others can do there: processes share nothing but the
 * region's bytes and the kernel's word on who lives, and that word is written into the copy as the kernel writes it
 * (FUTEX_OWNER_DIED in the life word). The library works on the copy by the same functions as on a mapping.
 *
 * Changes are looked for where they can be: the fixed part, the first few participants, and in each slab the records up
 * to the last whose bit in the free map was ever set, since claimers set the bit first. At the end of a run the whole
 * region is compared, so that a store elsewhere would be noticed.
 */
#include "kill.h"

#include <sys/syscall.h>

/* No thread has this number (above the kernel's largest by default, and far from those that are given first). */
#define NO_THREAD 0x3ffff0u

static void *must_have(void *memory)
{
    if (!memory || memory == MAP_FAILED) {
        perror("memory");
        exit(2);
    }
    return memory;
}

commy_mesh_t *attach_to(const char *dir, const char *name, uint32_t flags)
{
    commy_mesh_t *mesh;
    const commy_open_options_t options = {.size = sizeof options, .flags = flags, .dir = dir, .mesh = name};
    if (commy_mesh_attach(&options, &mesh) != COMMY_STATUS_SUCCESS) {
        printf("attach: %s\n", commy_last_error_message());
        exit(2);
    }
    return mesh;
}

uint32_t owner_in(const unsigned char *bytes, const world_t *world, uint32_t slot)
{
    const cmy_life_shm_t *life = (const cmy_life_shm_t *)(bytes + world->region->layout.life);
    return cmy_owner(slot, cmy_life_incarnation(cmy_load64_relaxed(&life[slot].phase)));
}

/* ------------------------------------------------------------------- worlds */

/* The participants A and B have joined. */
void world_open(world_t *world, const char *dir, const char *name, uint32_t capacity)
{
    *world = (world_t){.dir = dir, .name = name, .capacity = capacity};
    world->mesh = attach_to(dir, name, COMMY_OPEN_MUST_EXIST);
    world->region = world->mesh->region;
    world->bytes = world->region->layout.region_bytes;
    world->calm = must_have(malloc(world->bytes));
    memcpy(world->calm, world->region->base, world->bytes);
    world->mesh->actor.owner = owner_in(world->calm, world, SLOT_A);
    atomic_store(&world->mesh->phase, CMY_MESH_JOINED);
}

void world_close(world_t *world)
{
    atomic_store(&world->mesh->phase, CMY_MESH_LEFT); /* A's keeper is another process's: nothing to leave */
    commy_mesh_detach(&world->mesh);
    free(world->calm);
}

static void read_marks(cmy_region_t *region)
{
    for (int kind = 0; kind < CMY_SLABS; kind++)
        atomic_store(&region->reserved[kind], (uint32_t)cmy_load64_relaxed(&region->header->reserved[kind]));
}

static void forget(cmy_actor_t *actor)
{
    for (int kind = 0; kind < CMY_SLABS; kind++)
        atomic_store(&actor->cursor[kind], 0);
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++)
        atomic_store_explicit(&actor->reaped[slot], 0, memory_order_relaxed);
}

void world_restore(const world_t *world, const unsigned char *bytes)
{
    memcpy(world->region->base, bytes, world->bytes);
    read_marks(world->region);
    forget(&world->mesh->actor);
}

/* ------------------------------------------------------------------- images */

void image_open(image_t *image, const world_t *world)
{
    const cmy_region_t *from = world->region;
    memset(image, 0, sizeof *image);
    image->bytes = must_have(mmap(NULL, world->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    cmy_region_t *region = &image->region;
    region->base = image->bytes;
    region->layout = from->layout;
    region->seed = from->seed;
    cmy_region_place(region);
    region->alive_page = from->alive_page;
    region->writable = true;
    region->device = from->device;
    region->inode = from->inode;
    region->created_at_ns = from->created_at_ns;
    snprintf(region->dir, sizeof region->dir, "%s", "(a copy of)");
    snprintf(region->mesh, sizeof region->mesh, "%s", from->mesh);
    image->mesh.region = region;
    image->mesh.actor.region = region;
    atomic_store(&image->mesh.phase, CMY_MESH_JOINED);
    image_load(image, world->calm);
}

void image_close(image_t *image)
{
    cmy_tokens_free(&image->mesh.tokens);
    munmap(image->bytes, image->region.layout.region_bytes);
}

void image_load(image_t *image, const unsigned char *bytes)
{
    memcpy(image->bytes, bytes, image->region.layout.region_bytes);
    read_marks(&image->region);
    forget(&image->mesh.actor);
    image_act_as(image, SLOT_A);
}

void image_act_as(image_t *image, uint32_t slot)
{
    uint64_t phase = cmy_load64_relaxed(&image->region.life[slot].phase);
    image->mesh.actor.owner = cmy_owner(slot, cmy_life_incarnation(phase));
}

void image_seat(image_t *image, uint32_t slot)
{
    cmy_life_shm_t *life = &image->region.life[slot];
    uint64_t model = cmy_load64_relaxed(&image->region.life[SLOT_A].phase);
    uint32_t tid = NO_THREAD + slot;
    memcpy(&image->region.participants[slot], &image->region.participants[SLOT_A], sizeof(cmy_participant_shm_t));
    uint32_t incarnation = cmy_life_incarnation(cmy_load64_relaxed(&life->phase));
    cmy_store32_relaxed(&life->word, tid | FUTEX_WAITERS);
    cmy_store64_relaxed(&life->phase, cmy_life_word(CMY_SLOT_ARMED, cmy_life_space(model), incarnation, tid));
}

void image_bury(image_t *image, uint32_t slot, bool noticed)
{
    cmy_life_shm_t *life = &image->region.life[slot];
    uint64_t phase = cmy_load64_relaxed(&life->phase);
    cmy_store32_relaxed(&life->word, FUTEX_OWNER_DIED | FUTEX_WAITERS);
    if (noticed)
        cmy_store64_relaxed(&life->phase,
                            cmy_life_word(CMY_SLOT_DEAD, cmy_life_space(phase), cmy_life_incarnation(phase), 0));
}

void image_kill(image_t *image, uint32_t slot)
{
    cmy_life_shm_t *life = &image->region.life[slot];
    uint64_t phase = cmy_load64_relaxed(&life->phase);
    uint32_t word = cmy_load32_relaxed(&life->word);
    switch (cmy_life_phase(phase)) {
    case CMY_SLOT_JOINING:
        /* Not marked as far as anybody looks; the thread that the phase names is gone. */
        cmy_store64_relaxed(&life->phase, cmy_life_word(CMY_SLOT_JOINING, cmy_life_space(phase),
                                                        cmy_life_incarnation(phase), NO_THREAD + slot));
        break;
    case CMY_SLOT_ARMED:
    case CMY_SLOT_LEAVING:
        if ((word & FUTEX_TID_MASK) == cmy_life_tid(phase)) /* the kernel marks what holds the dying thread's number */
            cmy_store32_relaxed(&life->word, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
        break;
    default:
        break;
    }
}

/* ------------------------------------------------------------------ watching */

void watch_open(watch_t *watch, const world_t *world)
{
    *watch = (watch_t){.world = world, .shadow = must_have(malloc(world->bytes))};
}

void watch_close(watch_t *watch)
{
    free(watch->shadow);
}

/* Records that may have been touched: up to the last whose bit is or was set. */
static void count_used(watch_t *watch)
{
    const cmy_layout_t *layout = &watch->world->region->layout;
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        const cmy_slab_layout_t *slab = &layout->slab[kind];
        for (uint32_t base = 0; base < slab->limit; base += 64) {
            uint64_t bits = cmy_load64_relaxed(cmy_slab_map(watch->world->region, (cmy_slab_kind_t)kind, base));
            uint32_t used = bits ? base + 64 - (uint32_t)__builtin_clzll(bits) : 0;
            if (used > watch->used[kind])
                watch->used[kind] = used;
        }
    }
}

void watch_begin(watch_t *watch)
{
    memcpy(watch->shadow, watch->world->region->base, watch->world->bytes);
    memset(watch->used, 0, sizeof watch->used);
    count_used(watch);
}

static bool differs(watch_t *watch, uint64_t from, uint64_t bytes)
{
    const unsigned char *now = watch->world->region->base + from;
    if (memcmp(watch->shadow + from, now, bytes) == 0)
        return false;
    memcpy(watch->shadow + from, now, bytes);
    return true;
}

bool watch_changed(watch_t *watch)
{
    const cmy_layout_t *layout = &watch->world->region->layout;
    bool changed = differs(watch, 0, sizeof(cmy_header_shm_t));
    changed |= differs(watch, layout->life, SLOTS_WATCHED * sizeof(cmy_life_shm_t));
    changed |= differs(watch, layout->participants, SLOTS_WATCHED * sizeof(cmy_participant_shm_t));
    if (differs(watch, layout->stripes, layout->fixed_bytes - layout->stripes)) {
        changed = true;
        count_used(watch);
    }
    for (int kind = 0; kind < CMY_SLABS; kind++) {
        const cmy_slab_layout_t *slab = &layout->slab[kind];
        changed |= differs(watch, slab->offset, (uint64_t)watch->used[kind] * slab->stride);
        if (slab->cold_stride)
            changed |= differs(watch, slab->cold_offset, (uint64_t)watch->used[kind] * slab->cold_stride);
    }
    return changed;
}

bool watch_complete(const watch_t *watch)
{
    return memcmp(watch->shadow, watch->world->region->base, watch->world->bytes) == 0;
}
