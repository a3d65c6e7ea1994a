/* json.hpp - jansson as the driver needs it: arguments with types, and values that own what they hold. */
#ifndef DRIVER_JSON_HPP
#define DRIVER_JSON_HPP

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <jansson.h>

#include <commy/commy.hpp>

/* What a call comes to in JSON. Null: a call without a value. */
class value
{
  public:
    value(json_t *json = nullptr) : json_(json)
    {
    }
    json_t *take()
    {
        return json_ ? json_ : json_null();
    }

  private:
    json_t *json_;
};

/* A number that the language's type cannot hold: no such call can be written. */
struct unwritable : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/* The arguments of one request. */
class arguments
{
  public:
    explicit arguments(json_t *object) : object_(object)
    {
    }

    bool has(const char *name) const
    {
        json_t *one = json_object_get(object_, name);
        return one && !json_is_null(one);
    }
    std::string string(const char *name) const
    {
        return of(json_object_get(object_, name));
    }
    std::int64_t number(const char *name) const
    {
        return json_integer_value(json_object_get(object_, name));
    }
    double real(const char *name) const
    {
        return json_number_value(json_object_get(object_, name));
    }
    bool boolean(const char *name) const
    {
        return json_is_true(json_object_get(object_, name));
    }

    /* 64 bits come as decimal strings. */
    std::uint64_t uint64(const char *name) const
    {
        std::string digits = string(name);
        errno = 0;
        std::uint64_t number = std::strtoull(digits.c_str(), nullptr, 10);
        if (errno == ERANGE || digits.find('-') != std::string::npos)
            throw unwritable(std::string(name) + " " + digits + " does not fit in std::uint64_t");
        return number;
    }
    template <class Duration> Duration duration(const char *name) const
    {
        std::string digits = string(name);
        errno = 0;
        std::int64_t number = std::strtoll(digits.c_str(), nullptr, 10);
        if (errno == ERANGE)
            throw unwritable(std::string(name) + " " + digits + " does not fit in std::chrono's");
        return Duration(number);
    }
    std::vector<std::string> strings(const char *name) const
    {
        std::vector<std::string> all;
        std::size_t i;
        json_t *one;
        json_array_foreach(json_object_get(object_, name), i, one) all.push_back(of(one));
        return all;
    }
    arguments object(const char *name) const
    {
        return arguments(json_object_get(object_, name));
    }

  private:
    static std::string of(json_t *one)
    {
        return json_is_string(one) ? std::string(json_string_value(one), json_string_length(one)) : std::string();
    }
    json_t *object_;
};

inline json_t *text_of(const std::string &string)
{
    return json_stringn(string.data(), string.size());
}

inline json_t *decimal(std::uint64_t number)
{
    return text_of(std::to_string(number));
}

/* Everything that a driver can do, by name. */
using call = value (*)(const arguments &);
const std::map<std::string, call> &calls();

#endif
