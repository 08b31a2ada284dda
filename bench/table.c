/* SPDX-License-Identifier: MIT */
/* table.c: makes and loads the plain hash table of the baselines. */
#include "table.h"

static int table_insert(struct bench_table *table, const struct bench_key *key)
{
    struct bench_table_node *node = &table->nodes[++table->nodes_used];
    if (key->bytes > sizeof(node->key))
        return bench_error("a key of %u bytes does not fit a table node", key->bytes);
    node->hash = bench_hash(key->text, key->bytes);
    node->key_bytes = key->bytes;
    memcpy(node->key, key->text, key->bytes);
    node->usage.count = 1;
    uint32_t *bucket = &table->buckets[bench_table_bucket(table, node->hash)];
    node->next = *bucket;
    *bucket = table->nodes_used;
    return 0;
}

int bench_table_make(struct bench_table *out, const struct bench_keys *keys)
{
    size_t buckets = 16;
    while (buckets < 2 * keys->key_count)
        buckets *= 2;
    size_t node_bytes = (keys->key_count + 1) * sizeof(struct bench_table_node);
    *out = (struct bench_table){.bucket_mask = (uint32_t)buckets - 1, .node_count = (uint32_t)keys->key_count};
    out->memory_bytes = node_bytes + buckets * sizeof(*out->buckets);
    out->memory = bench_shared_alloc(out->memory_bytes);
    if (!out->memory)
        return bench_error("no memory for a table of %zu keys", keys->key_count);
    out->nodes = out->memory;
    out->buckets = (uint32_t *)((char *)out->memory + node_bytes);
    for (size_t i = 0; i < keys->key_count; i++) {
        if (table_insert(out, &keys->keys[keys->load_order[i]])) {
            bench_table_free(out);
            return -1;
        }
    }
    return 0;
}

void bench_table_free(struct bench_table *table)
{
    bench_shared_free(table->memory, table->memory_bytes);
    table->memory = NULL;
}

int64_t bench_table_sum(const struct bench_table *table)
{
    int64_t sum = 0;
    for (uint32_t i = 1; i <= table->node_count; i++)
        sum += table->nodes[i].usage.count + table->nodes[i].usage.previous;
    return sum;
}
