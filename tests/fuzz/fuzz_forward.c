/*
 * Any request as it is sent on to the model. What is written must be one request and no byte more, to a strict reader of our own; none
 * of the client's hop-by-hop fields and no credential may be within, and the room asked for must suffice. The first byte chooses the handler.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vwi.h"
#include "flow/forward.h"
#include "io/client.h"
#include "io/http1_ask.h"

#define AUTHORITY "model.test:8000"
#define MAX_HEAD_BYTES 8192

static bool is_one_of(struct vwi_span name, const char *const *list)
{
    for (; *list; list++)
        if (vwi_span_is_nocase(name, *list))
            return true;
    return false;
}

static size_t count_of(const struct vwi_http1 *h, const char *wanted)
{
    struct vwi_span name, value;
    size_t i, count = 0;

    for (i = 0; i < h->row_count; i++) {
        vwi_http1_header_at(h, i, &name, &value);
        count += vwi_span_is_nocase(name, wanted);
    }
    return count;
}

static int digit_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* The name of the pair at the front, its escapes undone, as far as it fits: the longest that matters is shorter. */
static size_t read_name(const char *at, const char *end, char out[16])
{
    size_t len = 0;

    while (at < end && !strchr("=&; ", *at) && len < 16) {
        bool escape = *at == '%' && end - at >= 3 && digit_of(at[1]) >= 0 && digit_of(at[2]) >= 0;

        out[len++] = escape ? (char)(digit_of(at[1]) * 16 + digit_of(at[2])) : *at;
        at += escape ? 3 : 1;
    }
    return len;
}

static void check_query(struct vwi_span target)
{
    const char *at = memchr(target.p, '?', target.len), *end = target.p + target.len;
    char name[16];

    while (at && ++at < end) {
        size_t len = read_name(at, end, name);

        if ((len == 7 && memcmp(name, "api_key", 7) == 0) || (len >= 11 && memcmp(name, "serverless_", 11) == 0))
            abort();
        at += strcspn(at, "&; "); /* what was read ends with the blank behind the target */
    }
}

static void check_fields(const struct vwi_http1 *sent, const struct vwi_handler_conf *handler)
{
    static const char *const never[] = { "connection", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate", "te",
                                         "trailer", "transfer-encoding", "upgrade", "expect", "x-vast-auth", "x-vast-session", NULL };
    struct vwi_span name, value;
    size_t i;

    for (i = 0; i < sent->row_count; i++) {
        vwi_http1_header_at(sent, i, &name, &value);
        if (is_one_of(name, never) || (vwi_span_is_nocase(name, "authorization") && !handler->forward_authorization))
            abort();
    }
    if (count_of(sent, "host") != 1 || !vwi_span_is(vwi_http1_header(sent, "host"), AUTHORITY) || count_of(sent, "x-forwarded-proto") != 1 ||
        count_of(sent, "x-forwarded-for") != 1 || count_of(sent, "x-request-id") != 1)
        abort();
    if (handler->heartbeat.enabled && count_of(sent, "accept-encoding") != 1)
        abort();
}

/* As a model server would, but stricter. */
static void read_back(const char *text, size_t len, const struct vwi_upstream_request *rq, const struct vwi_handler_conf *handler)
{
    struct vwi_http1_budget budget = { 0, 0 };
    struct vwi_http1_conf conf = { 4 * MAX_HEAD_BYTES, 1 << 20, &budget };
    struct vwi_http1 h;

    vwi_http1_init(&h, &conf);
    if (vwi_http1_feed(&h, text, len) != VWI_HTTP1_DONE || vwi_http1_ahead(&h))
        abort();
    if (vwi_http1_method(&h).len != rq->method.len || memcmp(vwi_http1_method(&h).p, rq->method.p, rq->method.len) != 0 ||
        vwi_http1_target(&h).len != rq->target.len || memcmp(vwi_http1_target(&h).p, rq->target.p, rq->target.len) != 0 ||
        vwi_http1_body(&h).len != rq->body.len)
        abort();
    check_query(vwi_http1_target(&h));
    check_fields(&h, handler);
    vwi_http1_fini(&h);
}

static void forward(const struct vwi_client *client, const struct vwi_handler_conf *handler, bool envelope)
{
    struct vwi_forward texts = { VWI_TEXT_INIT, VWI_TEXT_INIT };
    struct vwi_upstream_request rq;
    size_t bound, len;
    char *text;

    if (!vwi_forward_build(&texts, &client->ex, handler, envelope, vwi_http1_body(&client->http), &rq))
        abort();
    bound = vwi_http1_ask_bound(AUTHORITY, &rq);
    text = malloc(bound + rq.body.len + 1);
    if (text && vwi_http1_ask_fits(&rq)) {
        len = vwi_http1_ask_write(AUTHORITY, &rq, text);
        if (len > bound)
            abort();
        if (rq.body.len)
            memcpy(text + len, rq.body.p, rq.body.len);
        read_back(text, len + rq.body.len, &rq, handler);
    }
    free(text);
    vwi_forward_fini(&texts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char all[] = "/*", api[] = "/api/*";
    struct vwi_handler_conf handler = { .route = all };
    struct vwi_http1_budget budget = { 0, 0 };
    static struct vwi_client client;

    if (!size)
        return 0;
    handler.target_path = data[0] & 1 ? api : NULL;
    handler.forward_authorization = data[0] & 2;
    handler.heartbeat.enabled = data[0] & 4;
    memset(&client, 0, sizeof client);
    snprintf(client.peer, sizeof client.peer, "2001:db8::1");
    client.id = (struct vwi_span){ "name", 4 };
    vwi_http1_init(&client.http, &(struct vwi_http1_conf){ MAX_HEAD_BYTES, 65536, &budget });
    if (vwi_http1_feed(&client.http, (const char *)data + 1, size - 1) == VWI_HTTP1_DONE)
        forward(&client, &handler, data[0] & 8);
    vwi_http1_fini(&client.http);
    return 0;
}
