/* Integer workloads: checksums, a hash, a sieve, a matrix product, text by bytes. */
#include "bench.h"

/* --- CRC-32 by table (polynomial of IEEE 802.3, reflected), 64 KiB a round --- */

static uint8_t data[64 << 10];
static uint32_t crc_table[256];

static void crc_prepare(void)
{
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(random_next(&seed) >> 24);
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ 0xEDB88320u : c >> 1;
        crc_table[i] = c;
    }
}

static uint32_t crc_run(uint32_t count)
{
    uint32_t crc = ~0u;
    while (count--)
        for (size_t i = 0; i < sizeof data; i++)
            crc = crc_table[(crc ^ data[i]) & 0xFF] ^ crc >> 8;
    return ~crc;
}

/* --- SHA-256 (FIPS 180-4, "SHA-256 Constants"), 16 KiB a round --- */

static const uint32_t sha_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
static const uint32_t sha_h0[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static inline uint32_t rotr(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void sha_block(uint32_t h[8], const uint8_t *p)
{
    uint32_t w[64];
    for (int i = 0; i < 16; i++, p += 4)
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = k + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) + sha_k[i] + w[i];
        uint32_t t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        k = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += k;
}

static uint32_t sha_run(uint32_t count)
{
    uint32_t h[8];
    for (int i = 0; i < 8; i++)
        h[i] = sha_h0[i];
    while (count--)
        for (size_t at = 0; at < 16 << 10; at += 64)
            sha_block(h, data + at);
    return h[0];
}

/* --- sieve of Eratosthenes up to 128 Ki --- */

static uint8_t composite[128 << 10];

static uint32_t sieve_run(uint32_t count)
{
    uint32_t sum = 0;
    while (count--) {
        for (size_t i = 0; i < sizeof composite; i++)
            composite[i] = 0;
        uint32_t primes = 0;
        for (uint32_t n = 2; n < sizeof composite; n++) {
            if (composite[n])
                continue;
            primes++;
            for (uint32_t multiple = 2 * n; multiple < sizeof composite; multiple += n)
                composite[multiple] = 1;
        }
        sum = mix(sum, primes);
    }
    return sum;
}

/* --- product of 64 x 64 integer matrices --- */

enum { ORDER = 64 };
static uint32_t left[ORDER][ORDER], right[ORDER][ORDER], product[ORDER][ORDER];

static void matmul_prepare(void)
{
    uint32_t seed = 2;
    for (int i = 0; i < ORDER; i++)
        for (int j = 0; j < ORDER; j++)
            left[i][j] = random_next(&seed), right[i][j] = random_next(&seed);
}

static uint32_t matmul_run(uint32_t count)
{
    uint32_t sum = 0;
    while (count--) {
        for (int i = 0; i < ORDER; i++)
            for (int j = 0; j < ORDER; j++) {
                uint32_t dot = 0;
                for (int k = 0; k < ORDER; k++)
                    dot += left[i][k] * right[k][j];
                product[i][j] = dot;
            }
        sum = mix(sum, product[count % ORDER][(count * 7) % ORDER]);
        left[count % ORDER][3] += sum;
    }
    return sum;
}

/* --- text: words of 16 KiB copied in upper case, measured, hashed and compared, byte by byte --- */

static char text[16 << 10], copy[16 << 10];

static void text_prepare(void)
{
    uint32_t seed = 3;
    for (size_t i = 0; i < sizeof text; i++) {
        uint32_t r = random_next(&seed) >> 16;
        text[i] = r % 6 == 0 ? '\0' : (char)('a' + r % 26);
    }
    text[sizeof text - 1] = '\0';
    for (size_t i = 0; i < sizeof copy; i++)
        copy[i] = '\0';
}

static uint32_t text_run(uint32_t count)
{
    uint32_t sum = 0;
    while (count--) {
        for (size_t at = 0; at < sizeof text;) {
            uint32_t length = 0, hash = 5381;
            for (; text[at + length]; length++) {
                char c = text[at + length];
                copy[at + length] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
                hash = hash * 33 + (uint8_t)c;
            }
            copy[at + length] = '\0';
            /* The word before this one, compared as strcmp does. */
            const char *one = copy + at, *other = copy + (at * 5 + count) % sizeof copy;
            const char *end = copy + sizeof copy - 1;
            while (other < end && *one && *one == *other)
                one++, other++;
            sum = mix(sum, hash + length + (uint32_t)(uint8_t)*one - (uint8_t)*other);
            at += length + 1;
        }
    }
    return sum;
}

const struct workload integer_workloads[] = {
    {.name = "crc32", .run = crc_run, .prepare = crc_prepare},
    {.name = "sha256", .run = sha_run, .prepare = crc_prepare},
    {.name = "sieve", .run = sieve_run},
    {.name = "matmul", .run = matmul_run, .prepare = matmul_prepare},
    {.name = "text", .run = text_run, .prepare = text_prepare},
    {.name = NULL},
};
