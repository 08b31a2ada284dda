/* SPDX-License-Identifier: MIT */
/* request.c: the address and the path in a line of an access log. The address ends at the first blank. The
 * request is what stands between the first quotes; its target is the second word in there, or all of it if
 * there is only one, as in "-". A line without quotes has the target "-". */
#include "request.h"

#include <string.h>

struct text {
    const char *bytes;
    size_t count;
};

static size_t count_until(struct text text, char stop)
{
    const char *found = text.count ? memchr(text.bytes, stop, text.count) : NULL;
    return found ? (size_t)(found - text.bytes) : text.count;
}

static struct text text_after(struct text text, size_t skip)
{
    return (struct text){text.bytes + skip, text.count - skip};
}

/* Up to the closing quote; a backslash takes the byte behind it along. */
static struct text quoted(struct text text)
{
    size_t i = 0;
    while (i < text.count && text.bytes[i] != '"') {
        if (text.bytes[i] == '\\' && i + 1 == text.count)
            break;
        i += text.bytes[i] == '\\' ? 2 : 1;
    }
    return (struct text){text.bytes, i};
}

static struct text target_of(struct text line)
{
    size_t quote = count_until(line, '"');
    if (quote == line.count)
        return (struct text){"-", 1};
    struct text target = quoted(text_after(line, quote + 1));
    size_t method_bytes = count_until(target, ' ');
    if (method_bytes < target.count)
        target = text_after(target, method_bytes + 1);
    target.count = count_until(target, ' ');
    target.count = count_until(target, '?');
    return target;
}

static void make_key(const char *prefix, struct text text, struct request_key *out)
{
    size_t prefix_bytes = strlen(prefix);
    size_t room = sizeof out->bytes - prefix_bytes;
    size_t text_bytes = text.count < room ? text.count : room;
    memcpy(out->bytes, prefix, prefix_bytes);
    memcpy(out->bytes + prefix_bytes, text.bytes, text_bytes);
    out->count = prefix_bytes + text_bytes;
}

bool request_read(const char *line, size_t line_bytes, struct request *out)
{
    const struct text text = {line, line_bytes};
    if (line_bytes == 0)
        return false;
    make_key("addr:", (struct text){line, count_until(text, ' ')}, &out->address);
    make_key("path:", target_of(text), &out->path);
    return true;
}
