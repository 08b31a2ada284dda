/* SPDX-License-Identifier: MIT */
/* top_screen.h: the terminal while something is shown on all of it: its size, its keys, and that it is as before
 * when we leave, stop or are told to end. */
#ifndef QP_CLI_TOP_SCREEN_H
#define QP_CLI_TOP_SCREEN_H

#include <stddef.h>
#include <stdint.h>

struct qp_cli_screen_size {
    int rows, columns;
};

enum qp_cli_screen_event {
    QP_CLI_SCREEN_TIME,   /* the time is over */
    QP_CLI_SCREEN_KEY,    /* somebody pressed one */
    QP_CLI_SCREEN_REDRAW, /* the size is another, or we were stopped and go on */
    QP_CLI_SCREEN_END,    /* a signal says so, or the terminal is gone */
};

/* 0, or -errno when this is no terminal. One at a time in a process. */
int qp_cli_screen_open(void);

/* Restores the terminal. Returns the signal that ended it, for the caller to die of, or 0. */
int qp_cli_screen_close(void);

void qp_cli_screen_measure(struct qp_cli_screen_size *out);

/* Shows a frame, the first rows of its lines. What it does not cover is blank. */
void qp_cli_screen_show(const char *frame, size_t frame_bytes, int rows);

/* Waits for the next thing to happen. */
enum qp_cli_screen_event qp_cli_screen_wait(int64_t timeout_us, char *key);

#endif
