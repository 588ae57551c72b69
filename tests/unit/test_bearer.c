/* Bearer keys: what is a list of keys, which keys are in it, what an Authorization header says. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "core/bearer.h"

static struct vwi_bearer *bearer;
static vw_error_t why;
static struct vwi_bearer_rank rank;

static void set_up(void)
{
    why = (vw_error_t){ VW_OK, "" };
    ck_assert_int_eq(vwi_bearer_create(&bearer, &why), VW_OK);
}

static void tear_down(void) { vwi_bearer_destroy(bearer); }

static struct vwi_span span(const char *text) { return (struct vwi_span){ text, strlen(text) }; }
static vw_err add(const char *text, char separator) { return vwi_bearer_add(bearer, span(text), separator, &why); }
static bool holds(const char *key) { return vwi_bearer_holds(bearer, span(key), &rank); }

START_TEST(a_file_has_a_key_a_line)
{
    ck_assert_int_eq(add("# of the team\nalpha-1\n\n  beta_2 \t\r\n#alpha-3\n   \ngamma#3\r\nlast=", '\n'), VW_OK);
    ck_assert_uint_eq(vwi_bearer_count(bearer), 4);
    ck_assert(holds("alpha-1") && holds("beta_2") && holds("gamma#3") && holds("last="));
    ck_assert(!holds("alpha-3") && !holds("#alpha-3") && !holds("# of the team"));
}
END_TEST

START_TEST(a_variable_has_keys_between_commas)
{
    ck_assert_int_eq(add("one,two , ,three,", ','), VW_OK);
    ck_assert_int_eq(add("four", ','), VW_OK);
    ck_assert_uint_eq(vwi_bearer_count(bearer), 4);
    ck_assert(holds("one") && holds("two") && holds("three") && holds("four"));
    ck_assert(!holds("one,two"));
}
END_TEST

START_TEST(only_the_whole_key_is_in)
{
    ck_assert_int_eq(add("alpha-1\nbeta", '\n'), VW_OK);
    ck_assert(!holds("") && !holds("alpha-") && !holds("alpha-11") && !holds("ALPHA-1") && !holds("alpha-1 ") && !holds("alpha-1\nbeta"));
    ck_assert(!vwi_bearer_holds(bearer, (struct vwi_span){ "alpha-1", 8 }, &rank));
}
END_TEST

START_TEST(an_empty_set_holds_nothing)
{
    ck_assert_int_eq(add("", '\n'), VW_OK);
    ck_assert_int_eq(add("\n\n# nothing\n", '\n'), VW_OK);
    ck_assert_uint_eq(vwi_bearer_count(bearer), 0);
    ck_assert(!holds("") && !holds("x"));
}
END_TEST

START_TEST(a_piece_that_is_no_key_is_named_by_its_number_alone)
{
    static const char *const texts[] = { "good-1\ngood-2\nhush hush\n", "good-1\n\nh\xc3\xbcsh\n", "good-1\n#\nhu\tsh", "good-1\n\nhu\x7fsh" };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(texts); i++) {
        why = (vw_error_t){ VW_OK, "" };
        ck_assert_int_eq(add(texts[i], '\n'), VW_E_PARSE);
        ck_assert_str_eq(why.text, "line 3: a key is 1 to 1024 visible ASCII characters without spaces; behind it may stand priority=N, N from -1000 to 1000");
        ck_assert_uint_eq(vwi_bearer_count(bearer), 0); /* none of the good ones either */
    }
    why = (vw_error_t){ VW_OK, "" };
    ck_assert_int_eq(add("a,b c", ','), VW_E_PARSE);
    ck_assert_ptr_nonnull(strstr(why.text, "entry 2: "));
}
END_TEST

static int priority_of(const char *key)
{
    ck_assert(holds(key));
    return rank.has_priority ? rank.priority : 7777;
}

START_TEST(a_key_may_have_a_priority_behind_it)
{
    ck_assert_int_eq(add("plain\nhigh priority=5\nlow \t priority=-20 \r\nzero priority=0\nmost priority=1000\n#hush priority=1\n", '\n'), VW_OK);
    ck_assert_int_eq(add("first priority=3, second", ','), VW_OK);
    ck_assert_uint_eq(vwi_bearer_count(bearer), 7);
    ck_assert_int_eq(priority_of("plain"), 7777);
    ck_assert_int_eq(priority_of("high"), 5);
    ck_assert_int_eq(priority_of("low"), -20);
    ck_assert_int_eq(priority_of("zero"), 0);
    ck_assert_int_eq(priority_of("most"), 1000);
    ck_assert_int_eq(priority_of("first"), 3);
    ck_assert_int_eq(priority_of("second"), 7777);
    ck_assert(!holds("priority=5") && !holds("high priority=5"));
}
END_TEST

START_TEST(of_a_key_that_stands_twice_the_last_word_counts)
{
    ck_assert_int_eq(add("a priority=5\nb\nc priority=2", '\n'), VW_OK);
    ck_assert_int_eq(add("b priority=-1\nc\na priority=9", '\n'), VW_OK);
    ck_assert_int_eq(priority_of("a"), 9);
    ck_assert_int_eq(priority_of("b"), -1);
    ck_assert_int_eq(priority_of("c"), 7777);
}
END_TEST

START_TEST(what_stands_behind_a_key_is_a_priority_or_an_error)
{
    static const char *const texts[] = { "k prio=1", "k priority=", "k priority=-", "k priority=+1", "k priority=1.5", "k priority=1001",
                                         "k priority=-1001", "k priority=99999999999", "k priority=1 2", "k priority= 1", "k priority =1",
                                         "k Priority=1", "k priority=0x1", "k priority=1 priority=2" };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(texts); i++) {
        why = (vw_error_t){ VW_OK, "" };
        ck_assert_msg(add(texts[i], '\n') == VW_E_PARSE, "taken: %s", texts[i]);
        ck_assert_ptr_nonnull(strstr(why.text, "line 1: a key is "));
        ck_assert_uint_eq(vwi_bearer_count(bearer), 0);
    }
}
END_TEST

START_TEST(keys_have_a_longest_length_and_a_largest_number)
{
    size_t room = VWI_BEARER_KEY_BYTES + 8 * VWI_BEARER_KEYS_MAX, i, at = 0;
    char *text = malloc(room);

    memset(text, 'k', VWI_BEARER_KEY_BYTES + 1);
    ck_assert_int_eq(vwi_bearer_add(bearer, (struct vwi_span){ text, VWI_BEARER_KEY_BYTES }, '\n', &why), VW_OK);
    ck_assert(vwi_bearer_holds(bearer, (struct vwi_span){ text, VWI_BEARER_KEY_BYTES }, &rank));
    ck_assert(!vwi_bearer_holds(bearer, (struct vwi_span){ text, VWI_BEARER_KEY_BYTES + 1 }, &rank));
    ck_assert_int_eq(vwi_bearer_add(bearer, (struct vwi_span){ text, VWI_BEARER_KEY_BYTES + 1 }, '\n', &why), VW_E_PARSE);
    for (i = 1; i < VWI_BEARER_KEYS_MAX; i++)
        at += (size_t)snprintf(text + at, room - at, "k%zu\n", i);
    ck_assert_int_eq(vwi_bearer_add(bearer, (struct vwi_span){ text, at }, '\n', NULL), VW_OK);
    ck_assert_uint_eq(vwi_bearer_count(bearer), VWI_BEARER_KEYS_MAX);
    ck_assert(holds("k1") && holds("k999") && !holds("k1000"));
    ck_assert_int_eq(add("more", '\n'), VW_E_PARSE);
    ck_assert(!holds("more"));
    free(text);
}
END_TEST

static const struct {
    const char *header, *key; /* NULL: none */
} headers[] = {
    { "Bearer abc", "abc" },
    { "bearer abc", "abc" },
    { "BEARER   abc", "abc" },
    { "Bearer a b", "a b" }, /* which no key is */
    { "", NULL },
    { "Bearer", NULL },
    { "Bearer ", NULL },
    { "Bearer   ", NULL },
    { "Bearerabc", NULL },
    { "Bearer\tabc", NULL },
    { "Basic YTpi", NULL },
    { "abc", NULL },
};

START_TEST(a_header_shows_a_key_in_the_bearer_scheme_alone)
{
    struct vwi_span key = { NULL, 0 };
    bool shows = vwi_bearer_token(span(headers[_i].header), &key);

    ck_assert_int_eq(shows, headers[_i].key != NULL);
    ck_assert(!shows || vwi_span_is(key, headers[_i].key));
    ck_assert(!vwi_bearer_token((struct vwi_span){ NULL, 0 }, &key));
}
END_TEST

START_TEST(no_memory_is_told_and_adds_nothing)
{
    struct vwi_bearer *other = NULL;

    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_bearer_create(&other, NULL), VW_E_NOMEM);
    vwi_mem_fail_nth(0);
    ck_assert_int_eq(add("key", '\n'), VW_E_NOMEM);
    vwi_mem_fail_never();
    ck_assert_ptr_null(other);
    ck_assert(!holds("key"));
}
END_TEST

Suite *bearer_suite(void);

Suite *bearer_suite(void)
{
    Suite *s = suite_create("bearer");
    TCase *tc = tcase_create("bearer");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_file_has_a_key_a_line);
    tcase_add_test(tc, a_variable_has_keys_between_commas);
    tcase_add_test(tc, only_the_whole_key_is_in);
    tcase_add_test(tc, an_empty_set_holds_nothing);
    tcase_add_test(tc, a_piece_that_is_no_key_is_named_by_its_number_alone);
    tcase_add_test(tc, a_key_may_have_a_priority_behind_it);
    tcase_add_test(tc, of_a_key_that_stands_twice_the_last_word_counts);
    tcase_add_test(tc, what_stands_behind_a_key_is_a_priority_or_an_error);
    tcase_add_test(tc, keys_have_a_longest_length_and_a_largest_number);
    tcase_add_loop_test(tc, a_header_shows_a_key_in_the_bearer_scheme_alone, 0, VWI_ARRAY_LEN(headers));
    tcase_add_test(tc, no_memory_is_told_and_adds_nothing);
    suite_add_tcase(s, tc);
    return s;
}
