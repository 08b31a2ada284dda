/* SPDX-License-Identifier: MIT */
/* http.c: reads the head of a request. A request with a body is refused: nothing here takes one, and a server that
 * guesses where a body ends can be talked into reading requests that nobody sent. */
#include "http.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* What the headers said. */
struct headers {
    bool host;
    bool body;
    bool close;
    bool keep_alive;
};

static struct http_text text_until(struct http_text text, char stop)
{
    const char *found = text.count ? memchr(text.bytes, stop, text.count) : NULL;
    return (struct http_text){text.bytes, found ? (size_t)(found - text.bytes) : text.count};
}

static struct http_text text_after(struct http_text text, size_t skip)
{
    return (struct http_text){text.bytes + skip, text.count - skip};
}

/* What follows `head`, the part of text before a one-byte separator. */
static struct http_text text_rest(struct http_text text, struct http_text head)
{
    return text_after(text, head.count < text.count ? head.count + 1 : text.count);
}

bool http_text_is(struct http_text text, const char *word)
{
    return text.count == strlen(word) && memcmp(text.bytes, word, text.count) == 0;
}

static bool is_word(struct http_text text, const char *word)
{
    return text.count == strlen(word) && strncasecmp(text.bytes, word, text.count) == 0;
}

static bool is_token(struct http_text text)
{
    for (size_t i = 0; i < text.count; i++) {
        unsigned char c = (unsigned char)text.bytes[i];
        if (c == 0 || (!isalnum(c) && !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return text.count > 0;
}

/* Printable, tabs and what is beyond ASCII; no other control byte belongs into a head. */
static bool is_clean(struct http_text text)
{
    for (size_t i = 0; i < text.count; i++) {
        unsigned char c = (unsigned char)text.bytes[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static struct http_text trimmed(struct http_text text)
{
    while (text.count && (text.bytes[0] == ' ' || text.bytes[0] == '\t'))
        text = text_after(text, 1);
    while (text.count && (text.bytes[text.count - 1] == ' ' || text.bytes[text.count - 1] == '\t'))
        text.count--;
    return text;
}

static void read_connection(struct http_text value, struct headers *out)
{
    while (value.count) {
        struct http_text option = text_until(value, ',');
        value = text_rest(value, option);
        out->close |= is_word(trimmed(option), "close");
        out->keep_alive |= is_word(trimmed(option), "keep-alive");
    }
}

static int read_header(struct http_text line, struct headers *headers, struct http_request *request)
{
    struct http_text name = text_until(line, ':');
    struct http_text value = trimmed(text_rest(line, name));
    if (name.count == line.count || !is_token(name))
        return -400;
    if (is_word(name, "Host"))
        headers->host = true;
    else if (is_word(name, "Connection"))
        read_connection(value, headers);
    else if (is_word(name, "Transfer-Encoding") || (is_word(name, "Content-Length") && !http_text_is(value, "0")))
        headers->body = true;
    else if (is_word(name, "X-Key"))
        request->key = value;
    return 0;
}

static int read_request_line(struct http_text line, struct http_request *request, bool *is_1_1)
{
    request->method = text_until(line, ' ');
    struct http_text rest = text_rest(line, request->method);
    struct http_text target = text_until(rest, ' ');
    struct http_text version = text_rest(rest, target);
    if (!is_token(request->method) || target.count == 0 || target.bytes[0] != '/')
        return -400;
    *is_1_1 = http_text_is(version, "HTTP/1.1");
    if (!*is_1_1 && !http_text_is(version, "HTTP/1.0"))
        return version.count >= 5 && memcmp(version.bytes, "HTTP/", 5) == 0 ? -505 : -400;
    request->path = text_until(target, '?');
    request->query = text_rest(target, request->path);
    return 0;
}

static int read_head(struct http_text head, struct http_request *request)
{
    struct headers headers = {0};
    bool is_1_1 = false;
    for (bool first = true; head.count; first = false) {
        struct http_text line = text_until(head, '\n');
        head = text_rest(head, line);
        if (line.count == 0 || line.bytes[line.count - 1] != '\r')
            return -400;
        line.count--;
        if (!is_clean(line))
            return -400;
        int refused = first ? read_request_line(line, request, &is_1_1) : read_header(line, &headers, request);
        if (refused)
            return refused;
    }
    if (is_1_1 && !headers.host)
        return -400;
    request->keep_alive = !headers.close && (is_1_1 || headers.keep_alive);
    return headers.body ? -413 : 0;
}

int http_read(const char *bytes, size_t count, struct http_request *out)
{
    *out = (struct http_request){0};
    /* Blank lines before a request are to be forgiven (RFC 9112, 2.2). */
    size_t blank = 0;
    while (blank + 1 < count && bytes[blank] == '\r' && bytes[blank + 1] == '\n')
        blank += 2;
    const char *end = memmem(bytes + blank, count - blank, "\r\n\r\n", 4);
    if (!end)
        return count >= HTTP_HEAD_BYTES_MAX ? -431 : 0;
    /* Up to and with the line break of the last line. */
    struct http_text head = {bytes + blank, (size_t)(end - bytes) - blank + 2};
    int refused = read_head(head, out);
    return refused ? refused : (int)(end - bytes) + 4;
}

struct http_text http_parameter(struct http_text query, const char *name)
{
    while (query.count) {
        struct http_text pair = text_until(query, '&');
        query = text_rest(query, pair);
        struct http_text this_name = text_until(pair, '=');
        if (http_text_is(this_name, name))
            return text_rest(pair, this_name);
    }
    return (struct http_text){0};
}

const char *http_reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Content Too Large";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Internal Server Error";
    }
}
