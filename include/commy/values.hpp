/*
 * commy/values.hpp - what commy.hpp takes and gives: results and errors, texts, values. C++17, with or without exceptions.
 */
#ifndef COMMY_VALUES_HPP
#define COMMY_VALUES_HPP

#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <commy/ffi.h>
#include <commy/json.hpp>

#if defined(__cpp_exceptions)
#define COMMY_EXCEPTIONS 1
#include <exception>
#else
#define COMMY_EXCEPTIONS 0
#endif

namespace commy
{

/* ------------------------------------------------------------------ results */

#if COMMY_EXCEPTIONS
/* A call failed: the library's code and its sentence, which names the value and the way out. */
class error : public std::exception
{
  public:
    error(commy_status_t code, std::string message) : code_(code), message_(std::move(message))
    {
    }
    commy_status_t code() const noexcept
    {
        return code_;
    }
    const char *what() const noexcept override
    {
        return message_.c_str();
    }

  private:
    commy_status_t code_;
    std::string message_;
};
#endif

namespace detail
{

struct failure {
    commy_status_t code = COMMY_STATUS_SUCCESS;
    std::string message;
};

/* What the calling thread's last call came to. */
inline failure last(std::int32_t code)
{
    return {static_cast<commy_status_t>(code), commy_last_error_message()};
}

inline failure invalid(std::string message)
{
    return {COMMY_STATUS_INVALID, std::move(message)};
}

} // namespace detail

/*
 * A value, or the code and the sentence of why there is none. Every call has a form that gives one, try_...(), and, with
 * exceptions, one that throws instead.
 */
template <class T> class [[nodiscard]] result
{
  public:
    result(T value) : value_(std::move(value))
    {
    }
    result(detail::failure failure) : failure_(std::move(failure))
    {
    }

    bool has_value() const noexcept
    {
        return failure_.code == COMMY_STATUS_SUCCESS;
    }
    explicit operator bool() const noexcept
    {
        return has_value();
    }
    commy_status_t code() const noexcept
    {
        return failure_.code;
    }
    const std::string &message() const noexcept
    {
        return failure_.message;
    }

    /* Only where has_value(). */
    T &operator*() &noexcept
    {
        return value_;
    }
    const T &operator*() const &noexcept
    {
        return value_;
    }
    T &&operator*() &&noexcept
    {
        return std::move(value_);
    }
    T *operator->() noexcept
    {
        return &value_;
    }
    const T *operator->() const noexcept
    {
        return &value_;
    }

#if COMMY_EXCEPTIONS
    T value() &&
    {
        if (!has_value())
            throw error(failure_.code, std::move(failure_.message));
        return std::move(value_);
    }
#endif

  private:
    T value_{};
    detail::failure failure_;
};

template <> class [[nodiscard]] result<void>
{
  public:
    result() = default;
    result(detail::failure failure) : failure_(std::move(failure))
    {
    }

    bool has_value() const noexcept
    {
        return failure_.code == COMMY_STATUS_SUCCESS;
    }
    explicit operator bool() const noexcept
    {
        return has_value();
    }
    commy_status_t code() const noexcept
    {
        return failure_.code;
    }
    const std::string &message() const noexcept
    {
        return failure_.message;
    }

#if COMMY_EXCEPTIONS
    void value() &&
    {
        if (!has_value())
            throw error(failure_.code, std::move(failure_.message));
    }
#endif

  private:
    detail::failure failure_;
};

/* -------------------------------------------------------------------- texts */

/*
 * A string on its way to the library, which wants a NUL at its end and none before. A parameter only: made of whatever the
 * caller has, and gone when the call is back. Only what has no NUL at its end is copied.
 */
class text
{
  public:
    text(const char *string) noexcept : string_(string)
    {
    }
    text(std::nullptr_t) noexcept : string_(nullptr)
    {
    }
    text(const std::string &string) noexcept : string_(string.c_str()), bad_(holds_nul(string))
    {
    }
    text(std::string_view view) : bad_(holds_nul(view))
    {
        char *copy = small_;
        if (view.size() >= sizeof(small_)) {
            large_.reset(new char[view.size() + 1]);
            copy = large_.get();
        }
        if (!view.empty())
            std::memcpy(copy, view.data(), view.size());
        copy[view.size()] = '\0';
        string_ = copy;
    }
    text(const text &) = delete;
    text &operator=(const text &) = delete;

    const char *c_str() const noexcept
    {
        return string_;
    }
    bool bad() const noexcept
    {
        return bad_;
    }

  private:
    static bool holds_nul(std::string_view view) noexcept
    {
        return !view.empty() && std::memchr(view.data(), 0, view.size()) != nullptr;
    }

    const char *string_;
    bool bad_ = false;
    char small_[264]; /* any text within its limit, but for metadata */
    std::unique_ptr<char[]> large_;
};

/* ------------------------------------------------------------------- values */

enum class health : std::int32_t {
    unknown = COMMY_HEALTH_UNKNOWN,
    healthy = COMMY_HEALTH_HEALTHY,
    unhealthy = COMMY_HEALTH_UNHEALTHY,
    degraded = COMMY_HEALTH_DEGRADED
};

enum class admin : std::int32_t {
    enabled = COMMY_ADMIN_ENABLED,
    draining = COMMY_ADMIN_DRAINING,
    maintenance = COMMY_ADMIN_MAINTENANCE
};

enum class policy : std::int32_t {
    round_robin = COMMY_POLICY_ROUND_ROBIN,
    least_connections = COMMY_POLICY_LEAST_CONNECTIONS,
    weighted_round_robin = COMMY_POLICY_WEIGHTED_ROUND_ROBIN,
    performance = COMMY_POLICY_PERFORMANCE,
    random = COMMY_POLICY_RANDOM,
    consistent_hash = COMMY_POLICY_CONSISTENT_HASH
};

/* What a client needs to connect to a service and to report on it. The library's own structure: a lookup fills it in place. */
class target
{
  public:
    target() noexcept
    {
        clear();
    }

    std::uint64_t reference() const noexcept
    {
        return target_.reference;
    }
    std::uint32_t weight() const noexcept
    {
        return target_.weight;
    }
    commy::health status() const noexcept
    {
        return static_cast<commy::health>(target_.status);
    }
    std::uint16_t port() const noexcept
    {
        return target_.port;
    }
    /* Good for as long as this target is. */
    std::string_view endpoint() const noexcept
    {
        return target_.endpoint;
    }

    commy_target_t *native() noexcept
    {
        return &target_;
    }

  private:
    friend class calls;
    friend class mesh;
    struct unset {
    };
    explicit target(unset) noexcept
    {
    }
    void clear() noexcept
    {
        target_.reference = 0;
        target_.weight = 0;
        target_.status = 0;
        target_.port = 0;
        target_.endpoint[0] = '\0';
    }

    commy_target_t target_;
};

/* Everything known about a service, but for its metadata's text. */
struct service_info {
    std::string name, id, endpoint, version, zone, node_id;
    std::vector<std::string> tags;
    std::uint32_t weight = 0, owner_pid = 0; /* owner_pid: in the owner's PID namespace; 0 for a detached service */
    commy::health status = health::unknown;
    commy::admin admin = admin::enabled;
    std::uint16_t port = 0;
    std::uint64_t registered_at_ns = 0, metadata_bytes = 0; /* registered_at_ns: Unix time */
    double response_time_ms = 0;                            /* average of the reported latencies; 0 before the first */
};

/* The mesh in numbers; the fields are those of commy_mesh_stats_t. */
using statistics = commy_mesh_stats_t;

/* One of many ids that were looked up: its target, or why there is none. */
struct found {
    commy_status_t code = COMMY_STATUS_NOT_FOUND;
    commy::target target;
    explicit operator bool() const noexcept
    {
        return code == COMMY_STATUS_SUCCESS;
    }
};

/* What a service is registered with. Numbers are checked, not cut. */
struct service {
    std::string name, id, endpoint;
    std::int64_t port = 0;
    std::string metadata, version, zone; /* metadata: JSON, or empty */
    std::vector<std::string> tags;
    std::int64_t weight = 0; /* 0: the default of 100; set_service_weight() sets a weight of 0 */
    std::chrono::milliseconds ttl{0};
    bool detached = false; /* owned by nobody: lives until its TTL expires, which it then needs */
};

/* Which region, and how to open it. Empty and 0 mean the default, as commy_open_options_t has them. */
struct options {
    std::string mesh, dir, node_id, group;
    std::int64_t capacity = 0, mode = 0, listen_port = 0;
    bool read_only = false, must_exist = false, must_not_exist = false;
};

/* How a mesh object selects. Circuit breakers are those of the whole mesh. */
struct balancing {
    commy::policy policy = policy::round_robin;
    bool circuit_breaker = false;
    std::int64_t circuit_breaker_threshold = 0;
    std::chrono::milliseconds circuit_breaker_timeout{0};
};

/* How a service's health is checked; none of it is 0. */
struct checking {
    std::chrono::milliseconds interval{5000}, timeout{1000};
    std::int64_t max_failures = 3;    /* in a row, which make a service unhealthy */
    std::int64_t recovery_checks = 2; /* successes in a row that make it healthy again */
};

/* A service's health, and how long its last check took; 0 before the first. */
struct health_status {
    commy::health status = health::unknown;
    double response_time_ms = 0;
};

enum class breaker_state : std::int32_t { closed = 0, open = 1, half_open = 2 };

/* A service's circuit breaker, and the failures in a row that it has counted. */
struct breaker_status {
    breaker_state state = breaker_state::closed;
    std::uint32_t failures = 0;
};

/* Requests to all live instances of a name, and their mean latency. */
struct balancer_statistics {
    std::uint64_t total = 0, successful = 0, failed = 0;
    double average_ms = 0;
};

} // namespace commy

#endif /* COMMY_VALUES_HPP */
