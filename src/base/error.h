/* The calling thread's last failure: a code and a sentence for people. */
#ifndef CMY_BASE_ERROR_H
#define CMY_BASE_ERROR_H

#include <stdbool.h>

#include <commy/types.h>

/* Records a failure and returns its code, so that `return cmy_fail(...)` says both. Keeps errno. */
commy_status_t cmy_fail(commy_status_t status, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/* The same with ": " and the text of errno at the end. */
commy_status_t cmy_fail_errno(commy_status_t status, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/*
 * A place to name in sentences that are written only when somebody reads them: a lookup that misses is no failure to most
 * who make it, and must not cost a formatted sentence. Kept until the process ends, once for each pair of texts, so that
 * a recorded failure may name a region that was detached since. Null: no memory.
 */
typedef struct cmy_place cmy_place_t;
const cmy_place_t *cmy_place(const char *dir, const char *mesh);

/* What is recorded, set aside by a call that meets a failure on its way and then succeeds: success leaves it alone. */
#define CMY_ERROR_BYTES 512u
typedef struct cmy_error {
    int32_t code;
    bool unwritten; /* the sentence is still to be made, of what follows */
    const cmy_place_t *place;
    char id[COMMY_LIMIT_ID_BYTES + 1];
    char message[CMY_ERROR_BYTES];
} cmy_error_t;

/* NOT_FOUND: no live service of that id in that place. Copies the id; short: of up to 32 bytes. */
commy_status_t cmy_fail_no_service(const cmy_place_t *place, const char *id);
commy_status_t cmy_fail_no_short_service(const cmy_place_t *place, const char *id, size_t bytes);

void cmy_error_save(cmy_error_t *saved);
void cmy_error_restore(const cmy_error_t *saved);

#endif /* CMY_BASE_ERROR_H */
