/*
 * Invariant: beats are sent while no byte of the model's body was, so they never stand within it.
 * The odd thing: they go on behind the model's own head where its body has yet to begin and could take them; some servers send
 * the head at once and think then.
 */
#include "flow/heartbeat.h"

#include <string.h>

#include "base/mem.h"
#include "core/payload.h"
#include "flow/respond.h"
#include "io/answer_fields.h"

static const char json_head[] = "Content-Type: application/json\r\nX-Accel-Buffering: no\r\n";
static const char events_head[] = "Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
                                  "X-Accel-Buffering: no\r\n";

enum form { UNDECIDED, JSON, EVENTS };

struct vwi_heartbeat {
    struct vwi_request *rq;
    struct vwi_timer timer;
    enum form form;
    bool began;  /* the client's head is ours */
    bool headed; /* the model's head has come */
};

static bool contains(struct vwi_span text, const char *part)
{
    size_t len = strlen(part), i;

    for (i = 0; i + len <= text.len; i++)
        if (vwi_span_is_nocase((struct vwi_span){ text.p + i, len }, part))
            return true;
    return false;
}

/* What else it would take cannot stand behind white space. */
static bool takes_json(const struct vwi_request *rq)
{
    struct vwi_span accept = vwi_exchange_header(rq->ex, "accept");

    return !accept.len || contains(accept, "json") || contains(accept, "*/*") || contains(accept, "application/*");
}

static bool asks_for_events(const struct vwi_request *rq)
{
    struct vwi_span stream;

    return contains(vwi_exchange_header(rq->ex, "accept"), "text/event-stream") ||
           (vwi_payload_find(rq->body, "/stream", &stream) == VWI_KIND_BOOL && vwi_span_is(stream, "true"));
}

/* False: this client must wait in silence. */
static bool begin(struct vwi_heartbeat *hb)
{
    struct vwi_request *rq = hb->rq;

    hb->form = asks_for_events(rq) ? EVENTS : JSON;
    if (hb->form == JSON && !takes_json(rq))
        return false;
    hb->began = true;
    vwi_exchange_head(rq->ex, 200, hb->form == EVENTS ? events_head : json_head, -1);
    return true;
}

static void beat(struct vwi_heartbeat *hb)
{
    static const char comment[] = ": heartbeat\n\n";
    struct vwi_exchange *ex = hb->rq->ex;

    if (hb->form == EVENTS)
        vwi_exchange_write(ex, comment, sizeof comment - 1);
    else
        vwi_exchange_write(ex, "\n", 1);
}

/* Not before the client's body is in: it may wait for 100 Continue, and a reply would tell it to send no more. */
static void on_due(void *arg)
{
    struct vwi_heartbeat *hb = arg;
    struct vwi_request *rq = hb->rq;

    if (rq->relay && vwi_relay_bytes(rq->relay))
        return; /* the answer itself is on its way */
    if (vwi_exchange_head_sent(rq->ex)) {
        if (!vwi_exchange_backlog(rq->ex)) /* else it does not lack for bytes */
            beat(hb);
    } else if (vwi_exchange_whole(rq->ex) && !hb->headed) {
        if (!begin(hb))
            return;
        beat(hb);
    }
    vwi_timer_start(&hb->timer, (int64_t)(rq->handler->conf->heartbeat.every_s * 1000));
}

void vwi_heartbeat_start(struct vwi_request *rq)
{
    const struct vwi_heartbeat_conf *conf = &rq->handler->conf->heartbeat;
    struct vwi_heartbeat *hb;

    if (rq->upgrade || vwi_span_is(vwi_exchange_method(rq->ex), "HEAD"))
        return;
    hb = vwi_zalloc(sizeof *hb);
    if (!hb || vwi_timer_init(&hb->timer, rq->desk->loop, on_due, hb) != VW_OK) {
        vwi_free(hb);
        vwi_log_warn(rq->desk->log, "%s: no memory for a heartbeat: goes on without", rq->handler->conf->route);
        return;
    }
    hb->rq = rq;
    rq->heartbeat = hb;
    vwi_timer_start(&hb->timer, (int64_t)(conf->after_s * 1000));
}

/* Has it a body, of a kind to which something can be added? */
static bool is_open(const struct vwi_answer *answer, const struct vwi_answer_traits *traits)
{
    return !traits->coded && answer->status != 204 && answer->status != 304 && answer->content_length != 0;
}

bool vwi_heartbeat_take(struct vwi_request *rq, const struct vwi_answer *answer, const char **ret_text)
{
    struct vwi_heartbeat *hb = rq->heartbeat;
    struct vwi_answer_traits traits;
    bool open, json;

    vwi_answer_traits(answer, &traits, &json);
    open = is_open(answer, &traits);
    hb->headed = true;
    if (!hb->began) {
        hb->form = traits.events ? EVENTS : JSON;
        if (!open || answer->content_length > 0 || !(traits.events || json))
            vwi_timer_stop(&hb->timer);
        return true;
    }
    if (open && hb->form == EVENTS && json)
        vwi_relay_as_event(rq->relay);
    else if (!open || !(hb->form == EVENTS ? traits.events : json)) {
        *ret_text = hb->form == EVENTS ? "The model server's answer is neither events nor JSON, one of which a heartbeat "
                                         "has promised; check targetPath and the handler's heartbeat."
                                       : "The model server's answer is not JSON, which a heartbeat has promised; check "
                                         "targetPath and the handler's heartbeat.";
        return false;
    }
    return true;
}

void vwi_heartbeat_fail(struct vwi_request *rq, enum vwi_reason reason, const char *message)
{
    struct vwi_text headers = VWI_TEXT_INIT, body = VWI_TEXT_INIT, trailer = VWI_TEXT_INIT;
    bool events = rq->heartbeat && rq->heartbeat->form == EVENTS;

    if (events)
        vwi_text_adds(&body, "event: error\ndata: ");
    vwi_respond_write(reason, message, 0, &headers, &body); /* one line, with its end */
    if (events)
        vwi_text_adds(&body, "\n");
    vwi_text_addf(&trailer, "X-Vastworker-Reason: %s\r\n", vwi_reason_code(reason));
    if (body.failed || trailer.failed) {
        vwi_exchange_abort(rq->ex);
    } else {
        vwi_exchange_write(rq->ex, body.p, body.len);
        vwi_exchange_end_with(rq->ex, trailer.p);
    }
    vwi_text_fini(&headers);
    vwi_text_fini(&body);
    vwi_text_fini(&trailer);
}

void vwi_heartbeat_stop(struct vwi_request *rq)
{
    if (!rq->heartbeat)
        return;
    vwi_timer_fini(&rq->heartbeat->timer);
    vwi_free(rq->heartbeat);
    rq->heartbeat = NULL;
}
