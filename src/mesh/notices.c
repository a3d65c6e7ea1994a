/* The ring and the listeners; see notices.h. */
#include "mesh/notices.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/futex.h"

cmy_notices_t *cmy_notices_of(commy_mesh_t *mesh)
{
    cmy_lookout_t *lookout = cmy_lookout_of(mesh);
    if (!lookout)
        return NULL;
    cmy_notices_t *there = cmy_rcu_load(&lookout->notices);
    if (there)
        return there;
    cmy_notices_t *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    made->lookout = lookout;
    pthread_mutex_init(&made->setting, NULL);
    pthread_mutex_init(&made->turn, NULL);
    ck_ring_init(&made->ring, CMY_NOTICES);
    if (cmy_rcu_swap(&lookout->notices, &there, made))
        return made;
    free(made);
    return there;
}

/* ------------------------------------------------------------------- ring */

uint32_t cmy_notices_waiting(const cmy_notices_t *notices)
{
    return atomic_load(&notices->sent) - atomic_load(&notices->taken);
}

bool cmy_notices_put(cmy_notices_t *notices, const cmy_notice_t *notice)
{
    if (cmy_notices_waiting(notices) == CMY_NOTICES - 1)
        return false;
    /* There is room, since nobody else puts anything in; and the copy's place was taken from, if it ever was given. */
    cmy_notice_t *copy = &notices->notice[atomic_load(&notices->sent) % CMY_NOTICES];
    *copy = *notice;
    ck_ring_enqueue_spsc(&notices->ring, notices->place, copy);
    atomic_fetch_add(&notices->sent, 1);
    atomic_fetch_add(&notices->arrived, 1);
    if (atomic_load(&notices->sleepers) != 0)
        syscall(SYS_futex, &notices->arrived, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    return true;
}

/* Under turn. */
static bool take_one(cmy_notices_t *notices, cmy_notice_t *notice)
{
    cmy_notice_t *next = NULL;
    if (cmy_notices_waiting(notices) == 0 || !ck_ring_dequeue_spsc(&notices->ring, notices->place, &next))
        return false;
    *notice = *next;
    atomic_fetch_add(&notices->taken, 1);
    return true;
}

bool cmy_notices_take(cmy_notices_t *notices, cmy_notice_t *notice, cmy_listener_t *listener)
{
    bool found = false;
    pthread_mutex_lock(&notices->turn);
    while (!found && take_one(notices, notice)) {
        *listener = notices->listener[notice->kind];
        found = listener->call && listener->epoch == notice->epoch;
    }
    pthread_mutex_unlock(&notices->turn);
    if (cmy_notices_waiting(notices) <= CMY_NOTICES / 2 && atomic_exchange(&notices->full, false))
        cmy_lookout_ring(notices->lookout);
    return found;
}

void cmy_notices_await(cmy_notices_t *notices, uint32_t heard, int slice_ms)
{
    const struct timespec slice = {slice_ms / 1000, slice_ms % 1000 * 1000000L};
    atomic_fetch_add(&notices->sleepers, 1);
    syscall(SYS_futex, &notices->arrived, FUTEX_WAIT_PRIVATE, heard, &slice, NULL, 0);
    atomic_fetch_sub(&notices->sleepers, 1);
}

void cmy_notices_ring(cmy_notices_t *notices)
{
    atomic_fetch_add(&notices->arrived, 1);
    syscall(SYS_futex, &notices->arrived, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* -------------------------------------------------------------- listeners */

commy_status_t cmy_notices_set(cmy_notices_t *notices, cmy_listener_kind_t kind, void (*call)(void), void *user)
{
    commy_status_t status = COMMY_STATUS_SUCCESS;
    pthread_mutex_lock(&notices->setting);
    if (call && !notices->uses_thread)
        status = cmy_lookout_use(notices->lookout);
    if (status != COMMY_STATUS_SUCCESS) {
        pthread_mutex_unlock(&notices->setting);
        return status;
    }
    notices->uses_thread |= call != NULL;
    pthread_mutex_lock(&notices->turn);
    notices->listener[kind] = (cmy_listener_t){call, user, notices->listener[kind].epoch + 1};
    bool needed = false;
    for (int i = 0; i < CMY_LISTENERS; i++)
        needed |= notices->listener[i].call != NULL;
    pthread_mutex_unlock(&notices->turn);
    if (needed)
        cmy_lookout_ring(notices->lookout);
    else if (notices->uses_thread)
        cmy_lookout_disuse(notices->lookout);
    notices->uses_thread = needed;
    pthread_mutex_unlock(&notices->setting);
    return status;
}
