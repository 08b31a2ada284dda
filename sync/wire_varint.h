/* SPDX-License-Identifier: MIT */
/* wire_varint.h: numbers as bytes, and back. A varint is 7 bits a byte, lowest first, the high bit on all bytes but
 * the last; only the shortest form is one, so that a number has one form and a frame can be compared by its bytes.
 * Fixed numbers are little-endian.
 *
 * Both cursors remember that something went wrong and do nothing from then on: callers look once, at the end. */
#ifndef QP_SYNC_WIRE_VARINT_H
#define QP_SYNC_WIRE_VARINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define QP_VARINT_BYTES_MAX 10

struct qp_wire_put {
    uint8_t *at, *end;
    bool full;
};

static inline void qp_put_byte(struct qp_wire_put *put, uint8_t byte)
{
    if (put->at == put->end)
        put->full = true;
    else if (!put->full)
        *put->at++ = byte;
}

static inline void qp_put_bytes(struct qp_wire_put *put, const void *bytes, size_t count)
{
    if ((size_t)(put->end - put->at) < count)
        put->full = true;
    if (put->full)
        return;
    if (count) /* memcpy wants two places even for nothing */
        memcpy(put->at, bytes, count);
    put->at += count;
}

static inline void qp_put_varint(struct qp_wire_put *put, uint64_t number)
{
    uint8_t form[QP_VARINT_BYTES_MAX];
    size_t count = 0;
    for (; number > 0x7f; number >>= 7)
        form[count++] = (uint8_t)(number | 0x80);
    form[count++] = (uint8_t)number;
    qp_put_bytes(put, form, count);
}

static inline void qp_store_fixed(uint8_t *at, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(number >> (8 * i));
}

static inline void qp_put_fixed(struct qp_wire_put *put, uint64_t number)
{
    uint8_t form[8];
    qp_store_fixed(form, number);
    qp_put_bytes(put, form, sizeof form);
}

/* 0, -1, 1, -2, 2 as 0, 1, 2, 3, 4: small either way is short. */
static inline uint64_t qp_zigzag(int64_t number)
{
    return (uint64_t)number << 1 ^ (uint64_t)-(int64_t)(number < 0);
}

static inline int64_t qp_unzigzag(uint64_t number)
{
    return (int64_t)(number >> 1 ^ (uint64_t)-(int64_t)(number & 1));
}

struct qp_wire_get {
    const uint8_t *at, *end;
    bool bad;
};

static inline uint8_t qp_get_byte(struct qp_wire_get *get)
{
    if (get->bad || get->at == get->end) {
        get->bad = true;
        return 0;
    }
    return *get->at++;
}

/* NULL: so many are not there. */
static inline const uint8_t *qp_get_bytes(struct qp_wire_get *get, size_t count)
{
    if (get->bad || (size_t)(get->end - get->at) < count) {
        get->bad = true;
        return NULL;
    }
    const uint8_t *bytes = get->at;
    get->at += count;
    return bytes;
}

/* A varint of at most `most`; 0 and bad otherwise. */
static inline uint64_t qp_get_varint(struct qp_wire_get *get, uint64_t most)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = qp_get_byte(get);
        if (get->bad || (shift == 63 && byte > 1))
            break;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if ((byte == 0 && shift != 0) || number > most)
            break;
        return number;
    }
    get->bad = true;
    return 0;
}

static inline uint64_t qp_get_fixed(struct qp_wire_get *get)
{
    const uint8_t *form = qp_get_bytes(get, 8);
    uint64_t number = 0;
    for (int i = 0; form && i < 8; i++)
        number |= (uint64_t)form[i] << (8 * i);
    return number;
}

#endif
