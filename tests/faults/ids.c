/*
 * Ids and clocks that lie.
 *
 * A process id and a thread id that exist again (forced through ns_last_pid in a PID namespace of the test's own), the
 * same ids alive in several PID namespaces, another time namespace, and a real-time clock that jumps by years: the dead
 * stay dead, the living are found at every look, and no TTL moves.
 *
 * The real-time clock of the host is left alone: this program has a clock_gettime() of its own, which the library's calls
 * come to, and which adds what the test says.
 */
#include "people.h"

static property_t reused = {"the dead stay dead though their process and thread ids exist again", 0, 0};
static property_t taken_over = {"who has the ids of the dead can own their services, and dies as himself", 0, 0};
static property_t uncertain = {"a death that nobody can be sure of is one as soon as its ids are free", 0, 0};
static property_t namespaces = {"the same ids in another PID namespace neither kill nor keep anybody", 0, 0};
static property_t time_apart = {"another time namespace kills nobody", 0, 0};
static property_t jumps = {"a clock that jumps moves no TTL", 0, 0};
static property_t sound = {"the audit finds nothing after each", 0, 0};

static commy_mesh_t *mesh; /* the observer's */

/* -------------------------------------------------------------------------- clock */

static _Atomic int64_t jump_s;

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME)
        now->tv_sec += atomic_load(&jump_s);
    return result;
}

#define TTL_MS 400u
#define YEARS 315360000ll /* ten, in seconds */

static commy_status_t lease(const char *id, uint32_t flags)
{
    const commy_service_config_t config = {.size = sizeof config,
                                           .flags = flags,
                                           .service_name = "leases",
                                           .service_id = id,
                                           .endpoint = "127.0.0.1",
                                           .ttl_ms = TTL_MS,
                                           .port = 80};
    return commy_service_register(mesh, &config, NULL);
}

static int32_t health(const char *id)
{
    commy_service_info_t info;
    return commy_service_get(mesh, id, &info) == COMMY_STATUS_SUCCESS ? info.status : -1;
}

static uint64_t ms_since(uint64_t began)
{
    return (now_ns() - began) / 1000000;
}

static void clock_jumps(void)
{
    static const int64_t jump[] = {YEARS, -YEARS, 1, -1};
    commy_service_info_t info = {.status = 0};
    for (size_t i = 0; i < sizeof jump / sizeof *jump; i++) {
        uint64_t began = now_ns();
        hold(&jumps, lease("loose", COMMY_SERVICE_DETACHED) == 0 && lease("owned", 0) == 0, "%s",
             commy_last_error_message());
        atomic_store(&jump_s, jump[i]);
        bool early = true;
        while (ms_since(began) < TTL_MS - 100)
            early &= found(mesh, "loose") && health("owned") == COMMY_HEALTH_HEALTHY;
        hold(&jumps, early || ms_since(began) >= TTL_MS, "%+" PRId64 " s: gone or unhealthy before its time", jump[i]);
        /* Acknowledged, and then the clock jumps back. */
        uint64_t renewed = now_ns();
        bool renews = commy_service_heartbeat(mesh, "loose") == 0 && commy_service_heartbeat(mesh, "owned") == 0;
        atomic_store(&jump_s, 0);
        sleep_us(200000);
        bool kept = found(mesh, "loose") && health("owned") == COMMY_HEALTH_HEALTHY;
        hold(&jumps, !renews || kept || ms_since(renewed) >= TTL_MS, "%+" PRId64 " s: a heartbeat is overtaken",
             jump[i]);
        while (ms_since(renewed) < TTL_MS + 50)
            sleep_us(5000);
        hold(&jumps, !found(mesh, "loose") && health("owned") == COMMY_HEALTH_UNHEALTHY,
             "%+" PRId64 " s: %d after its time", jump[i], health("owned"));
        commy_service_unregister(mesh, "owned");
    }
    /* The library's calls do come to our clock. */
    atomic_store(&jump_s, YEARS);
    lease("shown", 0);
    hold(&jumps,
         commy_service_get(mesh, "shown", &info) == 0 &&
             info.registered_at_ns / 1000000000u > (uint64_t)time(NULL) + 1000,
         "registered at %" PRIu64, info.registered_at_ns);
    atomic_store(&jump_s, 0);
    commy_mesh_leave(mesh);
    hold(&sound, is_clean(mesh), "after the clock's jumps");
    commy_mesh_detach(&mesh);
    mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "observer");
}

/* ----------------------------------------------------------------------- namespaces */

/* Runs a body as the first process of a new PID namespace; returns its pid here. */
static pid_t start_in_pid_namespace(void (*body)(void *), void *at)
{
    static int own = -1;
    if (own < 0)
        own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (own < 0 || unshare(CLONE_NEWPID) != 0)
        return -1;
    /* Not start_process(): the new process sees 0 for a parent. */
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body(at);
        fflush(stdout);
        _exit(0);
    }
    if (setns(own, CLONE_NEWPID) != 0)
        exit(1);
    for (int i = 0; i < PROCESSES; i++)
        if (processes[i] == 0) {
            processes[i] = child;
            break;
        }
    return child;
}

static void live(void *at)
{
    char id[24];
    snprintf(id, sizeof id, "owner-%d", (int)((signpost_t *)at - post));
    become_owner(id, at);
    reach(at, 1);
    idle();
}

/* Somebody in a namespace in which most of the others' ids do not exist looks for the dead, with all the signs. */
static void reap_for_ever(void *at)
{
    commy_mesh_t *own = become_owner("reaper", at);
    reach(at, 1);
    for (;;) {
        commy_mesh_reap(own, NULL);
        atomic_fetch_add(&((signpost_t *)at)->status, 1);
        sleep_us(1000);
    }
}

static void same_ids(void)
{
    pid_t one = start_in_pid_namespace(live, &post[0]), two, reaper;
    if (one < 0) {
        printf("PID namespaces: not run, one cannot be made here (%s)\n", strerror(errno));
        namespaces.looked++;
        return;
    }
    two = start_in_pid_namespace(live, &post[1]);
    reaper = start_in_pid_namespace(reap_for_ever, &post[2]);
    pid_t outer = start_process(live, &post[3]);
    bool up =
        await(&post[0].stage, 1) && await(&post[1].stage, 1) && await(&post[2].stage, 1) && await(&post[3].stage, 1);
    hold(&namespaces, up && post[0].pid == post[1].pid && post[0].tid == post[1].tid, "ids %d/%d and %d/%d",
         post[0].pid, post[0].tid, post[1].pid, post[1].tid);
    int32_t turns = post[2].status;
    hold(&namespaces, found_throughout(mesh, "owner-0", 60, true) && found_throughout(mesh, "owner-3", 60, true),
         "the living are gone");
    hold(&namespaces, post[2].status > turns, "the reaper did nothing");
    end_process(one, true);
    hold(&namespaces, found_throughout(mesh, "owner-0", 30, false), "the dead is found");
    hold(&namespaces, found_throughout(mesh, "owner-1", 60, true), "the one with the same ids is gone");

    /* No mark, and nobody who could be sure: alive to strangers, until somebody of its own namespace comes by. */
    bend_word(mesh, post[1].other);
    end_process(two, true);
    hold(&namespaces, found_throughout(mesh, "owner-1", 30, true), "strangers took it for dead without a certain sign");
    hold(&namespaces, found_throughout(mesh, "owner-3", 30, true) && found(mesh, "reaper"), "a living one is gone");
    end_process(outer, true);
    end_process(reaper, true);
    hold(&namespaces, !found(mesh, "owner-3") && !found(mesh, "reaper"), "the dead are found");
    /* By hand, what only its own namespace could have: nobody of that is left. */
    cmy_store32_relaxed(&mesh->region->life[post[1].other].word, FUTEX_OWNER_DIED);
    hold(&sound, settles(mesh, 1), "after the namespaces");
    commy_mesh_leave(mesh);
    commy_mesh_detach(&mesh);
    mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "observer");
}

static void time_namespace(void)
{
    static const char *const offsets[] = {"monotonic 100000 0\nboottime 100000 0\n",
                                          "monotonic -100 0\nboottime -100 0\n"};
    for (size_t i = 0; i < 2; i++) {
        int status;
        uint64_t version;
        fflush(stdout);
        pid_t helper = fork(); /* stays outside; its children are inside */
        if (helper == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (unshare(CLONE_NEWTIME) != 0 || !write_file("/proc/self/timens_offsets", offsets[i]))
                _exit(9);
            if (fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                reap_for_ever(&post[4]);
            }
            idle();
        }
        reach(&post[4], 0);
        reach(&post[5], 0);
        for (uint64_t began = now_ns(); post[4].stage == 0 && now_ns() - began < PATIENCE_NS; sleep_us(1000))
            if (waitpid(helper, &status, WNOHANG) == helper) {
                printf("time namespaces: not run, one cannot be made here\n");
                time_apart.looked++;
                return;
            }
        pid_t outer = start_process(live, &post[5]);
        bool up = await(&post[4].stage, 1) && await(&post[5].stage, 1);
        int32_t turns = post[4].status;
        hold(&time_apart,
             up && found_throughout(mesh, "reaper", 100, true) && found_throughout(mesh, "owner-5", 100, true),
             "a living one is gone");
        hold(&time_apart, post[4].status > turns, "the one inside did nothing");
        commy_mesh_wait(mesh, NULL, 0, 0, &version);
        end_process(outer, true);
        hold(&time_apart, !found(mesh, "owner-5") && commy_mesh_wait(mesh, NULL, version, 2000, &version) == 0,
             "the dead is found");
        kill(helper, SIGKILL);
        waitpid(helper, NULL, 0);
        for (uint64_t began = now_ns(); found(mesh, "reaper") && now_ns() - began < PATIENCE_NS;)
            sleep_us(100);
        hold(&time_apart, !found(mesh, "reaper"), "the dead inside is found");
        hold(&sound, settles(mesh, 1), "after the time namespaces");
        commy_mesh_leave(mesh);
        commy_mesh_detach(&mesh);
        mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "observer");
    }
}

/* ------------------------------------------------------------------------ reuse */

static bool next_id(int32_t id)
{
    char text[16];
    snprintf(text, sizeof text, "%d", id - 1);
    return write_file("/proc/sys/kernel/ns_last_pid", text);
}

static void *sit(void *unused)
{
    idle();
    return unused;
}

/* Has the process id of the dead by now; takes the keeper's id too, for a thread or for a keeper of its own. */
static void impersonate(signpost_t *dead, signpost_t *at, bool as_owner)
{
    pthread_t thread;
    if (as_owner) {
        commy_mesh_t *own = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "impostor");
        next_id(dead->tid);
        if (commy_mesh_join(own, NULL, 0) != COMMY_STATUS_SUCCESS || put(own, "victim") != COMMY_STATUS_SUCCESS)
            _exit(1);
        uint64_t phase = cmy_load64_acquire(&own->region->life[cmy_owner_slot(own->actor.owner)].phase);
        atomic_store(&at->tid, (int32_t)cmy_life_tid(phase));
    } else {
        next_id(dead->tid);
        pthread_create(&thread, NULL, sit, NULL);
        atomic_store(&at->tid, syscall(SYS_tgkill, getpid(), dead->tid, 0) == 0 ? dead->tid : 0);
    }
    atomic_store(&at->pid, getpid());
    reach(at, 1);
    idle();
}

static pid_t start_impostor(signpost_t *dead, signpost_t *at, bool as_owner)
{
    reach(at, 0);
    next_id(dead->pid);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        impersonate(dead, at, as_owner);
    }
    hold(&reused, await(&at->stage, 1) && at->pid == dead->pid && at->tid == dead->tid,
         "ids %d/%d are not those of the dead %d/%d", at->pid, at->tid, dead->pid, dead->tid);
    return child;
}

static pid_t start_victim(signpost_t *at)
{
    reach(at, 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        become_owner("victim", at);
        reach(at, 1);
        idle();
    }
    hold(&reused, await(&at->stage, 1) && found(mesh, "victim"), "the victim does not come up");
    return child;
}

static void end_child(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static struct verdicts {
    property_t reused, taken_over, uncertain, sound;
    bool done;
} * verdicts;

/* In a PID namespace of its own: nobody else takes the ids, and nobody's ids are disturbed. */
static void reuse_ids(void *unused)
{
    signpost_t *dead = &post[6], *impostor = &post[7];
    (void)unused;
    mesh = attach_or_exit(0, COMMY_OPEN_MUST_EXIST, "observer");

    /* Marked and not yet reaped. */
    pid_t victim = start_victim(dead);
    end_child(victim);
    hold(&reused, !found(mesh, "victim"), "it is found before its ids are used again");
    pid_t other = start_impostor(dead, impostor, false);
    hold(&reused, found_throughout(mesh, "victim", 50, false), "it is found when its ids exist again");
    commy_mesh_reap(mesh, NULL);
    hold(&reused, phase_of(mesh, dead->other) == CMY_SLOT_FREE && found_throughout(mesh, "victim", 150, false),
         "reaping left phase %d", (int)phase_of(mesh, dead->other));
    end_child(other);
    hold(&sound, settles(mesh, 1), "marked");

    /* The next tenant of the ids is an owner too, of the same service, while the dead one's slot stays unreaped. */
    commy_mesh_leave(mesh);
    victim = start_victim(dead);
    end_child(victim);
    other = start_impostor(dead, impostor, true);
    hold(&taken_over, found_throughout(mesh, "victim", 100, true), "the new owner's is gone");
    end_child(other);
    hold(&taken_over, found_throughout(mesh, "victim", 100, false), "it is found after both died");
    commy_mesh_join(mesh, NULL, 0);
    hold(&sound, settles(mesh, 1), "taken over");

    /* Not marked, but somebody was sure in time. */
    victim = start_victim(dead);
    bend_word(mesh, dead->other);
    end_child(victim);
    commy_mesh_reap(mesh, NULL);
    hold(&reused, !found(mesh, "victim"), "the second sign tells nothing");
    other = start_impostor(dead, impostor, false);
    hold(&reused, found_throughout(mesh, "victim", 150, false), "it is found again");
    end_child(other);
    hold(&sound, settles(mesh, 1), "by the second sign");

    /* Not marked, and the ids were used again before anybody asked: not certain, hence alive, until they are free. */
    commy_mesh_leave(mesh);
    victim = start_victim(dead);
    bend_word(mesh, dead->other);
    end_child(victim);
    other = start_impostor(dead, impostor, false);
    commy_mesh_join(mesh, NULL, 0);
    commy_mesh_reap(mesh, NULL);
    bool still = found(mesh, "victim");
    end_child(other);
    commy_mesh_reap(mesh, NULL);
    hold(&uncertain, !found(mesh, "victim"), "it stays although its ids are free");
    printf("a death without a mark, whose ids exist again: %s while they do\n", still ? "taken for alive" : "known");
    hold(&sound, settles(mesh, 1), "uncertain");
    commy_mesh_detach(&mesh);
    *verdicts = (struct verdicts){reused, taken_over, uncertain, sound, true};
}

static void ids_again(void)
{
    verdicts = share(sizeof *verdicts);
    *verdicts = (struct verdicts){reused, taken_over, uncertain, sound, false};
    commy_mesh_detach(&mesh);
    if (access("/proc/sys/kernel/ns_last_pid", W_OK) != 0) {
        printf("ids used again: not run, ns_last_pid may not be written here\n");
        reused.looked = taken_over.looked = uncertain.looked = 1;
        return;
    }
    pid_t helper = start_in_pid_namespace(reuse_ids, NULL);
    if (helper < 0) {
        printf("ids used again: not run, no PID namespace can be made here\n");
        reused.looked = taken_over.looked = uncertain.looked = 1;
        return;
    }
    int status = end_process(helper, false);
    reused = verdicts->reused;
    taken_over = verdicts->taken_over;
    uncertain = verdicts->uncertain;
    sound = verdicts->sound;
    hold(&reused, verdicts->done, "the run itself ended with %#x", (unsigned)status);
}

int main(void)
{
    test_begin(300);
    post = share(SIGNPOSTS * sizeof *post);
    mesh = attach_or_exit(64, 0, "observer");
    clock_jumps();
    same_ids();
    time_namespace();
    ids_again();
    const property_t all[] = {reused, taken_over, uncertain, namespaces, time_apart, jumps, sound};
    return verdict(all, sizeof all / sizeof *all);
}
