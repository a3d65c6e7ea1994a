/*
 * What a call costs in C++ and in C: turns of each lie side by side, and the median of their ratios is what counts, which a
 * busy machine disturbs least. Exits with 1 where a bound is missed, with 2 where the answers differ.
 */
#include <algorithm>
#include <cstdio>

#include <commy/commy.hpp>

#include "loops.h"

using texts = std::vector<const char *>;

static std::uint64_t sum_of(const commy::target &target)
{
    return target.port() + static_cast<unsigned char>(target.endpoint()[0]);
}

static double median(std::vector<double> values)
{
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
    return values[values.size() / 2];
}

template <class Loop> static double timed(Loop loop, std::size_t n, std::uint64_t &sum)
{
    auto began = std::chrono::steady_clock::now();
    sum = loop();
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - began).count() /
           static_cast<double>(n);
}

/* most: the ratio that is allowed; 0: any. */
template <class Cpp, class C> static int row(const char *what, std::size_t n, double most, Cpp cpp, C c)
{
    std::vector<double> in_cpp, in_c, ratios;
    for (int turn = 0; turn < 303; turn++) {
        std::uint64_t cpp_sum, c_sum;
        double cpp_ns = timed(cpp, n, cpp_sum), c_ns = timed(c, n, c_sum);
        if (cpp_sum == 0 || cpp_sum != c_sum)
            return std::printf("%s: the answers in C++ and in C differ\n", what), 2;
        if (turn < 2)
            continue;
        in_cpp.push_back(cpp_ns);
        in_c.push_back(c_ns);
        ratios.push_back(cpp_ns / c_ns);
    }
    double ratio = median(ratios);
    bool missed = most > 0 && ratio > most;
    std::printf("%-42s %7.1f ns, in C %7.1f ns: %.3f", what, median(in_cpp), median(in_c), ratio);
    if (most > 0)
        std::printf("   at most %.1f: %s", most, missed ? "MISSED" : "met");
    std::printf("\n");
    return missed;
}

int main()
{
    commy::mesh mesh("bench", 8080);
    std::vector<std::string> ids;
    for (int i = 0; i < 1000; i++)
        ids.push_back("service-" + std::to_string(i));
    for (const std::string &id : ids)
        mesh.register_service("bench", id, "127.0.0.1", 8080);
    texts pointers;
    std::vector<std::string_view> views(ids.begin(), ids.end());
    for (const std::string &id : ids)
        pointers.push_back(id.c_str());
    auto find_c = [&] { return find_in_c(mesh.native(), pointers.data(), pointers.size()); };
    auto find_all = [&mesh](const auto &all) {
        std::uint64_t sum = 0;
        for (const auto &id : all)
            sum += sum_of(mesh.find(id));
        return sum;
    };
    int code = 0;
    code = std::max(code, row(
                              "find, const char *", 1000, 1.1, [&] { return find_all(pointers); }, find_c));
    code = std::max(code, row(
                              "find, std::string", 1000, 0, [&] { return find_all(ids); }, find_c));
    code = std::max(
        code, row(
                  "find, std::string_view, copied for its NUL", 1000, 0, [&] { return find_all(views); }, find_c));
    code = std::max(code, row(
                              "select_service, round robin", 1000, 0,
                              [&] {
                                  std::uint64_t sum = 0;
                                  for (int i = 0; i < 1000; i++)
                                      sum += sum_of(mesh.select_service("bench"));
                                  return sum;
                              },
                              [&] { return select_in_c(mesh.native(), "bench", 1000); }));
    return code;
}
