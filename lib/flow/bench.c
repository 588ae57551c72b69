/*
 * The order of things: remembered score, else warm-up, rounds, median, remember. Each slot is one request under way; a round ends
 * when its last slot does. The odd thing: an end is always announced from a timer, so that starting never calls back.
 */
#include "flow/bench.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/route.h"
#include "core/score.h"
#include "io/file.h"
#include "io/upstream.h"

#define CACHE_MAX_BYTES 256
#define DEFAULT_WORKLOAD 100.0

struct slot {
    struct vwi_bench *bench;
    struct vwi_lease *lease;
    struct vwi_text payload, body;
    double workload;
    int status;
};

struct vwi_bench {
    struct vwi_bench_setup setup;
    const struct vwi_benchmark_conf *conf;
    struct vwi_bench_events events;
    void *arg;
    struct vwi_model_conf model; /* as configured, with an idle connection for each slot */
    struct vwi_upstream *upstream;
    struct vwi_text target;
    char *cache_path; /* NULL: nothing is remembered */
    struct vwi_text cache_key;
    struct vwi_timer step, limit;
    bool running, warming;
    struct slot *slots;
    unsigned slot_count, under_way;
    unsigned round;        /* rounds that are over */
    double *rounds;        /* units per second of each */
    unsigned next_sample;
    int64_t round_start_us;
    double round_work;
    unsigned round_good;
    uint64_t good, bad;    /* all rounds; the warm-up does not count */
    double score;          /* > 0: to be announced by step */
    const char *failure;   /* to be announced by step */
};

static void announce(struct vwi_bench *b, double score, const char *failure)
{
    b->running = false;
    b->score = score;
    b->failure = failure;
    vwi_timer_stop(&b->limit);
    vwi_timer_start(&b->step, 0);
}

static void cancel_leases(struct vwi_bench *b)
{
    unsigned i;

    for (i = 0; i < b->slot_count; i++) {
        if (b->slots[i].lease)
            vwi_lease_cancel(b->slots[i].lease);
        b->slots[i].lease = NULL;
    }
    b->under_way = 0;
}

/* ---- the remembered score ---- */

static double recall(struct vwi_bench *b)
{
    struct vwi_text text = VWI_TEXT_INIT;
    vw_error_t why = { VW_OK, "" };
    double score = 0;

    if (!b->cache_path || b->cache_key.failed)
        return 0;
    if (vwi_file_read(b->cache_path, CACHE_MAX_BYTES, &text, &why) != VW_OK)
        vwi_log_debug(b->setup.log, "benchmark: nothing remembered: %s", why.text);
    else if (vwi_score_parse((struct vwi_span){ text.p, text.len }, b->cache_key.p, &score, &why) != VW_OK)
        vwi_log_info(b->setup.log, "benchmark: %s is not used: %s", b->cache_path, why.text);
    else
        vwi_log_info(b->setup.log, "benchmark: %.6g units/s, remembered in %s", score, b->cache_path);
    vwi_text_fini(&text);
    return score;
}

static void remember(struct vwi_bench *b, double score)
{
    struct vwi_text text = VWI_TEXT_INIT;
    vw_error_t why = { VW_OK, "" };

    if (!b->cache_path || b->cache_key.failed)
        return;
    if (!vwi_score_render(b->cache_key.p, score, &text))
        vwi_fail(&why, VW_E_NOMEM, "out of memory");
    else if (vwi_dir_make(b->setup.state_dir, 0755, &why) == VW_OK)
        vwi_file_write(b->cache_path, text.p, text.len, 0644, &why);
    if (why.code != VW_OK)
        vwi_log_warn(b->setup.log, "benchmark: the score is not remembered, the next start measures again: %s", why.text);
    vwi_text_fini(&text);
}

/* ---- rounds ---- */

static void finish(struct vwi_bench *b, bool timed_out)
{
    double score = vwi_score_median(b->rounds, b->round), spread = vwi_score_spread(b->rounds, b->round);

    if (b->good == 0) {
        announce(b, 0, "No successful responses from benchmark");
    } else if (!(score > 0) || !isfinite(score)) {
        announce(b, 0, "Benchmark failed with error: the workload of its requests is 0");
    } else {
        vwi_log_info(b->setup.log,
                     "benchmark: %.6g units/s, the median of %u rounds, which differ by %.0f%%; %" PRIu64 " requests answered, %" PRIu64
                     " failed%s", score, b->round, 100 * spread, b->good, b->bad, timed_out ? "; cut short by its timeout" : "");
        if (!timed_out)
            remember(b, score);
        announce(b, score, NULL);
    }
}

static void close_round(struct vwi_bench *b)
{
    double seconds = (double)(vwi_mono_us() - b->round_start_us) / 1e6;

    if (b->warming) {
        b->warming = false;
        vwi_log_info(b->setup.log, "benchmark: warm-up %s after %.2f s", b->round_good ? "answered" : "failed", seconds);
        return;
    }
    b->rounds[b->round++] = b->round_work / (seconds > 1e-6 ? seconds : 1e-6);
    b->good += b->round_good;
    vwi_log_info(b->setup.log, "benchmark: round %u of %u: %.6g units/s, %u of %u answered, %.2f s", b->round, b->conf->runs,
                 b->rounds[b->round - 1], b->round_good, b->slot_count, seconds);
}

static void settle(struct slot *s, bool answered, const char *text)
{
    struct vwi_bench *b = s->bench;

    s->lease = NULL;
    b->under_way--;
    if (answered) {
        b->round_good++;
        b->round_work += s->workload;
    } else {
        b->bad += b->warming ? 0 : 1;
        vwi_log_debug(b->setup.log, "benchmark: a request failed: %s", text);
    }
    if (b->under_way > 0)
        return;
    close_round(b);
    if (b->round >= b->conf->runs)
        finish(b, false);
    else
        vwi_timer_start(&b->step, 0); /* the next round, from the loop */
}

static void on_head(void *arg, const struct vwi_answer *answer)
{
    struct slot *s = arg;

    s->status = answer->status;
}

static void on_end(void *arg, enum vwi_upstream_result result, const char *text)
{
    struct slot *s = arg;
    char status[32];

    if (result != VWI_UPSTREAM_OK) {
        settle(s, false, text ? text : "connection lost");
        return;
    }
    snprintf(status, sizeof status, "status %d", s->status);
    settle(s, s->status >= 200 && s->status < 300, status);
}

/* The payload of the next sample, parsed and weighed as a client's would be. */
static bool prepare(struct slot *s, struct vwi_span *ret_body)
{
    struct vwi_bench *b = s->bench;
    const struct vwi_bench_hooks *hooks = &b->setup.hooks;
    unsigned nth = b->next_sample++;
    struct vwi_span payload;

    if (b->conf->dataset_count) {
        const char *text = b->conf->dataset[nth % b->conf->dataset_count];

        payload = (struct vwi_span){ text, strlen(text) };
    } else {
        vwi_text_clear(&s->payload);
        if (!hooks->sample(hooks->arg, nth, &s->payload) || s->payload.failed || !s->payload.p)
            return false;
        payload = (struct vwi_span){ s->payload.p, s->payload.len };
    }
    if (hooks->parse) {
        vwi_text_clear(&s->body);
        if (!hooks->parse(hooks->arg, payload, &s->body) || s->body.failed)
            return false;
        payload = (struct vwi_span){ s->body.p ? s->body.p : "", s->body.len };
    }
    s->workload = hooks->weigh ? hooks->weigh(hooks->arg, payload) : DEFAULT_WORKLOAD;
    if (!(s->workload >= 0) || !isfinite(s->workload))
        s->workload = DEFAULT_WORKLOAD;
    *ret_body = payload;
    return true;
}

static bool send(struct slot *s)
{
    static const struct vwi_lease_events lease_events = { .on_head = on_head, .on_end = on_end };
    struct vwi_bench *b = s->bench;
    struct vwi_upstream_request request = { .method = { "POST", 4 }, .has_body = true, .timeouts = &b->setup.handler->timeouts };

    request.target = (struct vwi_span){ b->target.p, b->target.len };
    request.headers = "Content-Type: application/json\r\nAccept: */*\r\n";
    s->status = 0;
    if (!prepare(s, &request.body))
        return false;
    s->lease = vwi_upstream_send(b->upstream, &request, &lease_events, s);
    return s->lease != NULL;
}

static void begin_round(struct vwi_bench *b)
{
    unsigned i, count = b->warming ? 1 : b->slot_count;

    b->round_work = 0;
    b->round_good = 0;
    b->round_start_us = vwi_mono_us();
    b->under_way = count;
    for (i = 0; i < count && b->running; i++)
        if (!send(&b->slots[i]))
            settle(&b->slots[i], false, "no payload could be made for it");
}

static void on_step(void *arg)
{
    struct vwi_bench *b = arg;

    if (b->running)
        begin_round(b);
    else if (b->failure)
        b->events.on_failed(b->arg, b->failure);
    else if (b->score > 0)
        b->events.on_done(b->arg, b->score);
}

static void on_limit(void *arg)
{
    struct vwi_bench *b = arg;

    vwi_log_warn(b->setup.log, "benchmark: not finished within %g s", b->conf->timeout_s);
    cancel_leases(b);
    if (!b->warming && b->round == 0 && b->round_good)
        close_round(b); /* better than nothing: what was answered, over the time it took */
    finish(b, true);
}

void vwi_bench_start(struct vwi_bench *b, const char *engine)
{
    double score;

    if (b->running)
        return;
    vwi_text_clear(&b->cache_key);
    vwi_text_addf(&b->cache_key, "%s|%s", b->setup.cache_key ? b->setup.cache_key : "", engine);
    b->failure = NULL;
    b->round = 0;
    b->good = b->bad = 0;
    score = recall(b);
    if (score > 0) {
        announce(b, score, NULL);
        return;
    }
    b->running = true;
    b->score = 0;
    b->round_good = 0;
    b->warming = b->conf->warmup;
    vwi_log_info(b->setup.log, "benchmark: %u rounds of %u requests at once to %s%s", b->conf->runs, b->slot_count, b->target.p,
                 b->warming ? ", after a warm-up" : "");
    if (b->conf->timeout_s > 0)
        vwi_timer_start(&b->limit, (int64_t)(b->conf->timeout_s * 1000));
    vwi_timer_start(&b->step, 0);
}

void vwi_bench_cancel(struct vwi_bench *b)
{
    b->running = false;
    b->failure = NULL;
    b->score = 0;
    vwi_timer_stop(&b->step);
    vwi_timer_stop(&b->limit);
    cancel_leases(b);
}

/* ---- building ---- */

static unsigned count_slots(const struct vwi_bench_setup *setup)
{
    unsigned count = setup->handler->parallel ? setup->handler->benchmark->concurrency : 1;

    if (setup->slots && count > setup->slots)
        count = setup->slots;
    return count ? count : 1;
}

static vw_err build(struct vwi_bench *b, vw_error_t *why)
{
    const struct vwi_bench_setup *setup = &b->setup;
    struct vwi_text path = VWI_TEXT_INIT;
    struct vwi_span route = { setup->handler->route, strcspn(setup->handler->route, "*") };
    unsigned i;

    b->slots = vwi_zalloc(b->slot_count * sizeof *b->slots);
    b->rounds = vwi_zalloc((b->conf->runs + 1) * sizeof *b->rounds);
    if (!b->slots || !b->rounds || !vwi_route_target(setup->handler, route, false, &b->target) || !b->target.p)
        return VW_E_NOMEM;
    for (i = 0; i < b->slot_count; i++)
        b->slots[i].bench = b;
    if (setup->state_dir && setup->cache_key) {
        if (!vwi_text_addf(&path, "%s/benchmark-score", setup->state_dir))
            return VW_E_NOMEM;
        b->cache_path = path.p; /* transferred */
    }
    if (vwi_timer_init(&b->step, setup->loop, on_step, b) != VW_OK ||
        vwi_timer_init(&b->limit, setup->loop, on_limit, b) != VW_OK)
        return VW_E_NOMEM;
    b->model = *setup->model;
    b->model.idle_connections = (int)b->slot_count;
    return vwi_upstream_create(setup->loop, &b->model, setup->log, &b->upstream, why);
}

vw_err vwi_bench_create(const struct vwi_bench_setup *setup, const struct vwi_bench_events *events, void *arg,
                        struct vwi_bench **ret, vw_error_t *why)
{
    struct vwi_bench *b;
    vw_err err;

    if (!setup->handler->benchmark->dataset_count && !setup->hooks.sample)
        return vwi_fail(why, VW_E_CONFIG, "handler %s: benchmark: no dataset, and its plugin offers no sample",
                        setup->handler->route);
    b = vwi_zalloc(sizeof *b);
    if (!b)
        return vwi_fail(why, VW_E_NOMEM, "benchmark: out of memory");
    b->setup = *setup;
    b->conf = setup->handler->benchmark;
    b->events = *events;
    b->arg = arg;
    b->slot_count = count_slots(setup);
    err = build(b, why);
    if (err == VW_OK) {
        *ret = b;
        return VW_OK;
    }
    vwi_bench_destroy(b);
    return vwi_fail(why, err, "benchmark: %s", vw_err_text(err));
}

void vwi_bench_destroy(struct vwi_bench *b)
{
    unsigned i;

    if (!b)
        return;
    for (i = 0; b->slots && i < b->slot_count; i++) {
        if (b->slots[i].lease)
            vwi_lease_cancel(b->slots[i].lease);
        vwi_text_fini(&b->slots[i].payload);
        vwi_text_fini(&b->slots[i].body);
    }
    vwi_upstream_destroy(b->upstream);
    vwi_timer_fini(&b->step);
    vwi_timer_fini(&b->limit);
    vwi_text_fini(&b->target);
    vwi_text_fini(&b->cache_key);
    vwi_free(b->slots);
    vwi_free(b->rounds);
    vwi_free(b->cache_path);
    vwi_free(b);
}
