/*
 * Everything that happens to the model arrives in feed(), which tells the readiness machine and then does what it wishes. The
 * odd thing: the report goes out first (on_change), probing and measuring come after, since a ready worker is paid for.
 */
#include "flow/startup.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "flow/health.h"
#include "io/file.h"
#include "io/tail.h"

#define SHOWN_BYTES 400     /* of a model's line in our log */
#define SHOWN_PER_SECOND 20 /* model lines copied to our log */

struct source {
    struct vwi_startup *startup;
    struct vwi_tail *tail;
};

struct vwi_startup {
    struct vwi_startup_setup setup;
    struct vwi_startup_events events;
    void *arg;
    struct vwi_ready ready;
    double since_wall_s;
    struct vwi_patterns *patterns;
    struct source *sources;
    size_t source_count;
    struct vwi_health *health; /* NULL: nothing to probe */
    struct vwi_bench *bench;   /* NULL: nothing to measure */
    struct vwi_timer load_limit;
    bool started;
    uint64_t matches[VWI_PATTERN_KINDS];
    int64_t shown_second;
    unsigned shown, hidden;    /* model lines in that second */
};

static double now_s(void) { return (double)vwi_mono_us() / 1e6; }

static void log_change(const struct vwi_startup *s, const char *before)
{
    struct vwi_ready_view view = vwi_ready_view(&s->ready);

    if (view.state == VWI_STATE_ERROR)
        vwi_log_error(s->setup.log, "state %s -> %s: %s", before, view.name, view.reason);
    else if (view.state == VWI_STATE_READY)
        vwi_log_info(s->setup.log, "state %s -> %s: %s, loaded in %.3f s, capacity %.6g units/s%s", before, view.name,
                     view.reason, view.loadtime_s, view.max_perf, view.capacity_known ? "" : " (not measured)");
    else
        vwi_log_info(s->setup.log, "state %s -> %s: %s", before, view.name, view.reason);
}

static void feed(struct vwi_startup *s, enum vwi_ready_event event, const char *text, double score)
{
    const char *before = vwi_state_name(s->ready.state);
    unsigned wishes = vwi_ready_feed(&s->ready, event, text, score, now_s());
    int64_t gap_ms;

    if (wishes & VWI_READY_CHANGED) {
        s->since_wall_s = vwi_wall_s() - (now_s() - s->ready.since_s);
        log_change(s, before);
        s->events.on_change(s->arg); /* may feed in turn: what follows reads the state anew */
    }
    gap_ms = vwi_ready_probe_gap_ms(&s->ready);
    if (s->health)
        vwi_health_pace(s->health, gap_ms);
    if (s->health && (wishes & VWI_READY_PROBE_NOW) && gap_ms > 0)
        vwi_health_now(s->health);
    if (s->bench && (wishes & VWI_READY_MEASURE) && s->ready.measuring && s->ready.state != VWI_STATE_DRAINING)
        vwi_bench_start(s->bench, s->health ? vwi_health_engine(s->health) : "");
}

/* ---- what the model says ---- */

static bool may_show(struct vwi_startup *s)
{
    int64_t second = vwi_mono_ms() / 1000;

    if (second != s->shown_second) {
        if (s->hidden)
            vwi_log_warn(s->setup.log, "model: %u more matching lines are not shown", s->hidden);
        s->shown_second = second;
        s->shown = s->hidden = 0;
    }
    if (s->shown < SHOWN_PER_SECOND) {
        s->shown++;
        return true;
    }
    s->hidden++;
    return false;
}

/* The line goes to our own log and nowhere else. */
static void show(struct vwi_startup *s, vw_log_level_t level, enum vwi_pattern_kind kind, const char *line, size_t len)
{
    struct vwi_text text = VWI_TEXT_INIT;

    if (may_show(s) && vwi_text_add_shown(&text, line, len, SHOWN_BYTES))
        vwi_log(s->setup.log, level, "model (%s): %s", vwi_pattern_kind_name(kind), text.p);
    vwi_text_fini(&text);
}

void vwi_startup_line(struct vwi_startup *s, const char *line, size_t len)
{
    struct vwi_pattern_hits hits;
    int kind;

    if (!vwi_patterns_match(s->patterns, (struct vwi_span){ line, len }, &hits))
        return;
    for (kind = 0; kind < VWI_PATTERN_KINDS; kind++)
        s->matches[kind] += hits.text[kind] != NULL;
    if (hits.text[VWI_PATTERN_LOAD])
        feed(s, VWI_READY_LOG_LOADED, NULL, 0);
    if (hits.text[VWI_PATTERN_ERROR])
        feed(s, VWI_READY_LOG_ERROR, hits.text[VWI_PATTERN_ERROR], 0);
    for (kind = 0; kind < VWI_PATTERN_KINDS; kind++)
        if (hits.text[kind])
            show(s, kind == VWI_PATTERN_ERROR ? VW_LOG_WARN : VW_LOG_INFO, (enum vwi_pattern_kind)kind, line, len);
}

static void on_tail_line(void *arg, const char *line, size_t len)
{
    struct source *source = arg;

    vwi_startup_line(source->startup, line, len);
}

static void on_tail_note(void *arg, enum vwi_tail_note note, int sys_errno)
{
    struct source *source = arg;
    const struct vwi_log *log = source->startup->setup.log;
    const char *path = vwi_tail_path(source->tail);

    switch (note) {
    case VWI_TAIL_OPENED:
        vwi_log_info(log, "model log %s: reading", path);
        break;
    case VWI_TAIL_ROTATED:
        vwi_log_info(log, "model log %s: replaced by a new file", path);
        break;
    case VWI_TAIL_TRUNCATED:
        vwi_log_warn(log, "model log %s: truncated in place; lines that were not read yet are lost", path);
        break;
    case VWI_TAIL_LONG_LINE:
        vwi_log_debug(log, "model log %s: a line over %u bytes was cut", path, VWI_LINE_MAX);
        break;
    case VWI_TAIL_UNREADABLE:
        vwi_log_warn(log, "model log %s: cannot be read: %s", path, strerror(sys_errno));
        break;
    }
}

/* ---- what probes and the benchmark say ---- */

static void on_good(void *arg) { feed(arg, VWI_READY_PROBE_GOOD, NULL, 0); }
static void on_bad(void *arg, const char *text) { feed(arg, VWI_READY_PROBE_BAD, text, 0); }
static void on_done(void *arg, double score) { feed(arg, VWI_READY_BENCH_DONE, NULL, score); }
static void on_failed(void *arg, const char *text) { feed(arg, VWI_READY_BENCH_FAILED, text, 0); }

static void on_load_limit(void *arg)
{
    struct vwi_startup *s = arg;

    if (s->ready.state == VWI_STATE_BENCHMARKING || s->ready.state == VWI_STATE_ERROR)
        vwi_timer_start(&s->load_limit, 1000); /* the one has a limit of its own, the other may end; what comes after them has none */
    else
        feed(s, VWI_READY_LOAD_TIMEOUT, NULL, 0);
}

/* ---- building ---- */

static struct vwi_ready_needs find_needs(const struct vwi_startup_setup *setup)
{
    const struct vwi_ready_conf *conf = setup->ready;
    bool has_source = setup->fed || conf->log_files.count > 0;
    struct vwi_ready_needs needs = { 0 };

    needs.log = setup->driven || (has_source && conf->on_load.count > 0);
    needs.model = setup->model != NULL;
    needs.health = setup->model && conf->health_path;
    needs.port = setup->model && !needs.log && !needs.health;
    needs.max_perf = conf->max_perf;
    needs.benchmark = setup->model && setup->bench_handler && conf->max_perf <= 0;
    needs.key = setup->needs_key;
    needs.certificate = setup->needs_certificate;
    needs.sticky = setup->model && conf->sticky && !setup->driven; /* else the embedder's word clears */
    needs.platform = setup->platform;
    needs.load_s = conf->load_s;
    return needs;
}

static void warn(const struct vwi_startup *s)
{
    const struct vwi_ready_conf *conf = s->setup.ready;
    const struct vwi_ready_needs *needs = &s->ready.needs;
    bool patterns = conf->on_load.count || conf->on_error.count || conf->on_info.count;

    if (patterns && !s->setup.fed && conf->log_files.count == 0)
        vwi_log_warn(s->setup.log,
                     "logActionConfig has patterns, but there is no modelLogFile to find them in: they are not used");
    if (conf->log_files.count > 0 && !patterns)
        vwi_log_warn(s->setup.log, "modelLogFile is read, but logActionConfig has no patterns; nothing in it can matter");
    if (needs->platform && !needs->benchmark && needs->max_perf <= 0)
        vwi_log_warn(s->setup.log, "neither a benchmark nor maxPerf is configured: capacity is reported as %g units/s",
                     VWI_READY_UNKNOWN_PERF);
}

/* A line of the previous run must not count. */
static void set_aside(const struct vwi_startup *s, const char *path)
{
    vw_error_t why = { VW_OK, "" };

    if (!s->setup.ready->rotate_log || !vwi_file_exists(path))
        return;
    if (vwi_file_set_aside(path, &why) == VW_OK)
        vwi_log_info(s->setup.log, "model log %s: what was in it is in %s.old", path, path);
    else
        vwi_log_warn(s->setup.log, "ROTATE_MODEL_LOG: %s; it is read from its beginning", why.text);
}

static vw_err open_tails(struct vwi_startup *s, vw_error_t *why)
{
    static const struct vwi_tail_events tail_events = { on_tail_line, on_tail_note };
    const struct vwi_strings *files = &s->setup.ready->log_files;
    vw_err err = VW_OK;

    while (err == VW_OK && s->source_count < files->count) {
        struct source *source = &s->sources[s->source_count];

        source->startup = s;
        set_aside(s, files->items[s->source_count]);
        err = vwi_tail_create(s->setup.loop, files->items[s->source_count], &tail_events, source, &source->tail, why);
        s->source_count += err == VW_OK;
    }
    return err;
}

static vw_err build(struct vwi_startup *s, vw_error_t *why)
{
    static const struct vwi_health_events health_events = { on_good, on_bad };
    static const struct vwi_bench_events bench_events = { on_done, on_failed };
    const struct vwi_startup_setup *setup = &s->setup;
    const struct vwi_ready_conf *conf = setup->ready;
    struct vwi_bench_setup bench = {
        .loop = setup->loop, .model = setup->model, .handler = setup->bench_handler, .slots = setup->bench_slots,
        .log = setup->log, .hooks = setup->bench_hooks, .state_dir = conf->state_dir, .cache_key = setup->cache_key,
    };
    vw_err err = vwi_timer_init(&s->load_limit, setup->loop, on_load_limit, s);

    s->sources = vwi_zalloc((conf->log_files.count + 1) * sizeof *s->sources);
    if (err != VW_OK || !s->sources)
        return vwi_fail(why, VW_E_NOMEM, "startup: out of memory");
    err = vwi_patterns_create(&conf->on_load, &conf->on_error, &conf->on_info, &s->patterns, why);
    if (err == VW_OK && setup->model)
        err = vwi_health_create(setup->loop, setup->model, conf->health_path, setup->log, &health_events, s, &s->health, why);
    if (err == VW_OK && s->ready.needs.benchmark)
        err = vwi_bench_create(&bench, &bench_events, s, &s->bench, why);
    return err;
}

vw_err vwi_startup_create(const struct vwi_startup_setup *setup, const struct vwi_startup_events *events, void *arg,
                          struct vwi_startup **ret, vw_error_t *why)
{
    struct vwi_startup *s = vwi_zalloc(sizeof *s);
    struct vwi_ready_needs needs = find_needs(setup);
    vw_err err;

    if (!s)
        return vwi_fail(why, VW_E_NOMEM, "startup: out of memory");
    s->setup = *setup;
    s->events = *events;
    s->arg = arg;
    s->since_wall_s = vwi_wall_s();
    vwi_ready_init(&s->ready, &needs, now_s());
    err = build(s, why);
    if (err != VW_OK) {
        vwi_startup_destroy(s);
        return err;
    }
    *ret = s;
    return VW_OK;
}

void vwi_startup_destroy(struct vwi_startup *s)
{
    size_t i;

    if (!s)
        return;
    for (i = 0; i < s->source_count; i++)
        vwi_tail_destroy(s->sources[i].tail);
    vwi_bench_destroy(s->bench);
    vwi_health_destroy(s->health);
    vwi_timer_fini(&s->load_limit);
    vwi_patterns_destroy(s->patterns);
    vwi_free(s->sources);
    vwi_free(s);
}

void vwi_startup_start(struct vwi_startup *s)
{
    vw_error_t why = { VW_OK, "" };

    if (s->started)
        return;
    s->started = true;
    warn(s);
    if (s->ready.needs.load_s > 0)
        vwi_timer_start(&s->load_limit, (int64_t)(s->ready.needs.load_s * 1000));
    feed(s, VWI_READY_LISTENING, NULL, 0);
    if (open_tails(s, &why) != VW_OK)
        feed(s, VWI_READY_FAILED, why.text, 0);
}

void vwi_startup_key(struct vwi_startup *s, bool present)
{
    feed(s, present ? VWI_READY_KEY_PRESENT : VWI_READY_KEY_LOST, NULL, 0);
}

void vwi_startup_certificate(struct vwi_startup *s) { feed(s, VWI_READY_CERTIFICATE, NULL, 0); }
void vwi_startup_key_failed(struct vwi_startup *s, const char *text) { feed(s, VWI_READY_KEY_FAILED, text, 0); }
void vwi_startup_error(struct vwi_startup *s, const char *text) { feed(s, VWI_READY_FAILED, text, 0); }

void vwi_startup_ended(struct vwi_startup *s, const char *text)
{
    if (s->bench)
        vwi_bench_cancel(s->bench); /* its requests have broken off, which says nothing of the next process */
    feed(s, VWI_READY_ENDED, text, 0);
}

void vwi_startup_started(struct vwi_startup *s)
{
    if (s->ready.needs.load_s > 0 && s->ready.state != VWI_STATE_DRAINING)
        vwi_timer_start(&s->load_limit, (int64_t)(s->ready.needs.load_s * 1000));
    feed(s, VWI_READY_STARTED, NULL, 0);
}

void vwi_startup_loaded(struct vwi_startup *s) { feed(s, VWI_READY_LOG_LOADED, NULL, 0); }
void vwi_startup_capacity(struct vwi_startup *s, double max_perf) { feed(s, VWI_READY_BENCH_DONE, NULL, max_perf); }
void vwi_startup_unloaded(struct vwi_startup *s) { feed(s, VWI_READY_UNLOADED, NULL, 0); }
void vwi_startup_progress(struct vwi_startup *s) { feed(s, VWI_READY_PROGRESS, NULL, 0); }
void vwi_startup_live(struct vwi_startup *s, double max_perf) { feed(s, VWI_READY_LIVE, NULL, max_perf); }
void vwi_startup_gpu_lost(struct vwi_startup *s, const char *text) { feed(s, VWI_READY_GPU_LOST, text, 0); }
void vwi_startup_gpu_back(struct vwi_startup *s) { feed(s, VWI_READY_GPU_BACK, NULL, 0); }
void vwi_startup_gpu_broken(struct vwi_startup *s, const char *text) { feed(s, VWI_READY_GPU_BROKEN, text, 0); }

void vwi_startup_silence(struct vwi_startup *s, bool hung, const char *text)
{
    feed(s, hung ? VWI_READY_HUNG : VWI_READY_SILENCE, text, 0);
}

void vwi_startup_drain(struct vwi_startup *s)
{
    if (s->bench)
        vwi_bench_cancel(s->bench);
    vwi_timer_stop(&s->load_limit);
    feed(s, VWI_READY_DRAIN, NULL, 0);
}

struct vwi_ready_view vwi_startup_view(const struct vwi_startup *s)
{
    struct vwi_ready_view view = vwi_ready_view(&s->ready);

    view.since_s = s->since_wall_s;
    return view;
}

uint64_t vwi_startup_matches(const struct vwi_startup *s, enum vwi_pattern_kind kind)
{
    return (unsigned)kind < VWI_PATTERN_KINDS ? s->matches[kind] : 0;
}

uint64_t vwi_startup_truncations(const struct vwi_startup *s)
{
    uint64_t total = 0;
    size_t i;

    for (i = 0; i < s->source_count; i++)
        total += vwi_tail_counts(s->sources[i].tail).truncated;
    return total;
}
