/* SPDX-License-Identifier: MIT */
/* stage.c: the segment under test and the program around it. */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "runtime/clock.h"
#include "shm/segment.h"
#include "shm/table.h"

#define CHAIN_BUCKET 5

/* ---- the program ------------------------------------------------------------------------------------------------- */

static char name_in_use[sizeof(((struct stage *)0)->path)];

static void remove_name(void)
{
    if (name_in_use[0])
        unlink(name_in_use);
}

static void on_signal(int signal_number)
{
    remove_name();
    _exit(128 + signal_number);
}

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif

void stage_program_begin(void)
{
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
    printf("skipped: under ThreadSanitizer a forked child cannot be stepped, and a call is a thousand instructions "
           "more\n");
    exit(77);
#endif
    stage_page = mmap(NULL, sizeof *stage_page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (stage_page == MAP_FAILED)
        qp_test_must(-errno, "mmap");
    stage_page->clock_ms = STAGE_CLOCK_MS;
    if (qp_clock_unix_ms() != STAGE_CLOCK_MS)
        qp_test_must(-EINVAL, "the library does not read this program's clock");
    /* Stepper and stepped take turns, and that goes fastest on one CPU. Where it is refused, it is only slower. */
    int cpu = sched_getcpu();
    cpu_set_t one;
    CPU_ZERO(&one);
    if (cpu >= 0) {
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof one, &one);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    atexit(remove_name);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static struct qp_key key_of(const struct stage *stage, const struct stage_key *key)
{
    return qp_key_make(&stage->view, key->bytes, key->byte_count);
}

/* Numbered names of one bucket, each sorted in where the list has it. */
static void choose_chain(struct stage *stage)
{
    struct stage_key key = {0};
    for (unsigned number = 0, found = 0; found < STAGE_CHAIN_KEYS; number++) {
        key.byte_count = (size_t)snprintf((char *)key.bytes, sizeof key.bytes, "c%u", number);
        uint64_t hash = key_of(stage, &key).hash;
        if ((hash & stage->view.bucket_mask) != CHAIN_BUCKET)
            continue;
        unsigned place = found++;
        for (; place && qp_order_of(key_of(stage, &stage->chain[place - 1]).hash) > qp_order_of(hash); place--)
            stage->chain[place] = stage->chain[place - 1];
        stage->chain[place] = key;
    }
}

const struct stage_key *stage_key(struct stage *stage, const char *name)
{
    struct stage_key *key = &stage->key;
    if (key->name == name)
        return key;
    memset(key->bytes, 'L', sizeof key->bytes);
    if (!strncmp(name, "chain", 5)) {
        *key = stage->chain[name[5] - '0'];
    } else if (!strncmp(name, "long", 4)) {
        key->byte_count = name[4] ? sizeof key->bytes : 300;
    } else {
        key->byte_count = strlen(name);
        memcpy(key->bytes, name, key->byte_count);
    }
    key->name = name;
    return key;
}

struct qp_entry *stage_entry(struct stage *stage, const char *name)
{
    int error = 0;
    struct qp_key key = key_of(stage, stage_key(stage, name));
    return qp_table_find(&stage->view, &key, &error);
}

/* ---- the segment ------------------------------------------------------------------------------------------------- */

/* A constant seed instead of the random one, before anybody has looked at the segment. */
static void fix_seed(struct stage *stage, struct qp_header *header)
{
    header->identity.hash_seed[0] = 1;
    header->identity.hash_seed[1] = 2;
    header->identity.replica = 3;
    header->identity.seal = qp_layout_seal(&header->identity);
    stage->identity = header->identity;
}

static void drop_name(struct stage *stage)
{
    remove_name();
    stage->path[0] = name_in_use[0] = 0;
}

static void begin(struct stage *stage, bool named, uint32_t counters_max)
{
    static unsigned number;
    struct quipu_create_options options = {.struct_bytes = sizeof options,
                                           .counters = STAGE_COUNTERS,
                                           .counters_max = counters_max,
                                           .threads = 4,
                                           .strategy_bytes = 4096};
    char name[64];
    memset(stage, 0, sizeof *stage);
    stage_page->clock_ms = STAGE_CLOCK_MS;
    snprintf(name, sizeof name, "test.snapshot.%d.%u", (int)getpid(), number++);
    snprintf(stage->path, sizeof stage->path, "/dev/shm/quipu.%s", name);
    memcpy(name_in_use, stage->path, sizeof name_in_use);
    qp_test_must(quipu_create(name, &options), "create");
    stage->fd = open(stage->path, O_RDWR | O_CLOEXEC);
    qp_test_must(stage->fd < 0 ? -errno : 0, "open");
    if (!named)
        drop_name(stage);
    struct qp_identity identity;
    if (pread(stage->fd, &identity, sizeof identity, 0) != sizeof identity)
        qp_test_must(-EIO, "read");
    void *base = mmap(NULL, identity.segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, stage->fd, 0);
    if (base == MAP_FAILED)
        qp_test_must(-errno, "mmap");
    fix_seed(stage, base);
    qp_view_init(&stage->view, base, &stage->identity);
    stage->view.ledger->replica[0].id = stage->identity.replica;
    choose_chain(stage);
}

void stage_begin(struct stage *stage, bool named)
{
    begin(stage, named, STAGE_COUNTERS);
}

void stage_begin_growing(struct stage *stage)
{
    bool opened = stage->q != NULL;
    stage_end(stage);
    begin(stage, false, STAGE_COUNTERS_MAX);
    if (opened)
        stage->q = stage_open(stage);
}

void stage_end(struct stage *stage)
{
    if (stage->stalled) {
        kill(stage->stalled, SIGKILL);
        waitpid(stage->stalled, NULL, 0);
    }
    if (stage->q)
        quipu_close(stage->q);
    drop_name(stage);
    qp_segment_detach(&stage->view);
    close(stage->fd);
    memset(stage, 0, sizeof *stage);
}

void stage_rewind(struct stage *stage, const void *image)
{
    memcpy(stage->view.base, image, stage->view.bytes);
    qp_view_init(&stage->view, stage->view.base, &stage->identity);
    if (stage->q)
        qp_view_init(&stage->q->view, stage->q->view.base, &stage->identity);
}

struct quipu *stage_open(const struct stage *stage)
{
    struct quipu_open_options options = {.struct_bytes = sizeof options, .fd = stage->fd};
    struct quipu *q = NULL;
    qp_test_must(quipu_open(NULL, &options, &q), "open by descriptor");
    return q;
}

void stage_advance_ms(struct stage *stage, uint64_t ms)
{
    stage_page->clock_ms += ms;
    stage->view.header->upkeep_due_ms = stage_page->clock_ms + 1000;
}
