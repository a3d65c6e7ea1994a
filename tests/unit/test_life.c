/* Participants: what life/ promises about who is alive and who is dead. Real processes join, and die in many ways. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "life/life.h"
#include "life/sign.h"
#include "support.h"

#define PATIENCE_NS 5000000000ull

static cmy_region_name_t name;
static cmy_region_t *region;

static void set_up(void)
{
    test_dir_make();
    cr_assert_eq(cmy_region_resolve(test_dir, "life", &name), COMMY_STATUS_SUCCESS);
    cr_assert_eq(cmy_region_create(&name, 16, NULL, 0), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    cr_assert_eq(cmy_region_map(&name, true, &region), COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
}

static void tear_down(void)
{
    cmy_region_unmap(&region);
    test_dir_destroy();
}

TestSuite(life, .init = set_up, .fini = tear_down, .timeout = 60);
TestSuite(death, .init = set_up, .fini = tear_down, .timeout = 60);
TestSuite(keeper, .init = set_up, .fini = tear_down, .timeout = 60);

static cmy_participant_t *join(void)
{
    cmy_participant_t *participant;
    commy_status_t status = cmy_life_join(region, "node-1", 4242, NULL, NULL, &participant);
    cr_assert_eq(status, COMMY_STATUS_SUCCESS, "%s", commy_last_error_message());
    return participant;
}

static uint64_t phase_of(uint32_t slot)
{
    return cmy_load64_acquire(&region->life[slot].phase);
}

static void set_phase(uint32_t slot, uint64_t phase)
{
    cmy_store64_release(&region->life[slot].phase, phase);
}

/* ------------------------------------------------------------- other processes */

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* A process that joined; it goes on, or ends, by what it was told to do. */
typedef struct child {
    pid_t pid;
    uint32_t owner, slot;
    int says;  /* what it prints; at its end when it is gone */
    int hears; /* what it may wait for: end of file when closed */
} child_t;

typedef void child_fn(int says, int hears);

/* In a child: maps for itself, joins, and tells its owner number. */
static void child_join(int says)
{
    static cmy_participant_t *participant;
    cmy_region_unmap(&region); /* the parent's */
    if (cmy_region_map(&name, true, &region) != COMMY_STATUS_SUCCESS ||
        cmy_life_join(region, "child", 1, NULL, NULL, &participant) != COMMY_STATUS_SUCCESS)
        _exit(99);
    uint32_t owner = cmy_life_owner(participant);
    if (write(says, &owner, sizeof owner) != sizeof owner)
        _exit(98);
}

static void wait_for_end(int fd)
{
    char byte;
    while (read(fd, &byte, 1) > 0 || errno == EINTR)
        errno = 0;
}

static child_t child_start(child_fn *then)
{
    int up[2], down[2];
    cr_assert_eq(pipe2(up, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(down, O_CLOEXEC), 0);
    child_t child = {.pid = fork(), .says = up[0], .hears = down[1]};
    cr_assert_geq(child.pid, 0);
    if (child.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(up[0]);
        close(down[1]);
        child_join(up[1]);
        then(up[1], down[0]);
        _exit(0);
    }
    close(up[1]);
    close(down[0]);
    cr_assert_eq(read(child.says, &child.owner, sizeof child.owner), (ssize_t)sizeof child.owner);
    child.slot = cmy_owner_slot(child.owner);
    return child;
}

static void child_wait(child_t *child)
{
    cr_assert_eq(waitpid(child->pid, NULL, 0), child->pid);
    close(child->says);
    close(child->hears);
}

static void child_kill(child_t *child)
{
    kill(child->pid, SIGKILL);
    child_wait(child);
}

static void then_wait(int says, int hears)
{
    (void)says;
    wait_for_end(hears);
}

static void assert_alive(const child_t *child)
{
    cr_assert(cmy_life_alive(region, child->owner));
    cr_assert_not(cmy_life_certify(region, child->slot));
    cr_assert_not(cmy_life_dead(region, child->owner));
    cr_assert(cmy_life_alive(region, child->owner));
}

/* The first look at a death; where other keepers live, one of them may have been faster, and be about to add. */
static void assert_dead(const child_t *child)
{
    static uint64_t deaths;
    const cmy_word64_t *epoch = &region->header->death_epoch;
    cr_assert_not(cmy_life_alive(region, child->owner));
    cr_assert(cmy_life_dead(region, child->owner));
    cr_assert_eq(cmy_life_phase(phase_of(child->slot)), CMY_SLOT_DEAD);
    cr_assert(cmy_life_dead(region, child->owner));
    deaths++;
    for (int i = 0; i < 1000 && cmy_load64_relaxed(epoch) < deaths; i++)
        pause_ms(1);
    cr_assert_eq(cmy_load64_relaxed(epoch), deaths, "raised once for each");
}

/* ------------------------------------------------------------- joining, leaving */

Test(life, who_joined_is_alive_and_who_left_is_dead)
{
    cmy_participant_t *participant = join();
    uint32_t owner = cmy_life_owner(participant), slot = cmy_owner_slot(owner);
    cr_assert_eq(slot, 0);
    cr_assert(cmy_life_alive(region, owner));
    cr_assert_eq(cmy_load32_acquire(&region->life[slot].word), cmy_life_tid(phase_of(slot)) | FUTEX_WAITERS);
    cr_assert_not(cmy_life_dead(region, owner));
    cr_assert_eq(cmy_life_count(region), 1);

    cmy_life_leave(&participant);
    cr_assert_null(participant);
    cr_assert_not(cmy_life_alive(region, owner));
    cr_assert(cmy_load32_acquire(&region->life[slot].word) & FUTEX_OWNER_DIED, "marked by the kernel");
    cr_assert_eq(cmy_life_phase(phase_of(slot)), CMY_SLOT_DEAD);
    cr_assert(cmy_life_dead(region, owner));
    cr_assert_eq(cmy_life_count(region), 0);
    cmy_life_leave(&participant);
}

Test(life, the_next_tenant_of_a_slot_is_somebody_else)
{
    cmy_participant_t *participant = join();
    uint32_t first = cmy_life_owner(participant);
    cmy_life_leave(&participant);
    cmy_life_free(region, 0, phase_of(0));
    participant = join();
    uint32_t second = cmy_life_owner(participant);
    cr_assert_eq(cmy_owner_slot(second), cmy_owner_slot(first));
    cr_assert_eq(cmy_owner_incarnation(second), cmy_owner_incarnation(first) + 1);
    cr_assert(cmy_life_dead(region, first));
    cr_assert_not(cmy_life_alive(region, first));
    cr_assert(cmy_life_alive(region, second));
    cmy_life_leave(&participant);
}

Test(life, the_last_incarnation_is_followed_by_the_first)
{
    set_phase(0, cmy_life_word(CMY_SLOT_DEAD, 0, CMY_INCARNATION_MASK, 0));
    cmy_life_free(region, 0, phase_of(0));
    cmy_participant_t *participant = join();
    cr_assert_eq(cmy_life_owner(participant), cmy_owner(0, 0));
    cr_assert_neq(cmy_life_owner(participant), CMY_NOBODY);
    cmy_life_leave(&participant);
}

Test(life, two_handles_of_a_process_are_two_participants)
{
    cmy_participant_t *one = join(), *two = join();
    uint32_t owner = cmy_life_owner(two);
    cr_assert_neq(cmy_life_owner(one), owner);
    cr_assert_eq(cmy_life_count(region), 2);
    cmy_life_leave(&one);
    cr_assert(cmy_life_alive(region, owner));
    cmy_life_leave(&two);
    cr_assert_not(cmy_life_alive(region, owner));
}

Test(life, a_dead_slot_is_not_taken_before_it_is_freed)
{
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++)
        set_phase(slot, cmy_life_word(CMY_SLOT_DEAD, 0, 7, 0));
    cmy_participant_t *participant;
    cr_assert_eq(cmy_life_join(region, "n", 0, NULL, NULL, &participant), COMMY_STATUS_LIMIT);
    cr_assert_null(participant);
    cr_assert_not_null(strstr(commy_last_error_message(), "1024 participant slots"), "%s", commy_last_error_message());
    cr_assert_not_null(strstr(commy_last_error_message(), name.dir), "%s", commy_last_error_message());
    cmy_life_free(region, 1023, phase_of(1023));
    participant = join();
    cr_assert_eq(cmy_life_owner(participant), cmy_owner(1023, 8));
    cmy_life_leave(&participant);
}

Test(life, a_participant_is_described_as_it_joined)
{
    uint64_t before = cmy_clock_real_ns();
    cmy_participant_t *participant = join();
    uint32_t slot = cmy_owner_slot(cmy_life_owner(participant));
    commy_participant_t seen = {.services = 77};
    cr_assert(cmy_life_describe(region, slot, &seen));
    cr_assert_str_eq(seen.node_id, "node-1");
    cr_assert_eq(seen.pid, (uint32_t)getpid());
    cr_assert_eq(seen.uid, geteuid());
    cr_assert_eq(seen.slot, slot);
    cr_assert_eq(seen.listen_port, 4242);
    cr_assert_eq(seen.alive, 1);
    cr_assert_eq(seen.services, 0);
    cr_assert(seen.joined_at_ns >= before && seen.joined_at_ns <= cmy_clock_real_ns());
    cmy_life_leave(&participant);
    cr_assert(cmy_life_describe(region, slot, &seen));
    cr_assert_eq(seen.alive, 0);
    cmy_life_free(region, slot, phase_of(slot));
    cr_assert_not(cmy_life_describe(region, slot, &seen));
    set_phase(slot, cmy_life_word(CMY_SLOT_JOINING, 0, 1, 1));
    cr_assert_not(cmy_life_describe(region, slot, &seen));
    cr_assert_not(cmy_life_describe(region, COMMY_LIMIT_PARTICIPANTS, &seen));
}

Test(life, what_is_not_certain_is_not_dead)
{
    cr_assert_not(cmy_life_dead(region, CMY_NOBODY));
    cr_assert(cmy_life_alive(region, CMY_NOBODY));
    uint32_t owner = cmy_owner(5, 3);
    set_phase(5, cmy_life_word(CMY_SLOT_JOINING, 0, 3, 1));
    cmy_store32_relaxed(&region->life[5].word, FUTEX_OWNER_DIED); /* of the tenant before */
    cr_assert_not(cmy_life_dead(region, owner), "joining: the word is not its own yet");
    cmy_store32_relaxed(&region->life[5].word, 1 | FUTEX_WAITERS);
    set_phase(5, cmy_life_word(CMY_SLOT_ARMED, 0, 3, 1));
    cr_assert_not(cmy_life_dead(region, owner));
    cr_assert(cmy_life_alive(region, owner));
    set_phase(5, cmy_life_word(CMY_SLOT_LEAVING, 0, 3, 1));
    cr_assert_not(cmy_life_dead(region, owner), "leaving: still at work");
    cr_assert_not(cmy_life_alive(region, owner), "leaving: not to be found any more");
    cr_assert_not(cmy_life_certify(region, 5), "of another namespace");
}

static uint32_t thread_that_is_gone(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    return (uint32_t)child;
}

Test(life, a_missing_thread_says_nothing_in_another_pid_namespace)
{
    uint64_t ours = cmy_life_namespace(), similar = ours + (1ull << CMY_LIFE_NAMESPACE_BITS);
    cr_assert_neq(ours, 0);
    uint32_t gone = thread_that_is_gone();
    cmy_store32_relaxed(&region->participants[5].pid, (uint32_t)getpid());

    uint64_t foreign[] = {cmy_life_word(CMY_SLOT_JOINING, ours + 1, 3, gone),
                          cmy_life_word(CMY_SLOT_ARMED, ours + 1, 3, gone),
                          cmy_life_word(CMY_SLOT_ARMED, similar, 3, gone)};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        cmy_store64_relaxed(&region->participants[5].pid_namespace, i == 2 ? similar : ours + 1);
        set_phase(5, foreign[i]);
        cr_assert_not(cmy_life_certify(region, 5));
        cr_assert_eq(phase_of(5), foreign[i]);
    }
    cmy_store64_relaxed(&region->participants[5].pid_namespace, ours);
    set_phase(5, cmy_life_word(CMY_SLOT_ARMED, ours, 3, gone));
    cr_assert(cmy_life_certify(region, 5), "in ours it says all");
}

Test(life, an_earlier_incarnation_is_dead_and_nobody_lives_outside_the_table)
{
    set_phase(5, cmy_life_word(CMY_SLOT_ARMED, 0, 3, 1));
    cr_assert(cmy_life_dead(region, cmy_owner(5, 2)));
    cr_assert_not(cmy_life_alive(region, cmy_owner(5, 2)));
    cr_assert(cmy_life_dead(region, cmy_owner(1024, 0)));
    cr_assert_not(cmy_life_alive(region, cmy_owner(2000, 0)));
}

static void assert_owns(uint32_t owner, uint64_t version)
{
    uint64_t state = version << 34 | cmy_state(0, owner, CMY_LIVE);
    cr_assert_eq(cmy_life_owns(region, state), owner != CMY_NOBODY && cmy_life_alive(region, owner), "owner %#x",
                 owner);
}

Test(life, of_a_live_record_the_short_way_to_its_owner_says_what_the_long_one_says)
{
    static const uint32_t slots[] = {0, 1, 5, 511, 512, 1022, 1023};
    static const uint32_t incarnations[] = {0, 1, 2, 3, 0x55555, 0xffffe, CMY_INCARNATION_MASK};
    static const uint32_t words[] = {0, 1 | FUTEX_WAITERS, 1 | FUTEX_WAITERS | FUTEX_OWNER_DIED, ~FUTEX_OWNER_DIED};
    unsigned lived = 0;
    for (size_t s = 0; s < sizeof slots / sizeof *slots; s++)
        for (size_t i = 0; i < sizeof incarnations / sizeof *incarnations; i++)
            for (unsigned phase = 0; phase < 8; phase++)
                for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
                    cmy_store32_relaxed(&region->life[slots[s]].word, words[w]);
                    set_phase(slots[s], cmy_life_word((cmy_life_phase_t)phase, w % 2 ? ~0ull : 0, incarnations[i],
                                                      w % 2 ? ~0u : 0));
                    for (size_t other = 0; other < sizeof incarnations / sizeof *incarnations; other++)
                        assert_owns(cmy_owner(slots[s], incarnations[other]), w * 0x15555555);
                    lived += cmy_life_owns(region, cmy_state(1, cmy_owner(slots[s], incarnations[i]), CMY_LIVE));
                }
    cr_assert_eq(lived, sizeof slots / sizeof *slots * (sizeof incarnations / sizeof *incarnations) * 3);
    for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS; slot++)
        for (uint32_t incarnation = 0; incarnation < 4; incarnation++) {
            assert_owns(cmy_owner(slot, incarnation), 1);
            assert_owns(cmy_owner(slot, incarnation) & ~1u, 1); /* nobody, but for these bytes */
        }
    set_phase(0, cmy_life_word(CMY_SLOT_ARMED, 0, 0, 1));
    assert_owns(CMY_NOBODY, 1);
}

Test(life, any_bytes_are_survived)
{
    unsigned seed = 12345;
    for (int round = 0; round < 4; round++) {
        unsigned char *life = (unsigned char *)region->life;
        for (size_t i = 0; i < COMMY_LIMIT_PARTICIPANTS * sizeof *region->life; i++)
            life[i] = (unsigned char)rand_r(&seed);
        unsigned char *participants = (unsigned char *)region->participants;
        for (size_t i = 0; i < COMMY_LIMIT_PARTICIPANTS * sizeof *region->participants; i++)
            participants[i] = (unsigned char)rand_r(&seed);
        for (uint32_t slot = 0; slot < COMMY_LIMIT_PARTICIPANTS + 2; slot++) {
            commy_participant_t seen;
            uint32_t owner = (uint32_t)rand_r(&seed);
            cmy_life_alive(region, owner);
            cmy_life_dead(region, owner);
            cmy_life_certify(region, slot);
            if (cmy_life_describe(region, slot, &seen))
                cr_assert_eq(seen.node_id[COMMY_LIMIT_MESH_BYTES], '\0');
            cmy_life_free(region, slot, ((uint64_t)rand_r(&seed) << 32) | CMY_SLOT_DEAD);
        }
        cr_assert_leq(cmy_life_count(region), COMMY_LIMIT_PARTICIPANTS);
        cmy_participant_t *participant;
        commy_status_t status = cmy_life_join(region, "n", 0, NULL, NULL, &participant);
        cr_assert(status == COMMY_STATUS_SUCCESS || status == COMMY_STATUS_LIMIT);
        cmy_life_leave(&participant);
    }
}

/* ------------------------------------------------------------------- dying */

Test(death, by_sigkill_is_seen)
{
    child_t child = child_start(then_wait);
    assert_alive(&child);
    child_kill(&child);
    assert_dead(&child);
}

static void then_exit(int says, int hears)
{
    (void)says;
    wait_for_end(hears);
    _exit(0);
}

static void then_abort(int says, int hears)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    (void)says;
    wait_for_end(hears);
    signal(SIGABRT, SIG_DFL);
    abort();
}

static void ends_by_itself(child_fn *how)
{
    child_t child = child_start(how);
    assert_alive(&child);
    close(child.hears);
    child.hears = -1;
    child_wait(&child);
    assert_dead(&child);
}

Test(death, by_exit_is_seen)
{
    ends_by_itself(then_exit);
}

Test(death, by_abort_is_seen)
{
    ends_by_itself(then_abort);
}

static void then_exec(int says, int hears)
{
    (void)says;
    dup2(hears, STDIN_FILENO);
    execlp("cat", "cat", (char *)NULL);
}

Test(death, exec_is_a_death_although_the_process_lives)
{
    child_t child = child_start(then_exec);
    wait_for_end(child.says); /* closed by exec */
    cr_assert_eq(kill(child.pid, 0), 0);
    assert_dead(&child);
    child_kill(&child);
}

static void *wait_for_end_of(void *fd)
{
    wait_for_end(*(int *)fd);
    syscall(SYS_exit_group, 0); /* past leak checkers, which cannot look at a first thread that has ended */
    return NULL;
}

static void then_end_main_thread(int says, int hears)
{
    static int fd;
    pthread_t other;
    fd = hears;
    (void)says;
    pthread_create(&other, NULL, wait_for_end_of, &fd);
    pthread_exit(NULL);
}

static char state_of(pid_t pid)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file && !fgets(line, sizeof line, file))
        line[0] = '\0';
    if (file)
        fclose(file);
    const char *end = strrchr(line, ')');
    return end ? end[2] : '?';
}

Test(death, a_process_lives_on_without_its_first_thread)
{
    child_t child = child_start(then_end_main_thread);
    while (state_of(child.pid) != 'Z')
        pause_ms(1);
    assert_alive(&child);
    close(child.hears);
    child.hears = -1;
    child_wait(&child);
    assert_dead(&child);
}

static void then_end_all_threads(int says, int hears)
{
    (void)says;
    (void)hears;
    pthread_exit(NULL);
}

Test(keeper, does_not_keep_a_program_alive_whose_threads_have_all_ended)
{
    child_t child = child_start(then_end_all_threads);
    uint64_t until = cmy_clock_monotonic_ns() + PATIENCE_NS;
    while (waitpid(child.pid, NULL, WNOHANG) == 0) {
        cr_assert_lt(cmy_clock_monotonic_ns(), until, "the process lives on with nothing but its keeper");
        pause_ms(5);
    }
    assert_dead(&child);
}

static void then_close_all(int says, int hears)
{
    (void)says;
    (void)hears;
    for (int fd = 0; fd < 256; fd++)
        close(fd);
    pause();
}

Test(death, closing_all_descriptors_is_none)
{
    child_t child = child_start(then_close_all);
    wait_for_end(child.says);
    pause_ms(150); /* a round of its keeper */
    assert_alive(&child);
    child_kill(&child);
    assert_dead(&child);
}

static void then_fork(int says, int hears)
{
    pid_t grandchild = fork();
    if (grandchild == 0) {
        wait_for_end(hears);
        _exit(0);
    }
    (void)!write(says, &grandchild, sizeof grandchild);
    pause();
}

Test(death, a_forked_child_does_not_keep_its_parent_alive)
{
    child_t child = child_start(then_fork);
    pid_t grandchild;
    cr_assert_eq(read(child.says, &grandchild, sizeof grandchild), (ssize_t)sizeof grandchild);
    assert_alive(&child);
    kill(child.pid, SIGKILL);
    cr_assert_eq(waitpid(child.pid, NULL, 0), child.pid);
    cr_assert_eq(kill(grandchild, 0), 0);
    assert_dead(&child);
    close(child.hears);
    wait_for_end(child.says); /* the grandchild is gone too */
}

static _Atomic uint64_t rounds;

static void count_rounds(void *user)
{
    (void)user;
    rounds++;
}

static bool rounds_beyond(uint64_t count)
{
    for (uint64_t until = cmy_clock_monotonic_ns() + PATIENCE_NS; cmy_clock_monotonic_ns() < until; pause_ms(1))
        if (rounds > count)
            return true;
    return false;
}

Test(death, a_forked_child_that_leaves_or_dies_does_its_parent_no_harm)
{
    cmy_participant_t *participant;
    cr_assert_eq(cmy_life_join(region, "n", 0, count_rounds, NULL, &participant), COMMY_STATUS_SUCCESS);
    pid_t child = fork();
    if (child == 0) {
        cmy_life_nudge(participant);
        cmy_life_leave(&participant);
        cmy_region_unmap(&region);
        _exit(participant == NULL && region == NULL ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert(cmy_life_alive(region, cmy_life_owner(participant)));
    cr_assert(rounds_beyond(rounds), "the keeper goes on");
    cmy_life_leave(&participant);
}

Test(death, a_stopped_process_is_alive)
{
    child_t child = child_start(then_wait);
    kill(child.pid, SIGSTOP);
    cr_assert_eq(waitpid(child.pid, NULL, WUNTRACED), child.pid);
    assert_alive(&child);
    kill(child.pid, SIGKILL);
    child_wait(&child);
    assert_dead(&child);
}

Test(death, that_the_kernel_could_not_mark_is_certified_by_the_missing_thread)
{
    child_t child = child_start(then_wait);
    cmy_store32_relaxed(&region->life[child.slot].word, FUTEX_WAITERS | 1); /* not its own any more */
    child_kill(&child);
    cr_assert(cmy_life_alive(region, child.owner), "nothing is known yet");
    cr_assert(cmy_life_certify(region, child.slot));
    cr_assert_not(cmy_life_alive(region, child.owner));
    cr_assert_eq(cmy_load64_relaxed(&region->header->death_epoch), 1);
    cmy_life_free(region, child.slot, phase_of(child.slot));
    cr_assert_eq(cmy_life_phase(phase_of(child.slot)), CMY_SLOT_FREE);
}

static void then_join_halfway(int says, int hears)
{
    uint64_t word = cmy_life_word(CMY_SLOT_JOINING, cmy_life_namespace(), 9, (uint32_t)syscall(SYS_gettid));
    set_phase(9, word);
    close(says);
    wait_for_end(hears);
}

Test(death, while_joining_gives_the_slot_back)
{
    child_t child = child_start(then_join_halfway);
    wait_for_end(child.says);
    cr_assert_not(cmy_life_certify(region, 9));
    cr_assert_eq(cmy_life_phase(phase_of(9)), CMY_SLOT_JOINING, "who lives goes on joining");
    child_kill(&child);
    uint64_t epoch = cmy_load64_relaxed(&region->header->death_epoch);
    cr_assert_not(cmy_life_certify(region, 9), "there is nothing to reap");
    cr_assert_eq(phase_of(9), cmy_life_word(CMY_SLOT_FREE, 0, 10, 0));
    cr_assert_eq(cmy_load64_relaxed(&region->header->death_epoch), epoch, "nobody ever saw it alive");
}

Test(death, before_the_kernel_is_done_does_not_free_the_slot)
{
    cmy_participant_t *participant = join();
    uint32_t slot = cmy_owner_slot(cmy_life_owner(participant));
    uint64_t armed = phase_of(slot);
    /* As a core dump of ours would have it: declared dead, thread there, word unmarked. */
    set_phase(slot, cmy_life_with_phase(armed, CMY_SLOT_DEAD));
    cr_assert(cmy_life_certify(region, slot));
    cmy_life_free(region, slot, phase_of(slot));
    cr_assert_eq(phase_of(slot), cmy_life_with_phase(armed, CMY_SLOT_DEAD));
    cmy_life_leave(&participant);
    cr_assert_eq(cmy_life_phase(phase_of(slot)), CMY_SLOT_DEAD);
    cmy_life_free(region, slot, phase_of(slot));
    cr_assert_eq(phase_of(slot), cmy_life_word(CMY_SLOT_FREE, 0, cmy_life_incarnation(armed) + 1, 0));
}

/* ---------------------------------------------------------------- core dump */

#define DUMP_BYTES (256ul << 20) /* takes the kernel long enough to be met at it */

static void then_dump_core(int says, int hears)
{
    char *bytes = mmap(NULL, DUMP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    if (bytes == MAP_FAILED || setrlimit(RLIMIT_CORE, &all) != 0 || chdir(name.dir) != 0)
        _exit(0);
    memset(bytes, 1, DUMP_BYTES);
    prctl(PR_SET_DUMPABLE, 1);
    (void)!write(says, "", 1);
    wait_for_end(hears);
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

static bool unmarked(uint32_t slot)
{
    return !(cmy_load32_acquire(&region->life[slot].word) & FUTEX_OWNER_DIED);
}

/* Calls `look` while the core of a participant is being dumped; it says whether it came before the mark. */
static void seen_in_core_dump(bool (*look)(const child_t *))
{
    child_t child = child_start(then_dump_core);
    char byte;
    if (read(child.says, &byte, 1) != 1)
        cr_skip("cores cannot be dumped here");
    assert_alive(&child);
    close(child.hears);
    child.hears = -1;
    bool before_the_mark = false;
    while (waitpid(child.pid, NULL, WNOHANG) == 0) {
        if (!before_the_mark && dump_under_way(child.pid) && unmarked(child.slot))
            before_the_mark = look(&child);
        sched_yield();
    }
    close(child.says);
    cr_assert(cmy_life_dead(region, child.owner));
    cmy_life_free(region, child.slot, phase_of(child.slot));
    cr_assert_eq(cmy_life_phase(phase_of(child.slot)), CMY_SLOT_FREE);
    if (!before_the_mark)
        cr_skip("no dump was met under way: core_pattern sends it elsewhere, or this kernel marks words first");
}

static bool certify_it(const child_t *child)
{
    cr_assert(cmy_life_certify(region, child->slot));
    uint64_t dead = phase_of(child->slot);
    if (!unmarked(child->slot))
        return false;
    cr_assert_eq(cmy_life_phase(dead), CMY_SLOT_DEAD);
    cr_assert_neq(cmy_life_tid(dead), 0, "a mark may come");
    return true;
}

Test(death, is_seen_while_the_core_is_being_dumped)
{
    seen_in_core_dump(certify_it);
}

static bool let_a_keeper_find_it(const child_t *child)
{
    cmy_participant_t *participant = join();
    while (cmy_life_alive(region, child->owner))
        pause_ms(1);
    bool before_the_mark = unmarked(child->slot);
    cmy_life_leave(&participant);
    return before_the_mark;
}

Test(keeper, finds_a_death_while_the_core_is_being_dumped)
{
    seen_in_core_dump(let_a_keeper_find_it);
}

/* --------------------------------------------------------------- namespaces */

/* A process that is the first of a new PID namespace; own: that of this one. */
static child_t child_start_in_new_namespace(int own)
{
    cr_assert_eq(unshare(CLONE_NEWPID), 0);
    child_t child = child_start(then_wait);
    cr_assert_eq(setns(own, CLONE_NEWPID), 0);
    return child;
}

Test(death, in_another_pid_namespace_is_seen_and_life_there_is_never_mistaken)
{
    int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (geteuid() != 0 || own < 0 || unshare(CLONE_NEWPID) != 0 || setns(own, CLONE_NEWPID) != 0)
        cr_skip("a PID namespace cannot be made here: %s", geteuid() ? "not root" : strerror(errno));
    child_t one = child_start_in_new_namespace(own), two = child_start_in_new_namespace(own);
    close(own);
    cr_assert_eq(cmy_life_tid(phase_of(one.slot)), cmy_life_tid(phase_of(two.slot)), "the same number in both");
    cr_assert_neq(cmy_life_space(phase_of(one.slot)), cmy_life_space(phase_of(two.slot)));
    assert_alive(&one);
    assert_alive(&two);
    child_kill(&one);
    assert_dead(&one);
    assert_alive(&two);
    child_kill(&two);
    assert_dead(&two);
}

/* ------------------------------------------------------------------- keeper */

typedef struct sentry {
    uint32_t owner;
    _Atomic uint64_t dead_at_ns;
} sentry_t;

static void look_for_death(void *user)
{
    sentry_t *sentry = user;
    if (sentry->owner && !sentry->dead_at_ns && cmy_life_dead(region, sentry->owner))
        sentry->dead_at_ns = cmy_clock_monotonic_ns();
}

static void measure_notice(const char *how, int times)
{
    uint64_t sum = 0, worst = 0;
    for (int i = 0; i < times; i++) {
        child_t child = child_start(then_wait);
        sentry_t sentry = {.owner = child.owner};
        cmy_participant_t *participant;
        cr_assert_eq(cmy_life_join(region, "sentry", 0, look_for_death, &sentry, &participant), COMMY_STATUS_SUCCESS);
        pause_ms(20);
        uint64_t killed = cmy_clock_monotonic_ns();
        kill(child.pid, SIGKILL);
        while (!sentry.dead_at_ns && cmy_clock_monotonic_ns() - killed < PATIENCE_NS)
            pause_ms(1);
        cr_assert_neq(sentry.dead_at_ns, 0, "not noticed");
        uint64_t took = sentry.dead_at_ns - killed;
        sum += took;
        worst = took > worst ? took : worst;
        child_wait(&child);
        cmy_life_leave(&participant);
        for (uint32_t slot = 0; slot < 4; slot++)
            cmy_life_free(region, slot, phase_of(slot));
    }
    cr_log_warn("%s: from SIGKILL to housekeeping %llu us on average, %llu us at worst", how,
                (unsigned long long)(sum / (uint64_t)times / 1000), (unsigned long long)(worst / 1000));
}

Test(keeper, is_woken_by_a_death)
{
    measure_notice("keeper woken by the kernel", 20);
}

/* From now on a system call of this process fails with `error`. */
static bool forbid(long number, uint32_t error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), /* seccomp_data.nr */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

Test(keeper, notices_a_death_on_a_kernel_without_futex_waitv)
{
    if (!forbid(449, ENOSYS))
        cr_skip("system calls cannot be forbidden here");
    measure_notice("keeper that can sleep on one futex only", 5);
}

Test(keeper, does_without_a_table_of_its_own_where_a_sandbox_forbids_it)
{
    if (!forbid(436, EPERM))
        cr_skip("system calls cannot be forbidden here");
    cmy_participant_t *participant = join();
    cr_assert_eq(fcntl(STDERR_FILENO, F_GETFD) >= 0, 1);
    cr_assert(cmy_life_alive(region, cmy_life_owner(participant)));
    cmy_life_leave(&participant);
}

static void refused_without(long number)
{
    if (!forbid(number, ENOSYS))
        cr_skip("system calls cannot be forbidden here");
    cmy_participant_t *participant;
    cr_assert_eq(cmy_life_join(region, "n", 0, NULL, NULL, &participant), COMMY_STATUS_KERNEL);
    cr_assert_not_null(strstr(commy_last_error_message(), "robust futexes"), "%s", commy_last_error_message());
    cr_assert_eq(phase_of(0), 0, "no slot was touched");
}

Test(keeper, does_not_join_where_the_kernel_takes_no_robust_list)
{
    refused_without(SYS_set_robust_list);
}

Test(keeper, does_not_join_where_the_kernel_does_not_show_its_robust_list)
{
    refused_without(SYS_get_robust_list);
}

Test(keeper, runs_housekeeping_often_and_soon_after_a_nudge)
{
    cmy_participant_t *participant;
    cr_assert_eq(cmy_life_join(region, "n", 0, count_rounds, NULL, &participant), COMMY_STATUS_SUCCESS);
    for (int i = 0; i < 5; i++)
        cr_assert(rounds_beyond(rounds));
    uint64_t before = rounds, began = cmy_clock_monotonic_ns();
    for (int i = 0; i < 20; i++) {
        uint64_t seen = rounds;
        cmy_life_nudge(participant);
        while (rounds == seen && cmy_clock_monotonic_ns() - began < PATIENCE_NS)
            sched_yield();
    }
    cr_log_warn("20 nudges brought %llu rounds in %llu us", (unsigned long long)(rounds - before),
                (unsigned long long)((cmy_clock_monotonic_ns() - began) / 1000));
    cr_assert_geq(rounds - before, 20);
    cmy_life_leave(&participant);
}

static void needs_participant(void *user)
{
    cmy_participant_t **participant = user;
    if (*participant && cmy_life_alive(region, cmy_life_owner(*participant)))
        rounds++;
    else
        rounds += 1000000;
}

Test(keeper, knows_its_participant_at_the_first_housekeeping)
{
    for (int i = 0; i < 50; i++) {
        static cmy_participant_t *participant;
        rounds = 0;
        cr_assert_eq(cmy_life_join(region, "n", 0, needs_participant, &participant, &participant),
                     COMMY_STATUS_SUCCESS);
        cr_assert(rounds_beyond(0));
        cr_assert_lt(rounds, 1000000);
        cmy_life_leave(&participant);
    }
}

Test(keeper, that_nobody_else_wakes_finds_a_death_while_joining_and_one_that_was_not_marked)
{
    child_t halfway = child_start(then_join_halfway);
    wait_for_end(halfway.says);
    child_t unmarked = child_start(then_wait);
    cmy_store32_relaxed(&region->life[unmarked.slot].word, FUTEX_WAITERS | 1);
    cmy_participant_t *participant = join();
    pause_ms(20);
    child_kill(&halfway);
    child_kill(&unmarked);
    uint64_t began = cmy_clock_monotonic_ns();
    while ((cmy_life_phase(phase_of(9)) == CMY_SLOT_JOINING || cmy_life_alive(region, unmarked.owner)) &&
           cmy_clock_monotonic_ns() - began < 2 * PATIENCE_NS)
        pause_ms(1);
    cr_assert_eq(cmy_life_phase(phase_of(9)), CMY_SLOT_FREE);
    cr_assert_eq(cmy_life_phase(phase_of(unmarked.slot)), CMY_SLOT_DEAD);
    cmy_life_leave(&participant);
}

static _Atomic int handled;

static void on_signal(int number)
{
    (void)number;
    handled++;
}

Test(keeper, runs_no_signal_handler_of_the_program)
{
    sigset_t one, pending;
    signal(SIGUSR1, on_signal);
    cmy_participant_t *participant = join();
    pthread_sigmask(SIG_SETMASK, NULL, &one);
    cr_assert_not(sigismember(&one, SIGUSR1), "the joiner's own mask is as it was");
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    kill(getpid(), SIGUSR1);
    pause_ms(50);
    cr_assert_eq(handled, 0);
    sigpending(&pending);
    cr_assert(sigismember(&pending, SIGUSR1));
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    cr_assert_eq(handled, 1);
    cmy_life_leave(&participant);
}

Test(keeper, does_not_keep_the_program_from_changing_its_user_id)
{
    cmy_participant_t *participant = join();
    cr_assert_eq(setuid(getuid()), 0);
    cmy_life_leave(&participant);
}

Test(keeper, keeps_nothing_of_the_program_open_and_closes_nothing_of_it)
{
    int ends[2];
    char byte, path[64];
    cr_assert_eq(pipe(ends), 0);
    cmy_participant_t *participant = join();
    uint32_t tid = cmy_life_tid(phase_of(cmy_owner_slot(cmy_life_owner(participant))));
    cr_assert_eq(write(ends[1], "x", 1), 1);
    cr_assert_eq(read(ends[0], &byte, 1), 1);
    snprintf(path, sizeof path, "/proc/self/task/%u/fd/%d", tid, ends[1]);
    bool shared = access(path, F_OK) == 0;
    close(ends[1]);
    cr_assert_eq(read(ends[0], &byte, 1), 0, "the last writer is gone");
    cmy_life_leave(&participant);
#if !defined(__SANITIZE_ADDRESS__)
    if (syscall(SYS_close_range, 100000, 100000, 0) != 0)
        cr_skip("no close_range(2) here");
    cr_assert_not(shared, "the keeper has a table of its own");
#else
    (void)shared;
#endif
}
