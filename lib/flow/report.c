/*
 * What is told, and when; how it gets there is flow/post. A body that was not accepted is written anew for the next try, so that it never
 * says less than what is known. Nothing ever waits for any of it.
 */
#include "flow/report.h"

#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vwi.h"
#include "core/wire.h"
#include "flow/post.h"

#define TICK_MS 1000
#define IDLE_MS 10000 /* protocol 3.3: a report at least this often */
#define DELETIONS_A_BODY 512
#define UNTOLD_NAMED 50

struct vwi_report {
    struct vwi_post *post;
    const struct vwi_report_conf *conf;
    struct vwi_ledger *ledger;
    const struct vwi_log *log;
    struct vwi_report_events events;
    void *arg;
    struct vwi_timer tick, limit;
    struct vwi_report_snapshot sent; /* what the status errand under way says */
    uint64_t sent_serial;            /* last deletion of the body being told; 0: none is */
    unsigned phase;                  /* of that body: the list, or in the legacy form the successes, then the failures */
    double disk_told_gib, disk_sent_gib; /* used on / as of the last report that was accepted, and of the one under way */
    int64_t last_report_ms;
    bool urgent; /* a report is due, whatever the ledger says */
    bool news;   /* and it does not wait for a pause to end; once, or a control plane in trouble would be worn out */
    bool started, hurry;
    bool full_due; /* the report one second after the drain began */
    vwi_loop_fn on_flushed;
    void *flushed_arg;
};

static void send_status(struct vwi_report *report);
static void send_deletions(struct vwi_report *report);

static double disk_used_gib(void)
{
    struct statvfs fs;

    if (statvfs("/", &fs) != 0)
        return 0;
    return (double)(fs.f_blocks - fs.f_bfree) * (double)fs.f_frsize / (1024.0 * 1024 * 1024);
}

/* ---- last words ---- */

bool vwi_report_is_told(const struct vwi_report *report)
{
    return !report->urgent && !vwi_post_is_busy(report->post, VWI_POST_STATUS) && !vwi_post_is_busy(report->post, VWI_POST_DELETIONS) &&
           !vwi_ledger_changed(report->ledger) && vwi_ledger_deletions_count(report->ledger) == 0;
}

static void check_flushed(struct vwi_report *report)
{
    vwi_loop_fn fn = report->on_flushed;

    if (!fn || !vwi_report_is_told(report))
        return;
    report->on_flushed = NULL;
    vwi_timer_stop(&report->limit);
    fn(report->flushed_arg);
}

static void on_limit(void *arg)
{
    struct vwi_report *report = arg;
    vwi_loop_fn fn = report->on_flushed;
    size_t left = vwi_ledger_deletions_count(report->ledger);

    report->on_flushed = NULL;
    vwi_log_warn(report->log, "the control plane did not take the last report in time; %zu finished requests stay untold", left);
    vwi_report_say_untold(report);
    if (fn)
        fn(report->flushed_arg);
}

/* In the older form the successes of a body may have been taken while its failures were not. */
static bool was_told(const struct vwi_report *report, const struct vwi_deletion *d)
{
    return report->phase > 0 && d->serial <= report->sent_serial && d->success;
}

void vwi_report_say_untold(const struct vwi_report *report)
{
    struct vwi_text list = VWI_TEXT_INIT;
    const struct vwi_deletion *d;
    size_t i, untold = 0;

    for (i = 0; report && (d = vwi_ledger_deletion(report->ledger, i)); i++) {
        if (was_told(report, d))
            continue;
        if (untold++ < UNTOLD_NAMED) {
            vwi_text_adds(&list, untold > 1 ? ", " : "");
            vwi_text_add_integer(&list, d->request_idx);
        }
    }
    if (untold > UNTOLD_NAMED)
        vwi_text_addf(&list, " and %zu more", untold - UNTOLD_NAMED);
    if (untold && !list.failed)
        vwi_log_warn(report->log, "untold are the ends of the requests with request_idx %s%s", list.p,
                     vwi_ledger_has_journal(report->ledger) ? "; the next start with this stateDir tells them" : "");
    vwi_text_fini(&list);
}

/* ---- status ---- */

static void on_status_end(struct vwi_report *report, bool accepted)
{
    if (accepted) {
        vwi_ledger_acknowledge(report->ledger, &report->sent);
        report->disk_told_gib = report->disk_sent_gib;
        report->last_report_ms = vwi_mono_ms();
    } else {
        report->urgent = true;
    }
    vwi_report_snapshot_fini(&report->sent);
    if (report->urgent || (report->on_flushed && vwi_ledger_changed(report->ledger)))
        send_status(report);
    check_flushed(report);
}

static vw_err write_status(struct vwi_report *report, const struct vwi_report_snapshot *counts, double disk_gib, struct vwi_text *body)
{
    struct vwi_report_facts facts = { 0, 0, "", "" };
    struct vwi_wire_status status = { 0 };

    report->events.facts(report->arg, &facts);
    status.id = report->conf->worker_id;
    status.mtoken = report->conf->mtoken;
    status.version = report->conf->version;
    status.error_msg = facts.error_msg;
    status.url = facts.url;
    status.loadtime_s = facts.loadtime_s;
    status.max_perf = facts.max_perf;
    status.disk_usage_gib = disk_gib;
    status.counts = counts;
    return vwi_wire_status(&status, body);
}

static void send_status(struct vwi_report *report)
{
    struct vwi_text body = VWI_TEXT_INIT;
    bool sent;

    if (report->news)
        vwi_post_wake(report->post, VWI_POST_STATUS);
    if (!vwi_post_is_free(report->post, VWI_POST_STATUS) || vwi_ledger_snapshot(report->ledger, &report->sent) != VW_OK)
        return;
    report->disk_sent_gib = disk_used_gib();
    sent = write_status(report, &report->sent, report->disk_sent_gib - report->disk_told_gib, &body) == VW_OK &&
           vwi_post_send(report->post, VWI_POST_STATUS, &body);
    vwi_text_fini(&body);
    report->urgent = !sent; /* out of memory: the next tick tries again */
    report->news = report->news && !sent;
    if (!sent)
        vwi_report_snapshot_fini(&report->sent);
}

/* How things stand, without the sums: wherever it arrives, and however late, it counts nothing twice. */
static void send_probe(struct vwi_report *report)
{
    struct vwi_report_snapshot counts = { 0 };
    struct vwi_text body = VWI_TEXT_INIT;

    if (!vwi_post_wants_probe(report->post) || vwi_ledger_snapshot(report->ledger, &counts) != VW_OK)
        return;
    counts.new_load = counts.rej_load = counts.cur_perf = 0;
    if (write_status(report, &counts, 0, &body) == VW_OK)
        vwi_post_probe(report->post, &body);
    vwi_text_fini(&body);
    vwi_report_snapshot_fini(&counts);
}

/* ---- deletions ---- */

static unsigned phases(const struct vwi_report *report) { return report->conf->legacy_deletions ? 2 : 1; }

/* The body's entries are all told. */
static void forget_told(struct vwi_report *report)
{
    vwi_ledger_deletions_drop(report->ledger, report->sent_serial);
    report->sent_serial = 0;
    report->phase = 0;
}

static void on_deletions_end(struct vwi_report *report, bool accepted)
{
    bool more = true;

    if (accepted) {
        if (++report->phase >= phases(report))
            forget_told(report);
        else
            vwi_ledger_deletions_told(report->ledger, report->sent_serial, true);
        more = report->phase || report->hurry || report->on_flushed || vwi_ledger_deletions_count(report->ledger) >= DELETIONS_A_BODY;
    }
    if (more)
        send_deletions(report);
    check_flushed(report);
}

/* The oldest entries; a body that is told again names the same ones, but for what overflow dropped meanwhile. */
static size_t pick(struct vwi_report *report, struct vwi_deletion *picked)
{
    size_t count = vwi_ledger_deletions(report->ledger, DELETIONS_A_BODY, picked);

    if (report->sent_serial)
        while (count && picked[count - 1].serial > report->sent_serial)
            count--;
    else if (count)
        report->sent_serial = picked[count - 1].serial;
    return count;
}

static vw_err write_phase(const struct vwi_report *report, const struct vwi_deletion *picked, size_t count, struct vwi_text *body,
                          size_t *ret_named)
{
    const struct vwi_report_conf *conf = report->conf;

    *ret_named = count;
    if (!conf->legacy_deletions)
        return vwi_wire_deletions(conf->worker_id, conf->mtoken, picked, count, body);
    return vwi_wire_deletions_legacy(conf->worker_id, conf->mtoken, picked, count, report->phase == 0, body, ret_named);
}

static void tell_deletions(struct vwi_report *report, const struct vwi_deletion *picked, size_t count)
{
    struct vwi_text body = VWI_TEXT_INIT;
    size_t named = 0;

    for (; report->phase < phases(report); report->phase++) {
        if (write_phase(report, picked, count, &body, &named) != VW_OK)
            break; /* out of memory: the next tick tries again */
        if (named) {
            (void)vwi_post_send(report->post, VWI_POST_DELETIONS, &body);
            break;
        }
    }
    if (report->phase >= phases(report))
        forget_told(report);
    vwi_text_fini(&body);
}

static void send_deletions(struct vwi_report *report)
{
    struct vwi_deletion *picked;
    size_t count;

    if (!vwi_ledger_deletions_count(report->ledger))
        return;
    if (!vwi_post_has_takers(report->post, VWI_POST_DELETIONS)) {
        vwi_ledger_deletions_drop(report->ledger, UINT64_MAX); /* nobody to tell, so nothing to keep */
        return;
    }
    if (!vwi_post_is_free(report->post, VWI_POST_DELETIONS))
        return;
    picked = vwi_alloc(DELETIONS_A_BODY * sizeof *picked);
    if (!picked)
        return;
    count = pick(report, picked);
    if (count)
        tell_deletions(report, picked, count);
    else
        forget_told(report); /* overflow dropped what was to be told again */
    vwi_free(picked);
}

/* ---- when ---- */

static void on_post_end(void *arg, enum vwi_post_line line, bool accepted)
{
    if (line == VWI_POST_STATUS)
        on_status_end(arg, accepted);
    else
        on_deletions_end(arg, accepted);
}

static void on_post_free(void *arg, enum vwi_post_line line)
{
    struct vwi_report *report = arg;

    if (line == VWI_POST_DELETIONS)
        send_deletions(report);
    else if (report->urgent)
        send_status(report);
}

static void on_tick(void *arg)
{
    struct vwi_report *report = arg;

    vwi_timer_start(&report->tick, TICK_MS);
    report->urgent = report->urgent || report->full_due || vwi_mono_ms() - report->last_report_ms >= IDLE_MS;
    report->full_due = false;
    if (report->urgent || vwi_ledger_changed(report->ledger))
        send_status(report);
    send_deletions(report);
    send_probe(report);
}

vw_err vwi_report_create(struct vwi_loop *loop, struct vwi_courier *courier, const struct vwi_report_conf *conf, struct vwi_ledger *ledger,
                         const struct vwi_log *log, const struct vwi_report_events *events, void *arg, struct vwi_report **ret,
                         vw_error_t *why)
{
    static const struct vwi_post_events post_events = { on_post_end, on_post_free };
    struct vwi_report *report = vwi_zalloc(sizeof *report);
    vw_err err;

    if (!report)
        return vwi_fail(why, VW_E_NOMEM, "report: out of memory");
    report->conf = conf;
    report->ledger = ledger;
    report->log = log;
    report->events = *events;
    report->arg = arg;
    report->disk_told_gib = disk_used_gib();
    err = vwi_post_create(loop, courier, conf, log, &post_events, report, &report->post, why);
    if (err == VW_OK && (vwi_timer_init(&report->tick, loop, on_tick, report) != VW_OK ||
                         vwi_timer_init(&report->limit, loop, on_limit, report) != VW_OK))
        err = vwi_fail(why, VW_E_NOMEM, "report: out of memory");
    if (err != VW_OK)
        vwi_report_destroy(report);
    else
        *ret = report;
    return err;
}

void vwi_report_start(struct vwi_report *report)
{
    report->started = true;
    report->urgent = true;
    on_tick(report);
}

void vwi_report_now(struct vwi_report *report)
{
    report->urgent = report->news = true;
    if (report->started)
        send_status(report);
}

void vwi_report_hurry(struct vwi_report *report)
{
    if (report->hurry || !report->started)
        return;
    report->hurry = report->full_due = true;
    vwi_post_hurry(report->post);
    vwi_timer_start(&report->tick, TICK_MS);
    send_deletions(report);
}

void vwi_report_settled(struct vwi_report *report)
{
    if (report && report->hurry)
        send_deletions(report);
}

void vwi_report_flush(struct vwi_report *report, int64_t timeout_ms, vwi_loop_fn fn, void *arg)
{
    report->on_flushed = fn;
    report->flushed_arg = arg;
    vwi_timer_start(&report->limit, timeout_ms);
    vwi_post_hurry(report->post);
    report->urgent = true;
    send_status(report);
    send_deletions(report);
}

struct vwi_report_stats vwi_report_stats(const struct vwi_report *report)
{
    struct vwi_post_stats post = vwi_post_stats(report->post);

    return (struct vwi_report_stats){ post.accepted, post.failed, post.refused, post.seconds };
}

void vwi_report_destroy(struct vwi_report *report)
{
    if (!report)
        return;
    vwi_post_destroy(report->post);
    vwi_report_snapshot_fini(&report->sent);
    vwi_timer_fini(&report->tick);
    vwi_timer_fini(&report->limit);
    vwi_free(report);
}
