/* String instructions: repeated ones on doublewords and on bytes, and single ones in a loop. */
#include "bench.h"

enum { BLOCK = 16 << 10 };
static uint8_t source[BLOCK] __attribute__((aligned(64))), target[BLOCK] __attribute__((aligned(64)));

static void prepare(void)
{
    uint32_t seed = 7;
    for (size_t i = 0; i < BLOCK; i++)
        source[i] = (uint8_t)(1 + (random_next(&seed) >> 25)), target[i] = 0;
}

/* STOS and MOVS of doublewords: blocks of 16 KiB, and the short ones of a struct's size. */
static uint32_t rep_dwords_run(uint32_t count)
{
    uint32_t sum = 0;
    while (count--) {
        void *to = target;
        const void *from = source;
        uint32_t n = BLOCK / 4;
        __asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(count * 0x01010101u) : "memory");
        to = target, n = BLOCK / 8;
        __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
        for (uint32_t at = 0; at < BLOCK / 2; at += 128) {
            to = target + BLOCK / 2 + at, from = target + at, n = 1 + at / 128 % 16;
            __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
        }
        sum = mix(sum, *(const uint32_t *)(target + 4 * (count * 37 % (BLOCK / 4))));
    }
    return sum;
}

/* MOVS, SCAS and CMPS of bytes, as the C library of that time used them. */
static uint32_t rep_bytes_run(uint32_t count)
{
    uint32_t sum = 0;
    while (count--) {
        void *to = target + 1;
        const void *from = source;
        uint32_t n = BLOCK - 1 - count % 64;
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
        target[BLOCK - 1 - count % 64] = 0;
        to = target + 1, n = ~0u;
        __asm__ volatile("repne scasb" : "+D"(to), "+c"(n) : "a"(0) : "memory", "cc");
        sum = mix(sum, ~n);
        to = target + 1, from = source, n = BLOCK - 1;
        __asm__ volatile("repe cmpsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory", "cc");
        sum = mix(sum, n);
    }
    return sum;
}

/* LODS and STOS of bytes in a loop: a translation by table and a sum. */
static uint32_t lods_stos_run(uint32_t count)
{
    uint8_t table[256];
    for (int i = 0; i < 256; i++)
        table[i] = (uint8_t)(i * 7 + 3);
    uint32_t sum = 0;
    while (count--) {
        void *to = target;
        const void *from = source;
        uint32_t n = BLOCK / 2, total = 0;
        __asm__ volatile("1: lodsb\n\t"
                         "movzbl %%al, %%eax\n\t"
                         "addl %%eax, %2\n\t"
                         "movb (%4,%%eax), %%al\n\t"
                         "stosb\n\t"
                         "decl %3\n\t"
                         "jnz 1b"
                         : "+D"(to), "+S"(from), "+r"(total), "+r"(n)
                         : "r"(table)
                         : "eax", "memory", "cc");
        sum = mix(sum, total + target[count * 13 % (BLOCK / 2)]);
        source[count % BLOCK] ^= (uint8_t)sum;
    }
    return sum;
}

const struct workload string_workloads[] = {
    {.name = "rep-dwords", .run = rep_dwords_run, .prepare = prepare},
    {.name = "rep-bytes", .run = rep_bytes_run, .prepare = prepare},
    {.name = "lods-stos", .run = lods_stos_run, .prepare = prepare},
    {.name = NULL},
};
