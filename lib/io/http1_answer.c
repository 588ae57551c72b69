/*
 * llhttp reads heads and chunks; bodies by length and by close are only counted here.
 * The odd thing: llhttp is paused at the end of each head and of each chunked body, so that both ends are known to the byte.
 */
#include "io/http1_answer.h"

#include <llhttp.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_FIELDS 32u
#define FIRST_BYTES 1024u
#define KEPT_BYTES 8192u /* more is given back between answers */

enum stage { IN_HEAD, IN_LENGTH, IN_CHUNKS, IN_CLOSE, AT_END };

struct vwi_http1_answer {
    const struct vwi_http1_answer_events *events;
    void *arg;
    llhttp_t parser;
    enum stage stage;
    bool head_request, upgrade, interim, keep_alive, complete;
    size_t head_bytes;    /* of the head that is being read */
    size_t framing_bytes; /* of chunk framing and trailers since the last body byte */
    unsigned interims;    /* so far */
    uint64_t left;        /* IN_LENGTH: body bytes to come */
    const char *reason;   /* set by a callback that refused */

    char *bytes; /* names and values, one after the other */
    size_t bytes_len, bytes_cap;
    struct vwi_span *names, *values;
    size_t fields, fields_cap;
    bool open; /* field number `fields` has begun */

    char *data;            /* the bytes of the running feed */
    size_t body, body_len; /* in data: the chunks moved together so far */
};

static int refuse(struct vwi_http1_answer *a, const char *reason)
{
    a->reason = reason;
    return HPE_USER;
}

/* Spans point into bytes, so they are carried over when it moves. */
static bool grow_bytes(struct vwi_http1_answer *a, size_t more)
{
    size_t cap = a->bytes_cap ? a->bytes_cap : FIRST_BYTES, i;
    char *bytes;

    while (cap < a->bytes_len + more)
        cap *= 2;
    bytes = vwi_alloc(cap);
    if (!bytes)
        return false;
    if (a->bytes_len)
        memcpy(bytes, a->bytes, a->bytes_len);
    for (i = 0; i < a->fields + (a->open ? 1 : 0); i++) {
        if (a->names[i].p)
            a->names[i].p = bytes + (a->names[i].p - a->bytes);
        if (a->values[i].p)
            a->values[i].p = bytes + (a->values[i].p - a->bytes);
    }
    vwi_free(a->bytes);
    a->bytes = bytes;
    a->bytes_cap = cap;
    return true;
}

static bool grow_fields(struct vwi_http1_answer *a)
{
    size_t cap = a->fields_cap ? a->fields_cap * 2 : FIRST_FIELDS;
    struct vwi_span *names = vwi_realloc(a->names, cap * sizeof *names);
    struct vwi_span *values;

    if (!names)
        return false;
    a->names = names;
    values = vwi_realloc(a->values, cap * sizeof *values);
    if (!values)
        return false;
    a->values = values;
    a->fields_cap = cap;
    return true;
}

static int add(struct vwi_http1_answer *a, struct vwi_span *span, const char *at, size_t len)
{
    if (a->bytes_len + len > VWI_ANSWER_HEAD_BYTES)
        return refuse(a, a->stage == IN_HEAD ? "head too large" : "trailers too large");
    if (a->bytes_len + len >= a->bytes_cap && !grow_bytes(a, len + 1))
        return refuse(a, "out of memory");
    if (!span->p)
        span->p = a->bytes + a->bytes_len;
    if (len)
        memcpy(a->bytes + a->bytes_len, at, len);
    a->bytes_len += len;
    span->len += len;
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct vwi_http1_answer *a = parser->data;

    if (!a->open) {
        if (a->fields >= VWI_ANSWER_FIELDS)
            return refuse(a, a->stage == IN_HEAD ? "too many header fields" : "too many trailer fields");
        if (a->fields == a->fields_cap && !grow_fields(a))
            return refuse(a, "out of memory");
        a->names[a->fields] = a->values[a->fields] = (struct vwi_span){ NULL, 0 };
        a->open = true;
    }
    return add(a, &a->names[a->fields], at, len);
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct vwi_http1_answer *a = parser->data;

    return a->open ? add(a, &a->values[a->fields], at, len) : refuse(a, "empty field name");
}

static int on_value_complete(llhttp_t *parser)
{
    struct vwi_http1_answer *a = parser->data;
    struct vwi_span *value;

    if (!a->open || !a->names[a->fields].len)
        return refuse(a, "empty field name");
    a->open = false;
    value = &a->values[a->fields++];
    while (value->len && (value->p[value->len - 1] == ' ' || value->p[value->len - 1] == '\t'))
        value->len--;
    return 0;
}

static int on_end_of_part(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static int on_chunk_data(llhttp_t *parser, const char *at, size_t len)
{
    struct vwi_http1_answer *a = parser->data;

    if (!a->body_len)
        a->body = (size_t)(at - a->data);
    else if (a->data + a->body + a->body_len != at)
        memmove(a->data + a->body + a->body_len, at, len);
    a->body_len += len;
    return 0;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_end_of_part,
    .on_body = on_chunk_data,
    .on_message_complete = on_end_of_part,
};

struct vwi_http1_answer *vwi_http1_answer_create(const struct vwi_http1_answer_events *events, void *arg)
{
    struct vwi_http1_answer *a = vwi_zalloc(sizeof *a);

    if (!a)
        return NULL;
    a->events = events;
    a->arg = arg;
    vwi_http1_answer_begin(a, false, false);
    return a;
}

void vwi_http1_answer_destroy(struct vwi_http1_answer *a)
{
    if (!a)
        return;
    vwi_free(a->bytes);
    vwi_free(a->names);
    vwi_free(a->values);
    vwi_free(a);
}

static void begin_head(struct vwi_http1_answer *a)
{
    llhttp_init(&a->parser, HTTP_RESPONSE, &settings);
    a->parser.data = a;
    a->stage = IN_HEAD;
    a->head_bytes = a->bytes_len = a->fields = 0;
    a->open = false;
}

void vwi_http1_answer_begin(struct vwi_http1_answer *a, bool head_request, bool upgrade)
{
    if (a->bytes_cap > KEPT_BYTES) {
        vwi_free(a->bytes);
        a->bytes = NULL;
        a->bytes_cap = 0;
    }
    begin_head(a);
    a->head_request = head_request;
    a->upgrade = upgrade;
    a->interim = a->keep_alive = a->complete = false;
    a->framing_bytes = 0;
    a->interims = 0;
    a->left = 0;
    a->reason = NULL;
}

/* What llhttp lets pass and we do not: other versions, other codings, two framings, lengths beyond int64. NULL: fine. */
static const char *judge_head(const struct vwi_http1_answer *a)
{
    const llhttp_t *p = &a->parser;
    size_t i, codings = 0;

    if (p->http_major != 1)
        return "not HTTP/1.0 or HTTP/1.1";
    if (p->status_code < 100)
        return "status below 100";
    if (p->status_code == 101 && !a->upgrade)
        return "101 Switching Protocols, which was not asked for";
    if ((p->flags & F_CONTENT_LENGTH) && p->content_length > INT64_MAX)
        return "Content-Length too large";
    if (!(p->flags & F_TRANSFER_ENCODING))
        return NULL;
    if (p->flags & F_CONTENT_LENGTH)
        return "both Content-Length and Transfer-Encoding";
    for (i = 0; i < a->fields; i++)
        if (vwi_span_is_nocase(a->names[i], "Transfer-Encoding"))
            if (codings++ || !vwi_span_is_nocase(a->values[i], "chunked"))
                return "transfer coding other than chunked";
    return NULL;
}

static void settle_framing(struct vwi_http1_answer *a, struct vwi_answer *head)
{
    const llhttp_t *p = &a->parser;
    bool by_length = p->flags & F_CONTENT_LENGTH;
    bool bodiless = a->head_request || p->status_code == 204 || p->status_code == 304;

    if (p->status_code == 101) { /* a tunnel has no framing */
        head->content_length = -1;
        a->stage = IN_CLOSE;
        return;
    }

    head->chunked = p->flags & F_TRANSFER_ENCODING;
    head->content_length = by_length && p->status_code != 204 ? (int64_t)p->content_length : -1;
    if (bodiless || (by_length && p->content_length == 0))
        a->stage = AT_END;
    else if (head->chunked)
        a->stage = IN_CHUNKS;
    else if (by_length)
        a->stage = IN_LENGTH;
    else
        a->stage = IN_CLOSE;
    a->left = by_length ? p->content_length : 0;
    a->complete = a->stage == AT_END;
    a->keep_alive = a->stage != IN_CLOSE && !(p->flags & F_CONNECTION_CLOSE) &&
                    (p->http_minor > 0 || ((p->flags & F_CONNECTION_KEEP_ALIVE) && !head->chunked));
}

static enum vwi_answer_result take_head(struct vwi_http1_answer *a)
{
    struct vwi_answer head = { .status = a->parser.status_code, .names = a->names, .values = a->values,
                               .header_count = a->fields };

    a->reason = judge_head(a);
    if (a->reason)
        return VWI_ANSWER_BROKEN;
    if (head.status < 200 && head.status != 101) {
        if (++a->interims > VWI_ANSWER_INTERIMS) {
            a->reason = "too many interim answers";
            return VWI_ANSWER_BROKEN;
        }
        if (head.status != 100 && a->events->on_interim && !a->events->on_interim(a->arg, &head))
            return VWI_ANSWER_STOPPED;
        begin_head(a);
        a->interim = true;
        return VWI_ANSWER_MORE;
    }
    settle_framing(a, &head);
    if (!a->events->on_head(a->arg, &head))
        return VWI_ANSWER_STOPPED;
    a->bytes_len = a->fields = 0; /* for trailers */
    return a->complete ? VWI_ANSWER_DONE : VWI_ANSWER_MORE;
}

/* Runs llhttp over what is left; *used says how far it came. HPE_PAUSED: at the end of the head or of the chunked body. */
static llhttp_errno_t execute(struct vwi_http1_answer *a, const char *data, size_t len, size_t *used)
{
    llhttp_errno_t err = llhttp_execute(&a->parser, data, len);

    *used = len;
    if (err == HPE_PAUSED) {
        *used = (size_t)(llhttp_get_error_pos(&a->parser) - data);
        llhttp_resume(&a->parser);
    } else if (err != HPE_OK && !a->reason) {
        a->reason = llhttp_get_error_reason(&a->parser);
    }
    return err;
}

static enum vwi_answer_result feed_head(struct vwi_http1_answer *a, const char *data, size_t len, size_t *used)
{
    llhttp_errno_t err = execute(a, data, len, used);

    a->interim = false;
    a->head_bytes += *used;
    if (err != HPE_OK && err != HPE_PAUSED)
        return VWI_ANSWER_BROKEN;
    if (a->head_bytes > VWI_ANSWER_HEAD_BYTES) {
        a->reason = "head too large";
        return VWI_ANSWER_BROKEN;
    }
    return err == HPE_PAUSED ? take_head(a) : VWI_ANSWER_MORE;
}

static enum vwi_answer_result deliver(struct vwi_http1_answer *a, const char *p, size_t len)
{
    if (len && !a->events->on_body(a->arg, p, len))
        return VWI_ANSWER_STOPPED;
    if (!a->complete)
        return VWI_ANSWER_MORE;
    a->stage = AT_END;
    return VWI_ANSWER_DONE;
}

static bool tell_trailers(struct vwi_http1_answer *a)
{
    struct vwi_answer trailers = { .names = a->names, .values = a->values, .header_count = a->fields };

    return !a->events->on_trailers || a->events->on_trailers(a->arg, &trailers);
}

static enum vwi_answer_result feed_chunks(struct vwi_http1_answer *a, char *data, size_t len, size_t *used)
{
    llhttp_errno_t err;

    a->data = data;
    a->body = a->body_len = 0;
    err = execute(a, data, len, used);
    if (err != HPE_OK && err != HPE_PAUSED)
        return VWI_ANSWER_BROKEN;
    a->framing_bytes = a->body_len ? 0 : a->framing_bytes + *used;
    if (a->framing_bytes > VWI_ANSWER_HEAD_BYTES) {
        a->reason = "chunk framing too large";
        return VWI_ANSWER_BROKEN;
    }
    a->complete = err == HPE_PAUSED;
    if (a->complete && a->fields && !tell_trailers(a))
        return VWI_ANSWER_STOPPED;
    return deliver(a, data + a->body, a->body_len);
}

static enum vwi_answer_result feed_plain(struct vwi_http1_answer *a, const char *data, size_t len, size_t *used)
{
    *used = len;
    if (a->stage == IN_LENGTH) {
        if (*used > a->left)
            *used = (size_t)a->left;
        a->left -= *used;
        a->complete = a->left == 0;
    }
    return deliver(a, data, *used);
}

enum vwi_answer_result vwi_http1_answer_feed(struct vwi_http1_answer *a, char *data, size_t len, size_t *ret_used,
                                             const char **ret_reason)
{
    enum vwi_answer_result result = VWI_ANSWER_MORE;
    size_t off = 0, used;

    if (a->stage == AT_END)
        result = VWI_ANSWER_DONE;
    while (off < len && result == VWI_ANSWER_MORE) {
        if (a->stage == IN_HEAD)
            result = feed_head(a, data + off, len - off, &used);
        else if (a->stage == IN_CHUNKS)
            result = feed_chunks(a, data + off, len - off, &used);
        else
            result = feed_plain(a, data + off, len - off, &used);
        off += used;
    }
    *ret_used = off;
    *ret_reason = result == VWI_ANSWER_BROKEN ? a->reason : NULL;
    return result;
}

enum vwi_answer_result vwi_http1_answer_eof(struct vwi_http1_answer *a, const char **ret_reason)
{
    if (a->stage == IN_CLOSE || a->stage == AT_END) {
        a->stage = AT_END;
        return VWI_ANSWER_DONE;
    }
    if (a->stage == IN_HEAD)
        *ret_reason = a->head_bytes ? "closed in the middle of the head" : "closed before an answer";
    else
        *ret_reason = "closed before the end of the answer";
    return VWI_ANSWER_BROKEN;
}

bool vwi_http1_answer_complete(const struct vwi_http1_answer *a) { return a->complete; }
bool vwi_http1_answer_interim(const struct vwi_http1_answer *a) { return a->interim; }
bool vwi_http1_answer_keep_alive(const struct vwi_http1_answer *a) { return a->keep_alive; }
