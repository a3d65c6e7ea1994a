/*
 * The calling thread's last failure.
 *
 * A code and a sentence, in thread-local storage: no allocation, no lock, nothing to free, and usable in a forked
 * child. A sentence that does not fit is cut between two characters, never inside one, so that it stays UTF-8.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"

static _Thread_local cmy_error_t storage;

/*
 * Where the calling thread's is. A lookup that misses writes there, and asking for the address of what lies in the dynamic
 * TLS of a library costs a third of that lookup. Eight bytes are little enough for the room that glibc keeps for libraries
 * opened with dlopen(); other C libraries have none to rely on.
 */
#ifdef __GLIBC__
__attribute__((tls_model("initial-exec")))
#endif
static _Thread_local cmy_error_t *mine;

static cmy_error_t *last(void)
{
    if (__builtin_expect(!mine, 0))
        mine = &storage;
    return mine;
}

/* why: an errno to explain at the end; 0: none. */
static commy_status_t record(commy_status_t status, int why, const char *format, va_list arguments)
{
    int kept = errno;
    /* Arguments may point into the sentence before this one: it is replaced only when the new one is whole. */
    char message[CMY_ERROR_BYTES];
    int length = vsnprintf(message, sizeof(message), format, arguments);
    if (length < 0) {
        message[0] = '\0';
        length = 0;
    }
    if (why != 0 && (size_t)length < sizeof(message)) {
        errno = why;
        int more = snprintf(message + length, sizeof(message) - (size_t)length, ": %m");
        length += more > 0 ? more : 0;
    }
    if ((size_t)length >= sizeof(message))
        cmy_text_cut(message, sizeof(message));
    cmy_error_t *error = last();
    memcpy(error->message, message, sizeof(message));
    error->code = status;
    error->unwritten = false;
    errno = kept;
    return status;
}

commy_status_t cmy_fail(commy_status_t status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    record(status, 0, format, arguments);
    va_end(arguments);
    return status;
}

commy_status_t cmy_fail_errno(commy_status_t status, const char *format, ...)
{
    va_list arguments;
    int why = errno;
    va_start(arguments, format);
    record(status, why, format, arguments);
    va_end(arguments);
    return status;
}

struct cmy_place {
    const cmy_place_t *next;
    char dir[COMMY_LIMIT_ENDPOINT_BYTES + 1], mesh[COMMY_LIMIT_MESH_BYTES + 1];
};

/* All places; added to at the front by CAS, never taken from. */
static _Atomic(const cmy_place_t *) places;

const cmy_place_t *cmy_place(const char *dir, const char *mesh)
{
    const cmy_place_t *first = atomic_load_explicit(&places, memory_order_acquire);
    for (const cmy_place_t *place = first; place; place = place->next)
        if (strcmp(place->dir, dir) == 0 && strcmp(place->mesh, mesh) == 0)
            return place;
    cmy_place_t *place = malloc(sizeof *place);
    if (!place)
        return NULL;
    snprintf(place->dir, sizeof place->dir, "%s", dir);
    snprintf(place->mesh, sizeof place->mesh, "%s", mesh);
    /* Who adds the same at the same time adds it twice: a few bytes. */
    do
        place->next = first;
    while (!atomic_compare_exchange_weak_explicit(&places, &first, place, memory_order_release, memory_order_acquire));
    return place;
}

static cmy_error_t *no_service(const cmy_place_t *place)
{
    cmy_error_t *error = last();
    error->code = COMMY_STATUS_NOT_FOUND;
    error->unwritten = true;
    error->place = place;
    return error;
}

commy_status_t cmy_fail_no_short_service(const cmy_place_t *place, const char *id, size_t bytes)
{
    cmy_error_t *error = no_service(place);
    cmy_bytes_copy(error->id, id, bytes);
    error->id[bytes] = '\0';
    return COMMY_STATUS_NOT_FOUND;
}

commy_status_t cmy_fail_no_service(const cmy_place_t *place, const char *id)
{
    cmy_error_t *error = no_service(place);
    size_t bytes = strnlen(id, sizeof error->id - 1);
    memcpy(error->id, id, bytes);
    error->id[bytes] = '\0';
    return COMMY_STATUS_NOT_FOUND;
}

static void write_sentence(const cmy_error_t *error)
{
    char quoted[160];
    cmy_text_quote(error->id, quoted, sizeof quoted);
    cmy_fail(COMMY_STATUS_NOT_FOUND, "no live service has the id %s in mesh %s of %s; `commy ls` shows which do",
             quoted, error->place ? error->place->mesh : "(unnamed)", error->place ? error->place->dir : "(unnamed)");
}

/* Of a thread that never failed there is nothing to keep but that. */
void cmy_error_save(cmy_error_t *saved)
{
    const cmy_error_t *error = last();
    if (error->code == COMMY_STATUS_SUCCESS)
        saved->code = COMMY_STATUS_SUCCESS;
    else
        *saved = *error;
}

void cmy_error_restore(const cmy_error_t *saved)
{
    if (saved->code == COMMY_STATUS_SUCCESS)
        *last() = (cmy_error_t){0};
    else
        *last() = *saved;
}

int32_t commy_last_error(void)
{
    return last()->code;
}

const char *commy_last_error_message(void)
{
    const cmy_error_t *error = last();
    if (error->unwritten)
        write_sentence(error);
    return error->message;
}

const char *commy_status_string(int32_t status)
{
    /* Negated as unsigned: INT32_MIN has no positive counterpart. */
    switch (status < 0 ? 0u - (uint32_t)status : (uint32_t)status) {
    case COMMY_STATUS_SUCCESS:
        return "success";
    case COMMY_STATUS_INIT_FAILED:
        return "initialisation failed";
    case COMMY_STATUS_INVALID:
        return "invalid parameter";
    case COMMY_STATUS_NO_HANDLE:
        return "handle not found";
    case COMMY_STATUS_NO_MEMORY:
        return "out of memory";
    case COMMY_STATUS_NOT_FOUND:
        return "service not found";
    case COMMY_STATUS_EXISTS:
        return "already exists";
    case COMMY_STATUS_FULL:
        return "region full";
    case COMMY_STATUS_PERMISSION:
        return "permission denied";
    case COMMY_STATUS_LAYOUT:
        return "incompatible layout";
    case COMMY_STATUS_CORRUPT:
        return "region corrupt";
    case COMMY_STATUS_TIMED_OUT:
        return "timed out";
    case COMMY_STATUS_NOT_RUNNING:
        return "mesh not running";
    case COMMY_STATUS_NO_HEALTHY:
        return "no healthy instance";
    case COMMY_STATUS_CIRCUIT_OPEN:
        return "circuit open";
    case COMMY_STATUS_FORKED:
        return "forked child must attach again";
    case COMMY_STATUS_NO_SPACE:
        return "no space";
    case COMMY_STATUS_NOT_A_REGION:
        return "not a region";
    case COMMY_STATUS_OTHER_BOOT:
        return "region of another boot";
    case COMMY_STATUS_LIMIT:
        return "limit reached";
    case COMMY_STATUS_KERNEL:
        return "kernel lacks what is needed";
    case COMMY_STATUS_READ_ONLY:
        return "attached read-only";
    case COMMY_STATUS_REMOVED:
        return "region removed or replaced";
    case COMMY_STATUS_BUSY:
        return "busy";
    case COMMY_STATUS_INTERRUPTED:
        return "interrupted";
    case COMMY_STATUS_MESH_NOT_FOUND:
        return "mesh not found";
    case COMMY_STATUS_INTERNAL:
        return "internal error";
    default:
        return "unknown code";
    }
}
