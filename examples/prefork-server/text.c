/* SPDX-License-Identifier: MIT */
/* text.c: text that grows while it is printed. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(struct text *text, size_t more)
{
    size_t needed = text->count + more;
    if (needed <= text->room)
        return true;
    size_t room = text->room ? text->room : 1024;
    while (room < needed)
        room *= 2;
    char *bytes = realloc(text->bytes, room);
    if (!bytes) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->room = room;
    return true;
}

void text_append(struct text *text, const void *bytes, size_t count)
{
    if (count == 0 || !make_room(text, count))
        return;
    memcpy(text->bytes + text->count, bytes, count);
    text->count += count;
}

void text_print(struct text *text, const char *format, ...)
{
    char line[1024]; /* every line printed here is shorter */
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (count < 0 || (size_t)count >= sizeof line) {
        text->failed = true;
        return;
    }
    text_append(text, line, (size_t)count);
}

void text_escape(struct text *text, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++) {
        if (at[i] > 0x20 && at[i] < 0x7f && at[i] != '\\')
            text_append(text, &at[i], 1);
        else
            text_print(text, "\\x%02x", at[i]);
    }
}

void text_clear(struct text *text)
{
    text->count = 0;
    text->failed = false;
}

void text_free(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}
