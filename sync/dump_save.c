/* SPDX-License-Identifier: MIT */
/* dump_save.c: a segment's counters to a file.
 *
 * While no agent is at work, what was counted since the last harvest is in no stream. It is put into the file as the
 * next harvest would say it, under the next number of the stream, and nothing of that is written into the segment: a
 * dump changes nothing. While an agent is at work, the file has what that has said, which is not older than a round. */
#include "dump.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "dump_file.h"
#include "store.h"

struct saving {
    struct qp_agent *agent;
    struct qp_dump_figures *figures;
    uint64_t self, now_ms;
    uint64_t next; /* the number under which the file says what was not said yet; 0: it does not */
    struct qp_state state;
    struct qp_point point[QP_STATE_POINTS];
    uint8_t key[QP_KEY_BYTES_MAX];
    struct qp_dump_file file;
};

/* A segment that never had an agent has said nothing. But who has heard nothing of a replica holds nothing of it that
 * counts, for a joiner: so it is as if one thing had been said, and each dump says the rest anew. */
static uint64_t next_number(const struct qp_ledger *ledger)
{
    uint64_t said = qp_ledger_read(&ledger->sequence);
    return (said ? said : 1) + 1;
}

static int put_known(struct saving *s, uint64_t replica, uint64_t sequence, bool is_retired)
{
    struct qp_wire_record record = {
        .kind = QP_RECORD_KNOWLEDGE, .replica = replica, .sequence = sequence, .is_retired = is_retired};
    return qp_dump_file_put(&s->file, &record);
}

/* Of a stream of which something was refused nothing is claimed from there on: who reads the file would take what it
 * lacks for deleted. A hole is noted before the knowledge goes beyond it, so that one is seen behind the knowledge; it
 * is taken away after the knowledge has fallen (the stream is heard anew), so that one is seen before it too. One that
 * was closed in between claims less than there is, once. */
static uint64_t knowledge_of(const struct qp_replica *replica)
{
    uint64_t before = qp_ledger_read(&replica->hole);
    uint64_t knowledge = qp_ledger_read(&replica->knowledge);
    uint64_t after = qp_ledger_read(&replica->hole);
    return qp_replica_whole(qp_replica_whole(knowledge, before), after);
}

static bool is_retired(const struct qp_replica *replica)
{
    uint64_t flags = qp_ledger_read(&replica->flags);
    return (flags & QP_REPLICA_RETIRED) && !(flags & QP_REPLICA_RETURNED);
}

/* Up to where the file knows of each stream: read before the keys are, for what is merged later may be missed. */
static int put_knowledge(struct saving *s)
{
    const struct qp_ledger *ledger = qp_agent_ledger(s->agent);
    int error = put_known(s, s->self, s->next ? s->next - 1 : qp_ledger_read(&ledger->sequence), false);
    for (uint32_t i = 1; i < QP_REPLICAS && !error; i++) {
        uint64_t id = qp_ledger_read(&ledger->replica[i].id);
        if (id)
            error = put_known(s, id, knowledge_of(&ledger->replica[i]), is_retired(&ledger->replica[i]));
    }
    return error;
}

/* Those that were there when the knowledge was read. */
static int put_keys(struct saving *s)
{
    uint32_t slots = qp_agent_slots_now(s->agent);
    int error = 0;
    for (uint32_t slot = 1; slot < slots && !error; slot++) {
        struct qp_wire_record record = {.kind = QP_RECORD_ITEM};
        size_t key_bytes;
        if (!qp_agent_read(s->agent, slot, s->key, &key_bytes, &s->state))
            continue;
        if (s->next)
            qp_rules_stamp(&s->state, s->self, s->now_ms, s->next, false);
        if (!qp_rules_relayed(&s->state, 0, &record.item, s->point))
            continue;
        record.item.key = s->key;
        record.item.key_bytes = (uint32_t)key_bytes;
        error = qp_dump_file_put(&s->file, &record);
        s->figures->keys++;
    }
    return error;
}

static int put_graves(struct saving *s)
{
    uint32_t count;
    int error = 0;
    const struct qp_grave *grave = qp_agent_graves(s->agent, &count);
    for (uint32_t i = 0; i < count && !error; i++) {
        uint64_t hash = qp_ledger_read(&grave[i].hash);
        struct qp_wire_record record = {.kind = QP_RECORD_GRAVE,
                                        .hash = hash,
                                        .floor = qp_ledger_read(&grave[i].floor),
                                        .is_register = qp_ledger_read(&grave[i].stated) & 1};
        if (hash == 0 || qp_ledger_read(&grave[i].hash) != hash) /* it is being dug, or filled in */
            continue;
        error = qp_dump_file_put(&s->file, &record);
        s->figures->graves++;
    }
    return error;
}

static int write_all(struct saving *s, FILE *file)
{
    struct qp_dump_head head = {.replica = s->self,
                                .incarnation = qp_ledger_read(&qp_agent_ledger(s->agent)->incarnation),
                                .time_ms = s->now_ms};
    int error = qp_dump_file_begin(&s->file, file, &head);
    if (!error)
        error = put_knowledge(s);
    if (!error)
        error = put_keys(s);
    if (!error)
        error = put_graves(s);
    return error ? error : qp_dump_file_end(&s->file);
}

/* ---- the file's name ---------------------------------------------------------------------------------------------------- */

static int sync_folder(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = fsync(fd) && errno != EINVAL ? -errno : 0; /* EINVAL: a file system that has no need of it */
    close(fd);
    return error;
}

static int write_whole(struct saving *s, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "w");
    int error = file ? write_all(s, file) : -errno;
    if (!error && (fflush(file) || fsync(fd)))
        error = -errno;
    if (file ? fclose(file) && !error : copy >= 0 && close(copy))
        error = -errno;
    return error;
}

/* A name is only had by a whole file. Killed before the last step, that one stays as FILE.new, and the next one takes
 * its place; who else writes the same file meanwhile may put ours, which is whole, into its place. */
static int name_it(int fd, const char *path)
{
    char whole[PATH_MAX], by_descriptor[40];
    if ((size_t)snprintf(whole, sizeof whole, "%s.new", path) >= sizeof whole)
        return -ENAMETOOLONG;
    snprintf(by_descriptor, sizeof by_descriptor, "/proc/self/fd/%d", fd);
    while (linkat(AT_FDCWD, by_descriptor, AT_FDCWD, whole, AT_SYMLINK_FOLLOW))
        if (errno != EEXIST || (unlink(whole) && errno != ENOENT))
            return -errno;
    int error = rename(whole, path) && errno != ENOENT ? -errno : 0;
    if (error)
        unlink(whole);
    return error;
}

/* Where a file cannot be without a name, or /proc is missing, by which it gets one, whoever is killed on the way leaves one with a name of its own, and the old
 * one as it was. */
static int save_named(struct saving *s, const char *path)
{
    char name[PATH_MAX];
    if ((size_t)snprintf(name, sizeof name, "%s.XXXXXX", path) >= sizeof name)
        return -ENAMETOOLONG;
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = write_whole(s, fd);
    close(fd);
    if (!error && rename(name, path))
        error = -errno;
    if (error)
        unlink(name);
    return error;
}

static int save_as(struct saving *s, const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    bool needs_name = fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL);
    int error = fd < 0 ? -errno : write_whole(s, fd);
    if (fd >= 0 && !error)
        error = name_it(fd, path);
    if (fd >= 0)
        close(fd);
    if (needs_name || error == -ENOENT)
        error = save_named(s, path);
    return error ? error : sync_folder(path);
}

int qp_dump_save(struct quipu *q, const char *path, struct qp_dump_figures *out, char sentence[QP_DUMP_SENTENCE_BYTES])
{
    struct qp_agent *agent;
    bool is_alone;
    sentence[0] = 0;
    int error = qp_agent_open_reader(q, &agent, &is_alone);
    if (error)
        return error;
    struct qp_alloc_arena *arena = qp_alloc_arena_new("dump");
    struct saving *s = arena ? qp_alloc(arena, sizeof *s) : NULL;
    if (s) {
        struct qp_dump_figures figures = {0};
        s->agent = agent;
        s->figures = &figures;
        s->self = qp_agent_replica(agent);
        s->now_ms = qp_agent_unix_ms(agent);
        s->next = is_alone ? next_number(qp_agent_ledger(agent)) : 0;
        error = save_as(s, path);
        figures.bytes = s->file.bytes;
        figures.time_ms = s->now_ms;
        figures.replica = s->self;
        if (error)
            snprintf(sentence, QP_DUMP_SENTENCE_BYTES, "cannot write %.200s: %s", path, strerror(-error));
        else
            *out = figures;
    } else {
        error = -ENOMEM;
    }
    qp_alloc_arena_free(arena);
    qp_agent_close(agent);
    return error;
}
