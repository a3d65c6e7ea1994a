/*
 * commy/convert.hpp - what stands between commy.hpp and the language ABI: numbers that are checked before they would be cut,
 * and structures of the one as those of the other. For calls.hpp alone.
 */
#ifndef COMMY_CONVERT_HPP
#define COMMY_CONVERT_HPP

#include <commy/values.hpp>

namespace commy
{

namespace detail
{

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

inline failure native_of(const balancing &balancing, commy_load_balancer_config_t &native)
{
    if (!in_range(balancing.circuit_breaker_threshold, uint32_max))
        return out_of_range("circuit breaker threshold", balancing.circuit_breaker_threshold, uint32_max);
    if (balancing.circuit_breaker_timeout.count() < 0)
        return invalid("circuit breaker timeout is negative; give 1 ms or more");
    native.algorithm = static_cast<std::int32_t>(balancing.policy);
    native.enable_circuit_breaker = balancing.circuit_breaker;
    native.circuit_breaker_threshold = static_cast<std::uint32_t>(balancing.circuit_breaker_threshold);
    native.circuit_breaker_timeout_ms = static_cast<std::uint64_t>(balancing.circuit_breaker_timeout.count());
    return {};
}

inline failure native_of(const checking &checking, commy_health_config_t &native)
{
    if (checking.interval.count() < 0 || checking.timeout.count() < 0)
        return invalid("check interval or timeout is negative; give 1 ms or more");
    if (!in_range(checking.max_failures, uint32_max))
        return out_of_range("max_failures", checking.max_failures, COMMY_LIMIT_CHECKS);
    if (!in_range(checking.recovery_checks, uint32_max))
        return out_of_range("recovery_checks", checking.recovery_checks, COMMY_LIMIT_CHECKS);
    native.check_interval_ms = static_cast<std::uint64_t>(checking.interval.count());
    native.timeout_ms = static_cast<std::uint64_t>(checking.timeout.count());
    native.max_failures = static_cast<std::uint32_t>(checking.max_failures);
    native.recovery_checks = static_cast<std::uint32_t>(checking.recovery_checks);
    return {};
}

} // namespace detail

} // namespace commy

#endif /* COMMY_CONVERT_HPP */
