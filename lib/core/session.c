/*
 * Buckets by id. The time of the next look is the earliest expiry that was known at the last one: sessions only ever get later, so it may
 * come too early and never too late.
 */
#include "core/session.h"

#include <math.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "core/literal.h"
#include "core/route.h"

#define BUCKETS 256

struct vwi_sessions_table {
    struct vwi_list buckets[BUCKETS];
    unsigned max;
    double max_lifetime_s;
    size_t count;
    int64_t look_ms;
};

vw_err vwi_sessions_table_create(unsigned max, double max_lifetime_s, struct vwi_sessions_table **ret, vw_error_t *why)
{
    struct vwi_sessions_table *table = vwi_zalloc(sizeof *table);
    size_t i;

    if (!table)
        return vwi_fail(why, VW_E_NOMEM, "sessions: out of memory");
    for (i = 0; i < BUCKETS; i++)
        vwi_list_init(&table->buckets[i]);
    table->max = max;
    table->max_lifetime_s = max_lifetime_s;
    table->look_ms = -1;
    *ret = table;
    return VW_OK;
}

void vwi_session_free(struct vwi_session *session)
{
    if (!session)
        return;
    json_decref(session->auth_data);
    json_decref(session->on_close_payload);
    vwi_free(session->on_close_route);
    vwi_free(session);
}

void vwi_sessions_table_destroy(struct vwi_sessions_table *table)
{
    struct vwi_session *session;

    if (!table)
        return;
    while ((session = vwi_sessions_first(table))) {
        vwi_session_remove(table, session);
        vwi_session_free(session);
    }
    vwi_free(table);
}

size_t vwi_sessions_count(const struct vwi_sessions_table *table) { return table->count; }
bool vwi_sessions_full(const struct vwi_sessions_table *table) { return table->max && table->count >= table->max; }

/* ---- who ---- */

bool vwi_session_id_make(const unsigned char *random, size_t len, char ret[VWI_SESSION_ID + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const unsigned fair = 256 / 62 * 62; /* bytes beyond would favour the first letters */
    size_t i, n = 0;

    for (i = 0; i < len && n < VWI_SESSION_ID; i++)
        if (random[i] < fair)
            ret[n++] = letters[random[i] % 62];
    ret[n] = '\0';
    return n == VWI_SESSION_ID;
}

static void add_bytes(struct vwi_text *out, const char *bytes, size_t len)
{
    vwi_text_addf(out, "s%zu:", len);
    vwi_text_add(out, bytes, len);
}

/* Integers of any spelling alike, as far as they fit; the others as doubles. */
static void add_number(struct vwi_text *out, const json_t *value)
{
    double real = json_number_value(value);

    if (json_is_integer(value))
        vwi_text_addf(out, "n%lld;", (long long)json_integer_value(value));
    else if (floor(real) == real && fabs(real) < 9.2e18)
        vwi_text_addf(out, "n%lld;", (long long)real);
    else if (vwi_text_adds(out, "n") && vwi_literal_number(out, real))
        vwi_text_adds(out, ";");
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void add_value(struct vwi_text *out, const json_t *value);

static void add_object(struct vwi_text *out, const json_t *object)
{
    size_t count = json_object_size(object), n = 0, i;
    const char **keys = vwi_alloc((count + 1) * sizeof *keys);
    json_t *mutable_object = (json_t *)(uintptr_t)object; /* jansson's iterators do not change it */
    void *iter;

    if (!keys) {
        out->failed = true;
        return;
    }
    for (iter = json_object_iter(mutable_object); iter && n < count; iter = json_object_iter_next(mutable_object, iter))
        keys[n++] = json_object_iter_key(iter);
    qsort(keys, n, sizeof *keys, by_text);
    vwi_text_addf(out, "o%zu:", n);
    for (i = 0; i < n; i++) {
        add_bytes(out, keys[i], strlen(keys[i]));
        add_value(out, json_object_get(object, keys[i]));
    }
    vwi_free(keys);
}

static void add_value(struct vwi_text *out, const json_t *value)
{
    size_t i;

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        add_object(out, value);
        break;
    case JSON_ARRAY:
        vwi_text_addf(out, "a%zu:", json_array_size(value));
        for (i = 0; i < json_array_size(value); i++)
            add_value(out, json_array_get(value, i));
        break;
    case JSON_STRING:
        add_bytes(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        add_number(out, value);
        break;
    case JSON_TRUE:
        vwi_text_adds(out, "t");
        break;
    case JSON_FALSE:
        vwi_text_adds(out, "f");
        break;
    case JSON_NULL:
        vwi_text_adds(out, "z");
        break;
    }
}

bool vwi_session_digest(const json_t *value, unsigned char ret[VWI_SESSION_DIGEST])
{
    struct vwi_text text = VWI_TEXT_INIT;
    unsigned len = VWI_SESSION_DIGEST;
    bool ok;

    add_value(&text, value);
    ok = !text.failed && EVP_Digest(text.p, text.len, ret, &len, EVP_sha256(), NULL) == 1;
    vwi_text_fini(&text);
    return ok;
}

bool vwi_session_auth_is(const struct vwi_session *session, const json_t *auth)
{
    unsigned char digest[VWI_SESSION_DIGEST];

    return auth && vwi_session_digest(auth, digest) && CRYPTO_memcmp(digest, session->auth, sizeof digest) == 0;
}

/* ---- the table ---- */

static size_t bucket_of(struct vwi_span id)
{
    uint32_t hash = 2166136261u;
    size_t i;

    for (i = 0; i < id.len; i++)
        hash = (hash ^ (unsigned char)id.p[i]) * 16777619u;
    return hash % BUCKETS;
}

static struct vwi_session *session_of(struct vwi_list *node) { return VWI_CONTAINER(node, struct vwi_session, node); }

static int64_t capped(const struct vwi_sessions_table *table, int64_t expires_ms, int64_t now_ms)
{
    int64_t most = now_ms + (int64_t)(table->max_lifetime_s * 1000);

    return table->max_lifetime_s > 0 && expires_ms > most ? most : expires_ms;
}

#define FAR_MS (INT64_MAX / 4) /* nobody lives to see it, and sums of it still fit */

static int64_t lifetime_ms(const struct vwi_session *session) { return (int64_t)(fmin(session->lifetime_s, 1e9) * 1000); }

struct vwi_session *vwi_session_open(struct vwi_sessions_table *table, const char *id, double lifetime_s, double wall_s, int64_t now_ms)
{
    struct vwi_session *session = vwi_zalloc(sizeof *session);

    if (!session)
        return NULL;
    memcpy(session->id, id, VWI_SESSION_ID);
    session->lifetime_s = lifetime_s;
    session->created_s = wall_s;
    session->created_ms = now_ms;
    session->expires_ms = capped(table, now_ms + lifetime_ms(session), now_ms);
    vwi_list_init(&session->requests);
    vwi_list_init(&session->node);
    vwi_list_add(&table->buckets[bucket_of((struct vwi_span){ session->id, VWI_SESSION_ID })], &session->node);
    table->count++;
    if (table->look_ms < 0 || session->expires_ms < table->look_ms)
        table->look_ms = session->expires_ms;
    return session;
}

struct vwi_session *vwi_session_find(const struct vwi_sessions_table *table, struct vwi_span id)
{
    const struct vwi_list *bucket = &table->buckets[bucket_of(id)];
    struct vwi_list *node;

    for (node = bucket->next; id.len == VWI_SESSION_ID && node != bucket; node = node->next)
        if (memcmp(session_of(node)->id, id.p, VWI_SESSION_ID) == 0)
            return session_of(node);
    return NULL;
}

void vwi_session_touch(struct vwi_sessions_table *table, struct vwi_session *session, int64_t now_ms)
{
    int64_t later = capped(table, session->expires_ms + lifetime_ms(session), now_ms);

    if (later > session->expires_ms && later < FAR_MS)
        session->expires_ms = later;
}

double vwi_session_expiration_s(const struct vwi_session *session)
{
    return session->created_s + (double)(session->expires_ms - session->created_ms) / 1000;
}

void vwi_session_remove(struct vwi_sessions_table *table, struct vwi_session *session)
{
    vwi_list_del(&session->node);
    table->count--;
}

struct vwi_session *vwi_sessions_next(const struct vwi_sessions_table *table, const struct vwi_session *session)
{
    size_t at = session ? bucket_of((struct vwi_span){ session->id, VWI_SESSION_ID }) : 0;
    struct vwi_list *node = session ? session->node.next : table->buckets[0].next;

    while (node == &table->buckets[at]) {
        if (++at == BUCKETS)
            return NULL;
        node = table->buckets[at].next;
    }
    return session_of(node);
}

struct vwi_session *vwi_sessions_first(const struct vwi_sessions_table *table) { return vwi_sessions_next(table, NULL); }

struct vwi_session *vwi_sessions_expired(struct vwi_sessions_table *table, int64_t now_ms)
{
    struct vwi_session *session;
    int64_t next_ms = -1;

    if (table->look_ms < 0 || table->look_ms > now_ms)
        return NULL;
    for (session = vwi_sessions_first(table); session; session = vwi_sessions_next(table, session)) {
        if (session->expires_ms <= now_ms)
            return session;
        if (next_ms < 0 || session->expires_ms < next_ms)
            next_ms = session->expires_ms;
    }
    table->look_ms = next_ms;
    return NULL;
}

int64_t vwi_sessions_look_ms(const struct vwi_sessions_table *table) { return table->count ? table->look_ms : -1; }

/* ---- the end ---- */

json_t *vwi_session_farewell(const struct vwi_session *session)
{
    json_t *body = json_is_object(session->on_close_payload) ? json_copy(session->on_close_payload) : json_object();
    bool ok = body != NULL;

    if (ok && session->on_close_payload && !json_is_object(session->on_close_payload) && !json_is_null(session->on_close_payload))
        ok = json_object_set(body, "payload", session->on_close_payload) == 0;
    if (ok && !json_object_get(body, "session_id"))
        ok = json_object_set_new(body, "session_id", json_string(session->id)) == 0;
    if (ok)
        return body;
    json_decref(body);
    return NULL;
}

bool vwi_session_route_is_good(const char *route, size_t len)
{
    struct vwi_span path = vwi_span_path((struct vwi_span){ route, len });
    size_t i;

    if (!len || len > 2048 || route[0] != '/' || (len > 1 && route[1] == '/'))
        return false;
    for (i = 0; i < len; i++)
        if ((unsigned char)route[i] <= ' ' || (unsigned char)route[i] >= 0x7f || strchr("\\\"<>#{}|^`", route[i]))
            return false;
    return !memchr(path.p, '%', path.len) && !vwi_path_climbs(path);
}
