/*
 * Any bytes: what the drivers of tests/fuzz share.
 *
 *     input --edit.c--> image of a region --guard.c--> mapped between guard pages --property.c--> every call of commy.h
 *
 * An input is a few bytes that say which start state (seed.c) to take, how to go about it, and which edits to make in
 * it (edit.c). So an input of fifty bytes stands for an image of half a megabyte, and the corpus is a text file.
 *
 * The property: whatever the bytes are, every call returns, with a code that is documented, within a second of the
 * processor's time, and touches nothing outside the mapping, or outside what the header marks reserved. guard.c makes
 * touching a signal; a sanitizer sees the rest; broken() is for what only the property can know.
 */
#ifndef COMMY_TESTS_FUZZ_H
#define COMMY_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "group/internal.h"
#include "life/sign.h"
#include "registry/mesh.h"

/* ------------------------------------------------------------------ chance */

/* splitmix64, Steele, Lea and Flood 2014: every state will do, and what follows depends on nothing else. */
static inline uint64_t fuzz_chance(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 0 to n - 1; n is not 0. */
static inline uint32_t fuzz_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)((fuzz_chance(state) >> 32) * n >> 32);
}

/* ------------------------------------------------------------------- seeds */

/* A start state: a region's bytes, and the file that images made of it are put into. */
typedef struct fuzz_seed {
    const char *what;
    uint32_t capacity;
    cmy_layout_t layout;
    unsigned char *image; /* as it was made, its living owner being this process's first thread */
    unsigned char *stage; /* the file, mapped for the harness */
    int file;
    uint64_t device, inode;
    char mesh[16];
} fuzz_seed_t;

enum { FUZZ_SEEDS = 7, FUZZ_LARGE = FUZZ_SEEDS - 1 };
extern fuzz_seed_t fuzz_seeds[FUZZ_SEEDS];
extern char fuzz_dir[64];

/* Makes them, in a directory of its own below /dev/shm that is gone at exit. Ends the process where that fails. */
void fuzz_seeds_make(void);

/* Takes the directory away; for who is about to die of a violation. */
void fuzz_dir_remove(void);

/* Makes a seed's file anew after something unlinked it. */
void fuzz_file_make(fuzz_seed_t *seed);

/* The same where it is another's: a fuzzer that forks removes files that its next child still knows. */
void fuzz_file_ensure(fuzz_seed_t *seed);

/* Gives the file its full size, and memory for all of it. */
void fuzz_file_fill(const fuzz_seed_t *seed);

/* Ids and names that occur in the seeds, and some that do not. */
enum { FUZZ_ID_COUNT = 12, FUZZ_NAME_COUNT = 8 };
extern const char *const fuzz_ids[FUZZ_ID_COUNT], *const fuzz_names[FUZZ_NAME_COUNT];

/* ------------------------------------------------------------------ inputs */

enum {
    FUZZ_HEAD_BYTES = 12,
    FUZZ_EDIT_BYTES = 12,
    FUZZ_EDITS = 64,
    FUZZ_INPUT_BYTES = FUZZ_HEAD_BYTES + FUZZ_EDITS * FUZZ_EDIT_BYTES
};

/* Parts of the property. Most executions of a fuzzer take some of them, so that there can be many; a share takes all,
 * and so does every other driver. */
enum {
    FUZZ_READ = 1,   /* ask on a read-only attachment; else all is asked on one that may write */
    FUZZ_MESH = 2,   /* ask about the mesh */
    FUZZ_AUDIT = 4,  /* the audit, the longest of all calls */
    FUZZ_IDS = 8,    /* ask by id */
    FUZZ_NAMES = 16, /* ask by name */
    FUZZ_WHOLE = 32, /* walk all, find many */
    FUZZ_CHANGE = 64,
    FUZZ_AGAIN = 128, /* ask again after the changes */
    FUZZ_ALL = 255
};
enum { FUZZ_MOST_CHANGES = 63 };

/* What an input asks for besides its edits. */
typedef struct fuzz_plan {
    fuzz_seed_t *seed;
    uint32_t parts;
    uint32_t changes;       /* so many */
    uint32_t few;           /* asks only by so many ids and names, which chance chooses; 0: by all */
    uint64_t chance;        /* of the calls that change something */
    size_t file_bytes;      /* what the file is cut or extended to; its own size in most */
    bool header_is_hostile; /* else it is put right after the edits */
    bool real_keeper;       /* joins with a thread; else without, which is faster and the same each time */
    bool removes, waits;
    bool moves; /* others write meanwhile: counts may be of two moments */
} fuzz_plan_t;

/* Any bytes are an input. Leaves the image in the seed's stage. */
void fuzz_decode(const uint8_t *input, size_t bytes, fuzz_plan_t *plan);

/* A plan with nothing special in it, for an image that the caller has put on the stage. */
fuzz_plan_t fuzz_plan_for(fuzz_seed_t *seed, uint64_t chance);

/* Puts right what the header's checks compare: the file, the boot, the layout, and marks beyond their slab. */
void fuzz_header_mend(const fuzz_seed_t *seed, unsigned char *image);

/* Makes one edit in an image that may be in use. */
void fuzz_scribble(const fuzz_seed_t *seed, uint64_t *chance);

/* Changes an input in a way that knows what it means; returns its new size. */
size_t fuzz_mutate(uint8_t *input, size_t bytes, size_t room, uint64_t chance);

/* Any edit, preferring those that reach far. */
void fuzz_random_edit(uint8_t edit[FUZZ_EDIT_BYTES], uint64_t *chance);

/* A line of text for an input and back: digits of two a byte. Returns 0 where the line is none. */
size_t fuzz_from_text(const char *line, uint8_t input[FUZZ_INPUT_BYTES]);

/* ---------------------------------------------------------------- property */

/* Holds the property up against the image on the stage. A violation is told and aborts. */
void fuzz_property(const fuzz_plan_t *plan);

/* decode and property, and the count below. */
void fuzz_one(const uint8_t *input, size_t bytes);

typedef struct fuzz_figures {
    uint64_t images, attached; /* of them, past the header's checks */
    uint64_t calls;
} fuzz_figures_t;
extern fuzz_figures_t fuzz_figures;

/* One line for each kind of call: how often, how often with success, and the longest. */
void fuzz_print_calls(FILE *out);

/* Kinds of calls that never succeeded: what was looked at says little while there are any. */
unsigned fuzz_calls_without_success(void);

/* A single call may take so much of the processor's time; a whole image so many seconds of anybody's. */
#define FUZZ_CALL_MS 1000u
#define FUZZ_IMAGE_SECONDS 60u

void fuzz_broken(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* What is being called; for whoever has to say where a crash or a hang came from. */
extern const char *volatile fuzz_at;

#if defined(__SANITIZE_ADDRESS__)
#define FUZZ_SANITIZED 1
#elif defined(__has_feature)
#define FUZZ_SANITIZED __has_feature(address_sanitizer)
#else
#define FUZZ_SANITIZED 0
#endif

/* ------------------------------------------------------------------- guard */

/* How regions are mapped from now on: as they are, between guard pages, or also with what is not reserved shut where
 * they are mapped read-only. */
typedef enum fuzz_guard { FUZZ_OPEN, FUZZ_GUARDED, FUZZ_SHUT } fuzz_guard_t;
void fuzz_guard(fuzz_guard_t how);

/* Whether joining starts a keeper, and what that would do by itself. */
void fuzz_keeper_is_real(bool real);
void fuzz_housekeeping(void);

/* The seeds are made: this is the instant at which every image begins. */
void fuzz_time_starts(void);

/* Whether the calling thread has a time of its own, from that instant on; chance: how fast it goes. What calls draw begins
 * anew as well. */
void fuzz_time_is_own(bool own, uint64_t chance);

#endif /* COMMY_TESTS_FUZZ_H */
