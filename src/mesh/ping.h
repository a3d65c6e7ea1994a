/*
 * Checking a service once: a TCP connect, or an HTTP GET that is answered with 200 to 399.
 *
 * What is checked comes from the region, where anybody who may write could have put it. So an aim is made of checked parts:
 * the host is an address or of letters, digits, dot, hyphen and underscore; the path of visible ASCII. Nothing of it is ever
 * executed, or names another protocol, a file, a proxy or a password. Redirects are not followed (they are an answer), at
 * most 64 KiB of an answer are read, no proxy is taken from the environment.
 *
 * A service says by a tag how it wants to be checked:
 *
 *     check=tcp           connect (also without a tag)
 *     check=http          GET /
 *     check=http:/path    GET /path
 *     check=none          not at all
 *
 * Any number of pings run at once in one set, driven by the set's one thread; none waits for another. Technique: libcurl's
 * multi interface, see libcurl-multi(3); names are resolved on threads of libcurl's.
 */
#ifndef CMY_MESH_PING_H
#define CMY_MESH_PING_H

#include <commy/commy.h>

/* Where a check goes. */
#define CMY_AIM_URL_BYTES 352u
#define CMY_AIM_UNIX_BYTES 108u
typedef struct cmy_aim {
    bool http;
    bool named; /* its host has to be resolved */
    char url[CMY_AIM_URL_BYTES];
    char unix_path[CMY_AIM_UNIX_BYTES]; /* empty: by network */
} cmy_aim_t;

/*
 * Makes an aim of what a service says. Errors: INVALID, with a sentence that names the service: it is not to be checked, its
 * tag says something unknown, its endpoint is nothing that can be checked, its port is 0.
 */
commy_status_t cmy_aim_make(const commy_service_info_t *service, cmy_aim_t *aim);

/* Whether this process can check it. Errors: INIT_FAILED, NO_MEMORY (cmy_curl()); INIT_FAILED also where resolving a name
 * could delay other pings. */
commy_status_t cmy_ping_ready(const cmy_aim_t *aim);

/* What came of a ping. */
typedef struct cmy_outcome {
    bool made;   /* false: this process could not make the check (no descriptors, no memory), which says nothing */
    bool failed; /* the service did not answer as it should */
    int32_t http_status;
    uint64_t latency_us;
    char reason[160]; /* of a failure, for people */
} cmy_outcome_t;

/* A ping that has no outcome so long after its time is over will have none: libcurl cannot go on. */
#define CMY_PING_GRACE_MS 1000u

typedef struct cmy_pings cmy_pings_t;
typedef struct cmy_ping cmy_ping_t;

/* A set without a ping. Null: no libcurl, or no memory; with a sentence. */
cmy_pings_t *cmy_pings_make(void);

/* Ends all that run in it. Clears *pings; null is ignored. */
void cmy_pings_free(cmy_pings_t **pings);

/*
 * Starts one. timeout_ms: above 0; when it is over, the ping has failed. user: for cmy_pings_next(). Null: no memory; or as
 * many names as a set may ask for are being resolved, those included whose pings have ended and left them behind: they are
 * given up by the resolver, half a minute later at most, and each has a thread until then.
 */
#define CMY_PINGS_NAMES 128u
cmy_ping_t *cmy_ping_begin(cmy_pings_t *pings, const cmy_aim_t *aim, uint32_t timeout_ms, void *user);

/* Ends one that runs, without an outcome. Clears *ping; null is ignored. */
void cmy_ping_cancel(cmy_pings_t *pings, cmy_ping_t **ping);

/* Goes on with all, and waits for something to go on with: slice_ms at most, 0 not at all. */
void cmy_pings_drive(cmy_pings_t *pings, uint32_t slice_ms);

/* The next one that has ended, which is given back with this call; its user, or null: none has. */
void *cmy_pings_next(cmy_pings_t *pings, cmy_outcome_t *outcome);

#endif /* CMY_MESH_PING_H */
