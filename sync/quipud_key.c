/* SPDX-License-Identifier: MIT */
/* quipud_key.c: two lines of a file: "public KEY" and "secret KEY", in Z85. Both, for a public key cannot be told
 * from the wrong one before a peer refuses it: so it is made once, with the other. */
#include "quipud_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES 1024

static int fail(char sentence[QP_QUIPUD_KEY_SENTENCE_BYTES], int error, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int fail(char sentence[QP_QUIPUD_KEY_SENTENCE_BYTES], int error, const char *path, const char *format, ...)
{
    char what[200];
    va_list values;
    va_start(values, format);
    vsnprintf(what, sizeof what, format, values);
    va_end(values);
    snprintf(sentence, QP_QUIPUD_KEY_SENTENCE_BYTES, "key file %.250s: %s", path, what);
    return error;
}

void qp_quipud_key_wipe(struct qp_quipud_key *key)
{
    explicit_bzero(key, sizeof *key);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int read_text(int fd, char text[FILE_BYTES])
{
    size_t bytes = 0;
    ssize_t count;
    while (bytes < FILE_BYTES - 1 && (count = read(fd, text + bytes, FILE_BYTES - 1 - bytes)) != 0) {
        if (count < 0)
            return -errno;
        bytes += (size_t)count;
    }
    text[bytes] = 0;
    return 0;
}

/* Each line is a comment, empty, or one of the two. */
static bool read_lines(char *text, struct qp_quipud_key *out)
{
    bool has_public = false, has_secret = false;
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        char word[8], key[QP_ENGINE_KEY_TEXT], more;
        int count = sscanf(line, " %7s %40s %c", word, key, &more);
        if (count <= 0 || word[0] == '#')
            continue;
        bool *has = strcmp(word, "public") == 0 ? &has_public : strcmp(word, "secret") == 0 ? &has_secret : NULL;
        if (count != 2 || !has || *has ||
            qp_engine_key_read(key, has == &has_public ? out->public_key : out->secret_key))
            return false;
        *has = true;
    }
    return has_public && has_secret;
}

static int read_open(int fd, const char *path, struct qp_quipud_key *out, char sentence[QP_QUIPUD_KEY_SENTENCE_BYTES])
{
    char text[FILE_BYTES];
    struct stat stat;
    int error = fstat(fd, &stat) ? -errno : 0;
    if (!error && (stat.st_mode & (S_IWGRP | S_IRWXO)))
        return fail(sentence, -EPERM, path,
                    "others may read or write it (its mode is %04o): chmod 0600 it, and make a new key if somebody did",
                    (unsigned)(stat.st_mode & 07777));
    if (!error)
        error = read_text(fd, text);
    if (error)
        return fail(sentence, error, path, "%s", strerror(-error));
    bool is_good = read_lines(text, out);
    explicit_bzero(text, sizeof text);
    return is_good ? 0 : fail(sentence, -EINVAL, path, "it is none that `quipud keygen` makes");
}

int qp_quipud_key_read(const char *path, struct qp_quipud_key *out, char sentence[QP_QUIPUD_KEY_SENTENCE_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return fail(sentence, -ENOENT, path, "there is none (`quipud keygen` makes one)");
    if (fd < 0)
        return fail(sentence, -errno, path, "%s", strerror(errno));
    int error = read_open(fd, path, out, sentence);
    close(fd);
    return error;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static int write_file(int fd, const struct qp_quipud_key *key)
{
    char text[FILE_BYTES], public_text[QP_ENGINE_KEY_TEXT], secret_text[QP_ENGINE_KEY_TEXT];
    qp_engine_key_text(key->public_key, public_text);
    qp_engine_key_text(key->secret_key, secret_text);
    int bytes = snprintf(
        text, sizeof text,
        "# The key of a Quipu agent. Other hosts are told the public one; the secret one is for this host alone.\n"
        "public %s\nsecret %s\n",
        public_text, secret_text);
    ssize_t count = write(fd, text, (size_t)bytes);
    int error = count == bytes ? 0 : count < 0 ? -errno : -ENOSPC;
    explicit_bzero(text, sizeof text);
    explicit_bzero(secret_text, sizeof secret_text);
    return error ? error : fsync(fd) ? -errno : 0;
}

int qp_quipud_key_make(const char *path, struct qp_quipud_key *out, char sentence[QP_QUIPUD_KEY_SENTENCE_BYTES])
{
    int error = qp_engine_keygen(out->public_key, out->secret_key);
    if (error)
        return fail(sentence, error, path, "no key can be made: %s", strerror(-error));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return fail(sentence, -EEXIST, path, "there is a file of this name, and a key is not overwritten");
    if (fd < 0)
        return fail(sentence, -errno, path, "%s", strerror(errno));
    error = fchmod(fd, 0600) ? -errno : write_file(fd, out);
    if (close(fd) && !error)
        error = -errno;
    if (error) {
        unlink(path);
        return fail(sentence, error, path, "%s", strerror(-error));
    }
    return 0;
}
