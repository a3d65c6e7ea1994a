/* The C++ header with exceptions: what the conformance suite does not see of it. */
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <set>
#include <thread>
#include <type_traits>

#include <commy/commy.hpp>

#include "check.hpp"

using namespace std::chrono_literals;

/* The code of what a call throws; 0 where it throws nothing. */
static commy_status_t thrown(const std::function<void()> &call)
{
    try {
        call();
    } catch (const commy::error &problem) {
        CHECK(std::string(problem.what()) != "");
        return problem.code();
    }
    return COMMY_STATUS_SUCCESS;
}

static void flow()
{
    commy::mesh mesh("test-node", 8080);
    mesh.start();
    mesh.register_service("auth-service", "auth-1", "127.0.0.1", 3001);
    int seen = 0;
    for (const commy::service_info &service : mesh.discover_services("auth-service")) {
        CHECK(service.id == "auth-1" && service.endpoint == "127.0.0.1" && service.port == 3001);
        CHECK(service.status == commy::health::healthy && service.admin == commy::admin::enabled);
        seen++;
    }
    CHECK(seen == 1);
    commy::statistics stats = mesh.get_statistics();
    CHECK(stats.total_services == 1 && stats.healthy_services == 1 && stats.registered_services == 1);
    CHECK(mesh.is_running() && mesh.node_id() == "test-node");
    mesh.stop();
    CHECK(!mesh.is_running());
    CHECK(thrown([&] { (void)mesh.find("auth-1"); }) == COMMY_STATUS_NOT_RUNNING);
}

/* What an object owned goes with it, and what was moved from owns nothing. */
static void ownership()
{
    static_assert(!std::is_copy_constructible_v<commy::mesh> && !std::is_copy_assignable_v<commy::mesh>);
    static_assert(std::is_nothrow_move_constructible_v<commy::mesh> && std::is_nothrow_move_assignable_v<commy::mesh>);
    static_assert(!std::is_copy_constructible_v<commy::watch> && std::is_nothrow_move_constructible_v<commy::watch>);
    commy::mesh witness("witness", 1);
    {
        commy::mesh first("first", 1);
        first.register_service("web", "a", "h", 1);
        commy::mesh second = std::move(first);
        CHECK(second.find("a").port() == 1);
        CHECK(thrown([&] { (void)first.find("a"); }) == COMMY_STATUS_NO_HANDLE);
        commy::mesh third("third", 1);
        third.register_service("web", "b", "h", 1);
        third = std::move(second);
        CHECK(thrown([&] { (void)witness.find("b"); }) == COMMY_STATUS_NOT_FOUND);
        CHECK(witness.find("a").port() == 1);
        third.close();
        third.close();
        CHECK(thrown([&] { (void)third.find("a"); }) == COMMY_STATUS_NO_HANDLE);
        third.reopen();
        third.register_service("web", "c", "h", 1);
        CHECK(witness.find("c").port() == 1);
    }
    CHECK(witness.get_all_services().empty());
}

/* Texts of every kind arrive whole or not at all; numbers are not cut. */
static void arguments()
{
    commy::mesh mesh("arguments", 1);
    std::string_view part = std::string_view("web-1-and-more").substr(0, 5);
    mesh.register_service(std::string("web"), part, "127.0.0.1", 80);
    CHECK(mesh.find("web-1").endpoint() == "127.0.0.1");
    CHECK(mesh.find(part).port() == 80 && mesh.find(std::string("web-1")).port() == 80);
    std::string nul("web-1\0x", 7), longest(127, 'i');
    CHECK(thrown([&] { (void)mesh.find(nul); }) == COMMY_STATUS_INVALID);
    CHECK(thrown([&] { (void)mesh.find(std::string_view(nul)); }) == COMMY_STATUS_INVALID);
    CHECK(thrown([&] { (void)mesh.find(std::string(100000, 'i')); }) == COMMY_STATUS_INVALID);
    CHECK(thrown([&] { (void)mesh.find(std::string_view(std::string(100000, 'i'))); }) == COMMY_STATUS_INVALID);
    CHECK(thrown([&] { (void)mesh.find(nullptr); }) == COMMY_STATUS_INVALID);
    CHECK(thrown([&] { (void)mesh.find(std::string_view()); }) == COMMY_STATUS_INVALID);
    mesh.register_service("web", std::string_view(longest), "h", 65535);
    CHECK(mesh.find(longest).port() == 65535);
    for (std::int64_t port : {std::int64_t(-1), std::int64_t(65536), std::int64_t(1) << 32 | 80})
        CHECK(thrown([&] { mesh.register_service("web", "x", "h", port); }) == COMMY_STATUS_INVALID);
    CHECK(thrown([&] { mesh.set_service_weight("web-1", 4294967297); }) == COMMY_STATUS_INVALID);
    CHECK(thrown([&] { mesh.report(mesh.find("web-1"), -1ns, true); }) == COMMY_STATUS_INVALID);
    CHECK(thrown([&] { mesh.wait(nullptr, 0, std::chrono::milliseconds(1ll << 31)); }) == COMMY_STATUS_INVALID);

    std::vector<std::string> ids = {"web-1", "nobody", longest, "", nul};
    std::vector<commy::found> found = mesh.find_many(ids);
    CHECK(found.size() == 5 && found[0] && found[0].target.port() == 80 && found[2].target.port() == 65535);
    CHECK(found[1].code == COMMY_STATUS_NOT_FOUND && found[3].code == COMMY_STATUS_INVALID && !found[4]);
}

static void metadata()
{
    commy::mesh mesh("metadata", 1);
    mesh.register_service("web", "w", "h", 80);
    for (const char *good : {"{}", "[]", "1", "-0.5e+10", "0", "\"\"", "null", " true ", "[1,[2,{\"a\":[]}],3]",
                             "{\"a\":1,\"b\":{}}", "\"\\u00e9\\n\"", "[[[[[[]]]]]]", "{\"a\":{\"b\":[{}]}}"}) {
        CHECK(mesh.try_update_service_metadata("w", good).has_value());
        CHECK(mesh.get_service_metadata("w") == good);
    }
    for (const char *bad : {"bare",  "{",     "}",  "[",  "]",   "[1,]",  "{\"a\"}", "{\"a\":}", "{\"a\":1,}",  "{a:1}",
                            "01",    "1.",    ".5", "-",  "1e",  "+1",    "\"",      "\"\\x\"",  "\"\\u00g0\"", "NaN",
                            "[1 2]", "{} {}", "[}", "{]", "tru", "nulll", "\"\n\"",  "\"\\"})
        CHECK(mesh.try_update_service_metadata("w", bad).code() == COMMY_STATUS_INVALID);
    mesh.update_service_metadata("w", std::string(2048, '[') + std::string(2048, ']'));
    CHECK(mesh.try_update_service_metadata("w", std::string(2048, '[')).code() == COMMY_STATUS_INVALID);
    mesh.update_service_metadata("w", "");
    CHECK(mesh.get_service_metadata("w").empty());
}

static void requests()
{
    commy::mesh mesh("requests", 1);
    mesh.register_service("web", "w", "h", 80);
    commy::target target = mesh.select_service("web");
    {
        commy::request request(mesh, target);
        CHECK(request.code() == COMMY_STATUS_SUCCESS);
        std::this_thread::sleep_for(5ms);
        request.succeeded();
        request.failed(); /* ended already: changes nothing */
    }
    try {
        commy::request request(mesh, target);
        throw 1;
    } catch (int) {
    }
    commy::request moved = [&] { return commy::request(mesh, target); }();
    commy::request further = std::move(moved);
    further.succeeded();
    mesh.report(target, 1ms, false);
    commy::statistics stats = mesh.get_statistics();
    CHECK(stats.total_requests == 4 && stats.successful_requests == 2 && stats.failed_requests == 2);
    CHECK(mesh.get_latency("w", 1) > 4ms && mesh.get_latency(nullptr, 1) > 4ms);
    mesh.unregister_service("w");
    CHECK(commy::request(mesh, target).code() == COMMY_STATUS_NOT_FOUND);
    CHECK(mesh.get_statistics().total_requests == 4);
}

static void watching()
{
    commy::mesh mesh("watching", 1);
    commy::watch watch = mesh.watch("db");
    std::thread changes([&] {
        std::this_thread::sleep_for(100ms);
        mesh.register_service("db", "db-1", "h", 1);
        std::this_thread::sleep_for(100ms);
        watch.wake();
    });
    std::vector<std::uint64_t> versions;
    for (std::uint64_t version : watch)
        versions.push_back(version);
    changes.join();
    CHECK(versions.size() == 2 && versions[0] < versions[1]);
    CHECK(watch.try_wait(10ms).code() == COMMY_STATUS_TIMED_OUT);
    CHECK(watch.fd() >= 0);
    CHECK(mesh.wait("db", 0, 0ms) > 0);
    CHECK(thrown([&] { mesh.wait("db", mesh.wait("db", 0, 0ms), 10ms); }) == COMMY_STATUS_TIMED_OUT);
    commy::watch moved = std::move(watch);
    mesh.unregister_service("db-1");
    CHECK(moved.wait(10s) > versions[1]);
    mesh.stop();
    CHECK(moved.try_wait(0ms).code() == COMMY_STATUS_NOT_RUNNING);
    CHECK(watch.try_wait(0ms).code() == COMMY_STATUS_NO_HANDLE);
}

static void threads()
{
    commy::mesh mesh("threads", 1);
    std::atomic<int> wrong{0};
    std::vector<std::thread> crew;
    for (int k = 0; k < 4; k++)
        crew.emplace_back([&mesh, &wrong, k] {
            for (int i = 0; i < 200; i++) {
                std::string id = std::to_string(k) + "-" + std::to_string(i);
                mesh.register_service("web", id, "h", 1000 + k);
                wrong += mesh.find(id).port() != 1000 + k;
                commy::result<commy::target> missing = mesh.try_find("nobody-" + id);
                wrong += missing.code() != COMMY_STATUS_NOT_FOUND || missing.message().find(id) == std::string::npos;
                mesh.unregister_service(id);
            }
        });
    for (std::thread &one : crew)
        one.join();
    CHECK(wrong == 0);
    CHECK(mesh.get_active_service_count() == 0);
}

/* A forked child is told, attaches for itself, and takes nothing of its parent's along. */
static void forking()
{
    commy::mesh mesh("parent", 1);
    mesh.register_service("web", "parent", "h", 80);
    pid_t child = fork();
    if (child == 0) {
        int status = mesh.try_find("parent").code() == COMMY_STATUS_FORKED ? 0 : 1;
        if (!mesh.try_reopen() || !mesh.try_register_service("web", "child", "h", 81) || !mesh.try_find("parent"))
            status = 2;
        mesh.close();
        _exit(status);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(mesh.find("parent").port() == 80);
    CHECK(mesh.try_find("child").code() == COMMY_STATUS_NOT_FOUND);
}

static void library()
{
    CHECK(commy::version().find('.') != std::string::npos);
    CHECK(commy::status_string(5) != commy::status_string(12345));
    commy::mesh mesh("library", 1);
    commy::cleanup();
    CHECK(thrown([&] { mesh.start(); }) == COMMY_STATUS_NO_HANDLE);
    CHECK(thrown([] { commy::mesh("", 1); }) == COMMY_STATUS_INVALID);
    CHECK(thrown([] { commy::mesh("n", 0); }) == COMMY_STATUS_INVALID);
    CHECK(thrown([] { commy::mesh("n", 65536); }) == COMMY_STATUS_INVALID);
    commy::options options;
    options.mesh = "nowhere";
    options.must_exist = true;
    CHECK(commy::mesh::try_open(options).code() == COMMY_STATUS_MESH_NOT_FOUND);
}

int main()
{
    directory here;
    for (auto test : {flow, ownership, arguments, metadata, requests, watching, threads, forking, library})
        test();
    return summary();
}
