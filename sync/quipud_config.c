/* SPDX-License-Identifier: MIT */
/* quipud_config.c: the configuration file. inih splits it into settings; alone here it is known. It tells no more of
 * a mistake than the first line that had one, so what is wrong is said here, at its line, and sections are taken
 * from the lines before inih cuts their names. */
#include "quipud_config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "quipud_setting.h"

#define DONE 0
#define MISTAKEN 2
#define UNREADABLE 3
#define SETTINGS_MAX 32 /* of a section */

enum section { NO_SECTION, AGENT_SECTION, PEER_SECTION, UNKNOWN_SECTION };

struct reading {
    const char *path;
    FILE *file;
    char *text; /* the line, as getline keeps it */
    size_t text_bytes;
    uint32_t line;
    bool field_due; /* the line should be a setting, and inih has not called the handler for it */
    bool has_agent;
    uint32_t mistakes;
    enum section section;
    uint32_t section_line;
    uint32_t said[SETTINGS_MAX]; /* in which line of the section each setting was */
    uint32_t peer_line[QP_PEERS_MAX];
    struct qp_quipud_config *config;
    qp_quipud_complain *complain;
    void *arg;
};

static void complain(struct reading *reading, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void complain(struct reading *reading, uint32_t line, const char *format, ...)
{
    char what[QP_QUIPUD_TEXT_BYTES], sentence[QP_QUIPUD_TEXT_BYTES + QP_QUIPUD_VALUE_BYTES + 32];
    va_list values;
    va_start(values, format);
    vsnprintf(what, sizeof what, format, values);
    va_end(values);
    if (line)
        snprintf(sentence, sizeof sentence, "%.*s:%u: %s", QP_QUIPUD_VALUE_BYTES, reading->path, line, what);
    else
        snprintf(sentence, sizeof sentence, "%.*s: %s", QP_QUIPUD_VALUE_BYTES, reading->path, what);
    reading->complain(sentence, reading->arg);
    reading->mistakes++;
}

/* ---- sections ---------------------------------------------------------------------------------------------------- */

static const struct qp_quipud_setting *settings_of(enum section section)
{
    return section == AGENT_SECTION ? qp_quipud_agent_settings : qp_quipud_peer_settings;
}

static void *place_of(struct reading *reading)
{
    struct qp_quipud_config *config = reading->config;
    return reading->section == AGENT_SECTION ? (void *)config : &config->peer[config->peer_count - 1];
}

/* What a section lacks is known at its end. */
static void end_section(struct reading *reading)
{
    if (reading->section != AGENT_SECTION && reading->section != PEER_SECTION)
        return;
    const struct qp_quipud_setting *settings = settings_of(reading->section);
    for (uint32_t i = 0; settings[i].name; i++)
        if (!settings[i].initial && !reading->said[i])
            complain(reading, reading->section_line, "%s has to be said here", settings[i].name);
}

static bool is_peer_name(const char *name)
{
    size_t bytes = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return bytes > 0 && bytes < QP_QUIPUD_NAME_BYTES && !name[bytes];
}

static void begin_peer(struct reading *reading, const char *name)
{
    struct qp_quipud_config *config = reading->config;
    reading->section = UNKNOWN_SECTION;
    if (!is_peer_name(name)) {
        complain(reading, reading->line, "a peer's name is 1 to %d letters, digits, '.', '_' and '-'",
                 QP_QUIPUD_NAME_BYTES - 1);
        return;
    }
    for (uint32_t i = 0; i < config->peer_count; i++)
        if (strcmp(config->peer[i].name, name) == 0)
            complain(reading, reading->line, "there is a peer of this name already, in line %u", reading->peer_line[i]);
    if (config->peer_count == QP_PEERS_MAX) {
        complain(reading, reading->line, "there are %d peers at most", QP_PEERS_MAX);
        return;
    }
    reading->section = PEER_SECTION;
    reading->peer_line[config->peer_count] = reading->line;
    struct qp_quipud_peer *peer = &config->peer[config->peer_count++];
    *peer = (struct qp_quipud_peer){0};
    snprintf(peer->name, sizeof peer->name, "%s", name);
    qp_quipud_setting_defaults(qp_quipud_peer_settings, peer);
}

static void begin_section(struct reading *reading, const char *name)
{
    end_section(reading);
    memset(reading->said, 0, sizeof reading->said);
    reading->section_line = reading->line;
    reading->section = UNKNOWN_SECTION;
    if (strncmp(name, "peer", 4) == 0 && (!name[4] || name[4] == ' ')) {
        begin_peer(reading, name + 4 + strspn(name + 4, " "));
    } else if (strcmp(name, "agent") != 0) {
        complain(reading, reading->line, "there is no section [%.60s]: there are [agent] and [peer NAME]", name);
    } else {
        if (reading->has_agent)
            complain(reading, reading->line, "there is an [agent] already");
        reading->has_agent = true;
        reading->section = AGENT_SECTION;
    }
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void close_line(struct reading *reading)
{
    if (reading->field_due)
        complain(reading, reading->line, "this is neither [SECTION] nor NAME = VALUE");
    reading->field_due = false;
}

static void read_heading(struct reading *reading, char *line)
{
    char *close = strchr(line, ']'), *rest = close ? close + 1 + strspn(close + 1, " \t") : NULL;
    if (!close || (*rest && *rest != ';' && *rest != '#')) {
        complain(reading, reading->line, "a section is [agent] or [peer NAME], and nothing but a comment follows it");
        reading->section = UNKNOWN_SECTION;
        return;
    }
    *close = 0;
    begin_section(reading, line + 1);
}

/* inih's reader: one call, one line, without its leading blanks, in which inih would see a continuation. Of sections
 * it sees nothing. */
static char *read_line(char *out, int out_bytes, void *stream)
{
    struct reading *reading = stream;
    close_line(reading);
    ssize_t bytes = getline(&reading->text, &reading->text_bytes, reading->file);
    if (bytes < 0)
        return NULL;
    reading->line++;
    bool has_nul = strlen(reading->text) != (size_t)bytes;
    char *line = reading->text + strspn(reading->text, " \t");
    line[strcspn(line, "\r\n")] = 0;
    if (has_nul)
        complain(reading, reading->line, "the line has a NUL byte");
    else if (*line == '[')
        read_heading(reading, line);
    else if (strlen(line) > (size_t)out_bytes - 2)
        complain(reading, reading->line, "the line is too long");
    else
        reading->field_due = *line && *line != ';' && *line != '#';
    snprintf(out, (size_t)out_bytes, "%s\n", reading->field_due ? line : "");
    return out;
}

static void complain_of_name(struct reading *reading, const char *name)
{
    char names[QP_QUIPUD_TEXT_BYTES];
    size_t at = 0;
    for (const struct qp_quipud_setting *setting = settings_of(reading->section); setting->name; setting++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "", setting->name);
    complain(reading, reading->line, "there is no setting %.60s here: there are %s", name, names);
}

/* inih's handler: returns 0 to refuse. */
static int take_setting(void *user, const char *section_name, const char *name, const char *value)
{
    struct reading *reading = user;
    char sentence[QP_QUIPUD_TEXT_BYTES];
    (void)section_name;
    reading->field_due = false;
    if (reading->section == NO_SECTION)
        complain(reading, reading->line, "a setting stands under [agent] or [peer NAME]");
    if (reading->section != AGENT_SECTION && reading->section != PEER_SECTION)
        return 0; /* what it would mean is not known */
    const struct qp_quipud_setting *settings = settings_of(reading->section),
                                   *setting = qp_quipud_setting_find(settings, name);
    if (!setting) {
        complain_of_name(reading, name);
        return 0;
    }
    uint32_t *said = &reading->said[setting - settings];
    if (*said) {
        complain(reading, reading->line, "%s is said already, in line %u", name, *said);
        return 0;
    }
    *said = reading->line;
    if (qp_quipud_setting_put(setting, value, place_of(reading), sentence))
        return 1;
    complain(reading, reading->line, "%s", sentence);
    return 0;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* What only the whole shows. */
static void judge(struct reading *reading)
{
    const struct qp_quipud_config *config = reading->config;
    if (config->forget_after_s <= config->tombstone_grace_s)
        complain(reading, 0, "forget_after_s has to be more than tombstone_grace_s");
    for (uint32_t i = 0; i < config->peer_count; i++) {
        if (config->peer[i].key[0] == 0 && memcmp(config->peer[i].key, config->peer[i].key + 1, 7) == 0)
            complain(reading, reading->peer_line[i], "this is the key of nobody");
        for (uint32_t j = 0; j < i; j++)
            if (memcmp(config->peer[i].key, config->peer[j].key, QP_ENGINE_KEY_BYTES) == 0)
                complain(reading, reading->peer_line[i], "the peer in line %u has the same key", reading->peer_line[j]);
    }
}

static int read_file(struct reading *reading)
{
    int first_mistake = ini_parse_stream(read_line, reading, take_setting, reading);
    close_line(reading);
    end_section(reading);
    if (ferror(reading->file)) {
        complain(reading, 0, "%s", strerror(errno));
        return UNREADABLE;
    }
    if (!reading->mistakes && !reading->has_agent)
        complain(reading, 0, "there is no section [agent]");
    if (first_mistake && !reading->mistakes)
        complain(reading, first_mistake > 0 ? (uint32_t)first_mistake : 0, "this is not understood");
    if (!reading->mistakes)
        judge(reading);
    return reading->mistakes ? MISTAKEN : DONE;
}

int qp_quipud_config_read(const char *path, struct qp_quipud_config *out, qp_quipud_complain *say, void *arg)
{
    struct reading reading = {.path = path, .file = fopen(path, "re"), .config = out, .complain = say, .arg = arg};
    if (!reading.file) {
        complain(&reading, 0, "%s", strerror(errno));
        return UNREADABLE;
    }
    memset(out, 0, sizeof *out);
    qp_quipud_setting_defaults(qp_quipud_agent_settings, out);
    int status = read_file(&reading);
    free(reading.text);
    fclose(reading.file);
    return status;
}

/* ---- what is made of it ------------------------------------------------------------------------------------------ */

static void example_settings(FILE *out, const struct qp_quipud_setting *settings, const char *off)
{
    char range[QP_QUIPUD_TEXT_BYTES];
    for (; settings->name; settings++) {
        qp_quipud_setting_range(settings, range);
        fprintf(out, "\n# %s\n# It is %s.\n", settings->about, range);
        fprintf(out, "%s%s =%s%s\n", off, settings->name, settings->initial && *settings->initial ? " " : "",
                settings->initial ? settings->initial : "");
    }
}

void qp_quipud_config_example(FILE *out)
{
    fputs("# Configuration of quipud(8). What stands here behind ; is what holds if nothing is said.\n"
          "# `quipud --check-config FILE` says what is wrong with a file.\n\n[agent]\n",
          out);
    example_settings(out, qp_quipud_agent_settings, ";");
    fputs("\n# One section for each other host, by any name.\n;[peer west-2]\n", out);
    example_settings(out, qp_quipud_peer_settings, ";");
}

void qp_quipud_config_keep(const struct qp_quipud_config *now, struct qp_quipud_config *wanted,
                           void (*differs)(const char *name, void *arg), void *arg)
{
    for (const struct qp_quipud_setting *setting = qp_quipud_agent_settings; setting->name; setting++)
        if (!setting->is_live && qp_quipud_setting_copy(setting, now, wanted))
            differs(setting->name, arg);
}

struct qp_core_config qp_quipud_config_core(const struct qp_quipud_config *config)
{
    return (struct qp_core_config){.cluster = config->cluster,
                                   .round_ms = (uint32_t)config->round_ms,
                                   .resend_ms = (uint32_t)(5 * config->round_ms),
                                   .digest_ms = (uint32_t)config->digest_ms,
                                   .credit = (uint32_t)config->credit,
                                   .tombstone_grace_ms = config->tombstone_grace_s * 1000,
                                   .forget_after_ms = config->forget_after_s * 1000};
}
