/* SPDX-License-Identifier: MIT */
/* quipud_setting.c: the table of all settings, and how their values are read. */
#include "quipud_setting.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "quipud_log.h"

#define DAY_S (24 * 3600)

static const char *const levels[] = {"error", "warning", "info", "debug", NULL}; /* as enum qp_quipud_level */
static const char *const no_yes[] = {"no", "yes", NULL};

#define AGENT(field) .name = #field, .offset = offsetof(struct qp_quipud_config, field)
#define NUMBER(from, to) .form = QP_QUIPUD_NUMBER, .least = (from), .most = (to)
#define TEXT(from) .form = QP_QUIPUD_TEXT, .least = (from), .most = QP_QUIPUD_VALUE_BYTES - 1
#define LIVE .is_live = true
#define PEER(field) .offset = offsetof(struct qp_quipud_peer, field)

const struct qp_quipud_setting qp_quipud_agent_settings[] = {
    {AGENT(segment), .initial = "default", TEXT(1),
     .about = "The segment that is shared: a name, or a path, which has a slash in it."},
    {AGENT(trust_owner), .initial = "", TEXT(0),
     .about = "The segment may belong to this user too (a name or a number), not only to root and who runs the agent."},
    {AGENT(listen), .initial = "tcp://0.0.0.0:7447", .form = QP_QUIPUD_ADDRESS, .most = 65535,
     .about = "Where other hosts connect to; by port 0 any free one, and the agent says which."},
    {AGENT(key_file), .initial = "/etc/quipu/quipud.key", TEXT(1),
     .about = "This host's key, as `quipud keygen` makes it. It is secret: nobody but its owner and group may read it."},
    {AGENT(cluster), .initial = "0", NUMBER(0, UINT64_MAX),
     .about = "The same on all hosts that share; what another cluster says is refused."},
    {AGENT(snapshot_file), .initial = "", TEXT(0), LIVE,
     .about = "What the segment holds is written here now and then, and read if it was made anew. Empty: no such file."},
    {AGENT(snapshot_interval_s), .initial = "60", .unit = "seconds", NUMBER(1, DAY_S), LIVE,
     .about = "From one snapshot to the next."},
    {AGENT(round_ms), .initial = "100", .unit = "milliseconds", NUMBER(10, 60000), LIVE,
     .about = "From one round of gossip to the next. What is not acknowledged within five rounds is said again."},
    {AGENT(digest_ms), .initial = "5000", .unit = "milliseconds", NUMBER(100, 3600000), LIVE,
     .about = "How often hosts compare what they hold, to repair what nothing else did."},
    {AGENT(credit), .initial = "4", .unit = "frames", NUMBER(1, 64), LIVE,
     .about = "So many may be under way to one peer, unacknowledged."},
    {AGENT(tombstone_grace_s), .initial = "600", .unit = "seconds", NUMBER(1, 365 * DAY_S), LIVE,
     .about = "What is deleted is kept in mind for so long at least, and until all hosts know of it."},
    {AGENT(forget_after_s), .initial = "86400", .unit = "seconds", NUMBER(60, 3650 * (uint64_t)DAY_S), LIVE,
     .about = "A host that is silent for so long is not waited for, and joins anew later. The same on all hosts."},
    {AGENT(log_level), .initial = "info", .form = QP_QUIPUD_WORD, .words = levels, LIVE,
     .about = "What is said on stderr."},
    {0}};

const struct qp_quipud_setting qp_quipud_peer_settings[] = {
    {PEER(key), .name = "key", .form = QP_QUIPUD_KEY, .about = "Its public key. Who has another one is refused."},
    {PEER(endpoint), .name = "endpoint", .initial = "", .form = QP_QUIPUD_ADDRESS, .least = 1, .most = 65535,
     .about = "Where it listens. Not said: it is not connected to, and has to connect to us."},
    {PEER(may_relay), .name = "relay", .initial = "no", .form = QP_QUIPUD_WORD, .words = no_yes,
     .about = "yes: it is believed what it says of others too. At least one host has to be, or nobody can join."},
    {0}};

const struct qp_quipud_setting *qp_quipud_setting_find(const struct qp_quipud_setting *settings, const char *name)
{
    while (settings->name && strcmp(settings->name, name) != 0)
        settings++;
    return settings->name ? settings : NULL;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9') /* strtoull takes a sign, and blanks */
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return !errno && !*end && *out >= least && *out <= most;
}

static bool read_word(const struct qp_quipud_setting *setting, const char *value, void *out)
{
    uint64_t at = 0;
    while (setting->words[at] && strcmp(setting->words[at], value) != 0)
        at++;
    if (!setting->words[at])
        return false;
    if (setting->words == no_yes)
        *(bool *)out = at;
    else
        *(uint64_t *)out = at;
    return true;
}

/* A host's name may be anything that is none of the letters around it: a resolver has the last word. */
static bool is_address(const char *value, uint64_t least, uint64_t most)
{
    static const char scheme[] = "tcp://";
    uint64_t port;
    if (strncmp(value, scheme, strlen(scheme)) != 0 || strlen(value) >= QP_QUIPUD_VALUE_BYTES)
        return false;
    const char *host = value + strlen(scheme), *colon = strrchr(host, ':');
    if (!colon || colon == host || !read_number(colon + 1, least, most, &port))
        return false;
    size_t host_bytes = (size_t)(colon - host);
    if (*host == '[')
        return host_bytes > 2 && colon[-1] == ']' && strcspn(host + 1, "[]/ \t") == host_bytes - 2;
    return strcspn(host, "[]/: \t") == host_bytes;
}

static bool read_text(const char *value, uint64_t least, uint64_t most, char *out)
{
    size_t bytes = strlen(value);
    if (bytes < least || bytes > most)
        return false;
    memcpy(out, value, bytes + 1);
    return true;
}

static bool read_address(const struct qp_quipud_setting *setting, const char *value, char *out)
{
    return is_address(value, setting->least, setting->most) && read_text(value, 1, QP_QUIPUD_VALUE_BYTES - 1, out);
}

void qp_quipud_setting_range(const struct qp_quipud_setting *setting, char text[QP_QUIPUD_TEXT_BYTES])
{
    size_t at = 0;
    switch (setting->form) {
    case QP_QUIPUD_TEXT:
        snprintf(text, QP_QUIPUD_TEXT_BYTES, "a text of %" PRIu64 " to %" PRIu64 " bytes", setting->least,
                 setting->most);
        break;
    case QP_QUIPUD_NUMBER:
        snprintf(text, QP_QUIPUD_TEXT_BYTES, "a whole number%s%s from %" PRIu64 " to %" PRIu64,
                 setting->unit ? " of " : "", setting->unit ? setting->unit : "", setting->least, setting->most);
        break;
    case QP_QUIPUD_WORD:
        for (const char *const *word = setting->words; *word; word++)
            at += (size_t)snprintf(text + at, QP_QUIPUD_TEXT_BYTES - at, "%s%s",
                                   at == 0   ? ""
                                   : word[1] ? ", "
                                             : " or ",
                                   *word);
        break;
    case QP_QUIPUD_ADDRESS:
        snprintf(text, QP_QUIPUD_TEXT_BYTES,
                 "tcp://HOST:PORT, with a port from %" PRIu64 " to %" PRIu64 " and an IPv6 address in brackets",
                 setting->least, setting->most);
        break;
    case QP_QUIPUD_KEY:
        snprintf(text, QP_QUIPUD_TEXT_BYTES, "the 40 characters that `quipud keygen` printed on that host");
        break;
    }
}

bool qp_quipud_setting_put(const struct qp_quipud_setting *setting, const char *value, void *section,
                           char sentence[QP_QUIPUD_TEXT_BYTES])
{
    char range[QP_QUIPUD_TEXT_BYTES];
    void *out = (char *)section + setting->offset;
    bool is_good = false;
    switch (setting->form) {
    case QP_QUIPUD_TEXT: is_good = read_text(value, setting->least, setting->most, out); break;
    case QP_QUIPUD_NUMBER: is_good = read_number(value, setting->least, setting->most, out); break;
    case QP_QUIPUD_WORD: is_good = read_word(setting, value, out); break;
    case QP_QUIPUD_ADDRESS: is_good = read_address(setting, value, out); break;
    case QP_QUIPUD_KEY: is_good = qp_engine_key_read(value, out) == 0; break;
    }
    if (is_good)
        return true;
    qp_quipud_setting_range(setting, range);
    snprintf(sentence, QP_QUIPUD_TEXT_BYTES, "%s is %.300s", setting->name, range);
    return false;
}

void qp_quipud_setting_defaults(const struct qp_quipud_setting *settings, void *section)
{
    char sentence[QP_QUIPUD_TEXT_BYTES];
    for (; settings->name; settings++)
        if (settings->initial && *settings->initial)
            qp_quipud_setting_put(settings, settings->initial, section, sentence);
        else if (settings->form == QP_QUIPUD_TEXT || settings->form == QP_QUIPUD_ADDRESS)
            *((char *)section + settings->offset) = 0;
}

static size_t bytes_of(const struct qp_quipud_setting *setting)
{
    switch (setting->form) {
    case QP_QUIPUD_TEXT:
    case QP_QUIPUD_ADDRESS: return QP_QUIPUD_VALUE_BYTES;
    case QP_QUIPUD_KEY: return QP_ENGINE_KEY_BYTES;
    default: return setting->words == no_yes ? sizeof(bool) : sizeof(uint64_t);
    }
}

bool qp_quipud_setting_copy(const struct qp_quipud_setting *setting, const void *from, void *to)
{
    const char *source = (const char *)from + setting->offset;
    char *target = (char *)to + setting->offset;
    bool is_text = setting->form == QP_QUIPUD_TEXT || setting->form == QP_QUIPUD_ADDRESS;
    bool differs = is_text ? strcmp(source, target) != 0 : memcmp(source, target, bytes_of(setting)) != 0;
    memcpy(target, source, bytes_of(setting));
    return differs;
}
