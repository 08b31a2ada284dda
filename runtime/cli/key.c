/* SPDX-License-Identifier: MIT */
/* key.c: keys between bytes and the escaped text that people see. */
#include "key.h"

#include <stdbool.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One escape after its backslash. Returns the characters it took, or 0 when it is none. */
static size_t read_escape(const char *text, size_t text_bytes, unsigned char *out)
{
    if (text_bytes >= 1 && text[0] == '\\') {
        *out = '\\';
        return 1;
    }
    if (text_bytes < 3 || text[0] != 'x' || hex_digit(text[1]) < 0 || hex_digit(text[2]) < 0)
        return 0;
    *out = (unsigned char)(hex_digit(text[1]) * 16 + hex_digit(text[2]));
    return 3;
}

const char *qp_cli_prefix_read(const char *text, size_t text_bytes, struct qp_cli_key *out)
{
    size_t count = 0;
    for (size_t i = 0; i < text_bytes;) {
        unsigned char byte = (unsigned char)text[i++];
        if (byte == '\\') {
            size_t taken = read_escape(text + i, text_bytes - i, &byte);
            if (taken == 0)
                return "a backslash in a key is followed by xNN, a byte in hexadecimal, or by a backslash";
            i += taken;
        }
        if (count == sizeof out->bytes)
            return "a key has at most 1,024 bytes";
        out->bytes[count++] = byte;
    }
    out->count = count;
    return NULL;
}

const char *qp_cli_key_read(const char *text, struct qp_cli_key *out)
{
    if (!*text)
        return "a key has at least one byte";
    return qp_cli_prefix_read(text, strlen(text), out);
}

/* The bytes of the well-formed UTF-8 character at p (the table of RFC 3629), or 0. */
static size_t utf8_bytes(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char first_min, first_max, second_min, second_max, bytes;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (*p < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (*p < forms[i].first_min || *p > forms[i].first_max)
            continue;
        if (left < forms[i].bytes || p[1] < forms[i].second_min || p[1] > forms[i].second_max)
            return 0;
        for (size_t k = 2; k < forms[i].bytes; k++) {
            if (p[k] < 0x80 || p[k] > 0xbf)
                return 0;
        }
        return forms[i].bytes;
    }
    return 0;
}

/* A terminal acts on these: the control characters of ASCII, and U+0080 to U+009F. */
static bool is_control(const unsigned char *p, size_t bytes)
{
    return (bytes == 1 && (*p < 0x20 || *p == 0x7f)) || (bytes == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

void qp_cli_key_print(FILE *out, const void *key, size_t key_bytes)
{
    const unsigned char *p = key;
    const unsigned char *end = p + key_bytes;
    while (p < end) {
        size_t bytes = utf8_bytes(p, (size_t)(end - p));
        if (*p == '\\') {
            fputs("\\\\", out);
            p++;
        } else if (bytes && !is_control(p, bytes)) {
            fwrite(p, 1, bytes, out);
            p += bytes;
        } else {
            for (const unsigned char *stop = p + (bytes ? bytes : 1); p < stop; p++)
                fprintf(out, "\\x%02x", *p);
        }
    }
}
