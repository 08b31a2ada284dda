/* SPDX-License-Identifier: MIT */
/* siphash_test.c: SipHash against its published vectors, and against a second implementation that follows the paper
 * letter by letter: one byte at a time, on an array of four words, with the rounds written out. */
#include "unit.h"

#include "shm/siphash.h"

/* SipHash-2-4, key 00 01 .. 0f, of the inputs of 0 to 63 bytes 00 01 02 ..: the reference vectors of its authors. The one of
 * 15 bytes is worked through in the paper's appendix. */
static const uint64_t published[64] = {
    0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d, 0xcf2794e0277187b7,
    0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462, 0x9e0082df0ba9e4b0,
    0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7, 0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee,
    0xa129ca6149be45e5, 0x3f2acc7f57c29bdb, 0x699ae9f52cbe4794, 0x4bc1b3f0968dd39c, 0xbb6dc91da77961bd,
    0xbed65cf21aa2ee98, 0xd0f2cbb02e3b67c7, 0x93536795e3a33e88, 0xa80c038ccd5ccec8, 0xb8ad50c6f649af94,
    0xbce192de8a85b8ea, 0x17d835b85bbb15f3, 0x2f2e6163076bcfad, 0xde4daaaca71dc9a5, 0xa6a2506687956571,
    0xad87a3535c49ef28, 0x32d892fad841c342, 0x7127512f72f27cce, 0xa7f32346f95978e3, 0x12e0b01abb051238,
    0x15e034d40fa197ae, 0x314dffbe0815a3b4, 0x027990f029623981, 0xcadcd4e59ef40c4d, 0x9abfd8766a33735c,
    0x0e3ea96b5304a7d0, 0xad0c42d6fc585992, 0x187306c89bc215a9, 0xd4a60abcf3792b95, 0xf935451de4f21df2,
    0xa9538f0419755787, 0xdb9acddff56ca510, 0xd06c98cd5c0975eb, 0xe612a3cb9ecba951, 0xc766e62cfcadaf96,
    0xee64435a9752fe72, 0xa192d576b245165a, 0x0a8787bf8ecb74b2, 0x81b3e73d20b49b6f, 0x7fa8220ba3b2ecea,
    0x245731c13ca42499, 0xb78dbfaf3a8d83bd, 0xea1ad565322a1a0b, 0x60e61c23a3795013, 0x6606d7e446282b93,
    0x6ca4ecb15c5f91e1, 0x9f626da15c9625f3, 0xe51b38608ef25f57, 0x958a324ceb064572,
};

/* ---- the slow one --------------------------------------------------------------------------------------------------- */

static uint64_t rotate(uint64_t x, unsigned bits)
{
    uint64_t high = x;
    for (unsigned i = 0; i < bits; i++)
        high = (high << 1) | (high >> 63);
    return high;
}

static void slow_rounds(uint64_t v[4], int rounds)
{
    while (rounds-- > 0) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13);
        v[3] = rotate(v[3], 16);
        v[1] ^= v[0];
        v[3] ^= v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17);
        v[3] = rotate(v[3], 21);
        v[1] ^= v[2];
        v[3] ^= v[0];
        v[2] = rotate(v[2], 32);
    }
}

static uint64_t slow_siphash(int c_rounds, int d_rounds, const uint64_t key[2], const unsigned char *data,
                             size_t byte_count)
{
    uint64_t v[4];
    const char *constants = "somepseudorandomlygeneratedbytes";
    for (int i = 0; i < 4; i++) {
        v[i] = 0;
        for (int b = 0; b < 8; b++)
            v[i] = v[i] << 8 | (unsigned char)constants[i * 8 + b];
        v[i] ^= key[i & 1];
    }
    size_t padded = byte_count / 8 * 8 + 8;
    for (size_t at = 0; at < padded; at += 8) {
        uint64_t word = 0;
        for (size_t b = 0; b < 8; b++) {
            uint64_t byte = at + b < byte_count ? data[at + b] : at + b == padded - 1 ? byte_count & 0xff : 0;
            word |= byte << (8 * b);
        }
        v[3] ^= word;
        slow_rounds(v, c_rounds);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    slow_rounds(v, d_rounds);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- tests ---------------------------------------------------------------------------------------------------------- */

static void test_siphash_2_4_gives_the_published_vectors(void **state)
{
    (void)state;
    const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    unsigned char data[64];
    for (unsigned i = 0; i < 64; i++) {
        data[i] = (unsigned char)i;
        assert_int_equal(published[i], qp_siphash(2, 4, key, data, i));
        assert_int_equal(published[i], slow_siphash(2, 4, key, data, i));
    }
}

static void test_siphash_1_3_agrees_with_the_slow_one(void **state)
{
    (void)state;
    uint64_t noise = 42;
    unsigned char data[QP_KEY_BYTES_MAX];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(unit_random(&noise) >> 56);
    for (size_t length = 0; length <= sizeof data; length += length < 200 ? 1 : 103) {
        uint64_t seed[2] = {unit_random(&noise), unit_random(&noise)};
        assert_int_equal(slow_siphash(1, 3, seed, data, length), qp_hash_key(seed, data, length));
    }
}

static void test_keys_need_not_be_aligned(void **state)
{
    (void)state;
    const uint64_t seed[2] = {1, 2};
    unsigned char data[64 + 8];
    for (unsigned offset = 0; offset < 8; offset++) {
        for (unsigned i = 0; i < 64; i++)
            data[offset + i] = (unsigned char)(i * 37);
        assert_int_equal(slow_siphash(1, 3, seed, data + offset, 61), qp_hash_key(seed, data + offset, 61));
    }
}

static void test_length_and_seed_change_the_hash(void **state)
{
    (void)state;
    const uint64_t seed[2] = {3, 4}, other[2] = {3, 5};
    const unsigned char zeros[16] = {0};
    for (size_t a = 0; a <= 16; a++)
        for (size_t b = 0; b < a; b++)
            assert_int_not_equal(qp_hash_key(seed, zeros, a), qp_hash_key(seed, zeros, b));
    assert_int_not_equal(qp_hash_key(seed, zeros, 16), qp_hash_key(other, zeros, 16));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_siphash_2_4_gives_the_published_vectors),
        cmocka_unit_test(test_siphash_1_3_agrees_with_the_slow_one),
        cmocka_unit_test(test_keys_need_not_be_aligned),
        cmocka_unit_test(test_length_and_seed_change_the_hash),
    };
    return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
