/* SPDX-License-Identifier: MIT */
/* request.h: one line of an access log in the combined format, as the two keys it is counted under. */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include <quipu.h>

struct request_key {
    char bytes[QUIPU_KEY_BYTES_MAX];
    size_t count;
};

struct request {
    struct request_key address; /* addr:ADDRESS */
    struct request_key path;    /* path:PATH, the request's target up to its question mark */
};

/* False for an empty line, which is no request. Keys that are too long are cut. */
bool request_read(const char *line, size_t line_bytes, struct request *out);

#endif
