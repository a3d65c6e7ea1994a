/*
 * Every single bit: of a region of 16 services with something of everything in it, each bit of each byte that is in use
 * is flipped by itself, and the property held up against what comes of it.
 *
 *     flip [--all] [--every N] [--from K] [--seconds MOST]
 *
 * In use are: the header, the two slots that were taken and their details, every stripe's words, the counters, the events, the free
 * maps, both indexes, and of each slab the records that are or were in use, their texts up to the last byte that is not
 * 0 and eight more. Paddings and what was never written are not, unless --all asks for each bit of the file: four million
 * of them, and a shorter run of changes for each.
 *
 * --every N takes each N-th bit from the K-th on, which is what CI does; without, all are taken. A flip in what the
 * header's checks compare is refused; that too is looked at, and counted.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum { SUBJECT = 2, RANGES = 512 };

static struct range {
    uint64_t from, bytes;
    const char *what;
} ranges[RANGES];
static size_t count;
static uint64_t bits;
static bool all; /* bits of the file, not only those in use */

static void add(const char *what, uint64_t from, uint64_t bytes)
{
    if (bytes == 0 || count == RANGES)
        return;
    ranges[count++] = (struct range){from, bytes, what};
    bits += 8 * bytes;
}

/* Up to the last byte that is not 0, and a word more. */
static uint64_t written(const unsigned char *record, uint64_t stride)
{
    uint64_t bytes = stride;
    while (bytes > 0 && record[bytes - 1] == 0)
        bytes--;
    return bytes == 0 ? 0 : bytes + 8 < stride ? bytes + 8 : stride;
}

static void add_slab(const fuzz_seed_t *seed, cmy_slab_kind_t kind)
{
    static const char *const names[CMY_SLABS] = {"services",    "groups",      "member lines", "statistics",
                                                 "small texts", "large texts", "cells"};
    const cmy_slab_layout_t *slab = &seed->layout.slab[kind];
    for (uint32_t record = 0; record < slab->limit; record++) {
        uint64_t hot = slab->offset + (uint64_t)record * slab->stride;
        uint64_t cold = slab->cold_offset + (uint64_t)record * slab->cold_stride;
        add(names[kind], hot, written(seed->image + hot, slab->stride));
        add(kind == CMY_SERVICES ? "services, cold" : "statistics, cold", cold,
            written(seed->image + cold, slab->cold_stride));
    }
}

static void add_used(const fuzz_seed_t *seed)
{
    const cmy_layout_t *layout = &seed->layout;
    add("header", 0, sizeof(cmy_header_shm_t));
    add("life words", layout->life, 2 * sizeof(cmy_life_shm_t));
    add("participants", layout->participants, 2 * sizeof(cmy_participant_shm_t));
    for (uint32_t i = 0; i <= CMY_STRIPES; i++)
        add("stripes", layout->stripes + i * sizeof(cmy_stripe_shm_t), 16);
    for (uint32_t i = 0; i < CMY_EVENT_RINGS; i++) {
        uint64_t ring = layout->events + i * sizeof(cmy_event_ring_shm_t);
        add("events", ring, written(seed->image + ring, sizeof(cmy_event_ring_shm_t)));
    }
    for (int kind = 0; kind < CMY_SLABS; kind++)
        add("free maps", layout->slab[kind].map_offset, (layout->slab[kind].limit + 63) / 64 * 8);
    add("index of ids", layout->ids, (layout->id_lines + 1) * sizeof(cmy_index_line_shm_t));
    add("index of names", layout->names, (layout->name_lines + 1) * sizeof(cmy_index_line_shm_t));
    for (int kind = 0; kind < CMY_SLABS; kind++)
        add_slab(seed, (cmy_slab_kind_t)kind);
}

static uint64_t at_bit;

static void late(int number)
{
    (void)number;
    fprintf(stderr, "flip: bit %" PRIu64 ": it does not come back from %s\n", at_bit, fuzz_at);
    raise(SIGABRT);
}

static void tell_bit(int number)
{
    fprintf(stderr,
            "flip: bit %" PRIu64 " of the bits in use; `flip --from %" PRIu64 " --every %" PRIu64 "` does it again\n",
            at_bit, at_bit, bits);
    fuzz_dir_remove();
    signal(number, SIG_DFL);
    raise(number);
}

static void flip(fuzz_seed_t *seed, const struct range *range, uint64_t bit)
{
    memcpy(seed->stage, seed->image, seed->layout.region_bytes);
    fuzz_header_mend(seed, seed->stage);
    seed->stage[range->from + bit / 8] ^= (unsigned char)(1u << bit % 8);
    fuzz_plan_t plan = fuzz_plan_for(seed, at_bit);
    plan.header_is_hostile = range->from + bit / 8 < sizeof(cmy_header_shm_t);
    if (all)
        plan.changes = 8;
    alarm(FUZZ_IMAGE_SECONDS);
    fuzz_property(&plan);
    alarm(0);
}

int main(int argc, char **argv)
{
    uint64_t every = 1, from = 0, flipped = 0, next, before = 0;
    unsigned seconds = 1u << 30;
    if (argc > 1 && strcmp(argv[1], "--all") == 0) {
        all = true;
        argc--;
        argv++;
    }
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t number = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--every") == 0 && number > 0)
            every = number;
        else if (strcmp(argv[i], "--from") == 0)
            from = number;
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = (unsigned)number;
        else
            return fprintf(stderr, "flip: what is %s %s?\n", argv[i], argv[i + 1]), 64;
    }
    fuzz_seeds_make();
    signal(SIGALRM, late);
    signal(SIGABRT, tell_bit);
    if (!FUZZ_SANITIZED) { /* a sanitizer handles these itself */
        signal(SIGSEGV, tell_bit);
        signal(SIGBUS, tell_bit);
    }
    fuzz_seed_t *seed = &fuzz_seeds[SUBJECT];
    if (all)
        add("the whole file", 0, seed->layout.region_bytes);
    else
        add_used(seed);
    time_t end = time(NULL) + (time_t)seconds;
    next = from;
    for (size_t i = 0; i < count && time(NULL) < end; before += 8 * ranges[i++].bytes) {
        for (; next < before + 8 * ranges[i].bytes && time(NULL) < end; next += every, flipped++) {
            at_bit = next;
            flip(seed, &ranges[i], next - before);
        }
    }
    bool whole = next >= bits;
    printf("%" PRIu64 " of %" PRIu64 " bits in %zu ranges flipped (each %" PRIu64 ". from %" PRIu64 "), %" PRIu64
           " past the header's checks, %" PRIu64 " calls\n",
           flipped, bits, count, every, from, fuzz_figures.attached, fuzz_figures.calls);
    fuzz_print_calls(stdout);
    printf("%s every flipped bit is borne\n", flipped > 0 ? "ok    " : "FAILED");
    printf("%s the whole slice was flipped\n", whole ? "ok    " : "FAILED");
    printf("%d passed, %d failed\n", (flipped > 0) + whole, (flipped == 0) + !whole);
    return flipped > 0 && whole ? 0 : 1;
}
