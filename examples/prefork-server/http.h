/* SPDX-License-Identifier: MIT */
/* http.h: one request of HTTP/1.0 or 1.1, as far as this server cares, read from bytes that anybody may have sent. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEAD_BYTES_MAX 8192

/* A stretch of the connection's buffer; not terminated. */
struct http_text {
    const char *bytes;
    size_t count;
};

struct http_request {
    struct http_text method; /* empty while it is not known */
    struct http_text path;   /* the target up to its question mark */
    struct http_text query;  /* behind it; empty if there is none */
    struct http_text key;    /* of the header X-Key; empty if there is none */
    bool keep_alive;
};

/* Reads the request that the bytes begin with. Returns the number of bytes it takes, or 0 when more are needed, or the negative of the
 * status that refuses it: then the connection is of no further use, since nobody knows where its next request begins. */
int http_read(const char *bytes, size_t count, struct http_request *out);

/* The value of a query's parameter as it was sent, without any decoding; empty if there is none. */
struct http_text http_parameter(struct http_text query, const char *name);

bool http_text_is(struct http_text text, const char *word);

const char *http_reason(int status);

#endif
