/* flow/sentinel apart from what the scenes show: it can be refused memory, and may never have been started. */
#include <check.h>

#include "base/mem.h"
#include "flow/sentinel.h"

START_TEST(a_sentinel_without_memory_is_refused_with_a_sentence)
{
    static char library[] = VWI_NVML_LIBRARY;
    const struct vwi_gpu_conf conf = { true, 5, library };
    const struct vwi_log log = { .level = VW_LOG_ERROR };
    struct vwi_sentinel *sentinel = NULL;
    struct vwi_loop *loop = NULL;
    vw_error_t why = { VW_OK, "" };

    ck_assert_int_eq(vwi_loop_create(&loop, NULL), VW_OK);
    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_sentinel_create(loop, &conf, NULL, &log, &sentinel, &why), VW_E_NOMEM);
    vwi_mem_fail_never();
    ck_assert_str_eq(why.text, "GPUs: out of memory");
    ck_assert_ptr_null(sentinel);
    ck_assert_int_eq(vwi_sentinel_create(loop, &conf, NULL, &log, &sentinel, &why), VW_OK);
    ck_assert_uint_eq(vwi_sentinel_gpus(sentinel)->count, 0);
    vwi_sentinel_destroy(sentinel); /* never started */
    vwi_sentinel_start(NULL);
    ck_assert_ptr_null(vwi_sentinel_gpus(NULL));
    vwi_sentinel_destroy(NULL);
    vwi_loop_destroy(loop);
}
END_TEST

Suite *sentinel_suite(void);

Suite *sentinel_suite(void)
{
    Suite *s = suite_create("sentinel");
    TCase *tc = tcase_create("sentinel");

    tcase_add_test(tc, a_sentinel_without_memory_is_refused_with_a_sentence);
    suite_add_tcase(s, tc);
    return s;
}
