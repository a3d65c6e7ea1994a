/* Pings over libcurl; see ping.h. */
#include "mesh/ping.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/version.h"
#include "mesh/curl.h"

#define ANSWER_BYTES 65536u
#define RESOLVER_NS 30000000000ull /* three servers, twice five seconds each: resolv.conf(5) */

/* Options that headers of the oldest libcurl which will do may lack, and one that newer headers call deprecated. */
#define OPTION_PROTOCOLS ((CURLoption)(CURLOPTTYPE_LONG + 181))
#define OPTION_QUICK_EXIT ((CURLoption)(CURLOPTTYPE_LONG + 322))

struct cmy_ping {
    CURL *easy;
    void *user;
    bool http, named, local, enough; /* local: a socket in the file system */
    int socket_error;
    size_t answer_bytes;
    cmy_ping_t *next, **place; /* of the set's chain */
    char words[CURL_ERROR_SIZE];
};

struct cmy_pings {
    const cmy_curl_t *curl;
    CURLM *multi;
    cmy_ping_t *first;
    uint32_t named;                       /* pings that run and have a name to resolve */
    uint64_t left_until[CMY_PINGS_NAMES]; /* by when a resolver that was left behind has ended for certain */
};

commy_status_t cmy_ping_ready(const cmy_aim_t *aim)
{
    const cmy_curl_t *curl = cmy_curl();
    if (!curl)
        return commy_last_error();
    if (aim->named && !curl->leaves_resolvers)
        return cmy_fail(COMMY_STATUS_INIT_FAILED,
                        "libcurl %s would let a name that resolves slowly delay other checks (7.87 with a threaded "
                        "resolver does not); register the endpoint as an address, or install a newer libcurl",
                        curl->version);
    return COMMY_STATUS_SUCCESS;
}

cmy_pings_t *cmy_pings_make(void)
{
    const cmy_curl_t *curl = cmy_curl();
    if (!curl)
        return NULL;
    cmy_pings_t *pings = calloc(1, sizeof *pings);
    CURLM *multi = pings ? curl->multi_make() : NULL;
    if (!multi) {
        free(pings);
        cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory, or no descriptor, for health checks");
        return NULL;
    }
    pings->curl = curl;
    pings->multi = multi;
    return pings;
}

/* A ping ends: where its name was not resolved, the resolver works on. */
static void leave_resolver(cmy_pings_t *pings, const cmy_ping_t *ping)
{
    curl_off_t resolved_us = 0;
    uint32_t oldest = 0;
    pings->named--;
    pings->curl->easy_get(ping->easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved_us);
    if (resolved_us != 0)
        return;
    for (uint32_t i = 1; i < CMY_PINGS_NAMES; i++)
        if (pings->left_until[i] < pings->left_until[oldest])
            oldest = i;
    pings->left_until[oldest] = cmy_clock_monotonic_ns() + RESOLVER_NS;
}

static bool may_resolve(const cmy_pings_t *pings)
{
    uint64_t now = cmy_clock_monotonic_ns();
    uint32_t left = pings->named;
    for (uint32_t i = 0; i < CMY_PINGS_NAMES; i++)
        left += pings->left_until[i] > now;
    return left < CMY_PINGS_NAMES;
}

static void dispose(cmy_pings_t *pings, cmy_ping_t *ping)
{
    if (ping->named)
        leave_resolver(pings, ping);
    pings->curl->multi_remove(pings->multi, ping->easy);
    pings->curl->easy_free(ping->easy);
    *ping->place = ping->next;
    if (ping->next)
        ping->next->place = ping->place;
    free(ping);
}

void cmy_ping_cancel(cmy_pings_t *pings, cmy_ping_t **ping)
{
    if (*ping)
        dispose(pings, *ping);
    *ping = NULL;
}

void cmy_pings_free(cmy_pings_t **pings)
{
    cmy_pings_t *gone = *pings;
    *pings = NULL;
    if (!gone)
        return;
    for (cmy_ping_t *ping = gone->first, *next; ping; ping = next) {
        next = ping->next;
        dispose(gone, ping);
    }
    gone->curl->multi_free(gone->multi);
    free(gone);
}

/* ------------------------------------------------------------ one of them */

static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    cmy_ping_t *ping = user;
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0)
        return fd;
    ping->socket_error = errno;
    return CURL_SOCKET_BAD;
}

/* Takes headers and body and forgets them, up to a bound; the status is known by then. */
static size_t take(char *bytes, size_t size, size_t count, void *user)
{
    cmy_ping_t *ping = user;
    (void)bytes;
    ping->answer_bytes += size * count;
    ping->enough = ping->answer_bytes > ANSWER_BYTES;
    return ping->enough ? 0 : size * count;
}

static bool set_options(const cmy_curl_t *curl, cmy_ping_t *ping, const cmy_aim_t *aim, uint32_t timeout_ms)
{
    CURL *easy = ping->easy;
    bool set = curl->easy_set(easy, CURLOPT_URL, aim->url) == CURLE_OK &&
               curl->easy_set(easy, OPTION_PROTOCOLS, (long)CURLPROTO_HTTP) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_PROXY, "") == CURLE_OK && /* whatever the environment says */
               curl->easy_set(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_DNS_CACHE_TIMEOUT, 5L) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_USERAGENT, "commy/" CMY_VERSION) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_ERRORBUFFER, ping->words) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_PRIVATE, (void *)ping) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_OPENSOCKETDATA, (void *)ping) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_HEADERFUNCTION, take) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_HEADERDATA, (void *)ping) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
               curl->easy_set(easy, CURLOPT_WRITEDATA, (void *)ping) == CURLE_OK;
    if (set && curl->leaves_resolvers)
        set = curl->easy_set(easy, OPTION_QUICK_EXIT, 1L) == CURLE_OK;
    if (set && aim->unix_path[0])
        set = curl->easy_set(easy, CURLOPT_UNIX_SOCKET_PATH, aim->unix_path) == CURLE_OK;
    if (set && !aim->http)
        set = curl->easy_set(easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK;
    return set;
}

cmy_ping_t *cmy_ping_begin(cmy_pings_t *pings, const cmy_aim_t *aim, uint32_t timeout_ms, void *user)
{
    const cmy_curl_t *curl = pings->curl;
    if (aim->named && !may_resolve(pings))
        return NULL;
    cmy_ping_t *ping = calloc(1, sizeof *ping);
    if (!ping)
        return NULL;
    ping->user = user;
    ping->http = aim->http;
    ping->local = aim->unix_path[0] != '\0';
    ping->easy = curl->easy_make();
    if (!ping->easy || !set_options(curl, ping, aim, timeout_ms) ||
        curl->multi_add(pings->multi, ping->easy) != CURLM_OK) {
        if (ping->easy)
            curl->easy_free(ping->easy);
        free(ping);
        return NULL;
    }
    ping->named = aim->named;
    pings->named += ping->named;
    ping->next = pings->first;
    ping->place = &pings->first;
    if (ping->next)
        ping->next->place = &ping->next;
    pings->first = ping;
    return ping;
}

/* ----------------------------------------------------------------- all */

void cmy_pings_drive(cmy_pings_t *pings, uint32_t slice_ms)
{
    const struct timespec slice = {slice_ms / 1000, (long)(slice_ms % 1000) * 1000000};
    int running = 0;
    if (slice_ms > 0 && pings->curl->multi_poll(pings->multi, NULL, 0, (int)slice_ms, NULL) != CURLM_OK)
        nanosleep(&slice, NULL); /* a sandbox, no memory: not again and again without a pause */
    pings->curl->multi_perform(pings->multi, &running);
}

/* Whether it was this process that lacked something. */
static bool made(const cmy_ping_t *ping, CURLcode code)
{
    if (code == CURLE_OK)
        return true;
    return code != CURLE_OUT_OF_MEMORY && ping->socket_error != EMFILE && ping->socket_error != ENFILE &&
           ping->socket_error != ENOBUFS && ping->socket_error != ENOMEM;
}

/*
 * Whether a connection was made that the server had closed or reset when libcurl came to look: that one calls it one that
 * could not be made. Of those the kernel says why not. Of one that had been made it says ECONNRESET, or EPIPE where the
 * server's end had come before (tcp_reset() in net/ipv4/tcp_input.c), and of a socket in the file system nothing.
 */
static bool was_connected(const cmy_curl_t *curl, const cmy_ping_t *ping, CURLcode code)
{
    long error = -1;
    if (ping->http || code != CURLE_COULDNT_CONNECT || ping->socket_error ||
        curl->easy_get(ping->easy, CURLINFO_OS_ERRNO, &error) != CURLE_OK)
        return false;
    return error == ECONNRESET || error == EPIPE || (ping->local && error == 0);
}

static void read_outcome(const cmy_curl_t *curl, const cmy_ping_t *ping, CURLcode code, cmy_outcome_t *outcome)
{
    long status = 0;
    curl_off_t us = 0;
    if (ping->http)
        curl->easy_get(ping->easy, CURLINFO_RESPONSE_CODE, &status);
    curl->easy_get(ping->easy, CURLINFO_TOTAL_TIME_T, &us);
    if ((code == CURLE_WRITE_ERROR && ping->enough) || was_connected(curl, ping, code))
        code = CURLE_OK;
    bool wrong = ping->http && (status < 200 || status > 399);
    *outcome = (cmy_outcome_t){
        .made = made(ping, code),
        .failed = code != CURLE_OK || wrong,
        .http_status = (int32_t)status,
        .latency_us = us > 0 ? (uint64_t)us : 0,
    };
    if (!outcome->made)
        snprintf(outcome->reason, sizeof outcome->reason, "the check could not be made: %s",
                 ping->socket_error ? strerror(ping->socket_error) : curl->easy_words(code));
    else if (code != CURLE_OK)
        snprintf(outcome->reason, sizeof outcome->reason, "%.159s",
                 ping->words[0] ? ping->words : curl->easy_words(code));
    else if (wrong)
        snprintf(outcome->reason, sizeof outcome->reason, "it answered with HTTP status %ld", status);
}

void *cmy_pings_next(cmy_pings_t *pings, cmy_outcome_t *outcome)
{
    int left;
    for (CURLMsg *message; (message = pings->curl->multi_next(pings->multi, &left)) != NULL;) {
        cmy_ping_t *ping = NULL;
        if (message->msg != CURLMSG_DONE ||
            pings->curl->easy_get(message->easy_handle, CURLINFO_PRIVATE, (char **)&ping) != CURLE_OK)
            continue;
        void *user = ping->user;
        read_outcome(pings->curl, ping, message->data.result, outcome);
        dispose(pings, ping);
        return user;
    }
    return NULL;
}
