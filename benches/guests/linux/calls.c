/* Calls: recursion, and methods through tables of function pointers. */
#include "bench.h"

#define KEPT __attribute__((noipa, optimize("no-optimize-sibling-calls")))

KEPT static uint32_t fib(uint32_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint32_t fib_run(uint32_t count)
{
    uint32_t sum = 0;
    while (count--)
        sum = mix(sum, fib(18 + count % 2));
    return sum;
}

struct shape;
struct methods {
    uint32_t (*area)(const struct shape *);
    void (*grow)(struct shape *, uint32_t by);
};
struct shape {
    const struct methods *methods;
    uint32_t width, height;
};

KEPT static uint32_t square_area(const struct shape *s) { return s->width * s->width; }
KEPT static uint32_t oblong_area(const struct shape *s) { return s->width * s->height; }
KEPT static uint32_t triangle_area(const struct shape *s) { return s->width * s->height >> 1; }
KEPT static uint32_t frame_area(const struct shape *s) { return 2 * (s->width + s->height); }
KEPT static void grow_width(struct shape *s, uint32_t by) { s->width += by; }
KEPT static void grow_both(struct shape *s, uint32_t by) { s->width += by, s->height ^= by; }

static const struct methods kinds[] = {
    {square_area, grow_width}, {oblong_area, grow_both}, {triangle_area, grow_both}, {frame_area, grow_width},
};
static struct shape shapes[512];

static void virtual_prepare(void)
{
    uint32_t seed = 4;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        shapes[i].methods = &kinds[random_next(&seed) >> 30];
        shapes[i].width = (uint32_t)i, shapes[i].height = 2 * (uint32_t)i + 1;
    }
}

static uint32_t virtual_run(uint32_t count)
{
    uint32_t sum = 0;
    while (count--)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            struct shape *s = &shapes[i];
            sum = mix(sum, s->methods->area(s));
            s->methods->grow(s, sum & 15);
        }
    return sum;
}

const struct workload call_workloads[] = {
    {.name = "fib", .run = fib_run},
    {.name = "virtual", .run = virtual_run, .prepare = virtual_prepare},
    {.name = NULL},
};
