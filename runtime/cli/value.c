/* SPDX-License-Identifier: MIT */
/* value.c: numbers and durations as people write them. */
#include "value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint64_t ms;
} units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

enum { UNIT_COUNT = sizeof units / sizeof *units };

bool qp_cli_number_read(const char *text, int64_t min, int64_t max, int64_t *out)
{
    const char *digits = *text == '-' ? text + 1 : text;
    if (!*digits || digits[strspn(digits, "0123456789")])
        return false;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno || value < min || value > max)
        return false;
    *out = value;
    return true;
}

bool qp_cli_duration_read(const char *text, uint64_t *out_ms)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0)
        return false;
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (strcmp(text + digits, units[i].name))
            continue;
        errno = 0;
        unsigned long long count = strtoull(text, NULL, 10);
        if (errno || count > UINT64_MAX / units[i].ms)
            return false;
        *out_ms = count * units[i].ms;
        return true;
    }
    return false;
}

const char *qp_cli_duration_print(uint64_t duration_ms, char *text, size_t text_bytes)
{
    size_t i = 0;
    while (duration_ms % units[i].ms)
        i++;
    snprintf(text, text_bytes, "%" PRIu64 "%s", duration_ms / units[i].ms, units[i].name);
    return text;
}
