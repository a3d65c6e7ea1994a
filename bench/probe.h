/*
 * probe.h - what commy-bench does when it was started by itself: as little as a program can, or attach to a mesh and look
 * something up.
 */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

#include "contender.h"
#include "results.h"

#define PROBE_BARE "--probe-bare"     /* return from main() */
#define PROBE_ATTACH "--probe-attach" /* DIR ID: attach, find, detach */
#define PROBE_LINES "--probe-lines"   /* DIR SIZE SEED: attach read-only, find many; for probe_lines() to look at */

/* Whether the program was started as a probe, which has then done its work; *code is what main() returns. */
bool probe_run(int argc, char **argv, int *code);

/*
 * Counts the cache lines of the region that a find touches, by running the probe under valgrind's lackey, which prints every
 * load's address. Lines that all finds touch (the header, the owner's life word) stay in the cache and are counted apart.
 */
void probe_lines(results_t *results, const bench_place_t *place);

#endif /* BENCH_PROBE_H */
