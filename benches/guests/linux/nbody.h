/*
 * Gravitation of five bodies in doubles, 100 steps a round; its includer chooses the arithmetic and says NBODY, the
 * name of the workload's variable, NBODY_NAME and NBODY_LACKS.
 */
#include "bench.h"

#include <string.h>

enum { BODIES = 5, STEPS = 100 };

struct body {
    double position[3], velocity[3], mass;
};
static struct body bodies[BODIES];

/* A sun and four planets on nearly circular orbits, in units where its mass and the constant of gravitation are 1. */
static void prepare(void)
{
    static const double distance[BODIES] = {0, 1, 1.75, 3.25, 5.5}, speed[BODIES] = {0, 1, 0.75, 0.5625, 0.421875};
    for (int i = 0; i < BODIES; i++) {
        bodies[i] = (struct body){{distance[i], 0, 0.0625 * i}, {0, speed[i], 0}, 0.0009765625 * i};
    }
    bodies[0].mass = 1;
}

static void step(double dt)
{
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            struct body *a = &bodies[i], *b = &bodies[j];
            double d[3], square = 0;
            for (int k = 0; k < 3; k++) {
                d[k] = a->position[k] - b->position[k];
                square += d[k] * d[k];
            }
            double force = dt / (square * __builtin_sqrt(square));
            for (int k = 0; k < 3; k++) {
                a->velocity[k] -= d[k] * b->mass * force;
                b->velocity[k] += d[k] * a->mass * force;
            }
        }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            bodies[i].position[k] += dt * bodies[i].velocity[k];
}

static uint32_t run(uint32_t count)
{
    while (count--)
        for (int i = 0; i < STEPS; i++)
            step(0.0009765625);
    uint32_t sum = 0, words[sizeof bodies / (sizeof(uint32_t))];
    memcpy(words, bodies, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        sum = mix(sum, words[i]);
    return sum;
}

const struct workload NBODY = {.name = NBODY_NAME, .run = run, .prepare = prepare, .lacks = NBODY_LACKS};
