/* Bytes to a client: reply heads, one system call for all parts, and a queue for what the kernel refused. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "io/client.h"
#include "io/send.h"

#define OUT_KEPT_BYTES 1024u /* a longer empty queue is freed */

size_t vwi_client_backlog(const struct vwi_client *c) { return c->out_len - c->out_at; }

static struct iovec held(const struct vwi_client *c)
{
    return (struct iovec){ c->out ? c->out + c->out_at : NULL, vwi_client_backlog(c) };
}

/* The queue has no bytes left. */
static void empty(struct vwi_client *c)
{
    c->out_at = c->out_len = 0;
    if (c->out_cap > OUT_KEPT_BYTES) {
        vwi_free(c->out);
        c->out = NULL;
        c->out_cap = 0;
    }
}

static bool queue(struct vwi_client *c, const char *data, size_t len)
{
    if (c->out_at && c->out_len + len > c->out_cap) {
        c->out_len -= c->out_at;
        memmove(c->out, c->out + c->out_at, c->out_len);
        c->out_at = 0;
    }
    if (c->out_len + len > c->out_cap) {
        size_t cap = c->out_len + len > c->out_cap * 2 ? c->out_len + len : c->out_cap * 2;
        char *p = vwi_realloc(c->out, cap < 512 ? 512 : cap);

        if (!p) {
            c->lost = true;
            return false;
        }
        c->out = p;
        c->out_cap = cap < 512 ? 512 : cap;
    }
    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;
    return true;
}

/* Returns how many bytes the kernel took; 0 as well when it wants none now or the connection broke. */
static size_t transmit(struct vwi_client *c, struct iovec *iov, int count)
{
    ssize_t n = c->tls ? vwi_client_send_tls(c, iov, count) : vwi_send_parts(c->fd, iov, count);

    if (n < 0) {
        c->lost = errno != EAGAIN && errno != EWOULDBLOCK;
        return 0;
    }
    c->front->stats.bytes_out += (uint64_t)n;
    c->figures.bytes_out += (uint64_t)n;
    return (size_t)n;
}

static void arm(struct vwi_client *c)
{
    if (!vwi_client_arm(c)) {
        c->lost = true;
        return;
    }
    if (c->state == VWI_CLIENT_BUSY)
        vwi_client_go(c, VWI_CLIENT_BLOCKED);
}

void vwi_client_hold(struct vwi_client *c, const char *data, size_t len)
{
    if (!c->lost)
        queue(c, data, len);
}

void vwi_client_flush(struct vwi_client *c)
{
    struct iovec iov = held(c);

    if (!iov.iov_len || c->lost)
        return;
    c->out_at += transmit(c, &iov, 1);
    if (c->out_at == c->out_len)
        empty(c);
    else if (!c->armed && !c->lost)
        arm(c);
}

void vwi_client_send(struct vwi_client *c, const struct iovec *parts, int count)
{
    struct iovec iov[4] = { held(c) };
    size_t taken = 0;
    int i;

    if (c->gone || !VWI_EXPECT(count <= 3))
        c->lost = true;
    if (c->lost)
        return;
    for (i = 0; i < count; i++)
        iov[i + 1] = parts[i];
    if (!c->armed) {
        taken = iov[0].iov_len ? transmit(c, iov, count + 1) : transmit(c, iov + 1, count);
        if (taken < iov[0].iov_len) {
            c->out_at += taken;
            taken = 0;
        } else {
            taken -= iov[0].iov_len;
            empty(c);
        }
    }
    for (i = 1; i <= count && !c->lost; i++) {
        size_t skip = taken < iov[i].iov_len ? taken : iov[i].iov_len;

        taken -= skip;
        if (skip < iov[i].iov_len)
            queue(c, (const char *)iov[i].iov_base + skip, iov[i].iov_len - skip);
    }
    if (vwi_client_backlog(c) && !c->armed && !c->lost)
        arm(c);
}

const char *vwi_client_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" }, { 206, "Partial Content" },
        { 301, "Moved Permanently" }, { 302, "Found" }, { 303, "See Other" }, { 304, "Not Modified" },
        { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
        { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" }, { 408, "Request Timeout" },
        { 409, "Conflict" }, { 410, "Gone" }, { 413, "Content Too Large" }, { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" }, { 417, "Expectation Failed" }, { 422, "Unprocessable Content" },
        { 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
        { 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" }, { 102, "Processing" }, { 103, "Early Hints" },
    };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(phrases); i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return ""; /* allowed by RFC 9112 4 */
}

/* Written anew once a second; not strftime, which speaks the host's locale. */
static const char *date_line(struct vwi_front *front)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = (time_t)vwi_wall_s();
    struct tm tm;

    if (now == front->date_s || !gmtime_r(&now, &tm))
        return front->date;
    front->date_s = now;
    snprintf(front->date, sizeof front->date, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n", days + 3 * tm.tm_wday,
             tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return front->date;
}

struct vwi_span vwi_client_build_head(struct vwi_client *c, int status, const char *headers, int64_t length, bool keep_alive)
{
    struct vwi_text *t = &c->front->head;

    c->figures.status = status;
    vwi_text_clear(t);
    vwi_text_add(t, "HTTP/1.1 ", 9);
    vwi_text_add_integer(t, status);
    vwi_text_add(t, " ", 1);
    vwi_text_adds(t, vwi_client_phrase(status));
    vwi_text_add(t, "\r\n", 2);
    if (!c->ex.dated)
        vwi_text_adds(t, date_line(c->front));
    if (c->id.len) {
        vwi_text_add(t, "X-Request-Id: ", 14);
        vwi_text_add(t, c->id.p, c->id.len);
        vwi_text_add(t, "\r\n", 2);
    }
    if (headers)
        vwi_text_adds(t, headers);
    if (length >= 0) {
        vwi_text_adds(t, "Content-Length: ");
        vwi_text_add_integer(t, length);
        vwi_text_add(t, "\r\n", 2);
    } else if (length == VWI_LENGTH_CHUNKED) {
        vwi_text_adds(t, "Transfer-Encoding: chunked\r\n");
    }
    if (!keep_alive)
        vwi_text_adds(t, "Connection: close\r\n");
    else if (!vwi_http1_is_1_1(&c->http))
        vwi_text_adds(t, "Connection: keep-alive\r\n");
    vwi_text_add(t, "\r\n", 2);
    if (!t->failed)
        return (struct vwi_span){ t->p, t->len };
    c->lost = true;
    return (struct vwi_span){ "", 0 };
}
