/*
 * cmd_doctor.c - `commy doctor`: what on this host would hurt commy, and the way out. It changes nothing.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "common.h"
#include "doctor.h"
#include "json.h"
#include "text.h"

static const char doc[] = "Tell what on this host would hurt commy, and what to do about it. Changes nothing.\v"
                          "Example:\n"
                          "  commy doctor\n"
                          "  commy doctor --json | jq '.[] | select(.state != \"ok\")'\n\n"
                          "Exits with 1 where something is bad; warnings alone are no reason to.";

static void (*const checks[])(struct doctor *) = {
    doctor_directory,  doctor_file_system, doctor_free_space,     doctor_unnamed_files, doctor_regions,
    doctor_container,  doctor_remove_ipc,  doctor_kernel_release, doctor_robust_list,   doctor_futex_waitv,
    doctor_membarrier, doctor_boot_id,     doctor_limits,         doctor_libcurl,
};

void diagnose(struct doctor *doctor, const char *check, enum verdict verdict, const char *fix, const char *format, ...)
{
    static const char *const states[] = {[WELL] = "ok", [WARN] = "warn", [BAD] = "bad"};
    char *found = NULL;
    va_list arguments;

    va_start(arguments, format);
    int length = vasprintf(&found, format, arguments);
    va_end(arguments);
    if (length < 0)
        must_have(NULL);
    doctor->bad += verdict == BAD;
    if (tool.json) {
        json_t *object = must_have(json_object());
        json_put_text(object, "check", check);
        json_put_text(object, "state", states[verdict]);
        json_put_text(object, "found", found);
        json_put_text_or_null(object, "fix", fix);
        json_list_add(doctor->json, object);
    } else {
        printf("%-4s  %-14s  ", states[verdict], check);
        print_text(stdout, found);
        if (fix != NULL) {
            printf("\n%22s-> ", "");
            print_text(stdout, fix);
        }
        putchar('\n');
    }
    free(found);
}

/* The directory, or the nearest one above it that is there. */
static void find_existing(struct doctor *doctor)
{
    strcpy(doctor->existing, doctor->dir);
    doctor->dir_exists = access(doctor->dir, F_OK) == 0;
    while (access(doctor->existing, F_OK) != 0) {
        char *slash = strrchr(doctor->existing, '/');
        if (slash == NULL) {
            strcpy(doctor->existing, ".");
            return;
        }
        slash[slash == doctor->existing] = '\0';
    }
}

int cmd_doctor(int argc, char **argv)
{
    struct argp argp = {NULL, parse_nothing, NULL, doc, common_children, NULL, NULL};
    struct json_list list;
    struct doctor doctor = {.json = &list};

    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    doctor.own_dir = !mesh_directory_given();
    mesh_directory(doctor.dir);
    find_existing(&doctor);
    if (tool.json)
        json_list_open(&list);
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
        checks[i](&doctor);
    if (tool.json)
        json_list_close(&list);
    return doctor.bad == 0 ? EXIT_YES : EXIT_NO;
}
