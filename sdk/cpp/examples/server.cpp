/*
 * server.cpp - an HTTP server that offers itself in the mesh for as long as it lives.
 *
 *     server NAME ID [PORT]        PORT: 0, any free one, without
 */
#include <arpa/inet.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include <commy/commy.hpp>

int main(int argc, char **argv)
try {
    if (argc < 3)
        return std::cerr << "usage: server NAME ID [PORT]\n", 64;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(argc > 3 ? std::atoi(argv[3]) : 0));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto *any = reinterpret_cast<sockaddr *>(&address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, any, length) != 0 || listen(listener, 64) != 0 || getsockname(listener, any, &length) != 0)
        return std::perror("server"), 1;

    int port = ntohs(address.sin_port);
    commy::mesh mesh(argv[2], port);
    mesh.register_service(argv[1], argv[2], "127.0.0.1", port);
    std::cout << argv[2] << " listens on port " << port << std::endl;

    std::string body = std::string(argv[2]) + " says hello\n";
    std::string answer = "HTTP/1.0 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    for (int client; (client = accept(listener, nullptr, nullptr)) >= 0; close(client)) {
        char request[4096]; /* which is for "/" */
        if (read(client, request, sizeof(request)) > 0)
            (void)!write(client, answer.data(), answer.size());
    }
} catch (const commy::error &problem) {
    std::cerr << "server: " << problem.what() << '\n';
    return 1;
}
