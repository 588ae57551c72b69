/* The JSON scanner: what RFC 8259 allows and refuses, strings at every alignment, numbers, and jansson's opinion on mutations. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/payload.h"
#include "core/scan.h"
#include "oracle_json.h"

#define SPAN(text) ((struct vwi_span){ text, sizeof(text) - 1 })

static const struct vwi_span accepted[] = {
    SPAN("{}"), SPAN("[]"), SPAN(" \t\r\n1 \n"), SPAN("null"), SPAN("true"), SPAN("false"), SPAN("\"\""), SPAN("-0"),
    SPAN("0.0"), SPAN("-1.5E+10"), SPAN("1e999"), SPAN("12345678901234567890"), SPAN("[1,2 , 3]"),
    SPAN("{\"a\":{\"b\":[{}]},\"a\":[]}"), SPAN("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\""), SPAN("\"\\u0000\""),
    SPAN("\"\\ud800\""), SPAN("\"\\udc00\\ud800\""), SPAN("\"\x7f\""),
    SPAN("\"\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""), SPAN("{\"\":0}"),
    SPAN("{\"\\u0061\" : 1 , \"b\" : [ ] }"), SPAN("[[[[]],[]]]"),
};

static const struct vwi_span refused[] = {
    SPAN(""), SPAN(" "), SPAN("NaN"), SPAN("Infinity"), SPAN("-Infinity"), SPAN("-"), SPAN("+1"), SPAN("01"), SPAN("-01"),
    SPAN("1."), SPAN(".5"), SPAN("1e"), SPAN("1e+"), SPAN("0x1"), SPAN("1 2"), SPAN("\xef\xbb\xbf{}"), SPAN("{} {}"),
    SPAN("[1,]"), SPAN("[,1]"), SPAN("[1 2]"), SPAN("["), SPAN("]"), SPAN("[1}"), SPAN("{]"), SPAN("{\"a\"}"),
    SPAN("{\"a\":}"), SPAN("{\"a\":1,}"), SPAN("{,}"), SPAN("{a:1}"), SPAN("{'a':1}"), SPAN("{1:1}"), SPAN("{\"a\" 1}"),
    SPAN("{\"a\":1"), SPAN("{\"a\":1 \"b\":2}"), SPAN("nul"), SPAN("nulll"), SPAN("True"), SPAN("tru"), SPAN("\""),
    SPAN("\"a"), SPAN("\"\\"), SPAN("\"\\\""), SPAN("\"\\x41\""), SPAN("\"\\u12\""), SPAN("\"\\u12g4\""), SPAN("\"\\u123"),
    SPAN("\"\n\""), SPAN("\"\x1f\""), SPAN("\"\0\""), SPAN("[1\0]"), SPAN("null\0"), SPAN("\v1"), SPAN("\"\x80\""),
    SPAN("\"\xc0\x80\""), SPAN("\"\xc1\xbf\""), SPAN("\"\xc2\""), SPAN("\"\xe0\x9f\xbf\""), SPAN("\"\xed\xa0\x80\""),
    SPAN("\"\xe2\x82\""), SPAN("\"\xf0\x8f\xbf\xbf\""), SPAN("\"\xf4\x90\x80\x80\""), SPAN("\"\xf5\x80\x80\x80\""),
    SPAN("\"\xff\""), SPAN("\xc3\xa9"), SPAN("// c\n1"), SPAN("[1]/* */"),
};

/* For loops of thousands of checks: ck_assert tells the parent process about each. */
#define EXPECT(x) \
    do { if (!(x)) ck_abort_msg("%s", #x); } while (0)

/* A copy of the very size, so that a sanitizer sees every byte read beyond it. */
static bool is_valid(struct vwi_span text, int max_depth)
{
    char *copy = malloc(text.len ? text.len : 1);
    bool valid;

    if (text.len)
        memcpy(copy, text.p, text.len);
    valid = vwi_json_valid((struct vwi_span){ copy, text.len }, max_depth);
    free(copy);
    return valid;
}

START_TEST(scanner_takes_what_rfc_8259_allows)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(accepted); i++)
        ck_assert_msg(is_valid(accepted[i], 512), "row %zu: %s", i, accepted[i].p);
}
END_TEST

START_TEST(scanner_refuses_what_rfc_8259_does_not_allow)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(refused); i++)
        ck_assert_msg(!is_valid(refused[i], 512), "row %zu: %s", i, refused[i].p);
}
END_TEST

START_TEST(scanner_refuses_every_beginning_of_a_text)
{
    struct vwi_span whole = SPAN("{\"a\\u00e9\":[1.5e1,true,\"\xe2\x82\xac\",{\"b\":null}],\"c\":\"\\n\"}");

    ck_assert(is_valid(whole, 512));
    while (whole.len--)
        ck_assert(!is_valid(whole, 512));
}
END_TEST

static struct vwi_span nest(char *text, int depth, const char *open, const char *close, const char *inside)
{
    struct vwi_text t = VWI_TEXT_INIT;
    int i;

    for (i = 0; i < depth; i++)
        vwi_text_adds(&t, open);
    vwi_text_adds(&t, inside);
    for (i = 0; i < depth; i++)
        vwi_text_adds(&t, close);
    memcpy(text, t.p, t.len + 1);
    vwi_text_fini(&t);
    return (struct vwi_span){ text, strlen(text) };
}

START_TEST(scanner_takes_containers_up_to_the_depth_asked_for)
{
    static const int depths[] = { 1, 2, 63, 64, 65, 128, 512, 9999, VWI_SCAN_DEPTH_MAX };
    char *text = malloc(VWI_SCAN_DEPTH_MAX * 12);
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(depths); i++) {
        int depth = depths[i];

        ck_assert(is_valid(nest(text, depth, "[", "]", ""), depth));
        ck_assert(is_valid(nest(text, depth, "[1,", "]", "2"), depth));
        ck_assert(is_valid(nest(text, depth, "{\"a\":", "}", "1"), depth));
        ck_assert(!is_valid(nest(text, depth, "[", "]", ""), depth - 1));
        ck_assert(!is_valid(nest(text, depth, "{\"a\":", "}", "1"), depth - 1));
    }
    ck_assert(!is_valid(nest(text, VWI_SCAN_DEPTH_MAX + 1, "[", "]", ""), VWI_SCAN_DEPTH_MAX + 1));
    ck_assert(is_valid(nest(text, 300, "[{\"a\":", "}]", "[]"), 601));
    ck_assert(!is_valid(nest(text, 300, "[{\"a\":", "]}", "[]"), 601));
    ck_assert(is_valid(SPAN("5"), 0));
    ck_assert(!is_valid(SPAN("[]"), 0));
    free(text);
}
END_TEST

/* Every byte at every place of strings up to 80 bytes, at every alignment. */
START_TEST(strings_end_where_they_should_at_any_offset)
{
    static const char specials[] = { '"', '\\', 0x1f, 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, (char)0x80, (char)0xff, 0 };
    char buffer[128];
    size_t shift, at, which;

    for (shift = 0; shift < 8; shift++) {
        for (at = 0; at < 80; at++) {
            for (which = 0; which < sizeof specials; which++) {
                struct vwi_scan s;
                char c = specials[which];
                bool plain = c == 0x20 || c == 0x21 || c == 0x23 || c == 0x5b || c == 0x5d || c == 0x7f;

                memset(buffer, 'a', sizeof buffer);
                buffer[shift] = '"';
                buffer[shift + 1 + at] = c;
                buffer[shift + 100] = '"';
                vwi_scan_init(&s, 1, 0);
                if (c == '"' || plain) {
                    EXPECT(vwi_scan_run(&s, buffer + shift, 101) == VWI_SCAN_VALUE);
                    EXPECT(vwi_scan_value(&s).from == 0 && vwi_scan_value(&s).to == (plain ? 99 : at) + 2);
                } else {
                    EXPECT(vwi_scan_run(&s, buffer + shift, 101) == VWI_SCAN_BAD);
                    EXPECT(s.at == at + 1);
                }
            }
        }
    }
}
END_TEST

START_TEST(numbers_become_the_nearest_double)
{
    static const char *const tokens[] = {
        "0", "-0", "1", "-1.5", "0.1", "1e5", "1E-5", "123456789012345678", "12345678901234567890", "0.000001234e-10",
        "1e308", "1e-320", "4.9e-324", "1e-400", "2.2250738585072011e-308", "9007199254740993",
        "0.1000000000000000055511151231257827021181583404541015625", "179769313486231570000000000000000000000e270",
        "0e999999999999999999999", "1e-99999999999999999999999",
    };
    uint64_t random = 88172645463325252u;
    char text[64];
    double number;
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(tokens); i++) {
        ck_assert(vwi_scan_number((struct vwi_span){ tokens[i], strlen(tokens[i]) }, &number));
        ck_assert_msg(number == strtod(tokens[i], NULL), "%s became %.17g", tokens[i], number);
    }
    for (i = 0; i < 20000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        snprintf(text, sizeof text, "%s%llu.%llue%d", random & 1 ? "-" : "", (unsigned long long)(random >> (random & 63)),
                 (unsigned long long)random % 1000000007, (int)(random >> 20 & 511) - 256);
        EXPECT(vwi_scan_number((struct vwi_span){ text, strlen(text) }, &number));
        if (number != strtod(text, NULL))
            ck_abort_msg("%s became %.17g", text, number);
    }
    ck_assert(vwi_scan_number(SPAN("1e999"), &number) && isinf(number) && number > 0);
    ck_assert(vwi_scan_number(SPAN("-1e999"), &number) && isinf(number) && number < 0);
    number = 7;
    ck_assert(!vwi_scan_number(SPAN("1 "), &number) && !vwi_scan_number(SPAN(""), &number));
    ck_assert(!vwi_scan_number(SPAN("\"1\""), &number));
    ck_assert(!vwi_scan_number(SPAN("[]"), &number) && !vwi_scan_number(SPAN("null"), &number) && number == 7);
}
END_TEST

START_TEST(numbers_of_a_thousand_digits_are_rounded_by_all_of_them)
{
    char text[2048] = "1.";
    double number;

    /* half way between 1 and the next double, then a last digit far behind that decides */
    memcpy(text + 2, "00000000000000011102230246251565404236316680908203125", 54);
    ck_assert(vwi_scan_number((struct vwi_span){ text, strlen(text) }, &number) && number == 1.0);
    memset(text + strlen(text), '0', 1500);
    ck_assert(vwi_scan_number((struct vwi_span){ text, strlen(text) }, &number) && number == 1.0);
    memcpy(text + strlen(text), "1", 2);
    ck_assert(vwi_scan_number((struct vwi_span){ text, strlen(text) }, &number) && number > 1.0);
    memset(text, '9', 1200);
    memcpy(text + 1200, "e-1200", 7);
    ck_assert(vwi_scan_number((struct vwi_span){ text, strlen(text) }, &number) && number == 1.0);
}
END_TEST

START_TEST(strings_are_compared_by_what_they_mean)
{
    static const struct {
        struct vwi_span raw, text;
        bool same;
    } cases[] = {
        { SPAN("payload"), SPAN("payload"), true },       { SPAN("payloa"), SPAN("payload"), false },
        { SPAN("p\\u0061yload"), SPAN("payload"), true }, { SPAN("p\\u0061yloadx"), SPAN("payload"), false },
        { SPAN("\\/\\n\\t\\\\"), SPAN("/\n\t\\"), true }, { SPAN("\\ud83d\\ude00"), SPAN("\xf0\x9f\x98\x80"), true },
        { SPAN("\\u00E9"), SPAN("\xc3\xa9"), true },      { SPAN("\\ud800"), SPAN("\xef\xbf\xbd"), false },
        { SPAN("\\ufffd"), SPAN("\xef\xbf\xbd"), true },  { SPAN("a\\u0000b"), SPAN("a\0b"), true },
        { SPAN(""), SPAN(""), true },                     { SPAN("\\u0061"), SPAN(""), false },
    };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(cases); i++) {
        struct vwi_scan_string str = { cases[i].raw, memchr(cases[i].raw.p, '\\', cases[i].raw.len) != NULL };

        ck_assert_msg(vwi_scan_string_is(&str, cases[i].text.p, cases[i].text.len) == cases[i].same, "case %zu", i);
    }
}
END_TEST

START_TEST(every_character_survives_utf8)
{
    unsigned point, back;
    char out[4];

    for (point = 0; point <= 0x10ffff; point++) {
        size_t len = vwi_scan_encode(point, out);
        const char *p = out;

        EXPECT(vwi_scan_utf8(out, out + len, &back) == len);
        EXPECT(back == (vwi_scan_is_surrogate(point) ? 0xfffd : point));
        if (point != '\\') {
            EXPECT(vwi_scan_point(&p, out + len) == back);
            EXPECT(p == out + len);
        }
        while (--len)
            EXPECT(vwi_scan_utf8(out, out + len, &back) == 0);
    }
}
END_TEST

static void expect_key(struct vwi_scan *s, struct vwi_span text, const char *key, int depth)
{
    ck_assert_int_eq(vwi_scan_run(s, text.p, text.len), VWI_SCAN_KEY);
    ck_assert(vwi_span_is(vwi_scan_key(s, text.p).raw, key));
    ck_assert_int_eq(s->depth, depth);
}

static void expect_value(struct vwi_scan *s, struct vwi_span text, const char *value, int depth)
{
    struct vwi_scan_range range;

    ck_assert_int_eq(vwi_scan_run(s, text.p, text.len), VWI_SCAN_VALUE);
    range = vwi_scan_value(s);
    ck_assert(vwi_span_is((struct vwi_span){ text.p + range.from, range.to - range.from }, value));
    ck_assert_int_eq(s->depth, depth);
}

START_TEST(members_are_told_in_order_as_deep_as_was_asked_for)
{
    struct vwi_span text = SPAN(" { \"a\" : 1 , \"b\\n\":{\"c\":[2]}, \"\":{}} x");
    struct vwi_scan s;

    vwi_scan_init(&s, 3, 1);
    expect_key(&s, text, "a", 1);
    ck_assert(!s.escaped);
    expect_value(&s, text, "1", 1);
    expect_key(&s, text, "b\\n", 1);
    ck_assert(s.escaped);
    s.tell = 2;
    expect_key(&s, text, "c", 2);
    expect_value(&s, text, "[2]", 2);
    expect_value(&s, text, "{\"c\":[2]}", 1);
    s.tell = 1;
    expect_key(&s, text, "", 1);
    expect_value(&s, text, "{}", 1);
    expect_value(&s, text, "{ \"a\" : 1 , \"b\\n\":{\"c\":[2]}, \"\":{}}", 0);
    ck_assert(vwi_scan_is_whole(&s));
    ck_assert_int_eq(vwi_scan_run(&s, text.p, text.len), VWI_SCAN_BAD); /* one text and no more */
    vwi_scan_fini(&s);
}
END_TEST

/* Cut anywhere, twice: the same verdict as in one piece, and no sooner or later than at the byte that decides. */
START_TEST(a_text_in_pieces_is_judged_like_the_whole)
{
    size_t table, i, first, second;

    for (table = 0; table < 2; table++) {
        for (i = 0; i < (table ? VWI_ARRAY_LEN(refused) : VWI_ARRAY_LEN(accepted)); i++) {
            struct vwi_span text = table ? refused[i] : accepted[i];

            for (first = 0; first <= text.len; first++) {
                for (second = first; second <= text.len; second++) {
                    struct vwi_scan s;
                    bool good;

                    vwi_scan_init(&s, 512, -1);
                    good = vwi_scan_run(&s, text.p, first) == VWI_SCAN_MORE && vwi_scan_run(&s, text.p, second) == VWI_SCAN_MORE &&
                           vwi_scan_run(&s, text.p, text.len) == VWI_SCAN_MORE && vwi_scan_is_whole(&s);
                    EXPECT(good == !table);
                    vwi_scan_fini(&s);
                }
            }
        }
    }
}
END_TEST

/* A list of one-letter strings of these lengths without their quotes, the first of which holds an escaped quote; a key at the end. */
static char *list_of_strings(const size_t *lengths, size_t count, size_t *ret_len)
{
    size_t i, at = 1, size = VWI_SCAN_LONG_BYTES + 100; /* of the key */
    char *text;

    for (i = 0; i < count; i++)
        size += lengths[i] + 3;
    text = malloc(size);
    text[0] = '[';
    for (i = 0; i < count; i++) {
        text[at] = '"';
        memset(text + at + 1, 'a', lengths[i]);
        if (i == 0)
            memcpy(text + at + 7, "\\\"", 2);
        at += lengths[i] + 1;
        memcpy(text + at, "\",", 2);
        at += 2;
    }
    memcpy(text + at, "{\"", 2);
    memset(text + at + 2, 'k', VWI_SCAN_LONG_BYTES);
    at += VWI_SCAN_LONG_BYTES + 2;
    memcpy(text + at, "\":1}]", 5);
    *ret_len = at + 5;
    return text;
}

/* In pieces of at most `piece` bytes, from a place that moves. */
static size_t find_longs(const char *text, size_t len, size_t piece, struct vwi_scan_long longs[VWI_SCAN_LONG_MAX])
{
    struct vwi_scan s;
    size_t at, count;

    vwi_scan_init(&s, 512, -1);
    for (at = 0; at < len;) {
        char *copy;

        at = len - at < piece ? len : at + piece;
        copy = malloc(at);
        memcpy(copy, text, at);
        EXPECT(vwi_scan_run(&s, copy, at) == VWI_SCAN_MORE);
        free(copy);
    }
    EXPECT(vwi_scan_is_whole(&s));
    count = vwi_scan_longs(&s, text, longs);
    vwi_scan_fini(&s);
    return count;
}

START_TEST(long_values_are_known_and_keys_are_not)
{
    static const size_t lengths[] = { VWI_SCAN_LONG_BYTES + 1000, 3, VWI_SCAN_LONG_BYTES - 3, VWI_SCAN_LONG_BYTES - 2, 0,
                                      3 * VWI_SCAN_LONG_BYTES };
    struct vwi_scan_long longs[VWI_SCAN_LONG_MAX];
    size_t len, piece, count, i;
    char *text = list_of_strings(lengths, VWI_ARRAY_LEN(lengths), &len);

    ck_assert_uint_eq(find_longs(text, len, len, longs), 2); /* the list, and the object with the key; strings only where they were cut */
    ck_assert_ptr_eq(longs[0].value.p, text);
    ck_assert_int_eq(longs[1].value.p[0], '{');
    for (piece = 700; piece < 2500; piece += 61) {
        count = find_longs(text, len, piece, longs);
        EXPECT(count == 5);
        EXPECT(longs[0].value.p == text && longs[0].value.len == len && longs[0].count == VWI_ARRAY_LEN(lengths) + 1);
        for (i = 1; i < 4; i++) {
            const char *p = longs[i].value.p, *end = p + longs[i].value.len;

            EXPECT(p[0] == '"' && end[-1] == '"' && end[0] == ',' && longs[i].count == 0);
        }
        EXPECT(longs[1].value.p == text + 1 && longs[1].value.len == lengths[0] + 2);
        EXPECT(longs[2].value.len == lengths[3] + 2 && longs[3].value.len == lengths[5] + 2);
        EXPECT(longs[4].value.p[0] == '{' && longs[4].value.p + longs[4].value.len == text + len - 1 && longs[4].count == 1);
    }
    free(text);
}
END_TEST

/* Strings of escapes and of characters of four bytes, cut within them by pieces of odd sizes: the walk with their ends known finds what it
 * finds without. */
START_TEST(strings_cut_in_escapes_and_characters_end_where_they_would)
{
    static const char *const units[] = { "\\u00e9\\\"", "\xf0\x9f\x98\x80", "\\\\", "x\\ud83d\\ude00\xc3\xa9" };
    struct vwi_scan_long longs[VWI_SCAN_LONG_MAX];
    struct vwi_span with, without, text;
    size_t i, piece, size = VWI_ARRAY_LEN(units) * (VWI_SCAN_LONG_BYTES + 100), count;
    char *buf = malloc(size), pointer[] = "/0";

    text = (struct vwi_span){ buf, 1 };
    buf[0] = '[';
    for (i = 0; i < VWI_ARRAY_LEN(units); i++) {
        size_t end = text.len + VWI_SCAN_LONG_BYTES;

        buf[text.len++] = '"';
        for (; text.len < end; text.len += strlen(units[i]))
            memcpy(buf + text.len, units[i], strlen(units[i]));
        buf[text.len++] = '"';
        buf[text.len++] = i + 1 < VWI_ARRAY_LEN(units) ? ',' : ']';
    }
    for (piece = 501; piece < 530; piece++) {
        count = find_longs(buf, text.len, piece, longs);
        EXPECT(count == 1 + VWI_ARRAY_LEN(units));
        for (i = 0; i + 1 < count; i++) {
            pointer[1] = (char)('0' + i);
            EXPECT(vwi_payload_find(text, pointer, &without) == VWI_KIND_STRING);
            vwi_payload_know(longs, count);
            EXPECT(vwi_payload_find(text, pointer, &with) == VWI_KIND_STRING);
            EXPECT(vwi_payload_count(text) == VWI_ARRAY_LEN(units));
            vwi_payload_know(NULL, 0);
            EXPECT(with.p == without.p && with.len == without.len && longs[i + 1].value.p == with.p &&
                   longs[i + 1].value.len == with.len);
        }
    }
    free(buf);
}
END_TEST

/* Every third one is too short for a place; the object with the long key, too. */
START_TEST(of_many_long_values_the_longest_are_known)
{
    size_t lengths[(VWI_SCAN_LONG_MAX - 1) * 3 / 2 + 1], len, i, known = 1;
    struct vwi_scan_long longs[VWI_SCAN_LONG_MAX];
    const char *at;
    char *text;

    for (i = 0; i < VWI_ARRAY_LEN(lengths); i++)
        lengths[i] = VWI_SCAN_LONG_BYTES + (i % 3 == 1 ? 0 : 100);
    text = list_of_strings(lengths, VWI_ARRAY_LEN(lengths), &len);
    ck_assert_uint_eq(find_longs(text, len, 1000, longs), VWI_SCAN_LONG_MAX);
    ck_assert_ptr_eq(longs[0].value.p, text);
    for (at = text + 1, i = 0; i < VWI_ARRAY_LEN(lengths); at += lengths[i++] + 3)
        if (i % 3 != 1)
            ck_assert_ptr_eq(longs[known++].value.p, at);
    ck_assert_uint_eq(known, VWI_SCAN_LONG_MAX);
    free(text);
}
END_TEST

/* Commas in strings and further in are none of theirs. Deeper ones than are looked at do no harm. */
START_TEST(long_containers_are_known_with_their_counts)
{
    static const char *const units[] = { "1", "\"a,b\"", "[1,2,[3,4]]", "{\"a\":[1,2],\"b\":{}}", "[]", " null " };
    size_t i, piece, count, entries = VWI_SCAN_LONG_BYTES / 4;
    struct vwi_scan_long longs[VWI_SCAN_LONG_MAX];
    struct vwi_text text = VWI_TEXT_INIT;
    struct vwi_span json, value;

    vwi_text_addf(&text, "{\"empty\":[%*s],\"deep\":[[[[[[[[[[1,2]]]]]]]]]],\"x\":{\"list\":[", (int)VWI_SCAN_LONG_BYTES, "");
    for (i = 0; i < entries; i++)
        vwi_text_addf(&text, "%s%s", i ? "," : "", units[i % VWI_ARRAY_LEN(units)]);
    vwi_text_adds(&text, "],\"y\":1}, \"z\":2}");
    json = (struct vwi_span){ text.p, text.len };
    for (piece = 900; piece < 100000; piece = piece * 3 + 1) {
        count = find_longs(json.p, json.len, piece, longs);
        ck_assert_uint_eq(count, 4);
        vwi_payload_know(longs, count);
        ck_assert_uint_eq(longs[0].count, 4);
        ck_assert_uint_eq(longs[1].count, 0);
        ck_assert_uint_eq(longs[2].count, 2);
        ck_assert_uint_eq(longs[3].count, entries);
        ck_assert_int_eq(vwi_payload_find(json, "/z", &value), VWI_KIND_NUMBER);
        ck_assert(vwi_span_is(value, "2"));
        ck_assert_int_eq(vwi_payload_find(json, "/x/list", &value), VWI_KIND_ARRAY);
        ck_assert_uint_eq(vwi_payload_count(value), entries);
        ck_assert_int_eq(vwi_payload_find(json, "/x/list/3/a/1", &value), VWI_KIND_NUMBER);
        ck_assert(vwi_span_is(value, "2"));
        vwi_payload_know(NULL, 0);
        for (i = 0; i < count; i++)
            ck_assert_uint_eq(vwi_payload_count(longs[i].value), longs[i].count);
    }
    vwi_text_fini(&text);
}
END_TEST

START_TEST(nesting_beyond_what_is_kept_at_hand_needs_memory_and_says_so)
{
    char text[2000];
    struct vwi_scan s;

    memset(text, '[', sizeof text);
    vwi_scan_init(&s, 10000, -1);
    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_scan_run(&s, text, 512), VWI_SCAN_MORE);
    ck_assert_int_eq(vwi_scan_run(&s, text, 513), VWI_SCAN_NOMEM);
    vwi_mem_fail_never();
    ck_assert_int_eq(vwi_scan_run(&s, text, sizeof text), VWI_SCAN_NOMEM); /* for good */
    vwi_scan_fini(&s);
}
END_TEST

START_TEST(jansson_refuses_the_listed_differences_and_the_scanner_takes_them)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(oracle_differences); i++) {
        const char *example = oracle_differences[i].example;
        json_t *root;

        if (!example)
            continue;
        ck_assert(is_valid((struct vwi_span){ example, strlen(example) }, 512));
        ck_assert_ptr_null(oracle_load(example, strlen(example), &root));
        ck_assert_ptr_null(root);
    }
}
END_TEST

/* Bytes changed, removed, doubled, in texts that have everything. */
START_TEST(jansson_agrees_on_mutated_texts)
{
    static const char alphabet[] = "{}[]\",:\\u0d8eE+-.19truefalsn \n\x01\x80\xc3\xa9\xed\xa0\xff";
    uint64_t random = 0x9e3779b97f4a7c15u + (uint64_t)_i;
    char text[256];
    int round;

    for (round = 0; round < 30000; round++) {
        const struct vwi_span *from = &accepted[round % VWI_ARRAY_LEN(accepted)];
        int changes = 1 + round % 3;
        size_t len = from->len;
        const char *complaint;
        json_t *root = NULL;

        memcpy(text, from->p, len);
        while (changes-- && len) {
            size_t at;

            random = random * 6364136223846793005u + 1442695040888963407u;
            at = (size_t)(random >> 33) % len;
            if (random >> 62 == 0) {
                memmove(text + at, text + at + 1, --len - at);
            } else if (random >> 62 == 1) {
                memmove(text + at + 1, text + at, len - at);
                len++;
            } else {
                text[at] = alphabet[(random >> 20) % (sizeof alphabet - 1)];
            }
        }
        complaint = oracle_load(text, len, &root);
        json_decref(root);
        if (complaint)
            ck_abort_msg("%s: %.*s", complaint, (int)len, text);
    }
}
END_TEST

Suite *scan_suite(void);

Suite *scan_suite(void)
{
    Suite *s = suite_create("scan");
    TCase *tc = tcase_create("scan");

    tcase_add_test(tc, scanner_takes_what_rfc_8259_allows);
    tcase_add_test(tc, scanner_refuses_what_rfc_8259_does_not_allow);
    tcase_add_test(tc, scanner_refuses_every_beginning_of_a_text);
    tcase_add_test(tc, scanner_takes_containers_up_to_the_depth_asked_for);
    tcase_add_test(tc, strings_end_where_they_should_at_any_offset);
    tcase_add_test(tc, numbers_become_the_nearest_double);
    tcase_add_test(tc, numbers_of_a_thousand_digits_are_rounded_by_all_of_them);
    tcase_add_test(tc, strings_are_compared_by_what_they_mean);
    tcase_add_test(tc, every_character_survives_utf8);
    tcase_add_test(tc, members_are_told_in_order_as_deep_as_was_asked_for);
    tcase_add_test(tc, a_text_in_pieces_is_judged_like_the_whole);
    tcase_add_test(tc, long_values_are_known_and_keys_are_not);
    tcase_add_test(tc, strings_cut_in_escapes_and_characters_end_where_they_would);
    tcase_add_test(tc, of_many_long_values_the_longest_are_known);
    tcase_add_test(tc, long_containers_are_known_with_their_counts);
    tcase_add_test(tc, nesting_beyond_what_is_kept_at_hand_needs_memory_and_says_so);
    tcase_add_test(tc, jansson_refuses_the_listed_differences_and_the_scanner_takes_them);
    tcase_add_loop_test(tc, jansson_agrees_on_mutated_texts, 0, 3);
    suite_add_tcase(s, tc);
    return s;
}
