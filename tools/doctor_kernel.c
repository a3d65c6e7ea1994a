/*
 * doctor_kernel.c - the checks on what the kernel can do, and on what it lets this process do.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"
#include "text.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

#define MIN_FILE_BYTES ((uint64_t)64 << 20)
#define MIN_ADDRESS_BYTES ((uint64_t)512 << 20)
#define MIN_DESCRIPTORS 32

void doctor_kernel_release(struct doctor *doctor)
{
    struct utsname host = {0};
    char *rest = host.release;

    uname(&host);
    unsigned long major = strtoul(host.release, &rest, 10);
    unsigned long minor = *rest == '.' ? strtoul(rest + 1, NULL, 10) : 0;
    if (rest == host.release)
        diagnose(doctor, "kernel", WARN, "see with uname -r that it is Linux 5.10 or newer", "its release is unknown");
    else if (major < 5 || (major == 5 && minor < 10))
        diagnose(doctor, "kernel", BAD, "upgrade to Linux 5.10 or newer", "Linux %s is too old", host.release);
    else
        diagnose(doctor, "kernel", WELL, NULL, "Linux %s", host.release);
}

/* What the kernel certifies a death with. An emulator (qemu-user) has no such call. */
void doctor_robust_list(struct doctor *doctor)
{
    void *head = NULL;
    size_t bytes = 0;

    if (syscall(SYS_get_robust_list, 0, &head, &bytes) == 0)
        diagnose(doctor, "robust futexes", WELL, NULL, "the kernel marks the words of the dead");
    else
        diagnose(doctor, "robust futexes", BAD,
                 "run on a kernel of your own, not in an emulator or sandbox; reading a mesh works all the same",
                 "the kernel cannot tell when a program dies (get_robust_list: %s): joining will be refused",
                 strerror(errno));
}

void doctor_futex_waitv(struct doctor *doctor)
{
    if (syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) == 0 || errno != ENOSYS)
        diagnose(doctor, "futex_waitv", WELL, NULL, "keepers can wait for many participants at once");
    else
        diagnose(doctor, "futex_waitv", WARN, "upgrade to Linux 5.16 or newer, or let the sandbox pass the call",
                 "the kernel has it not: housekeeping after a death may take 100 ms; lookups are right at once");
}

void doctor_membarrier(struct doctor *doctor)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

    if (commands >= 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0)
        diagnose(doctor, "membarrier", WELL, NULL, "private expedited barriers are to be had");
    else
        diagnose(doctor, "membarrier", WARN, "let the sandbox pass membarrier(2), or upgrade the kernel",
                 "private expedited barriers are not to be had: some calls take longer");
}

void doctor_boot_id(struct doctor *doctor)
{
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    char id[64] = "";
    FILE *file = fopen(path, "re");
    bool read = file != NULL && fgets(id, sizeof(id), file) != NULL && strlen(id) >= 36;

    if (read)
        diagnose(doctor, "boot id", WELL, NULL, "%.36s", id);
    else
        diagnose(doctor, "boot id", BAD, "mount -t proc proc /proc, or let the sandbox show the file",
                 "%s cannot be read: a region of this boot cannot be told from an older one", path);
    if (file != NULL)
        fclose(file);
}

static void judge_limit(struct doctor *doctor, int resource, const char *check, const char *fix, const char *what,
                        uint64_t needed)
{
    struct rlimit limit;
    char size[SIZE_TEXT_BYTES];

    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        diagnose(doctor, check, WELL, NULL, "%s is not limited", what);
    else
        diagnose(doctor, check, limit.rlim_cur < needed ? BAD : WELL, limit.rlim_cur < needed ? fix : NULL,
                 "%s is limited to %s", what, size_text(limit.rlim_cur, size));
}

void doctor_limits(struct doctor *doctor)
{
    struct rlimit descriptors;

    judge_limit(doctor, RLIMIT_FSIZE, "file size", "ulimit -f unlimited: a region is a file", "the size of a file",
                MIN_FILE_BYTES);
    judge_limit(doctor, RLIMIT_AS, "address space", "ulimit -v unlimited: a region is mapped whole",
                "the address space of a program", MIN_ADDRESS_BYTES);
    if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0)
        return;
    bool enough = descriptors.rlim_cur >= MIN_DESCRIPTORS;
    diagnose(doctor, "descriptors", enough ? WELL : BAD, enough ? NULL : "ulimit -n 1024", "a program may have %ju",
             (uintmax_t)descriptors.rlim_cur);
}
