/*
 * Deaths that are not simple, and lives that look like deaths.
 *
 * A core dump under way, the OOM killer, fork, vfork, exec, closefrom(3) and daemon(3): an owner that lives is found at
 * every look, one that died at none after waitpid(), and no slot is given away before the kernel is done with it. Each
 * part says why when this host does not let it run.
 */
#include "people.h"

#include <spawn.h>

static property_t dumping = {"an owner whose core is being dumped is not returned, and its slot is not given away", 0,
                             0};
static property_t oom = {"an owner that the OOM killer ended is gone at the first lookup after waitpid()", 0, 0};
static property_t children = {"fork, vfork, spawn and their exits leave the owner alive", 0, 0};
static property_t forked = {"a forked child is told to attach for itself, and can", 0, 0};
static property_t execs = {"who execs is gone, although the process lives", 0, 0};
static property_t closes = {"closefrom(3) costs a program nothing, and no call takes its descriptors", 0, 0};
static property_t daemons = {"daemon(3) is a death of the parent, and its child can join", 0, 0};
static property_t sound = {"the audit finds nothing after each", 0, 0};

static commy_mesh_t *mesh; /* the observer's: attached, and not joined but to reap */

/* Ends the observer's participation, which reaping began: from here on no keeper of its does the work. */
static void step_back(size_t living)
{
    hold(&sound, settles(mesh, living + 1), "after a part");
    commy_mesh_detach(&mesh);
    mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "observer");
}

/* ----------------------------------------------------------------------- core dump */

#define DUMP_BYTES (128ul << 20)

static void dump_core(void *at)
{
    char *bytes = mmap(NULL, DUMP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    become_owner("dumper", at);
    if (bytes == MAP_FAILED || setrlimit(RLIMIT_CORE, &all) != 0 || chdir(test_dir) != 0)
        _exit(0);
    memset(bytes, 1, DUMP_BYTES);
    prctl(PR_SET_DUMPABLE, 1);
    reach(at, 1);
    signal(SIGQUIT, SIG_DFL);
    raise(SIGQUIT);
}

static bool dump_under_way(pid_t pid)
{
    char path[64], line[256];
    bool seen = false;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        seen |= strcmp(line, "CoreDumping:\t1\n") == 0;
    if (file)
        fclose(file);
    return seen;
}

/* Returns how often it was looked at before its mark. */
static uint64_t meet_core_dump(void)
{
    reach(post, 0);
    pid_t child = start_process(dump_core, post);
    uint64_t met = 0;
    if (!hold(&dumping, await(&post->stage, 1), "the dumper does not come up"))
        return 0;
    int32_t slot = post->other;
    while (waitpid(child, NULL, WNOHANG) == 0) {
        if (!dump_under_way(child))
            continue;
        commy_mesh_reap(mesh, NULL);
        bool there = found(mesh, "dumper");
        cmy_life_phase_t phase = phase_of(mesh, slot);
        if (is_marked(mesh, slot))
            break; /* what was read may be of after the mark; up to here there was none */
        met++;
        hold(&dumping, !there, "it is found");
        if (!hold(&dumping, phase == CMY_SLOT_DEAD, "its slot is in phase %d before the mark", (int)phase))
            break;
        commy_mesh_t *other = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "newcomer");
        hold(&dumping,
             put(other, "dumper") == COMMY_STATUS_SUCCESS && (int32_t)cmy_owner_slot(other->actor.owner) != slot,
             "the slot or the id is not right: %s", commy_last_error_message());
        commy_mesh_detach(&other);
    }
    end_process(child, true);
    unlink(test_path("core"));
    hold(&dumping, !found(mesh, "dumper"), "it is found after its end");
    return met;
}

static void core_dump(void)
{
    uint64_t met = 0;
    for (int round = 0; round < 6 && met == 0; round++)
        met = meet_core_dump(); /* it may be over before we are given the processor */
    if (met == 0)
        printf("core dump: not met under way; core_pattern sends it elsewhere, or this kernel marks words first\n");
    else
        printf("core dump: %" PRIu64 " looks while it was written\n", met);
    step_back(0);
}

/* ------------------------------------------------------------------------ OOM killer */

static char cgroup[256];

static void remove_cgroup(void)
{
    for (int turn = 0; getpid() == test_process && cgroup[0] && rmdir(cgroup) != 0 && errno == EBUSY && turn < 100;
         turn++)
        sleep_us(10000);
}

static bool cgroup_write(const char *file, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", cgroup, file);
    return write_file(path, text);
}

/* Below the group that this process is in: version 1 or 2 of the interface, whichever gives a limit. */
static bool make_cgroup(void)
{
    char line[200], path[160];
    FILE *file = fopen("/proc/self/cgroup", "re");
    bool made = false;
    while (file && !made && fgets(line, sizeof line, file)) {
        char *memory = strstr(line, ":memory:");
        bool old = memory != NULL;
        line[strcspn(line, "\n")] = '\0';
        if (!old && strncmp(line, "0::", 3) != 0)
            continue;
        snprintf(path, sizeof path, "%.150s", old ? memory + 8 : line + 3);
        snprintf(cgroup, sizeof cgroup, "/sys/fs/cgroup%s%s/commy-test-%d", old ? "/memory" : "", path, getpid());
        if (mkdir(cgroup, 0755) != 0)
            continue;
        made = old ? cgroup_write("memory.limit_in_bytes", "33554432") : cgroup_write("memory.max", "33554432");
        if (made)
            (void)(old ? cgroup_write("memory.swappiness", "0") : cgroup_write("memory.swap.max", "0"));
        else
            rmdir(cgroup);
    }
    if (file)
        fclose(file);
    if (!made)
        cgroup[0] = '\0';
    return made;
}

static void *eat(void *unused)
{
    for (;;) {
        char *bytes = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (bytes != MAP_FAILED)
            memset(bytes, 1, 1 << 20);
    }
    return unused;
}

static void eat_memory(void *at)
{
    pthread_t thread;
    commy_mesh_t *own = become_owner("eater", at);
    reach(at, 1);
    await(&((signpost_t *)at)->stage, 2);
    pthread_create(&thread, NULL, eat, NULL);
    for (char id[16];;) { /* at work while it is killed */
        static uint32_t n;
        snprintf(id, sizeof id, "eaten-%u", n++ % 4);
        put(own, id);
        commy_service_unregister(own, id);
    }
}

static void oom_killer(void)
{
    char text[24];
    if (!make_cgroup()) {
        printf("OOM killer: not run, no memory control group can be made here\n");
        oom.looked++;
        return;
    }
    atexit(remove_cgroup);
    for (int round = 0; round < 5; round++) {
        reach(post, 0);
        pid_t child = start_process(eat_memory, post);
        await(&post->stage, 1);
        snprintf(text, sizeof text, "%d", child);
        if (!hold(&oom, cgroup_write("cgroup.procs", text) && found(mesh, "eater"), "the victim is not set up")) {
            end_process(child, true);
            return;
        }
        reach(post, 2);
        int status = end_process(child, false);
        bool there = found(mesh, "eater");
        hold(&oom, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "it ended with %#x", (unsigned)status);
        hold(&oom, !there && is_marked(mesh, post->other), "round %d: it is found", round);
        step_back(0);
    }
}

/* ----------------------------------------------------------- children of an owner */

static bool ran_true(const char *how)
{
    static char *const arguments[] = {(char *)"true", NULL};
    static char *const surroundings[] = {NULL};
    int status = -1;
    pid_t child = 0;
    if (strcmp(how, "system") == 0)
        return system("true") == 0;
    if (strcmp(how, "spawn") == 0) {
        if (posix_spawnp(&child, "true", NULL, NULL, arguments, surroundings) != 0)
            return false;
    } else if (strcmp(how, "vfork") == 0) {
        child = vfork();
        if (child == 0) {
            execve("/bin/true", arguments, surroundings);
            _exit(127);
        }
    } else if (strcmp(how, "vfork, exit") == 0) {
        child = vfork();
        if (child == 0)
            _exit(0);
    } else {
        child = fork();
        if (child == 0)
            _exit(0);
    }
    return waitpid(child, &status, 0) == child && status == 0;
}

static void have_children(void *at)
{
    static const char *const ways[] = {"fork", "vfork", "vfork, exit", "spawn", "system"};
    commy_mesh_t *own = become_owner("parent", at);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (!ran_true(ways[i]) || !found(own, "parent") || is_marked(own, ((signpost_t *)at)->other)) {
            printf("  after %s\n", ways[i]);
            _exit(1);
        }
    }
    if (put(own, "still") != COMMY_STATUS_SUCCESS)
        _exit(1);
    reach(at, 1);
    idle();
}

/* What a child that has its parent's handle, and none of its mapping, is told; then it attaches for itself. */
static void check_forked_child(commy_mesh_t *inherited, signpost_t *at)
{
    uint64_t version;
    size_t count;
    bool told = commy_name_count(inherited, "name", &count) == COMMY_STATUS_FORKED &&
                put(inherited, "x") == COMMY_STATUS_FORKED && commy_mesh_leave(inherited) == COMMY_STATUS_FORKED &&
                commy_mesh_wait(inherited, NULL, 0, 0, &version) == COMMY_STATUS_FORKED;
    commy_mesh_detach(&inherited);
    become_owner("child", at);
    atomic_store(&at->status, told);
    reach(at, 2);
    idle();
}

static void fork_and_stay(void *at)
{
    commy_mesh_t *own = become_owner("forking", at);
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        check_forked_child(own, at);
    }
    idle();
}

/* A child that runs no fork handlers. */
static void clone_and_stay(void *at)
{
    commy_mesh_t *own = become_owner("forking", at);
    if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        check_forked_child(own, at);
    }
    idle();
}

static void exec_something(void *at)
{
    become_owner("exec", at);
    reach(at, 1);
    await(&((signpost_t *)at)->stage, 2);
    execlp("sleep", "sleep", "600", (char *)NULL);
}

static void close_all(void *at)
{
    commy_mesh_t *own = become_owner("closer", at);
    uint64_t version = 0;
    char byte = 0;
    int ends[2];
    closefrom(3);
    bool good = pipe(ends) == 0 && ends[0] == 3 && ends[1] == 4; /* nobody holds what was closed */
    for (int i = 0; i < 40 && good; i++) {
        char id[16];
        snprintf(id, sizeof id, "closed-%d", i);
        good = put(own, id) == COMMY_STATUS_SUCCESS;
    }
    good = good && commy_mesh_wait(own, "other", 0, 0, &version) == COMMY_STATUS_SUCCESS;
    while (good && commy_mesh_wait(own, "other", version, 150, &version) == COMMY_STATUS_SUCCESS)
        ; /* others' deaths are announced to all */
    good = good && commy_last_error() == COMMY_STATUS_TIMED_OUT && commy_mesh_reap(own, NULL) == COMMY_STATUS_SUCCESS &&
           commy_mesh_leave(own) == COMMY_STATUS_SUCCESS && put(own, "x") == COMMY_STATUS_NOT_RUNNING &&
           commy_mesh_join(own, NULL, 0) == COMMY_STATUS_SUCCESS && put(own, "closer") == COMMY_STATUS_SUCCESS;
    good = good && write(4, "c", 1) == 1 && read(3, &byte, 1) == 1 && byte == 'c';
    atomic_store(&((signpost_t *)at)->status, good);
    reach(at, 1);
    idle();
}

static void become_daemon(void *at)
{
    commy_mesh_t *own = become_owner("before", at);
    signal(SIGHUP, SIG_IGN);
    if (daemon(1, 1) != 0)
        _exit(1);
    prctl(PR_SET_PDEATHSIG, 0);
    alarm(60); /* nobody's child any more */
    bool told = put(own, "after") == COMMY_STATUS_FORKED;
    commy_mesh_detach(&own);
    become_owner("after", at);
    atomic_store(&((signpost_t *)at)->status, told);
    reach(at, 1);
    idle();
}

/* See KEEPER_DROPS_DESCRIPTORS in life/keeper.c. */
static bool keeper_shares_descriptors(void)
{
    return is_under("asan") || is_under("tsan");
}

static void families(void)
{
    reach(post, 0);
    pid_t child = start_process(have_children, post);
    hold(&children, await(&post->stage, 1) && found_throughout(mesh, "parent", 200, true), "the parent is gone");
    end_process(child, true);
    hold(&children, !found(mesh, "parent"), "it is found after its own death");

    for (int raw = 0; raw < 2; raw++) {
        reach(post, 0);
        child = start_process(raw ? clone_and_stay : fork_and_stay, post);
        hold(&forked, await(&post->stage, 2) && post->status && found(mesh, "forking") && found(mesh, "child"),
             "%s: not told, or gone", raw ? "clone" : "fork");
        end_process(child, true);
        for (uint64_t began = now_ns(); found(mesh, "child") && now_ns() - began < PATIENCE_NS;)
            sleep_us(100); /* dies of its parent's death */
        hold(&forked, !found(mesh, "forking") && !found(mesh, "child"), "the dead are found");
    }

    reach(post, 0);
    child = start_process(exec_something, post);
    hold(&execs, await(&post->stage, 1) && found(mesh, "exec"), "it does not come up");
    reach(post, 2);
    for (uint64_t began = now_ns(); found(mesh, "exec") && now_ns() - began < PATIENCE_NS;)
        sleep_us(100);
    hold(&execs, !found(mesh, "exec") && kill(child, 0) == 0, "it is found, or its process is gone");
    end_process(child, true);

    if (!keeper_shares_descriptors()) {
        reach(post, 0);
        child = start_process(close_all, post);
        hold(&closes, await(&post->stage, 1) && post->status && found_throughout(mesh, "closer", 300, true),
             "a call failed, or it is gone");
        end_process(child, true);
    }

    reach(post, 0);
    child = start_process(become_daemon, post);
    int status = end_process(child, false);
    hold(&daemons, status == 0 && !found(mesh, "before"), "status %#x", (unsigned)status);
    hold(&daemons, await(&post->stage, 1) && post->status && found_throughout(mesh, "after", 200, true),
         "not told, or gone");
    kill(post->pid, SIGKILL);
    for (uint64_t began = now_ns(); found(mesh, "after") && now_ns() - began < PATIENCE_NS;)
        sleep_us(100);
    hold(&daemons, !found(mesh, "after"), "the dead daemon is found");
    step_back(0);
}

int main(void)
{
    test_begin(300);
    post = share(SIGNPOSTS * sizeof *post);
    mesh = attach_or_exit(64, 0, "observer");
    families();
    oom_killer();
    core_dump();
    commy_mesh_detach(&mesh);
    if (keeper_shares_descriptors())
        printf("closefrom(3): not run, a sanitizer's report needs the descriptors that the keeper would drop\n");
    const property_t all[] = {dumping, oom, children, forked, execs, daemons, sound, closes};
    return verdict(all, sizeof all / sizeof *all - keeper_shares_descriptors());
}
