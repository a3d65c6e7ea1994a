/* Which stripe to count in. */
#ifndef CMY_STAT_CPU_H
#define CMY_STAT_CPU_H

#include <sched.h>
#include <stdint.h>

#if defined(__x86_64__) && !defined(CMY_SCHEDULE) && defined(__has_include)
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define CMY_HAVE_RSEQ 1
#endif
#endif

/* Which processor this is, or was. Nothing but the place of a stripe hangs on it. No system call. */
static inline uint32_t cmy_cpu(void)
{
#ifdef CMY_HAVE_RSEQ
    /* The area of restartable sequences, where the kernel keeps it up to date; sched_getcpu() reads it too, but the call
     * takes a tenth of a report. Negative where glibc did not register the area. Technique: rseq(2); glibc's manual,
     * "Restartable Sequences". */
    const char *thread;
    __asm__("movq %%fs:0, %0" : "=r"(thread));
    int32_t known = (int32_t)__atomic_load_n(&((const struct rseq *)(const void *)(thread + __rseq_offset))->cpu_id,
                                             __ATOMIC_RELAXED);
    if (__builtin_expect(known >= 0, 1))
        return (uint32_t)known;
#endif
    int now = sched_getcpu();
    return now < 0 ? 0 : (uint32_t)now;
}

#endif /* CMY_STAT_CPU_H */
