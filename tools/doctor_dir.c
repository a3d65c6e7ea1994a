/*
 * doctor_dir.c - the checks on where the regions lie: the directory, its file system, and the regions in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "doctor.h"
#include "regions.h"
#include "text.h"

#define NEEDED_BYTES ((uint64_t)8 << 20) /* an empty mesh of the default capacity */
#define ROOMY_BYTES ((uint64_t)64 << 20) /* a full one, and some others */

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#ifndef HUGETLBFS_MAGIC
#define HUGETLBFS_MAGIC 0x958458f6
#endif
#define CIFS_MAGIC 0xff534d42u
#define NFS_MAGIC 0x6969u

static void missing_directory(struct doctor *doctor)
{
    if (doctor->own_dir)
        diagnose(doctor, "directory", WELL, NULL, "%s is not there yet; it is made with the first mesh", doctor->dir);
    else
        diagnose(doctor, "directory", BAD, "make it with mkdir -p -m 0700, or name another with --dir or COMMY_DIR",
                 "%s is not there", doctor->dir);
}

void doctor_directory(struct doctor *doctor)
{
    struct stat dir;

    if (!doctor->dir_exists) {
        missing_directory(doctor);
        return;
    }
    if (lstat(doctor->dir, &dir) != 0 || (S_ISLNK(dir.st_mode) && !doctor->own_dir && stat(doctor->dir, &dir) != 0)) {
        diagnose(doctor, "directory", BAD, "name another with --dir or COMMY_DIR", "%s cannot be looked at: %s",
                 doctor->dir, strerror(errno));
        return;
    }
    unsigned mode = dir.st_mode & 07777u;
    if (!S_ISDIR(dir.st_mode))
        diagnose(doctor, "directory", BAD, "remove it, or name another with --dir or COMMY_DIR", "%s is no directory",
                 doctor->dir);
    else if (mode & S_IWOTH)
        diagnose(doctor, "directory", BAD, "chmod o-w, or make a private one below it: whoever may write may damage",
                 "everybody may write to %s (owner %u, mode %04o)", doctor->dir, dir.st_uid, mode);
    else if (doctor->own_dir && dir.st_uid != geteuid())
        diagnose(doctor, "directory", BAD, "have it removed by its owner or root, or name another with --dir",
                 "%s belongs to user %u, not to user %u", doctor->dir, dir.st_uid, (unsigned)geteuid());
    else if (doctor->own_dir && (mode & 077u) != 0)
        diagnose(doctor, "directory", BAD, "chmod 0700, or share one of another name with --dir",
                 "%s is open to others (mode %04o), and the default directory has to be private", doctor->dir, mode);
    else
        diagnose(doctor, "directory", WELL, NULL, "%s belongs to user %u, mode %04o", doctor->dir, dir.st_uid, mode);
}

static bool ask_file_system(struct doctor *doctor, const char *check, struct statfs *fs)
{
    if (statfs(doctor->existing, fs) == 0)
        return true;
    diagnose(doctor, check, BAD, "name another directory with --dir or COMMY_DIR", "%s cannot be asked: %s",
             doctor->existing, strerror(errno));
    return false;
}

void doctor_file_system(struct doctor *doctor)
{
    struct statfs fs;

    if (!ask_file_system(doctor, "file system", &fs))
        return;
    switch ((uint32_t)fs.f_type) {
    case TMPFS_MAGIC:
        diagnose(doctor, "file system", WELL, NULL, "%s is on a tmpfs", doctor->existing);
        break;
    case HUGETLBFS_MAGIC:
        diagnose(doctor, "file system", WELL, NULL, "%s is on a hugetlbfs", doctor->existing);
        break;
    case NFS_MAGIC:
    case CIFS_MAGIC:
    case FUSE_SUPER_MAGIC:
        diagnose(doctor, "file system", BAD, "name a directory on a tmpfs with --dir or COMMY_DIR, such as /dev/shm",
                 "%s is on a file system of a network or a program (type 0x%x): its pages are not this host's memory",
                 doctor->existing, (unsigned)fs.f_type);
        break;
    default:
        diagnose(doctor, "file system", WARN, "name a directory on a tmpfs with --dir or COMMY_DIR, such as /dev/shm",
                 "%s is not on a tmpfs (type 0x%x): the kernel writes the region back to a disk all the time, and it "
                 "outlives the boot that it is good for",
                 doctor->existing, (unsigned)fs.f_type);
    }
}

void doctor_free_space(struct doctor *doctor)
{
    struct statfs fs;
    char size[SIZE_TEXT_BYTES], left[SIZE_TEXT_BYTES];

    if (!ask_file_system(doctor, "free space", &fs))
        return;
    uint64_t free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    bool unlimited = fs.f_blocks == 0;
    enum verdict verdict = unlimited || free_bytes >= ROOMY_BYTES ? WELL : free_bytes >= NEEDED_BYTES ? WARN : BAD;
    if (fs.f_files != 0 && fs.f_ffree == 0) {
        diagnose(doctor, "free space", BAD, "delete files there, or mount it with a larger nr_inodes",
                 "%s has no room for another file", doctor->existing);
        return;
    }
    if (unlimited)
        diagnose(doctor, "free space", WELL, NULL, "%s has no limit of its own", doctor->existing);
    else
        diagnose(doctor, "free space", verdict,
                 verdict == WELL ? NULL : "make room there, or enlarge it: mount -o remount,size=... (--shm-size)",
                 "%s has %s of %s left; a mesh of 8192 services takes 8 to 32 MiB", doctor->existing,
                 size_text(free_bytes, left), size_text((uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize, size));
}

static void no_unnamed_file(struct doctor *doctor, int error)
{
    static const char elsewhere[] = "name a directory on a tmpfs, writable for you, with --dir or COMMY_DIR";

    if (error == EOPNOTSUPP || error == EISDIR || error == EINVAL)
        diagnose(doctor, "making regions", BAD, elsewhere,
                 "the file system of %s does not know files without a name (O_TMPFILE)", doctor->existing);
    else if (error == EACCES && !doctor->own_dir)
        diagnose(doctor, "making regions", WARN, elsewhere,
                 "user %u may not make any in %s; those that are there can be used as their modes say",
                 (unsigned)geteuid(), doctor->existing);
    else
        diagnose(doctor, "making regions", BAD, elsewhere, "%s takes no file: %s", doctor->existing, strerror(error));
}

/* Regions are made in a file without a name, reserved, and named through /proc. */
void doctor_unnamed_files(struct doctor *doctor)
{
    char path[32];
    int file = open(doctor->existing, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (file < 0) {
        no_unnamed_file(doctor, errno);
        return;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    int reserved = fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 4096) == 0 ? 0 : errno;
    if (access(path, F_OK) != 0)
        diagnose(doctor, "making regions", BAD, "mount -t proc proc /proc", "/proc is not mounted");
    else if (reserved != 0)
        diagnose(doctor, "making regions", BAD, "name a directory on a tmpfs with --dir or COMMY_DIR",
                 "%s cannot reserve memory for a file: %s", doctor->existing, strerror(reserved));
    else
        diagnose(doctor, "making regions", WELL, NULL, "%s takes unnamed files and reserves memory", doctor->existing);
    close(file);
}

struct tally {
    struct doctor *doctor;
    unsigned sound, unsound;
};

static void judge_region(void *user, const struct region *region)
{
    struct tally *tally = user;
    char fix[512];

    if (region->status == COMMY_STATUS_SUCCESS) {
        tally->sound++;
        return;
    }
    tally->unsound++;
    bool stranger = region->status == COMMY_STATUS_NOT_A_REGION || region->status == COMMY_STATUS_INVALID;
    bool not_ours = stranger || region->status == COMMY_STATUS_PERMISSION;
    snprintf(fix, sizeof(fix),
             not_ours ? "see whose %.255s is, and move it elsewhere if it is in the way"
                      : "look at it with commy dump, then: commy rm %.255s",
             region->mesh);
    diagnose(tally->doctor, "region", not_ours ? WARN : BAD, fix, "%s", region->sentence);
}

void doctor_regions(struct doctor *doctor)
{
    struct tally tally = {.doctor = doctor};
    int error = regions_visit(judge_region, &tally);

    if (error == ENOENT)
        return; /* the check of the directory has said so */
    if (error != 0)
        diagnose(doctor, "regions", WARN, "ask its owner for the permission to read it", "%s cannot be listed: %s",
                 doctor->dir, strerror(error));
    else
        diagnose(doctor, "regions", WELL, NULL, "%u can be attached to, %u cannot", tally.sound, tally.unsound);
}
