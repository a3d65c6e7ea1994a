/* The C++ header where exceptions are switched off: results alone. */
#include <commy/commy.hpp>

#include "check.hpp"

#if COMMY_EXCEPTIONS
#error "this is to be compiled with -fno-exceptions"
#endif

int main()
{
    directory here;
    commy::result<commy::mesh> made = commy::mesh::try_create("plain", 8080);
    CHECK(made.has_value());
    commy::mesh mesh = *std::move(made);
    CHECK(mesh.try_register_service("web", "w", "127.0.0.1", 80).has_value());
    commy::result<commy::target> found = mesh.try_find("w");
    CHECK(found && found->endpoint() == "127.0.0.1" && (*found).port() == 80);
    commy::result<commy::target> missing = mesh.try_find("nobody");
    CHECK(!missing && missing.code() == COMMY_STATUS_NOT_FOUND);
    CHECK(missing.message().find("nobody") != std::string::npos);
    int seen = 0;
    commy::result<std::vector<commy::service_info>> all = mesh.try_get_all_services();
    for (const commy::service_info &service : *all)
        seen += service.id == "w";
    CHECK(seen == 1);
    commy::result<commy::watch> watch = mesh.try_watch("web");
    CHECK(watch && watch->try_wait(std::chrono::milliseconds(0)).has_value());
    CHECK(!commy::mesh::try_create("", 1).has_value());
    commy::request(mesh, *found).succeeded();
    CHECK(mesh.try_get_statistics()->successful_requests == 1);
    return summary();
}
