/* Opening libcurl; see curl.h. */
#include "mesh/curl.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define LIBRARY "libcurl.so.4"
#define OLDEST 0x074200u     /* 7.66: curl_multi_poll() */
#define QUICK_EXIT 0x075700u /* 7.87 */
#define PACKAGE "install it (Debian: libcurl4; Fedora and Alpine: libcurl) to check the health of services"

static _Atomic(const cmy_curl_t *) loaded;

static bool find(void *library, const char *name, void *to)
{
    void *symbol = dlsym(library, name);
    memcpy(to, &symbol, sizeof symbol); /* an object's pointer becomes a function's, as POSIX has it */
    return symbol != NULL;
}

static bool find_all(void *library, cmy_curl_t *curl)
{
    return find(library, "curl_easy_init", &curl->easy_make) && find(library, "curl_easy_cleanup", &curl->easy_free) &&
           find(library, "curl_easy_setopt", &curl->easy_set) && find(library, "curl_easy_getinfo", &curl->easy_get) &&
           find(library, "curl_easy_strerror", &curl->easy_words) &&
           find(library, "curl_multi_init", &curl->multi_make) &&
           find(library, "curl_multi_cleanup", &curl->multi_free) &&
           find(library, "curl_multi_add_handle", &curl->multi_add) &&
           find(library, "curl_multi_remove_handle", &curl->multi_remove) &&
           find(library, "curl_multi_perform", &curl->multi_perform) &&
           find(library, "curl_multi_poll", &curl->multi_poll) &&
           find(library, "curl_multi_info_read", &curl->multi_next);
}

/* Whether the library that was opened will do; sets it up for the process. */
static bool set_up(void *library, cmy_curl_t *curl)
{
    curl_version_info_data *(*version)(CURLversion);
    CURLcode (*init)(long flags);
    if (!find(library, "curl_version_info", &version) || !find(library, "curl_global_init", &init))
        return false;
    const curl_version_info_data *info = version(CURLVERSION_FIRST);
    snprintf(curl->version, sizeof curl->version, "%s", info->version);
    curl->leaves_resolvers = info->version_num >= QUICK_EXIT && (info->features & CURL_VERSION_ASYNCHDNS) != 0;
    return info->version_num >= OLDEST && find_all(library, curl) && init(CURL_GLOBAL_NOTHING) == CURLE_OK;
}

/* Threads that come first together open it each, which is one library; one of their tables stays. */
static const cmy_curl_t *load(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char *words = dlerror();
        cmy_fail(COMMY_STATUS_INIT_FAILED, "%s could not be opened (%s); " PACKAGE, LIBRARY, words ? words : "?");
        return NULL;
    }
    cmy_curl_t *curl = calloc(1, sizeof *curl);
    if (!curl) {
        dlclose(library);
        cmy_fail(COMMY_STATUS_NO_MEMORY, "no memory for the functions of %s", LIBRARY);
        return NULL;
    }
    curl->library = library;
    if (!set_up(library, curl)) {
        cmy_fail(COMMY_STATUS_INIT_FAILED,
                 "%s is of version %s, which is older than 7.66 or cannot be set up; " PACKAGE, LIBRARY,
                 curl->version[0] ? curl->version : "?");
        dlclose(library);
        free(curl);
        return NULL;
    }
    const cmy_curl_t *there = NULL;
    if (atomic_compare_exchange_strong_explicit(&loaded, &there, curl, memory_order_acq_rel, memory_order_acquire))
        return curl;
    free(curl);
    return there;
}

const cmy_curl_t *cmy_curl(void)
{
    const cmy_curl_t *there = atomic_load_explicit(&loaded, memory_order_acquire);
    return there ? there : load();
}
