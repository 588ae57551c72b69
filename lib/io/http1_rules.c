/*
 * Verdicts on a request line and on a whole head: what llhttp takes and we do not. The table is docs/http.md.
 * The odd thing: an absolute-form target is reduced in place, since what is left of it is always a tail.
 */
#include <string.h>

#include "io/http1_parts.h"

static bool refuse(struct vwi_http1 *h, int status, const char *reason, const char *message)
{
    vwi_http1_refuse(h, status, reason, message);
    return false;
}

static bool bad(struct vwi_http1 *h, const char *message) { return refuse(h, 400, "bad_request", message); }

/* CONNECT asks for a tunnel; SOURCE is ICE, PRI is HTTP/2, DESCRIBE to FLUSH are RTSP. */
bool vwi_http1_method_served(unsigned method)
{
    return method != HTTP_CONNECT && method != HTTP_SOURCE && method != HTTP_PRI &&
           (method < HTTP_DESCRIBE || method > HTTP_FLUSH);
}

/* "http://host:1/p?q" becomes "/p?q"; an empty path becomes "/". */
static bool reduce_absolute(struct vwi_http1 *h)
{
    char *target = h->head.p + h->start + h->target;
    size_t scheme = h->target_len > 7 && vwi_same_nocase(target, "http://", 7)    ? 7
                    : h->target_len > 8 && vwi_same_nocase(target, "https://", 8) ? 8
                                                                                   : 0;
    size_t at = scheme;

    while (at < h->target_len && target[at] != '/' && target[at] != '?') {
        if (target[at] == '@')
            return bad(h, "the request target names a user");
        at++;
    }
    if (!scheme || at == scheme)
        return bad(h, "the request target is neither a path nor an http URL");
    if (at == h->target_len || target[at] == '?')
        target[--at] = '/';
    h->target += (uint32_t)at;
    h->target_len -= (uint32_t)at;
    return true;
}

static bool judge_target(struct vwi_http1 *h)
{
    const char *target = h->head.p + h->start + h->target;

    if (memchr(target, '#', h->target_len))
        return bad(h, "the request target has a fragment");
    if (*target == '/')
        return true;
    if (*target != '*')
        return reduce_absolute(h);
    if (h->target_len == 1 && h->llhttp.method == HTTP_OPTIONS)
        return true;
    return bad(h, "only OPTIONS may have the target *");
}

bool vwi_http1_judge_line(struct vwi_http1 *h)
{
    const char *line = h->head.p + h->start + h->line;
    const char *space = memchr(line, ' ', h->line_len);

    if (h->llhttp.http_major != 1 || h->llhttp.http_minor > 1)
        return refuse(h, 505, "version_not_supported", "only HTTP/1.0 and HTTP/1.1 are spoken here");
    if (!vwi_http1_method_served(h->llhttp.method))
        return refuse(h, 501, "not_implemented", "the method is not known here");
    h->method_len = space ? (uint32_t)(space - line) : 0;
    /* METHOD SP target SP HTTP/1.x CRLF, and nothing more between */
    if (!h->method_len || !h->target_len || h->target != h->line + h->method_len + 1 ||
        h->target + h->target_len + 11 != h->line + h->line_len)
        return bad(h, "the request line is malformed");
    return judge_target(h);
}

struct counts {
    unsigned host, length, coding, named; /* named: by Connection */
    struct vwi_span length_value, coding_value;
};

static bool judge_expect(struct vwi_http1 *h, struct vwi_span value)
{
    if (!vwi_http1_is_1_1(h))
        return true; /* RFC 9110 10.1.1: ignored from older clients */
    if (!vwi_span_is_nocase(value, "100-continue"))
        return refuse(h, 417, "expectation_failed", "only 100-continue may be expected");
    h->expects_continue = true;
    return true;
}

static bool is_host_byte(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && strchr("-._~%!$&'()*+,;=", c));
}

/* Empty, or a name or an address in brackets, with a port or without (RFC 9110 7.2, RFC 3986 3.2.2). */
static bool is_host(struct vwi_span value)
{
    size_t i = 0;

    if (value.len && value.p[0] == '[') {
        for (i = 1; i < value.len && (is_host_byte((unsigned char)value.p[i]) || value.p[i] == ':'); i++)
            continue;
        if (i == value.len || value.p[i++] != ']')
            return false;
    } else {
        while (i < value.len && is_host_byte((unsigned char)value.p[i]))
            i++;
    }
    if (i < value.len && value.p[i++] != ':')
        return false;
    while (i < value.len && value.p[i] >= '0' && value.p[i] <= '9')
        i++;
    return i == value.len;
}

static unsigned count_listed(struct vwi_span list)
{
    unsigned count = 1;
    size_t i;

    for (i = 0; i < list.len; i++)
        count += list.p[i] == ',';
    return count;
}

/* Trims every row and counts the headers that describe the framing. */
static bool judge_rows(struct vwi_http1 *h, struct counts *counts)
{
    const char *base = h->head.p + h->start;
    size_t i;

    for (i = 0; i < h->row_count; i++) {
        struct vwi_http1_row *row = &h->rows[i];
        struct vwi_span name = { base + row->name, row->name_len }, value = { base + row->value, 0 };

        while (row->value_len && (value.p[row->value_len - 1] == ' ' || value.p[row->value_len - 1] == '\t'))
            row->value_len--;
        value.len = row->value_len;
        if (!name.len)
            return bad(h, "a header has no name");
        if (name.len == 4 && vwi_span_is_nocase(name, "host")) {
            counts->host++;
            if (!is_host(value))
                return bad(h, "Host is neither a name nor an address");
        } else if (name.len == 14 && vwi_span_is_nocase(name, "content-length")) {
            counts->length++;
            counts->length_value = value;
        } else if (name.len == 17 && vwi_span_is_nocase(name, "transfer-encoding")) {
            counts->coding++;
            counts->coding_value = value;
        } else if (name.len == 10 && vwi_span_is_nocase(name, "connection")) {
            counts->named += count_listed(value);
            if (counts->named > VWI_HTTP1_NAMED_COUNT) /* each is held against every header when the request goes on */
                return bad(h, "Connection names more than 64 fields");
        }
    }
    return true;
}

static bool judge_coding(struct vwi_http1 *h, const struct counts *counts)
{
    if (!vwi_http1_is_1_1(h))
        return bad(h, "HTTP/1.0 has no Transfer-Encoding");
    if (counts->length)
        return bad(h, "Transfer-Encoding and Content-Length exclude each other");
    if (counts->coding > 1 || !counts->coding_value.len)
        return bad(h, "Transfer-Encoding must be one header with one coding");
    if (!vwi_span_is_nocase(counts->coding_value, "chunked"))
        return refuse(h, 501, "not_implemented", "chunked is the only transfer coding known here");
    if (!(h->llhttp.flags & F_CHUNKED))
        return bad(h, "Transfer-Encoding is malformed");
    h->chunked = true;
    return true;
}

static bool judge_length(struct vwi_http1 *h, const struct counts *counts)
{
    size_t i;

    for (i = 0; i < counts->length_value.len; i++) {
        if (counts->length_value.p[i] < '0' || counts->length_value.p[i] > '9')
            return bad(h, "Content-Length is not a number");
    }
    if (counts->length > 1 || !i || !(h->llhttp.flags & F_CONTENT_LENGTH))
        return bad(h, "Content-Length must be one header with one number");
    h->content_length = h->llhttp.content_length;
    return true;
}

bool vwi_http1_judge_head(struct vwi_http1 *h)
{
    struct counts counts = { 0, 0, 0, 0, { NULL, 0 }, { NULL, 0 } };
    struct vwi_span name, value;
    size_t i;

    if (!h->head_done)
        return bad(h, "the head is malformed");
    if (!judge_rows(h, &counts))
        return false;
    if (counts.host > 1 || (!counts.host && vwi_http1_is_1_1(h)))
        return bad(h, "HTTP/1.1 asks for exactly one Host header");
    if (counts.coding && !judge_coding(h, &counts))
        return false;
    if (counts.length && !judge_length(h, &counts))
        return false;
    for (i = 0; i < h->row_count; i++) {
        vwi_http1_header_at(h, i, &name, &value);
        if (name.len == 6 && vwi_span_is_nocase(name, "expect") && !judge_expect(h, value))
            return false;
    }
    if (h->conf->max_body_bytes && h->content_length > h->conf->max_body_bytes)
        return refuse(h, 413, "body_too_large", "the request body is over the limit");
    h->keep_alive = !(h->llhttp.flags & F_CONNECTION_CLOSE) &&
                    (vwi_http1_is_1_1(h) || (h->llhttp.flags & F_CONNECTION_KEEP_ALIVE));
    return true;
}
