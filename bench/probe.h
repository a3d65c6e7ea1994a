/*
 * probe.h - commy-probe, a program of its own that commy-bench starts: as little as a program can do, or attach to a mesh and
 * look something up. It is linked with nothing but the library.
 */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

/* No argument: return from main(). */
#define PROBE_ATTACH "attach" /* DIR ID: attach, find, detach */
#define PROBE_LINES "lines"   /* DIR SIZE SEED: attach read-only and find many, for lines.c to look at */

#define PROBE_MESH "bench" /* commy_mesh.h's */
#define PROBE_FINDS 400u

#endif /* BENCH_PROBE_H */
