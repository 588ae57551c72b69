#include "flow/post.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "core/failover.h"
#include "core/mix.h"

#define PATIENT_S 10.0 /* protocol 3.4: a try where nobody else could be asked */
#define BRIEF_S 3.0    /* and where somebody could */
#define REDIS_FRONT "https://cloud.vast.ai/api/v0" /* protocol 3.6: takes no deletions */

struct line {
    struct vwi_post *post;
    enum vwi_post_line which;
    struct vwi_errand *errand;
    struct vwi_timer pause;
    size_t at; /* the address being asked */
};

struct vwi_post {
    struct vwi_courier *courier;
    const struct vwi_strings *addresses;
    const struct vwi_log *log;
    struct vwi_post_events events;
    void *arg;
    struct vwi_failover failover;
    struct line lines[2];
    struct line probe; /* a status, sent beside the others */
    struct vwi_histogram seconds;
    uint64_t accepted, failed, refused;
    bool said_failed[VWI_FAILOVER_ADDRESSES], said_refused[VWI_FAILOVER_ADDRESSES][2];
    bool said_where;
    size_t where; /* who took the last status */
};

static const char *path_of(const struct line *line) { return line->which == VWI_POST_STATUS ? "worker_status" : "delete_requests"; }
static const char *address_of(const struct line *line) { return line->post->addresses->items[line->at]; }

static bool has_other(const struct line *line)
{
    return vwi_failover_has_other(&line->post->failover, line->which, vwi_mono_ms(), line->at);
}

/* ---- what the log says: each address once when it fails and once when it is back ---- */

static void say_failed(const struct line *line, const struct vwi_errand_reply *reply)
{
    struct vwi_post *post = line->post;
    const char *then = has_other(line) ? "the next address is asked" : "it is kept and sent again";

    if (post->said_failed[line->at])
        return;
    post->said_failed[line->at] = true;
    if (reply->status)
        vwi_log_warn(post->log, "report: %s/%s/ answered %ld; %s", address_of(line), path_of(line), reply->status, then);
    else
        vwi_log_warn(post->log, "report: %s/%s/: %s; %s", address_of(line), path_of(line), reply->text, then);
}

static void say_refused(const struct line *line, long status)
{
    struct vwi_post *post = line->post;

    if (post->said_refused[line->at][line->which])
        return;
    post->said_refused[line->at][line->which] = true;
    vwi_log_warn(post->log, "report: %s/%s/ answered %ld, which another try does not mend%s; it is kept and tried again every few minutes",
                 address_of(line), path_of(line), status, status == 401 || status == 403 ? " (is MASTER_TOKEN right?)" : "");
}

static void say_good(const struct line *line)
{
    struct vwi_post *post = line->post;
    bool *refused = &post->said_refused[line->at][line->which];

    if (post->said_failed[line->at] || *refused)
        vwi_log_info(post->log, "report: %s/%s/ is accepted again", address_of(line), path_of(line));
    post->said_failed[line->at] = *refused = false;
    if (line->which != VWI_POST_STATUS || line == &post->probe || (post->said_where && post->where == line->at))
        return;
    post->said_where = true;
    post->where = line->at;
    vwi_log_info(post->log, "reporting to %s", address_of(line));
}

static bool note(struct line *line, const struct vwi_errand_reply *reply)
{
    struct vwi_post *post = line->post;
    enum vwi_failover_verdict verdict = vwi_failover_judge(reply->status);

    line->errand = NULL;
    if (line->which == VWI_POST_STATUS)
        vwi_histogram_observe(&post->seconds, reply->seconds);
    vwi_failover_note(&post->failover, line->which, line->at, verdict, reply->retry_after_s, vwi_mono_ms());
    if (verdict == VWI_FAILOVER_GOOD) {
        post->accepted++;
        say_good(line);
    } else if (verdict == VWI_FAILOVER_REFUSED) {
        post->refused++;
        say_refused(line, reply->status);
    } else {
        post->failed++;
        say_failed(line, reply);
    }
    return verdict == VWI_FAILOVER_GOOD;
}

/* ---- sending ---- */

static void on_reply(void *arg, const struct vwi_errand_reply *reply)
{
    struct line *line = arg;
    bool accepted = note(line, reply);

    line->post->events.on_end(line->post->arg, line->which, accepted);
}

static void on_probe_reply(void *arg, const struct vwi_errand_reply *reply) { note(arg, reply); }

static void on_pause_over(void *arg)
{
    struct line *line = arg;

    line->post->events.on_free(line->post->arg, line->which);
}

static struct vwi_errand *send(struct line *line, const struct vwi_text *body, double timeout_s, vwi_errand_fn fn)
{
    struct vwi_text url = VWI_TEXT_INIT;
    struct vwi_errand_request request = { NULL, body->p, body->len, "application/json", timeout_s, 0 };
    struct vwi_errand *errand = NULL;

    vwi_text_addf(&url, "%s/%s/", address_of(line), path_of(line));
    request.url = url.p;
    if (!url.failed)
        errand = vwi_courier_send(line->post->courier, &request, fn, line);
    vwi_text_fini(&url);
    return errand;
}

bool vwi_post_has_takers(const struct vwi_post *post, enum vwi_post_line line)
{
    size_t i;

    for (i = 0; i < post->failover.count; i++)
        if (!post->failover.addresses[i].never[line])
            return true;
    return false;
}

bool vwi_post_is_busy(const struct vwi_post *post, enum vwi_post_line line) { return post->lines[line].errand != NULL; }

bool vwi_post_is_free(struct vwi_post *post, enum vwi_post_line which)
{
    struct line *line = &post->lines[which];
    int64_t wait_ms;

    if (line->errand)
        return false;
    wait_ms = vwi_failover_pick(&post->failover, which, vwi_mono_ms(), &line->at);
    if (wait_ms > 0)
        vwi_timer_start(&line->pause, wait_ms);
    return wait_ms <= 0;
}

bool vwi_post_send(struct vwi_post *post, enum vwi_post_line which, const struct vwi_text *body)
{
    struct line *line = &post->lines[which];

    vwi_timer_stop(&line->pause);
    line->errand = send(line, body, has_other(line) ? BRIEF_S : PATIENT_S, on_reply);
    return line->errand != NULL;
}

bool vwi_post_wants_probe(const struct vwi_post *post)
{
    size_t at;

    return !post->probe.errand && vwi_failover_suspect(&post->failover, VWI_POST_STATUS, vwi_mono_ms(), &at);
}

void vwi_post_probe(struct vwi_post *post, const struct vwi_text *body)
{
    struct line *probe = &post->probe;

    if (!probe->errand && vwi_failover_suspect(&post->failover, VWI_POST_STATUS, vwi_mono_ms(), &probe->at))
        probe->errand = send(probe, body, PATIENT_S, on_probe_reply);
}

void vwi_post_wake(struct vwi_post *post, enum vwi_post_line line) { vwi_failover_wake(&post->failover, line, vwi_mono_ms()); }

void vwi_post_hurry(struct vwi_post *post) { vwi_failover_hurry(&post->failover); }

struct vwi_post_stats vwi_post_stats(const struct vwi_post *post)
{
    return (struct vwi_post_stats){ post->accepted, post->failed, post->refused, &post->seconds };
}

static void fill_failover(struct vwi_post *post, long long worker_id)
{
    size_t i;

    post->failover.count = post->addresses->count;
    post->failover.seed = vwi_mix((uint64_t)vwi_mono_us() ^ vwi_mix((uint64_t)worker_id));
    for (i = 0; i < post->failover.count; i++)
        post->failover.addresses[i].never[VWI_POST_DELETIONS] = strcmp(post->addresses->items[i], REDIS_FRONT) == 0;
}

vw_err vwi_post_create(struct vwi_loop *loop, struct vwi_courier *courier, const struct vwi_report_conf *conf, const struct vwi_log *log,
                       const struct vwi_post_events *events, void *arg, struct vwi_post **ret, vw_error_t *why)
{
    struct vwi_post *post;
    size_t i;

    if (!VWI_EXPECT(conf->addresses.count && conf->addresses.count <= VWI_FAILOVER_ADDRESSES))
        return vwi_fail(why, VW_E_ARG, "report: expected 1 to %d addresses", VWI_FAILOVER_ADDRESSES);
    post = vwi_zalloc(sizeof *post);
    if (!post)
        return vwi_fail(why, VW_E_NOMEM, "report: out of memory");
    post->courier = courier;
    post->addresses = &conf->addresses;
    post->log = log;
    post->events = *events;
    post->arg = arg;
    post->probe = (struct line){ .post = post, .which = VWI_POST_STATUS };
    vwi_histogram_init_request(&post->seconds);
    fill_failover(post, conf->worker_id);
    for (i = 0; i < VWI_ARRAY_LEN(post->lines); i++) {
        struct line *line = &post->lines[i];

        line->post = post;
        line->which = (enum vwi_post_line)i;
        if (vwi_timer_init(&line->pause, loop, on_pause_over, line) != VW_OK) {
            vwi_post_destroy(post);
            return vwi_fail(why, VW_E_NOMEM, "report: out of memory");
        }
    }
    *ret = post;
    return VW_OK;
}

void vwi_post_destroy(struct vwi_post *post)
{
    size_t i;

    if (!post)
        return;
    vwi_errand_cancel(post->probe.errand);
    for (i = 0; i < VWI_ARRAY_LEN(post->lines); i++) {
        vwi_errand_cancel(post->lines[i].errand);
        vwi_timer_fini(&post->lines[i].pause);
    }
    vwi_free(post);
}
