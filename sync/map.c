/* SPDX-License-Identifier: MIT */
/* map.c: maps of 64-bit numbers over liburcu's cds_lfht. The flavour is memb: readers pay no barrier, a thread says
 * once that it is a reader, and a grace period is waited for right here, by the one who removes. (call_rcu and a
 * table that resizes itself would each start a thread.) */
#include "map.h"

#include "alloc.h"

#include <urcu/urcu-memb.h>
#include <urcu/rculfhash.h>

#define BUCKETS 256 /* replicas of a ledger */

struct qp_map {
    struct qp_alloc_arena *arena;
    struct cds_lfht *table;
};

struct node {
    struct cds_lfht_node link;
    uint64_t key;
    uint32_t value; /* relaxed: a reader sees the old one or the new one */
};

/* How often this thread has become a reader. */
static __thread unsigned readers;

void qp_map_reader_begin(void)
{
    if (readers++ == 0)
        urcu_memb_register_thread();
}

void qp_map_reader_end(void)
{
    if (--readers == 0)
        urcu_memb_unregister_thread();
}

/* Keys are random ids and hashes, but peers choose theirs: all bits count. */
static unsigned long spread(uint64_t key)
{
    key = (key ^ (key >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    return (unsigned long)(key ^ (key >> 29));
}

static int is_key(struct cds_lfht_node *link, const void *key)
{
    return caa_container_of(link, struct node, link)->key == *(const uint64_t *)key;
}

static struct node *find(const struct qp_map *map, uint64_t key)
{
    struct cds_lfht_iter iter;
    cds_lfht_lookup(map->table, spread(key), is_key, &key, &iter);
    struct cds_lfht_node *link = cds_lfht_iter_get_node(&iter);
    return link ? caa_container_of(link, struct node, link) : NULL;
}

struct qp_map *qp_map_new(struct qp_alloc_arena *arena)
{
    struct qp_map *map = qp_alloc(arena, sizeof *map);
    if (!map)
        return NULL;
    map->arena = arena;
    qp_map_reader_begin();
    map->table = cds_lfht_new_flavor(BUCKETS, BUCKETS, BUCKETS, 0, &urcu_memb_flavor, NULL);
    if (!map->table) {
        qp_map_reader_end();
        qp_alloc_free(arena, map);
        return NULL;
    }
    return map;
}

void qp_map_free(struct qp_map *map)
{
    if (!map)
        return;
    struct cds_lfht_iter iter;
    struct cds_lfht_node *link;
    urcu_memb_read_lock();
    for (cds_lfht_first(map->table, &iter); (link = cds_lfht_iter_get_node(&iter)); cds_lfht_next(map->table, &iter)) {
        cds_lfht_del(map->table, link);
        qp_alloc_free(map->arena, caa_container_of(link, struct node, link)); /* nobody reads any more; the iterator has its successor already */
    }
    urcu_memb_read_unlock();
    cds_lfht_destroy(map->table, NULL);
    qp_map_reader_end();
    qp_alloc_free(map->arena, map);
}

bool qp_map_put(struct qp_map *map, uint64_t key, uint32_t value)
{
    urcu_memb_read_lock();
    struct node *node = find(map, key);
    if (node) {
        CMM_STORE_SHARED(node->value, value);
    } else if ((node = qp_alloc(map->arena, sizeof *node))) {
        *node = (struct node){.key = key, .value = value};
        cds_lfht_node_init(&node->link);
        cds_lfht_add(map->table, spread(key), &node->link);
    }
    urcu_memb_read_unlock();
    return node != NULL;
}

void qp_map_remove(struct qp_map *map, uint64_t key)
{
    urcu_memb_read_lock();
    struct node *node = find(map, key);
    bool removed = node && cds_lfht_del(map->table, &node->link) == 0;
    urcu_memb_read_unlock();
    if (!removed)
        return;
    urcu_memb_synchronize_rcu();
    qp_alloc_free(map->arena, node);
}

bool qp_map_get(const struct qp_map *map, uint64_t key, uint32_t *value)
{
    urcu_memb_read_lock();
    const struct node *node = find(map, key);
    if (node)
        *value = CMM_LOAD_SHARED(node->value);
    urcu_memb_read_unlock();
    return node != NULL;
}
