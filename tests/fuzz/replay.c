/*
 * The property without a fuzzer: over the kept corpus, and over inputs that a fixed seed makes.
 *
 *     replay [--corpus FILE] [--random N] [--seed S] [--seconds MOST] [--planted] [--images DIR] [INPUT...]
 *
 * --corpus: a file of lines, an input each, in hexadecimal. INPUT: a file that holds one, as the fuzzers leave them.
 * --images: writes the images that the corpus stands for there, and asks nothing; for programs that read files.
 * --planted: first shows that what would be wrong is seen: processes that read before and behind the mapping and beyond
 * its marks, that never come back, and that break the property must end by the signal that says so.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

static unsigned passed, failed;

static void check(bool holds, const char *what)
{
    printf("%s %s\n", holds ? "ok    " : "FAILED", what);
    fflush(stdout);
    passed += holds;
    failed += !holds;
}

/* ----------------------------------------------------------------- hanging */

static char input_text[2 * FUZZ_INPUT_BYTES + 2];

static void tell_input(void)
{
    ssize_t ignored = write(2, "\ninput ", 7);
    ignored = write(2, input_text, strlen(input_text));
    (void)ignored;
}

static void late(int number)
{
    static const char what[] = "\nfuzz: VIOLATION: it does not come back from ";
    (void)number;
    ssize_t ignored = write(2, what, sizeof what - 1);
    ignored = write(2, fuzz_at, strlen(fuzz_at));
    (void)ignored;
    tell_input();
    fuzz_dir_remove();
    signal(SIGABRT, SIG_DFL);
    abort();
}

static void dies(int number)
{
    tell_input();
    fuzz_dir_remove();
    signal(number, SIG_DFL);
    raise(number);
}

static void dies_by_sanitizer(void)
{
    tell_input();
    fuzz_dir_remove();
}

/* A sanitizer's, where there is one: it handles the signals of faults itself. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void run(const uint8_t *input, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;
    for (size_t i = 0; i < bytes; i++) {
        input_text[used++] = digits[input[i] >> 4];
        input_text[used++] = digits[input[i] & 15];
    }
    input_text[used++] = '\n';
    input_text[used] = '\0';
    alarm(FUZZ_IMAGE_SECONDS);
    fuzz_one(input, bytes);
    alarm(0);
}

/* ----------------------------------------------------------------- inputs */

static const char *images; /* where to; null: hold the property up */

/* Whole pages of zeros become holes. */
static void write_image(const uint8_t *input, size_t bytes, unsigned number)
{
    static const unsigned char zeros[CMY_PAGE];
    char path[256];
    fuzz_plan_t plan;
    fuzz_decode(input, bytes, &plan);
    snprintf(path, sizeof path, "%s/%u", images, number);
    FILE *file = fopen(path, "wb");
    size_t whole = plan.seed->layout.region_bytes, kept = plan.file_bytes < whole ? plan.file_bytes : whole;
    bool good = file && ftruncate(fileno(file), (off_t)plan.file_bytes) == 0;
    for (size_t at = 0; good && at < kept; at += CMY_PAGE) {
        size_t part = kept - at < CMY_PAGE ? kept - at : CMY_PAGE;
        if (memcmp(plan.seed->stage + at, zeros, part) != 0)
            good = fseek(file, (long)at, SEEK_SET) == 0 && fwrite(plan.seed->stage + at, 1, part, file) == part;
    }
    if (!good || fclose(file) != 0) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        exit(2);
    }
}

static size_t read_input(const char *path, uint8_t input[FUZZ_INPUT_BYTES])
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        exit(2);
    }
    size_t bytes = fread(input, 1, FUZZ_INPUT_BYTES, file);
    fclose(file);
    return bytes;
}

static unsigned replay_corpus(const char *path)
{
    static char line[2 * FUZZ_INPUT_BYTES + 64];
    uint8_t input[FUZZ_INPUT_BYTES];
    unsigned inputs = 0;
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        exit(2);
    }
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        size_t bytes = fuzz_from_text(line, input);
        if (bytes == 0) {
            fprintf(stderr, "replay: %s: not an input: %s", path, line);
            exit(2);
        }
        if (images)
            write_image(input, bytes, inputs);
        else
            run(input, bytes);
        inputs++;
    }
    fclose(file);
    return inputs;
}

static uint64_t replay_random(uint64_t most, uint64_t seed, unsigned seconds)
{
    uint8_t input[FUZZ_INPUT_BYTES] = {0};
    size_t bytes = 0;
    time_t end = time(NULL) + (time_t)seconds;
    uint64_t done = 0;
    for (; done < most && time(NULL) < end; done++) {
        if (fuzz_below(&seed, 8) == 0 || bytes == 0) { /* begin anew */
            for (bytes = 0; bytes < FUZZ_HEAD_BYTES; bytes++)
                input[bytes] = (uint8_t)fuzz_chance(&seed);
        }
        bytes = fuzz_mutate(input, bytes, sizeof input, fuzz_chance(&seed));
        run(input, bytes);
    }
    return done;
}

/* ---------------------------------------------------------- what must be seen */

static volatile unsigned char sink;

static const cmy_region_t *map_guarded(void)
{
    cmy_region_t *region;
    cmy_region_name_t name;
    fuzz_plan_t plan;
    fuzz_decode((const uint8_t[]){1}, 1, &plan);
    fuzz_guard(FUZZ_SHUT);
    if (cmy_region_resolve(fuzz_dir, plan.seed->mesh, &name) != COMMY_STATUS_SUCCESS ||
        cmy_region_map(&name, false, &region) != COMMY_STATUS_SUCCESS)
        _exit(9);
    return region;
}

static void reads_before(void)
{
    sink = map_guarded()->base[-1];
}
static void reads_behind(void)
{
    const cmy_region_t *region = map_guarded();
    sink = region->base[region->layout.region_bytes];
}
/* The seed has never had metadata: not one large text is reserved. */
static void reads_unreserved(void)
{
    const cmy_region_t *region = map_guarded();
    sink = *(const unsigned char *)cmy_record_at(region, CMY_LARGE_TEXTS, 8);
}
static void writes_read_only(void)
{
    map_guarded()->base[0] = 1;
}
static void never_returns(void)
{
    alarm(1);
    for (;;)
        sink++;
}
static void breaks_it(void)
{
    fuzz_broken("planted");
}

static bool is_seen(void (*fault)(void), int wanted)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(8);
        signal(SIGSEGV, SIG_DFL); /* of a sanitizer, which would write a report */
        signal(SIGABRT, SIG_DFL);
        fault();
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == wanted;
}

static void show_planted(void)
{
    check(is_seen(reads_before, SIGSEGV), "planted: a read before the mapping is seen");
    check(is_seen(reads_behind, SIGSEGV), "planted: a read behind the mapping is seen");
    check(is_seen(reads_unreserved, SIGSEGV), "planted: a read of what is not reserved is seen");
    check(is_seen(writes_read_only, SIGSEGV), "planted: a write by a query is seen");
    check(is_seen(never_returns, SIGABRT), "planted: a call that never returns is seen");
    check(is_seen(breaks_it, SIGABRT), "planted: a broken property is seen");
}

/* ---------------------------------------------------------------------- main */

int main(int argc, char **argv)
{
    uint64_t random = 0, seed = 1;
    unsigned seconds = 3600, inputs = 0;
    const char *corpus = NULL;
    uint8_t input[FUZZ_INPUT_BYTES];

    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGALRM, late);
    signal(SIGABRT, dies);
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(dies_by_sanitizer);
    } else {
        signal(SIGSEGV, dies);
        signal(SIGBUS, dies);
    }
    fuzz_seeds_make();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--planted") == 0)
            show_planted();
        else if (strcmp(argv[i], "--corpus") == 0 && i + 1 < argc)
            corpus = argv[++i];
        else if (strcmp(argv[i], "--images") == 0 && i + 1 < argc)
            images = argv[++i];
        else if (strcmp(argv[i], "--random") == 0 && i + 1 < argc)
            random = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            seconds = (unsigned)strtoul(argv[++i], NULL, 10);
        else {
            size_t bytes = read_input(argv[i], input);
            run(input, bytes);
            inputs++;
        }
    }
    if (corpus)
        inputs += replay_corpus(corpus);
    uint64_t made = random ? replay_random(random, seed, seconds) : 0;

    const fuzz_figures_t *figures = &fuzz_figures;
    printf("%u kept inputs, %" PRIu64 " made from seed %" PRIu64 ": %" PRIu64 " images, %" PRIu64
           " past the header's checks (%.1f %%), %" PRIu64 " calls\n",
           inputs, made, seed, figures->images, figures->attached,
           figures->images ? 100.0 * (double)figures->attached / (double)figures->images : 0.0, figures->calls);
    fuzz_print_calls(stdout);
    if (inputs && !images)
        check(true, "every kept input is borne");
    if (made) {
        check(true, "every input that was made is borne");
        check(figures->attached * 2 >= figures->images, "at least half of the images get past the header's checks");
        check(fuzz_calls_without_success() == 0, "every kind of call succeeded at least once");
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
