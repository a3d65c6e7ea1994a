/*
 * The language ABI: callbacks, and dispatching them.
 *
 * The handle is held while a notice is taken and while one is waited for, never while a callback runs: so a callback may
 * destroy the handle, whose destruction waits for those who hold it. After each callback the handle is looked up anew.
 */
#include <commy/ffi.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "ffi/handle.h"
#include "mesh/notices.h"

_Static_assert((int)COMMY_LOG_ERROR == (int)CMY_LOG_ERROR && (int)COMMY_LOG_WARNING == (int)CMY_LOG_WARNING &&
                   (int)COMMY_LOG_INFO == (int)CMY_LOG_INFO,
               "levels are passed on as they are");

/* What a dispatch has taken, and whom to tell. */
typedef struct taken {
    bool logged;
    cmy_listener_t listener;
    cmy_notice_t notice;
    cmy_log_line_t line;
} taken_t;

static commy_status_t no_memory(void)
{
    return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory for %zu bytes of notices", sizeof(cmy_notices_t));
}

static int32_t set(commy_handle_t h, cmy_listener_kind_t kind, void (*call)(void), void *user)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_notices_t *notices = cmy_notices_of(handle->mesh);
    status = notices ? cmy_notices_set(notices, kind, call, user) : no_memory();
    cmy_handle_unpin(&handle);
    return status;
}

int32_t commy_set_service_callback(commy_handle_t h, commy_service_callback_t fn, void *user)
{
    return set(h, CMY_FOR_SERVICES, (void (*)(void))fn, user);
}

int32_t commy_set_health_callback(commy_handle_t h, commy_health_callback_t fn, void *user)
{
    return set(h, CMY_FOR_HEALTH, (void (*)(void))fn, user);
}

int32_t commy_set_log_callback(commy_log_callback_t fn, void *user)
{
    if (cmy_log_listen((void (*)(void))fn, user))
        return COMMY_STATUS_SUCCESS;
    return cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory for the lines of a log");
}

static void run(const taken_t *taken)
{
    const cmy_notice_t *notice = &taken->notice;
    void *user = taken->listener.user;
    if (taken->logged)
        ((commy_log_callback_t)taken->listener.call)(user, (int32_t)taken->line.level, taken->line.text);
    else if (notice->kind == CMY_FOR_SERVICES)
        ((commy_service_callback_t)taken->listener.call)(user, notice->now, notice->name, notice->id);
    else
        ((commy_health_callback_t)taken->listener.call)(user, notice->name, notice->id, notice->before, notice->now);
}

static bool take(cmy_notices_t *notices, taken_t *taken)
{
    taken->logged = cmy_log_take(&taken->line, &taken->listener.call, &taken->listener.user);
    return taken->logged || cmy_notices_take(notices, &taken->notice, &taken->listener);
}

/* Sleeps until something may have arrived, or the handle be stopped. */
static commy_status_t sleep_on(const cmy_handle_t *handle, cmy_notices_t *notices, uint32_t heard, uint64_t left_ns)
{
    const uint64_t slice_ns = CMY_HANDLE_SLICE_MS * 1000000ull;
    if (cmy_handle_closing(handle))
        return cmy_handle_refuse(handle->id, COMMY_STATUS_NO_HANDLE);
    cmy_notices_await(notices, heard, (int)(((left_ns < slice_ns ? left_ns : slice_ns) + 999999) / 1000000));
    return COMMY_STATUS_SUCCESS;
}

/* Takes one thing, or sleeps once for it. *took: run it. Not taken and SUCCESS: come again. */
static commy_status_t take_or_sleep(commy_handle_t h, uint64_t end_ns, bool may_sleep, taken_t *taken, bool *took)
{
    cmy_handle_t *handle;
    *took = false;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_notices_t *notices = cmy_notices_of(handle->mesh);
    if (!notices) {
        status = no_memory();
    } else {
        uint32_t heard = atomic_load(&notices->arrived); /* before the look: what arrives after it ends the sleep */
        uint64_t now_ns = cmy_clock_monotonic_ns();
        *took = take(notices, taken);
        if (!*took)
            status = cmy_region_usable(handle->mesh->region);
        if (!*took && status == COMMY_STATUS_SUCCESS && may_sleep && now_ns < end_ns)
            status = sleep_on(handle, notices, heard, end_ns - now_ns);
    }
    cmy_handle_unpin(&handle);
    return status;
}

int32_t commy_dispatch(commy_handle_t h, int32_t timeout_ms)
{
    uint64_t end_ns = UINT64_MAX;
    int32_t ran = 0;
    taken_t taken;
    bool took = true;
    if (timeout_ms >= 0)
        end_ns = cmy_clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000u;
    while (ran < (int32_t)CMY_NOTICES) {
        commy_status_t status = take_or_sleep(h, end_ns, ran == 0, &taken, &took);
        if (status != COMMY_STATUS_SUCCESS)
            return ran > 0 ? ran : -(int32_t)status;
        if (took) {
            run(&taken);
            ran++;
        } else if (ran > 0 || cmy_clock_monotonic_ns() >= end_ns) {
            return ran;
        }
    }
    return ran;
}
