/*
 * Two lines to the control plane, status and deletions, each with at most one errand under way. A failed try goes to the next
 * address at once with a fresh body; when all have failed the line pauses, longer each time. Nothing ever waits for it.
 */
#include "flow/report.h"

#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vwi.h"
#include "core/wire.h"

#define TICK_MS 1000
#define IDLE_MS 10000          /* protocol 3.3: a report at least this often */
#define TRY_TIMEOUT_S 10.0     /* protocol 3.4 */
#define HURRIED_TRY_S 3.0      /* while the worker stops, which the platform gives 10 s, and another address may answer */
#define DELETIONS_A_BODY 512
#define FIRST_PAUSE_MS 1000
#define MAX_PAUSE_MS 15000
#define REFUSED_PAUSE_MS 10000 /* a 4xx is not cured by hurry */
#define REDIS_FRONT "https://cloud.vast.ai/api/v0" /* protocol 3.6: takes no deletions */

enum which { STATUS, DELETIONS };

struct line {
    struct vwi_report *report;
    enum which which;
    struct vwi_errand *errand;
    struct vwi_timer pause;
    size_t at, tried;     /* the address in use, and how many have failed in this round */
    int64_t pause_ms;
    bool pausing, silent; /* silent: the failure was logged, say nothing until it works again */
};

struct vwi_report {
    struct vwi_courier *courier;
    const struct vwi_report_conf *conf;
    struct vwi_ledger *ledger;
    const struct vwi_log *log;
    struct vwi_report_events events;
    void *arg;
    struct vwi_timer tick, limit;
    struct line lines[2];
    struct vwi_report_snapshot sent; /* what the status errand under way says */
    uint64_t sent_serial;            /* last deletion of the body being told; 0: none is */
    unsigned phase;                  /* of that body: the list, or in the legacy form the successes, then the failures */
    struct vwi_histogram seconds;
    uint64_t accepted, failed;
    double disk_told_gib, disk_sent_gib; /* used on / as of the last report that was accepted, and of the one under way */
    int64_t last_report_ms;
    bool urgent, started, hurry, said_ok;
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

static const char *address(const struct vwi_report *report, const struct line *line) { return report->conf->addresses.items[line->at]; }

static bool all_told(const struct vwi_report *report)
{
    return !report->urgent && !report->lines[STATUS].errand && !report->lines[DELETIONS].errand && !vwi_ledger_changed(report->ledger) &&
           vwi_ledger_deletions_count(report->ledger) == 0;
}

static void check_flushed(struct vwi_report *report)
{
    vwi_loop_fn fn = report->on_flushed;

    if (!fn || !all_told(report))
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
    if (fn)
        fn(report->flushed_arg);
}

static bool is_leaving(const struct vwi_report *report) { return report->hurry || report->on_flushed; }

static void wake(struct line *line)
{
    vwi_timer_stop(&line->pause);
    line->pausing = false;
}

/* There is no time left to be patient. */
static void end_pauses(struct vwi_report *report)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(report->lines); i++) {
        wake(&report->lines[i]);
        report->lines[i].pause_ms = FIRST_PAUSE_MS;
    }
}

static void rest(struct line *line, int64_t ms)
{
    if (is_leaving(line->report))
        ms = FIRST_PAUSE_MS;
    line->pausing = true;
    vwi_timer_start(&line->pause, ms + ms * (vwi_mono_us() % 200) / 1000); /* up to a fifth more, so that workers do not march in step */
}

static const char *path_of(const struct line *line) { return line->which == STATUS ? "worker_status" : "delete_requests"; }

static void complain(struct line *line, const struct vwi_errand_reply *reply)
{
    const char *path = path_of(line);

    if (line->silent)
        return;
    line->silent = true;
    if (reply->status)
        vwi_log_warn(line->report->log, "report: %s/%s/ answered %ld; it is kept and sent again", address(line->report, line), path,
                     reply->status);
    else
        vwi_log_warn(line->report->log, "report: %s/%s/: %s; it is kept and sent again", address(line->report, line), path, reply->text);
}

/* A try failed: the next address at once, or a pause when all have failed. True: go on now. */
static bool fail_over(struct line *line, const struct vwi_errand_reply *reply)
{
    bool refused = reply->status >= 400 && reply->status < 500;

    line->report->failed++;
    complain(line, reply);
    line->at = (line->at + 1) % line->report->conf->addresses.count;
    if (++line->tried < line->report->conf->addresses.count)
        return true;
    line->tried = 0;
    line->at = 0;
    rest(line, refused ? REFUSED_PAUSE_MS : line->pause_ms);
    line->pause_ms = line->pause_ms * 2 > MAX_PAUSE_MS ? MAX_PAUSE_MS : line->pause_ms * 2;
    return false;
}

static void recover(struct line *line)
{
    if (line->silent)
        vwi_log_info(line->report->log, "report: %s/%s/ is accepted again", address(line->report, line), path_of(line));
    line->silent = false;
    line->tried = 0;
    line->pause_ms = FIRST_PAUSE_MS;
}

static bool is_success(const struct vwi_errand_reply *reply) { return reply->status >= 200 && reply->status < 400; }

static void on_status_reply(void *arg, const struct vwi_errand_reply *reply)
{
    struct vwi_report *report = arg;
    struct line *line = &report->lines[STATUS];

    line->errand = NULL;
    vwi_histogram_observe(&report->seconds, reply->seconds);
    if (is_success(reply)) {
        if (!report->said_ok)
            vwi_log_info(report->log, "reporting to %s", address(report, line));
        report->said_ok = true;
        report->accepted++;
        recover(line);
        vwi_ledger_acknowledge(report->ledger, &report->sent);
        report->disk_told_gib = report->disk_sent_gib;
        report->last_report_ms = vwi_mono_ms();
    } else {
        report->urgent = fail_over(line, reply) || report->urgent || report->on_flushed;
    }
    vwi_report_snapshot_fini(&report->sent);
    if ((report->urgent || (report->on_flushed && vwi_ledger_changed(report->ledger))) && !line->pausing)
        send_status(report);
    check_flushed(report);
}

static struct vwi_errand *post(struct vwi_report *report, struct line *line, const struct vwi_text *body, vwi_errand_fn fn)
{
    double timeout_s = is_leaving(report) && report->conf->addresses.count > 1 ? HURRIED_TRY_S : TRY_TIMEOUT_S;
    struct vwi_text url = VWI_TEXT_INIT;
    struct vwi_errand_request request = { NULL, body->p, body->len, "application/json", timeout_s, 0 };
    struct vwi_errand *errand = NULL;

    vwi_text_addf(&url, "%s/%s/", address(report, line), path_of(line));
    request.url = url.p;
    if (!url.failed)
        errand = vwi_courier_send(report->courier, &request, fn, report);
    vwi_text_fini(&url);
    return errand;
}

static void send_status(struct vwi_report *report)
{
    struct line *line = &report->lines[STATUS];
    struct vwi_report_facts facts = { 0, 0, "", "" };
    struct vwi_wire_status status = { 0 };
    struct vwi_text body = VWI_TEXT_INIT;

    if (line->errand || line->pausing || vwi_ledger_snapshot(report->ledger, &report->sent) != VW_OK)
        return;
    report->urgent = false;
    report->disk_sent_gib = disk_used_gib();
    report->events.facts(report->arg, &facts);
    status.id = report->conf->worker_id;
    status.mtoken = report->conf->mtoken;
    status.version = report->conf->version;
    status.error_msg = facts.error_msg;
    status.url = facts.url;
    status.loadtime_s = facts.loadtime_s;
    status.max_perf = facts.max_perf;
    status.disk_usage_gib = report->disk_sent_gib - report->disk_told_gib;
    status.counts = &report->sent;
    if (vwi_wire_status(&status, &body) == VW_OK)
        line->errand = post(report, line, &body, on_status_reply);
    vwi_text_fini(&body);
    if (!line->errand) {
        vwi_report_snapshot_fini(&report->sent);
        report->urgent = true; /* out of memory: the next tick tries again */
    }
}

static unsigned phases(const struct vwi_report *report) { return report->conf->legacy_deletions ? 2 : 1; }

/* The body's entries are all told. */
static void forget_told(struct vwi_report *report)
{
    vwi_ledger_deletions_drop(report->ledger, report->sent_serial);
    report->sent_serial = 0;
    report->phase = 0;
}

static void on_deletions_reply(void *arg, const struct vwi_errand_reply *reply)
{
    struct vwi_report *report = arg;
    struct line *line = &report->lines[DELETIONS];
    bool more;

    line->errand = NULL;
    if (is_success(reply)) {
        recover(line);
        if (++report->phase >= phases(report))
            forget_told(report);
        more = report->phase || report->hurry || report->on_flushed || vwi_ledger_deletions_count(report->ledger) >= DELETIONS_A_BODY;
    } else {
        more = fail_over(line, reply);
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
    struct line *line = &report->lines[DELETIONS];
    struct vwi_text body = VWI_TEXT_INIT;
    size_t named = 0;

    for (; report->phase < phases(report); report->phase++) {
        if (write_phase(report, picked, count, &body, &named) != VW_OK)
            break; /* out of memory: the next tick tries again */
        if (named) {
            line->errand = post(report, line, &body, on_deletions_reply);
            break;
        }
    }
    if (report->phase >= phases(report))
        forget_told(report);
    vwi_text_fini(&body);
}

/* False: there is nobody who takes deletions, so there is nothing to keep. */
static bool skip_redis_front(struct vwi_report *report, struct line *line)
{
    size_t i;

    for (i = 0; i < report->conf->addresses.count; i++) {
        if (strcmp(address(report, line), REDIS_FRONT) != 0)
            return true;
        line->at = (line->at + 1) % report->conf->addresses.count;
    }
    vwi_ledger_deletions_drop(report->ledger, UINT64_MAX);
    return false;
}

static void send_deletions(struct vwi_report *report)
{
    struct line *line = &report->lines[DELETIONS];
    struct vwi_deletion *picked;
    size_t count;

    if (line->errand || line->pausing || !vwi_ledger_deletions_count(report->ledger) || !skip_redis_front(report, line))
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

static void on_pause_over(void *arg)
{
    struct line *line = arg;

    line->pausing = false;
    if (line->which == DELETIONS)
        send_deletions(line->report);
    else
        send_status(line->report);
}

static void on_tick(void *arg)
{
    struct vwi_report *report = arg;

    vwi_timer_start(&report->tick, TICK_MS);
    report->urgent = report->urgent || report->full_due;
    report->full_due = false;
    if (report->urgent || vwi_ledger_changed(report->ledger) || vwi_mono_ms() - report->last_report_ms >= IDLE_MS)
        send_status(report);
    send_deletions(report);
}

vw_err vwi_report_create(struct vwi_loop *loop, struct vwi_courier *courier, const struct vwi_report_conf *conf, struct vwi_ledger *ledger,
                         const struct vwi_log *log, const struct vwi_report_events *events, void *arg, struct vwi_report **ret,
                         vw_error_t *why)
{
    struct vwi_report *report = vwi_zalloc(sizeof *report);
    size_t i;

    if (!report)
        return vwi_fail(why, VW_E_NOMEM, "report: out of memory");
    report->courier = courier;
    report->conf = conf;
    report->ledger = ledger;
    report->log = log;
    report->events = *events;
    report->arg = arg;
    report->disk_told_gib = disk_used_gib();
    vwi_histogram_init_request(&report->seconds);
    for (i = 0; i < VWI_ARRAY_LEN(report->lines); i++) {
        report->lines[i].report = report;
        report->lines[i].which = i ? DELETIONS : STATUS;
        report->lines[i].pause_ms = FIRST_PAUSE_MS;
    }
    if (vwi_timer_init(&report->tick, loop, on_tick, report) != VW_OK || vwi_timer_init(&report->limit, loop, on_limit, report) != VW_OK ||
        vwi_timer_init(&report->lines[STATUS].pause, loop, on_pause_over, &report->lines[STATUS]) != VW_OK ||
        vwi_timer_init(&report->lines[DELETIONS].pause, loop, on_pause_over, &report->lines[DELETIONS]) != VW_OK) {
        vwi_report_destroy(report);
        return vwi_fail(why, VW_E_NOMEM, "report: out of memory");
    }
    *ret = report;
    return VW_OK;
}

void vwi_report_start(struct vwi_report *report)
{
    report->started = true;
    report->urgent = true;
    on_tick(report);
}

void vwi_report_now(struct vwi_report *report)
{
    report->urgent = true;
    if (!report->started)
        return;
    wake(&report->lines[STATUS]); /* such news is rare, so it does not wear out a control plane that is in trouble */
    send_status(report);
}

void vwi_report_hurry(struct vwi_report *report)
{
    if (report->hurry || !report->started)
        return;
    report->hurry = report->full_due = true;
    end_pauses(report);
    vwi_timer_start(&report->tick, TICK_MS);
    send_deletions(report);
}

void vwi_report_settled(struct vwi_report *report)
{
    if (report->hurry)
        send_deletions(report);
}

void vwi_report_flush(struct vwi_report *report, int64_t timeout_ms, vwi_loop_fn fn, void *arg)
{
    report->on_flushed = fn;
    report->flushed_arg = arg;
    vwi_timer_start(&report->limit, timeout_ms);
    end_pauses(report);
    report->urgent = true;
    send_status(report);
    send_deletions(report);
}

struct vwi_report_stats vwi_report_stats(const struct vwi_report *report)
{
    return (struct vwi_report_stats){ report->accepted, report->failed, &report->seconds };
}

void vwi_report_destroy(struct vwi_report *report)
{
    if (!report)
        return;
    vwi_errand_cancel(report->lines[STATUS].errand);
    vwi_errand_cancel(report->lines[DELETIONS].errand);
    vwi_report_snapshot_fini(&report->sent);
    vwi_timer_fini(&report->tick);
    vwi_timer_fini(&report->limit);
    vwi_timer_fini(&report->lines[STATUS].pause);
    vwi_timer_fini(&report->lines[DELETIONS].pause);
    vwi_free(report);
}
