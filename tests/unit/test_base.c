/* The ground: error text, spans and text building, lists, failing allocations. */
#include <check.h>
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vwi.h"

START_TEST(fail_keeps_the_first_cause)
{
    vw_error_t why = { 0 };

    ck_assert_int_eq(vwi_fail(&why, VW_E_CONFIG, "workerPort: %d is not a port", 70000), VW_E_CONFIG);
    ck_assert_int_eq(vwi_fail(&why, VW_E_IO, "echo"), VW_E_IO);
    ck_assert_int_eq(why.code, VW_E_CONFIG);
    ck_assert_str_eq(why.text, "workerPort: 70000 is not a port");
}
END_TEST

START_TEST(every_error_code_has_a_name_and_a_text)
{
    ck_assert_str_eq(vw_err_name(VW_E_ABI), "VW_E_ABI");
    ck_assert_str_eq(vw_err_text(VW_E_ABI), "plugin built for another interface");
    ck_assert_str_eq(vw_err_text((vw_err)-999), "unknown error");
}
END_TEST

START_TEST(text_adds_json_strings_with_controls_escaped)
{
    struct vwi_text t = VWI_TEXT_INIT;

    vwi_text_addf(&t, "%d ", 7);
    vwi_text_add_json(&t, "a\"\\\n\x01z", 6);
    ck_assert_str_eq(t.p, "7 \"a\\\"\\\\\\n\\u0001z\"");
    ck_assert(!t.failed);
    vwi_text_fini(&t);
}
END_TEST

START_TEST(text_adds_integers_as_printf_does)
{
    long long values[64] = { 0, 7, -1, 10, 1795422695, LLONG_MAX, LLONG_MIN }, power = 1;
    char expected[24], digits[VWI_DIGITS + 1];
    size_t i, count = 7;

    for (i = 0; i < 18; i++, power *= 10) {
        values[count++] = power - 1;
        values[count++] = power;
        values[count++] = -power - 1;
    }
    for (i = 0; i < count; i++) {
        struct vwi_text t = VWI_TEXT_INIT;

        snprintf(expected, sizeof expected, "%lld", values[i]);
        ck_assert(vwi_text_add_integer(&t, values[i]));
        ck_assert_str_eq(t.p, expected);
        vwi_text_fini(&t);
        snprintf(expected, sizeof expected, "%llu", (unsigned long long)values[i]);
        digits[vwi_digits(digits, (unsigned long long)values[i])] = '\0';
        ck_assert_str_eq(digits, expected);
        snprintf(expected, sizeof expected, "%llx", (unsigned long long)values[i]);
        digits[vwi_hex_digits(digits, (unsigned long long)values[i])] = '\0';
        ck_assert_str_eq(digits, expected);
    }
}
END_TEST

/* The room that is there is tried first: just enough, one byte too little, and far too little. */
START_TEST(text_formats_into_what_room_there_is)
{
    size_t before, len;

    for (before = 0; before < 130; before++) {
        for (len = 120; len < 140; len++) {
            struct vwi_text t = VWI_TEXT_INIT;

            vwi_text_addf(&t, "%*s", (int)before, "");
            ck_assert(vwi_text_addf(&t, "%0*d", (int)len, 5));
            ck_assert_uint_eq(t.len, before + len);
            ck_assert_uint_eq(strlen(t.p), t.len);
            ck_assert_int_eq(t.p[t.len - 1], '5');
            vwi_text_fini(&t);
        }
    }
}
END_TEST

START_TEST(text_remembers_a_failed_growth)
{
    struct vwi_text t = VWI_TEXT_INIT;

    vwi_mem_fail_nth(0);
    ck_assert(!vwi_text_adds(&t, "x"));
    vwi_mem_fail_never();
    ck_assert(!vwi_text_adds(&t, "y"));
    ck_assert(t.failed);
    vwi_text_fini(&t);
}
END_TEST

START_TEST(spans_compare_exactly_or_without_case)
{
    struct vwi_span s = { "Content-Type: x", 12 };

    ck_assert(vwi_span_is(s, "Content-Type"));
    ck_assert(!vwi_span_is(s, "content-type"));
    ck_assert(vwi_span_is_nocase(s, "content-type"));
    ck_assert(!vwi_span_is_nocase(s, "content-typ"));
}
END_TEST

/* At each place of a word, among others that are the same. */
START_TEST(case_is_folded_in_ascii_alone)
{
    char a[] = "x-accel-buffering", b[] = "X-Accel-BUFFERING";
    int at, i, j;

    for (at = 0; at < (int)sizeof a - 1; at++) {
        char kept_a = a[at], kept_b = b[at];

        for (i = 0; i < 256; i++) {
            for (j = 0; j < 256; j++) {
                bool letters = i < 128 && j < 128 && isalpha(i) && isalpha(j);

                a[at] = (char)i;
                b[at] = (char)j;
                if (vwi_same_nocase(a, b, sizeof a - 1) != (i == j || (letters && tolower(i) == tolower(j))))
                    ck_abort_msg("bytes %d and %d at %d", i, j, at);
            }
        }
        a[at] = kept_a;
        b[at] = kept_b;
    }
    for (at = 0; at < (int)sizeof a; at++)
        ck_assert(vwi_same_nocase(a, b, (size_t)at));
    ck_assert(!vwi_same_nocase("host", "hosf", 4));
}
END_TEST

START_TEST(spans_of_a_list_come_one_by_one_and_trimmed)
{
    static const char *const expected[] = { "a", "", "b c", "" };
    struct vwi_span rest = { " a ,,\tb c\r\n,", 12 }, piece;
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(expected); i++) {
        ck_assert(vwi_span_next(&rest, ',', &piece));
        ck_assert(vwi_span_is(piece, expected[i]));
    }
    ck_assert(!vwi_span_next(&rest, ',', &piece));
    rest = (struct vwi_span){ NULL, 0 };
    ck_assert(!vwi_span_next(&rest, ',', &piece));
}
END_TEST

START_TEST(list_keeps_the_order_of_adding)
{
    struct vwi_list head, a, b;

    vwi_list_init(&head);
    vwi_list_init(&a);
    vwi_list_init(&b);
    vwi_list_add(&head, &a);
    vwi_list_add(&head, &b);
    ck_assert_ptr_eq(head.next, &a);
    ck_assert_ptr_eq(head.prev, &b);
    vwi_list_del(&a);
    vwi_list_del(&a);
    ck_assert_ptr_eq(head.next, &b);
    vwi_list_del(&b);
    ck_assert(vwi_list_empty(&head));
}
END_TEST

Suite *base_suite(void);

Suite *base_suite(void)
{
    Suite *s = suite_create("base");
    TCase *tc = tcase_create("base");

    tcase_add_test(tc, fail_keeps_the_first_cause);
    tcase_add_test(tc, every_error_code_has_a_name_and_a_text);
    tcase_add_test(tc, text_adds_json_strings_with_controls_escaped);
    tcase_add_test(tc, text_adds_integers_as_printf_does);
    tcase_add_test(tc, text_formats_into_what_room_there_is);
    tcase_add_test(tc, text_remembers_a_failed_growth);
    tcase_add_test(tc, spans_compare_exactly_or_without_case);
    tcase_add_test(tc, case_is_folded_in_ascii_alone);
    tcase_add_test(tc, spans_of_a_list_come_one_by_one_and_trimmed);
    tcase_add_test(tc, list_keeps_the_order_of_adding);
    suite_add_tcase(s, tc);
    return s;
}
