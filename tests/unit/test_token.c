/* The master token: what an Authorization header presents, and whether it is the secret. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/token.h"

static struct vwi_span span(const char *text) { return (struct vwi_span){ text, strlen(text) }; }

static const struct {
    const char *header, *secret;
    bool is;
} rows[] = {
    { "Bearer s3cret", "s3cret", true },
    { "bearer   s3cret", "s3cret", true },
    { "s3cret", "s3cret", true },
    { "Bearer s3cre", "s3cret", false },
    { "Bearer s3cret0", "s3cret", false },
    { "Bearer S3CRET", "s3cret", false },
    { "Basic s3cret", "s3cret", false },
    { "Bearer", "s3cret", false },
    { "Bearer ", "s3cret", false },
    { "", "s3cret", false },
    { "Bearer x", "", false },
    { "", "", false },
    { "Bearer ", "", false },
    { "Bearer x", NULL, false },
};

START_TEST(only_the_whole_token_is_the_secret_and_an_empty_secret_is_nobodys)
{
    ck_assert_int_eq(vwi_token_is(vwi_token_presented(span(rows[_i].header)), rows[_i].secret), rows[_i].is);
}
END_TEST

START_TEST(an_absent_header_and_a_very_long_one_are_refused)
{
    char *longer = malloc(60001);

    memset(longer, 'x', 60000);
    longer[60000] = '\0';
    ck_assert(!vwi_token_is(vwi_token_presented((struct vwi_span){ NULL, 0 }), "s3cret"));
    ck_assert(!vwi_token_is(vwi_token_presented(span(longer)), "s3cret"));
    ck_assert(!vwi_token_is(vwi_token_presented(span(longer)), longer));
    free(longer);
}
END_TEST

Suite *token_suite(void);

Suite *token_suite(void)
{
    Suite *s = suite_create("token");
    TCase *tc = tcase_create("token");

    tcase_add_loop_test(tc, only_the_whole_token_is_the_secret_and_an_empty_secret_is_nobodys, 0, sizeof rows / sizeof rows[0]);
    tcase_add_test(tc, an_absent_header_and_a_very_long_one_are_refused);
    suite_add_tcase(s, tc);
    return s;
}
