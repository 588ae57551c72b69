/*
 * llhttp at work: heads become rows of offsets, chunks become a body.
 * The odd thing: every byte of framing is also scanned here, before llhttp's verdict counts, since llhttp 8.1 still takes
 * folded header lines. llhttp sees only bytes the scan has passed, so the earlier fault decides however the bytes arrive.
 */
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/mem.h"
#include "base/vwi.h"
#include "io/http1_parts.h"

#define FRAMING_PER_BODY_BYTE 16u /* chunk lines and extensions, beyond what a head may have */

enum stop { STOP_MORE, STOP_BAD, STOP_LINE, STOP_END };

static struct vwi_http1 *of(llhttp_t *parser) { return VWI_CONTAINER(parser, struct vwi_http1, llhttp); }

static uint32_t offset(const struct vwi_http1 *h, const char *at) { return (uint32_t)(at - h->slice) + (uint32_t)h->scanned; }

static bool is_control(unsigned char c) { return c < ' ' || c == 0x7f; }

/* How many bytes from p on are no control bytes. */
static size_t count_plain(const char *p, size_t len)
{
    size_t i = 0;

#ifdef __SSE2__
    for (; len - i >= 16; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
        unsigned marks = (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f))));

        if (marks)
            return i + (unsigned)__builtin_ctz(marks);
    }
#endif
    while (i < len && !is_control((unsigned char)p[i]))
        i++;
    return i;
}

/*
 * Passes bytes until a line ends (its LF included), a byte is wrong, or nothing is left. Wrong are control bytes but HTAB,
 * CR without LF, LF without CR, and white space at the start of a line.
 */
static size_t scan(unsigned char *last, const char *p, size_t len)
{
    size_t i = 0;

    while (i < len) {
        unsigned char c = (unsigned char)p[i];

        if ((*last == '\r') != (c == '\n') || (*last == '\n' && (c == ' ' || c == '\t')))
            break;
        if (is_control(c) && c != '\r' && c != '\n' && c != '\t')
            break;
        *last = c;
        i++;
        if (c == '\n')
            break;
        if (c != '\r' && i < len) {
            size_t plain = count_plain(p + i, len - i);

            i += plain;
            if (plain)
                *last = (unsigned char)p[i - 1];
        }
    }
    return i;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct vwi_http1 *h = of(parser);

    if (!h->target_len)
        h->target = offset(h, at);
    h->target_len += (uint32_t)len;
    if (h->target_len <= VWI_HTTP1_TARGET_BYTES)
        return 0;
    vwi_http1_refuse(h, 414, "uri_too_long", "the request target is longer than 8192 bytes");
    return -1;
}

static bool add_row(struct vwi_http1 *h, uint32_t name)
{
    if (h->row_count == VWI_HTTP1_HEADER_COUNT) {
        vwi_http1_refuse(h, 431, "header_too_large", "the request has more than 256 headers");
        return false;
    }
    if (h->row_count == h->row_cap) {
        uint32_t cap = h->row_cap ? h->row_cap * 2 : 16;
        struct vwi_http1_row *rows = vwi_realloc(h->rows, cap * sizeof *rows);

        if (!rows) {
            vwi_http1_refuse_memory(h, false);
            return false;
        }
        h->rows = rows;
        h->row_cap = cap;
    }
    h->rows[h->row_count++] = (struct vwi_http1_row){ name, 0, 0, 0 };
    return true;
}

/* Trailers are dropped, but one that would change the framing is refused, as llhttp 9 does. */
static void keep_trailer_name(struct vwi_http1 *h, const char *at, size_t len)
{
    size_t room = sizeof h->trailer - h->trailer_len;

    memcpy(h->trailer + h->trailer_len, at, len < room ? len : room);
    h->trailer_len = (uint8_t)(h->trailer_len + (len < room ? len : room));
}

static int judge_trailer(struct vwi_http1 *h)
{
    struct vwi_span name = { h->trailer, h->trailer_len };

    h->trailer_len = 0;
    if (!vwi_span_is_nocase(name, "content-length") && !vwi_span_is_nocase(name, "transfer-encoding"))
        return 0;
    vwi_http1_refuse(h, 400, "bad_request", "a trailer may not describe the framing");
    return -1;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct vwi_http1 *h = of(parser);
    struct vwi_http1_row *row = h->row_count ? &h->rows[h->row_count - 1] : NULL;
    uint32_t here;

    if (h->head_done) {
        keep_trailer_name(h, at, len);
        return 0;
    }
    here = offset(h, at);
    if (!row || row->name + row->name_len != here || row->value) {
        if (!add_row(h, here))
            return -1;
        row = &h->rows[h->row_count - 1];
    }
    row->name_len += (uint32_t)len;
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct vwi_http1 *h = of(parser);
    struct vwi_http1_row *row = h->row_count ? &h->rows[h->row_count - 1] : NULL;

    if (h->head_done)
        return judge_trailer(h);
    if (!row)
        return 0;
    if (!row->value)
        row->value = offset(h, at);
    row->value_len += (uint32_t)len;
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    of(parser)->head_done = true;
    return HPE_PAUSED;
}

/* Looks at the framing in slice up to `to`. False: refused. */
static bool frame(struct vwi_http1 *h, size_t to)
{
    size_t at = h->framed;

    h->framing_bytes += to - at;
    while (at < to) {
        size_t passed = scan(&h->last, h->slice + at, to - at);

        at += passed;
        if (!passed || (at < to && h->last != '\n')) {
            vwi_http1_refuse(h, 400, "bad_request", "the chunked body is malformed");
            return false;
        }
    }
    h->framed = to;
    if (h->framing_bytes <= h->conf->max_header_bytes + (h->passed + h->body.len) * FRAMING_PER_BODY_BYTE)
        return true;
    if (h->llhttp.flags & F_TRAILING)
        vwi_http1_refuse(h, 431, "header_too_large", "the trailers are too long");
    else
        vwi_http1_refuse(h, 400, "bad_request", "the chunked body has too much framing");
    return false;
}

static bool fits(struct vwi_http1 *h, uint64_t more)
{
    if (!h->conf->max_body_bytes || more <= h->conf->max_body_bytes - h->passed - h->body.len)
        return true;
    vwi_http1_refuse(h, 413, "body_too_large", "the request body is over the limit");
    return false;
}

static int on_chunk_header(llhttp_t *parser) { return fits(of(parser), parser->content_length) ? 0 : -1; }

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct vwi_http1 *h = of(parser);

    if (!frame(h, (size_t)(at - h->slice)) || !vwi_http1_append(h, &h->body, at, len))
        return -1;
    h->framed += len;
    h->last = 'x';
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    of(parser)->message_done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void vwi_http1_parse_begin(struct vwi_http1 *h)
{
    llhttp_init(&h->llhttp, HTTP_REQUEST, &settings);
    h->state = VWI_HTTP1_HEAD;
    h->scanned = h->end = 0;
    h->row_count = h->line = h->line_len = h->method_len = h->target = h->target_len = 0;
    h->content_length = h->framing_bytes = h->passed = 0;
    h->body_span = (struct vwi_span){ "", 0 };
    h->trailer_len = 0;
    h->last = '\n';
    h->line_done = h->head_done = h->message_done = h->chunked = h->keep_alive = h->expects_continue = false;
    h->streamed = h->tunnel = h->whole = false;
}

static bool is_token(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* "HTTP/1.2" before the fault: a version, only not ours. */
static bool is_other_version(const char *begin, const char *fault)
{
    const char *v = fault - 8;

    return v > begin && memcmp(v, "HTTP/", 5) == 0 && v[6] == '.' && !(v[5] == '1' && (v[7] == '0' || v[7] == '1'));
}

static void refuse_line(struct vwi_http1 *h, enum llhttp_errno fault, const char *at)
{
    const char *begin = h->head.p + h->start, *end = h->head.p + h->head.len;
    bool unknown = fault == HPE_INVALID_METHOD ? at < end && is_token((unsigned char)*at)
                                               : !vwi_http1_method_served(h->llhttp.method);

    if (unknown)
        vwi_http1_refuse(h, 501, "not_implemented", "the method is not known here");
    else if (fault == HPE_INVALID_VERSION && is_other_version(begin, at))
        vwi_http1_refuse(h, 505, "version_not_supported", "only HTTP/1.0 and HTTP/1.1 are spoken here");
    else if (fault == HPE_INVALID_URL)
        vwi_http1_refuse(h, 400, "bad_request", "the request target is malformed");
    else
        vwi_http1_refuse(h, 400, "bad_request", "the request line is malformed");
}

/* Gives llhttp the scanned bytes [h->scanned, to). False: refused. */
static bool execute(struct vwi_http1 *h, size_t to)
{
    enum llhttp_errno err;
    const char *at;

    h->slice = h->head.p + h->start + h->scanned;
    err = llhttp_execute(&h->llhttp, h->slice, to - h->scanned);
    if (h->state == VWI_HTTP1_REFUSED)
        return false;
    at = err == HPE_OK ? NULL : llhttp_get_error_pos(&h->llhttp);
    if (err == HPE_OK || (err == HPE_PAUSED && h->head_done && at == h->slice + (to - h->scanned))) {
        h->scanned = to;
        return true;
    }
    if (!h->line_done)
        refuse_line(h, err, at);
    else
        vwi_http1_refuse(h, 400, "bad_request", "a header line is malformed");
    return false;
}

/* Advances *pos over good bytes up to the end of the request line, then up to the end of the head. */
static enum stop scan_head(struct vwi_http1 *h, size_t *pos, size_t limit)
{
    const char *base = h->head.p + h->start;

    while (*pos < limit) {
        size_t passed = scan(&h->last, base + *pos, limit - *pos);

        *pos += passed;
        h->line_len += (uint32_t)passed;
        if (!passed || h->last != '\n')
            return *pos < limit ? STOP_BAD : STOP_MORE;
        if (h->line_len == 2 && h->line_done)
            return STOP_END;
        if (!h->line_done && h->line_len > 2)
            return STOP_LINE;
        if (!h->line_done)
            h->line = (uint32_t)*pos; /* an empty line before the request line */
        h->line_len = 0;
    }
    return STOP_MORE;
}

static void end_line(struct vwi_http1 *h)
{
    h->line_done = true;
    h->line_len = 0;
}

enum vwi_http1_state vwi_http1_parse_head(struct vwi_http1 *h)
{
    size_t have = h->head.len - h->start;
    size_t limit = have < h->conf->max_header_bytes ? have : h->conf->max_header_bytes;

    while (h->state == VWI_HTTP1_HEAD && h->scanned < have) {
        size_t to = h->scanned;
        enum stop stop = scan_head(h, &to, limit);

        if (to > h->scanned && !execute(h, to))
            break;
        if (stop == STOP_BAD)
            vwi_http1_refuse(h, 400, "bad_request", "the head has a bare CR or LF, a control byte or a folded line");
        else if (stop == STOP_MORE && have > limit)
            vwi_http1_refuse(h, 431, "header_too_large", "the request head is over the limit");
        else if (stop == STOP_MORE)
            break;
        else if (stop == STOP_LINE && vwi_http1_judge_line(h))
            end_line(h);
        else if (stop == STOP_END && vwi_http1_judge_head(h))
            h->state = VWI_HTTP1_BODY;
    }
    return h->state;
}

enum vwi_http1_state vwi_http1_parse_chunks(struct vwi_http1 *h, const char *data, size_t len, size_t *ret_used)
{
    enum llhttp_errno err;

    *ret_used = len;
    if (!len)
        return h->state;
    h->slice = data;
    h->framed = 0;
    err = llhttp_execute(&h->llhttp, data, len);
    if (h->state == VWI_HTTP1_REFUSED)
        return h->state;
    if (err == HPE_PAUSED && h->message_done)
        *ret_used = (size_t)(llhttp_get_error_pos(&h->llhttp) - data);
    else if (err != HPE_OK)
        return vwi_http1_refuse(h, 400, "bad_request", "the chunked body is malformed");
    if (frame(h, *ret_used) && h->message_done)
        h->state = VWI_HTTP1_DONE;
    return h->state;
}
