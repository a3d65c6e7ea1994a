/*
 * cmd_select.c - `commy select`: one instance of a name to send a request to.
 */
#include <string.h>

#include "commands.h"
#include "common.h"
#include "json.h"
#include "service.h"
#include "text.h"

enum { KEY_POLICY = KEY_FIRST, KEY_CLIENT, KEY_TAG, KEY_VERSION, KEY_ZONE, KEY_PREFER_ZONE };

#define MOST_SELECTIONS 1000000
#define CLIENT_BYTES 255u
#define CONDITION_BYTES COMMY_LIMIT_TAG_BYTES /* of a version and a zone, too */

struct arguments {
    const char *name, *client, *tag, *version, *zone;
    bool prefer_zone;
    int32_t policy; /* commy_policy_t; -1: not given */
    uint64_t count; /* 0: not given */
};

static const struct argp_option options[] = {
    {"policy", KEY_POLICY, "POLICY", 0,
     "round-robin (default), least-connections, weighted, performance, random or hash", 0},
    {"client", KEY_CLIENT, "ID", 0, "Whom the request is for: the same instance each time; means --policy hash", 0},
    {"tag", KEY_TAG, "TAG", 0, "Only from those with this tag", 0},
    {"version", KEY_VERSION, "VERSION", 0, "Only from those of this version", 0},
    {"zone", KEY_ZONE, "ZONE", 0, "Only from those of this zone", 0},
    {"prefer-zone", KEY_PREFER_ZONE, "ZONE", 0, "From this zone where one of it may be selected, else from any", 0},
    {"count", 'n', "N", 0, "Select so often, 1 to 1000000", 0},
    {0},
};

static const char doc[] = "Select one instance of a service that is enabled and healthy, and print where it is.\v"
                          "Example:\n"
                          "  curl \"http://$(commy select web)/\"\n"
                          "  commy select web --client \"$USER\" --json | jq -r .endpoint\n"
                          "  commy select web --policy least-connections --version 2 --prefer-zone eu-1\n\n"
                          "Exits with 1 where there is no such service, or none that may be selected.";

static int32_t policy_number(const struct argp_state *state, const char *word)
{
    static const struct {
        const char *word;
        int32_t policy;
    } policies[] = {
        {"round-robin", COMMY_POLICY_ROUND_ROBIN},
        {"least-connections", COMMY_POLICY_LEAST_CONNECTIONS},
        {"weighted", COMMY_POLICY_WEIGHTED_ROUND_ROBIN},
        {"performance", COMMY_POLICY_PERFORMANCE},
        {"random", COMMY_POLICY_RANDOM},
        {"hash", COMMY_POLICY_CONSISTENT_HASH},
    };

    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
        if (strcmp(policies[i].word, word) == 0)
            return policies[i].policy;
    refuse(state, "--policy '%s' is none of round-robin, least-connections, weighted, performance, random and hash",
           word);
}

static void complete(const struct argp_state *state, struct arguments *given)
{
    if (given->name == NULL)
        refuse(state, "which service? give its name");
    if (given->policy < 0)
        given->policy = given->client != NULL ? COMMY_POLICY_CONSISTENT_HASH : COMMY_POLICY_ROUND_ROBIN;
    if (given->policy == COMMY_POLICY_CONSISTENT_HASH && given->client == NULL)
        refuse(state, "whom is it for? --policy hash goes with --client");
    if (given->policy != COMMY_POLICY_CONSISTENT_HASH && given->client != NULL)
        refuse(state, "--client goes with --policy hash, which alone looks at it");
}

/* A text of a length that the library takes, which knows the option by another name. */
static const char *take_text(const struct argp_state *state, const char *option, const char *text, unsigned most)
{
    size_t bytes = strlen(text);

    if (bytes == 0 || bytes > most)
        refuse(state, "%s '%s' has %zu bytes: give 1 to %u", option, text, bytes, most);
    return text;
}

/* A condition, which the library knows only one of. */
static error_t take_condition(const struct argp_state *state, const char *option, const char **slot, const char *text)
{
    if (*slot != NULL)
        refuse(state, "%s '%s' is one too many: '%s' was given", option, text, *slot);
    *slot = take_text(state, option, text, CONDITION_BYTES);
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *to = state->input;

    switch (key) {
    case KEY_POLICY:
        to->policy = policy_number(state, arg);
        return 0;
    case KEY_CLIENT:
        to->client = take_text(state, "--client", arg, CLIENT_BYTES);
        return 0;
    case KEY_TAG:
        return take_condition(state, "--tag", &to->tag, arg);
    case KEY_VERSION:
        return take_condition(state, "--version", &to->version, arg);
    case KEY_PREFER_ZONE:
        to->prefer_zone = true;
        return take_condition(state, "--prefer-zone", &to->zone, arg);
    case KEY_ZONE:
        return take_condition(state, "--zone", &to->zone, arg);
    case 'n':
        to->count = parse_number(state, "-n", arg, 1, MOST_SELECTIONS);
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(state, &to->name, arg);
    case ARGP_KEY_END:
        complete(state, to);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static json_t *target_json(const commy_target_t *target)
{
    json_t *object = must_have(json_object());

    json_put_text(object, "endpoint", target->endpoint);
    json_put_number(object, "port", target->port);
    json_put_number(object, "weight", target->weight);
    json_put_text(object, "status", health_name(target->status));
    json_put_number(object, "reference", target->reference);
    return object;
}

static void print_address(const commy_target_t *target)
{
    char address[ADDRESS_TEXT_BYTES];

    print_text(stdout, address_text(target->endpoint, target->port, address));
    putchar('\n');
}

static commy_status_t select_all(commy_mesh_t *mesh, const struct arguments *given)
{
    const commy_select_options_t how = {.size = sizeof(how),
                                        .flags = given->prefer_zone ? COMMY_SELECT_PREFER_ZONE : 0,
                                        .policy = given->policy,
                                        .client_id = given->client,
                                        .tag = given->tag,
                                        .version = given->version,
                                        .zone = given->zone};
    commy_status_t status = COMMY_STATUS_SUCCESS;
    bool listed = tool.json && given->count > 0;
    struct json_list list;
    commy_target_t target;

    if (listed)
        json_list_open(&list);
    for (uint64_t i = 0; i == 0 || i < given->count; i++) {
        status = commy_service_select(mesh, given->name, &how, &target);
        if (status != COMMY_STATUS_SUCCESS)
            break;
        if (listed)
            json_list_add(&list, target_json(&target));
        else if (tool.json)
            json_print(target_json(&target));
        else
            print_address(&target);
    }
    if (listed)
        json_list_close(&list);
    return status;
}

int cmd_select(int argc, char **argv)
{
    struct argp argp = {options, parse, "NAME", doc, common_children, NULL, NULL};
    struct arguments given = {.policy = -1};
    commy_mesh_t *mesh;

    argp_parse(&argp, argc, argv, 0, NULL, &given);
    commy_status_t status = attach_as_allowed(&mesh);
    if (status != COMMY_STATUS_SUCCESS)
        return complain_status(status);
    status = select_all(mesh, &given);
    int code = status == COMMY_STATUS_SUCCESS ? EXIT_YES : complain_status(status);
    commy_mesh_detach(&mesh);
    return code;
}
