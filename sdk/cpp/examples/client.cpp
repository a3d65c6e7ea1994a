/*
 * client.cpp - spreads HTTP requests over the instances of a service and reports what came of them.
 *
 *     client NAME REQUESTS
 */
#include <arpa/inet.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <map>

#include <commy/commy.hpp>

/* Whether a GET of "/" was answered with success. */
static bool get(const commy::target &target)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(target.port());
    inet_pton(AF_INET, std::string(target.endpoint()).c_str(), &address.sin_addr);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    std::string_view request = "GET / HTTP/1.0\r\n\r\n";
    char answer[4096];
    bool sent = connect(server, reinterpret_cast<sockaddr *>(&address), sizeof(address)) == 0 &&
                write(server, request.data(), request.size()) > 0;
    ssize_t bytes = sent ? read(server, answer, sizeof(answer)) : -1;
    close(server);
    std::string_view line(answer, bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
    return line.size() > 12 && line.substr(0, 7) == "HTTP/1." && line.substr(8, 4) == " 200";
}

int main(int argc, char **argv)
try {
    if (argc != 3)
        return std::cerr << "usage: client NAME REQUESTS\n", 64;
    commy::options options;
    options.must_exist = true;
    commy::mesh mesh = commy::mesh::open(options);
    std::map<std::uint16_t, int> answered;
    for (int i = 0; i < std::atoi(argv[2]); i++) {
        commy::target target = mesh.select_service(argv[1]);
        commy::request request(mesh, target); /* timed; failed, where it ends before it is told to have succeeded */
        if (get(target)) {
            request.succeeded();
            answered[target.port()]++;
        }
    }
    for (auto [port, number] : answered)
        std::cout << "port " << port << ": " << number << " answered\n";
    std::cout << "99 % within " << static_cast<double>(mesh.get_latency(argv[1], 0.99).count()) / 1e6 << " ms\n";
} catch (const commy::error &problem) {
    std::cerr << "client: " << problem.what() << '\n';
    return 1;
}
