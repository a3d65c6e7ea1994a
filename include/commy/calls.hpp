/*
 * commy/calls.hpp - every call of commy.hpp in the form that gives a result. A part of commy.hpp; include that.
 */
#ifndef COMMY_CALLS_HPP
#define COMMY_CALLS_HPP

#include <commy/convert.hpp>

namespace commy
{

/* What a mesh can be asked, by the calls that give results. */
class calls
{
  public:
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
    result<void> try_start()
    {
        return detail::done(commy_start_mesh(handle_));
    }
    result<void> try_stop()
    {
        return detail::done(commy_stop_mesh(handle_));
    }

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
    commy_handle_t native() const noexcept
    {
        return handle_;
    }

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

    result<void> try_unregister_service(const text &id)
    {
        return by_id(commy_unregister_service, id);
    }
    result<void> try_heartbeat(const text &id)
    {
        return by_id(commy_heartbeat, id);
    }

    result<void> try_set_service_weight(const text &id, std::int64_t weight)
    {
        if (id.bad())
            return detail::nul_in("service id");
        if (!detail::in_range(weight, detail::uint32_max))
            return detail::out_of_range("weight", weight, COMMY_LIMIT_WEIGHT);
        return detail::done(commy_set_service_weight(handle_, id.c_str(), static_cast<std::uint32_t>(weight)));
    }

    /* What lookups report as its health; what its operators want of it. */
    result<void> try_set_health(const text &id, health status)
    {
        return id.bad() ? result<void>(detail::nul_in("service id"))
                        : detail::done(commy_set_health(handle_, id.c_str(), static_cast<std::int32_t>(status)));
    }
    result<void> try_set_admin(const text &id, admin state)
    {
        return id.bad() ? result<void>(detail::nul_in("service id"))
                        : detail::done(commy_set_admin(handle_, id.c_str(), static_cast<std::int32_t>(state)));
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
        commy_load_balancer_config_t native{};
        detail::failure wrong = detail::native_of(balancing, native);
        return wrong.code != COMMY_STATUS_SUCCESS ? result<void>(wrong)
                                                  : detail::done(commy_configure_load_balancer(handle_, &native));
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
        return detail::done(commy_end_request(handle_, token, static_cast<std::uint64_t>(latency.count()), success));
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

    /* Requests to all live instances of a name. */
    result<balancer_statistics> try_get_load_balancer_stats(const text &name) const
    {
        balancer_statistics stats;
        if (name.bad())
            return detail::nul_in("service name");
        return given(commy_get_load_balancer_stats(handle_, name.c_str(), &stats.total, &stats.successful,
                                                   &stats.failed, &stats.average_ms),
                     stats);
    }

    /* How the circuit breaker of a service stands, for all processes; and closing it. */
    result<breaker_status> try_get_circuit_breaker_status(const text &id) const
    {
        breaker_status status;
        std::int32_t state = 0;
        if (id.bad())
            return detail::nul_in("service id");
        std::int32_t code = commy_get_circuit_breaker_status(handle_, id.c_str(), &state, &status.failures);
        status.state = static_cast<breaker_state>(state);
        return given(code, status);
    }
    result<void> try_reset_circuit_breaker(const text &id)
    {
        return by_id(commy_reset_circuit_breaker, id);
    }

    /* --------------------------------------------------------------- health */

    /* How this object has services checked, and how it selects. Null: unchanged. All or nothing. */
    result<void> try_configure_mesh(const checking *checking, const balancing *balancing)
    {
        commy_health_config_t health{};
        commy_load_balancer_config_t balancer{};
        detail::failure wrong = checking ? detail::native_of(*checking, health) : detail::failure{};
        if (wrong.code == COMMY_STATUS_SUCCESS && balancing)
            wrong = detail::native_of(*balancing, balancer);
        if (wrong.code != COMMY_STATUS_SUCCESS)
            return wrong;
        return detail::done(
            commy_configure_mesh(handle_, checking ? &health : nullptr, balancing ? &balancer : nullptr));
    }

    /* Has this process take part in checking a service, of which one process at a time does it. Null: as configured. */
    result<void> try_start_health_monitoring(const text &id, const checking *checking = nullptr)
    {
        commy_health_config_t native{};
        if (id.bad())
            return detail::nul_in("service id");
        detail::failure wrong = checking ? detail::native_of(*checking, native) : detail::failure{};
        if (wrong.code != COMMY_STATUS_SUCCESS)
            return wrong;
        return detail::done(commy_start_health_monitoring(handle_, id.c_str(), checking ? &native : nullptr));
    }
    result<void> try_stop_health_monitoring(const text &id)
    {
        return by_id(commy_stop_health_monitoring, id);
    }

    /* As everybody sees it; and checked now, which takes up to the timeout that is configured. */
    result<health_status> try_get_service_health(const text &id) const
    {
        return health_by(commy_get_service_health, id);
    }
    result<health_status> try_manual_health_check(const text &id) const
    {
        return health_by(commy_manual_health_check, id);
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

  protected:
    calls() noexcept = default;
    calls(calls &&other) noexcept : handle_(std::exchange(other.handle_, {})), options_(std::move(other.options_))
    {
    }
    calls &operator=(calls &&other) noexcept
    {
        if (this != &other) {
            close();
            handle_ = std::exchange(other.handle_, {});
            options_ = std::move(other.options_);
        }
        return *this;
    }
    ~calls()
    {
        close();
    }

    commy_handle_t handle_{};
    commy::options options_;

  private:
    static const char *or_null(const std::string &string)
    {
        return string.empty() ? nullptr : string.c_str();
    }

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

    result<health_status> health_by(std::int32_t (*call)(commy_handle_t, const char *, std::int32_t *, double *),
                                    const text &id) const
    {
        health_status health;
        std::int32_t status = 0;
        if (id.bad())
            return detail::nul_in("service id");
        std::int32_t code = call(handle_, id.c_str(), &status, &health.response_time_ms);
        health.status = static_cast<commy::health>(status);
        return given(code, health);
    }

    static detail::failure check_service(const service &service)
    {
        for (const std::string *one : {&service.name, &service.id, &service.endpoint, &service.version, &service.zone})
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
};

} // namespace commy

#endif /* COMMY_CALLS_HPP */
