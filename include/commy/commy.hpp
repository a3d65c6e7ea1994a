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

#include <iterator>

#include <commy/calls.hpp>

namespace commy
{

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

/*
 * Tells when something changed among the instances of a name, or in the mesh.
 *
 *     for (std::uint64_t version : mesh.watch("db"))
 *         ...look again...
 *
 * The first change is the state at the beginning. None is missed: what happens between two looks is one change, and there
 * may be one where nothing happened. Any number of threads may wait; it may outlive its mesh, and its calls fail then.
 */
class watch
{
  public:
    watch() noexcept = default;
    watch(watch &&other) noexcept : number_(std::exchange(other.number_, 0))
    {
    }
    watch &operator=(watch &&other) noexcept
    {
        if (this != &other) {
            close();
            number_ = std::exchange(other.number_, 0);
        }
        return *this;
    }
    ~watch()
    {
        close();
    }

    static result<watch> try_open(const calls &mesh, const text &name)
    {
        watch made;
        if (name.bad())
            return detail::nul_in("service name");
        std::int32_t code = commy_watch_open(mesh.native(), name.c_str(), &made.number_);
        if (code != COMMY_STATUS_SUCCESS)
            return detail::last(code);
        return made;
    }

    /* Ends what waits, with INTERRUPTED, and gives the watch back. */
    void close() noexcept
    {
        if (number_ != 0)
            commy_watch_close(number_);
    }

    /* A descriptor for poll(2) and event loops: readable when try_wait(0 ms) would return. Not to be read or closed. */
    result<int> try_fd() const
    {
        std::int32_t fd = commy_watch_fd(number_);
        if (fd < 0)
            return detail::last(-fd);
        return static_cast<int>(fd);
    }

    /* Waits for a change since the last wait; below 0: for ever. TIMED_OUT; INTERRUPTED: woken, or a signal handler ran. */
    result<std::uint64_t> try_wait(std::chrono::milliseconds timeout)
    {
        std::uint64_t version = 0;
        if (timeout.count() > detail::int32_max)
            return detail::out_of_range("timeout in ms", timeout.count(), detail::int32_max);
        std::int32_t timeout_ms = timeout.count() < 0 ? -1 : static_cast<std::int32_t>(timeout.count());
        std::int32_t code = commy_watch_wait(number_, timeout_ms, &version);
        if (code != COMMY_STATUS_SUCCESS)
            return detail::last(code);
        return version;
    }

    /* Ends the waits that are under way with INTERRUPTED, or the next one; from any thread. */
    result<void> try_wake()
    {
        return detail::done(commy_watch_wake(number_));
    }

#if COMMY_EXCEPTIONS
    int fd() const
    {
        return try_fd().value();
    }
    std::uint64_t wait(std::chrono::milliseconds timeout)
    {
        return try_wait(timeout).value();
    }
    void wake()
    {
        try_wake().value();
    }

    /* One change after the other; the end comes when the watch is woken or closed. */
    class iterator
    {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = std::uint64_t;
        using difference_type = std::ptrdiff_t;
        using pointer = const std::uint64_t *;
        using reference = const std::uint64_t &;

        iterator() noexcept = default;
        explicit iterator(watch &watch) : watch_(&watch)
        {
            ++*this;
        }
        reference operator*() const noexcept
        {
            return version_;
        }
        iterator &operator++()
        {
            result<std::uint64_t> changed = watch_->try_wait(std::chrono::milliseconds(-1));
            if (changed)
                version_ = *changed;
            else if (changed.code() == COMMY_STATUS_INTERRUPTED)
                watch_ = nullptr;
            else
                std::move(changed).value(); /* throws */
            return *this;
        }
        bool operator==(const iterator &other) const noexcept
        {
            return watch_ == other.watch_;
        }
        bool operator!=(const iterator &other) const noexcept
        {
            return watch_ != other.watch_;
        }

      private:
        watch *watch_ = nullptr;
        std::uint64_t version_ = 0;
    };
    iterator begin()
    {
        return iterator(*this);
    }
    iterator end() const noexcept
    {
        return {};
    }
#endif

  private:
    std::uint64_t number_ = 0;
};

/* --------------------------------------------------------------------- mesh */

/* One attachment to a mesh: a participant as soon as it started. What it registered goes with it. */
class mesh : public calls
{
  public:
    /* Attached to nothing: every call gives COMMY_STATUS_NO_HANDLE. */
    mesh() noexcept
    {
    }

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

    /* Watches a name or (null) the whole mesh. */
    result<commy::watch> try_watch(const text &name) const
    {
        return commy::watch::try_open(*this, name);
    }

#if COMMY_EXCEPTIONS
    /* ------------------------------- the same with exceptions: commy::error where there is no value */

    mesh(std::string_view node_id, std::int64_t listen_port) : mesh(try_create(node_id, listen_port).value())
    {
    }
    static mesh open(commy::options options)
    {
        return try_open(std::move(options)).value();
    }
    void reopen()
    {
        try_reopen().value();
    }
    void start()
    {
        try_start().value();
    }
    void stop()
    {
        try_stop().value();
    }
    bool is_running() const
    {
        return try_is_running().value();
    }
    std::string node_id() const
    {
        return try_node_id().value();
    }
    statistics get_statistics() const
    {
        return try_get_statistics().value();
    }

    void register_service(const text &name, const text &id, const text &endpoint, std::int64_t port)
    {
        try_register_service(name, id, endpoint, port).value();
    }
    void register_service(const service &service)
    {
        try_register_service(service).value();
    }
    void unregister_service(const text &id)
    {
        try_unregister_service(id).value();
    }
    void heartbeat(const text &id)
    {
        try_heartbeat(id).value();
    }
    void set_service_weight(const text &id, std::int64_t weight)
    {
        try_set_service_weight(id, weight).value();
    }
    void set_health(const text &id, health status)
    {
        try_set_health(id, status).value();
    }
    void set_admin(const text &id, admin state)
    {
        try_set_admin(id, state).value();
    }
    void update_service_metadata(const text &id, std::string_view metadata)
    {
        try_update_service_metadata(id, metadata).value();
    }
    std::string get_service_metadata(const text &id) const
    {
        return try_get_service_metadata(id).value();
    }

    /* Filled in where it is returned, so that a lookup costs what it costs in C. */
    target find(const text &id) const
    {
        target found{target::unset()};
        std::int32_t code = id.bad() ? COMMY_STATUS_INVALID : commy_find(handle_, id.c_str(), &found.target_);
        if (code != COMMY_STATUS_SUCCESS)
            refuse(id.bad(), "service id", code);
        return found;
    }
    std::vector<found> find_many(const std::vector<std::string> &ids) const
    {
        return try_find_many(ids).value();
    }
    service_info get_service(const text &id) const
    {
        return try_get_service(id).value();
    }
    std::vector<service_info> discover_services(const text &name) const
    {
        return try_discover_services(name).value();
    }
    std::vector<service_info> get_all_services() const
    {
        return try_get_all_services().value();
    }
    std::size_t discover_services_count(const text &name) const
    {
        return try_discover_services_count(name).value();
    }
    std::size_t get_active_service_count() const
    {
        return try_get_active_service_count().value();
    }

    void configure_load_balancer(const balancing &balancing)
    {
        try_configure_load_balancer(balancing).value();
    }
    target select_service(const text &name, const text &client_id = nullptr) const
    {
        target found{target::unset()};
        bool bad = name.bad() || client_id.bad();
        std::int32_t code =
            bad ? COMMY_STATUS_INVALID : commy_select_service(handle_, name.c_str(), client_id.c_str(), &found.target_);
        if (code != COMMY_STATUS_SUCCESS)
            refuse(bad, name.bad() ? "service name" : "client id", code);
        return found;
    }
    std::uint64_t begin_request(std::uint64_t reference)
    {
        return try_begin_request(reference).value();
    }
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
    balancer_statistics get_load_balancer_stats(const text &name) const
    {
        return try_get_load_balancer_stats(name).value();
    }
    breaker_status get_circuit_breaker_status(const text &id) const
    {
        return try_get_circuit_breaker_status(id).value();
    }
    void reset_circuit_breaker(const text &id)
    {
        try_reset_circuit_breaker(id).value();
    }
    void configure_mesh(const checking *checking, const balancing *balancing)
    {
        try_configure_mesh(checking, balancing).value();
    }
    void start_health_monitoring(const text &id, const checking *checking = nullptr)
    {
        try_start_health_monitoring(id, checking).value();
    }
    void stop_health_monitoring(const text &id)
    {
        try_stop_health_monitoring(id).value();
    }
    health_status get_service_health(const text &id) const
    {
        return try_get_service_health(id).value();
    }
    health_status manual_health_check(const text &id) const
    {
        return try_manual_health_check(id).value();
    }
    std::uint64_t wait(const text &name, std::uint64_t version, std::chrono::milliseconds timeout) const
    {
        return try_wait(name, version, timeout).value();
    }
    commy::watch watch(const text &name) const
    {
        return try_watch(name).value();
    }
#endif

#if COMMY_EXCEPTIONS
  private:
    [[noreturn]] static void refuse(bool bad, const char *what, std::int32_t code)
    {
        detail::failure why = bad ? detail::nul_in(what) : detail::last(code);
        throw error(why.code, std::move(why.message));
    }
#endif
};

/*
 * A request in flight, timed: it succeeded where it is told so, and failed where it is dropped before.
 *
 *     commy::request request(mesh, target);
 *     ...
 *     request.succeeded();
 */
class request
{
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
    ~request()
    {
        end(false);
    }

    commy_status_t code() const noexcept
    {
        return code_;
    }
    void succeeded()
    {
        end(true);
    }
    void failed()
    {
        end(false);
    }

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
