/* SPDX-License-Identifier: MIT */
/* strategy_file.c: strategy files. inih splits FIELD = VALUE lines and their comments. It would cut a
 * section's name at 49 bytes without a word, and a prefix may have 1,024: so the reader that feeds it takes
 * the [PREFIX] lines itself, and hands inih a short stand-in. */
#include "strategy_file.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "dispatch.h"
#include "key.h"
#include "strategy_field.h"

struct section {
    struct qp_cli_strategy strategy;
    unsigned char *prefix;
    size_t prefix_bytes;
    size_t line;
    bool broken; /* something in it was refused: what its fields mean together is not known */
};

struct reading {
    const char *path;
    FILE *file;
    char *text; /* the line, as getline keeps it */
    size_t text_bytes;
    size_t line;
    bool field_due; /* the line should be a field, and inih has not called the handler for it */
    size_t errors;
    bool no_memory;
    struct section *sections;
    size_t section_count;
};

static void complain(struct reading *reading, size_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void complain(struct reading *reading, size_t line, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fprintf(stderr, "%s:%zu: ", reading->path, line);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    reading->errors++;
}

/* ---- [PREFIX] ---------------------------------------------------------------------------------------------------- */

static void add_section(struct reading *reading, const struct qp_cli_key *prefix, bool broken)
{
    struct section *grown = reallocarray(reading->sections, reading->section_count + 1, sizeof *reading->sections);
    unsigned char *copy = malloc(prefix->count + 1);
    if (grown)
        reading->sections = grown;
    if (!grown || !copy) {
        free(copy);
        reading->no_memory = true;
        return;
    }
    memcpy(copy, prefix->bytes, prefix->count);
    struct section *section = &reading->sections[reading->section_count++];
    *section = (struct section){.prefix = copy, .prefix_bytes = prefix->count, .line = reading->line, .broken = broken};
    qp_cli_strategy_init(&section->strategy);
}

/* A section that is refused is kept all the same, under the prefix as far as it was read: the lines below it
 * belong to it, and are judged. */
static void read_heading(struct reading *reading, const char *line)
{
    struct qp_cli_key prefix = {.count = 0};
    const char *close = strchr(line, ']');
    const char *problem = "a [PREFIX] line needs its closing bracket";
    if (close) {
        problem = qp_cli_prefix_read(line + 1, (size_t)(close - line - 1), &prefix);
        const char *rest = close + 1 + strspn(close + 1, " \t\r\n");
        if (!problem && *rest && *rest != ';' && *rest != '#')
            problem = "nothing but a comment may follow the closing bracket; inside a prefix it is written \\x5d";
    }
    if (problem)
        complain(reading, reading->line, "%s", problem);
    add_section(reading, &prefix, problem != NULL);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void close_line(struct reading *reading)
{
    if (reading->field_due)
        complain(reading, reading->line, "this is neither [PREFIX] nor FIELD = VALUE");
    reading->field_due = false;
}

/* The next line without its leading blanks, in which inih would see the continuation of the line before.
 * NULL: the file is over. */
static const char *next_line(struct reading *reading)
{
    ssize_t bytes = getline(&reading->text, &reading->text_bytes, reading->file);
    if (bytes < 0)
        return NULL;
    const char *line = reading->text;
    if (++reading->line == 1 && !strncmp(line, "\xef\xbb\xbf", 3))
        line += 3;
    if (strlen(reading->text) != (size_t)bytes) {
        complain(reading, reading->line, "the line has a NUL byte");
        return "";
    }
    return line + strspn(line, " \t");
}

/* inih's reader: one call, one line. */
static char *read_line(char *out, int out_bytes, void *stream)
{
    struct reading *reading = stream;
    close_line(reading);
    const char *line = next_line(reading);
    if (!line)
        return NULL;
    size_t line_bytes = strcspn(line, "\r\n");
    if (*line == '[') {
        read_heading(reading, line);
        line = "[section]";
        line_bytes = strlen(line);
    } else if (line_bytes == 0 || *line == ';' || *line == '#') {
        line_bytes = 0;
    } else if (line_bytes > (size_t)out_bytes - 2) {
        complain(reading, reading->line, "the line is too long");
        line_bytes = 0;
    } else {
        reading->field_due = true;
    }
    snprintf(out, (size_t)out_bytes, "%.*s\n", (int)line_bytes, line);
    return out;
}

/* inih's handler: returns 0 to refuse. */
static int take_field(void *user, const char *section_name, const char *name, const char *value)
{
    struct reading *reading = user;
    (void)section_name; /* the reader's stand-in */
    reading->field_due = false;
    if (reading->section_count == 0) {
        complain(reading, reading->line, "a field stands under a [PREFIX]");
        return 0;
    }
    struct section *section = &reading->sections[reading->section_count - 1];
    char sentence[QP_CLI_SENTENCE_BYTES];
    const char *problem = qp_cli_strategy_field(&section->strategy, name, value, sentence);
    if (problem) {
        complain(reading, reading->line, "%s", problem);
        section->broken = true;
    }
    return !problem;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static int compare_sections(const void *a, const void *b)
{
    const struct section *x = a, *y = b;
    size_t common = x->prefix_bytes < y->prefix_bytes ? x->prefix_bytes : y->prefix_bytes;
    int order = memcmp(x->prefix, y->prefix, common);
    if (order == 0)
        order = (x->prefix_bytes > y->prefix_bytes) - (x->prefix_bytes < y->prefix_bytes);
    if (order == 0)
        order = (x->line > y->line) - (x->line < y->line);
    return order;
}

static void judge_sections(struct reading *reading)
{
    for (size_t i = 0; i < reading->section_count; i++) {
        const struct section *section = &reading->sections[i];
        const char *problem = section->broken ? NULL : qp_cli_strategy_judge(&section->strategy);
        if (problem)
            complain(reading, section->line, "%s", problem);
    }
    if (reading->errors)
        return;
    if (reading->section_count)
        qsort(reading->sections, reading->section_count, sizeof *reading->sections, compare_sections);
    for (size_t i = 1; i < reading->section_count; i++) {
        const struct section *first = &reading->sections[i - 1], *second = &reading->sections[i];
        if (first->prefix_bytes == second->prefix_bytes && !memcmp(first->prefix, second->prefix, first->prefix_bytes))
            complain(reading, second->line, "this prefix has a section already, in line %zu", first->line);
    }
}

/* The rows take the prefixes over. */
static bool move_rows(struct reading *reading, struct qp_cli_strategy_file *out)
{
    out->rows = calloc(reading->section_count + 1, sizeof *out->rows);
    if (!out->rows)
        return false;
    for (size_t i = 0; i < reading->section_count; i++) {
        struct section *section = &reading->sections[i];
        out->rows[i] = (struct quipu_strategy_row){
            .prefix = section->prefix, .prefix_bytes = section->prefix_bytes, .strategy = section->strategy.strategy};
        section->prefix = NULL;
    }
    out->row_count = reading->section_count;
    return true;
}

static void end_reading(struct reading *reading)
{
    for (size_t i = 0; i < reading->section_count; i++)
        free(reading->sections[i].prefix);
    free(reading->sections);
    free(reading->text);
    fclose(reading->file);
}

int qp_cli_strategy_file_open(const char *path, struct qp_cli_strategy_file *out)
{
    *out = (struct qp_cli_strategy_file){0};
    struct reading reading = {.path = path, .file = fopen(path, "re")};
    if (!reading.file) {
        fprintf(stderr, "quipu: %s: %s\n", path, strerror(errno));
        return QP_CLI_CANNOT;
    }
    /* Its return value names the first line refused; by then each one has been said. */
    bool refused = ini_parse_stream(read_line, &reading, take_field, &reading) != 0;
    close_line(&reading);

    int status = QP_CLI_DONE;
    if (ferror(reading.file)) {
        fprintf(stderr, "quipu: %s: cannot be read\n", path);
        status = QP_CLI_CANNOT;
    } else {
        judge_sections(&reading);
        if (refused && !reading.errors)
            complain(&reading, reading.line, "the file is not understood");
        if (reading.errors)
            status = QP_CLI_USAGE;
        else if (reading.no_memory || !move_rows(&reading, out)) {
            fprintf(stderr, "quipu: %s: there is not enough memory to read it\n", path);
            status = QP_CLI_CANNOT;
        }
    }
    end_reading(&reading);
    return status;
}

void qp_cli_strategy_file_close(struct qp_cli_strategy_file *file)
{
    for (size_t i = 0; i < file->row_count; i++)
        free((void *)file->rows[i].prefix);
    free(file->rows);
}
