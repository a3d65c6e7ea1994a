/*
 * doctor.h - what the checks of `commy doctor` share. Each looks at one thing and says how it is, and where that is not
 * well, what to do.
 */
#ifndef COMMY_TOOL_DOCTOR_H
#define COMMY_TOOL_DOCTOR_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum verdict {
    WELL, /* nothing to do */
    WARN, /* works, with less than one would like */
    BAD   /* commy will fail, or lose a mesh */
};

struct doctor {
    char dir[PATH_MAX];      /* the mesh's directory */
    char existing[PATH_MAX]; /* it, or the nearest one above it that is there */
    bool dir_exists;
    bool own_dir; /* the default directory: made when it is missing, and must be private */
    unsigned bad;
    struct json_list *json;
};

/* Says what a check found. fix: a sentence, or null where there is nothing to do. */
void diagnose(struct doctor *doctor, const char *check, enum verdict verdict, const char *fix, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* doctor_dir.c: where the regions lie */
void doctor_directory(struct doctor *doctor);
void doctor_file_system(struct doctor *doctor);
void doctor_free_space(struct doctor *doctor);
void doctor_unnamed_files(struct doctor *doctor);
void doctor_regions(struct doctor *doctor);

/* doctor_kernel.c: what the kernel can do and lets this process do */
void doctor_kernel_release(struct doctor *doctor);
void doctor_robust_list(struct doctor *doctor);
void doctor_futex_waitv(struct doctor *doctor);
void doctor_membarrier(struct doctor *doctor);
void doctor_boot_id(struct doctor *doctor);
void doctor_limits(struct doctor *doctor);

/* doctor_host.c: what else lives on this host */
void doctor_container(struct doctor *doctor);
void doctor_remove_ipc(struct doctor *doctor);
void doctor_libcurl(struct doctor *doctor);

#endif /* COMMY_TOOL_DOCTOR_H */
