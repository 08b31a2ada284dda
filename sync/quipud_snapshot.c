/* SPDX-License-Identifier: MIT */
/* quipud_snapshot.c: the snapshot file is a dump's, merged in as if a host had told of it: one that is old, or read
 * twice, counts nothing twice. */
#include "quipud_snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/quipu.h"
#include "dump.h"
#include "quipud_log.h"

/* ---- the segment ------------------------------------------------------------------------------------------------- */

static bool read_user(const char *text, uint32_t *uid)
{
    char *end;
    struct passwd *user = getpwnam(text);
    if (user) {
        *uid = user->pw_uid;
        return true;
    }
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    *uid = (uint32_t)number;
    return *text >= '0' && *text <= '9' && !*end && !errno && number < UINT32_MAX;
}

static const char *open_words(int error)
{
    switch (error) {
    case -ENOENT:
        return "there is no such segment (`quipu create` makes one)";
    case -QUIPU_EOWNER:
        return "the segment belongs to neither this user nor root (trust_owner accepts its owner)";
    case -EINVAL:
        return "a segment's name is 1 to 200 letters, digits, '.', '_' and '-', the first one not '.'; a path has a "
               "slash";
    default:
        return quipu_error(error);
    }
}

int qp_quipud_segment_open(const struct qp_quipud_config *config, struct quipu **out,
                           char sentence[QP_QUIPUD_TEXT_BYTES])
{
    struct quipu_open_options options = {.struct_bytes = sizeof options};
    if (config->trust_owner[0]) {
        options.trust_owner = 1;
        if (!read_user(config->trust_owner, &options.trusted_uid)) {
            snprintf(sentence, QP_QUIPUD_TEXT_BYTES, "trust_owner: there is no user %s", config->trust_owner);
            return -EINVAL;
        }
    }
    int error = quipu_open(config->segment, &options, out);
    if (error)
        snprintf(sentence, QP_QUIPUD_TEXT_BYTES, "%s: %s", config->segment, open_words(error));
    return error;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int keep_aside(const char *path, const char *why)
{
    char bad[QP_QUIPUD_VALUE_BYTES + 8];
    snprintf(bad, sizeof bad, "%s.bad", path);
    if (rename(path, bad)) {
        int error = -errno;
        qp_quipud_say(QP_QUIPUD_ERROR, "%s, and it cannot be kept aside as %s: %s", why, bad, strerror(errno));
        return error;
    }
    qp_quipud_say(QP_QUIPUD_WARNING, "%s; it is kept aside as %s, and the agent starts without it", why, bad);
    return 0;
}

int qp_quipud_snapshot_read(struct quipu *q, const char *path)
{
    char sentence[QP_DUMP_SENTENCE_BYTES];
    struct qp_dump_figures figures;
    int error = qp_dump_load(q, path, &figures, sentence);
    if (error == -ENOENT) {
        qp_quipud_say(QP_QUIPUD_INFO, "the segment is new, and there is no snapshot %s yet", path);
        return 0;
    }
    if (error == -EBADMSG || error == -EPROTONOSUPPORT)
        return keep_aside(path, sentence);
    if (error) {
        qp_quipud_say(QP_QUIPUD_ERROR, "%s", sentence[0] ? sentence : quipu_error(error));
        return error;
    }
    uint64_t refused = figures.refused_full + figures.refused_kind + figures.refused_skew;
    qp_quipud_say(QP_QUIPUD_INFO, "the segment is new; the snapshot %s was read: %" PRIu64 " keys", path, figures.keys);
    if (refused)
        qp_quipud_say(QP_QUIPUD_WARNING,
                      "%" PRIu64 " keys of the snapshot were refused: %" PRIu64 " for want of room, %" PRIu64
                      " are of another kind here, %" PRIu64 " are ahead of the clock",
                      refused, figures.refused_full, figures.refused_kind, figures.refused_skew);
    return 0;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int write_of(struct quipu *q, const char *path, uint64_t replica, char sentence[QP_QUIPUD_TEXT_BYTES])
{
    char why[QP_DUMP_SENTENCE_BYTES] = "";
    struct qp_dump_figures figures;
    struct quipu_stat stat;
    int error = quipu_stat(q, &stat);
    if (!error && stat.replica != replica)
        error = -ESTALE;
    if (!error)
        error = qp_dump_save(q, path, &figures, why);
    if (error)
        snprintf(sentence, QP_QUIPUD_TEXT_BYTES, "%s", why[0] ? why : quipu_error(error));
    return error;
}

int qp_quipud_snapshot_write(const struct qp_quipud_config *config, uint64_t replica,
                             char sentence[QP_QUIPUD_TEXT_BYTES])
{
    struct quipu *q;
    int error = qp_quipud_segment_open(config, &q, sentence);
    if (error)
        return error;
    error = write_of(q, config->snapshot_file, replica, sentence);
    quipu_close(q);
    return error;
}
