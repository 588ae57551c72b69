/* The table of reasons: complete, findable, and fit to be shown. */
#include <check.h>
#include <ctype.h>
#include <string.h>

#include "core/reason.h"

START_TEST(every_reason_is_found_by_its_code)
{
    int r, other;

    for (r = VWI_REASON_NONE + 1; r < VWI_REASON_COUNT; r++) {
        ck_assert_int_eq(vwi_reason_find(vwi_reason_code((enum vwi_reason)r)), r);
        for (other = r + 1; other < VWI_REASON_COUNT; other++)
            ck_assert_str_ne(vwi_reason_code((enum vwi_reason)r), vwi_reason_code((enum vwi_reason)other));
    }
    ck_assert_int_eq(VWI_REASON_COUNT - 1, 32);
    ck_assert_int_eq(vwi_reason_find("nonsense"), VWI_REASON_NONE);
    ck_assert_int_eq(vwi_reason_find(""), VWI_REASON_NONE);
}
END_TEST

START_TEST(every_reason_can_be_shown_as_it_stands)
{
    int r;

    for (r = VWI_REASON_NONE + 1; r < VWI_REASON_COUNT; r++) {
        const char *code = vwi_reason_code((enum vwi_reason)r), *message = vwi_reason_message((enum vwi_reason)r);
        int status = vwi_reason_status((enum vwi_reason)r);

        ck_assert_msg(strspn(code, "abcdefghijklmnopqrstuvwxyz_") == strlen(code), "%s", code);
        ck_assert_msg(isupper((unsigned char)message[0]) && message[strlen(message) - 1] == '.', "%s", message);
        ck_assert_msg(!strpbrk(message, "\"\\") && strchr(message, '.'), "%s", message);
        ck_assert_msg(status >= 400 && status <= 599, "%s: %d", code, status);
        ck_assert_msg((status >= 500) == (strcmp(vwi_reason_type((enum vwi_reason)r), VWI_ERROR_SERVER) == 0), "%s", code);
        ck_assert_msg((status == 429) == (strcmp(vwi_reason_type((enum vwi_reason)r), VWI_ERROR_LIMIT) == 0), "%s", code);
        ck_assert_msg((status == 401) == (strcmp(vwi_reason_type((enum vwi_reason)r), VWI_ERROR_AUTH) == 0), "%s", code);
    }
}
END_TEST

START_TEST(statuses_are_those_of_the_protocol)
{
    ck_assert_int_eq(vwi_reason_status(VWI_REASON_INVALID_ENVELOPE), 422);
    ck_assert_int_eq(vwi_reason_status(VWI_REASON_INVALID_SESSION), 410);
    ck_assert_int_eq(vwi_reason_status(VWI_REASON_CLIENT_GONE), 499);
    ck_assert_int_eq(vwi_reason_status(VWI_REASON_MODEL_UNREACHABLE), 502);
    ck_assert_int_eq(vwi_reason_status(VWI_REASON_MODEL_TIMEOUT), 504);
    ck_assert_int_eq(vwi_reason_status(VWI_REASON_QUEUE_TIMEOUT), 429);
    ck_assert_int_eq(vwi_reason_status(VWI_REASON_NONE), 0);
    ck_assert_str_eq(vwi_reason_message(VWI_REASON_NONE), "");
    ck_assert_str_eq(vwi_reason_code((enum vwi_reason)999), "internal");
}
END_TEST

Suite *reason_suite(void);

Suite *reason_suite(void)
{
    Suite *s = suite_create("reason");
    TCase *tc = tcase_create("reason");

    tcase_add_test(tc, every_reason_is_found_by_its_code);
    tcase_add_test(tc, every_reason_can_be_shown_as_it_stands);
    tcase_add_test(tc, statuses_are_those_of_the_protocol);
    suite_add_tcase(s, tc);
    return s;
}
