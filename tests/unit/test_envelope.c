/* The envelope: the cases of tests/data/envelope, the plain forms, early judgement, failing memory, and jansson's opinion. */
#include <check.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"
#include "oracle_json.h"

#define SPAN(text) ((struct vwi_span){ text, sizeof(text) - 1 })
#define CASES "tests/data/envelope/"

#define AUTH \
    "{\"cost\":100.0,\"endpoint\":\"my-ep\",\"reqnum\":5,\"request_idx\":43,\"signature\":\"c2ln\"," \
    "\"url\":\"https://203.0.113.7:41234\"}"
#define MISSING(name) "\"" name "\": \"missing parameter\""
#define ALL_MISSING \
    "{\"auth_data\": {" MISSING("cost") ", " MISSING("endpoint") ", " MISSING("reqnum") ", " MISSING("request_idx") ", " \
    MISSING("signature") ", " MISSING("url") "}}"

static const struct vwi_envelope_rules secured = { .max_depth = 512 }, unsecured = { .max_depth = 512, .partial = true };

/* The file in memory of its very size, so that a sanitizer sees every byte read beyond it. */
static struct vwi_span load(const char *folder, const char *name, const char *file)
{
    char path[512], buffer[65536], *copy;
    FILE *f;
    size_t len;

    snprintf(path, sizeof path, CASES "%s/%s/%s", folder, name, file);
    f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s: cannot be opened", path);
    len = fread(buffer, 1, sizeof buffer, f);
    fclose(f);
    copy = malloc(len ? len : 1);
    memcpy(copy, buffer, len);
    return (struct vwi_span){ copy, len };
}

static void unload(struct vwi_span s)
{
    union { const char *seen; char *owned; } p = { .seen = s.p };

    free(p.owned);
}

static void print(const struct vwi_envelope *e, char *out, size_t size)
{
    const struct vwi_auth_data *a = &e->auth;
    int n = snprintf(out, size, "cost %.17g\nendpoint %.*s\nreqnum %lld\nrequest_idx %lld\nsignature %.*s\nurl %.*s\n", a->cost,
                     (int)a->endpoint.len, a->endpoint.p, a->reqnum, a->request_idx, (int)a->signature.len, a->signature.p,
                     (int)a->url.len, a->url.p);

    if (e->has_session)
        n += snprintf(out + n, size - (size_t)n, "session [%.*s]\n", (int)e->session_id.len, e->session_id.p);
    else
        n += snprintf(out + n, size - (size_t)n, "session -\n");
    snprintf(out + n, size - (size_t)n, "payload %.*s\n", (int)e->payload.len, e->payload.p);
}

static void check_accepted(const char *name)
{
    struct vwi_span body = load("accepted", name, "input.json"), expect = load("accepted", name, "expect");
    struct vwi_text answer = VWI_TEXT_INIT;
    struct vwi_envelope e;
    char text[4096];

    ck_assert_msg(vwi_envelope_parse(body, &secured, &e, &answer) == VWI_ENVELOPE_OK, "%s: refused: %s", name, answer.p);
    print(&e, text, sizeof text);
    ck_assert_msg(vwi_span_is(expect, text), "%s: read as\n%s", name, text);
    ck_assert(e.auth.present && e.auth.has == VWI_AUTH_ALL && answer.len == 0);
    vwi_envelope_fini(&e);
    unload(body);
    unload(expect);
}

static void check_refused(const char *name)
{
    struct vwi_span body = load("refused", name, "input.json"), expect = load("refused", name, "expect");
    struct vwi_text answer = VWI_TEXT_INIT;
    struct vwi_envelope e;
    enum vwi_envelope_verdict verdict = vwi_envelope_parse(body, &secured, &e, &answer);

    ck_assert_msg(verdict == VWI_ENVELOPE_INVALID || verdict == VWI_ENVELOPE_INVALID_JSON, "%s: taken", name);
    ck_assert_int_eq(verdict == VWI_ENVELOPE_INVALID_JSON, strcmp(answer.p, "{\"error\": \"invalid JSON\"}") == 0);
    vwi_text_adds(&answer, "\n");
    ck_assert_msg(vwi_span_is(expect, answer.p), "%s: answered %s", name, answer.p);
    vwi_text_fini(&answer);
    vwi_envelope_fini(&e);
    unload(body);
    unload(expect);
}

static void for_each_case(const char *folder, void (*fn)(const char *name))
{
    char path[128];
    struct dirent *entry;
    int count = 0;
    DIR *dir;

    snprintf(path, sizeof path, CASES "%s", folder);
    dir = opendir(path);
    ck_assert_msg(dir != NULL, "%s: not found from here; run from the root of the source", path);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] != '.') {
            fn(entry->d_name);
            count++;
        }
    }
    closedir(dir);
    ck_assert_int_gt(count, 10);
}

START_TEST(envelope_takes_the_accepted_cases)
{
    for_each_case("accepted", check_accepted);
}
END_TEST

START_TEST(envelope_refuses_the_refused_cases_field_by_field)
{
    for_each_case("refused", check_refused);
}
END_TEST

START_TEST(payload_and_strings_point_into_the_body)
{
    static const char body[] = "{\"auth_data\":" AUTH ",\"session_id\":\"abc\",\"payload\":{\"a\":1}}";
    struct vwi_text answer = VWI_TEXT_INIT;
    struct vwi_envelope e;

    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_envelope_parse(SPAN(body), &secured, &e, &answer), VWI_ENVELOPE_OK);
    vwi_mem_fail_never();
    ck_assert_ptr_eq(e.payload.p, strstr(body, "{\"a\""));
    ck_assert_ptr_eq(e.auth.url.p, strstr(body, "https"));
    ck_assert(vwi_span_is(e.auth.raw, AUTH));
    ck_assert_ptr_null(e.scratch.p);
    vwi_envelope_fini(&e);
}
END_TEST

START_TEST(depth_counts_from_the_envelope)
{
    static const struct vwi_envelope_rules three = { .max_depth = 3 }, two = { .max_depth = 2 };
    struct vwi_span body = SPAN("{\"auth_data\":" AUTH ",\"payload\":{\"a\":[1]}}");
    struct vwi_text answer = VWI_TEXT_INIT;
    struct vwi_envelope e;

    ck_assert_int_eq(vwi_envelope_parse(body, &three, &e, &answer), VWI_ENVELOPE_OK);
    vwi_envelope_fini(&e);
    ck_assert_int_eq(vwi_envelope_parse(body, &two, &e, &answer), VWI_ENVELOPE_INVALID_JSON);
    vwi_envelope_fini(&e);
    vwi_text_fini(&answer);
}
END_TEST

static const struct {
    struct vwi_span body;
    enum vwi_envelope_verdict verdict;
    unsigned has;
    const char *answer;
} unsecured_cases[] = {
    { SPAN("{\"payload\":{}}"), VWI_ENVELOPE_OK, 0, NULL },
    { SPAN("{\"auth_data\":null,\"payload\":{}}"), VWI_ENVELOPE_OK, 0, NULL },
    { SPAN("{\"auth_data\":{},\"payload\":{}}"), VWI_ENVELOPE_OK, 0, NULL },
    { SPAN("{\"auth_data\":{\"reqnum\":1,\"cost\":2,\"url\":null},\"payload\":{}}"), VWI_ENVELOPE_OK,
      VWI_AUTH_REQNUM | VWI_AUTH_COST, NULL },
    { SPAN("{\"auth_data\":" AUTH ",\"payload\":{}}"), VWI_ENVELOPE_OK, VWI_AUTH_ALL, NULL },
    { SPAN("{\"prompt\":\"hi\"}"), VWI_ENVELOPE_PLAIN, 0, NULL },
    { SPAN("{\"auth_data\":" AUTH "}"), VWI_ENVELOPE_PLAIN, 0, NULL },
    { SPAN("[{\"payload\":{}}]"), VWI_ENVELOPE_PLAIN, 0, NULL },
    { SPAN("17"), VWI_ENVELOPE_PLAIN, 0, NULL },
    { SPAN("{\"payload\":1}"), VWI_ENVELOPE_INVALID, 0, "{\"payload\": {\"data\": \"payload must be a dictionary\"}}" },
    { SPAN("{\"auth_data\":[],\"payload\":{}}"), VWI_ENVELOPE_INVALID, 0, ALL_MISSING },
    { SPAN("{\"auth_data\":{\"reqnum\":\"x\"},\"payload\":{}}"), VWI_ENVELOPE_INVALID, 0,
      "{\"auth_data\": {\"reqnum\": \"wrong type\"}}" },
    { SPAN("GIF89a"), VWI_ENVELOPE_INVALID_JSON, 0, "{\"error\": \"invalid JSON\"}" },
    { { NULL, 0 }, VWI_ENVELOPE_INVALID_JSON, 0, "{\"error\": \"invalid JSON\"}" },
};

START_TEST(unsecured_rules_take_partial_auth_data_and_plain_json)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(unsecured_cases); i++) {
        struct vwi_text answer = VWI_TEXT_INIT;
        struct vwi_envelope e;

        ck_assert_int_eq(vwi_envelope_parse(unsecured_cases[i].body, &unsecured, &e, &answer), unsecured_cases[i].verdict);
        if (unsecured_cases[i].verdict == VWI_ENVELOPE_OK)
            ck_assert_uint_eq(e.auth.has, unsecured_cases[i].has);
        if (unsecured_cases[i].answer)
            ck_assert_str_eq(answer.p, unsecured_cases[i].answer);
        else
            ck_assert_uint_eq(answer.len, 0);
        vwi_envelope_fini(&e);
        vwi_text_fini(&answer);
    }
}
END_TEST

START_TEST(header_form_reads_auth_data_alone)
{
    static const struct {
        struct vwi_span json;
        enum vwi_envelope_verdict verdict;
        const char *answer;
    } cases[] = {
        { SPAN(" " AUTH "\n"), VWI_ENVELOPE_OK, "" },
        { SPAN("{}"), VWI_ENVELOPE_INVALID, ALL_MISSING },
        { SPAN("[]"), VWI_ENVELOPE_INVALID, ALL_MISSING },
        { SPAN("null"), VWI_ENVELOPE_INVALID, ALL_MISSING },
        { SPAN(AUTH "x"), VWI_ENVELOPE_INVALID_JSON, "{\"error\": \"invalid JSON\"}" },
        { SPAN(""), VWI_ENVELOPE_INVALID_JSON, "{\"error\": \"invalid JSON\"}" },
    };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(cases); i++) {
        struct vwi_text answer = VWI_TEXT_INIT;
        struct vwi_envelope e;

        vwi_text_adds(&answer, "");
        ck_assert_int_eq(vwi_auth_data_parse(cases[i].json, &secured, &e, &answer), cases[i].verdict);
        ck_assert_str_eq(answer.p, cases[i].answer);
        if (cases[i].verdict == VWI_ENVELOPE_OK) {
            ck_assert(e.auth.present && e.auth.has == VWI_AUTH_ALL && vwi_span_is(e.auth.raw, AUTH));
            ck_assert(!e.has_session && e.payload.len == 0);
        }
        vwi_envelope_fini(&e);
        vwi_text_fini(&answer);
    }
}
END_TEST

#define QUERY \
    "a=1&serverless_cost=242.0&serverless_endpoint=my+%65p&serverless_reqnum=5&serverless_request_idx=-43&" \
    "serverless_signature=a%2Bb+c%2F%3D&serverless%5Furl=https%3A%2F%2F203.0.113.7%3a41234&b=%zz&c"

START_TEST(query_form_reads_percent_encoded_parameters)
{
    struct vwi_text answer = VWI_TEXT_INIT, rest = VWI_TEXT_INIT;
    struct vwi_envelope e;

    ck_assert_int_eq(vwi_auth_data_from_query(SPAN(QUERY), &secured, &e, &answer), VWI_ENVELOPE_OK);
    ck_assert(e.auth.present && e.auth.has == VWI_AUTH_ALL);
    ck_assert(e.auth.cost == 242 && e.auth.reqnum == 5 && e.auth.request_idx == -43);
    ck_assert(vwi_span_is(e.auth.endpoint, "my ep") && vwi_span_is(e.auth.signature, "a+b+c/="));
    ck_assert(vwi_span_is(e.auth.url, "https://203.0.113.7:41234") && e.auth.raw.len == 0);
    vwi_envelope_fini(&e);
    ck_assert(vwi_query_without_auth(SPAN(QUERY), &rest));
    ck_assert_str_eq(rest.p, "a=1&b=%zz&c");
    vwi_text_fini(&rest);
    ck_assert_int_eq(vwi_auth_data_from_query(SPAN("serverless=2&xserverless_url=3"), &secured, &e, &answer), VWI_ENVELOPE_OK);
    ck_assert(!e.auth.present);
    vwi_envelope_fini(&e);
    ck_assert_int_eq(vwi_auth_data_from_query((struct vwi_span){ NULL, 0 }, &secured, &e, &answer), VWI_ENVELOPE_OK);
    ck_assert(!e.auth.present && answer.len == 0);
    vwi_envelope_fini(&e);
}
END_TEST

START_TEST(query_form_refuses_as_the_envelope_does)
{
    struct vwi_span query = SPAN("serverless_cost=x&serverless_url=u&serverless_reqnum=&serverless_request_idx=1%&"
                                 "serverless_signature&&=&serverless_cost=1");
    struct vwi_text answer = VWI_TEXT_INIT;
    struct vwi_envelope e;

    ck_assert_int_eq(vwi_auth_data_from_query(query, &secured, &e, &answer), VWI_ENVELOPE_INVALID);
    ck_assert_str_eq(answer.p,
                     "{\"auth_data\": {" MISSING("endpoint") ", \"reqnum\": \"wrong type\", \"request_idx\": \"wrong type\"}}");
    vwi_envelope_fini(&e);
    vwi_text_clear(&answer);
    ck_assert_int_eq(vwi_auth_data_from_query(SPAN("serverless_reqnum=9"), &unsecured, &e, &answer), VWI_ENVELOPE_OK);
    ck_assert(e.auth.has == VWI_AUTH_REQNUM && e.auth.reqnum == 9 && answer.len == 0);
    vwi_envelope_fini(&e);
    vwi_text_fini(&answer);
}
END_TEST

/* What is told after the head, and at which byte at the latest. */
START_TEST(auth_data_is_told_as_soon_as_it_is_complete)
{
    static const struct {
        struct vwi_span head;
        enum vwi_envelope_fed told;
        bool good;
    } cases[] = {
        { SPAN(""), VWI_FED_MORE, false },
        { SPAN(" {\"session_id\":null,\"auth_da"), VWI_FED_MORE, false },
        { SPAN("{\"auth_data\":{\"cost\":1"), VWI_FED_MORE, false },
        { SPAN("{\"auth_data\":" AUTH), VWI_FED_AUTH, true },
        { SPAN("{\"auth\\u005fdata\":" AUTH), VWI_FED_AUTH, true },
        { SPAN(" {\"x\":[1],\"session_id\":\"a\", \"auth_data\" : " AUTH ",\"payload\":{\"image\":\"iVBORw0"), VWI_FED_AUTH, true },
        { SPAN("{\"payload\":{},\"auth_data\":" AUTH), VWI_FED_MORE, false },
        { SPAN("{\"auth_data\":{}"), VWI_FED_AUTH, false },
        { SPAN("{\"auth_data\":[5]"), VWI_FED_AUTH, false },
        { SPAN("{}"), VWI_FED_MORE, false },
        { SPAN("[{\"auth_data\":" AUTH), VWI_FED_MORE, false },
        { SPAN("{\"x\":{\"auth_data\":" AUTH), VWI_FED_MORE, false },
        { SPAN("{]"), VWI_FED_BAD, false },
        { SPAN("{\"auth_data\":" AUTH ",}"), VWI_FED_AUTH, true },
        { SPAN("{\"payload\":{\"a\":\"\xff"), VWI_FED_BAD, false },
        { SPAN("NaN"), VWI_FED_BAD, false },
    };
    size_t i, len;

    for (i = 0; i < VWI_ARRAY_LEN(cases); i++) {
        enum vwi_envelope_fed told = VWI_FED_MORE;
        struct vwi_envelope_feed f;
        struct vwi_envelope e;

        vwi_envelope_feed_init(&f, &secured);
        for (len = 1; len <= cases[i].head.len && told == VWI_FED_MORE; len++) {
            char *piece = malloc(len); /* elsewhere each time */

            memcpy(piece, cases[i].head.p, len);
            told = vwi_envelope_feed(&f, piece, len);
            if (told == VWI_FED_AUTH) {
                ck_assert_msg(vwi_envelope_feed_auth(&f, piece, &e) == cases[i].good, "case %zu", i);
                if (cases[i].good)
                    ck_assert(vwi_span_is(e.auth.url, "https://203.0.113.7:41234"));
                ck_assert(piece[len - 1] == '}' || piece[len - 1] == ']');
                vwi_envelope_fini(&e);
            }
            free(piece);
        }
        ck_assert_msg(told == cases[i].told, "case %zu", i);
        vwi_envelope_feed_fini(&f);
    }
}
END_TEST

START_TEST(a_body_in_pieces_has_the_verdict_of_the_whole)
{
    static const struct vwi_span bodies[] = {
        SPAN("{\"auth_data\":" AUTH ",\"session_id\":\"a\\u00e9\",\"payload\":{\"a\":[1.5e3,true,null,\"\xf0\x9f\x98\x80\"]}}"),
        SPAN("{\"payload\":{\"x\":1},\"auth_data\":{},\"auth_data\":" AUTH ",\"payload\":{}} "),
        SPAN("{\"auth_data\":{\"cost\":[1],\"url\":5,\"endpoint\":\"\\n\"},\"payload\":[]}"),
        SPAN("{\"auth_data\":" AUTH ",\"payload\":{}}}"), SPAN("[1,2"), SPAN("12"), SPAN(""), SPAN("\"\\ud83d\""),
    };
    size_t i, first, second;

    for (i = 0; i < VWI_ARRAY_LEN(bodies); i++) {
        struct vwi_span body = bodies[i];
        struct vwi_text expected = VWI_TEXT_INIT, answer = VWI_TEXT_INIT;
        struct vwi_envelope whole, fed;
        enum vwi_envelope_verdict verdict = vwi_envelope_parse(body, &secured, &whole, &expected);

        for (first = 0; first <= body.len; first++) {
            for (second = first; second <= body.len; second += 1 + body.len / 16) {
                struct vwi_envelope_feed f;

                vwi_envelope_feed_init(&f, &secured);
                while (vwi_envelope_feed(&f, body.p, first) == VWI_FED_AUTH)
                    continue;
                while (vwi_envelope_feed(&f, body.p, second) == VWI_FED_AUTH)
                    continue;
                if (vwi_envelope_feed_end(&f, body.p, body.len, &fed, &answer) != verdict || fed.payload.p != whole.payload.p ||
                    fed.payload.len != whole.payload.len || fed.auth.has != whole.auth.has || answer.len != expected.len)
                    ck_abort_msg("body %zu cut at %zu and %zu", i, first, second);
                vwi_envelope_feed_fini(&f);
                vwi_envelope_fini(&fed);
                vwi_text_clear(&answer);
            }
        }
        ck_assert(true);
        vwi_envelope_fini(&whole);
        vwi_text_fini(&expected);
        vwi_text_fini(&answer);
    }
}
END_TEST

/* n allocations succeed, the next fails; until all do. */
START_TEST(every_failed_allocation_is_told)
{
    static const struct vwi_span bodies[] = {
        SPAN("{\"auth_data\":{\"cost\":1,\"endpoint\":\"\\u0061\",\"reqnum\":1,\"request_idx\":1,\"signature\":\"\\n\","
             "\"url\":\"\\/\"},\"payload\":{}}"),
        SPAN("{\"auth_data\":[],\"payload\":5,\"session_id\":[]}"),
        SPAN("nonsense"),
    };
    struct vwi_text answer = VWI_TEXT_INIT;
    struct vwi_envelope e;
    unsigned nth;
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(bodies); i++) {
        enum vwi_envelope_verdict verdict = VWI_ENVELOPE_NOMEM;

        for (nth = 0; verdict == VWI_ENVELOPE_NOMEM; nth++) {
            vwi_mem_fail_nth(nth);
            verdict = vwi_envelope_parse(bodies[i], &secured, &e, &answer);
            vwi_mem_fail_never();
            vwi_envelope_fini(&e);
            vwi_text_fini(&answer);
        }
        ck_assert_int_gt(nth, 1);
    }
    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_auth_data_from_query(SPAN(QUERY), &secured, &e, &answer), VWI_ENVELOPE_NOMEM);
    vwi_envelope_fini(&e);
    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_auth_data_from_query(SPAN("serverless_cost=1"), &secured, &e, &answer), VWI_ENVELOPE_NOMEM);
    vwi_envelope_fini(&e);
    vwi_mem_fail_nth(0);
    ck_assert(!vwi_query_without_auth(SPAN(QUERY), &answer));
    vwi_mem_fail_never();
    vwi_text_fini(&answer);
    vwi_envelope_fini(NULL);
}
END_TEST

static const struct vwi_span seeds[] = {
    SPAN("{\"auth_data\":" AUTH ",\"session_id\":null,\"payload\":{\"prompt\":\"hi\"}}"),
    SPAN("{\"auth_data\":" AUTH ",\"session_id\":\"a\\u0062\",\"payload\":{\"n\":[1,2.5e3]},\"payload\":{}}"),
    SPAN("{\"payload\":{\"a\":\"\\ud83d\\ude00\"},\"\\u0061uth_data\":{\"cost\":\"1\",\"url\":\"x\","
         "\"url\":\"\\u0079\"},\"session_id\":[]}"),
    SPAN("{\"auth_data\":{\"cost\":1,\"endpoint\":null,\"reqnum\":5.0,\"request_idx\":1e2,"
         "\"signature\":\"\",\"url\":{}},\"payload\":[]}"),
};

START_TEST(jansson_agrees_on_mutated_envelopes)
{
    static const char *const pieces[] = { "{", "}", "[", "]", "\"", ",", ":", "\\", "null", "1", "\"payload\":", "\"auth_data\":",
                                          "\"session_id\":", "\"reqnum\":", "e9", ".", "\\u0000", " ", "\xc3", "{}" };
    uint64_t random = 0x2545f4914f6cdd1du + (uint64_t)_i;
    char text[1024];
    int round;

    for (round = 0; round < 10000; round++) {
        const struct vwi_span *from = &seeds[round % VWI_ARRAY_LEN(seeds)];
        int changes = 1 + round % 3;
        size_t len = from->len;
        const char *complaint;

        memcpy(text, from->p, len);
        while (changes--) {
            const char *piece;
            size_t at, cut;

            random = random * 6364136223846793005u + 1442695040888963407u;
            piece = pieces[(random >> 20) % VWI_ARRAY_LEN(pieces)];
            at = (size_t)(random >> 33) % len;
            cut = (size_t)(random >> 60) % 4;
            cut = cut < len - at ? cut : len - at;
            memmove(text + at + strlen(piece), text + at + cut, len - at - cut);
            memcpy(text + at, piece, strlen(piece));
            len += strlen(piece) - cut;
        }
        complaint = oracle_check_envelope(text, len, round & 1);
        if (complaint)
            ck_abort_msg("%s: %.*s", complaint, (int)len, text);
    }
}
END_TEST

Suite *envelope_suite(void);

Suite *envelope_suite(void)
{
    Suite *s = suite_create("envelope");
    TCase *tc = tcase_create("envelope");

    tcase_add_test(tc, envelope_takes_the_accepted_cases);
    tcase_add_test(tc, envelope_refuses_the_refused_cases_field_by_field);
    tcase_add_test(tc, payload_and_strings_point_into_the_body);
    tcase_add_test(tc, depth_counts_from_the_envelope);
    tcase_add_test(tc, unsecured_rules_take_partial_auth_data_and_plain_json);
    tcase_add_test(tc, header_form_reads_auth_data_alone);
    tcase_add_test(tc, query_form_reads_percent_encoded_parameters);
    tcase_add_test(tc, query_form_refuses_as_the_envelope_does);
    tcase_add_test(tc, auth_data_is_told_as_soon_as_it_is_complete);
    tcase_add_test(tc, a_body_in_pieces_has_the_verdict_of_the_whole);
    tcase_add_test(tc, every_failed_allocation_is_told);
    tcase_add_loop_test(tc, jansson_agrees_on_mutated_envelopes, 0, 3);
    suite_add_tcase(s, tc);
    return s;
}
