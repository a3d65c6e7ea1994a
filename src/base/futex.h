/* Sleeping on several futexes at once, futex_waitv(2): what linux/futex.h has since 5.16. */
#ifndef CMY_BASE_FUTEX_H
#define CMY_BASE_FUTEX_H

#include <linux/futex.h>
#include <linux/time_types.h>
#include <stdint.h>
#include <sys/syscall.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#define CMY_WAITV_32 2u

/* One of the words, which has 32 bits, and the value under which it is slept on. flags: CMY_WAITV_32, FUTEX_PRIVATE_FLAG. */
typedef struct cmy_sleep_on {
    uint64_t value;
    uint64_t word;
    uint32_t flags, reserved;
} cmy_sleep_on_t;

#endif /* CMY_BASE_FUTEX_H */
