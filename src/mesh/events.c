/* The ring and the listeners; see events.h. */
#include "mesh/events.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/futex.h"

cmy_events_t *cmy_events_of(commy_mesh_t *mesh)
{
    cmy_lookout_t *lookout = cmy_lookout_of(mesh);
    if (!lookout)
        return NULL;
    cmy_events_t *there = cmy_rcu_load(&lookout->events);
    if (there)
        return there;
    cmy_events_t *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    made->lookout = lookout;
    pthread_mutex_init(&made->setting, NULL);
    pthread_mutex_init(&made->turn, NULL);
    ck_ring_init(&made->ring, CMY_EVENTS);
    if (cmy_rcu_swap(&lookout->events, &there, made))
        return made;
    free(made);
    return there;
}

/* ------------------------------------------------------------------- ring */

uint32_t cmy_events_waiting(const cmy_events_t *events)
{
    return atomic_load(&events->sent) - atomic_load(&events->taken);
}

bool cmy_events_put(cmy_events_t *events, const cmy_event_t *event)
{
    if (cmy_events_waiting(events) == CMY_EVENTS - 1)
        return false;
    /* There is room, since nobody else puts anything in; and the copy's place was taken from, if it ever was given. */
    cmy_event_t *copy = &events->event[atomic_load(&events->sent) % CMY_EVENTS];
    *copy = *event;
    ck_ring_enqueue_spsc(&events->ring, events->place, copy);
    atomic_fetch_add(&events->sent, 1);
    atomic_fetch_add(&events->arrived, 1);
    if (atomic_load(&events->sleepers) != 0)
        syscall(SYS_futex, &events->arrived, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    return true;
}

/* Under turn. */
static bool take_one(cmy_events_t *events, cmy_event_t *event)
{
    cmy_event_t *next = NULL;
    if (cmy_events_waiting(events) == 0 || !ck_ring_dequeue_spsc(&events->ring, events->place, &next))
        return false;
    *event = *next;
    atomic_fetch_add(&events->taken, 1);
    return true;
}

bool cmy_events_take(cmy_events_t *events, cmy_event_t *event, cmy_listener_t *listener)
{
    bool found = false;
    pthread_mutex_lock(&events->turn);
    while (!found && take_one(events, event)) {
        *listener = events->listener[event->kind];
        found = listener->call && listener->epoch == event->epoch;
    }
    pthread_mutex_unlock(&events->turn);
    if (cmy_events_waiting(events) <= CMY_EVENTS / 2 && atomic_exchange(&events->full, false))
        cmy_lookout_ring(events->lookout);
    return found;
}

void cmy_events_await(cmy_events_t *events, uint32_t heard, int slice_ms)
{
    const struct timespec slice = {slice_ms / 1000, slice_ms % 1000 * 1000000L};
    atomic_fetch_add(&events->sleepers, 1);
    syscall(SYS_futex, &events->arrived, FUTEX_WAIT_PRIVATE, heard, &slice, NULL, 0);
    atomic_fetch_sub(&events->sleepers, 1);
}

void cmy_events_ring(cmy_events_t *events)
{
    atomic_fetch_add(&events->arrived, 1);
    syscall(SYS_futex, &events->arrived, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* -------------------------------------------------------------- listeners */

commy_status_t cmy_events_set(cmy_events_t *events, cmy_listener_kind_t kind, void (*call)(void), void *user)
{
    commy_status_t status = COMMY_STATUS_SUCCESS;
    pthread_mutex_lock(&events->setting);
    if (call && !events->uses_thread)
        status = cmy_lookout_use(events->lookout);
    if (status != COMMY_STATUS_SUCCESS) {
        pthread_mutex_unlock(&events->setting);
        return status;
    }
    events->uses_thread |= call != NULL;
    pthread_mutex_lock(&events->turn);
    events->listener[kind] = (cmy_listener_t){call, user, events->listener[kind].epoch + 1};
    bool needed = false;
    for (int i = 0; i < CMY_LISTENERS; i++)
        needed |= events->listener[i].call != NULL;
    pthread_mutex_unlock(&events->turn);
    if (needed)
        cmy_lookout_ring(events->lookout);
    else if (events->uses_thread)
        cmy_lookout_disuse(events->lookout);
    events->uses_thread = needed;
    pthread_mutex_unlock(&events->setting);
    return status;
}
