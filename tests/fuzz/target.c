/*
 * The fuzzers' way in: libFuzzer's entry, which AFL++ knows too (afl-clang-fast -fsanitize=fuzzer), and a mutator that
 * changes an input by whole edits. Figures are printed at the end.
 */
#include <stdlib.h>

#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes);
size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t bytes, size_t room, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *input, size_t bytes, size_t room) __attribute__((weak));

static void print_figures(void)
{
    /* scripts/fuzz adds them up */
    fprintf(stderr, "figures: %llu images, %llu past the header's checks (%.1f %%), %llu calls\n",
            (unsigned long long)fuzz_figures.images, (unsigned long long)fuzz_figures.attached,
            fuzz_figures.images ? 100.0 * (double)fuzz_figures.attached / (double)fuzz_figures.images : 0.0,
            (unsigned long long)fuzz_figures.calls);
    fuzz_print_calls(stderr);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fuzz_seeds_make();
    atexit(print_figures);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    fuzz_one(input, bytes);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t bytes, size_t room, unsigned seed)
{
    if (seed % 8 == 0 && LLVMFuzzerMutate)
        return LLVMFuzzerMutate(input, bytes, room < FUZZ_INPUT_BYTES ? room : FUZZ_INPUT_BYTES);
    return fuzz_mutate(input, bytes, room, seed);
}
