/*
 * doctor_host.c - the checks on what else lives on this host: containers with a /dev/shm of their own, and a login
 * manager that clears up after its users.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "doctor.h"

#define FIRST_PERSON 1000 /* user ids below it are the system's, whose files logind leaves alone */

/* ------------------------------------------------------------- containers */

static bool mentions(const char *path, const char *const *words)
{
    char line[1024];
    bool found = false;
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof(line), file) != NULL)
        for (const char *const *word = words; *word != NULL; word++)
            found |= strstr(line, *word) != NULL;
    fclose(file);
    return found;
}

/* What says that this is a container; null where nothing does. */
static const char *container_hint(void)
{
    static const char *const words[] = {"docker", "kubepods", "containerd", "libpod", "lxc", NULL};

    if (access("/.dockerenv", F_OK) == 0)
        return "/.dockerenv";
    if (access("/run/.containerenv", F_OK) == 0)
        return "/run/.containerenv";
    if (getenv("container") != NULL)
        return "$container";
    return mentions("/proc/self/cgroup", words) ? "/proc/self/cgroup" : NULL;
}

struct mount {
    char point[PATH_MAX], source[256];
};

static bool lies_below(const char *path, const char *point)
{
    size_t length = strlen(point);

    if (strcmp(point, "/") == 0)
        return path[0] == '/';
    return strncmp(path, point, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* The mount that a path lies on: of those above it the one with the longest name, and of those the latest. */
static bool find_mount(const char *path, struct mount *found)
{
    char *line = NULL, point[PATH_MAX], source[256];
    size_t room = 0;
    FILE *file = fopen("/proc/self/mountinfo", "re");

    *found = (struct mount){0};
    if (file == NULL)
        return false;
    while (getline(&line, &room, file) > 0) {
        const char *rest = strstr(line, " - ");
        if (rest == NULL || sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1 ||
            sscanf(rest, " - %*s %255s", source) != 1)
            continue;
        if (!lies_below(path, point) || strlen(point) < strlen(found->point))
            continue;
        strcpy(found->point, point);
        strcpy(found->source, source);
    }
    free(line);
    fclose(file);
    return found->point[0] != '\0';
}

/* Container engines mount a tmpfs called "shm" for each container; what is shared comes from outside. */
void doctor_container(struct doctor *doctor)
{
    const char *hint = container_hint();
    char real[PATH_MAX];
    struct mount mount;

    if (hint == NULL) {
        diagnose(doctor, "container", WELL, NULL, "this is none");
        return;
    }
    bool known = realpath(doctor->existing, real) != NULL && find_mount(real, &mount);
    if (known && strcmp(mount.source, "shm") != 0 && strcmp(mount.point, "/") != 0)
        diagnose(doctor, "container", WELL, NULL,
                 "this is one (%s); %s comes from outside (%s): programs that mount "
                 "the same see the same meshes",
                 hint, mount.point, mount.source);
    else
        diagnose(doctor, "container", WARN,
                 "mount one tmpfs volume into all containers and name it with --dir or COMMY_DIR, or share the "
                 "namespace (--ipc)",
                 "this is one (%s), and %s is its own: programs outside it do not see its meshes", hint,
                 known ? mount.point : doctor->existing);
}

/* -------------------------------------------------------------- RemoveIPC */

/* Takes the last RemoveIPC= of a file over. */
static void read_setting(const char *path, char setting[16])
{
    char line[1024];
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return;
    while (fgets(line, sizeof(line), file) != NULL)
        sscanf(line, " RemoveIPC = %15s", setting);
    fclose(file);
}

static int is_conf(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static void read_settings(const char *dir, char setting[16])
{
    struct dirent **entries;
    int count = scandir(dir, &entries, is_conf, alphasort);

    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
        read_setting(path, setting);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

/* Yes unless it is switched off: what logind was built with. Files of /etc go before those of the system. */
static bool removes_ipc(void)
{
    char setting[16] = "yes";

    read_setting("/usr/lib/systemd/logind.conf", setting);
    read_setting("/etc/systemd/logind.conf", setting);
    read_settings("/usr/lib/systemd/logind.conf.d", setting);
    read_settings("/run/systemd/logind.conf.d", setting);
    read_settings("/etc/systemd/logind.conf.d", setting);
    return strcasecmp(setting, "yes") == 0 || strcasecmp(setting, "true") == 0 || strcasecmp(setting, "on") == 0 ||
           strcmp(setting, "1") == 0;
}

/* Whom logind keeps when the last session ends. */
static bool lingers(void)
{
    struct passwd entry, *person;
    char words[4096], path[PATH_MAX];

    if (getpwuid_r(geteuid(), &entry, words, sizeof(words), &person) != 0 || person == NULL)
        return false;
    snprintf(path, sizeof(path), "/var/lib/systemd/linger/%s", person->pw_name);
    return access(path, F_OK) == 0;
}

void doctor_remove_ipc(struct doctor *doctor)
{
    if (access("/run/systemd/seats", F_OK) != 0)
        diagnose(doctor, "RemoveIPC", WELL, NULL, "no systemd-logind runs here");
    else if (geteuid() < FIRST_PERSON)
        diagnose(doctor, "RemoveIPC", WELL, NULL, "user %u is the system's: its files outlive its sessions",
                 (unsigned)geteuid());
    else if (!lies_below(doctor->dir, "/dev/shm"))
        diagnose(doctor, "RemoveIPC", WELL, NULL, "%s is not in /dev/shm, which alone logind clears up", doctor->dir);
    else if (!removes_ipc())
        diagnose(doctor, "RemoveIPC", WELL, NULL, "switched off: logging out removes no mesh");
    else if (lingers())
        diagnose(doctor, "RemoveIPC", WELL, NULL, "user %u lingers: logging out removes no mesh", (unsigned)geteuid());
    else
        diagnose(doctor, "RemoveIPC", WARN,
                 "RemoveIPC=no in /etc/systemd/logind.conf, or loginctl enable-linger, or run as a system user",
                 "systemd-logind deletes the meshes of user %u when the last session ends", (unsigned)geteuid());
}

/* Needed by those who check the health of services, and by nobody else. */
void doctor_libcurl(struct doctor *doctor)
{
    void *library = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);
    char *(*version)(void) = NULL;

    if (library != NULL)
        *(void **)&version = dlsym(library, "curl_version");
    if (version != NULL)
        diagnose(doctor, "libcurl", WELL, NULL, "%.*s: services can be checked", (int)strcspn(version(), " "),
                 version());
    else
        diagnose(doctor, "libcurl", WARN,
                 "install libcurl4 (Debian) or libcurl (Fedora, Alpine), where services are monitored",
                 "libcurl.so.4 cannot be opened: the health of services cannot be checked from here");
    if (library != NULL)
        dlclose(library);
}
