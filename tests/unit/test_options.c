/* base/options: a caller built with another version of a header. */
#include <check.h>
#include <string.h>

#include "base/options.h"

struct first {
    size_t size;
    int a;
};

struct second {
    size_t size;
    int a, b;
    const char *c;
};

static const struct second defaults = { sizeof(struct second), 1, 2, "three" };

START_TEST(the_tail_that_a_short_struct_lacks_keeps_its_defaults)
{
    struct second own = defaults;
    struct first given = { offsetof(struct second, b), 10 };

    ck_assert(vwi_options_copy(&own, sizeof own, &given, offsetof(struct second, b)));
    ck_assert_int_eq(own.a, 10);
    ck_assert_int_eq(own.b, 2);
    ck_assert_str_eq(own.c, "three");
    ck_assert_uint_eq(own.size, sizeof own);
}
END_TEST

START_TEST(a_longer_struct_is_taken_where_its_tail_asks_for_nothing)
{
    struct {
        struct second known;
        long later;
    } given = { { sizeof given, 10, 20, NULL }, 0 };
    struct second own = defaults;

    ck_assert(vwi_options_copy(&own, sizeof own, &given, sizeof(struct second)));
    ck_assert_int_eq(own.b, 20);
    ck_assert_ptr_null(own.c);
    ck_assert_uint_eq(own.size, sizeof own);
    own = defaults;
    given.later = 1;
    ck_assert(!vwi_options_copy(&own, sizeof own, &given, sizeof(struct second)));
    ck_assert_int_eq(own.b, 2);
}
END_TEST

START_TEST(what_is_shorter_than_the_first_version_is_refused)
{
    struct second own = defaults, given = defaults;

    given.size = sizeof(struct second) - 1;
    ck_assert(!vwi_options_copy(&own, sizeof own, &given, sizeof(struct second)));
    given.size = 0;
    ck_assert(!vwi_options_copy(&own, sizeof own, &given, sizeof(struct second)));
}
END_TEST

Suite *options_suite(void);

Suite *options_suite(void)
{
    Suite *s = suite_create("options");
    TCase *tc = tcase_create("options");

    tcase_add_test(tc, the_tail_that_a_short_struct_lacks_keeps_its_defaults);
    tcase_add_test(tc, a_longer_struct_is_taken_where_its_tail_asks_for_nothing);
    tcase_add_test(tc, what_is_shorter_than_the_first_version_is_refused);
    suite_add_tcase(s, tc);
    return s;
}
