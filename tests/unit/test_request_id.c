/* Names of requests: which of a client's are taken, and what ours are like. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/vwi.h"
#include "io/request_id.h"

static bool is_good(const char *text) { return vwi_request_id_is_good((struct vwi_span){ text, strlen(text) }); }

START_TEST(a_token_of_1_to_128_characters_is_taken)
{
    static const char *const good[] = { "a", "7", "550e8400-e29b-41d4-a716-446655440000", "!#$%&'*+-.^_`|~", "Root.1-67891233-abcdef012345678912345678" };
    static const char *const bad[] = { "", "a b", "a,b", "a;b", "a\"b", "a\\b", "a(b", "a{b", "a=b", "a/b", "a:b", "h\xc3\xbc", "a\tb", "a\x7f", "\x01" };
    char longest[VWI_REQUEST_ID_MAX + 2];
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(good); i++)
        ck_assert_msg(is_good(good[i]), "%s", good[i]);
    for (i = 0; i < VWI_ARRAY_LEN(bad); i++)
        ck_assert_msg(!is_good(bad[i]), "%s", bad[i]);
    ck_assert(!vwi_request_id_is_good((struct vwi_span){ "a\0b", 3 }));
    ck_assert(!vwi_request_id_is_good((struct vwi_span){ NULL, 0 }));
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    ck_assert(!is_good(longest));
    ck_assert(is_good(longest + 1));
}
END_TEST

static int compare(const void *a, const void *b) { return memcmp(a, b, VWI_REQUEST_ID_MADE); }

START_TEST(made_names_are_hexadecimal_and_never_the_same)
{
    enum { COUNT = 1000 }; /* several batches */
    static char made[COUNT][VWI_REQUEST_ID_MADE];
    static struct vwi_request_ids ids;
    size_t i, k;

    for (i = 0; i < COUNT; i++) {
        ck_assert(vwi_request_id_make(&ids, made[i]));
        for (k = 0; k < VWI_REQUEST_ID_MADE; k++)
            ck_assert(strchr("0123456789abcdef", made[i][k]) && made[i][k]);
    }
    qsort(made, COUNT, sizeof made[0], compare);
    for (i = 1; i < COUNT; i++)
        ck_assert_int_ne(compare(made[i - 1], made[i]), 0);
}
END_TEST

Suite *request_id_suite(void);

Suite *request_id_suite(void)
{
    Suite *s = suite_create("request_id");
    TCase *tc = tcase_create("request_id");

    tcase_add_test(tc, a_token_of_1_to_128_characters_is_taken);
    tcase_add_test(tc, made_names_are_hexadecimal_and_never_the_same);
    suite_add_tcase(s, tc);
    return s;
}
