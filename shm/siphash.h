/* SPDX-License-Identifier: MIT */
/* siphash.h: SipHash-c-d of a byte string (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).
 *
 * Keys come from strangers, so their places must not be predictable: the seed is random per segment. 1-3 rounds for keys
 * (the variant hash tables use; it is the hot path), 2-4 where the published test vectors are wanted. */
#ifndef QP_SHM_SIPHASH_H
#define QP_SHM_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define QP_SIP_ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

#define QP_SIP_ROUND(v0, v1, v2, v3)                                                                                 \
    do {                                                                                                             \
        v0 += v1, v1 = QP_SIP_ROTATE(v1, 13), v1 ^= v0, v0 = QP_SIP_ROTATE(v0, 32);                                  \
        v2 += v3, v3 = QP_SIP_ROTATE(v3, 16), v3 ^= v2;                                                              \
        v0 += v3, v3 = QP_SIP_ROTATE(v3, 21), v3 ^= v0;                                                              \
        v2 += v1, v1 = QP_SIP_ROTATE(v1, 17), v1 ^= v2, v2 = QP_SIP_ROTATE(v2, 32);                                  \
    } while (0)

static inline uint64_t qp_sip_word(const unsigned char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The last 0 to 7 bytes, and the length in the top byte. Keys have tails of every length, so a jump by length would be
 * mispredicted most of the time: one load that overlaps the word before, or two that overlap each other, instead. */
static inline uint64_t qp_sip_tail(const unsigned char *tail, size_t left, size_t byte_count)
{
    uint64_t last = (uint64_t)byte_count << 56;
    if (left == 0)
        return last;
    if (byte_count >= 8)
        return last | qp_sip_word(tail + left - 8) >> (64 - 8 * left);
    if (left >= 4) {
        uint32_t low, high;
        memcpy(&low, tail, 4);
        memcpy(&high, tail + left - 4, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        low = __builtin_bswap32(low);
        high = __builtin_bswap32(high);
#endif
        return last | low | (uint64_t)high << (8 * left - 32);
    }
    /* 1 to 3 bytes: the first, the middle one, the last. */
    return last | tail[0] | (uint64_t)tail[left / 2] << (left / 2 * 8) | (uint64_t)tail[left - 1] << ((left - 1) * 8);
}

static inline __attribute__((always_inline)) uint64_t qp_siphash(int c_rounds, int d_rounds, const uint64_t seed[2],
                                                                  const void *data, size_t byte_count)
{
    const unsigned char *at = data;
    uint64_t v0 = seed[0] ^ UINT64_C(0x736f6d6570736575), v1 = seed[1] ^ UINT64_C(0x646f72616e646f6d);
    uint64_t v2 = seed[0] ^ UINT64_C(0x6c7967656e657261), v3 = seed[1] ^ UINT64_C(0x7465646279746573);
    for (size_t left = byte_count; left >= 8; left -= 8, at += 8) {
        uint64_t word = qp_sip_word(at);
        v3 ^= word;
        for (int i = 0; i < c_rounds; i++)
            QP_SIP_ROUND(v0, v1, v2, v3);
        v0 ^= word;
    }
    uint64_t last = qp_sip_tail(at, byte_count & 7, byte_count);
    v3 ^= last;
    for (int i = 0; i < c_rounds; i++)
        QP_SIP_ROUND(v0, v1, v2, v3);
    v0 ^= last;
    v2 ^= 0xff;
    for (int i = 0; i < d_rounds; i++)
        QP_SIP_ROUND(v0, v1, v2, v3);
    return v0 ^ v1 ^ v2 ^ v3;
}

/* The hash of a key. Always inline, as all from qp_key_make down: left to itself the compiler makes a call of it. */
static inline __attribute__((always_inline)) uint64_t qp_hash_key(const uint64_t seed[2], const void *key, size_t key_bytes)
{
    return qp_siphash(1, 3, seed, key, key_bytes);
}

#endif
