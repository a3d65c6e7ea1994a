/*
 * dump.h - the inside of a region's file, for `commy dump`, which alone among the subcommands knows the layout.
 *
 * Nothing is mapped: what is shown is read into private memory laid out like the region, so that no byte of the file,
 * and nothing that happens to it meanwhile, is more than a wrong number. Holes read as zeros and stay holes.
 */
#ifndef COMMY_TOOL_DUMP_H
#define COMMY_TOOL_DUMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "region/region.h"
#include "table.h"

/* ------------------------------------------------------------------ the file */

#define IMAGE_SENTENCES 64

struct image {
    const char *path;
    int file;
    struct stat st;
    cmy_header_shm_t header;         /* zeros behind the file's end */
    bool laid_out;                   /* what follows the header can be read; `region` says where it is */
    bool damaged;                    /* more is wrong than that it is not in use here and now */
    char *sentence[IMAGE_SENTENCES]; /* what is wrong */
    size_t sentences;
    cmy_region_t region; /* over private memory; the header, and all up to the slabs, are in it */
};

/* Opens a file and judges its header. Returns an exit code; anything but EXIT_YES was explained, and nothing is open.
 * */
int image_open(const char *path, struct image *image);
void image_close(struct image *image);

/* Notes something that is wrong. damage: it is no longer what was made. */
void image_wrong(struct image *image, bool damage, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Calls `visit` for each record of a slab that is marked reserved, with its bytes in place until it returns. */
typedef void record_fn(void *user, const struct image *image, uint32_t number);
void image_visit(struct image *image, cmy_slab_kind_t kind, record_fn *visit, void *user);

/* Reads all records of one slab, which stay in place until they are visited. */
void image_load_slab(struct image *image, cmy_slab_kind_t kind);

/* Reads all records of all slabs, which takes as much memory as is reserved. */
void image_load_all(struct image *image);

/* --------------------------------------------------------------- the output */

/* A column, and its key in JSON; numbers may be left empty. */
struct dump_field {
    const char *key, *heading;
    enum column_kind kind;
};

/* Sections: tables under headings, or members of one JSON object, from the same calls. */
void dump_open(void);
void dump_close(void);

void dump_list_open(const char *key, const char *title, const struct dump_field *fields, size_t count);
void dump_row(const char *const *texts);
void dump_list_close(void);

/* A list of sentences. */
void dump_sentences(const char *key, const char *title, char *const *sentences, size_t count);

void dump_pairs_open(const char *key, const char *title);
void dump_text(const char *key, const char *heading, const char *format, ...) __attribute__((format(printf, 3, 4)));
void dump_number(const char *key, const char *heading, uint64_t number);
void dump_real(const char *key, const char *heading, double number);
void dump_bytes(const char *key, const char *heading, uint64_t bytes);
void dump_time(const char *key, const char *heading, uint64_t unix_ns);
void dump_pairs_close(void);

/* --------------------------------------------------------------- the sections */

void dump_header(const struct image *image);
void dump_wrong(const struct image *image);
void dump_participants(struct image *image);
void dump_slabs(struct image *image);
void dump_counters(struct image *image);
void dump_events(const struct image *image);
void dump_indexes(const struct image *image);
void dump_records(struct image *image);
uint64_t dump_findings(struct image *image); /* audits; returns how many there are */

/* "slot 3, life 0, alive"; nothing for nobody. */
#define OWNER_TEXT_BYTES 64
const char *owner_text(const struct image *image, uint32_t owner, char text[OWNER_TEXT_BYTES]);

#endif /* COMMY_TOOL_DUMP_H */
