/* What a refusal looks like on the wire. Which status and words belong to which reason is core/reason's table. */
#include "flow/respond.h"

#include <math.h>
#include <string.h>

#define RETRY_DEFAULT_S 1.0
#define RETRY_MAX_S 3600.0

static void add_reason(struct vwi_text *headers, enum vwi_reason reason)
{
    vwi_text_addf(headers, "X-Vastworker-Reason: %s\r\n", vwi_reason_code(reason));
}

/* RFC 6750 3: an error code only where a key was shown. */
static const char *challenge(enum vwi_reason reason)
{
    if (reason == VWI_REASON_BAD_KEY)
        return "WWW-Authenticate: Bearer realm=\"vastworker\", error=\"invalid_token\"\r\n";
    if (reason == VWI_REASON_NO_CREDENTIALS)
        return "WWW-Authenticate: Bearer realm=\"vastworker\"\r\n";
    return "WWW-Authenticate: Vast realm=\"vastworker\"\r\n";
}

void vwi_respond_write(enum vwi_reason reason, const char *message, double retry_after_s, struct vwi_text *headers, struct vwi_text *body)
{
    int status = vwi_reason_status(reason);
    const char *text = message ? message : vwi_reason_message(reason);

    vwi_text_adds(headers, "Content-Type: application/json; charset=utf-8\r\n");
    add_reason(headers, reason);
    if (status == 401)
        vwi_text_adds(headers, challenge(reason));
    if (status == 429 || status == 503) {
        double wait = retry_after_s < RETRY_DEFAULT_S ? RETRY_DEFAULT_S : retry_after_s > RETRY_MAX_S ? RETRY_MAX_S : retry_after_s;

        vwi_text_addf(headers, "Retry-After: %.0f\r\n", ceil(wait));
    }
    vwi_text_addf(body, "{\"error\": {\"code\": \"%s\", \"message\": ", vwi_reason_code(reason));
    vwi_text_add_json(body, text, strlen(text));
    vwi_text_addf(body, ", \"type\": \"%s\"}}\n", vwi_reason_type(reason));
}

void vwi_respond_refuse(struct vwi_exchange *ex, enum vwi_reason reason, const char *message, double retry_after_s)
{
    struct vwi_text headers = VWI_TEXT_INIT, body = VWI_TEXT_INIT;

    vwi_respond_write(reason, message, retry_after_s, &headers, &body);
    if (headers.failed || body.failed)
        vwi_exchange_reply(ex, vwi_reason_status(reason), NULL, "", 0);
    else
        vwi_exchange_reply(ex, vwi_reason_status(reason), headers.p, body.p, body.len);
    vwi_text_fini(&headers);
    vwi_text_fini(&body);
}

void vwi_respond_platform(struct vwi_exchange *ex, enum vwi_reason reason, const char *json, size_t len)
{
    struct vwi_text headers = VWI_TEXT_INIT;

    vwi_text_adds(&headers, "Content-Type: application/json; charset=utf-8\r\n");
    add_reason(&headers, reason);
    if (vwi_reason_status(reason) == 401)
        vwi_text_adds(&headers, challenge(reason));
    vwi_exchange_reply(ex, vwi_reason_status(reason), headers.failed ? NULL : headers.p, json, len);
    vwi_text_fini(&headers);
}
