/* The table of sessions: ids, what auth is the same, how long they last, what is said at the end. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "core/session.h"

static json_t *json(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

    ck_assert_msg(value != NULL, "%s", text);
    return value;
}

static struct vwi_sessions_table *make(unsigned max, double max_lifetime_s)
{
    struct vwi_sessions_table *table = NULL;

    ck_assert_int_eq(vwi_sessions_table_create(max, max_lifetime_s, &table, NULL), VW_OK);
    return table;
}

static struct vwi_span span(const char *text) { return (struct vwi_span){ text, strlen(text) }; }

START_TEST(an_id_is_thirteen_letters_and_digits_none_of_them_favoured)
{
    unsigned char random[64];
    unsigned seen[256] = { 0 }, i, j;
    char id[VWI_SESSION_ID + 1];

    for (i = 0; i < 256; i++) {
        memset(random, (int)i, sizeof random);
        if (!vwi_session_id_make(random, sizeof random, id)) {
            ck_assert_uint_ge(i, 248);
            continue;
        }
        ck_assert_uint_eq(strlen(id), 13);
        for (j = 0; j < 13; j++)
            ck_assert((id[j] >= '0' && id[j] <= '9') || (id[j] >= 'a' && id[j] <= 'z') || (id[j] >= 'A' && id[j] <= 'Z'));
        seen[(unsigned char)id[0]]++;
    }
    for (i = 0; i < 256; i++)
        ck_assert(seen[i] == 0 || seen[i] == 4);
    ck_assert(!vwi_session_id_make(random, 12, id));
}
END_TEST

static const struct pair {
    const char *a, *b;
    bool same;
} pairs[] = {
    { "{\"cost\": 50, \"url\": \"x\"}", "{\"url\": \"x\", \"cost\": 50.0}", true },
    { "{\"cost\": 50}", "{\"cost\": 5e1}", true },
    { "{\"a\": 0}", "{\"a\": -0.0}", true },
    { "{\"a\": 1e18}", "{\"a\": 1000000000000000000}", true },
    { "{\"a\": 0.1}", "{\"a\": 0.10}", true },
    { "{\"a\": \"\\u0041\"}", "{\"a\": \"A\"}", true },
    { "{\"a\": {\"x\": 1, \"y\": [1, 2]}}", "{\"a\": {\"y\": [1, 2], \"x\": 1}}", true },
    { "{\"a\": true}", "{\"a\": 1}", false },
    { "{\"a\": false}", "{\"a\": null}", false },
    { "{\"a\": 1}", "{\"a\": \"1\"}", false },
    { "{\"a\": [1, 2]}", "{\"a\": [2, 1]}", false },
    { "{\"a\": 1}", "{\"a\": 1, \"b\": null}", false },
    { "{\"a\": \"b\", \"c\": \"d\"}", "{\"a\": \"bs1:cs1:d\"}", false },
    { "{}", "[]", false },
    { "{\"a\": 9007199254740993}", "{\"a\": 9007199254740992}", false },
};

START_TEST(auth_is_the_same_by_its_meaning)
{
    const struct pair *p = &pairs[_i];
    json_t *a = json(p->a), *b = json(p->b);
    struct vwi_session session;

    memset(&session, 0, sizeof session);
    ck_assert(vwi_session_digest(a, session.auth));
    ck_assert(vwi_session_auth_is(&session, a));
    ck_assert_msg(vwi_session_auth_is(&session, b) == p->same, "%s and %s", p->a, p->b);
    ck_assert(!vwi_session_auth_is(&session, NULL));
    json_decref(a);
    json_decref(b);
}
END_TEST

START_TEST(a_session_is_found_by_its_id_until_it_is_removed)
{
    struct vwi_sessions_table *table = make(2, 0);
    struct vwi_session *a = vwi_session_open(table, "AAAAAAAAAAAAA", 60, 1000, 0), *b = vwi_session_open(table, "BBBBBBBBBBBBB", 60, 1000, 0);

    ck_assert(vwi_sessions_full(table));
    ck_assert_ptr_eq(vwi_session_find(table, span("AAAAAAAAAAAAA")), a);
    ck_assert_ptr_eq(vwi_session_find(table, span("BBBBBBBBBBBBB")), b);
    ck_assert_ptr_null(vwi_session_find(table, span("AAAAAAAAAAAA")));
    ck_assert_ptr_null(vwi_session_find(table, span("")));
    ck_assert_ptr_null(vwi_session_find(table, span("AAAAAAAAAAAAAA")));
    vwi_session_remove(table, a);
    vwi_session_free(a);
    ck_assert_ptr_null(vwi_session_find(table, span("AAAAAAAAAAAAA")));
    ck_assert(!vwi_sessions_full(table));
    ck_assert_uint_eq(vwi_sessions_count(table), 1);
    vwi_sessions_table_destroy(table);
}
END_TEST

START_TEST(each_request_adds_a_lifetime_and_the_time_left_has_a_limit)
{
    struct vwi_sessions_table *table = make(0, 100);
    struct vwi_session *s = vwi_session_open(table, "AAAAAAAAAAAAA", 40, 1000, 5000), *long_one;

    ck_assert_double_eq(vwi_session_expiration_s(s), 1040);
    vwi_session_touch(table, s, 6000);
    ck_assert_double_eq(vwi_session_expiration_s(s), 1080);
    vwi_session_touch(table, s, 6000); /* 120 would be, and 101 are left to give */
    ck_assert_double_eq(vwi_session_expiration_s(s), 1101);
    vwi_session_touch(table, s, 5500); /* never earlier */
    ck_assert_double_eq(vwi_session_expiration_s(s), 1101);
    long_one = vwi_session_open(table, "BBBBBBBBBBBBB", 1e300, 1000, 5000);
    ck_assert_double_eq(vwi_session_expiration_s(long_one), 1100);
    vwi_sessions_table_destroy(table);
}
END_TEST

START_TEST(sessions_expire_in_time_and_not_before)
{
    struct vwi_sessions_table *table = make(0, 0);
    struct vwi_session *a = vwi_session_open(table, "AAAAAAAAAAAAA", 10, 0, 0), *b = vwi_session_open(table, "BBBBBBBBBBBBB", 5, 0, 0);

    ck_assert_int_eq(vwi_sessions_look_ms(table), 5000);
    ck_assert_ptr_null(vwi_sessions_expired(table, 4999));
    ck_assert_ptr_eq(vwi_sessions_expired(table, 5000), b);
    vwi_session_remove(table, b);
    vwi_session_free(b);
    ck_assert_ptr_null(vwi_sessions_expired(table, 5000));
    ck_assert_int_eq(vwi_sessions_look_ms(table), 10000);
    vwi_session_touch(table, a, 6000);
    ck_assert_ptr_null(vwi_sessions_expired(table, 10000));
    ck_assert_int_eq(vwi_sessions_look_ms(table), 20000);
    ck_assert_ptr_eq(vwi_sessions_expired(table, 20000), a);
    vwi_sessions_table_destroy(table);
}
END_TEST

/* Any order of opening, touching and closing against a plain list. */
START_TEST(whatever_is_done_the_table_agrees_with_a_list)
{
    enum { MANY = 300 };
    static struct { struct vwi_session *session; int64_t expires_ms; } list[MANY];
    struct vwi_sessions_table *table = make(0, 0);
    unsigned seed = 7, step, i, alive = 0;
    int64_t now = 0;

    for (step = 0; step < 20000; step++) {
        i = (unsigned)rand_r(&seed) % MANY;
        now += rand_r(&seed) % 20;
        if (!list[i].session) {
            char id[32];
            double life = 1 + rand_r(&seed) % 9;

            snprintf(id, sizeof id, "%013u", i);
            list[i].session = vwi_session_open(table, id, life, 0, now);
            list[i].expires_ms = now + (int64_t)life * 1000;
            alive++;
        } else if (rand_r(&seed) % 2) {
            vwi_session_touch(table, list[i].session, now);
            list[i].expires_ms += (int64_t)list[i].session->lifetime_s * 1000;
        }
        for (struct vwi_session *due; (due = vwi_sessions_expired(table, now)); alive--) {
            unsigned at = (unsigned)strtoul(due->id, NULL, 10);

            ck_assert(list[at].session == due && list[at].expires_ms <= now);
            vwi_session_remove(table, due);
            vwi_session_free(due);
            list[at].session = NULL;
        }
        ck_assert_uint_eq(vwi_sessions_count(table), alive);
        if (step % 100 == 0)
            for (i = 0; i < MANY; i++)
                ck_assert(!list[i].session || list[i].expires_ms > now);
    }
    vwi_sessions_table_destroy(table);
}
END_TEST

static const struct farewell {
    const char *payload, *body;
} farewells[] = {
    { NULL, "{\"session_id\": \"AAAAAAAAAAAAA\"}" },
    { "null", "{\"session_id\": \"AAAAAAAAAAAAA\"}" },
    { "{\"a\": 1}", "{\"a\": 1, \"session_id\": \"AAAAAAAAAAAAA\"}" },
    { "{\"session_id\": \"mine\"}", "{\"session_id\": \"mine\"}" },
    { "[1, 2]", "{\"payload\": [1, 2], \"session_id\": \"AAAAAAAAAAAAA\"}" },
    { "\"x\"", "{\"payload\": \"x\", \"session_id\": \"AAAAAAAAAAAAA\"}" },
    { "0", "{\"payload\": 0, \"session_id\": \"AAAAAAAAAAAAA\"}" },
};

START_TEST(the_model_is_told_with_the_id_in_any_form_of_payload)
{
    const struct farewell *f = &farewells[_i];
    struct vwi_session session;
    json_t *body, *expected = json(f->body);

    memset(&session, 0, sizeof session);
    memcpy(session.id, "AAAAAAAAAAAAA", VWI_SESSION_ID);
    session.on_close_payload = f->payload ? json(f->payload) : NULL;
    body = vwi_session_farewell(&session);
    ck_assert(json_equal(body, expected));
    json_decref(body);
    json_decref(expected);
    json_decref(session.on_close_payload);
}
END_TEST

START_TEST(a_route_leads_to_the_model_server_and_nowhere_else)
{
    static const char *const good[] = { "/", "/close", "/v1/end?why=ttl", "/a/b.c/..d", "/x?u=http://e/../" };
    static const char *const bad[] = { "", "close", "http://evil/", "//evil/x", "/a/../b", "/..", "/./a", "/a%2e%2e/b", "/a b", "/a\r\nX: y", "/a\\b", "/a#b",
                                       "/caf\xc3\xa9" };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(good); i++)
        ck_assert_msg(vwi_session_route_is_good(good[i], strlen(good[i])), "%s", good[i]);
    for (i = 0; i < VWI_ARRAY_LEN(bad); i++)
        ck_assert_msg(!vwi_session_route_is_good(bad[i], strlen(bad[i])), "%s", bad[i]);
    ck_assert(!vwi_session_route_is_good("/a\0b", 4));
}
END_TEST

START_TEST(short_memory_opens_nothing_and_breaks_nothing)
{
    struct vwi_sessions_table *table = NULL;
    json_t *auth = json("{\"a\": {\"b\": [1, 2.5, \"x\"]}}");
    unsigned char digest[VWI_SESSION_DIGEST];
    unsigned nth;
    bool ok = false;

    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_sessions_table_create(1, 1, &table, NULL), VW_E_NOMEM);
    vwi_mem_fail_never();
    table = make(1, 1);
    vwi_mem_fail_nth(0);
    ck_assert_ptr_null(vwi_session_open(table, "AAAAAAAAAAAAA", 1, 1, 1));
    vwi_mem_fail_never();
    ck_assert_uint_eq(vwi_sessions_count(table), 0);
    for (nth = 0; !ok; nth++) {
        vwi_mem_fail_nth(nth);
        ok = vwi_session_digest(auth, digest);
        vwi_mem_fail_never();
    }
    ck_assert_uint_gt(nth, 2);
    vwi_sessions_table_destroy(table);
    json_decref(auth);
}
END_TEST

Suite *session_suite(void);

Suite *session_suite(void)
{
    Suite *s = suite_create("session");
    TCase *tc = tcase_create("session");

    tcase_add_test(tc, an_id_is_thirteen_letters_and_digits_none_of_them_favoured);
    tcase_add_loop_test(tc, auth_is_the_same_by_its_meaning, 0, (int)VWI_ARRAY_LEN(pairs));
    tcase_add_test(tc, a_session_is_found_by_its_id_until_it_is_removed);
    tcase_add_test(tc, each_request_adds_a_lifetime_and_the_time_left_has_a_limit);
    tcase_add_test(tc, sessions_expire_in_time_and_not_before);
    tcase_add_test(tc, whatever_is_done_the_table_agrees_with_a_list);
    tcase_add_loop_test(tc, the_model_is_told_with_the_id_in_any_form_of_payload, 0, (int)VWI_ARRAY_LEN(farewells));
    tcase_add_test(tc, a_route_leads_to_the_model_server_and_nowhere_else);
    tcase_add_test(tc, short_memory_opens_nothing_and_breaks_nothing);
    suite_add_tcase(s, tc);
    return s;
}
