#include "flow/master.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "core/literal.h"
#include "core/token.h"
#include "flow/cut.h"
#include "flow/respond.h"
#include "io/file.h"

#define WARN_EVERY_MS 60000
#define FILE_MODE 0644

static const char json[] = "Content-Type: application/json; charset=utf-8\r\nCache-Control: no-store\r\n";

/* Somebody who guesses must not fill the log. */
static void warn(struct vwi_master *master, struct vwi_span path, struct vwi_span peer)
{
    int64_t now_ms = vwi_mono_ms();

    if (master->own.warned && now_ms - master->own.warned_ms < WARN_EVERY_MS) {
        master->own.unsaid++;
        return;
    }
    vwi_log_warn(master->desk->log, "POST %.*s from %.*s is refused: %s; %llu more like it since the last such line", (int)path.len, path.p,
                 (int)peer.len, peer.p, *master->token ? "not the MASTER_TOKEN" : "MASTER_TOKEN is not set, so nobody may",
                 (unsigned long long)master->own.unsaid);
    master->own.warned = true;
    master->own.warned_ms = now_ms;
    master->own.unsaid = 0;
}

static void reply(struct vwi_exchange *ex, int status, const char *headers, struct vwi_text *body)
{
    if (body->failed)
        vwi_respond_refuse(ex, VWI_REASON_INTERNAL, NULL, 0);
    else
        vwi_exchange_reply(ex, status, headers, body->p ? body->p : "", body->len);
    vwi_text_fini(body);
}

static bool is_allowed(struct vwi_master *master, struct vwi_span path, struct vwi_exchange *ex)
{
    struct vwi_span header = vwi_exchange_header(ex, "authorization");
    enum vwi_reason reason = header.p ? VWI_REASON_BAD_KEY : VWI_REASON_NO_CREDENTIALS;

    if (vwi_token_is(vwi_token_presented(header), master->token))
        return true;
    warn(master, path, vwi_exchange_peer(ex));
    vwi_ledger_refuse(master->desk->ledger, VWI_NO_ROUTE, reason);
    if (vwi_span_is(path, "/drain"))
        vwi_respond_refuse(ex, reason, "The Authorization header has to be \"Bearer\" and this worker's MASTER_TOKEN.", 0);
    else
        vwi_respond_platform(ex, reason, "{\"error\":\"unauthorized\"}", sizeof "{\"error\":\"unauthorized\"}" - 1);
    return false;
}

static void fail_update(struct vwi_master *master, struct vwi_exchange *ex, const char *text)
{
    struct vwi_text message = VWI_TEXT_INIT, body = VWI_TEXT_INIT;

    vwi_log_error(master->desk->log, "updateFile: %s", text);
    vwi_ledger_refuse(master->desk->ledger, VWI_NO_ROUTE, VWI_REASON_INTERNAL);
    vwi_text_addf(&message, "failed to write file: %s", text);
    vwi_text_adds(&body, "{\"error\":");
    vwi_text_add_json(&body, message.p ? message.p : "", message.len);
    vwi_text_adds(&body, "}");
    body.failed = body.failed || message.failed;
    vwi_text_fini(&message);
    if (!body.failed)
        vwi_respond_platform(ex, VWI_REASON_INTERNAL, body.p, body.len);
    else
        vwi_respond_refuse(ex, VWI_REASON_INTERNAL, NULL, 0);
    vwi_text_fini(&body);
}

/* Nothing restarts by it: the platform's start script looks for the file. */
static void serve_update(struct vwi_master *master, struct vwi_exchange *ex)
{
    struct vwi_text body = VWI_TEXT_INIT;
    vw_error_t why = { VW_OK, "" };

    if (vwi_file_write(master->update_file, "", 0, FILE_MODE, &why) != VW_OK) {
        fail_update(master, ex, why.text);
        return;
    }
    vwi_log_info(master->desk->log, "an update is asked for at the next start: %s is written", master->update_file);
    vwi_text_adds(&body, "{\"ok\":true}");
    reply(ex, 200, json, &body);
}

/* Answered first: a drain may have nothing to wait for. */
static void serve_drain(struct vwi_master *master, struct vwi_exchange *ex)
{
    const struct vwi_desk *desk = master->desk;
    struct vwi_text body = VWI_TEXT_INIT;

    vwi_text_addf(&body, "{\"status\": \"draining\", \"in_flight\": %zu, \"queued\": %zu, \"drain_timeout\": ",
                  vwi_ledger_in_flight(desk->ledger), vwi_queue_waiting(desk->queue));
    vwi_literal_brief(&body, vwi_desk_longest_drain(desk));
    vwi_text_adds(&body, "}\n");
    vwi_exchange_close_after(ex);
    reply(ex, 202, json, &body);
    master->on_drain(master->arg);
}

bool vwi_master_serve(struct vwi_master *master, struct vwi_span path, struct vwi_exchange *ex)
{
    bool drain = vwi_span_is(path, "/drain");

    if (!drain && !vwi_span_is(path, "/pyworker/update"))
        return false;
    if (!is_allowed(master, path, ex))
        return true;
    if (drain)
        serve_drain(master, ex);
    else
        serve_update(master, ex);
    return true;
}
