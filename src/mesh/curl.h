/*
 * libcurl, opened when the first check needs it: attaching stays cheap, and programs that check nothing need no curl.
 *
 * The functions are found by name in libcurl.so.4, whose interface has kept that number since 2006; the headers of the build
 * only give types. Nothing of it is ever closed again.
 */
#ifndef CMY_MESH_CURL_H
#define CMY_MESH_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <stdbool.h>

#include <commy/types.h>

typedef struct cmy_curl {
    void *library;
    CURL *(*easy_make)(void);
    void (*easy_free)(CURL *easy);
    CURLcode (*easy_set)(CURL *easy, CURLoption option, ...);
    CURLcode (*easy_get)(CURL *easy, CURLINFO info, ...);
    const char *(*easy_words)(CURLcode code);
    CURLM *(*multi_make)(void);
    CURLMcode (*multi_free)(CURLM *multi);
    CURLMcode (*multi_add)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_remove)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_perform)(CURLM *multi, int *running);
    CURLMcode (*multi_poll)(CURLM *multi, struct curl_waitfd *fds, unsigned count, int timeout_ms, int *ready);
    CURLMsg *(*multi_next)(CURLM *multi, int *left);
    bool
        leaves_resolvers; /* a name that resolves slowly is left to itself when its check ends; else ending would wait for it */
    char version[32];
} cmy_curl_t;

/* Null: it is not there, or lacks something; the sentence names the package. */
const cmy_curl_t *cmy_curl(void);

#endif /* CMY_MESH_CURL_H */
