/* SPDX-License-Identifier: MIT */
/* answer.c: what this server answers to a request. */
#include "answer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SLOW_MS_MAX = 60000, COUNTERS_SHOWN_MAX = 1000 };

static int64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Seconds for a header, rounded up: who comes back then is not early. */
static int64_t seconds(int64_t ms)
{
    return ms > 0 ? (ms + 999) / 1000 : 0;
}

static void begin(struct text *out, int status)
{
    text_print(out, "HTTP/1.1 %d %s\r\nServer: prefork-server\r\nX-Worker: %d\r\n", status, http_reason(status),
               (int)getpid());
}

/* Ends the head and adds the body, which to HEAD is only described. */
static void finish(struct text *out, const struct http_request *request, const char *body, size_t body_bytes)
{
    text_print(out, "Content-Type: text/plain\r\nContent-Length: %zu\r\nConnection: %s\r\n\r\n", body_bytes,
               request->keep_alive ? "keep-alive" : "close");
    if (!http_text_is(request->method, "HEAD"))
        text_append(out, body, body_bytes);
}

static void plain(struct text *out, int status, const struct http_request *request)
{
    char body[64];
    int bytes = snprintf(body, sizeof body, "%d %s\n", status, http_reason(status));
    begin(out, status);
    if (status == 405)
        text_print(out, "Allow: GET, HEAD\r\n");
    finish(out, request, body, (size_t)bytes);
}

void answer_refusal(int status, struct answer *out)
{
    plain(&out->text, status, &(struct http_request){.keep_alive = false});
}

/* ---- limited requests -------------------------------------------------------------------------------------------- */

static void rate_headers(struct text *out, const struct quipu_verdict *verdict, int64_t now_ms)
{
    text_print(out,
               "RateLimit-Limit: %" PRIu64 "\r\nRateLimit-Remaining: %" PRIu64 "\r\nRateLimit-Reset: %" PRId64
               "\r\nX-Quipu-Window: %" PRIu64 "\r\n",
               verdict->limit, verdict->remaining, seconds(verdict->reset_ms - now_ms), verdict->epoch >> 16);
}

static void limited_answer(struct text *out, int status, const struct http_request *request,
                           const struct quipu_verdict *verdict, int64_t now_ms, int64_t retry_after_ms)
{
    const char *body = status == 200 ? "welcome\n" : "too many requests\n";
    begin(out, status);
    if (verdict)
        rate_headers(out, verdict, now_ms);
    if (status == 429 && retry_after_ms >= 0)
        text_print(out, "Retry-After: %" PRId64 "\r\n", seconds(retry_after_ms));
    finish(out, request, body, strlen(body));
}

/* Digits only; what is larger than SLOW_MS_MAX is that. */
static int64_t read_ms(struct http_text text)
{
    int64_t ms = 0;
    for (size_t i = 0; i < text.count && text.bytes[i] >= '0' && text.bytes[i] <= '9' && ms < SLOW_MS_MAX; i++)
        ms = ms * 10 + (text.bytes[i] - '0');
    return ms < SLOW_MS_MAX ? ms : SLOW_MS_MAX;
}

static struct http_text client_name(const struct client *client, const struct http_request *request)
{
    if (client->key_is_trusted) {
        struct http_text in_query = http_parameter(request->query, "key");
        if (request->key.count)
            return request->key;
        if (in_query.count)
            return in_query;
    }
    return (struct http_text){client->address, strlen(client->address)};
}

/* Where Quipu cannot tell (< 0: full at the moment, or the segment was destroyed) the request is served: a limiter that is out of
 * order is no reason to be out of order oneself. */
static void limited(struct gate *gate, const struct client *client, const struct http_request *request, bool slow,
                    struct answer *out)
{
    struct http_text name = client_name(client, request);
    struct quipu_verdict verdict;
    int64_t now_ms = unix_ms();
    int denied = gate_take(gate, name.bytes, name.count, now_ms, &verdict);
    const struct quipu_verdict *known = denied >= 0 ? &verdict : NULL;
    if (denied == 1) {
        limited_answer(&out->text, 429, request, known, now_ms, verdict.retry_after_ms);
        return;
    }
    if (slow) {
        int refused = gate_enter(gate, &out->ticket);
        if (refused == 1) {
            if (known)
                gate_refund(gate, name.bytes, name.count, &verdict);
            limited_answer(&out->text, 429, request, NULL, now_ms, 1000);
            return;
        }
        out->has_ticket = refused == 0;
        out->wait_ms = read_ms(http_parameter(request->query, "ms"));
    }
    limited_answer(&out->text, 200, request, known, now_ms, 0);
}

/* ---- /counters --------------------------------------------------------------------------------------------------- */

struct listing {
    struct text text;
    uint64_t lines;
    uint64_t hidden;
};

static int list_one(const struct quipu_item *item, void *arg)
{
    struct listing *listing = arg;
    if (listing->lines == COUNTERS_SHOWN_MAX) {
        listing->hidden++;
        return 0;
    }
    listing->lines++;
    text_escape(&listing->text, item->key, item->key_bytes);
    text_print(&listing->text, " total=%" PRId64 " limit=%" PRIu64 " denied=%" PRId64 "\n", item->count.total,
               item->limit, item->count.denied);
    return 0;
}

static void counters(struct gate *gate, const struct http_request *request, struct text *out)
{
    struct listing listing = {0};
    int error = quipu_each(gate->q, "", 0, list_one, &listing);
    if (error)
        text_print(&listing.text, "%s\n", quipu_error(error));
    if (listing.hidden)
        text_print(&listing.text, "and %" PRIu64 " more\n", listing.hidden);
    begin(out, error || listing.text.failed ? 500 : 200);
    finish(out, request, listing.text.bytes, listing.text.count);
    text_free(&listing.text);
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

void answer_request(struct gate *gate, const struct client *client, const struct http_request *request,
                    struct answer *out)
{
    if (!http_text_is(request->method, "GET") && !http_text_is(request->method, "HEAD"))
        plain(&out->text, 405, request);
    else if (http_text_is(request->path, "/"))
        limited(gate, client, request, false, out);
    else if (http_text_is(request->path, "/slow"))
        limited(gate, client, request, true, out);
    else if (http_text_is(request->path, "/counters"))
        counters(gate, request, &out->text);
    else
        plain(&out->text, 404, request);
}
