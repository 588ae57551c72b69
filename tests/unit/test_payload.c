/* Reading payloads in place: pointers, counts, numbers, strings, unwrapping; on bytes that are no JSON it is only safe. */
#include <check.h>
#include <stdint.h>

#include "oracle_json.h"

#define SPAN(text) ((struct vwi_span){ text, sizeof(text) - 1 })

/* The document of RFC 6901, section 5, and more. */
static const char rfc6901[] =
    " {\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8} ";

static const struct {
    const char *json, *pointer;
    enum vwi_kind kind;
    const char *value;
} finds[] = {
    { rfc6901, "/foo", VWI_KIND_ARRAY, "[\"bar\",\"baz\"]" },
    { rfc6901, "/foo/0", VWI_KIND_STRING, "\"bar\"" },
    { rfc6901, "/", VWI_KIND_NUMBER, "0" },
    { rfc6901, "/a~1b", VWI_KIND_NUMBER, "1" },
    { rfc6901, "/c%d", VWI_KIND_NUMBER, "2" },
    { rfc6901, "/e^f", VWI_KIND_NUMBER, "3" },
    { rfc6901, "/g|h", VWI_KIND_NUMBER, "4" },
    { rfc6901, "/i\\j", VWI_KIND_NUMBER, "5" },
    { rfc6901, "/k\"l", VWI_KIND_NUMBER, "6" },
    { rfc6901, "/ ", VWI_KIND_NUMBER, "7" },
    { rfc6901, "/m~0n", VWI_KIND_NUMBER, "8" },
    { rfc6901, "/foo/-", VWI_KIND_ABSENT, NULL },
    { rfc6901, "/foo/2", VWI_KIND_ABSENT, NULL },
    { rfc6901, "/foo/00", VWI_KIND_ABSENT, NULL },
    { rfc6901, "/foo/01", VWI_KIND_ABSENT, NULL },
    { rfc6901, "/foo/", VWI_KIND_ABSENT, NULL },
    { rfc6901, "/foo/0/0", VWI_KIND_ABSENT, NULL },
    { rfc6901, "/foo/18446744073709551616", VWI_KIND_ABSENT, NULL },
    { rfc6901, "foo", VWI_KIND_ABSENT, NULL },
    { rfc6901, "/a/b", VWI_KIND_ABSENT, NULL },
    { rfc6901, "/m~n", VWI_KIND_ABSENT, NULL },
    { rfc6901, "/m~2n", VWI_KIND_ABSENT, NULL },
    { rfc6901, "/m~", VWI_KIND_ABSENT, NULL },
    { "\n[1, 2]\t", "", VWI_KIND_ARRAY, "[1, 2]" },
    { " -1.5e3 ", "", VWI_KIND_NUMBER, "-1.5e3" },
    { "[ true , false,null ]", "/1", VWI_KIND_BOOL, "false" },
    { "[ true , false,null ]", "/2", VWI_KIND_NULL, "null" },
    { "[[],{},\"]}\"]", "/1", VWI_KIND_OBJECT, "{}" },
    { "{\"a\":1,\"b\":2,\"a\":3}", "/a", VWI_KIND_NUMBER, "3" },
    { "{\"a\":{\"x\":1},\"\\u0061\":{\"y\":2}}", "/a/x", VWI_KIND_ABSENT, NULL },
    { "{\"a\":{\"x\":1},\"\\u0061\":{\"y\":2}}", "/a/y", VWI_KIND_NUMBER, "2" },
    { "{\"a\\/b\":1,\"\\u007e\":2}", "/a~1b", VWI_KIND_NUMBER, "1" },
    { "{\"a\\/b\":1,\"\\u007e\":2}", "/~0", VWI_KIND_NUMBER, "2" },
    { "{\"~0\":1}", "/~00", VWI_KIND_NUMBER, "1" },
    { "{\"~1\":1}", "/~01", VWI_KIND_NUMBER, "1" },
    { "{\"/\":1}", "/~01", VWI_KIND_ABSENT, NULL },
    { "{\"\\ud800\":1}", "/\xef\xbf\xbd", VWI_KIND_ABSENT, NULL },
    { "{\"\\ud800~\":1}", "/\xef\xbf\xbd~0", VWI_KIND_ABSENT, NULL },
    { "{\"\\ud83d\\ude00\":1}", "/\xf0\x9f\x98\x80", VWI_KIND_NUMBER, "1" },
    { "{\"s\":\"a\\\\\",\"t\":\"\\\\\\\"\",\"u\":1}", "/u", VWI_KIND_NUMBER, "1" },
    { "{\"long\":\"0123456789[{}]0123456789\",\"n\":[1,2,3,4,5,6,7,8,9,10,11,12,13,[14]],\"z\":1}", "/z", VWI_KIND_NUMBER, "1" },
    { "{\"n\":[1,2,3,4,5,6,7,8,9,10,11,12,13,[14]]}", "/n/13/0", VWI_KIND_NUMBER, "14" },
    { "", "", VWI_KIND_ABSENT, NULL },
    { "", "/a", VWI_KIND_ABSENT, NULL },
    { "5", "/a", VWI_KIND_ABSENT, NULL },
};

START_TEST(pointers_find_what_rfc_6901_says)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(finds); i++) {
        struct vwi_span json = { finds[i].json, strlen(finds[i].json) }, value = SPAN("untouched");

        ck_assert_msg(vwi_payload_find(json, finds[i].pointer, &value) == finds[i].kind, "row %zu: %s", i, finds[i].pointer);
        ck_assert_msg(vwi_span_is(value, finds[i].value ? finds[i].value : "untouched"), "row %zu: %.*s", i, (int)value.len,
                      value.p);
        ck_assert_int_eq(vwi_payload_find(json, finds[i].pointer, NULL), finds[i].kind);
    }
    ck_assert_int_eq(vwi_payload_find((struct vwi_span){ NULL, 0 }, "", NULL), VWI_KIND_ABSENT);
}
END_TEST

START_TEST(count_is_entries_or_members)
{
    static const struct {
        struct vwi_span value;
        size_t count;
    } cases[] = {
        { SPAN("[]"), 0 }, { SPAN("{}"), 0 },
        { SPAN(" [ [1,2], \"a,b\" ,{\"x\":[3]}] "), 3 }, { SPAN("{\"a\":1,\"b\":[1,2]}"), 2 },
        { SPAN("[0]"), 1 }, { SPAN("{\"a\":1,\"a\":2}"), 2 }, { SPAN("\"abc\""), 0 }, { SPAN("5"), 0 }, { SPAN(""), 0 },
    };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(cases); i++)
        ck_assert_msg(vwi_payload_count(cases[i].value) == cases[i].count, "case %zu", i);
}
END_TEST

START_TEST(number_is_one_that_a_double_can_hold)
{
    double number = 7;

    ck_assert(!vwi_payload_number(SPAN("1e999"), &number) && !vwi_payload_number(SPAN("\"1\""), &number));
    ck_assert(!vwi_payload_number(SPAN("true"), &number) && !vwi_payload_number(SPAN("[1]"), &number));
    ck_assert(!vwi_payload_number(SPAN(""), &number) && !vwi_payload_number(SPAN("1x"), &number) && number == 7);
    ck_assert(vwi_payload_number(SPAN(" 128 "), &number) && number == 128);
    ck_assert(vwi_payload_number(SPAN("-1.5E-3"), &number) && number == -0.0015);
    ck_assert(vwi_payload_number(SPAN("12345678901234567890"), &number) && number == 12345678901234567890.0);
}
END_TEST

START_TEST(string_is_unescaped_and_cut_between_characters)
{
    static const struct {
        struct vwi_span value;
        size_t size;
        struct vwi_span text;
    } cases[] = {
        { SPAN("\"abc\""), 10, SPAN("abc") },
        { SPAN(" \"abc\" "), 4, SPAN("abc") },
        { SPAN("\"abc\""), 3, SPAN("ab") },
        { SPAN("\"abc\""), 1, SPAN("") },
        { SPAN("\"\""), 1, SPAN("") },
        { SPAN("\"a\\n\\u00e9\\ud83d\\ude00\\/\""), 20, SPAN("a\n\xc3\xa9\xf0\x9f\x98\x80/") },
        { SPAN("\"a\xc3\xa9\""), 3, SPAN("a") },
        { SPAN("\"\\ud83d\\ude00\""), 4, SPAN("") },
        { SPAN("\"x\\u0000y\""), 9, SPAN("x\0y") },
        { SPAN("\"\\ud800x\\udc00\""), 20, SPAN("\xef\xbf\xbdx\xef\xbf\xbd") },
    };
    char out[32];
    size_t i, len;

    for (i = 0; i < VWI_ARRAY_LEN(cases); i++) {
        memset(out, '#', sizeof out);
        ck_assert(vwi_payload_string(cases[i].value, out, cases[i].size, &len));
        ck_assert_msg(len == cases[i].text.len && memcmp(out, cases[i].text.p, len + 1) == 0, "case %zu: %s", i, out);
        ck_assert_int_eq(out[cases[i].size], '#');
    }
    ck_assert(!vwi_payload_string(SPAN("5"), out, sizeof out, &len) && !vwi_payload_string(SPAN("\"a\""), out, 0, &len));
    ck_assert(!vwi_payload_string(SPAN("\""), out, sizeof out, &len) && vwi_payload_string(SPAN("\"a\""), out, 2, NULL));
}
END_TEST

START_TEST(unwrap_takes_an_input_that_is_an_object)
{
    static const struct {
        struct vwi_span payload;
        const char *unwrapped;
    } cases[] = {
        { SPAN("{\"input\":{\"model\":\"m\"}}"), "{\"model\":\"m\"}" },
        { SPAN("{\"input\":1,\"input\": { } }"), "{ }" },
        { SPAN("{\"input\":null,\"a\":1}"), "{\"input\":null,\"a\":1}" },
        { SPAN("{\"input\":\"embed me\"}"), "{\"input\":\"embed me\"}" },
        { SPAN("{\"input\":[\"a\",\"b\"]}"), "{\"input\":[\"a\",\"b\"]}" },
        { SPAN("{\"a\":{\"input\":{}}}"), "{\"a\":{\"input\":{}}}" },
    };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(cases); i++)
        ck_assert_msg(vwi_span_is(vwi_payload_unwrap(cases[i].payload), cases[i].unwrapped), "case %zu", i);
}
END_TEST

START_TEST(jansson_agrees_on_mutated_payloads)
{
    static const char *const pointers[] = { "", "/a", "/a/b", "/a/0", "/b/1/c", "//", "/a/b/2", "/10" };
    static const struct vwi_span seeds[] = {
        SPAN("{\"a\":{\"b\":[1,\"x\\\"]\",{\"c\":null}]},\"b\":[0,{\"c\":\"\\u00e9\"}],\"\":{\"\":1.5}}"),
        SPAN("{\"a\":[10,20,30],\"b\":[[],{\"c\":[{}]}],\"a\":{\"b\":\"abc\",\"\\u0062\":[1,2,3]}}"),
        SPAN("[0,1,2,3,4,5,6,7,8,9,{\"a\":\"\\\\\"},\"tail\"]"),
    };
    static const char alphabet[] = "{}[]\",:\\ab01.e-n \x80";
    uint64_t random = 0x853c49e6748fea9bu + (uint64_t)_i;
    char text[256], *copy;
    int round;

    for (round = 0; round < 20000; round++) {
        const struct vwi_span *from = &seeds[round % VWI_ARRAY_LEN(seeds)];
        int changes = round % 4;
        const char *complaint;
        size_t len = from->len;

        memcpy(text, from->p, len);
        while (changes--) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            text[(random >> 33) % len] = alphabet[(random >> 20) % (sizeof alphabet - 1)];
        }
        len -= random >> 61 == 0 ? (size_t)(random >> 40) % len : 0;
        copy = malloc(len);
        memcpy(copy, text, len);
        complaint = oracle_check_payload(copy, len, pointers[(random >> 10) % VWI_ARRAY_LEN(pointers)]);
        free(copy);
        if (complaint)
            ck_abort_msg("%s: %.*s", complaint, (int)len, text);
    }
}
END_TEST

/* What is said of them here is wrong, which shows that it is believed. */
START_TEST(values_that_are_known_are_not_walked_through)
{
    static const char text[] = "[\"aa\",\"b\",{\"c\":\"dd\"},5]";
    const struct vwi_scan_long wrong = { { text + 1, 8 }, 0 }, beyond = { { text + 1, sizeof text }, 0 };
    const struct vwi_scan_long object = { { text + 10, 10 }, 70 };
    const struct vwi_span json = SPAN(text);
    struct vwi_span value;

    ck_assert_uint_eq(vwi_payload_count(json), 4);
    vwi_payload_know(&wrong, 1);
    ck_assert_uint_eq(vwi_payload_count(json), 3);
    ck_assert_int_eq(vwi_payload_find(json, "/1/c", &value), VWI_KIND_STRING);
    ck_assert(vwi_span_is(value, "\"dd\""));
    ck_assert_int_eq(vwi_payload_find((struct vwi_span){ text + 10, 10 }, "/c", &value), VWI_KIND_STRING); /* others are as before */
    ck_assert(vwi_span_is(value, "\"dd\""));
    vwi_payload_know(&beyond, 1);
    ck_assert_uint_eq(vwi_payload_count(json), 4);
    vwi_payload_know(&object, 1);
    ck_assert_uint_eq(vwi_payload_count(json), 4);
    ck_assert_int_eq(vwi_payload_find(json, "/2", &value), VWI_KIND_OBJECT);
    ck_assert(vwi_span_is(value, "{\"c\":\"dd\"}"));
    ck_assert_uint_eq(vwi_payload_count(value), 70);
    ck_assert_uint_eq(vwi_payload_count((struct vwi_span){ value.p, value.len - 1 }), 1); /* of another length */
    vwi_payload_know(NULL, 0);
    ck_assert_uint_eq(vwi_payload_count(json), 4);
    ck_assert_uint_eq(vwi_payload_count(value), 1);
}
END_TEST

Suite *payload_suite(void);

Suite *payload_suite(void)
{
    Suite *s = suite_create("payload");
    TCase *tc = tcase_create("payload");

    tcase_add_test(tc, pointers_find_what_rfc_6901_says);
    tcase_add_test(tc, count_is_entries_or_members);
    tcase_add_test(tc, number_is_one_that_a_double_can_hold);
    tcase_add_test(tc, string_is_unescaped_and_cut_between_characters);
    tcase_add_test(tc, unwrap_takes_an_input_that_is_an_object);
    tcase_add_test(tc, values_that_are_known_are_not_walked_through);
    tcase_add_loop_test(tc, jansson_agrees_on_mutated_payloads, 0, 3);
    suite_add_tcase(s, tc);
    return s;
}
