/* One pass over the names; a field that Connection lists is looked for only where Connection says more than the usual word. */
#include "io/answer_fields.h"

#include <string.h>

#include "base/vwi.h"

enum fate { PASSED, DROPPED, DATE, ACCEL, TYPE, CODING };

#define ROW(name, fate) { { name, sizeof(name) - 1 }, fate }
static const struct row {
    struct vwi_span name;
    enum fate fate;
} rows[] = { /* shortest first */
    ROW("TE", DROPPED), ROW("Date", DATE), ROW("Trailer", DROPPED), ROW("Upgrade", DROPPED), ROW("Connection", DROPPED),
    ROW("Keep-Alive", DROPPED), ROW("Content-Type", TYPE), ROW("X-Request-Id", DROPPED),
    ROW("Content-Length", DROPPED), /* the exchange writes its own, as of the one before */
    ROW("Content-Encoding", CODING), ROW("Proxy-Connection", DROPPED), ROW("Transfer-Encoding", DROPPED),
    ROW("X-Accel-Buffering", ACCEL), ROW("Proxy-Authenticate", DROPPED), ROW("Proxy-Authorization", DROPPED),
};
static const struct vwi_span connection = { "Connection", 10 };
#undef ROW

static enum fate fate_of(struct vwi_span name)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(rows) && rows[i].name.len <= name.len; i++)
        if (vwi_span_same_nocase(name, rows[i].name))
            return rows[i].fate;
    return PASSED;
}

static bool lists(struct vwi_span list, struct vwi_span name)
{
    struct vwi_span token;

    while (vwi_span_next(&list, ',', &token))
        if (vwi_span_same_nocase(token, name))
            return true;
    return false;
}

static bool is_named_by_connection(const struct vwi_answer *answer, struct vwi_span name)
{
    size_t i;

    for (i = 0; i < answer->header_count; i++)
        if (vwi_span_same_nocase(answer->names[i], connection) && lists(answer->values[i], name))
            return true;
    return false;
}

/* Parameters behind a media type say nothing here. */
static bool is_type(struct vwi_span value, const char *type)
{
    size_t len = strlen(type);

    return value.len >= len && (value.p[len - 1] | 0x20) == type[len - 1] && vwi_same_nocase(value.p, type, len) &&
           (value.len == len || value.p[len] == ';' || value.p[len] == ' ' || value.p[len] == '\t');
}

static bool ends_in_json(struct vwi_span value)
{
    size_t i;

    for (i = 0; i + 5 <= value.len && value.p[i] != ';'; i++)
        if (value.p[i] == '+')
            return is_type((struct vwi_span){ value.p + i, value.len - i }, "+json");
    return false;
}

static void note_type(struct vwi_answer_traits *traits, struct vwi_span value)
{
    static const char *const lines[] = {
        "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines",
    };
    size_t i;

    if (value.len <= 16)
        return; /* application/json, or shorter */
    traits->events = traits->lines = is_type(value, "text/event-stream");
    for (i = 0; i < VWI_ARRAY_LEN(lines) && !traits->lines; i++)
        traits->lines = is_type(value, lines[i]);
}

static void note(struct vwi_answer_traits *traits, enum fate fate, struct vwi_span value)
{
    if (fate == TYPE)
        note_type(traits, value);
    else if (fate == DATE)
        traits->dated = true;
    else if (fate == ACCEL)
        traits->accel = true;
    else if (fate == CODING)
        traits->coded = traits->coded || !vwi_span_is_nocase(value, "identity");
}

void vwi_answer_traits(const struct vwi_answer *answer, struct vwi_answer_traits *ret, bool *ret_json)
{
    enum fate fate;
    size_t i;

    memset(ret, 0, sizeof *ret);
    *ret_json = false;
    for (i = 0; i < answer->header_count; i++) {
        fate = fate_of(answer->names[i]);
        note(ret, fate, answer->values[i]);
        if (fate == TYPE)
            *ret_json = is_type(answer->values[i], "application/json") || ends_in_json(answer->values[i]);
    }
}

/* Room for all of them; also: does Connection list fields? */
static bool reserve(struct vwi_text *t, const struct vwi_answer *answer)
{
    bool listed = false;
    size_t i, need = 0;

    for (i = 0; i < answer->header_count; i++) {
        struct vwi_span value = answer->values[i];

        need += answer->names[i].len + value.len + 4;
        if (vwi_span_same_nocase(answer->names[i], connection))
            listed = listed || !(vwi_span_is_nocase(value, "keep-alive") || vwi_span_is_nocase(value, "close"));
    }
    vwi_text_reserve(t, need);
    return listed;
}

bool vwi_answer_fields_head(struct vwi_text *t, const struct vwi_answer *answer, struct vwi_answer_traits *ret_traits)
{
    struct vwi_answer_traits traits = { 0 };
    bool listed = reserve(t, answer);
    size_t i;

    for (i = 0; i < answer->header_count; i++) {
        struct vwi_span name = answer->names[i];
        enum fate fate = fate_of(name);

        if (fate == DROPPED || (listed && is_named_by_connection(answer, name)))
            continue;
        if (fate != PASSED)
            note(&traits, fate, answer->values[i]);
        vwi_text_add_field(t, name, answer->values[i]);
    }
    *ret_traits = traits;
    return t->len ? !t->failed : vwi_text_add(t, "", 0); /* a text even where nothing is passed on */
}

/* What frames a message, routes or authenticates it, or says how its content is read comes too late behind the body. */
static bool is_late(struct vwi_span name)
{
    static const char *const late[] = {
        "host", "content-type", "content-encoding", "content-range", "cache-control", "expires", "date", "age", "vary",
        "location", "retry-after", "authorization", "www-authenticate", "set-cookie", "cookie", "expect",
        "max-forwards", "pragma", "range", "x-accel-buffering", "x-vastworker-reason", "x-request-id",
    };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(late); i++)
        if (vwi_span_is_nocase(name, late[i]))
            return true;
    return fate_of(name) != PASSED || (name.len > 3 && vwi_same_nocase(name.p, "if-", 3));
}

bool vwi_answer_fields_trailers(struct vwi_text *t, const struct vwi_answer *trailers)
{
    size_t i;

    for (i = 0; i < trailers->header_count && t->len <= VWI_TRAILERS_BYTES; i++)
        if (!is_late(trailers->names[i]))
            vwi_text_add_field(t, trailers->names[i], trailers->values[i]);
    if (t->len > VWI_TRAILERS_BYTES)
        vwi_text_clear(t);
    return !t->failed;
}
