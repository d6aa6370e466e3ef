/* Packed SSE: four floats, and SSE2 integers, at a time. */
#pragma GCC target("sse2,fpmath=sse")
#include "bench.h"

#include <emmintrin.h>

/* --- packed single precision: a filter of eight taps over 4 Ki samples --- */

enum { SAMPLES = 4 << 10, TAPS = 8 };
static float input[SAMPLES + TAPS] __attribute__((aligned(16))), output[SAMPLES] __attribute__((aligned(16)));

static void filter_prepare(void)
{
    uint32_t seed = 5;
    for (size_t i = 0; i < SAMPLES + TAPS; i++)
        input[i] = (float)(int32_t)(random_next(&seed) >> 8) * 0x1p-24f;
}

static uint32_t filter_run(uint32_t count)
{
    static const float tap[TAPS] = {0.5f, 0.25f, -0.125f, 0.0625f, 0.03125f, -0.25f, 0.125f, 0.375f};
    const __m128 low = _mm_set1_ps(-1), high = _mm_set1_ps(1);
    uint32_t sum = 0;
    while (count--) {
        for (size_t i = 0; i < SAMPLES; i += 4) {
            __m128 total = _mm_setzero_ps();
            for (size_t t = 0; t < TAPS; t++)
                total = _mm_add_ps(total, _mm_mul_ps(_mm_loadu_ps(input + i + t), _mm_set1_ps(tap[t])));
            _mm_store_ps(output + i, _mm_max_ps(low, _mm_min_ps(high, total)));
        }
        /* The results feed the next round. */
        for (size_t i = 0; i < SAMPLES; i += 4) {
            __m128 faded = _mm_mul_ps(_mm_load_ps(input + i), _mm_set1_ps(0.5f));
            _mm_store_ps(input + i, _mm_sub_ps(_mm_load_ps(output + i), faded));
        }
        __m128i bits = _mm_castps_si128(_mm_load_ps(output + 4 * (count % (SAMPLES / 4))));
        sum = mix(sum, (uint32_t)_mm_cvtsi128_si32(bits));
    }
    return sum;
}

/* --- packed integers: two pictures of 16 KiB blended, saturated, differenced and summed --- */

enum { PIXELS = 16 << 10 };
static uint8_t first[PIXELS] __attribute__((aligned(16))), second[PIXELS] __attribute__((aligned(16)));

static void blend_prepare(void)
{
    uint32_t seed = 6;
    for (size_t i = 0; i < PIXELS; i++)
        first[i] = (uint8_t)(random_next(&seed) >> 24), second[i] = (uint8_t)(random_next(&seed) >> 24);
}

static uint32_t blend_run(uint32_t count)
{
    const __m128i zero = _mm_setzero_si128(), three = _mm_set1_epi16(3), bright = _mm_set1_epi8(9);
    uint32_t sum = 0;
    while (count--) {
        __m128i total = zero;
        for (size_t i = 0; i < PIXELS; i += 16) {
            __m128i a = _mm_load_si128((const __m128i *)(first + i)), b = _mm_load_si128((const __m128i *)(second + i));
            /* (3a + b) / 4 in 16 bits, then brighter with saturation. */
            __m128i low = _mm_mullo_epi16(_mm_unpacklo_epi8(a, zero), three);
            __m128i high = _mm_mullo_epi16(_mm_unpackhi_epi8(a, zero), three);
            low = _mm_add_epi16(low, _mm_unpacklo_epi8(b, zero));
            high = _mm_add_epi16(high, _mm_unpackhi_epi8(b, zero));
            __m128i mixed = _mm_packus_epi16(_mm_srli_epi16(low, 2), _mm_srli_epi16(high, 2));
            mixed = _mm_adds_epu8(mixed, bright);
            total = _mm_add_epi64(total, _mm_sad_epu8(mixed, b));
            /* Where the result is brighter than b, it replaces a; elsewhere b does. */
            __m128i brighter = _mm_cmpeq_epi8(_mm_max_epu8(mixed, b), mixed);
            a = _mm_or_si128(_mm_and_si128(brighter, mixed), _mm_andnot_si128(brighter, b));
            _mm_store_si128((__m128i *)(first + i), _mm_shuffle_epi32(a, 0x39));
        }
        sum = mix(sum, (uint32_t)_mm_cvtsi128_si32(_mm_add_epi64(total, _mm_srli_si128(total, 8))));
    }
    return sum;
}

const struct workload packed_workloads[] = {
    {.name = "sse-floats", .run = filter_run, .prepare = filter_prepare, .lacks = lacks_sse2},
    {.name = "sse-integers", .run = blend_run, .prepare = blend_prepare, .lacks = lacks_sse2},
    {.name = NULL},
};
