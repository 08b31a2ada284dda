/* SPDX-License-Identifier: MIT */
/* text.h: text that grows while it is printed: an answer on its way out. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *bytes;
    size_t count;
    size_t room;
    bool failed; /* there was no memory: what is here is not whole */
};

void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Bytes as they are. */
void text_append(struct text *text, const void *bytes, size_t count);

/* Bytes that somebody else chose: control bytes, backslashes and what is not ASCII as \xNN. */
void text_escape(struct text *text, const void *bytes, size_t count);

/* Empty again, with its memory kept. */
void text_clear(struct text *text);

void text_free(struct text *text);

#endif
