/* Making an aim of what a service says of itself; see ping.h. Nothing it says is trusted. */
#include "mesh/ping.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

#define TAG "check="
#define UNIX "unix:"

static commy_status_t refuse(const commy_service_info_t *service, const char *format, const char *value)
{
    char id[COMMY_LIMIT_ID_BYTES * 4 + 1], quoted[600], what[800];
    cmy_text_quote(service->id, id, sizeof id);
    cmy_text_quote(value, quoted, sizeof quoted);
    snprintf(what, sizeof what, format, quoted);
    return cmy_fail(COMMY_STATUS_INVALID, "service id '%s' cannot be checked: %s", id, what);
}

/* The text behind the first tag "check=", or null. */
static const char *wish(const commy_service_info_t *service)
{
    for (uint32_t i = 0; i < service->tag_count; i++)
        if (strncmp(service->tags[i], TAG, sizeof TAG - 1) == 0)
            return service->tags[i] + sizeof TAG - 1;
    return NULL;
}

static bool is_path(const char *path)
{
    if (*path != '/')
        return false;
    for (; *path; path++)
        if (*path <= ' ' || *path > '~' || *path == '#' || *path == '\\' || *path == '"')
            return false;
    return true;
}

/* Letters, digits, dot, hyphen, underscore; or an IPv6 address, with brackets or without. */
static bool is_host(const char *host, char *to, size_t room)
{
    unsigned char address[16];
    size_t bytes = strlen(host);
    bool brackets = bytes > 2 && host[0] == '[' && host[bytes - 1] == ']';
    snprintf(to, room, "%.*s", (int)(brackets ? bytes - 2 : bytes), host + brackets);
    if (strchr(to, ':')) {
        char plain[INET6_ADDRSTRLEN];
        if (strlen(to) >= sizeof plain || inet_pton(AF_INET6, to, address) != 1)
            return false;
        memcpy(plain, to, strlen(to) + 1);
        snprintf(to, room, "[%s]", plain);
        return true;
    }
    for (const char *c = to; *c; c++)
        if (!isascii((unsigned char)*c) || (!isalnum((unsigned char)*c) && !strchr(".-_", *c)))
            return false;
    return !brackets && isalnum((unsigned char)*to);
}

static commy_status_t aim_at(const commy_service_info_t *service, const char *path, cmy_aim_t *aim)
{
    char host[COMMY_LIMIT_ENDPOINT_BYTES + 3] = "localhost";
    uint32_t port = 80;
    if (strncmp(service->endpoint, UNIX, sizeof UNIX - 1) == 0) {
        const char *socket = service->endpoint + sizeof UNIX - 1;
        if (*socket != '/' || strlen(socket) >= CMY_AIM_UNIX_BYTES)
            return refuse(service, "endpoint '%s' is no absolute path of a socket of up to 107 bytes",
                          service->endpoint);
        memcpy(aim->unix_path, socket, strlen(socket) + 1);
    } else {
        if (!is_host(service->endpoint, host, sizeof host))
            return refuse(service,
                          "endpoint '%s' is no address, no name of ASCII letters, digits, '.', '-' and '_', and "
                          "no unix:/path",
                          service->endpoint);
        port = service->port;
        unsigned char address[16];
        aim->named = host[0] != '[' && inet_pton(AF_INET, host, address) != 1 && strcmp(host, "localhost") != 0;
    }
    if (port == 0)
        return refuse(service, "it has port 0 at '%s'; register it with one", service->endpoint);
    int bytes = snprintf(aim->url, sizeof aim->url, "http://%s:%u%s", host, port, path);
    return bytes > 0 && (size_t)bytes < sizeof aim->url
               ? COMMY_STATUS_SUCCESS
               : refuse(service, "endpoint '%s' is too long together with the path", service->endpoint);
}

commy_status_t cmy_aim_make(const commy_service_info_t *service, cmy_aim_t *aim)
{
    const char *how = wish(service), *path = "/";
    *aim = (cmy_aim_t){0};
    if (how && strcmp(how, "none") == 0)
        return refuse(service, "its tag check=%s says so", how);
    if (how && strcmp(how, "tcp") != 0) {
        aim->http = true;
        if (strncmp(how, "http:", 5) == 0)
            path = how + 5;
        else if (strcmp(how, "http") != 0)
            return refuse(service, "its tag check=%s is none of check=tcp, check=http, check=http:/path, check=none",
                          how);
        if (!is_path(path))
            return refuse(service, "'%s' is no path; it begins with / and is of visible ASCII without #, \\ and \"",
                          path);
    }
    return aim_at(service, path, aim);
}
