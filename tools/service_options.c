/*
 * service_options.c - see service_options.h.
 */
#include "service_options.h"

#include <ctype.h>
#include <string.h>

#include "common.h"
#include "json.h"

enum {
    KEY_NAME = KEY_SERVICE,
    KEY_ID,
    KEY_ENDPOINT,
    KEY_PORT,
    KEY_WEIGHT,
    KEY_VERSION,
    KEY_ZONE,
    KEY_TAG,
    KEY_CHECK,
    KEY_META,
    KEY_TTL,
    KEY_NODE
};

static const struct argp_option known_options[] = {
    {"name", KEY_NAME, "NAME", 0, "Name that instances are looked up by", 0},
    {"id", KEY_ID, "ID", 0, "Id of this instance, unique in the mesh", 0},
    {"endpoint", KEY_ENDPOINT, "ADDRESS", 0, "Host, address, or unix:/path", 0},
    {"port", KEY_PORT, "PORT", 0, "1 to 65535; not needed with unix:/path", 0},
    {"weight", KEY_WEIGHT, "WEIGHT", 0, "Share of the load, 0 to 65535 (default: 100)", 0},
    {"version", KEY_VERSION, "VERSION", 0, "Version of the program", 0},
    {"zone", KEY_ZONE, "ZONE", 0, "Zone it runs in", 0},
    {"tag", KEY_TAG, "TAG", 0, "A tag; may be given up to 16 times", 0},
    {"check", KEY_CHECK, "HOW", 0, "How monitors check it: tcp, http, http:/path, or none; the tag check=HOW", 0},
    {"meta", KEY_META, "JSON", 0, "Metadata", 0},
    {"ttl", KEY_TTL, "MS", 0, "Lease in milliseconds, up to a year", 0},
    {"node", KEY_NODE, "NODE", 0, "Name of this participant (default: <host name>-<pid>)", 0},
    {0},
};

static bool is_unix(const char *endpoint)
{
    return strncmp(endpoint, "unix:", 5) == 0;
}

static void add_tag(const struct argp_state *state, struct service_options *to, const char *tag)
{
    if (to->config.tag_count == COMMY_LIMIT_TAGS)
        refuse(state, "--tag '%s' is one too many: a service has up to %u tags", tag, COMMY_LIMIT_TAGS);
    to->tags[to->config.tag_count++] = tag;
}

static void add_check(const struct argp_state *state, struct service_options *to, const char *how)
{
    if (to->check[0] != '\0')
        refuse(state, "--check '%s' is one too many: a service is checked in one way", how);
    if (strcmp(how, "none") != 0 && strcmp(how, "tcp") != 0 && strcmp(how, "http") != 0 &&
        strncmp(how, "http:/", 6) != 0)
        refuse(state, "--check '%s' is none of tcp, http, http:/path and none", how);
    if (strlen(how) + strlen("check=") >= sizeof(to->check))
        refuse(state, "--check '%s' is too long: a tag has up to %u bytes, and this one begins with check=", how,
               COMMY_LIMIT_TAG_BYTES);
    snprintf(to->check, sizeof(to->check), "check=%s", how);
    add_tag(state, to, to->check);
}

const char *parse_metadata(const struct argp_state *state, const char *text)
{
    char why[256];
    size_t length = strlen(text);

    if (length == 0)
        return text;
    if (length > COMMY_LIMIT_METADATA_BYTES)
        refuse(state, "--meta has %zu bytes: up to %u fit; put the rest where it can be fetched from", length,
               COMMY_LIMIT_METADATA_BYTES);
    json_t *value = json_parse(text, why, sizeof(why));
    if (value == NULL)
        refuse(state, "--meta is not JSON: %s%s", why,
               isalpha((unsigned char)text[0]) ? "; a bare word needs double quotes" : "");
    json_decref(value);
    return text;
}

/* 0 is for endpoints without ports; whether this is one is known only at the end. */
static uint16_t parse_port(const struct argp_state *state, const char *text)
{
    return strcmp(text, "0") == 0 ? 0 : (uint16_t)parse_number(state, "--port", text, 1, UINT16_MAX);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct service_options *to = state->input;
    commy_service_config_t *config = &to->config;

    switch (key) {
    case ARGP_KEY_INIT:
        config->size = sizeof(*config);
        config->tags = to->tags;
        return 0;
    case KEY_NAME:
        config->service_name = arg;
        return 0;
    case KEY_ID:
        config->service_id = arg;
        return 0;
    case KEY_ENDPOINT:
        config->endpoint = arg;
        return 0;
    case KEY_PORT:
        config->port = parse_port(state, arg);
        to->port_given = true;
        return 0;
    case KEY_WEIGHT:
        config->weight = (uint32_t)parse_number(state, "--weight", arg, 0, COMMY_LIMIT_WEIGHT);
        to->weight_given = true;
        return 0;
    case KEY_VERSION:
        config->version = arg;
        return 0;
    case KEY_ZONE:
        config->zone = arg;
        return 0;
    case KEY_TAG:
        add_tag(state, to, arg);
        return 0;
    case KEY_CHECK:
        add_check(state, to, arg);
        return 0;
    case KEY_META:
        config->metadata = parse_metadata(state, arg);
        return 0;
    case KEY_TTL:
        config->ttl_ms = parse_number(state, "--ttl", arg, 1, COMMY_LIMIT_TTL_MS);
        return 0;
    case KEY_NODE:
        to->node = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp service_argp = {.options = known_options, .parser = parse};

void service_options_complete(const struct argp_state *state, struct service_options *options)
{
    const commy_service_config_t *config = &options->config;

    if (config->service_name == NULL)
        refuse(state, "--name is missing: what is the service called?");
    if (config->endpoint == NULL)
        refuse(state, "--endpoint is missing: where do clients connect to? (an address, or unix:/path)");
    if (is_unix(config->endpoint) && config->endpoint[5] != '/')
        refuse(state, "--endpoint '%s' names no socket: give unix:/path, from the root", config->endpoint);
    if (!options->port_given && !is_unix(config->endpoint))
        refuse(state, "--port is missing: which port of %s does it listen on?", config->endpoint);
    if (config->port == 0 && !is_unix(config->endpoint))
        refuse(state, "--port 0 is out of range: it goes from 1 to 65535 (0 is for endpoints unix:/path)");
}

commy_status_t service_options_register(commy_mesh_t *mesh, const struct service_options *options, uint64_t *reference)
{
    commy_status_t status = commy_service_register(mesh, &options->config, reference);

    if (status != COMMY_STATUS_SUCCESS || !options->weight_given || options->config.weight != 0)
        return status;
    /* In a configuration 0 means the default; a weight of 0 has to be set. */
    status = commy_service_set_weight(mesh, options->config.service_id, 0);
    if (status != COMMY_STATUS_SUCCESS)
        commy_service_unregister(mesh, options->config.service_id);
    return status;
}
