#include "flow/beacon.h"

#include "base/mem.h"
#include "base/text.h"
#include "core/wire.h"
#include "io/courier.h"

#define BEACON_TIMEOUT_S 5.0

struct beacon {
    struct vwi_loop *loop;
    const struct vwi_log *log;
    size_t open;
};

static void on_courier_reply(void *arg, const struct vwi_errand_reply *reply)
{
    struct beacon *beacon = arg;

    /* told or not: there is no second try */
    if (reply->status >= 400)
        vwi_log_warn(beacon->log, "the control plane was not told: it answered %ld", reply->status);
    else if (!reply->status)
        vwi_log_warn(beacon->log, "the control plane was not told: %s", reply->text);
    if (--beacon->open == 0)
        vwi_loop_stop(beacon->loop);
}

static void tell(struct beacon *beacon, struct vwi_courier *courier, const char *address, const struct vwi_text *body)
{
    struct vwi_text url = VWI_TEXT_INIT;
    struct vwi_errand_request request = { NULL, body->p, body->len, "application/json", BEACON_TIMEOUT_S, 0 };

    vwi_text_addf(&url, "%s/worker_status/", address);
    request.url = url.p;
    if (!url.failed && vwi_courier_send(courier, &request, on_courier_reply, beacon))
        beacon->open++;
    vwi_text_fini(&url);
}

void vwi_beacon_send(const struct vwi_report_conf *conf, const char *url, const char *error_msg, const struct vwi_log *log)
{
    struct vwi_wire_status status = {
        .id = conf->worker_id, .mtoken = conf->mtoken, .version = conf->version, .error_msg = error_msg, .url = url ? url : ""
    };
    struct beacon beacon = { NULL, log, 0 };
    struct vwi_courier *courier = NULL;
    struct vwi_text body = VWI_TEXT_INIT;
    size_t i;

    if (vwi_wire_beacon(&status, &body) == VW_OK && vwi_loop_create(&beacon.loop, NULL) == VW_OK &&
        vwi_courier_create(beacon.loop, "vastworker", &courier, NULL) == VW_OK) {
        vwi_log_info(log, "telling the control plane why the worker ends");
        for (i = 0; i < conf->addresses.count; i++)
            tell(&beacon, courier, conf->addresses.items[i], &body);
        if (beacon.open)
            (void)vwi_loop_run(beacon.loop);
    }
    vwi_courier_destroy(courier);
    vwi_loop_destroy(beacon.loop);
    vwi_text_fini(&body);
}
