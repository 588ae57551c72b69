/* The GPUs as the driver's files name them. */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "io/file.h"
#include "io/machine.h"
#include "scratch.h"

static void add_gpu(const char *folder, const char *name, const char *information)
{
    char path[300];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/%s/information", folder, name);
    if (information)
        ck_assert_int_eq(vwi_file_write(path, information, strlen(information), 0644, NULL), VW_OK);
}

START_TEST(the_models_are_told_in_the_order_of_their_addresses)
{
    struct vwi_text out = VWI_TEXT_INIT;
    char folder[] = "/tmp/vastworker-machine-XXXXXX";

    scratch_make(folder);
    add_gpu(folder, "0000:b1:00.0", "Model: \t\t NVIDIA L4\nIRQ:   \t\t 12\n");
    add_gpu(folder, "0000:01:00.0", "IRQ: 1\nModel: \t\t NVIDIA H100 80GB HBM3\nGPU UUID: GPU-secret\n");
    add_gpu(folder, "0000:ff:00.0", NULL);
    vwi_machine_gpus(folder, &out);
    ck_assert_str_eq(out.p, "NVIDIA H100 80GB HBM3\nNVIDIA L4\n");
    vwi_text_fini(&out);
    scratch_remove(folder);
}
END_TEST

START_TEST(a_machine_without_a_driver_has_none)
{
    struct vwi_text out = VWI_TEXT_INIT;

    vwi_machine_gpus("/nonexistent/gpus", &out);
    ck_assert_uint_eq(out.len, 0);
    vwi_text_fini(&out);
}
END_TEST

Suite *machine_suite(void);

Suite *machine_suite(void)
{
    Suite *s = suite_create("machine");
    TCase *tc = tcase_create("machine");

    tcase_add_test(tc, the_models_are_told_in_the_order_of_their_addresses);
    tcase_add_test(tc, a_machine_without_a_driver_has_none);
    suite_add_tcase(s, tc);
    return s;
}
