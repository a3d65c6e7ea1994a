/* The driver of the C++ header: what it does is in ../../README.md. */
#include <iostream>

#include "json.hpp"

static json_t *failed(int code, const std::string &message)
{
    return json_pack("{s:i, s:o}", "code", code, "message", text_of(message));
}

static json_t *answer(const std::string &name, const arguments &args)
{
    auto found = calls().find(name);
    if (found == calls().end())
        return failed(-1, "unknown call");
    try {
        return json_pack("{s:i, s:o}", "code", 0, "value", found->second(args).take());
    } catch (const commy::error &problem) {
        return failed(problem.code(), problem.what());
    } catch (const unwritable &problem) {
        return failed(COMMY_STATUS_INVALID, problem.what());
    } catch (const std::exception &problem) {
        return failed(-2, problem.what());
    }
}

int main()
{
    std::string line;
    while (std::getline(std::cin, line)) {
        json_t *request = json_loads(line.c_str(), JSON_ALLOW_NUL, nullptr);
        std::string name = json_string_value(json_object_get(request, "call"));
        json_t *reply = answer(name, arguments(json_object_get(request, "args")));
        json_object_set(reply, "seq", json_object_get(request, "seq"));
        char *written = json_dumps(reply, JSON_COMPACT);
        std::cout << written << std::endl;
        std::free(written);
        json_decref(reply);
        json_decref(request);
        if (name == "bye")
            break;
    }
    return 0;
}
