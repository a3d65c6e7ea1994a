/*
 * service_options.h - what `register` and `run` are told about the service: --name, --id, --endpoint, --port and the
 * rest, parsed and checked as far as the command line alone can be.
 */
#ifndef COMMY_TOOL_SERVICE_OPTIONS_H
#define COMMY_TOOL_SERVICE_OPTIONS_H

#include <argp.h>
#include <stdbool.h>

#include <commy/commy.h>

struct service_options {
    commy_service_config_t config;
    const char *tags[COMMY_LIMIT_TAGS];
    char check[COMMY_LIMIT_TAG_BYTES + 1]; /* the tag that --check stands for */
    const char *node;                      /* null: the library's default */
    bool weight_given, port_given;
};

/* A child parser; its input is a struct service_options. */
extern const struct argp service_argp;
#define SERVICE_CHILD                                                                                                  \
    {                                                                                                                  \
        &service_argp, 0, "About the service:", 1                                                                      \
    }

/* Refuses, as a usage error, a missing name, endpoint or port. For ARGP_KEY_END, with defaults filled in. */
void service_options_complete(const struct argp_state *state, struct service_options *options);

/* Refuses, as a usage error that says where, text that is not JSON. */
const char *parse_metadata(const struct argp_state *state, const char *text);

/* Registers what the options say, with a weight of 0 too. */
commy_status_t service_options_register(commy_mesh_t *mesh, const struct service_options *options, uint64_t *reference);

#endif /* COMMY_TOOL_SERVICE_OPTIONS_H */
