/* Looks in, news out: which GPU is lost, broken, back; what is said, and how often; what /health shows of it. */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/vwi.h"
#include "core/gpu.h"

static struct vwi_gpus gpus;
static struct vwi_gpu_look look;
static double now_s;
static struct {
    enum vwi_gpu_news kind;
    char text[VWI_GPU_SENTENCE];
} news[64];
static size_t told;

static void on_news(void *arg, enum vwi_gpu_news kind, const char *text)
{
    (void)arg;
    ck_assert_uint_lt(told, VWI_ARRAY_LEN(news));
    news[told].kind = kind;
    snprintf(news[told++].text, sizeof news[0].text, "%s", text);
}

/* A look in which `count` GPUs are well. */
static void see(unsigned count)
{
    unsigned i;

    memset(&look, 0, sizeof look);
    look.outcome = VWI_GPU_SEEN;
    look.listed = count;
    look.count = count < VWI_GPUS ? count : VWI_GPUS;
    for (i = 0; i < look.count; i++) {
        look.gpus[i].index = i;
        snprintf(look.gpus[i].name, VWI_GPU_NAME, "NVIDIA H100");
        snprintf(look.gpus[i].uuid, VWI_GPU_NAME, "GPU-%u", i);
        look.gpus[i].has = VWI_GPU_HAS_MEMORY | VWI_GPU_HAS_TEMPERATURE;
        look.gpus[i].memory_total = 100;
        look.gpus[i].temperature_c = 60;
    }
}

static void lose(unsigned i)
{
    look.gpus[i].answer = VWI_GPU_LOST;
    look.gpus[i].has = 0;
    snprintf(look.gpus[i].said, VWI_GPU_SAID, "GPU is lost");
}

static void add_xid(unsigned i, unsigned xid) { look.gpus[i].xids[look.gpus[i].xid_count++] = xid; }

/* Judges what was seen, five seconds after the last time, and forgets what was told before. */
static void judge(void)
{
    told = 0;
    now_s += 5;
    vwi_gpus_judge(&gpus, &look, now_s, on_news, NULL);
}

static void meet(unsigned count)
{
    see(count);
    judge();
    ck_assert_uint_eq(told, 1);
    ck_assert_int_eq(news[0].kind, VWI_GPU_NEWS_FOUND);
}

static void expect(size_t nth, enum vwi_gpu_news kind, const char *text)
{
    ck_assert_uint_gt(told, nth);
    ck_assert_int_eq(news[nth].kind, kind);
    ck_assert_str_eq(news[nth].text, text);
}

static void setup(void)
{
    memset(&gpus, 0, sizeof gpus);
    now_s = 100;
}

START_TEST(gpus_that_are_well_are_said_once)
{
    meet(8);
    expect(0, VWI_GPU_NEWS_FOUND, "8 GPUs are watched: NVIDIA H100");
    see(8);
    judge();
    ck_assert_uint_eq(told, 0);
    ck_assert_uint_eq(gpus.count, 8);
    ck_assert_ptr_null(vwi_gpus_lost(&gpus));
    ck_assert(!vwi_gpus_ask_anew(&gpus));
    ck_assert(vwi_gpu_is_up(&gpus, &gpus.items[7]));
}
END_TEST

START_TEST(a_lost_gpu_is_said_once_and_stays_lost_until_it_answers)
{
    meet(2);
    see(2);
    lose(1);
    judge();
    expect(0, VWI_GPU_NEWS_GONE, "GPU 1 (NVIDIA H100) has fallen off the bus (NVML: GPU is lost)");
    ck_assert_str_eq(vwi_gpus_lost(&gpus), news[0].text);
    ck_assert(vwi_gpus_ask_anew(&gpus));
    ck_assert(!vwi_gpu_is_up(&gpus, &gpus.items[1]));
    ck_assert(vwi_gpu_is_up(&gpus, &gpus.items[0]));
    judge();
    ck_assert_uint_eq(told, 0);
    see(2);
    look.gpus[1].answer = VWI_GPU_FAILS; /* some other failure is no sign of life */
    look.gpus[1].uuid[0] = '\0';
    judge();
    ck_assert_uint_eq(told, 0);
    ck_assert_ptr_nonnull(vwi_gpus_lost(&gpus));
    see(2);
    judge();
    expect(0, VWI_GPU_NEWS_BACK, "GPU 1 (NVIDIA H100) answers again");
    ck_assert_ptr_null(vwi_gpus_lost(&gpus));
    ck_assert(vwi_gpu_is_up(&gpus, &gpus.items[1]));
}
END_TEST

START_TEST(a_gpu_that_is_listed_no_more_is_lost_and_the_others_keep_their_numbers)
{
    meet(3);
    see(2); /* the first is gone: the driver counts the others anew */
    snprintf(look.gpus[0].uuid, VWI_GPU_NAME, "GPU-1");
    snprintf(look.gpus[1].uuid, VWI_GPU_NAME, "GPU-2");
    look.gpus[0].temperature_c = 71;
    judge();
    ck_assert_uint_eq(told, 1);
    expect(0, VWI_GPU_NEWS_GONE, "GPU 0 (NVIDIA H100) has fallen off the bus (the driver lists it no more)");
    ck_assert_uint_eq(gpus.count, 3);
    ck_assert_uint_eq(gpus.items[1].now.index, 1);
    ck_assert_uint_eq(gpus.items[1].now.temperature_c, 71);
    ck_assert_uint_eq(gpus.items[0].now.has, 0);
}
END_TEST

START_TEST(a_gpu_that_needs_a_reset_is_lost)
{
    meet(1);
    see(1);
    look.gpus[0].answer = VWI_GPU_NEEDS_RESET;
    snprintf(look.gpus[0].said, VWI_GPU_SAID, "GPU requires reset");
    judge();
    expect(0, VWI_GPU_NEWS_GONE, "GPU 0 (NVIDIA H100) has to be reset (NVML: GPU requires reset)");
}
END_TEST

START_TEST(a_gpu_that_fails_in_another_way_is_a_finding_and_not_lost)
{
    meet(1);
    see(1);
    look.gpus[0].answer = VWI_GPU_FAILS;
    snprintf(look.gpus[0].said, VWI_GPU_SAID, "Unknown Error");
    judge();
    expect(0, VWI_GPU_NEWS_FAILS, "GPU 0 (NVIDIA H100) does not answer (NVML: Unknown Error)");
    ck_assert_ptr_null(vwi_gpus_lost(&gpus));
    ck_assert(!vwi_gpu_is_up(&gpus, &gpus.items[0]));
    ck_assert(vwi_gpus_ask_anew(&gpus));
    see(1);
    judge();
    expect(0, VWI_GPU_NEWS_BACK, "GPU 0 (NVIDIA H100) answers again");
}
END_TEST

START_TEST(xid_79_is_a_lost_gpu_even_if_its_values_were_still_to_be_had)
{
    meet(1);
    see(1);
    add_xid(0, 79);
    judge();
    ck_assert_uint_eq(told, 1);
    expect(0, VWI_GPU_NEWS_GONE, "GPU 0 (NVIDIA H100) has fallen off the bus (Xid 79)");
    ck_assert(vwi_gpus_ask_anew(&gpus));
    see(1);
    judge();
    expect(0, VWI_GPU_NEWS_BACK, "GPU 0 (NVIDIA H100) answers again");
}
END_TEST

START_TEST(fatal_xids_break_a_gpu_each_time)
{
    static const uint32_t fatal[] = { 46, 48, 62, 64, 74, 95, 119, 120, 140, 143 };
    size_t i;

    meet(1);
    for (i = 0; i < VWI_ARRAY_LEN(fatal); i++) {
        ck_assert(vwi_gpu_xid_is_fatal(fatal[i]));
        see(1);
        add_xid(0, fatal[i]);
        judge();
        ck_assert_uint_eq(told, 1);
        ck_assert_int_eq(news[0].kind, VWI_GPU_NEWS_BROKEN);
    }
    see(1);
    add_xid(0, 95);
    judge();
    expect(0, VWI_GPU_NEWS_BROKEN, "GPU 0 (NVIDIA H100) has to be reset (Xid 95: an uncontained memory error)");
    ck_assert(vwi_gpu_is_up(&gpus, &gpus.items[0])); /* it answers */
    see(1);
    judge();
    ck_assert_uint_eq(told, 0);
    ck_assert_str_ne(gpus.items[0].finding, ""); /* and answering is no reset */
}
END_TEST

START_TEST(faults_of_an_application_are_counted_and_condemn_nothing)
{
    static const uint32_t harmless[] = { 13, 31, 43, 45, 63, 94 };
    size_t i;

    meet(2);
    see(2);
    for (i = 0; i < VWI_ARRAY_LEN(harmless); i++) {
        ck_assert(!vwi_gpu_xid_is_fatal(harmless[i]));
        add_xid(1, harmless[i]);
    }
    judge();
    ck_assert_uint_eq(told, VWI_ARRAY_LEN(harmless)); /* the first of each kind */
    expect(1, VWI_GPU_NEWS_FAULT, "GPU 1 (NVIDIA H100): Xid 31; it says nothing against the GPU");
    judge();
    ck_assert_uint_eq(told, 0); /* not again so soon */
    ck_assert_uint_eq(gpus.items[1].kinds[1].xid, 31);
    ck_assert_uint_eq(gpus.items[1].kinds[1].count, 2);
    now_s += VWI_GPU_REPEAT_S;
    judge();
    ck_assert_uint_eq(told, 1);
    ck_assert_str_eq(gpus.items[1].finding, "");
    ck_assert_ptr_null(vwi_gpus_lost(&gpus));
}
END_TEST

START_TEST(kinds_of_xids_are_bounded_and_none_is_lost_from_the_count)
{
    uint64_t sum = 0;
    size_t i;
    unsigned xid = 200;

    meet(1);
    for (i = 0; i < 3; i++) {
        see(1);
        while (look.gpus[0].xid_count < VWI_GPU_XIDS)
            add_xid(0, xid++);
        look.gpus[0].xids_over = 2;
        judge();
    }
    ck_assert_uint_eq(gpus.items[0].kind_count, VWI_GPU_KINDS);
    for (i = 0; i < VWI_GPU_KINDS; i++)
        sum += gpus.items[0].kinds[i].count;
    ck_assert_uint_eq(sum + gpus.items[0].other_xids, 3 * VWI_GPU_XIDS + 6);
    see(1);
    look.strays = 3;
    judge();
    ck_assert_uint_eq(gpus.strays, 3);
}
END_TEST

START_TEST(uncorrected_memory_errors_are_said_when_there_are_more)
{
    meet(1);
    see(1);
    look.gpus[0].has |= VWI_GPU_HAS_UNCORRECTED;
    look.gpus[0].uncorrected = 2;
    judge();
    ck_assert_uint_eq(told, 1);
    expect(0, VWI_GPU_NEWS_FAULT, "GPU 0 (NVIDIA H100): 2 uncorrected ECC errors");
    now_s += VWI_GPU_REPEAT_S;
    judge();
    ck_assert_uint_eq(told, 0);
}
END_TEST

START_TEST(heat_is_said_now_and_then_and_running_into_the_power_limit_is_not)
{
    meet(1);
    see(1);
    look.gpus[0].has |= VWI_GPU_HAS_THROTTLE;
    look.gpus[0].throttle = VWI_GPU_SW_POWER_CAP | 1;
    judge();
    ck_assert_uint_eq(told, 0);
    look.gpus[0].throttle = VWI_GPU_HW_THERMAL | VWI_GPU_HW_SLOWDOWN;
    look.gpus[0].temperature_c = 91;
    judge();
    ck_assert_uint_eq(told, 1);
    expect(0, VWI_GPU_NEWS_FAULT, "GPU 0 (NVIDIA H100) is slowed down: hw_slowdown at 91 degrees Celsius");
    judge();
    ck_assert_uint_eq(told, 0);
    now_s += VWI_GPU_REPEAT_S;
    judge();
    ck_assert_uint_eq(told, 1);
}
END_TEST

START_TEST(a_library_that_cannot_be_used_is_said_once_and_so_is_its_end)
{
    memset(&look, 0, sizeof look);
    look.outcome = VWI_GPU_TROUBLE;
    snprintf(look.trouble, sizeof look.trouble, "nvmlInit: Driver/library version mismatch");
    judge();
    expect(0, VWI_GPU_NEWS_TROUBLE, "NVML cannot be used, GPUs are not watched: nvmlInit: Driver/library version mismatch");
    judge();
    ck_assert_uint_eq(told, 0);
    see(1);
    judge();
    ck_assert_uint_eq(told, 2);
    expect(0, VWI_GPU_NEWS_WELL, "NVML answers again");
    ck_assert_int_eq(news[1].kind, VWI_GPU_NEWS_FOUND);
}
END_TEST

START_TEST(an_absent_library_leaves_nothing_to_show)
{
    struct vwi_text out = VWI_TEXT_INIT;

    memset(&look, 0, sizeof look);
    snprintf(look.trouble, sizeof look.trouble, "no such file");
    judge();
    expect(0, VWI_GPU_NEWS_ABSENT, "no such file");
    vwi_gpus_add_health(&gpus, &out);
    ck_assert_uint_eq(out.len, 0);
    vwi_text_fini(&out);
}
END_TEST

static void wait_for(const char *call, double waited_s)
{
    told = 0;
    vwi_gpus_wait(&gpus, call, waited_s, on_news, NULL);
}

START_TEST(a_call_that_does_not_come_back_is_a_finding_and_condemns_nothing)
{
    meet(1);
    wait_for(NULL, 0);
    wait_for("nvmlDeviceGetMemoryInfo", 4.9);
    ck_assert_uint_eq(told, 0);
    wait_for("nvmlDeviceGetMemoryInfo", 5);
    expect(0, VWI_GPU_NEWS_TROUBLE, "NVML has not answered for 5 s (nvmlDeviceGetMemoryInfo): the driver may hang");
    ck_assert(!vwi_gpu_is_up(&gpus, &gpus.items[0]));
    ck_assert_ptr_null(vwi_gpus_lost(&gpus));
    wait_for("nvmlDeviceGetMemoryInfo", 500);
    ck_assert_uint_eq(told, 0);
    see(1);
    judge();
    expect(0, VWI_GPU_NEWS_WELL, "NVML answers again");
}
END_TEST

START_TEST(starting_the_library_may_take_longer)
{
    wait_for("nvmlInit", 29);
    ck_assert_uint_eq(told, 0);
    wait_for("nvmlInit", 30);
    expect(0, VWI_GPU_NEWS_TROUBLE, "NVML has not answered for 30 s (nvmlInit): the driver may hang");
}
END_TEST

START_TEST(more_gpus_than_there_is_room_for_are_said)
{
    meet(VWI_GPUS + 8);
    expect(0, VWI_GPU_NEWS_FOUND, "40 GPUs are watched, of which 8 are not looked at: NVIDIA H100");
    ck_assert_uint_eq(gpus.count, VWI_GPUS);
    ck_assert_uint_eq(gpus.unlisted, 8);
}
END_TEST

START_TEST(no_gpu_at_all_is_no_news_worth_a_line)
{
    see(0);
    judge();
    expect(0, VWI_GPU_NEWS_ABSENT, "the driver lists no GPU");
    judge();
    ck_assert_uint_eq(told, 0);
}
END_TEST

static json_t *read_health(void)
{
    struct vwi_text out = VWI_TEXT_INIT;
    json_t *root;

    vwi_text_adds(&out, "{\"status\": \"x\"");
    vwi_gpus_add_health(&gpus, &out);
    vwi_text_adds(&out, "}");
    root = json_loadb(out.p, out.len, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(root != NULL, "not JSON: %s", out.p);
    vwi_text_fini(&out);
    return root;
}

START_TEST(health_shows_each_gpu_and_only_what_the_driver_tells)
{
    json_t *root, *gpu, *other;

    meet(2);
    see(2);
    look.gpus[0].has = 63;
    look.gpus[0].memory_used = 50;
    look.gpus[0].utilization = 0.75;
    look.gpus[0].throttle = VWI_GPU_SW_POWER_CAP | VWI_GPU_HW_THERMAL;
    look.gpus[0].corrected = 3;
    add_xid(0, 43);
    look.gpus[0].xids_over = 1;
    lose(1);
    judge();
    root = read_health();
    gpu = json_array_get(json_object_get(root, "gpus"), 0);
    other = json_array_get(json_object_get(root, "gpus"), 1);
    ck_assert_str_eq(json_string_value(json_object_get(gpu, "name")), "NVIDIA H100");
    ck_assert(json_is_true(json_object_get(gpu, "up")));
    ck_assert_int_eq(json_integer_value(json_object_get(gpu, "memory_used")), 50);
    ck_assert_int_eq(json_integer_value(json_object_get(gpu, "memory_total")), 100);
    ck_assert_double_eq(json_number_value(json_object_get(gpu, "utilization")), 0.75);
    ck_assert_int_eq(json_integer_value(json_object_get(gpu, "temperature")), 60);
    ck_assert_uint_eq(json_array_size(json_object_get(gpu, "throttled")), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(gpu, "ecc_corrected")), 3);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(gpu, "xids"), "43")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(gpu, "xids"), "other")), 1);
    ck_assert_ptr_null(json_object_get(gpu, "finding"));
    ck_assert(json_is_false(json_object_get(other, "up")));
    ck_assert_str_eq(json_string_value(json_object_get(other, "finding")), "GPU 1 (NVIDIA H100) has fallen off the bus (NVML: GPU is lost)");
    ck_assert_ptr_null(json_object_get(other, "memory_used"));
    ck_assert_ptr_null(json_object_get(root, "nvml"));
    json_decref(root);
    wait_for("nvmlInit", 60);
    root = read_health();
    ck_assert_str_eq(json_string_value(json_object_get(root, "nvml")), news[0].text);
    json_decref(root);
}
END_TEST

Suite *gpu_suite(void);

Suite *gpu_suite(void)
{
    Suite *s = suite_create("gpu");
    TCase *tc = tcase_create("gpu");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, gpus_that_are_well_are_said_once);
    tcase_add_test(tc, a_lost_gpu_is_said_once_and_stays_lost_until_it_answers);
    tcase_add_test(tc, a_gpu_that_is_listed_no_more_is_lost_and_the_others_keep_their_numbers);
    tcase_add_test(tc, a_gpu_that_needs_a_reset_is_lost);
    tcase_add_test(tc, a_gpu_that_fails_in_another_way_is_a_finding_and_not_lost);
    tcase_add_test(tc, xid_79_is_a_lost_gpu_even_if_its_values_were_still_to_be_had);
    tcase_add_test(tc, fatal_xids_break_a_gpu_each_time);
    tcase_add_test(tc, faults_of_an_application_are_counted_and_condemn_nothing);
    tcase_add_test(tc, kinds_of_xids_are_bounded_and_none_is_lost_from_the_count);
    tcase_add_test(tc, uncorrected_memory_errors_are_said_when_there_are_more);
    tcase_add_test(tc, heat_is_said_now_and_then_and_running_into_the_power_limit_is_not);
    tcase_add_test(tc, a_library_that_cannot_be_used_is_said_once_and_so_is_its_end);
    tcase_add_test(tc, an_absent_library_leaves_nothing_to_show);
    tcase_add_test(tc, a_call_that_does_not_come_back_is_a_finding_and_condemns_nothing);
    tcase_add_test(tc, starting_the_library_may_take_longer);
    tcase_add_test(tc, more_gpus_than_there_is_room_for_are_said);
    tcase_add_test(tc, no_gpu_at_all_is_no_news_worth_a_line);
    tcase_add_test(tc, health_shows_each_gpu_and_only_what_the_driver_tells);
    suite_add_tcase(s, tc);
    return s;
}
