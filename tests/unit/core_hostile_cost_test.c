/* SPDX-License-Identifier: MIT */
/* core_hostile_cost_test.c: small frames that each could make a host walk its table or send all of it. What they get
 * in one round has a bound, however many they are: frames, bytes and the store's calls are counted. */
#include "core_liar.h"

#define KEYS 8000u
#define FRAMES 60u /* of the liar's, in one round */

/* The store with its reads counted. */
static struct qp_store_ops counted;
static const struct qp_store_ops *inner;
static uint64_t reads;

static bool counted_read(void *store, uint32_t slot, void *key, size_t *key_bytes, struct qp_state *out)
{
    reads++;
    return inner->read(store, slot, key, key_bytes, out);
}

static void count_reads(struct rig *rig)
{
    inner = rig->core[0]->store.ops;
    counted = *inner;
    counted.read = counted_read;
    rig->core[0]->store.ops = &counted;
    reads = 0;
}

/* A storm of greetings would not end by itself. */
static unsigned hellos_end(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *copy, size_t count)
{
    (void)from, (void)to, (void)copy, (void)count;
    return head->type != QP_FRAME_HELLO || rig->sent[QP_FRAME_HELLO] < 10000;
}

/* Host 0 holds many keys, and has told them; host 2 lies from now on. */
static void begin(struct rig *rig, struct liar *liar)
{
    struct sim_store_config config = {.slots = KEYS + 101};
    rig_begin(rig, 3, &config);
    rig->config.frame_bytes_max = QP_FRAME_BYTES_MIN;
    rig->fate = hellos_end;
    for (unsigned i = 0; i < 3; i++) {
        rig_kill(rig, i);
        rig_start(rig, i);
    }
    for (unsigned k = 0; k < KEYS; k++) {
        char key[16];
        snprintf(key, sizeof key, "key%u", k * 7919 % KEYS);
        rig_add(rig, 0, key, UINT64_C(0x9e3779b97f4a7c15) * k >> 24); /* which packs badly */
    }
    rig_rounds(rig, 30);
    liar_begin(liar, rig, 2);
    rig_rounds(rig, 10);
    count_reads(rig);
}

/* The bound of one round: as much as an honest host that was restarted may have. */
static void assert_bounded(const struct rig *rig, unsigned frames, uint64_t bytes)
{
    assert_in_range(frames, 1, rig->core[0]->config.credit);
    assert_true(bytes <= (frames + 4) * (uint64_t)QP_FRAME_BYTES_MIN);
}

static void restarts_without_end_get_one_backlog(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    uint64_t bytes = 0;
    unsigned deltas = 0;
    begin(&rig, &liar);
    for (unsigned i = 0; i < FRAMES; i++) {
        liar.incarnation++;
        liar_hello(&liar, 0, QP_FRAME_JOINED);
        deltas += liar_listen(&liar, 0, QP_FRAME_DELTA, &bytes);
    }
    assert_bounded(&rig, deltas, bytes);
    assert_true(reads <= KEYS + 10);
    rig_end(&rig);
}

/* HELLOs that know nobody, or speak in another's name, are not answered one by one. */
static void strangers_are_not_greeted_one_by_one(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    unsigned hellos = 0;
    begin(&rig, &liar);
    liar.replica = rig_replica(1);
    for (unsigned i = 0; i < FRAMES; i++) {
        liar_hello(&liar, 0, QP_FRAME_JOINED);
        hellos += liar_listen(&liar, 0, QP_FRAME_HELLO, NULL);
    }
    assert_in_range(hellos, 0, 1);
    assert_int_equal(liar_peer(&liar, 0)->figures.conflicts, FRAMES);
    rig_end(&rig);
}

static void all_is_asked_for_again_and_again(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    struct qp_frame frame;
    uint64_t bytes = 0;
    unsigned frames = 0;
    begin(&rig, &liar);
    for (unsigned i = 0; i < FRAMES; i++) {
        liar_frame(&liar, &frame, QP_FRAME_REPAIR_REQUEST);
        frame.origin = rig_replica(0);
        liar_send(&liar, 0, &frame, NULL, 0);
        frames += liar_listen(&liar, 0, QP_FRAME_REPAIR, &bytes);
    }
    assert_bounded(&rig, frames, bytes);
    assert_true(reads <= KEYS);
    rig_end(&rig);
}

/* ---- snapshots -------------------------------------------------------------------------------------------------------------------- */

static void ask(struct liar *liar, uint64_t snapshot, uint64_t cursor)
{
    struct qp_frame frame;
    liar_frame(liar, &frame, QP_FRAME_SNAPSHOT_REQUEST);
    frame.flags = 0;
    frame.snapshot = snapshot;
    frame.cursor = cursor;
    frame.credit = 65535;
    liar_send(liar, 0, &frame, NULL, 0);
}

/* The place of the liar's announcement, once it has asked for the first time and got as much as anybody gets at once. */
static uint64_t announced(struct rig *rig, struct liar *liar)
{
    ask(liar, 1, 0);
    rig->now_ms += 100;
    qp_core_on_tick(rig->core[0], rig->now_ms);
    assert_int_equal(liar_listen(liar, 0, QP_FRAME_CHUNK, NULL), rig->core[0]->config.credit);
    reads = 0;
    return rig->core[0]->ledger->replica[liar_peer(liar, 0)->replica_index].announced << 32;
}

enum hop { HOP_CURSOR, HOP_NUMBER, HOP_NUMBER_AND_CURSOR, HOP_JOINED };

static void hop(enum hop how)
{
    struct rig rig;
    struct liar liar;
    uint64_t bytes = 0;
    unsigned chunks = 0;
    begin(&rig, &liar);
    uint64_t walk = announced(&rig, &liar);
    for (unsigned i = 1; i <= FRAMES; i++) {
        if (how == HOP_JOINED) {
            liar_hello(&liar, 0, QP_FRAME_JOINED);
            chunks += liar_listen(&liar, 0, QP_FRAME_CHUNK, &bytes);
        }
        ask(&liar, how == HOP_CURSOR || how == HOP_JOINED ? 1 : 1 + i, how == HOP_NUMBER ? 0 : walk | (100 + i));
        chunks += liar_listen(&liar, 0, QP_FRAME_CHUNK, &bytes);
    }
    /* Who asks under a new number is told, in an empty chunk, to begin again. */
    assert_true(bytes <= rig.core[0]->config.credit * (uint64_t)QP_FRAME_BYTES_MIN + FRAMES * 200);
    assert_true(chunks <= rig.core[0]->config.credit + FRAMES);
    assert_true(reads <= KEYS + 200);
    rig_end(&rig);
}

static void a_snapshot_is_not_given_at_every_request(void **unused)
{
    (void)unused;
    hop(HOP_CURSOR);
    hop(HOP_NUMBER);
    hop(HOP_NUMBER_AND_CURSOR);
    hop(HOP_JOINED);
}

/* ---- repairs ---------------------------------------------------------------------------------------------------------------------- */

/* Digests of its own stream that cannot be ours. */
static void differ(struct liar *liar, unsigned times)
{
    struct qp_frame frame;
    struct qp_wire_record records[4];
    uint64_t ours = qp_core_digest(liar->rig->core[0], liar_peer(liar, 0)->replica_index);
    for (unsigned i = 0; i < times; i++)
        records[i] = (struct qp_wire_record){.kind = QP_RECORD_DIGEST,
                                             .replica = liar->replica,
                                             .sequence = qp_stream_mark(liar->rig->core[0], liar_peer(liar, 0)),
                                             .digest = ours + (times == 4 ? i : 1)}; /* the first of four is right, and begins the count anew */
    liar_frame(liar, &frame, QP_FRAME_DIGEST);
    liar_send(liar, 0, &frame, records, times);
}

static void digests_in_one_round_are_one(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    unsigned requests = 0;
    begin(&rig, &liar);
    for (unsigned i = 0; i < FRAMES; i++) {
        differ(&liar, 4);
        requests += liar_listen(&liar, 0, QP_FRAME_REPAIR_REQUEST, NULL);
    }
    assert_int_equal(requests, 0);
    rig_rounds(&rig, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rig.sent[QP_FRAME_REPAIR_REQUEST], 0);
        differ(&liar, 1);
        rig_rounds(&rig, 1);
    }
    assert_int_equal(rig.sent[QP_FRAME_REPAIR_REQUEST], 1);
    rig_end(&rig);
}

/* A frame of its own key's range; each says another count, so that it is seen which were taken. */
static void repair(struct liar *liar, uint64_t count)
{
    struct qp_frame frame;
    struct qp_point point = {.count = count, .timestamp = (liar->rig->now_ms << 16) + count, .sequence = 1};
    struct qp_wire_record record = liar_item(liar, "liar's", &point);
    uint64_t hash = qp_wire_key_hash("liar's", 6);
    liar_frame(liar, &frame, QP_FRAME_REPAIR);
    frame.origin = liar->replica;
    frame.upto = QP_SEQUENCE_MAX;
    frame.range = qp_wire_key_range(hash);
    frame.cursor = hash;
    frame.cursor_next = hash + 1;
    liar_send(liar, 0, &frame, &record, 1);
}

/* Each walks through the notes of all keys. */
static void of_many_repairs_some_are_taken(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    begin(&rig, &liar);
    for (unsigned i = 0; i < 3; i++) {
        differ(&liar, 1);
        rig_rounds(&rig, 1);
    }
    uint64_t most = 2 * rig.core[0]->config.credit;
    for (unsigned round = 1; round <= 2; round++) {
        for (unsigned i = 0; i < FRAMES; i++)
            repair(&liar, round * 1000 + i);
        assert_int_equal(rig_total(&rig, 0, "liar's"), round * 1000 + most - 1);
        assert_int_equal(rig.core[0]->figures.repairs, round * most);
        rig_rounds(&rig, 1);
    }
    rig_end(&rig);
}

/* Of others it is not heard in its repairs, nor is what it says of them a reason to tell our tombstones again. */
static void whose_points_are_anothers_is_not_answered(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    struct qp_frame frame;
    int64_t ended;
    uint64_t hash = qp_wire_key_hash("a", 1);
    begin(&rig, &liar);
    rig_add(&rig, 0, "a", 1);
    rig_rounds(&rig, 2);
    assert_int_equal(sim_store_delete(rig.store[0], "a", 1, rig.now_ms, &ended), 0);
    for (unsigned i = 0; i < 3; i++) {
        differ(&liar, 1);
        rig_rounds(&rig, 1);
    }
    uint64_t stated = rig.core[0]->ledger->sequence;
    for (unsigned i = 0; i < 5; i++) {
        struct qp_point point = {.count = 1, .timestamp = 1, .sequence = 1};
        struct qp_wire_record record = liar_item(&liar, "a", &point);
        point.replica = rig_replica(1);
        liar_frame(&liar, &frame, QP_FRAME_REPAIR);
        frame.origin = liar.replica;
        frame.upto = QP_SEQUENCE_MAX;
        frame.range = qp_wire_key_range(hash);
        frame.cursor = hash;
        frame.cursor_next = hash + 1;
        liar_send(&liar, 0, &frame, &record, 1);
        rig_rounds(&rig, 1);
    }
    assert_true(liar_peer(&liar, 0)->figures.refused[QP_REFUSED_FOREIGN] > 0);
    assert_int_equal(rig.core[0]->ledger->sequence, stated);
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restarts_without_end_get_one_backlog),
        cmocka_unit_test(strangers_are_not_greeted_one_by_one),
        cmocka_unit_test(all_is_asked_for_again_and_again),
        cmocka_unit_test(a_snapshot_is_not_given_at_every_request),
        cmocka_unit_test(digests_in_one_round_are_one),
        cmocka_unit_test(of_many_repairs_some_are_taken),
        cmocka_unit_test(whose_points_are_anothers_is_not_answered),
    };
    return cmocka_run_group_tests_name("core_hostile_cost", tests, NULL, NULL);
}
