/* The calls of the driver, each made through commy.hpp. */
#include "json.hpp"

static std::map<std::string, commy::mesh> meshes;
static std::map<std::string, std::uint64_t> tokens;

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
    json_t *object = json_pack("{s:o, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:f}", "tags", tags, "weight", info.weight,
                               "owner_pid", info.owner_pid, "status", static_cast<int>(info.status), "admin",
                               static_cast<int>(info.admin), "port", info.port, "registered_at_ns",
                               decimal(info.registered_at_ns), "metadata_bytes", decimal(info.metadata_bytes),
                               "response_time_ms", info.response_time_ms);
    for (auto [name, text] : {std::pair{"name", &info.name}, {"id", &info.id}, {"endpoint", &info.endpoint},
                              {"version", &info.version}, {"zone", &info.zone}, {"node_id", &info.node_id}})
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

static value configure_load_balancer(const arguments &args)
{
    commy::balancing balancing;
    if (args.number("algorithm") > INT32_MAX || args.number("algorithm") < INT32_MIN)
        throw unwritable("no commy::policy has such a number");
    balancing.policy = static_cast<commy::policy>(args.number("algorithm"));
    balancing.circuit_breaker = args.boolean("enable_circuit_breaker");
    balancing.circuit_breaker_threshold = args.number("circuit_breaker_threshold");
    balancing.circuit_breaker_timeout = args.duration<std::chrono::milliseconds>("circuit_breaker_timeout_ms");
    mesh_of(args).configure_load_balancer(balancing);
    return {};
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
#define DO(expression) [](args_t args) -> value { (void)args; expression; return {}; }
#define GIVE(expression) [](args_t args) -> value { (void)args; return expression; }

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
         DO(mesh_of(args).report_service_performance(
             args.string("id"), args.duration<std::chrono::milliseconds>("response_time_ms"),
             args.boolean("success")))},
        {"report", report},
        {"begin_request", DO(tokens[args.string("token")] = mesh_of(args).begin_request(args.uint64("reference")))},
        {"end_request", end_request},
        {"get_latency", get_latency},
        {"configure_load_balancer", configure_load_balancer},
        {"select_service", select_service},
        {"wait", wait},
    };
    return all;
}
