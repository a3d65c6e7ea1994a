/*
 * commy/commy.hpp - commy for C++17: a mesh as an object that is moved, texts as string_view, values out.
 *
 *     commy::mesh mesh("orders", 8080);
 *     mesh.start();
 *     mesh.register_service("orders", "orders-1", "127.0.0.1", 8080);
 *     for (const commy::service_info &service : mesh.discover_services("billing"))
 *         std::cout << service.endpoint << ':' << service.port << '\n';
 *
 * Header-only, over the language ABI (ffi.h), whose limits, meanings and errors hold. Every call has a form that gives a
 * result<T>, try_...(), and never throws but for memory; with exceptions there is one that throws commy::error instead.
 *
 * Threads: any thread may call anything at any time on the same object, except for moving and destroying it. A forked child
 * calls reopen() before anything else (COMMY_STATUS_FORKED); destroying the parent's object there changes nothing.
 */
#ifndef COMMY_COMMY_HPP
#define COMMY_COMMY_HPP

#include <optional>

#include <commy/values.hpp>

namespace commy {

namespace detail {

inline bool in_range(std::int64_t value, std::int64_t high) noexcept
{
    return value >= 0 && value <= high;
}

inline failure out_of_range(const char *what, std::int64_t value, std::int64_t high)
{
    return invalid(std::string(what) + " is " + std::to_string(value) + "; it is 0 to " + std::to_string(high));
}

inline failure nul_in(const char *what)
{
    return invalid(std::string(what) + " holds a NUL; take it out");
}

constexpr std::int64_t uint16_max = 65535, int32_max = 2147483647, uint32_max = 4294967295;

inline result<void> done(std::int32_t code)
{
    return code == COMMY_STATUS_SUCCESS ? result<void>() : result<void>(last(code));
}

/* A count or flag, or a negated code. */
inline result<std::size_t> counted(std::int32_t number)
{
    if (number < 0)
        return last(-number);
    return static_cast<std::size_t>(number);
}

inline failure check_metadata(std::string_view metadata)
{
    if (metadata.find('\0') != std::string_view::npos)
        return nul_in("metadata");
    if (!metadata.empty() && !json_reader(metadata).accepts())
        return invalid("metadata is not JSON; a bare word needs double quotes");
    return {};
}

inline service_info info_of(const commy_service_info_t &native)
{
    service_info info;
    info.name = native.name;
    info.id = native.id;
    info.endpoint = native.endpoint;
    info.version = native.version;
    info.zone = native.zone;
    info.node_id = native.node_id;
    for (std::uint32_t i = 0; i < native.tag_count && i < COMMY_LIMIT_TAGS; i++)
        info.tags.emplace_back(native.tags[i]);
    info.weight = native.weight;
    info.owner_pid = native.owner_pid;
    info.status = static_cast<health>(native.status);
    info.admin = static_cast<commy::admin>(native.admin);
    info.port = native.port;
    info.registered_at_ns = native.registered_at_ns;
    info.metadata_bytes = native.metadata_bytes;
    info.response_time_ms = native.response_time_ms;
    return info;
}

} // namespace detail

/* ------------------------------------------------------------------ library */

inline std::string version()
{
    return commy_ffi_version();
}

inline std::string status_string(std::int32_t code)
{
    return commy_status_string(code);
}

/* Optional and repeatable. */
inline result<void> try_init()
{
    return detail::done(commy_ffi_init());
}

/* Closes every mesh of this process. */
inline void cleanup() noexcept
{
    commy_ffi_cleanup();
}

/* --------------------------------------------------------------------- mesh */

class request;

/* One attachment to a mesh: a participant as soon as it started. What it registered goes with it. */
class mesh {
public:
    /* Attached to nothing: every call gives COMMY_STATUS_NO_HANDLE. */
    mesh() noexcept = default;
    mesh(mesh &&other) noexcept : handle_(std::exchange(other.handle_, {})), options_(std::move(other.options_)) {}
    mesh &operator=(mesh &&other) noexcept
    {
        if (this != &other) {
            close();
            handle_ = std::exchange(other.handle_, {});
            options_ = std::move(other.options_);
        }
        return *this;
    }
    ~mesh() { close(); }

    /* Attaches to the default mesh, made where it is missing. node_id 1-63 of A-Z a-z 0-9 . _ -, listen_port 1-65535. */
    static result<mesh> try_create(std::string_view node_id, std::int64_t listen_port)
    {
        if (node_id.empty() || listen_port == 0)
            return detail::invalid(node_id.empty() ? "node id is empty; give 1 to 63 of A-Z a-z 0-9 . _ -"
                                                   : "listen port 0 is no port; give 1 to 65535, or use open()");
        options options;
        options.node_id = node_id;
        options.listen_port = listen_port;
        return try_open(std::move(options));
    }

    static result<mesh> try_open(commy::options options)
    {
        mesh made;
        made.options_ = std::move(options);
        result<void> opened = made.try_reopen();
        if (!opened)
            return detail::failure{opened.code(), opened.message()};
        return made;
    }

    /* Attaches again: after close(), and in a forked child. Closes what is open. */
    result<void> try_reopen()
    {
        for (const std::string *one : {&options_.mesh, &options_.dir, &options_.node_id, &options_.group})
            if (one->find('\0') != std::string::npos)
                return detail::nul_in("an option");
        if (!detail::in_range(options_.capacity, detail::uint32_max))
            return detail::out_of_range("capacity", options_.capacity, COMMY_LIMIT_SERVICES_MAX);
        if (!detail::in_range(options_.mode, detail::uint32_max))
            return detail::out_of_range("mode", options_.mode, 0660);
        if (!detail::in_range(options_.listen_port, detail::uint16_max))
            return detail::out_of_range("listen port", options_.listen_port, detail::uint16_max);
        close();
        commy_open_options_t native{};
        native.size = sizeof(native);
        native.flags = (options_.read_only ? COMMY_OPEN_READ_ONLY : 0) |
                       (options_.must_exist ? COMMY_OPEN_MUST_EXIST : 0) |
                       (options_.must_not_exist ? COMMY_OPEN_MUST_NOT_EXIST : 0);
        native.mesh = or_null(options_.mesh);
        native.dir = or_null(options_.dir);
        native.node_id = or_null(options_.node_id);
        native.group = or_null(options_.group);
        native.capacity = static_cast<std::uint32_t>(options_.capacity);
        native.mode = static_cast<std::uint32_t>(options_.mode);
        native.listen_port = static_cast<std::uint16_t>(options_.listen_port);
        handle_ = commy_open_mesh(&native);
        if (handle_.instance_id == 0)
            return detail::last(commy_last_error());
        return {};
    }

    /* Joins the mesh; stopping unregisters what this object registered, and leaves. Each may be called twice. */
    result<void> try_start() { return detail::done(commy_start_mesh(handle_)); }
    result<void> try_stop() { return detail::done(commy_stop_mesh(handle_)); }

    /* Stops, and gives the attachment back. */
    void close() noexcept
    {
        if (handle_.instance_id != 0)
            commy_destroy_mesh(handle_);
    }

    result<bool> try_is_running() const
    {
        result<std::size_t> flag = detail::counted(commy_is_mesh_running(handle_));
        if (!flag)
            return detail::failure{flag.code(), flag.message()};
        return *flag == 1;
    }

    result<std::string> try_node_id() const
    {
        std::unique_ptr<char, void (*)(char *)> node_id(commy_get_node_id(handle_), commy_free_string);
        if (!node_id)
            return detail::last(commy_last_error());
        return std::string(node_id.get());
    }

    result<statistics> try_get_statistics() const
    {
        statistics stats{};
        return given(commy_get_mesh_stats(handle_, &stats), stats);
    }

    /* For what this header does not have. */
    commy_handle_t native() const noexcept { return handle_; }

    /* ------------------------------------------------------------- services */

    /* port 1-65535; 0 with an endpoint of "unix:/path". */
    result<void> try_register_service(const text &name, const text &id, const text &endpoint, std::int64_t port)
    {
        if (name.bad() || id.bad() || endpoint.bad())
            return detail::nul_in(name.bad() ? "service name" : id.bad() ? "service id" : "endpoint");
        if (!detail::in_range(port, detail::uint16_max))
            return detail::out_of_range("port", port, detail::uint16_max);
        return detail::done(commy_register_service_simple(handle_, name.c_str(), id.c_str(), endpoint.c_str(),
                                                          static_cast<std::uint16_t>(port)));
    }

    result<void> try_register_service(const service &service)
    {
        detail::failure wrong = check_service(service);
        if (wrong.code != COMMY_STATUS_SUCCESS)
            return wrong;
        std::vector<const char *> tags;
        for (const std::string &tag : service.tags)
            tags.push_back(tag.c_str());
        commy_service_config_t native{};
        native.size = sizeof(native);
        native.flags = service.detached ? COMMY_SERVICE_DETACHED : 0;
        native.service_name = service.name.c_str();
        native.service_id = service.id.c_str();
        native.endpoint = service.endpoint.c_str();
        native.metadata = service.metadata.c_str();
        native.version = service.version.c_str();
        native.zone = service.zone.c_str();
        native.tags = tags.data();
        native.tag_count = static_cast<std::uint32_t>(tags.size());
        native.weight = static_cast<std::uint32_t>(service.weight);
        native.ttl_ms = static_cast<std::uint64_t>(service.ttl.count());
        native.port = static_cast<std::uint16_t>(service.port);
        return detail::done(commy_register_service(handle_, &native));
    }

    result<void> try_unregister_service(const text &id) { return by_id(commy_unregister_service, id); }
    result<void> try_heartbeat(const text &id) { return by_id(commy_heartbeat, id); }

    result<void> try_set_service_weight(const text &id, std::int64_t weight)
    {
        if (id.bad())
            return detail::nul_in("service id");
        if (!detail::in_range(weight, detail::uint32_max))
            return detail::out_of_range("weight", weight, COMMY_LIMIT_WEIGHT);
        return detail::done(commy_set_service_weight(handle_, id.c_str(), static_cast<std::uint32_t>(weight)));
    }

    /* metadata: JSON, or empty. */
    result<void> try_update_service_metadata(const text &id, std::string_view metadata)
    {
        if (id.bad())
            return detail::nul_in("service id");
        detail::failure wrong = detail::check_metadata(metadata);
        if (wrong.code != COMMY_STATUS_SUCCESS)
            return wrong;
        return detail::done(commy_update_service_metadata(handle_, id.c_str(), text(metadata).c_str()));
    }

    result<std::string> try_get_service_metadata(const text &id) const
    {
        char buffer[COMMY_LIMIT_METADATA_BYTES + 1];
        buffer[0] = '\0';
        if (id.bad())
            return detail::nul_in("service id");
        std::int32_t code = commy_get_service_metadata(handle_, id.c_str(), buffer, sizeof(buffer), nullptr);
        std::string metadata(buffer);
        return given(code, metadata);
    }

    /* -------------------------------------------------------------- looking */

    result<target> try_find(const text &id) const
    {
        target found;
        if (id.bad())
            return detail::nul_in("service id");
        return given(commy_find(handle_, id.c_str(), &found.target_), found);
    }

    /* One for each id, in its place: several lookups that overlap, in one call. */
    result<std::vector<found>> try_find_many(const std::vector<std::string> &ids) const
    {
        std::vector<const char *> pointers;
        for (const std::string &id : ids)
            pointers.push_back(id.find('\0') == std::string::npos ? id.c_str() : "");
        std::vector<commy_target_t> targets(ids.size());
        std::vector<std::int32_t> codes(ids.size());
        std::int32_t code = commy_find_many(handle_, pointers.data(), ids.size(), targets.data(), codes.data());
        bool of_an_id = false;
        std::vector<found> all(ids.size());
        for (std::size_t i = 0; i < ids.size(); i++) {
            all[i].code = static_cast<commy_status_t>(codes[i]);
            if (all[i])
                all[i].target.target_ = targets[i];
            of_an_id = of_an_id || codes[i] == code;
        }
        if (code != COMMY_STATUS_SUCCESS && !of_an_id)
            return detail::last(code);
        return all;
    }

    result<service_info> try_get_service(const text &id) const
    {
        commy_service_info_t native;
        if (id.bad())
            return detail::nul_in("service id");
        std::int32_t code = commy_get_service(handle_, id.c_str(), &native);
        if (code != COMMY_STATUS_SUCCESS)
            return detail::last(code);
        return detail::info_of(native);
    }

    /* All live instances of a name, whatever their health; all of the mesh. */
    result<std::vector<service_info>> try_discover_services(const text &name) const
    {
        if (name.bad())
            return detail::nul_in("service name");
        return list([&](commy_service_info_t *out, std::size_t capacity, std::size_t *count) {
            return commy_discover_services(handle_, name.c_str(), out, capacity, count);
        });
    }
    result<std::vector<service_info>> try_get_all_services() const
    {
        return list([&](commy_service_info_t *out, std::size_t capacity, std::size_t *count) {
            return commy_get_all_services(handle_, out, capacity, count);
        });
    }

    result<std::size_t> try_discover_services_count(const text &name) const
    {
        if (name.bad())
            return detail::nul_in("service name");
        return detail::counted(commy_discover_services_count(handle_, name.c_str()));
    }
    result<std::size_t> try_get_active_service_count() const
    {
        return detail::counted(commy_get_active_service_count(handle_));
    }

    /* --------------------------------------------------------- selecting, requests */

    /* How this object selects from now on; without it, round robin. */
    result<void> try_configure_load_balancer(const balancing &balancing)
    {
        if (!detail::in_range(balancing.circuit_breaker_threshold, detail::uint32_max))
            return detail::out_of_range("circuit breaker threshold", balancing.circuit_breaker_threshold,
                                        detail::uint32_max);
        if (balancing.circuit_breaker_timeout.count() < 0)
            return detail::invalid("circuit breaker timeout is negative; give 1 ms or more");
        commy_load_balancer_config_t native{};
        native.algorithm = static_cast<std::int32_t>(balancing.policy);
        native.enable_circuit_breaker = balancing.circuit_breaker;
        native.circuit_breaker_threshold = static_cast<std::uint32_t>(balancing.circuit_breaker_threshold);
        native.circuit_breaker_timeout_ms = static_cast<std::uint64_t>(balancing.circuit_breaker_timeout.count());
        return detail::done(commy_configure_load_balancer(handle_, &native));
    }

    /* client_id: 1-255 bytes, which policy::consistent_hash needs. */
    result<target> try_select_service(const text &name, const text &client_id = nullptr) const
    {
        if (name.bad() || client_id.bad())
            return detail::nul_in(name.bad() ? "service name" : "client id");
        target found;
        return given(commy_select_service(handle_, name.c_str(), client_id.c_str(), &found.target_), found);
    }

    /* A token for try_end_request(). request (below) does both, and takes the time. */
    result<std::uint64_t> try_begin_request(std::uint64_t reference)
    {
        std::uint64_t token = 0;
        return given(commy_begin_request(handle_, reference, &token), token);
    }
    result<void> try_end_request(std::uint64_t token, std::chrono::nanoseconds latency, bool success)
    {
        if (latency.count() < 0)
            return detail::invalid("latency is negative; give 0 or more");
        return detail::done(
            commy_end_request(handle_, token, static_cast<std::uint64_t>(latency.count()), success));
    }

    /* Counts one request: by the reference of a target, or by id. */
    result<void> try_report(std::uint64_t reference, std::chrono::nanoseconds latency, bool success)
    {
        if (latency.count() < 0)
            return detail::invalid("latency is negative; give 0 or more");
        return detail::done(commy_report(handle_, reference, static_cast<std::uint64_t>(latency.count()), success));
    }
    result<void> try_report_service_performance(const text &id, std::chrono::milliseconds response_time, bool success)
    {
        if (id.bad())
            return detail::nul_in("service id");
        if (response_time.count() < 0)
            return detail::invalid("response time is negative; give 0 or more");
        return detail::done(commy_report_service_performance(
            handle_, id.c_str(), static_cast<std::uint64_t>(response_time.count()), success));
    }

    /* Of a service id or a name; null: of the whole mesh. quantile 0 to 1. Within 7 %; 0 where nothing was reported. */
    result<std::chrono::nanoseconds> try_get_latency(const text &id_or_name, double quantile) const
    {
        std::uint64_t ns = 0;
        if (id_or_name.bad())
            return detail::nul_in("id or name");
        std::int32_t code = commy_get_latency(handle_, id_or_name.c_str(), quantile, &ns);
        std::chrono::nanoseconds latency(ns);
        return given(code, latency);
    }

    /* -------------------------------------------------------------- waiting */

    /*
     * Waits until something changed since `version`, for a name or (null) in the mesh; gives the version to wait for next.
     * Version 0 gives the current one at once. timeout: below 0: for ever.
     * Errors: TIMED_OUT, INTERRUPTED (a signal handler ran).
     */
    result<std::uint64_t> try_wait(const text &name, std::uint64_t version, std::chrono::milliseconds timeout) const
    {
        std::uint64_t changed = 0;
        if (name.bad())
            return detail::nul_in("service name");
        if (timeout.count() > detail::int32_max)
            return detail::out_of_range("timeout in ms", timeout.count(), detail::int32_max);
        std::int32_t timeout_ms = timeout.count() < 0 ? -1 : static_cast<std::int32_t>(timeout.count());
        return given(commy_wait(handle_, name.c_str(), version, timeout_ms, &changed), changed);
    }

#if COMMY_EXCEPTIONS
    /* ------------------------------- the same with exceptions: commy::error where there is no value */

    mesh(std::string_view node_id, std::int64_t listen_port) : mesh(try_create(node_id, listen_port).value()) {}
    static mesh open(commy::options options) { return try_open(std::move(options)).value(); }
    void reopen() { try_reopen().value(); }
    void start() { try_start().value(); }
    void stop() { try_stop().value(); }
    bool is_running() const { return try_is_running().value(); }
    std::string node_id() const { return try_node_id().value(); }
    statistics get_statistics() const { return try_get_statistics().value(); }

    void register_service(const text &name, const text &id, const text &endpoint, std::int64_t port)
    {
        try_register_service(name, id, endpoint, port).value();
    }
    void register_service(const service &service) { try_register_service(service).value(); }
    void unregister_service(const text &id) { try_unregister_service(id).value(); }
    void heartbeat(const text &id) { try_heartbeat(id).value(); }
    void set_service_weight(const text &id, std::int64_t weight) { try_set_service_weight(id, weight).value(); }
    void update_service_metadata(const text &id, std::string_view metadata)
    {
        try_update_service_metadata(id, metadata).value();
    }
    std::string get_service_metadata(const text &id) const { return try_get_service_metadata(id).value(); }

    /* Filled in where it is returned, so that a lookup costs what it costs in C. */
    target find(const text &id) const
    {
        target found{target::unset()};
        std::int32_t code = id.bad() ? COMMY_STATUS_INVALID : commy_find(handle_, id.c_str(), &found.target_);
        if (code != COMMY_STATUS_SUCCESS)
            refuse(id, code);
        return found;
    }
    std::vector<found> find_many(const std::vector<std::string> &ids) const { return try_find_many(ids).value(); }
    service_info get_service(const text &id) const { return try_get_service(id).value(); }
    std::vector<service_info> discover_services(const text &name) const { return try_discover_services(name).value(); }
    std::vector<service_info> get_all_services() const { return try_get_all_services().value(); }
    std::size_t discover_services_count(const text &name) const { return try_discover_services_count(name).value(); }
    std::size_t get_active_service_count() const { return try_get_active_service_count().value(); }

    void configure_load_balancer(const balancing &balancing) { try_configure_load_balancer(balancing).value(); }
    target select_service(const text &name, const text &client_id = nullptr) const
    {
        return try_select_service(name, client_id).value();
    }
    std::uint64_t begin_request(std::uint64_t reference) { return try_begin_request(reference).value(); }
    void end_request(std::uint64_t token, std::chrono::nanoseconds latency, bool success)
    {
        try_end_request(token, latency, success).value();
    }
    void report(const target &target, std::chrono::nanoseconds latency, bool success)
    {
        try_report(target.reference(), latency, success).value();
    }
    void report_service_performance(const text &id, std::chrono::milliseconds response_time, bool success)
    {
        try_report_service_performance(id, response_time, success).value();
    }
    std::chrono::nanoseconds get_latency(const text &id_or_name, double quantile) const
    {
        return try_get_latency(id_or_name, quantile).value();
    }
    std::uint64_t wait(const text &name, std::uint64_t version, std::chrono::milliseconds timeout) const
    {
        return try_wait(name, version, timeout).value();
    }
#endif

private:
    static const char *or_null(const std::string &string) { return string.empty() ? nullptr : string.c_str(); }

    /* value: by reference, since it is looked at after the call that is the other argument. */
    template <class T> static result<T> given(std::int32_t code, T &value)
    {
        if (code != COMMY_STATUS_SUCCESS)
            return detail::last(code);
        return result<T>(std::move(value));
    }

    result<void> by_id(std::int32_t (*call)(commy_handle_t, const char *), const text &id)
    {
        return id.bad() ? result<void>(detail::nul_in("service id")) : detail::done(call(handle_, id.c_str()));
    }

    static detail::failure check_service(const service &service)
    {
        for (const std::string *one :
             {&service.name, &service.id, &service.endpoint, &service.version, &service.zone})
            if (one->find('\0') != std::string::npos)
                return detail::nul_in("a text of the service");
        for (const std::string &tag : service.tags)
            if (tag.find('\0') != std::string::npos)
                return detail::nul_in("a tag");
        if (!detail::in_range(service.port, detail::uint16_max))
            return detail::out_of_range("port", service.port, detail::uint16_max);
        if (!detail::in_range(service.weight, detail::uint32_max))
            return detail::out_of_range("weight", service.weight, COMMY_LIMIT_WEIGHT);
        if (service.ttl.count() < 0)
            return detail::invalid("ttl is negative; give 0 (none) or more");
        return detail::check_metadata(service.metadata);
    }

    /* call(out, capacity, count), until there was room for all. */
    template <class Call> static result<std::vector<service_info>> list(Call call)
    {
        std::vector<commy_service_info_t> natives;
        std::size_t count = 0;
        for (;;) {
            std::int32_t code = call(natives.data(), natives.size(), &count);
            if (code != COMMY_STATUS_SUCCESS)
                return detail::last(code);
            if (count <= natives.size())
                break;
            natives.resize(count + count / 8 + 4); /* some may come meanwhile */
        }
        std::vector<service_info> all;
        all.reserve(count);
        for (std::size_t i = 0; i < count; i++)
            all.push_back(detail::info_of(natives[i]));
        return all;
    }

#if COMMY_EXCEPTIONS
    [[noreturn]] static void refuse(const text &id, std::int32_t code)
    {
        detail::failure why = id.bad() ? detail::nul_in("service id") : detail::last(code);
        throw error(why.code, std::move(why.message));
    }
#endif

    commy_handle_t handle_{};
    commy::options options_;
};

/*
 * A request in flight, timed: it succeeded where it is told so, and failed where it is dropped before.
 *
 *     commy::request request(mesh, target);
 *     ...
 *     request.succeeded();
 */
class request {
public:
    /* Begins it; where that fails (the instance is gone), code() says why and nothing is counted. */
    request(mesh &mesh, const target &target) : mesh_(&mesh), began_(clock::now())
    {
        result<std::uint64_t> begun = mesh.try_begin_request(target.reference());
        code_ = begun.code();
        token_ = begun ? *begun : 0;
    }
    request(request &&other) noexcept
        : mesh_(other.mesh_), began_(other.began_), code_(other.code_), token_(std::exchange(other.token_, 0))
    {
    }
    request &operator=(request &&) = delete;
    ~request() { end(false); }

    commy_status_t code() const noexcept { return code_; }
    void succeeded() { end(true); }
    void failed() { end(false); }

private:
    using clock = std::chrono::steady_clock;

    void end(bool success)
    {
        if (token_ != 0)
            commy_end_request(mesh_->native(), std::exchange(token_, 0),
                              static_cast<std::uint64_t>(
                                  std::chrono::duration_cast<std::chrono::nanoseconds>(clock::now() - began_).count()),
                              success);
    }

    mesh *mesh_;
    clock::time_point began_;
    commy_status_t code_ = COMMY_STATUS_SUCCESS;
    std::uint64_t token_ = 0;
};

} // namespace commy

#endif /* COMMY_COMMY_HPP */
