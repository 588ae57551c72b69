/* The small tables of flow: refusals on the wire, the states of a request, what goes to the model. */
#include <check.h>
#include <string.h>

#include "core/reason.h"
#include "flow/request_state.h"
#include "flow/respond.h"

START_TEST(a_refusal_carries_code_message_and_type)
{
    struct vwi_text headers = VWI_TEXT_INIT, body = VWI_TEXT_INIT;

    vwi_respond_write(VWI_REASON_BAD_SIGNATURE, "say \"no\"", 0, &headers, &body);
    ck_assert_str_eq(body.p, "{\"error\": {\"code\": \"bad_signature\", \"message\": \"say \\\"no\\\"\", \"type\": \"authentication_error\"}}\n");
    ck_assert_ptr_nonnull(strstr(headers.p, "X-Vastworker-Reason: bad_signature\r\n"));
    ck_assert_ptr_nonnull(strstr(headers.p, "WWW-Authenticate: "));
    ck_assert_ptr_null(strstr(headers.p, "Retry-After"));
    vwi_text_fini(&headers);
    vwi_text_fini(&body);
}
END_TEST

START_TEST(retry_after_is_whole_seconds_from_1_to_3600)
{
    static const struct {
        double asked;
        const char *line;
    } cases[] = { { -5, "Retry-After: 1\r\n" }, { 0.2, "Retry-After: 1\r\n" }, { 4.1, "Retry-After: 5\r\n" }, { 1e9, "Retry-After: 3600\r\n" } };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vwi_text headers = VWI_TEXT_INIT, body = VWI_TEXT_INIT;

        vwi_respond_write(VWI_REASON_PREDICTED_WAIT, NULL, cases[i].asked, &headers, &body);
        ck_assert_ptr_nonnull(strstr(headers.p, cases[i].line));
        vwi_text_fini(&headers);
        vwi_text_fini(&body);
    }
}
END_TEST

START_TEST(every_reason_has_code_status_type_and_message)
{
    int i;

    for (i = VWI_REASON_NONE + 1; i < VWI_REASON_COUNT; i++) {
        ck_assert_str_ne(vwi_reason_code((enum vwi_reason)i), "");
        ck_assert_int_ge(vwi_reason_status((enum vwi_reason)i), 400);
        ck_assert_str_ne(vwi_reason_type((enum vwi_reason)i), "");
        ck_assert_str_ne(vwi_reason_message((enum vwi_reason)i), "");
        ck_assert_int_eq(vwi_reason_find(vwi_reason_code((enum vwi_reason)i)), i);
    }
}
END_TEST

START_TEST(a_request_only_moves_forward_and_settled_is_the_end)
{
    int from, to;

    for (from = 0; from < VWI_REQUEST_STATES; from++) {
        ck_assert_str_ne(vwi_request_state_name((enum vwi_request_state)from), "unknown");
        for (to = 0; to < VWI_REQUEST_STATES; to++)
            if (vwi_request_state_allows((enum vwi_request_state)from, (enum vwi_request_state)to))
                ck_assert_int_lt(from, to);
        ck_assert_int_eq(vwi_request_state_allows((enum vwi_request_state)from, VWI_REQUEST_SETTLED), from != VWI_REQUEST_SETTLED);
    }
}
END_TEST

Suite *flow_suite(void);

Suite *flow_suite(void)
{
    Suite *s = suite_create("flow");
    TCase *tc = tcase_create("flow");

    tcase_add_test(tc, a_refusal_carries_code_message_and_type);
    tcase_add_test(tc, retry_after_is_whole_seconds_from_1_to_3600);
    tcase_add_test(tc, every_reason_has_code_status_type_and_message);
    tcase_add_test(tc, a_request_only_moves_forward_and_settled_is_the_end);
    suite_add_tcase(s, tc);
    return s;
}
