/* Workloads of the Linux benchmark: what one is, and the lists that each file contributes. */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

/*
 * A workload does `count` rounds of the same work and returns a checksum of what it computed, which depends on `count`
 * alone: not on time, addresses, the host or earlier runs. `prepare` and `release` are not timed. A round takes from a
 * few microseconds to a few milliseconds natively, so that slow engines too can do some of them.
 */
struct workload {
    const char *name;
    uint32_t (*run)(uint32_t count);
    void (*prepare)(void);      /* or null */
    void (*release)(void);      /* or null; gives back what `prepare` took */
    const char *(*lacks)(void); /* or null; what this system lacks for the workload, or null */
};

extern const struct workload integer_workloads[], call_workloads[], interpreter_workloads[], string_workloads[],
    memory_workloads[], system_workloads[], code_workloads[];
extern const struct workload nbody_x87_workload, nbody_sse_workload, packed_workloads[];

/* Directory for files, and the path of this program. */
extern const char *bench_directory, *bench_program;

/* What the processor lacks of SSE2, or null. */
const char *lacks_sse2(void);

/* Zeroed memory that is there for one workload only: a large process would make fork slow. */
void *take(size_t size);
void give_back(void *memory, size_t size);

/* Ends the process with a word on what failed: no workload goes on after an error. */
_Noreturn void fail(const char *what);

/* A linear congruential generator: the same numbers everywhere. */
static inline uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state;
}

/* Mixes a value into a checksum so that order counts. */
static inline uint32_t mix(uint32_t sum, uint32_t value)
{
    return ((sum << 5 | sum >> 27) ^ value) * 0x9E3779B1u;
}

#endif
