/* SPDX-License-Identifier: MIT */
/* top_screen.c: the terminal's modes and signals. Signals are blocked but while we wait, so that nothing happens in the
 * middle of a frame. */
#include "top_screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* The alternate screen, no cursor, long lines cut; and back. */
static const char enter_text[] = "\033[?1049h\033[?25l\033[?7l\033[2J";
static const char leave_text[] = "\033[?7h\033[?25h\033[?1049l";

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};
enum { CAUGHT_COUNT = sizeof caught / sizeof *caught };

/* One screen a process, as signal handlers have no argument. */
static struct {
    struct termios before;
    sigset_t mask_before;
    struct sigaction action_before[CAUGHT_COUNT];
    volatile sig_atomic_t ended; /* the signal */
    volatile sig_atomic_t stopped;
    volatile sig_atomic_t changed;
} screen;

/* At once, so that nobody sees half a frame. */
static void write_out(const char *text)
{
    fputs(text, stdout);
    fflush(stdout);
}

static void on_signal(int number)
{
    if (number == SIGTSTP)
        screen.stopped = 1;
    else if (number == SIGWINCH || number == SIGCONT)
        screen.changed = 1;
    else
        screen.ended = number;
}

/* Keys come one by one and are not shown, and what we write is left as it is; ^C and ^Z stay signals. */
static void enter(void)
{
    struct termios mode = screen.before;
    mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    mode.c_oflag &= ~(tcflag_t)OPOST;
    mode.c_cc[VMIN] = 0;
    mode.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &mode);
    write_out(enter_text);
}

static void leave(void)
{
    write_out(leave_text);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &screen.before);
}

int qp_cli_screen_open(void)
{
    if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &screen.before))
        return -ENOTTY;
    sigset_t mask;
    struct sigaction action = {.sa_handler = on_signal};
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    screen.ended = screen.stopped = screen.changed = 0;
    sigemptyset(&mask);
    for (int i = 0; i < CAUGHT_COUNT; i++)
        sigaddset(&mask, caught[i]);
    sigprocmask(SIG_BLOCK, &mask, &screen.mask_before);
    for (int i = 0; i < CAUGHT_COUNT; i++)
        sigaction(caught[i], &action, &screen.action_before[i]);
    enter();
    return 0;
}

int qp_cli_screen_close(void)
{
    leave();
    for (int i = 0; i < CAUGHT_COUNT; i++)
        sigaction(caught[i], &screen.action_before[i], NULL);
    sigprocmask(SIG_SETMASK, &screen.mask_before, NULL);
    return screen.ended;
}

void qp_cli_screen_measure(struct qp_cli_screen_size *out)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col;
    *out = known ? (struct qp_cli_screen_size){size.ws_row, size.ws_col} : (struct qp_cli_screen_size){24, 80};
}

void qp_cli_screen_show(const char *frame, size_t frame_bytes, int rows)
{
    const char *end = frame + frame_bytes;
    fputs("\033[H", stdout);
    for (int row = 0; row < rows && frame < end; row++) {
        const char *newline = memchr(frame, '\n', (size_t)(end - frame));
        const char *line_end = newline ? newline : end;
        fputs(row ? "\r\n" : "", stdout);
        fwrite(frame, 1, (size_t)(line_end - frame), stdout);
        fputs("\033[K", stdout);
        frame = line_end + 1;
    }
    write_out("\033[J");
}

/* As if nobody had caught the signal, with the terminal as it was meanwhile. */
static void stop(void)
{
    leave();
    screen.stopped = 0;
    raise(SIGSTOP);
    enter();
    screen.changed = 1;
}

/* What signals have said, if anything. */
static bool take_event(enum qp_cli_screen_event *out)
{
    if (screen.stopped)
        stop();
    if (!screen.ended && !screen.changed)
        return false;
    *out = screen.ended ? QP_CLI_SCREEN_END : QP_CLI_SCREEN_REDRAW;
    screen.changed = 0;
    return true;
}

/* One byte of the keyboard's. Keys that send several of them, such as the arrows, send an escape, a bracket or an O,
 * and so on to a letter or a tilde: they mean nothing here. */
static char key_of(char byte)
{
    static enum { PLAIN, ESCAPED, SEQUENCE } state;
    bool ends = byte >= '@' && byte <= '~';
    if (byte == '\033')
        state = ESCAPED;
    else if (state == ESCAPED)
        state = byte == '[' || byte == 'O' ? SEQUENCE : PLAIN;
    else if (state == SEQUENCE)
        state = ends ? PLAIN : SEQUENCE;
    else
        return byte;
    return '\0';
}

static enum qp_cli_screen_event read_key(char *key)
{
    char byte;
    ssize_t count = read(STDIN_FILENO, &byte, 1);
    if (count < 0 && errno != EINTR && errno != EAGAIN)
        return QP_CLI_SCREEN_END;
    *key = count == 1 ? key_of(byte) : '\0';
    return QP_CLI_SCREEN_KEY;
}

enum qp_cli_screen_event qp_cli_screen_wait(int64_t timeout_us, char *key)
{
    enum qp_cli_screen_event event;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    struct timespec timeout = {.tv_sec = timeout_us / 1000000, .tv_nsec = timeout_us % 1000000 * 1000};
    int ready = ppoll(&input, 1, &timeout, &screen.mask_before);
    if (take_event(&event))
        return event;
    if (ready == 0)
        return QP_CLI_SCREEN_TIME;
    if (ready < 0)
        return errno == EINTR ? QP_CLI_SCREEN_REDRAW : QP_CLI_SCREEN_END;
    return input.revents & POLLIN ? read_key(key) : QP_CLI_SCREEN_END;
}
