/* The list of requests is walked as it is: it is bounded by the connections, and a drain looks at it a few times. */
#include "flow/cut.h"

#include <math.h>

#include "flow/judge.h"
#include "flow/request_parts.h"
#include "flow/sessions.h"

#define NAMED_MAX 20      /* in the log; the others are counted */
#define LAST_WORDS_S 1.0  /* to read why it was cut, while others go on */

static struct vwi_request *of(struct vwi_list *node) { return VWI_CONTAINER(node, struct vwi_request, node); }

void vwi_desk_refuse_unjudged(struct vwi_desk *desk)
{
    struct vwi_list *node, *next;

    for (node = desk->own.requests.next; node != &desk->own.requests; node = next) {
        next = node->next;
        if (of(node)->state == VWI_REQUEST_JUDGING)
            vwi_judge_refuse(of(node), VWI_REASON_DRAINING, NULL);
    }
}

void vwi_desk_last_call(struct vwi_desk *desk)
{
    if (desk->own.last_call)
        return;
    desk->own.last_call = true;
    vwi_desk_refuse_unjudged(desk);
}

double vwi_desk_longest_drain(const struct vwi_desk *desk)
{
    double longest_s = 0;
    size_t i;

    for (i = 0; i < desk->conf->count; i++)
        longest_s = fmax(longest_s, desk->conf->items[i].drain_s);
    return longest_s;
}

static double time_of(const struct vwi_desk *desk, const struct vwi_request *rq)
{
    const struct vwi_handler_conf *conf = rq->handler->conf;

    return conf->control ? vwi_desk_longest_drain(desk) : conf->drain_s;
}

static void name(const struct vwi_request *rq, size_t nth)
{
    static const char *const doing[] = {
        [VWI_REQUEST_WAITING] = "queued", [VWI_REQUEST_RUNNING] = "at the model",
        [VWI_REQUEST_ANSWERING] = "being answered",
    };

    if (nth < NAMED_MAX)
        vwi_log_warn(rq->desk->log, "%s: cut by the drain, %s" VWI_REQUEST_ID, rq->handler->conf->route, doing[rq->state],
                     VWI_REQUEST_ID_OF(rq));
}

/* The client has had its answer, and time to read it. */
static void hurry(struct vwi_request *rq)
{
    if (rq->ex)
        vwi_exchange_abort(rq->ex);
}

static size_t cut(struct vwi_desk *desk, double since_s)
{
    struct vwi_list *node, *next;
    size_t count = 0;

    for (node = desk->own.requests.next; node != &desk->own.requests; node = next) {
        struct vwi_request *rq = of(node);

        next = node->next;
        if (time_of(desk, rq) > since_s)
            continue;
        if (rq->state == VWI_REQUEST_SETTLED) {
            if (!isinf(since_s))
                hurry(rq);
            continue;
        }
        if (rq->state != VWI_REQUEST_JUDGING)
            name(rq, count++);
        vwi_request_cut(rq);
    }
    if (count > NAMED_MAX)
        vwi_log_warn(desk->log, "... and %zu more", count - NAMED_MAX);
    return count;
}

size_t vwi_desk_cut(struct vwi_desk *desk)
{
    size_t count;

    desk->own.cut = desk->own.giving = true; /* nobody gets a turn any more */
    count = cut(desk, INFINITY);
    if (desk->sessions)
        vwi_sessions_cut(desk->sessions);
    return count;
}

/* A place that comes free goes to one that is not cut as well. */
size_t vwi_desk_cut_overdue(struct vwi_desk *desk, double since_s)
{
    size_t count;

    if (desk->own.cut)
        return 0;
    desk->own.giving = true;
    count = cut(desk, since_s);
    vwi_request_let_run(desk);
    return count;
}

double vwi_desk_next_cut(const struct vwi_desk *desk, double since_s)
{
    struct vwi_list *node;
    double next_s = INFINITY;
    bool reading = false;

    for (node = desk->own.requests.next; node != &desk->own.requests; node = node->next) {
        double time_s = time_of(desk, of(node));

        if (time_s > since_s)
            next_s = fmin(next_s, time_s);
        else
            reading = true;
    }
    if (isinf(next_s))
        return -1;
    return reading ? fmin(next_s, since_s + LAST_WORDS_S) : next_s;
}
