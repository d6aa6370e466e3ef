/* Code that is made while the program runs: rewritten in place, and executed once. */
#define _GNU_SOURCE
#include "bench.h"

#include <string.h>
#include <sys/mman.h>

typedef uint32_t function(uint32_t);

static uint8_t *new_code(size_t size)
{
    uint8_t *code = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        fail("mmap of code");
    return code;
}

/* An x86 has coherent instruction fetch: this only keeps the compiler from moving stores behind the call. */
static inline uint32_t call(const uint8_t *code, uint32_t argument)
{
    __asm__ volatile("" : : : "memory");
    function *f;
    memcpy(&f, &code, sizeof f);
    return f(argument);
}

static inline uint8_t *put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

/* An operation on EAX with an immediate, which is in its last four bytes. */
static inline uint8_t *put_operation(uint8_t *at, uint32_t random)
{
    static const uint8_t short_form[] = {0x05 /* ADD */, 0x2D /* SUB */, 0x35 /* XOR */};
    if (random >> 30 == 3) {
        *at++ = 0x69, *at++ = 0xC0; /* IMUL EAX, EAX, imm32 */
        random |= 1;
    } else {
        *at++ = short_form[random >> 30];
    }
    return put32(at, random);
}

/* A function of one argument with the given number of operations; the addresses behind each go to `ends`. */
static inline uint8_t *put_function(uint8_t *at, int operations, uint32_t *seed, uint8_t **ends)
{
    *at++ = 0x8B, *at++ = 0x44, *at++ = 0x24, *at++ = 0x04; /* MOV EAX, [ESP+4] */
    for (int i = 0; i < operations; i++) {
        at = put_operation(at, random_next(seed));
        if (ends)
            ends[i] = at;
    }
    *at++ = 0xC3; /* RET */
    return at;
}

/* Rewrites one function in place, runs it eight times, then four times patches one of its immediates and runs it. */
static uint32_t rewrite_run(uint32_t count)
{
    enum { OPERATIONS = 16 };
    uint8_t *code = new_code(4096), *ends[OPERATIONS];
    uint32_t sum = 0, seed = 10;
    while (count--) {
        put_function(code, OPERATIONS, &seed, ends);
        for (int i = 0; i < 8; i++)
            sum = call(code, sum + (uint32_t)i);
        for (int i = 0; i < 4; i++) {
            uint32_t random = random_next(&seed);
            put32(ends[random >> 28] - 4, random);
            sum = call(code, sum);
        }
    }
    munmap(code, 4096);
    return sum;
}

/* 64 KiB of new code a round: many small functions, then each called once. */
static uint32_t fresh_run(uint32_t count)
{
    enum { SIZE = 64 << 10, OPERATIONS = 8, STRIDE = 64, FUNCTIONS = SIZE / STRIDE };
    uint32_t sum = 0, seed = 11;
    while (count--) {
        uint8_t *code = new_code(SIZE);
        for (int i = 0; i < FUNCTIONS; i++)
            put_function(code + i * STRIDE, OPERATIONS, &seed, NULL);
        for (int i = 0; i < FUNCTIONS; i++)
            sum = call(code + i * STRIDE, sum);
        munmap(code, SIZE);
    }
    return sum;
}

const struct workload code_workloads[] = {
    {.name = "jit-rewrite", .run = rewrite_run},
    {.name = "fresh-code", .run = fresh_run},
    {.name = NULL},
};
