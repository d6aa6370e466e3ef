/* Memory-bound workloads: a sort, a pointer chase, streams. */
#include "bench.h"

/* --- quicksort of 256 KiB of numbers --- */

enum { NUMBERS = 64 << 10 };
static uint32_t numbers[NUMBERS];

static void sort(uint32_t *from, uint32_t *to) /* both ends included */
{
    while (from < to) {
        if (to - from < 12) {
            for (uint32_t *i = from + 1; i <= to; i++) {
                uint32_t value = *i, *j = i;
                for (; j > from && j[-1] > value; j--)
                    *j = j[-1];
                *j = value;
            }
            return;
        }
        uint32_t pivot = from[(to - from) / 2], *i = from, *j = to;
        while (i <= j) {
            while (*i < pivot)
                i++;
            while (*j > pivot)
                j--;
            if (i <= j) {
                uint32_t t = *i;
                *i++ = *j, *j-- = t;
            }
        }
        /* The shorter part by recursion, the longer one here. */
        if (j - from < to - i) {
            sort(from, j);
            from = i;
        } else {
            sort(i, to);
            to = j;
        }
    }
}

static uint32_t sort_run(uint32_t count)
{
    uint32_t sum = 0, seed = 8;
    while (count--) {
        for (size_t i = 0; i < NUMBERS; i++)
            numbers[i] = random_next(&seed);
        sort(numbers, numbers + NUMBERS - 1);
        for (size_t i = 1; i < NUMBERS; i++)
            if (numbers[i - 1] > numbers[i])
                fail("sort");
        sum = mix(sum, numbers[seed % NUMBERS]);
    }
    return sum;
}

/* --- pointer chase through one random cycle over 16 MiB, a cache line a step --- */

enum { NODES = 256 << 10 };
static struct node {
    struct node *next;
    uint32_t number;
    uint32_t unused[14];
} *nodes;

static void chase_prepare(void)
{
    nodes = take(NODES * sizeof *nodes);
    /* Sattolo's shuffle of the numbers 0 to NODES-1 gives one cycle. */
    uint32_t seed = 9;
    for (uint32_t i = 0; i < NODES; i++)
        nodes[i].number = i;
    for (uint32_t i = NODES - 1; i > 0; i--) {
        uint32_t j = (random_next(&seed) >> 8) % i, t = nodes[i].number;
        nodes[i].number = nodes[j].number, nodes[j].number = t;
    }
    for (uint32_t i = 0; i < NODES; i++)
        nodes[i].next = &nodes[nodes[i].number];
}

static uint32_t chase_run(uint32_t count)
{
    uint32_t sum = 0;
    const struct node *at = nodes;
    while (count--)
        for (int i = 0; i < 2000; i++) {
            sum += at->number;
            at = at->next;
        }
    return mix(sum, at->number);
}

static void chase_release(void) { give_back(nodes, NODES * sizeof *nodes); }

/* --- copy, scale, add, triad over arrays of 2 MiB each --- */

enum { ELEMENTS = 512 << 10 };
static uint32_t *restrict a, *restrict b, *restrict c;

static void stream_prepare(void)
{
    a = take(ELEMENTS * sizeof *a), b = take(ELEMENTS * sizeof *b), c = take(ELEMENTS * sizeof *c);
    for (uint32_t i = 0; i < ELEMENTS; i++)
        a[i] = i, b[i] = 2, c[i] = 0;
}

static uint32_t stream_run(uint32_t count)
{
    uint32_t sum = 0;
    while (count--) {
        for (size_t i = 0; i < ELEMENTS; i++)
            c[i] = a[i];
        for (size_t i = 0; i < ELEMENTS; i++)
            b[i] = 3 * c[i];
        for (size_t i = 0; i < ELEMENTS; i++)
            c[i] = a[i] + b[i];
        for (size_t i = 0; i < ELEMENTS; i++)
            a[i] = b[i] + 3 * c[i];
        sum = mix(sum, a[count % ELEMENTS]);
    }
    return sum;
}

static void stream_release(void)
{
    give_back(a, ELEMENTS * sizeof *a), give_back(b, ELEMENTS * sizeof *b), give_back(c, ELEMENTS * sizeof *c);
}

const struct workload memory_workloads[] = {
    {.name = "sort", .run = sort_run},
    {.name = "chase", .run = chase_run, .prepare = chase_prepare, .release = chase_release},
    {.name = "stream", .run = stream_run, .prepare = stream_prepare, .release = stream_release},
    {.name = NULL},
};
