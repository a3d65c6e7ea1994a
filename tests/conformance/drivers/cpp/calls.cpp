/* The calls of the driver, each made through commy.hpp. */
#include <poll.h>

#include "json.hpp"

static std::map<std::string, commy::mesh> meshes;
static std::map<std::string, std::uint64_t> tokens;
static std::map<std::string, commy::watch> watches;

static commy::mesh &mesh_of(const arguments &args)
{
    static commy::mesh none;
    auto found = meshes.find(args.string("mesh"));
    return found == meshes.end() ? none : found->second;
}

/* ------------------------------------------------------------------- values */

static json_t *json_of(const commy::target &target)
{
    return json_pack("{s:o, s:i, s:i, s:i, s:o}", "reference", decimal(target.reference()), "weight", target.weight(),
                     "status", static_cast<int>(target.status()), "port", target.port(), "endpoint",
                     text_of(std::string(target.endpoint())));
}

static json_t *json_of(const commy::service_info &info)
{
    json_t *tags = json_array();
    for (const std::string &tag : info.tags)
        json_array_append_new(tags, text_of(tag));
    json_t *object =
        json_pack("{s:o, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:f}", "tags", tags, "weight", info.weight, "owner_pid",
                  info.owner_pid, "status", static_cast<int>(info.status), "admin", static_cast<int>(info.admin),
                  "port", info.port, "registered_at_ns", decimal(info.registered_at_ns), "metadata_bytes",
                  decimal(info.metadata_bytes), "response_time_ms", info.response_time_ms);
    for (auto [name, text] : {std::pair{"name", &info.name},
                              {"id", &info.id},
                              {"endpoint", &info.endpoint},
                              {"version", &info.version},
                              {"zone", &info.zone},
                              {"node_id", &info.node_id}})
        json_object_set_new(object, name, text_of(*text));
    return object;
}

static json_t *json_of(const std::vector<commy::service_info> &all)
{
    json_t *list = json_array();
    for (const commy::service_info &one : all)
        json_array_append_new(list, json_of(one));
    return list;
}

static json_t *json_of(const commy::statistics &stats)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:f}", "total_services", stats.total_services,
                     "healthy_services", stats.healthy_services, "unhealthy_services", stats.unhealthy_services,
                     "registered_services", stats.registered_services, "total_requests", decimal(stats.total_requests),
                     "successful_requests", decimal(stats.successful_requests), "failed_requests",
                     decimal(stats.failed_requests), "average_response_time_ms", stats.average_response_time_ms);
}

/* -------------------------------------------------------------------- calls */

static value capabilities(const arguments &)
{
    json_t *list = json_array();
    for (const auto &[name, function] : calls())
        if (name != "capabilities" && name != "bye")
            json_array_append_new(list, text_of(name));
    return list;
}

static value create_mesh(const arguments &args)
{
    meshes[args.string("mesh")] = commy::mesh(args.string("node_id"), args.number("listen_port"));
    return {};
}

static value open_mesh(const arguments &args)
{
    commy::options options;
    options.mesh = args.string("name");
    options.dir = args.string("dir");
    options.node_id = args.string("node_id");
    options.group = args.string("group");
    options.capacity = args.number("capacity");
    options.mode = args.number("mode");
    options.listen_port = args.number("listen_port");
    options.read_only = args.number("flags") & COMMY_OPEN_READ_ONLY;
    options.must_exist = args.number("flags") & COMMY_OPEN_MUST_EXIST;
    options.must_not_exist = args.number("flags") & COMMY_OPEN_MUST_NOT_EXIST;
    meshes[args.string("mesh")] = commy::mesh::open(options);
    return {};
}

static value register_service(const arguments &args)
{
    commy::service service;
    service.name = args.string("service_name");
    service.id = args.string("service_id");
    service.endpoint = args.string("endpoint");
    service.port = args.number("port");
    service.metadata = args.string("metadata");
    service.version = args.string("version");
    service.zone = args.string("zone");
    service.tags = args.strings("tags");
    service.weight = args.number("weight");
    service.ttl = args.duration<std::chrono::milliseconds>("ttl_ms");
    service.detached = args.number("flags") == COMMY_SERVICE_DETACHED;
    mesh_of(args).register_service(service);
    return {};
}

static value find_many(const arguments &args)
{
    json_t *list = json_array();
    for (const commy::found &found : mesh_of(args).find_many(args.strings("ids")))
        json_array_append_new(list, found ? json_pack("{s:i, s:o}", "code", 0, "target", json_of(found.target))
                                          : json_pack("{s:i}", "code", found.code));
    return list;
}

static commy::balancing balancing_of(const arguments &args)
{
    commy::balancing balancing;
    if (args.number("algorithm") > INT32_MAX || args.number("algorithm") < INT32_MIN)
        throw unwritable("no commy::policy has such a number");
    balancing.policy = static_cast<commy::policy>(args.number("algorithm"));
    balancing.circuit_breaker = args.boolean("enable_circuit_breaker");
    balancing.circuit_breaker_threshold = args.number("circuit_breaker_threshold");
    balancing.circuit_breaker_timeout = args.duration<std::chrono::milliseconds>("circuit_breaker_timeout_ms");
    return balancing;
}

static commy::checking checking_of(const arguments &args)
{
    commy::checking checking;
    checking.interval = args.duration<std::chrono::milliseconds>("check_interval_ms");
    checking.timeout = args.duration<std::chrono::milliseconds>("timeout_ms");
    checking.max_failures = args.number("max_failures");
    checking.recovery_checks = args.number("recovery_checks");
    return checking;
}

static value configure_mesh(const arguments &args)
{
    commy::checking checking;
    commy::balancing balancing;
    if (args.has("health"))
        checking = checking_of(args.object("health"));
    if (args.has("load_balancer"))
        balancing = balancing_of(args.object("load_balancer"));
    mesh_of(args).configure_mesh(args.has("health") ? &checking : nullptr,
                                 args.has("load_balancer") ? &balancing : nullptr);
    return {};
}

static value start_health_monitoring(const arguments &args)
{
    commy::checking checking;
    if (args.has("check_interval_ms"))
        checking = checking_of(args);
    mesh_of(args).start_health_monitoring(args.string("id"), args.has("check_interval_ms") ? &checking : nullptr);
    return {};
}

static json_t *json_of(const commy::health_status &health)
{
    return json_pack("{s:i, s:f}", "status", static_cast<int>(health.status), "response_time_ms",
                     health.response_time_ms);
}

static value get_load_balancer_stats(const arguments &args)
{
    commy::balancer_statistics stats = mesh_of(args).get_load_balancer_stats(args.string("name"));
    return json_pack("{s:o, s:o, s:o, s:f}", "total", decimal(stats.total), "successful", decimal(stats.successful),
                     "failed", decimal(stats.failed), "average_ms", stats.average_ms);
}

static value get_circuit_breaker_status(const arguments &args)
{
    commy::breaker_status status = mesh_of(args).get_circuit_breaker_status(args.string("id"));
    return json_pack("{s:i, s:i}", "state", static_cast<int>(status.state), "failures", status.failures);
}

/* An enumeration has the values of its type, so that any number of 32 bits can be written as one. */
template <class Enumeration> static Enumeration enumeration(const arguments &args, const char *name)
{
    std::int64_t number = args.number(name);
    if (number > INT32_MAX || number < INT32_MIN)
        throw unwritable(std::string(name) + " does not fit in 32 bits");
    return static_cast<Enumeration>(number);
}

/* ------------------------------------------------------------------ watches */

static commy::watch &watch_of(const arguments &args)
{
    static commy::watch none;
    auto found = watches.find(args.string("watch"));
    return found == watches.end() ? none : found->second;
}

static commy::watch watch_at(const arguments &args)
{
    std::string name = args.string("name");
    return args.has("name") ? mesh_of(args).watch(name) : mesh_of(args).watch(nullptr);
}

static value watch_fd(const arguments &args)
{
    pollfd poller = {watch_of(args).fd(), POLLIN, 0};
    return json_boolean(poll(&poller, 1, 0) == 1);
}

/* By a loop over the watch; what comes too late is waited for until the harness loses its patience. */
static value watch_changes(const arguments &args)
{
    json_t *versions = json_array();
    commy::watch watch = watch_at(args);
    for (std::uint64_t version : watch) {
        json_array_append_new(versions, decimal(version));
        if (json_array_size(versions) == static_cast<std::size_t>(args.number("count")))
            break;
    }
    return versions;
}

static value select_service(const arguments &args)
{
    std::string client = args.string("client_id");
    commy::mesh &mesh = mesh_of(args);
    return json_of(args.has("client_id") ? mesh.select_service(args.string("name"), client)
                                         : mesh.select_service(args.string("name")));
}

static value get_latency(const arguments &args)
{
    std::string id = args.string("id");
    double quantile = args.real("quantile");
    commy::mesh &mesh = mesh_of(args);
    return decimal((args.has("id") ? mesh.get_latency(id, quantile) : mesh.get_latency(nullptr, quantile)).count());
}

static value wait(const arguments &args)
{
    std::string name = args.string("name");
    std::uint64_t version = args.uint64("version");
    std::chrono::milliseconds timeout(args.number("timeout_ms"));
    commy::mesh &mesh = mesh_of(args);
    return decimal(args.has("name") ? mesh.wait(name, version, timeout) : mesh.wait(nullptr, version, timeout));
}

static value report(const arguments &args)
{
    mesh_of(args)
        .try_report(args.uint64("reference"), args.duration<std::chrono::nanoseconds>("latency_ns"),
                    args.boolean("success"))
        .value();
    return {};
}

static value end_request(const arguments &args)
{
    auto token = tokens.find(args.string("token"));
    mesh_of(args).end_request(token == tokens.end() ? 0 : token->second,
                              args.duration<std::chrono::nanoseconds>("latency_ns"), args.boolean("success"));
    return {};
}

using args_t = const arguments &;

/* Calls without a value, and those of one line. */
#define DO(expression)                                                                                                 \
    [](args_t args) -> value {                                                                                         \
        (void)args;                                                                                                    \
        expression;                                                                                                    \
        return {};                                                                                                     \
    }
#define GIVE(expression)                                                                                               \
    [](args_t args) -> value {                                                                                         \
        (void)args;                                                                                                    \
        return expression;                                                                                             \
    }

const std::map<std::string, call> &calls()
{
    static const std::map<std::string, call> all = {
        {"capabilities", capabilities},
        {"bye", DO()},
        {"ffi_init", DO(commy::try_init().value())},
        {"ffi_cleanup", DO(commy::cleanup())},
        {"ffi_version", GIVE(text_of(commy::version()))},
        {"status_string", GIVE(text_of(commy::status_string(args.number("status"))))},
        {"create_mesh", create_mesh},
        {"open_mesh", open_mesh},
        {"start_mesh", DO(mesh_of(args).start())},
        {"stop_mesh", DO(mesh_of(args).stop())},
        {"destroy_mesh", DO(mesh_of(args).close())},
        {"is_mesh_running", GIVE(json_boolean(mesh_of(args).is_running()))},
        {"get_node_id", GIVE(text_of(mesh_of(args).node_id()))},
        {"get_mesh_stats", GIVE(json_of(mesh_of(args).get_statistics()))},
        {"register_service_simple", DO(mesh_of(args).register_service(args.string("name"), args.string("id"),
                                                                      args.string("endpoint"), args.number("port")))},
        {"register_service", register_service},
        {"unregister_service", DO(mesh_of(args).unregister_service(args.string("id")))},
        {"heartbeat", DO(mesh_of(args).heartbeat(args.string("id")))},
        {"discover_services_count", GIVE(json_integer(mesh_of(args).discover_services_count(args.string("name"))))},
        {"discover_services", GIVE(json_of(mesh_of(args).discover_services(args.string("name"))))},
        {"get_active_service_count", GIVE(json_integer(mesh_of(args).get_active_service_count()))},
        {"get_all_services", GIVE(json_of(mesh_of(args).get_all_services()))},
        {"get_service", GIVE(json_of(mesh_of(args).get_service(args.string("id"))))},
        {"find", GIVE(json_of(mesh_of(args).find(args.string("id"))))},
        {"find_many", find_many},
        {"get_service_metadata", GIVE(text_of(mesh_of(args).get_service_metadata(args.string("id"))))},
        {"update_service_metadata",
         DO(mesh_of(args).update_service_metadata(args.string("id"), args.string("metadata")))},
        {"set_service_weight", DO(mesh_of(args).set_service_weight(args.string("id"), args.number("weight")))},
        {"report_service_performance",
         DO(mesh_of(args).report_service_performance(args.string("id"),
                                                     args.duration<std::chrono::milliseconds>("response_time_ms"),
                                                     args.boolean("success")))},
        {"report", report},
        {"begin_request", DO(tokens[args.string("token")] = mesh_of(args).begin_request(args.uint64("reference")))},
        {"end_request", end_request},
        {"get_latency", get_latency},
        {"configure_load_balancer", DO(mesh_of(args).configure_load_balancer(balancing_of(args)))},
        {"select_service", select_service},
        {"set_health", DO(mesh_of(args).set_health(args.string("id"), enumeration<commy::health>(args, "status")))},
        {"set_admin", DO(mesh_of(args).set_admin(args.string("id"), enumeration<commy::admin>(args, "admin")))},
        {"get_load_balancer_stats", get_load_balancer_stats},
        {"get_circuit_breaker_status", get_circuit_breaker_status},
        {"reset_circuit_breaker", DO(mesh_of(args).reset_circuit_breaker(args.string("id")))},
        {"configure_mesh", configure_mesh},
        {"start_health_monitoring", start_health_monitoring},
        {"stop_health_monitoring", DO(mesh_of(args).stop_health_monitoring(args.string("id")))},
        {"get_service_health", GIVE(json_of(mesh_of(args).get_service_health(args.string("id"))))},
        {"manual_health_check", GIVE(json_of(mesh_of(args).manual_health_check(args.string("id"))))},
        {"watch_open", DO(watches[args.string("watch")] = watch_at(args))},
        {"watch_fd", watch_fd},
        {"watch_wait", GIVE(decimal(watch_of(args).wait(std::chrono::milliseconds(args.number("timeout_ms")))))},
        {"watch_wake", DO(watch_of(args).wake())},
        {"watch_close", DO(watch_of(args).close())},
        {"watch_changes", watch_changes},
        {"wait", wait},
    };
    return all;
}
