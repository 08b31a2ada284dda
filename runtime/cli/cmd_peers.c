/* SPDX-License-Identifier: MIT */
/* cmd_peers.c: the verb peers: how the agent stands with each other host. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_show.h"
#include "key.h"
#include "session.h"
#include "verbs.h"

#define PEERS_MAX 255
#define KEY_TEXT 41

/* What the segment shows, before any of it is printed: it may change between two looks. */
struct peers {
    struct quipu_agent agent;
    uint32_t count;
    struct {
        struct quipu_peer peer;
        char name[65];
    } row[PEERS_MAX];
};

static int keep(const struct quipu_peer *peer, void *arg)
{
    struct peers *peers = arg;
    if (peers->count == PEERS_MAX)
        return 1;
    peers->row[peers->count].peer = *peer;
    snprintf(peers->row[peers->count].name, sizeof peers->row->name, "%s", peer->name);
    peers->count++;
    return 0;
}

static int look(struct quipu *q, struct peers *out)
{
    int error = quipu_agent(q, &out->agent);
    out->count = 0;
    return error ? error : quipu_peers(q, keep, out);
}

/* As quipud's configuration has it: Z85. */
static void key_text(const uint8_t key[32], char text[KEY_TEXT])
{
    static const char digits[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    for (int i = 0; i < 8; i++) {
        uint32_t number = (uint32_t)key[4 * i] << 24 | (uint32_t)key[4 * i + 1] << 16 | (uint32_t)key[4 * i + 2] << 8 | key[4 * i + 3];
        for (int j = 4; j >= 0; j--, number /= 85)
            text[5 * i + j] = digits[number % 85];
    }
    text[KEY_TEXT - 1] = 0;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

static json_t *digest_json(uint32_t digest)
{
    return digest == 1 ? json_string("equal") : digest == 2 ? json_string("differs") : json_null();
}

static json_t *peer_json(const struct quipu_peer *peer, const char *name)
{
    const struct {
        const char *name;
        uint64_t number;
    } numbers[] = {{"lag", peer->lag},
                   {"took_count", peer->took_count},
                   {"took_median", peer->took_median},
                   {"took_p99", peer->took_p99},
                   {"limit_rate", peer->limit_rate},
                   {"frames_in", peer->frames_in},
                   {"frames_out", peer->frames_out},
                   {"bytes_in", peer->bytes_in},
                   {"bytes_out", peer->bytes_out},
                   {"resends", peer->resends},
                   {"frames_bad", peer->frames_bad},
                   {"conflicts", peer->conflicts}};
    char key[KEY_TEXT];
    json_t *object = json_object();
    key_text(peer->key, key);
    qp_cli_json_text(object, "name", name, strlen(name));
    json_object_set_new(object, "key", json_string(key));
    json_object_set_new(object, "replica", peer->replica ? qp_cli_json_replica(peer->replica) : json_null());
    json_object_set_new(object, "up", json_boolean(peer->up));
    json_object_set_new(object, "joined", json_boolean(peer->joined));
    json_object_set_new(object, "fenced", json_boolean(peer->fenced));
    json_object_set_new(object, "retired", json_boolean(peer->retired));
    json_object_set_new(object, "digest", digest_json(peer->digest));
    json_object_set_new(object, "digest_ms", qp_cli_json_age(peer->digest_ms));
    json_object_set_new(object, "silent_ms", qp_cli_json_age(peer->silent_ms));
    json_object_set_new(object, "staleness_ms", qp_cli_json_age(peer->staleness_ms));
    json_object_set_new(object, "staleness_rounds", qp_cli_json_age(peer->staleness_rounds));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(object, numbers[i].name, qp_cli_json_unsigned(numbers[i].number));
    json_object_set_new(object, "refused", qp_cli_refused_json(peer->refused));
    return object;
}

static int answer_json(const struct peers *peers)
{
    json_t *answer = json_object(), *list = json_array();
    qp_cli_agent_json(answer, "", &peers->agent);
    /* How many there are, the list says. */
    json_object_del(answer, "peers");
    for (uint32_t i = 0; i < peers->count; i++)
        json_array_append_new(list, peer_json(&peers->row[i].peer, peers->row[i].name));
    json_object_set_new(answer, "peers", list);
    return qp_cli_json_answer(answer);
}

/* ---- for people ------------------------------------------------------------------------------------------------------ */

enum { COLUMN_COUNT = 10 };

static const char *const column_names[COLUMN_COUNT] = {"STATE", "LAG",  "STALE_MS", "ROUNDS",   "TOOK",
                                                       "DIGEST", "RATE", "REFUSED",  "BYTES_IN", "BYTES_OUT"};

struct line {
    char text[COLUMN_COUNT][44];
};

static const char *state_of(const struct quipu_peer *peer)
{
    if (peer->retired)
        return "retired";
    if (!peer->up)
        return "down";
    return !peer->replica ? "unheard" : peer->joined ? "up" : "joining";
}

static void number(char text[44], uint64_t number, bool is_none)
{
    snprintf(text, 44, is_none ? "-" : "%" PRIu64, number);
}

static struct line line_of(const struct quipu_peer *peer)
{
    struct line line;
    uint64_t refused = 0;
    for (unsigned i = 0; i < 8; i++)
        refused += peer->refused[i];
    snprintf(line.text[0], sizeof line.text[0], "%s", state_of(peer));
    number(line.text[1], peer->lag, false);
    number(line.text[2], (uint64_t)peer->staleness_ms, peer->staleness_ms < 0);
    number(line.text[3], (uint64_t)peer->staleness_rounds, peer->staleness_rounds < 0);
    snprintf(line.text[4], sizeof line.text[4], peer->took_count ? "%" PRIu64 "/%" PRIu64 : "-", peer->took_median, peer->took_p99);
    snprintf(line.text[5], sizeof line.text[5], "%s", peer->digest == 1 ? "equal" : peer->digest == 2 ? "differs" : "-");
    number(line.text[6], peer->limit_rate, false);
    number(line.text[7], refused, false);
    number(line.text[8], peer->bytes_in, false);
    number(line.text[9], peer->bytes_out, false);
    return line;
}

static void print_agent(const struct quipu_agent *agent)
{
    if (agent->silent_ms < 0) {
        puts(agent->present ? "an agent is at work, and has had no round yet" : "no agent is at work, and none ever was");
        return;
    }
    if (agent->present)
        printf("an agent is at work: its last round, one of %" PRIu64 ", was %" PRId64 " ms ago", agent->rounds, agent->silent_ms);
    else
        printf("no agent is at work; the last round was %" PRId64 " ms ago", agent->silent_ms);
    if (agent->over_admission == UINT64_MAX)
        puts("; nothing is known of what limits may be exceeded by");
    else
        printf("; limits may be exceeded by %" PRIu64 "\n", agent->over_admission);
}

static int print_table(const struct peers *peers)
{
    int widths[COLUMN_COUNT];
    for (int c = 0; c < COLUMN_COUNT; c++)
        widths[c] = (int)strlen(column_names[c]);
    for (uint32_t i = 0; i < peers->count; i++) {
        struct line line = line_of(&peers->row[i].peer);
        for (int c = 0; c < COLUMN_COUNT; c++)
            widths[c] = (int)strlen(line.text[c]) > widths[c] ? (int)strlen(line.text[c]) : widths[c];
    }
    print_agent(&peers->agent);
    printf("%-*s", widths[0], column_names[0]);
    for (int c = 1; c < COLUMN_COUNT; c++)
        printf("  %*s", widths[c], column_names[c]);
    puts("  PEER");
    for (uint32_t i = 0; i < peers->count; i++) {
        struct line line = line_of(&peers->row[i].peer);
        printf("%-*s", widths[0], line.text[0]);
        for (int c = 1; c < COLUMN_COUNT; c++)
            printf("  %*s", widths[c], line.text[c]);
        printf("  ");
        qp_cli_key_print(stdout, peers->row[i].name, strlen(peers->row[i].name));
        putchar('\n');
    }
    return QP_CLI_DONE;
}

int qp_cli_peers(struct qp_cli *cli, const struct qp_cli_verb *verb, int argc, char **argv)
{
    qp_cli_parse_args(cli, verb, 0, 0, argc, argv);
    struct quipu *q;
    int status = qp_cli_open(cli, QP_CLI_READ, &q);
    if (status)
        return status;
    struct peers *peers = malloc(sizeof *peers);
    int error = peers ? look(q, peers) : -ENOMEM;
    quipu_close(q);
    if (error)
        status = qp_cli_fail_segment(cli, error);
    else
        status = cli->json ? answer_json(peers) : print_table(peers);
    if (!status && !peers->agent.present)
        status = QP_CLI_NO;
    free(peers);
    return status;
}
