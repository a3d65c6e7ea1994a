/*
 * Programs: what each process of a case does, in letters. Processes are separated by '|', calls by spaces; digits behind
 * a letter are an id and a name, or what is asked for.
 *
 *     R11     register id 1 under name 1; with t: with a TTL, d: detached with one, m: with metadata, l: with long ones
 *     U1      unregister id 1                  F1   find id 1
 *     G1      get all about id 1               D1   discover name 1
 *     M1 N1   set metadata of id 1; long ones  Q1   read them
 *     X1      set the weight of id 1           H1   heartbeat
 *     K1      select from name 1, with a picker that was made before the call
 *     %1      the same by least connections
 *     S1      find id 1 and report a request   Z1   read its counters, and what is in flight
 *     O1      find id 1 and report a failure   I1   read its circuit breaker
 *     A1      take the turn to try id 1        Y1   reset its breaker
 *     B1      find id 1 and begin a request    E1   end it
 *     !1      offer to check id 1 and, where that is taken, write that it is well; with i: takes it from the living, too
 *     ~1      give that back
 *     V1 W1   read the version of name 1; wait until it differs (0: of the whole mesh)
 *     C       collect empty groups             P    reap
 *     *       record an event                  ?    read the one there is room for
 *     L J     leave; join                      T    a TTL passes; with h: more than half of one
 *
 * What is registered says by which call it was: the port, the endpoint, the metadata and the weight all hold the number of
 * the event, so that whoever reads them tells by a number alone what he saw, and a mixture of two lives shows.
 */
#include <ctype.h>
#include <stdlib.h>

#include "explore.h"
#include "registry/breaker.h"

#define PORT_BASE 1000u
#define WEIGHT_BASE 1000u
#define LONG_TEXT_BYTES (CMY_SMALL_TEXT_BYTES + 8)
#define TTL_MS 1000u

ex_program_t ex_program[EX_ACTORS];
uint32_t ex_process_count;

static uint32_t first_death, first_observed;
static char ids[EX_IDS][64], names[EX_IDS][64];

/* ------------------------------------------------------------------- texts */

/* Ids 1 and 2 have the same tag, so that only their texts tell them apart; 3 and 4 have others. So have names. */
static void choose(char text[EX_IDS][64], const char *prefix)
{
    cmy_key_t key;
    uint32_t tag[EX_IDS] = {0}, found = 0;
    for (uint32_t number = 0; found < EX_IDS; number++) {
        snprintf(text[found], sizeof text[found], "%s%u", prefix, number % 100000);
        cmy_key_make(&key, ex_region()->seed, text[found], strlen(text[found]));
        tag[found] = cmy_index_tag(key.hash);
        bool same = tag[found] == tag[0];
        if (found == 0 || same == (found == 1))
            found++;
    }
}

void ex_program_choose_texts(void)
{
    choose(ids, "i");
    choose(names, "n");
}

const char *ex_id_text(uint32_t id)
{
    return ids[id - 1];
}

const char *ex_name_text(uint32_t name)
{
    return names[name - 1];
}

/* ----------------------------------------------------------------- parsing */

uint32_t ex_observed_event(uint32_t number)
{
    return first_observed + number;
}

uint32_t ex_death_event(uint32_t who)
{
    return first_death + who;
}

static uint8_t digit(const char **at)
{
    if (!isdigit((unsigned char)**at))
        return 0;
    return (uint8_t)(*(*at)++ - '0');
}

static bool parse_op(const char **at, ex_op_t *op)
{
    *op = (ex_op_t){.kind = (uint8_t) * (*at)++};
    if (!strchr("RUFGDK%MNQXHSZBEVWCPLJTOIAY!~*?", op->kind))
        return false;
    if (strchr("DK%VW", op->kind)) {
        op->name = digit(at);
    } else if (strchr("RUFGMNQXHSZBEOIAY!~", op->kind)) {
        op->id = digit(at);
        if (op->id == 0 || op->id > EX_IDS)
            return false;
        if (op->kind == 'R' && ((op->name = digit(at)) == 0 || op->name > EX_IDS))
            return false;
    }
    for (; **at && **at != ' ' && **at != '|'; (*at)++) {
        static const char letters[] = "dtmlih", kinds[] = "RRRR!T";
        const char *letter = strchr(letters, **at);
        if (!letter || op->kind != kinds[letter - letters])
            return false;
        op->flags |= (uint8_t)(1u << (letter - letters));
    }
    return true;
}

/* Up to a bar or the end. */
static bool parse_process(const char **at, uint32_t who, uint32_t *event)
{
    ex_program_t *program = &ex_program[who];
    *program = (ex_program_t){.first_event = *event};
    while (**at && **at != '|') {
        if (**at == ' ') {
            ++*at;
            continue;
        }
        if (program->count == EX_OPS || *event == EX_SCRATCH_EVENT || !parse_op(at, &program->op[program->count]))
            return false;
        const ex_op_t *op = &program->op[program->count++];
        ex_history.event[(*event)++] =
            (ex_event_t){.who = (uint8_t)who, .kind = op->kind, .id = op->id, .name = op->name, .flags = op->flags};
    }
    return true;
}

bool ex_program_parse(const ex_case_t *what)
{
    uint32_t event = 0;
    const char *at = what->setup;
    memset(ex_program, 0, sizeof ex_program);
    bool sound = parse_process(&at, EX_SETTLER, &event) && !*at;
    at = what->program;
    for (ex_process_count = 0; sound && ex_process_count < EX_PROCESSES; at++) {
        sound = parse_process(&at, ex_process_count++, &event);
        if (!*at)
            break;
    }
    if (!sound || *at || event + EX_ACTORS >= EX_SCRATCH_EVENT) {
        ex_blame("the case \"%s\" has a program that makes no sense", what->name);
        return false;
    }
    first_death = event;
    for (uint32_t who = 0; who < EX_ACTORS; who++)
        ex_history.event[event++] = (ex_event_t){.who = (uint8_t)who, .kind = EX_DEATH};
    first_observed = event;
    return true;
}

void ex_program_observe(const char *ops)
{
    uint32_t event = first_observed;
    if (!parse_process(&ops, EX_OBSERVER, &event))
        ex_blame("the observer's program is too long");
}

/* ----------------------------------------------------------------- calling */

static void text_of(uint32_t event, bool is_long, char *out)
{
    int bytes = snprintf(out, 16, "m%u", event);
    if (!is_long)
        return;
    memset(out + bytes, '.', LONG_TEXT_BYTES - (size_t)bytes);
    out[LONG_TEXT_BYTES] = '\0';
}

/* The event that a text, a port or a weight speaks of. */
static uint64_t event_of_text(const char *text, size_t bytes)
{
    char should[LONG_TEXT_BYTES + 1];
    if (bytes == 0)
        return EX_EVENTS;
    uint32_t event = (uint32_t)strtoul(text + 1, NULL, 10);
    text_of(event, bytes > 16, should);
    if (strcmp(text, should) != 0)
        ex_blame("metadata were read that nobody set: '%.16s', %zu bytes", text, bytes);
    return event;
}

static uint64_t event_of_port(uint16_t port, const char *endpoint)
{
    char should[16];
    snprintf(should, sizeof should, "h%u", port);
    if (port >= PORT_BASE && port < PORT_BASE + EX_EVENTS && strcmp(endpoint, should) == 0)
        return port - PORT_BASE;
    ex_blame("port %u and endpoint '%s' are not of one registration", port, endpoint);
    return EX_SCRATCH_EVENT;
}

static uint64_t event_of_weight(uint32_t weight)
{
    return weight == COMMY_DEFAULT_WEIGHT ? EX_EVENTS : weight - WEIGHT_BASE;
}

static commy_status_t do_register(commy_mesh_t *mesh, const ex_op_t *op, uint32_t event, ex_event_t *out)
{
    char endpoint[16], text[LONG_TEXT_BYTES + 1] = "";
    uint64_t reference = 0;
    snprintf(endpoint, sizeof endpoint, "h%u", PORT_BASE + event);
    if (op->flags & (EX_WITH_TEXT | EX_LONG_TEXT))
        text_of(event, op->flags & EX_LONG_TEXT, text);
    commy_service_config_t config = {
        .size = sizeof config,
        .flags = op->flags & EX_DETACHED ? COMMY_SERVICE_DETACHED : 0,
        .service_name = ex_name_text(op->name),
        .service_id = ex_id_text(op->id),
        .endpoint = endpoint,
        .metadata = text,
        .ttl_ms = op->flags & (EX_DETACHED | EX_TTL) ? TTL_MS : 0,
        .port = (uint16_t)(PORT_BASE + event),
    };
    commy_status_t status = commy_service_register(mesh, &config, &reference);
    out->value = event;
    out->detail = op->flags & (EX_WITH_TEXT | EX_LONG_TEXT) ? event : EX_EVENTS;
    return status;
}

static commy_status_t do_find(commy_mesh_t *mesh, const ex_op_t *op, ex_event_t *out)
{
    commy_target_t target = {0};
    commy_status_t status = commy_service_find(mesh, ex_id_text(op->id), &target);
    if (status == COMMY_STATUS_SUCCESS) {
        out->value = event_of_port(target.port, target.endpoint);
        out->detail = event_of_weight(target.weight);
    }
    return status;
}

static commy_status_t do_get(commy_mesh_t *mesh, const ex_op_t *op, ex_event_t *out)
{
    commy_service_info_t info;
    memset(&info, 0, sizeof info);
    commy_status_t status = commy_service_get(mesh, ex_id_text(op->id), &info);
    if (status == COMMY_STATUS_SUCCESS) {
        out->value = event_of_port(info.port, info.endpoint);
        out->detail = event_of_weight(info.weight);
        if (strcmp(info.id, ex_id_text(op->id)) != 0)
            ex_blame("a service was got under id '%s' that has id '%s'", ex_id_text(op->id), info.id);
    }
    return status;
}

/* value: a bit for each registration that was returned; detail: how many in all. */
static commy_status_t do_discover(commy_mesh_t *mesh, const ex_op_t *op, ex_event_t *out)
{
    commy_iterator_t iterator;
    commy_view_t view;
    commy_target_t target;
    commy_status_t status =
        op->name ? commy_iterate_name(mesh, ex_name_text(op->name), &iterator) : commy_iterate_all(mesh, &iterator);
    out->value = out->detail = 0;
    while (status == COMMY_STATUS_SUCCESS && commy_iterate_next(mesh, &iterator, &view)) {
        memset(&target, 0, sizeof target);
        if (commy_view_target(mesh, &view, &target) != COMMY_STATUS_SUCCESS)
            continue; /* it went: it was not live throughout */
        uint64_t bit = 1ull << event_of_port(target.port, target.endpoint);
        if (out->value & bit)
            ex_blame("the registration of event %d came twice in one walk", __builtin_ctzll(bit));
        out->value |= bit;
        out->detail++;
    }
    return status;
}

static commy_status_t do_read_text(commy_mesh_t *mesh, const ex_op_t *op, ex_event_t *out)
{
    char text[LONG_TEXT_BYTES + 8] = "";
    size_t bytes = 0;
    commy_status_t status = commy_service_metadata(mesh, ex_id_text(op->id), text, sizeof text, &bytes);
    if (status == COMMY_STATUS_SUCCESS)
        out->value = event_of_text(text, bytes);
    return status;
}

/* value: whom the request was reported of. */
static commy_status_t do_report(commy_mesh_t *mesh, const ex_op_t *op, ex_event_t *out)
{
    commy_target_t target = {0};
    commy_status_t status = commy_service_find(mesh, ex_id_text(op->id), &target);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    out->value = event_of_port(target.port, target.endpoint);
    return commy_service_report(mesh, target.reference, 1000, op->kind == 'S');
}

/* value: whom it tries. What selecting does with an instance that is open. */
static commy_status_t do_try(commy_mesh_t *mesh, const ex_op_t *op, ex_event_t *out)
{
    commy_target_t target = {0};
    uint32_t record;
    uint64_t state, tick;
    commy_status_t status = cmy_mesh_look_up(mesh, ex_id_text(op->id), &record, &state);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    cmy_service_copy_target(mesh->region, record, state, &target);
    if (!cmy_service_same(cmy_service_at(mesh->region, record), state))
        return COMMY_STATUS_NOT_FOUND;
    out->value = event_of_port(target.port, target.endpoint);
    return cmy_breaker_try(mesh, record, state, &tick) ? COMMY_STATUS_SUCCESS : COMMY_STATUS_BUSY;
}

/* value: its state; detail: how often it was opened, and above that the number of who tries it, plus 1. */
static commy_status_t do_breaker(commy_mesh_t *mesh, const ex_op_t *op, ex_event_t *out)
{
    commy_breaker_status_t breaker = {0};
    commy_status_t status = commy_service_breaker(mesh, ex_id_text(op->id), &breaker);
    out->value = (uint64_t)breaker.state;
    out->detail = breaker.openings | (uint64_t)breaker.prober_pid << 32;
    return status;
}

/* value: who the request is to. */
static commy_status_t do_begin(commy_mesh_t *mesh, const ex_op_t *op, ex_event_t *out)
{
    commy_target_t target = {0};
    uint64_t *tokens = ex_private(ex_running)->token[op->id - 1], token;
    commy_status_t status = commy_service_find(mesh, ex_id_text(op->id), &target);
    if (status != COMMY_STATUS_SUCCESS)
        return status;
    out->value = event_of_port(target.port, target.endpoint);
    status = commy_service_begin(mesh, target.reference, &token);
    if (status == COMMY_STATUS_SUCCESS) {
        tokens[1] = tokens[0];
        tokens[0] = token;
    }
    return status;
}

/* Whether an event began a request, which may be in flight. */
static bool begins(const ex_event_t *is, uint32_t who, uint32_t id)
{
    return is->kind == 'B' && is->begun && is->who == who && is->id == id &&
           (!is->ended || is->status == COMMY_STATUS_SUCCESS);
}

uint32_t ex_end_of_request(uint32_t begin)
{
    const ex_event_t *is = &ex_history.event[begin];
    uint32_t others = 0;
    for (uint32_t event = begin + 1; event < EX_SCRATCH_EVENT; event++) {
        const ex_event_t *end = &ex_history.event[event];
        if (!end->begun || end->who != is->who)
            continue;
        if (end->kind == 'L' || end->kind == EX_DEATH || (end->kind == 'E' && end->id == is->id && others-- == 0))
            return event;
        others += begins(end, is->who, is->id);
    }
    return EX_EVENTS;
}

/* value: who the request was to. */
static commy_status_t do_end(commy_mesh_t *mesh, const ex_op_t *op, uint32_t event, ex_event_t *out)
{
    uint64_t *tokens = ex_private(ex_running)->token[op->id - 1], token = tokens[0];
    tokens[0] = tokens[1];
    tokens[1] = 0;
    if (token == 0)
        return COMMY_STATUS_NOT_FOUND;
    for (uint32_t begin = 0; begin < event; begin++)
        if (begins(&ex_history.event[begin], ex_running, op->id) && ex_end_of_request(begin) == event)
            out->value = ex_history.event[begin].value;
    return commy_service_end(mesh, token, 1000, true);
}

static commy_status_t do_stats(commy_mesh_t *mesh, const ex_op_t *op, ex_event_t *out)
{
    commy_service_stats_t stats = {0};
    commy_status_t status = commy_service_stats(mesh, ex_id_text(op->id), &stats);
    out->value = stats.successful_requests;
    out->detail = stats.in_flight;
    return status;
}

static commy_status_t do_version(commy_mesh_t *mesh, const ex_op_t *op, ex_event_t *out)
{
    return commy_mesh_wait(mesh, op->name ? ex_name_text(op->name) : NULL, 0, 0, &out->value);
}

/* From the version that the call before read. detail: whether time had to pass for it to be seen. */
static commy_status_t do_wait(commy_mesh_t *mesh, const ex_op_t *op, uint32_t event, ex_event_t *out)
{
    uint64_t known = ex_history.event[event - 1].value;
    return commy_mesh_wait(mesh, op->name ? ex_name_text(op->name) : NULL, known, -1, &out->value);
}

/* Time and reason are the number of the call. */
static commy_status_t do_record(commy_mesh_t *mesh, uint32_t event)
{
    const cmy_event_source_t source = {
        .time_ns = event,
        .what = cmy_event_deed((commy_event_kind_t)EX_EVENT_KIND, event),
    };
    cmy_event_record_source(mesh->region, &source);
    return COMMY_STATUS_SUCCESS;
}

/* value: its ticket; 0 for none. */
static commy_status_t do_read_event(commy_mesh_t *mesh, ex_event_t *out)
{
    cmy_event_t event;
    out->value = 0;
    if (!cmy_event_read(mesh->region, 0, &event))
        return COMMY_STATUS_SUCCESS;
    if (cmy_event_reason(event.what) != event.time_ns)
        ex_blame("an event was read of calls %u and %u", (unsigned)event.time_ns, cmy_event_reason(event.what));
    out->value = event.ticket;
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t leap(const ex_op_t *op)
{
    uint64_t now = cmy_load64_relaxed(ex_clock_word()), ms = op->flags & EX_HALF ? TTL_MS / 2 : TTL_MS;
    ex_poke64(ex_clock_word(), now + (ms + 1) * 1000000u);
    return COMMY_STATUS_SUCCESS;
}

static commy_status_t call(commy_mesh_t *mesh, const ex_op_t *op, uint32_t event, ex_event_t *out)
{
    char text[LONG_TEXT_BYTES + 1];
    switch (op->kind) {
    case 'R':
        return do_register(mesh, op, event, out);
    case 'U':
        return commy_service_unregister(mesh, ex_id_text(op->id));
    case 'F':
        return do_find(mesh, op, out);
    case 'G':
        return do_get(mesh, op, out);
    case 'D':
        return do_discover(mesh, op, out);
    case 'M':
    case 'N':
        text_of(event, op->kind == 'N', text);
        out->value = event;
        return commy_service_set_metadata(mesh, ex_id_text(op->id), text);
    case 'Q':
        return do_read_text(mesh, op, out);
    case 'X':
        out->value = event;
        return commy_service_set_weight(mesh, ex_id_text(op->id), WEIGHT_BASE + event);
    case 'H':
        return commy_service_heartbeat(mesh, ex_id_text(op->id));
    case 'S':
    case 'O':
        return do_report(mesh, op, out);
    case 'I':
        return do_breaker(mesh, op, out);
    case 'A':
        return do_try(mesh, op, out);
    case 'Y':
        return commy_service_reset_breaker(mesh, ex_id_text(op->id));
    case 'B':
        return do_begin(mesh, op, out);
    case 'E':
        return do_end(mesh, op, event, out);
    case 'Z':
        return do_stats(mesh, op, out);
    case '!':
        return ex_offer(mesh, op, out);
    case '~':
        return ex_give_back(mesh, op);
    case 'V':
        return do_version(mesh, op, out);
    case 'W':
        return do_wait(mesh, op, event, out);
    case 'C':
        out->value = cmy_group_collect_all(&mesh->actor);
        return COMMY_STATUS_SUCCESS;
    case '*':
        return do_record(mesh, event);
    case '?':
        return do_read_event(mesh, out);
    case 'P':
        return commy_mesh_reap(mesh, NULL);
    case 'L':
        return commy_mesh_leave(mesh);
    case 'J':
        return commy_mesh_join(mesh, NULL, 0);
    default:
        return leap(op);
    }
}

static commy_status_t do_select(commy_mesh_t *mesh, const ex_op_t *op, ex_event_t *out)
{
    commy_target_t target = {0};
    const commy_select_options_t how = {
        .size = sizeof how, .policy = op->kind == '%' ? COMMY_POLICY_LEAST_CONNECTIONS : COMMY_POLICY_ROUND_ROBIN};
    commy_status_t status = commy_service_select(mesh, ex_name_text(op->name), &how, &target);
    if (status == COMMY_STATUS_SUCCESS) {
        out->value = event_of_port(target.port, target.endpoint);
        out->detail = event_of_weight(target.weight);
    }
    return status;
}

/* The call begins when there is a picker, unless there was nobody to put into it. */
static void run_select(uint32_t who, const ex_op_t *op, uint32_t event)
{
    ex_event_t out = {0};
    ex_heap_t heap;
    memset(&heap, 0, sizeof heap);
    commy_mesh_t *mesh = ex_mesh(who);
    ex_private(who)->heap = &heap;
    mesh->pickers = NULL;
    do_select(mesh, op, &out);
    ex_history_begin(event);
    out = (ex_event_t){0};
    ex_event_t *is = &ex_history.event[event];
    out.status = (int32_t)do_select(mesh, op, &out);
    is->status = out.status;
    is->value = out.value;
    is->detail = out.detail;
    ex_history_end(event);
    mesh->pickers = NULL;
    ex_private(who)->heap = NULL;
}

/* The result lies on the stack until the call has ended: what the history holds changes once, at that instant. */
void ex_program_run(uint32_t who, const ex_op_t *op, uint32_t event)
{
    ex_event_t out = {0};
    if (op->kind == 'K' || op->kind == '%') {
        run_select(who, op, event);
        return;
    }
    ex_history_begin(event);
    out.status = (int32_t)call(ex_mesh(who), op, event, &out);
    ex_event_t *is = &ex_history.event[event];
    is->status = out.status;
    is->value = out.value;
    is->detail = out.detail;
    ex_history_end(event);
}
