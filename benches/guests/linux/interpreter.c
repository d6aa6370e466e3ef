/* Interpreter loops: one bytecode program, dispatched by a switch and by computed gotos. */
#include "bench.h"

enum op { PUSH, LOAD, STORE, ADD, MUL, AND, SHR, LESS, JUMP, UNLESS, HALT };
enum variable { N, X, HASH, VARIABLES };

/* A hash of all values on the Collatz paths of 1 to 99. */
static const struct insn {
    enum op op;
    uint32_t arg;
} program[] = {
    /*  0 */ {PUSH, 1}, {STORE, N},
    /*  2 */ {LOAD, N}, {PUSH, 100}, {LESS, 0}, {UNLESS, 37},                                   /* while n < 100 */
    /*  6 */ {LOAD, N}, {STORE, X},
    /*  8 */ {PUSH, 1}, {LOAD, X}, {LESS, 0}, {UNLESS, 32},                                     /* while 1 < x */
    /* 12 */ {LOAD, X}, {PUSH, 1}, {AND, 0}, {UNLESS, 22},                                      /* if x is odd */
    /* 16 */ {LOAD, X}, {PUSH, 3}, {MUL, 0}, {PUSH, 1}, {ADD, 0}, {JUMP, 24},                   /* 3x + 1 */
    /* 22 */ {LOAD, X}, {SHR, 1},                                                               /* else x / 2 */
    /* 24 */ {STORE, X},
    /* 25 */ {LOAD, HASH}, {PUSH, 31}, {MUL, 0}, {LOAD, X}, {ADD, 0}, {STORE, HASH}, {JUMP, 8}, /* hash = 31 hash + x */
    /* 32 */ {LOAD, N}, {PUSH, 1}, {ADD, 0}, {STORE, N}, {JUMP, 2},
    /* 37 */ {HALT, 0},
};

/* A jump leaves the instruction pointer one before its target: NEXT goes one ahead. */
#define OPERATIONS(CASE, NEXT)                                             \
    CASE(PUSH) *++top = ip->arg; NEXT                                      \
    CASE(LOAD) *++top = variables[ip->arg]; NEXT                           \
    CASE(STORE) variables[ip->arg] = *top--; NEXT                          \
    CASE(ADD) top[-1] += *top; top--; NEXT                                 \
    CASE(MUL) top[-1] *= *top; top--; NEXT                                 \
    CASE(AND) top[-1] &= *top; top--; NEXT                                 \
    CASE(SHR) *top >>= ip->arg; NEXT                                       \
    CASE(LESS) top[-1] = top[-1] < *top; top--; NEXT                       \
    CASE(JUMP) ip = program + ip->arg - 1; NEXT                            \
    CASE(UNLESS) if (*top-- == 0) ip = program + ip->arg - 1; NEXT         \
    CASE(HALT) return variables[HASH];

static uint32_t interpret_by_switch(uint32_t start)
{
    uint32_t stack[8], *top = stack, variables[VARIABLES] = {[HASH] = start};
    for (const struct insn *ip = program;; ip++) {
        switch (ip->op) {
#define CASE(op) case op:
#define NEXT break;
            OPERATIONS(CASE, NEXT)
#undef CASE
#undef NEXT
        }
    }
}

/* Crossjumping would fold the many indirect jumps into one and leave the switch again. */
__attribute__((optimize("no-crossjumping", "no-gcse"))) static uint32_t interpret_by_goto(uint32_t start)
{
    static const void *const labels[] = {
        [PUSH] = &&do_PUSH, [LOAD] = &&do_LOAD, [STORE] = &&do_STORE, [ADD] = &&do_ADD,
        [MUL] = &&do_MUL,   [AND] = &&do_AND,   [SHR] = &&do_SHR,     [LESS] = &&do_LESS,
        [JUMP] = &&do_JUMP, [UNLESS] = &&do_UNLESS, [HALT] = &&do_HALT,
    };
    uint32_t stack[8], *top = stack, variables[VARIABLES] = {[HASH] = start};
    const struct insn *ip = program;
    goto *labels[ip->op];
#define CASE(op) do_##op:
#define NEXT goto *labels[(++ip)->op];
    OPERATIONS(CASE, NEXT)
#undef CASE
#undef NEXT
}

static uint32_t switch_run(uint32_t count)
{
    uint32_t sum = 0;
    while (count--)
        sum = interpret_by_switch(sum);
    return sum;
}

static uint32_t goto_run(uint32_t count)
{
    uint32_t sum = 0;
    while (count--)
        sum = interpret_by_goto(sum);
    return sum;
}

const struct workload interpreter_workloads[] = {
    {.name = "vm-switch", .run = switch_run},
    {.name = "vm-goto", .run = goto_run},
    {.name = NULL},
};
