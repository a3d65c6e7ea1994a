/* The language ABI: opening, starting, stopping and destroying handles, and what concerns the mesh as a whole. */
#include <commy/ffi.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "ffi/handle.h"

commy_handle_t commy_open_mesh(const commy_open_options_t *options)
{
    commy_handle_t h = {0};
    (void)cmy_handle_open(options, &h.instance_id);
    return h;
}

commy_handle_t commy_create_mesh(const char *node_id, uint16_t listen_port)
{
    const commy_open_options_t options = {.size = sizeof(options), .node_id = node_id, .listen_port = listen_port};
    if (cmy_text_check_token("node id", node_id, NULL) != COMMY_STATUS_SUCCESS)
        return (commy_handle_t){0};
    if (listen_port == 0) {
        cmy_fail(COMMY_STATUS_INVALID, "listen port 0 is no port: give 1 to 65535, or open the mesh without one");
        return (commy_handle_t){0};
    }
    return commy_open_mesh(&options);
}

int32_t commy_start_mesh(commy_handle_t h)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_ANY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = cmy_handle_start(handle);
    cmy_handle_unpin(&handle);
    return status;
}

int32_t commy_stop_mesh(commy_handle_t h)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_ANY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = cmy_handle_stop(handle);
    cmy_handle_unpin(&handle);
    return status;
}

int32_t commy_is_mesh_running(commy_handle_t h)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_ANY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return -(int32_t)status;
    bool running = cmy_handle_runs_for(handle, CMY_HANDLE_FOR_CHANGE);
    cmy_handle_exit();
    return running;
}

int32_t commy_destroy_mesh(commy_handle_t h)
{
    return cmy_handle_destroy(h.instance_id);
}

char *commy_get_node_id(commy_handle_t h)
{
    cmy_handle_t *handle;
    if (cmy_handle_enter(h.instance_id, CMY_HANDLE_FOR_ANY, &handle) != COMMY_STATUS_SUCCESS)
        return NULL;
    char *copy = strdup(handle->node_id);
    cmy_handle_exit();
    if (!copy)
        cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory for a node id");
    return copy;
}

void commy_free_string(char *string)
{
    free(string);
}

int32_t commy_get_mesh_stats(commy_handle_t h, commy_mesh_stats_t *stats)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    status = commy_mesh_stats(handle->mesh, stats);
    cmy_handle_unpin(&handle);
    return status;
}

static commy_status_t timed_out(const char *name, int32_t timeout_ms)
{
    char quoted[COMMY_LIMIT_NAME_BYTES + 1];
    if (!name)
        return cmy_fail(COMMY_STATUS_TIMED_OUT, "nothing changed in the mesh within %d ms", timeout_ms);
    return cmy_fail(COMMY_STATUS_TIMED_OUT, "nothing changed among the instances of %s within %d ms",
                    cmy_text_quote(name, quoted, sizeof(quoted)), timeout_ms);
}

/*
 * A wait in slices, with a look at the handle in between: whoever stops or destroys it would otherwise wait for the
 * sleeper, and the sleeper for a change that may never come. The time-outs of slices are nobody's failure and are taken
 * back out of the thread's record.
 */
static commy_status_t wait_in_slices(cmy_handle_t *handle, const char *name, uint64_t version, int32_t timeout_ms,
                                     uint64_t *new_version)
{
    const uint64_t slice_ns = CMY_HANDLE_SLICE_MS * 1000000ull;
    uint64_t left_ns = timeout_ms < 0 ? UINT64_MAX : (uint64_t)timeout_ms * 1000000;
    uint64_t end_ns = timeout_ms < 0 ? UINT64_MAX : cmy_clock_monotonic_ns() + left_ns;
    cmy_error_t error;
    cmy_error_save(&error);
    for (;;) {
        /* Rounded up: a wait that ends early by less than a millisecond would end in a busy loop. */
        int32_t slice_ms = (int32_t)(((left_ns < slice_ns ? left_ns : slice_ns) + 999999) / 1000000);
        commy_status_t status = commy_mesh_wait(handle->mesh, name, version, slice_ms, new_version);
        if (status == COMMY_STATUS_SUCCESS)
            cmy_error_restore(&error);
        if (status != COMMY_STATUS_TIMED_OUT)
            return status;
        if (cmy_handle_closing(handle) || !cmy_handle_runs_for(handle, CMY_HANDLE_FOR_QUERY))
            return cmy_fail(COMMY_STATUS_NOT_RUNNING, "handle %llu was stopped or destroyed during the wait",
                            (unsigned long long)handle->id);
        uint64_t now_ns = cmy_clock_monotonic_ns();
        if (now_ns >= end_ns)
            return timed_out(name, timeout_ms);
        left_ns = end_ns - now_ns;
    }
}

int32_t commy_wait(commy_handle_t h, const char *name, uint64_t version, int32_t timeout_ms, uint64_t *new_version)
{
    cmy_handle_t *handle;
    commy_status_t status = cmy_handle_pin(h.instance_id, CMY_HANDLE_FOR_QUERY, &handle);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    if (new_version)
        status = wait_in_slices(handle, name, version, timeout_ms, new_version);
    else
        status = cmy_fail(COMMY_STATUS_INVALID, "new_version is null: it tells which version to wait for next");
    cmy_handle_unpin(&handle);
    return status;
}
