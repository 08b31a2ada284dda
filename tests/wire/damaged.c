/* SPDX-License-Identifier: MIT */
/* damaged.c: every fixed frame, cut at every place and with every byte changed to every other value. What the checksum is not made anew for is refused; where an
 * attacker made it anew, a frame is refused, or records are skipped, or it says something else in its one form (again.h). Each lies in memory
 * of exactly its size, so that with a sanitizer a look beyond its end is seen. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "again.h"
#include "sample.h"
#include "sync/wire_layout.h"

static uint8_t whole[QP_FRAME_BYTES_MAX];
static _Alignas(64) uint8_t scratch[QP_WIRE_SCRATCH_BYTES];
static uint64_t tried, refused, skipped, taken;

static void fail(const struct wire_sample *sample, const char *what, size_t at)
{
    fprintf(stderr, "%s, version %d: %s at byte %zu was not refused\n", sample->name, sample->frame.version, what, at);
    exit(1);
}

/* As it came: the checksum must find it. */
static void expect_refused(const struct wire_sample *sample, const void *bytes, size_t count, const char *what, size_t at)
{
    tried++;
    if (wire_again(bytes, count).error == 0)
        fail(sample, what, at);
    refused++;
}

/* With a right checksum: nothing is expected but what again.h demands. */
static void look(void *bytes, size_t count)
{
    wire_reseal(bytes, count);
    struct wire_again again = wire_again(bytes, count);
    tried++;
    refused += again.error != 0;
    skipped += again.error == 0 && (again.skipped || again.cut);
    taken += again.error == 0 && !again.skipped && !again.cut;
}

static void truncations(const struct wire_sample *sample, size_t count)
{
    for (size_t cut = 0; cut < count; cut++) {
        uint8_t *bytes = malloc(cut ? cut : 1);
        memcpy(bytes, whole, cut);
        expect_refused(sample, bytes, cut, "a cut", cut);
        look(bytes, cut);
        free(bytes);
    }
}

/* step: how many values apart. */
static void corruptions(const struct wire_sample *sample, size_t count, unsigned step)
{
    uint8_t *bytes = malloc(count);
    for (size_t at = 0; at < count; at++) {
        for (unsigned other = 1; other < 256; other += step) {
            memcpy(bytes, whole, count);
            bytes[at] ^= (uint8_t)other;
            expect_refused(sample, bytes, count, "a change", at);
            if (at < count - QP_WIRE_SEAL_BYTES)
                look(bytes, count);
        }
    }
    free(bytes);
}

int main(void)
{
    struct wire_sample sample;
    for (uint8_t version = QP_WIRE_VERSION_MIN; version <= QP_WIRE_VERSION; version++)
        for (uint32_t i = 0; i < wire_sample_count(); i++) {
            sample = *wire_sample(i, version);
            size_t count = wire_sample_write(&sample, whole, sizeof whole, NULL);
            truncations(&sample, count);
            corruptions(&sample, count, 1);
        }
    static const uint8_t packed[] = {QP_FRAME_DELTA, QP_FRAME_CHUNK};
    for (size_t i = 0; i < sizeof packed; i++) {
        sample = *wire_sample_repetitive(packed[i]);
        size_t count = wire_sample_write(&sample, whole, sizeof whole, scratch);
        if (whole[QP_WIRE_AT_CODEC] == QP_CODEC_NONE || wire_again(whole, count).taken != sample.record_count)
            fail(&sample, "no compression", QP_WIRE_AT_CODEC);
        truncations(&sample, count);
        corruptions(&sample, count, 2);
    }
    printf("%llu damaged frames: %llu refused, of %llu records were skipped, %llu say something else\n", (unsigned long long)tried,
           (unsigned long long)refused, (unsigned long long)skipped, (unsigned long long)taken);
    return skipped == 0 || taken == 0; /* the checksum was made anew in vain */
}
