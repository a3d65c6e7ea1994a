/*
 * support.c - see support.h.
 */
#include "support.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void bench_die(const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fputs("commy-bench: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

volatile sig_atomic_t bench_stopping;

void bench_go_on(void)
{
    if (bench_stopping)
        bench_die("told to stop");
}

uint64_t bench_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t bench_cpu_time_ns(void)
{
    struct timespec ran;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ran);
    return (uint64_t)ran.tv_sec * 1000000000u + (uint64_t)ran.tv_nsec;
}

void bench_sleep_us(uint64_t us)
{
    struct timespec time = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

    while (nanosleep(&time, &time) != 0 && errno == EINTR)
        ;
}

void *bench_share(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        bench_die("no %zu bytes of shared memory: %s", bytes, strerror(errno));
    return memory;
}

uint64_t bench_resident_bytes(void)
{
    unsigned long long size, resident, file;
    FILE *statm = fopen("/proc/self/statm", "re");

    if (statm == NULL || fscanf(statm, "%llu %llu %llu", &size, &resident, &file) != 3)
        bench_die("/proc/self/statm cannot be read");
    fclose(statm);
    return (resident - file) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t bench_backed_bytes(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* As this program was started; pinning changes the thread's own set. */
static cpu_set_t allowed;
static unsigned allowed_count;

unsigned bench_cpus(void)
{
    if (allowed_count == 0) {
        if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
            bench_die("sched_getaffinity: %s", strerror(errno));
        allowed_count = (unsigned)CPU_COUNT(&allowed);
    }
    return allowed_count;
}

void bench_pin(unsigned n)
{
    cpu_set_t one;
    int cpu = -1;

    for (unsigned left = n % bench_cpus() + 1; left > 0; left--)
        do
            cpu++;
        while (!CPU_ISSET(cpu, &allowed));
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        bench_die("pinning to CPU %d: %s", cpu, strerror(errno));
}

void bench_unpin(void)
{
    bench_cpus();
    sched_setaffinity(0, sizeof allowed, &allowed);
}

void bench_die_with(int parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
}
