/* check.hpp - counts what is as it should be, and shows what is not. */
#ifndef CHECK_HPP
#define CHECK_HPP

#include <cstdio>
#include <cstdlib>
#include <string>

inline int passed, failed;

inline void check(bool good, const char *what, int line)
{
    (good ? passed : failed)++;
    if (!good)
        std::printf("FAILED  line %d: %s\n", line, what);
}
#define CHECK(condition) check((condition), #condition, __LINE__)

/* A directory of the program's own, where its meshes are; gone when it ends. */
class directory
{
  public:
    directory()
    {
        char name[] = "/dev/shm/commy-cpp-XXXXXX";
        path_ = ::mkdtemp(name);
        ::setenv("COMMY_DIR", path_.c_str(), 1);
        ::unsetenv("COMMY_MESH");
    }
    ~directory()
    {
        (void)!std::system(("rm -rf " + path_).c_str());
    }

  private:
    std::string path_;
};

inline int summary()
{
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}

#endif
