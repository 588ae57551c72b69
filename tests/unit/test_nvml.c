/* io/nvml with a loop of its own: looks arrive one at a time, and a watch can be left at any moment. The scenes show the rest. */
#include <check.h>
#include <dlfcn.h>
#include <string.h>

#include "base/mem.h"
#include "io/nvml.h"
#include "nvml/fake_nvml.h"

#define FAKE VWT_BUILD "/tests/nvml/fake_nvml.so"

static struct vwi_loop *loop;
static struct vwi_nvml *nvml;
static struct fake_nvml *fake;
static struct vwi_gpu_look last;
static unsigned looks, enough;

static void setup(void)
{
    void *dl = dlopen(FAKE, RTLD_NOW | RTLD_LOCAL);

    ck_assert_msg(dl != NULL, "%s", dlerror());
    fake = dlsym(dl, "fake_nvml");
    ck_assert_ptr_nonnull(fake);
    ck_assert_int_eq(vwi_loop_create(&loop, NULL), VW_OK);
    looks = 0;
    enough = 1;
}

static void teardown(void)
{
    vwi_nvml_stop(nvml);
    vwi_loop_destroy(loop);
}

static void on_look(void *arg, const struct vwi_gpu_look *look)
{
    ck_assert_ptr_eq(arg, &last);
    last = *look;
    if (++looks == enough)
        vwi_loop_stop(loop);
}

static void start(const char *library, int64_t interval_ms)
{
    nvml = vwi_nvml_start(loop, library, interval_ms, on_look, &last);
    ck_assert_ptr_nonnull(nvml);
}

START_TEST(looks_arrive_on_the_loop_one_after_the_other)
{
    enough = 5;
    start(FAKE, 1);
    ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
    ck_assert_uint_eq(looks, 5);
    ck_assert_int_eq(last.outcome, VWI_GPU_SEEN);
    ck_assert_uint_eq(last.count, 2);
    ck_assert_str_eq(last.gpus[1].uuid, "GPU-00000001");
    ck_assert_uint_eq(last.gpus[1].has, 63);
}
END_TEST

START_TEST(a_renewed_watch_starts_the_library_anew)
{
    start(FAKE, 1);
    ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
    fake->lost = 1;
    enough = looks + 2;
    ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
    ck_assert_int_eq(last.gpus[0].answer, VWI_GPU_LOST);
    fake->lost = 0;
    enough = looks + 2;
    ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
    ck_assert_int_eq(last.gpus[0].answer, VWI_GPU_LOST); /* to who held it when it was lost */
    vwi_nvml_renew(nvml);
    enough = looks + 2;
    ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
    ck_assert_int_eq(last.gpus[0].answer, VWI_GPU_ANSWERS);
    ck_assert_uint_eq(fake->inits, 2);
}
END_TEST

START_TEST(xids_that_wait_survive_a_renewal)
{
    start(FAKE, 3600000);
    ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
    vwi_nvml_renew(nvml);
    fake->xids[0].gpu = 1;
    fake->xids[0].xid = 48;
    fake->xid_head = 1;
    enough = 2;
    ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
    ck_assert_uint_eq(fake->inits, 2);
    ck_assert_uint_eq(last.gpus[1].xid_count, 1);
    ck_assert_uint_eq(last.gpus[1].xids[0], 48);
    ck_assert_uint_eq(last.strays, 0);
}
END_TEST

START_TEST(an_absent_library_is_told_once_and_the_thread_goes_home)
{
    start("/nowhere/libnvidia-ml.so.1", 1);
    ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
    ck_assert_int_eq(last.outcome, VWI_GPU_ABSENT);
    ck_assert_ptr_nonnull(strstr(last.trouble, "/nowhere/libnvidia-ml.so.1"));
    vwi_nvml_stop(nvml);
    nvml = NULL;
    ck_assert_uint_eq(looks, 1);
}
END_TEST

START_TEST(a_driver_that_was_never_loaded_is_absent)
{
    fake->init_code = 9;
    start(FAKE, 1);
    ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
    ck_assert_int_eq(last.outcome, VWI_GPU_ABSENT);
    ck_assert_str_eq(last.trouble, "nvmlInit: Driver Not Loaded");
}
END_TEST

START_TEST(a_watch_can_be_stopped_before_its_first_look_was_taken)
{
    start(FAKE, 1);
    while (fake->looks < 2) /* the thread is on its way to the loop, or waits there */
        continue;
    vwi_nvml_stop(nvml);
    nvml = NULL;
    vwi_loop_destroy(loop); /* runs what was posted */
    ck_assert_uint_eq(looks, 0);
    ck_assert_int_eq(vwi_loop_create(&loop, NULL), VW_OK);
}
END_TEST

START_TEST(each_allocation_may_fail)
{
    unsigned nth;

    for (nth = 0; !nvml; nth++) {
        ck_assert_uint_lt(nth, 20);
        vwi_mem_fail_nth(nth);
        nvml = vwi_nvml_start(loop, FAKE, 1, on_look, &last);
        vwi_mem_fail_never();
    }
    ck_assert_uint_eq(nth, 4); /* the watch, the driver and its name; then all is well */
    ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
}
END_TEST

Suite *nvml_suite(void);

Suite *nvml_suite(void)
{
    Suite *s = suite_create("nvml");
    TCase *tc = tcase_create("nvml");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, looks_arrive_on_the_loop_one_after_the_other);
    tcase_add_test(tc, a_renewed_watch_starts_the_library_anew);
    tcase_add_test(tc, xids_that_wait_survive_a_renewal);
    tcase_add_test(tc, an_absent_library_is_told_once_and_the_thread_goes_home);
    tcase_add_test(tc, a_driver_that_was_never_loaded_is_absent);
    tcase_add_test(tc, a_watch_can_be_stopped_before_its_first_look_was_taken);
    tcase_add_test(tc, each_allocation_may_fail);
    suite_add_tcase(s, tc);
    return s;
}
