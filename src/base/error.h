/* The calling thread's last failure: a code and a sentence for people. */
#ifndef CMY_BASE_ERROR_H
#define CMY_BASE_ERROR_H

#include <commy/types.h>

/* Records a failure and returns its code, so that `return cmy_fail(...)` says both. Keeps errno. */
commy_status_t cmy_fail(commy_status_t status, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/* The same with ": " and the text of errno at the end. */
commy_status_t cmy_fail_errno(commy_status_t status, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* What is recorded, set aside by a call that meets a failure on its way and then succeeds: success leaves it alone. */
#define CMY_ERROR_BYTES 512u
typedef struct cmy_error {
    int32_t code;
    char message[CMY_ERROR_BYTES];
} cmy_error_t;

void cmy_error_save(cmy_error_t *saved);
void cmy_error_restore(const cmy_error_t *saved);

#endif /* CMY_BASE_ERROR_H */
