/* The GPUs beside a worker, by a stand-in for NVIDIA's library: shown, lost, broken, back; and a library that hangs. Runs under TSan too. */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors.h"
#include "nvml/fake_nvml.h"

#define FAKE VWT_BUILD "/tests/nvml/fake_nvml.so"
#define OLD VWT_BUILD "/tests/nvml/old_nvml.so"
#define GPU(library) "'gpu': {'libraryPath': '" library "', 'interval': 0.1}"
#define ECHO "'handlers': [{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true}]"
#define PROBED "'modelHealthcheckPath': '/health', 'maxPerf': 5, "

#define PROMTOOL "build/promtool/promtool"

static struct model *m;
static struct fake_nvml *fake;

static void setup(void)
{
    void *dl = dlopen(FAKE, RTLD_NOW | RTLD_LOCAL);

    ck_assert_msg(dl != NULL, "%s", dlerror());
    fake = dlsym(dl, "fake_nvml");
    ck_assert_ptr_nonnull(fake);
    m = model_start();
}

static void teardown(void) { model_stop(m); }

static void send_xid(unsigned gpu, unsigned xid)
{
    unsigned at = fake->xid_head;

    fake->xids[at % FAKE_XIDS].gpu = gpu;
    fake->xids[at % FAKE_XIDS].xid = xid;
    fake->xid_head = at + 1;
}

/* Asks until the answer holds this text; the answer is to be freed. */
static char *wait_shown(struct worker *w, const char *path, const char *text)
{
    double until = patience();

    for (;;) {
        struct answer a = client_call(worker_port(w), "GET", path, "", NULL);
        char *body = strdup(a.body);
        bool found = strstr(body, text) != NULL;

        ck_assert_msg(found || now_s() < until, "%s never had %s, but: %s", path, text, body);
        answer_fini(&a);
        if (found)
            return body;
        free(body);
        nap();
    }
}

static void shows(struct worker *w, const char *path, const char *text) { free(wait_shown(w, path, text)); }

static int ask(struct worker *w)
{
    struct answer a = client_call(worker_port(w), "GET", "/m/x", "", NULL);
    int status = a.status;

    answer_fini(&a);
    return status;
}

static void wait_looks(unsigned more)
{
    unsigned goal = fake->looks + more;
    double until = patience();

    while (fake->looks < goal) {
        ck_assert_msg(now_s() < until, "nobody looked at the GPUs");
        nap();
    }
}

static bool says_lost(const json_t *report, void *arg)
{
    const char *text = json_string_value(json_object_get(report, "error_msg"));

    return text && strstr(text, arg) != NULL;
}

/* ---- shown ---- */

START_TEST(health_and_metrics_show_each_gpu)
{
    struct worker *w;
    char *body;

    fake->throttle = 0x4 | 0x40;
    fake->corrected = 5;
    w = worker_start_ready(m, NULL, "{" GPU(FAKE) ", " ECHO "}");
    body = wait_shown(w, "/health", "\"gpus\": [{\"index\": 0, \"name\": \"NVIDIA H100\", \"up\": true");
    ck_assert_ptr_nonnull(strstr(body, "\"memory_used\": 3145728, \"memory_total\": 85899345920, \"utilization\": 0.75, \"temperature\": 61, "
                                       "\"throttled\": [\"sw_power_cap\", \"hw_thermal_slowdown\"], \"ecc_corrected\": 5, \"ecc_uncorrected\": 0}"));
    free(body);
    body = wait_shown(w, "/metrics", "vastworker_gpu_up{gpu=\"1\"} 1\n");
    ck_assert_ptr_nonnull(strstr(body, "vastworker_nvml_up 1\n"));
    ck_assert_ptr_nonnull(strstr(body, "vastworker_gpu_info{gpu=\"1\",name=\"NVIDIA H100\",uuid=\"GPU-00000001\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(body, "vastworker_gpu_memory_bytes{gpu=\"1\",kind=\"used\"} 3145728\n"));
    ck_assert_ptr_nonnull(strstr(body, "vastworker_gpu_throttled{gpu=\"0\",reason=\"hw_thermal_slowdown\"} 1\n"));
    free(body);
    fake->temperature = 77;
    shows(w, "/metrics", "vastworker_gpu_temperature_celsius{gpu=\"0\"} 77\n");
    worker_wait_logged(w, "2 GPUs are watched: NVIDIA H100");
    ck_assert_uint_eq(worker_count_logged(w, "GPUs are watched"), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(fake->shutdowns, fake->inits);
}
END_TEST

START_TEST(promtool_has_nothing_to_say_about_their_metrics)
{
    struct worker *w;
    char *text, *path, *out;
    int status;

    if (access(PROMTOOL, X_OK) != 0) {
        printf("skipped: promtool is not in build/promtool (tools/check/promtool brings it)\n");
        return;
    }
    w = worker_start_ready(m, NULL, "{" GPU(FAKE) ", " ECHO "}");
    shows(w, "/health", "\"index\": 1");
    send_xid(0, 31);
    text = wait_shown(w, "/metrics", "vastworker_gpu_xid_total{gpu=\"0\",xid=\"31\"} 1\n");
    path = temp_file("metrics.txt", NULL);
    append_file(path, text);
    out = shell(&status, PROMTOOL " check metrics <%s 2>&1", path);
    ck_assert_msg(status == 0 && !*out, "%s", out);
    free(out);
    free(path);
    free(text);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(eight_gpus_are_shown_and_so_are_more_than_there_is_room_for)
{
    struct worker *w;
    json_t *root;

    fake->gpus = 8;
    w = worker_start_ready(m, NULL, "{" GPU(FAKE) ", " ECHO "}");
    shows(w, "/health", "\"index\": 7");
    root = client_health(worker_port(w));
    ck_assert_uint_eq(json_array_size(json_object_get(root, "gpus")), 8);
    json_decref(root);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    fake->gpus = FAKE_GPUS;
    w = worker_start_ready(m, NULL, "{" GPU(FAKE) ", " ECHO "}");
    worker_wait_logged(w, "40 GPUs are watched, of which 8 are not looked at");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(what_an_old_driver_lacks_is_not_shown)
{
    struct worker *w = worker_start_ready(m, NULL, "{" GPU(OLD) ", " ECHO "}");
    char *body = wait_shown(w, "/health", "\"gpus\": [{\"index\": 0, \"name\": \"\", \"up\": true, \"memory_used\": ");

    ck_assert_ptr_nonnull(strstr(body, "\"temperature\": 61}"));
    free(body);
    body = wait_shown(w, "/metrics", "vastworker_gpu_up{gpu=\"1\"} 1\n");
    ck_assert_ptr_null(strstr(body, "vastworker_gpu_utilization_ratio{"));
    ck_assert_ptr_null(strstr(body, "vastworker_gpu_throttled{"));
    free(body);
    ck_assert_int_eq(worker_status(w).state, VW_STATE_READY);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(gpus_of_others_on_the_same_machine_are_not_shown)
{
    struct worker *w;
    json_t *root;

    fake->gpus = 4;
    fake->denied = 1 | 4;
    w = worker_start_ready(m, NULL, "{" GPU(FAKE) ", " ECHO "}");
    shows(w, "/health", "\"index\": 3");
    root = client_health(worker_port(w));
    ck_assert_uint_eq(json_array_size(json_object_get(root, "gpus")), 2);
    json_decref(root);
    worker_wait_logged(w, "2 GPUs are watched: NVIDIA H100");
    wait_looks(4);
    ck_assert_uint_eq(fake->inits, 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(no_gpu_is_an_empty_list)
{
    struct worker *w;

    fake->gpus = 0;
    w = worker_start_ready(m, NULL, "{" GPU(FAKE) ", " ECHO "}");
    shows(w, "/health", "\"gpus\": []}");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(nothing_is_loaded_where_it_is_switched_off)
{
    struct worker *w = worker_start_ready(m, NULL, "{'gpu': {'enabled': false, 'libraryPath': '" FAKE "'}, " ECHO "}");
    json_t *root = client_health(worker_port(w));

    ck_assert_ptr_null(json_object_get(root, "gpus"));
    json_decref(root);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(fake->inits, 0);
}
END_TEST

/* ---- no library ---- */

START_TEST(without_a_library_nothing_is_said_and_nothing_shown)
{
    void *real = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    struct worker *w;
    json_t *root;

    if (real) {
        fprintf(stderr, "skipped: this machine has libnvidia-ml.so.1\n");
        return;
    }
    w = worker_start_ready(m, NULL, "{" ECHO "}");
    worker_wait_logged(w, "no GPU is watched: libnvidia-ml.so.1"); /* a debug line, the only one */
    ck_assert_uint_eq(worker_count_logged(w, "GPU"), 1);
    ck_assert_uint_eq(worker_count_logged(w, "WARN"), 0);
    root = client_health(worker_port(w));
    ck_assert_ptr_null(json_object_get(root, "gpus"));
    ck_assert_ptr_null(json_object_get(root, "nvml"));
    json_decref(root);
    ck_assert_int_eq(ask(w), 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_library_that_was_named_and_is_not_there_is_warned_of)
{
    struct worker *w = worker_start_ready(m, NULL, "{" GPU("/nowhere/libnvidia-ml.so.1") ", " ECHO "}");

    worker_wait_logged(w, "gpu.libraryPath: no GPU is watched: /nowhere/libnvidia-ml.so.1: cannot open");
    ck_assert_int_eq(ask(w), 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_driver_that_does_not_fit_its_library_is_a_finding_until_it_does)
{
    struct worker *w;
    char *body;

    fake->init_code = 18;
    w = worker_start_ready(m, NULL, "{" GPU(FAKE) ", " ECHO "}");
    body = wait_shown(w, "/health", "\"gpus\": [], \"nvml\": \"NVML cannot be used, GPUs are not watched: nvmlInit: Driver/library version mismatch\"");
    ck_assert_ptr_nonnull(strstr(body, "\"status\": \"ready\""));
    free(body);
    shows(w, "/metrics", "vastworker_nvml_up 0\n");
    fake->init_code = 0;
    shows(w, "/metrics", "vastworker_nvml_up 1\n");
    worker_wait_logged(w, "NVML answers again");
    ck_assert_uint_eq(worker_count_logged(w, "NVML cannot be used"), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(another_library_by_that_name_is_a_finding)
{
    struct worker *w = worker_start_ready(m, NULL, "{" GPU("libm.so.6") ", " ECHO "}");

    worker_wait_logged(w, "libm.so.6 has no nvmlInit_v2: it is too old, or another library");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* ---- lost, and back ---- */

START_TEST(a_lost_gpu_is_an_error_told_at_once_and_ends_with_its_return)
{
    static char lost[] = "GPU 1 (NVIDIA H100) has fallen off the bus (NVML: GPU is lost)";
    struct control *c = control_start();
    struct worker *w = worker_start_ready(m, c, "{" PROBED GPU(FAKE) ", " ECHO "}");

    json_decref(control_wait_state(c, true));
    shows(w, "/health", "\"index\": 1");
    fake->lost = 2;
    worker_wait_state(w, VW_STATE_ERROR);
    json_decref(control_wait_report(c, says_lost, lost));
    shows(w, "/health", "\"status\": \"error\", \"reason\": \"GPU 1 (NVIDIA H100) has fallen off the bus (NVML: GPU is lost)\"");
    shows(w, "/metrics", "vastworker_gpu_up{gpu=\"1\"} 0\n");
    ck_assert_int_eq(ask(w), 503);
    model_wait_probes(m, model_probes(m) + 3);
    wait_looks(4);
    ck_assert_int_eq(worker_status(w).state, VW_STATE_ERROR); /* whatever the model's health path says */
    ck_assert_uint_eq(worker_count_logged(w, lost), 1);
    fake->lost = 0;
    worker_wait_state(w, VW_STATE_READY);
    worker_wait_logged(w, "GPU 1 (NVIDIA H100) answers again");
    shows(w, "/metrics", "vastworker_gpu_up{gpu=\"1\"} 1\n");
    ck_assert_int_eq(ask(w), 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    control_stop(c);
}
END_TEST

START_TEST(of_two_lost_gpus_both_have_to_return)
{
    struct worker *w = worker_start_ready(m, NULL, "{" PROBED GPU(FAKE) ", " ECHO "}");

    shows(w, "/health", "\"index\": 1");
    fake->lost = 3;
    worker_wait_state(w, VW_STATE_ERROR);
    shows(w, "/metrics", "vastworker_gpu_up{gpu=\"1\"} 0\n");
    fake->lost = 2;
    shows(w, "/health", "\"reason\": \"GPU 1 (NVIDIA H100) has fallen off the bus");
    fake->lost = 0;
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_gpu_that_the_driver_drops_is_lost)
{
    struct worker *w = worker_start_ready(m, NULL, "{" PROBED GPU(FAKE) ", " ECHO "}");

    shows(w, "/health", "\"index\": 1");
    fake->unlisted = 1;
    worker_wait_state(w, VW_STATE_ERROR);
    shows(w, "/metrics", "vastworker_gpu_up{gpu=\"0\"} 0\n");
    shows(w, "/metrics", "vastworker_gpu_up{gpu=\"1\"} 1\n");
    fake->unlisted = 0;
    worker_wait_state(w, VW_STATE_READY);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_gpu_that_answers_with_an_unknown_error_is_a_finding)
{
    struct worker *w = worker_start_ready(m, NULL, "{" GPU(FAKE) ", " ECHO "}");

    shows(w, "/health", "\"index\": 1");
    fake->failing = 1;
    shows(w, "/health", "\"finding\": \"GPU 0 (NVIDIA H100) does not answer (NVML: Unknown Error)\"");
    ck_assert_int_eq(worker_status(w).state, VW_STATE_READY);
    fake->failing = 0;
    worker_wait_logged(w, "GPU 0 (NVIDIA H100) answers again");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* ---- Xids ---- */

START_TEST(xids_of_an_application_are_counted_and_the_worker_serves_on)
{
    struct worker *w = worker_start_ready(m, NULL, "{" GPU(FAKE) ", " ECHO "}");

    shows(w, "/health", "\"index\": 1");
    send_xid(1, 43);
    send_xid(1, 43);
    send_xid(99, 31); /* of a GPU that is none of these */
    shows(w, "/metrics", "vastworker_gpu_xid_total{gpu=\"1\",xid=\"43\"} 2\n");
    shows(w, "/metrics", "vastworker_gpu_xid_total{gpu=\"unknown\",xid=\"other\"} 1\n");
    worker_wait_logged(w, "GPU 1 (NVIDIA H100): Xid 43; it says nothing against the GPU");
    ck_assert_int_eq(worker_status(w).state, VW_STATE_READY);
    ck_assert_int_eq(ask(w), 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(an_xid_that_asks_for_a_reset_is_an_error_told_at_once)
{
    static char broken[] = "GPU 0 (NVIDIA H100) has to be reset (Xid 95: an uncontained memory error)";
    struct control *c = control_start();
    struct worker *w = worker_start_ready(m, c, "{" PROBED GPU(FAKE) ", " ECHO "}");

    shows(w, "/health", "\"index\": 1");
    send_xid(0, 95);
    worker_wait_state(w, VW_STATE_ERROR);
    json_decref(control_wait_report(c, says_lost, broken));
    model_wait_probes(m, model_probes(m) + 4); /* good ones, which prove nothing */
    ck_assert_int_eq(worker_status(w).state, VW_STATE_ERROR);
    model_health(m, 500);
    model_wait_probes(m, model_probes(m) + 5);
    model_health(m, 200);
    worker_wait_state(w, VW_STATE_READY); /* the model was down and is healthy again */
    ck_assert_uint_eq(worker_count_logged(w, broken), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    control_stop(c);
}
END_TEST

START_TEST(xid_79_is_seen_within_a_second_though_looks_are_rare)
{
    struct worker *w = worker_start_ready(m, NULL, "{" PROBED "'gpu': {'libraryPath': '" FAKE "', 'interval': 3600}, " ECHO "}");

    shows(w, "/health", "\"index\": 1");
    fake->lost = 1;
    send_xid(0, 79);
    worker_wait_state(w, VW_STATE_ERROR);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* ---- a library that hangs ---- */

static void wait_hanging(int n)
{
    double until = patience();

    while (fake->hanging != n) {
        ck_assert_msg(now_s() < until, "%d calls hang, not %d", fake->hanging, n);
        nap();
    }
}

START_TEST(a_call_that_hangs_is_a_finding_while_the_worker_serves)
{
    struct worker *w = worker_start_ready(m, NULL, "{" PROBED GPU(FAKE) ", " ECHO "}");
    char *body;

    shows(w, "/health", "\"index\": 1");
    fake->hang = FAKE_HANGS_IN_MEMORY;
    wait_hanging(1);
    skip_time(6);
    body = wait_shown(w, "/health", "\"nvml\": \"NVML has not answered for ");
    ck_assert_ptr_nonnull(strstr(body, "(nvmlDeviceGetMemoryInfo): the driver may hang"));
    ck_assert_ptr_nonnull(strstr(body, "\"status\": \"ready\""));
    free(body);
    shows(w, "/metrics", "vastworker_gpu_up{gpu=\"0\"} 0\n");
    ck_assert_int_eq(ask(w), 200);
    fake->hang = FAKE_HANGS_NOT;
    worker_wait_logged(w, "NVML answers again");
    shows(w, "/metrics", "vastworker_gpu_up{gpu=\"0\"} 1\n");
    ck_assert_uint_eq(worker_count_logged(w, "NVML has not answered"), 1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_worker_leaves_while_a_call_hangs_and_the_call_finds_nobody)
{
    struct worker *w = worker_start_ready(m, NULL, "{" GPU(FAKE) ", " ECHO "}");

    shows(w, "/health", "\"index\": 1");
    fake->hang = FAKE_HANGS_IN_MEMORY;
    wait_hanging(1);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    ck_assert_uint_eq(fake->shutdowns, 0);
    fake->hang = FAKE_HANGS_NOT;
    while (fake->shutdowns == 0) /* it comes home to an empty house, and cleans up */
        nap();
    w = worker_start_ready(m, NULL, "{" GPU(FAKE) ", " ECHO "}"); /* the next worker is not disturbed */
    shows(w, "/health", "\"index\": 1");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_worker_leaves_while_the_start_of_the_library_hangs)
{
    struct worker *w;

    fake->hang = FAKE_HANGS_IN_INIT;
    w = worker_start_ready(m, NULL, "{" GPU(FAKE) ", " ECHO "}");
    wait_hanging(1);
    skip_time(31);
    shows(w, "/health", "NVML has not answered for ");
    ck_assert_int_eq(ask(w), 200);
    ck_assert_int_eq(worker_finish(w), VW_OK); /* the thread is left behind, and still hangs at the end of this process */
}
END_TEST

START_TEST(a_process_ends_while_a_call_hangs)
{
    char *path = temp_file("hang.json", "{'workerPort': 0, " GPU(FAKE) ", " ECHO "}"), *url = NULL;
    struct program *p;
    uint16_t port;
    struct answer a;

    ck_assert_int_gt(asprintf(&url, "MODEL_SERVER_URL=http://127.0.0.1:%u", model_port(m)), 0);
    p = program_start((const char *const[]){ RUN, "--config", path, NULL }, (const char *const[]){ url, "FAKE_NVML_HANG=1", NULL });
    port = program_port(p, "listening on port ");
    program_wait_said(p, "-> ready");
    a = client_call(port, "GET", "/m/x", "", NULL);
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    program_signal(p, SIGTERM);
    ck_assert_int_eq(program_wait(p), 0);
    program_free(p);
    free(path);
    free(url);
}
END_TEST

Suite *gpu_suite(void);

Suite *gpu_suite(void)
{
    Suite *s = suite_create("gpu");
    TCase *tc = tcase_create("gpu");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, health_and_metrics_show_each_gpu);
    tcase_add_test(tc, promtool_has_nothing_to_say_about_their_metrics);
    tcase_add_test(tc, eight_gpus_are_shown_and_so_are_more_than_there_is_room_for);
    tcase_add_test(tc, what_an_old_driver_lacks_is_not_shown);
    tcase_add_test(tc, gpus_of_others_on_the_same_machine_are_not_shown);
    tcase_add_test(tc, no_gpu_is_an_empty_list);
    tcase_add_test(tc, nothing_is_loaded_where_it_is_switched_off);
    tcase_add_test(tc, without_a_library_nothing_is_said_and_nothing_shown);
    tcase_add_test(tc, a_library_that_was_named_and_is_not_there_is_warned_of);
    tcase_add_test(tc, a_driver_that_does_not_fit_its_library_is_a_finding_until_it_does);
    tcase_add_test(tc, another_library_by_that_name_is_a_finding);
    tcase_add_test(tc, a_lost_gpu_is_an_error_told_at_once_and_ends_with_its_return);
    tcase_add_test(tc, of_two_lost_gpus_both_have_to_return);
    tcase_add_test(tc, a_gpu_that_the_driver_drops_is_lost);
    tcase_add_test(tc, a_gpu_that_answers_with_an_unknown_error_is_a_finding);
    tcase_add_test(tc, xids_of_an_application_are_counted_and_the_worker_serves_on);
    tcase_add_test(tc, an_xid_that_asks_for_a_reset_is_an_error_told_at_once);
    tcase_add_test(tc, xid_79_is_seen_within_a_second_though_looks_are_rare);
    tcase_add_test(tc, a_call_that_hangs_is_a_finding_while_the_worker_serves);
    tcase_add_test(tc, a_worker_leaves_while_a_call_hangs_and_the_call_finds_nobody);
    tcase_add_test(tc, a_worker_leaves_while_the_start_of_the_library_hangs);
    tcase_add_test(tc, a_process_ends_while_a_call_hangs);
    suite_add_tcase(s, tc);
    return s;
}
