/*
 * Which boot this is. Process ids, futex words and clocks mean something within one boot only, so a region that
 * outlived a boot (on a disk, or restored) is nobody's and is told from a live one by this number.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "region/internal.h"

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" */
static bool parse(const char *text, size_t bytes, uint8_t id[16])
{
    size_t digits = 0;
    for (size_t i = 0; i < bytes && digits < 32; i++) {
        int digit = hex_digit(text[i]);
        if (text[i] == '-')
            continue;
        if (digit < 0)
            return false;
        id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | digit);
        digits++;
    }
    return digits == 32;
}

commy_status_t cmy_boot_id(uint8_t id[16])
{
    char text[64];
    int file = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        commy_status_t status = errno == ENOENT ? COMMY_STATUS_KERNEL : cmy_status_of(errno);
        return cmy_fail_errno(status,
                              "%s cannot be opened, and only it tells one boot from another; see that /proc is "
                              "mounted and a descriptor is left (`ulimit -n`)",
                              BOOT_ID_PATH);
    }
    ssize_t bytes = read(file, text, sizeof(text));
    close(file);
    if (bytes < 0 || !parse(text, (size_t)bytes, id))
        return cmy_fail(COMMY_STATUS_KERNEL, "%s holds no boot id; see that /proc is mounted", BOOT_ID_PATH);
    return COMMY_STATUS_SUCCESS;
}
