/* The opt-in header for plugins that want a jansson document. */
#include <check.h>
#include <string.h>

#include <vastworker/plugin_json.h>

#include "base/err.h"
#include "base/mem.h"

Suite *plugin_json_suite(void);

static const struct vw_host host = { .alloc = vwi_alloc, .free = vwi_free, .refuse = vwi_fail };

START_TEST(a_document_is_read_and_written)
{
    const struct vw_bytes payload = { "{\"input\": [\"a\", 1.5], \"n\": 7}behind", 29 };
    struct vw_bytes written = { NULL, 0 };
    json_t *root = NULL;
    void *owned = NULL;

    ck_assert_int_eq(vw_json_load(&host, payload, &root, NULL), VW_OK);
    ck_assert_int_eq(json_object_del(root, "n"), 0);
    ck_assert_int_eq(vw_json_dump(&host, root, &written, &owned, NULL), VW_OK);
    ck_assert_str_eq(owned, "{\"input\":[\"a\",1.5]}");
    ck_assert_ptr_eq(written.p, owned);
    ck_assert_uint_eq(written.len, strlen(owned));
    json_decref(root);
    vwi_free(owned);
}
END_TEST

START_TEST(a_refusal_says_where_and_not_what)
{
    const struct vw_bytes payload = { "{\"a\": secret}", 13 };
    struct vw_bytes written;
    vw_error_t why = { 0 };
    json_t *root = NULL;
    void *owned = NULL;

    ck_assert_int_eq(vw_json_load(&host, payload, &root, &why), VW_E_PARSE);
    ck_assert_str_eq(why.text, "jansson refuses the JSON at byte 12");
    ck_assert_ptr_null(root);
    ck_assert_int_eq(vw_json_dump(&host, NULL, &written, &owned, NULL), VW_E_PARSE);
    root = json_integer(5);
    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vw_json_dump(&host, root, &written, &owned, NULL), VW_E_NOMEM);
    vwi_mem_fail_never();
    ck_assert_ptr_null(owned);
    json_decref(root);
}
END_TEST

Suite *plugin_json_suite(void)
{
    Suite *s = suite_create("plugin_json");
    TCase *t = tcase_create("documents");

    tcase_add_test(t, a_document_is_read_and_written);
    tcase_add_test(t, a_refusal_says_where_and_not_what);
    suite_add_tcase(s, t);
    return s;
}
