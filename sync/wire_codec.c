/* SPDX-License-Identifier: MIT */
/* wire_codec.c: hashing, compressing and decompressing of bytes, with other people's libraries. Memory is the
 * caller's: all that zstd and lz4 need lies in the scratch memory that they are given. */
#define XXH_INLINE_ALL /* the library's header is the whole of it */
#define ZSTD_STATIC_LINKING_ONLY /* for contexts in memory of ours */
#include "wire_layout.h"

#include <lz4.h>
#include <xxhash.h>
#include <zstd.h>

#define ZSTD_LEVEL 1

uint64_t qp_wire_hash(const void *bytes, size_t count)
{
    return XXH3_64bits(bytes, count);
}

uint64_t qp_wire_key_hash(const void *key, size_t key_bytes)
{
    uint64_t hash = qp_wire_hash(key, key_bytes);
    return hash ? hash : 1; /* a grave with 0 would be a free one */
}

size_t qp_wire_pack(enum qp_wire_codec codec, void *dst, size_t room, const void *raw, size_t raw_bytes, void *work)
{
    if (codec == QP_CODEC_LZ4) {
        int bytes = LZ4_compress_fast_extState(work, raw, dst, (int)raw_bytes, (int)room, 1);
        return bytes > 0 ? (size_t)bytes : 0;
    }
    ZSTD_CCtx *context = ZSTD_initStaticCCtx(work, QP_WIRE_WORK_BYTES);
    size_t bytes = context ? ZSTD_compressCCtx(context, dst, room, raw, raw_bytes, ZSTD_LEVEL) : 0;
    return ZSTD_isError(bytes) ? 0 : bytes;
}

bool qp_wire_unpack(enum qp_wire_codec codec, void *dst, size_t raw_bytes, const void *packed, size_t packed_bytes, void *work)
{
    if (codec == QP_CODEC_LZ4)
        return LZ4_decompress_safe(packed, dst, (int)packed_bytes, (int)raw_bytes) == (int)raw_bytes;
    ZSTD_DCtx *context = ZSTD_initStaticDCtx(work, QP_WIRE_WORK_BYTES);
    return context && ZSTD_decompressDCtx(context, dst, raw_bytes, packed, packed_bytes) == raw_bytes;
}
