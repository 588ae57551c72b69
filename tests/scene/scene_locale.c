/* A host program that has set a locale of its own: a comma in numbers, and letters whose other case is not the ASCII one. */
#include <ctype.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define CONFIG "{'maxPerf': 12.5, 'drainTimeout': 30.5, 'handlers': [{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', " \
               "'workloadCalculator': {'field': '/units'}}]}"

static struct model *m;
static struct control *c;

/* Made here, since a machine that builds has seldom more than C. False: it has not what they are made of, and said so. */
static bool set_locales(void)
{
    char *dir = temp_dir(), *out;
    int status;

    out = shell(&status, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 && localedef -i tr_TR -f UTF-8 %s/tr_TR.UTF-8", dir, dir);
    setenv("LOCPATH", dir, 1);
    free(out);
    free(dir);
    if (status == 0 && setlocale(LC_NUMERIC, "de_DE.UTF-8") && setlocale(LC_CTYPE, "tr_TR.UTF-8"))
        return true;
    printf("skipped: the locales de_DE and tr_TR cannot be made (tools/bootstrap --check installs locales)\n");
    return false;
}

static void check_health(struct worker *w)
{
    json_t *health = client_health(worker_port(w)), *model = json_object_get(health, "model");

    ck_assert_double_eq(json_number_value(json_object_get(health, "load")), 2.5);
    ck_assert_double_eq(json_number_value(json_object_get(health, "max_perf")), 12.5);
    ck_assert_double_gt(json_real_value(json_object_get(health, "since")), 1.7e9);
    ck_assert_double_gt(json_real_value(json_object_get(health, "uptime_s")), 0);
    ck_assert_str_eq(json_string_value(json_object_get(health, "version")), vw_version());
    ck_assert_int_eq(json_integer_value(json_object_get(model, "connections_active")), 1);
    ck_assert(json_is_integer(json_object_get(model, "connections_idle")));
    ck_assert(json_is_real(json_object_get(model, "loadtime_s")));
    json_decref(health);
}

static bool says_load(const json_t *report, void *arg)
{
    (void)arg;
    return json_number_value(json_object_get(report, "cur_load")) == 2.5;
}

START_TEST(a_host_with_another_locale_gets_the_same_numbers_and_names)
{
    struct answer a;
    struct worker *w;
    json_t *json;
    int fd;

    if (!set_locales())
        return;
    ck_assert_int_ne(tolower('I'), 'i');
    m = model_start();
    c = control_start();
    w = worker_start_ready(m, c, CONFIG);
    fd = client_connect(worker_port(w));
    client_send(fd, "POST /m/hold HTTP/1.1\r\nHost: w\r\nX-REQUEST-ID: lid\r\nCONTENT-LENGTH: 14\r\nCONTENT-TYPE: APPLICATION/JSON\r\n\r\n"
                    "{\"units\": 2.5}");
    model_wait_requests(m, 1);
    check_health(w);
    json_decref(control_wait_report(c, says_load, NULL));
    a = client_call(worker_port(w), "GET", "/metrics", "", NULL);
    ck_assert_ptr_nonnull(strstr(a.body, "\nvastworker_workload_total{kind=\"received\"} 2.5\n"));
    answer_fini(&a);
    a = client_call(worker_port(w), "POST", "/drain", "AUTHORIZATION: Bearer mtoken-secret\r\n", "");
    ck_assert_int_eq(a.status, 202);
    json = parse_json(a.body);
    ck_assert_double_eq(json_number_value(json_object_get(json, "drain_timeout")), 30.5);
    json_decref(json);
    answer_fini(&a);
    model_permit(m, 1);
    a = client_read(fd);
    ck_assert_int_eq(a.status, 200);
    ck_assert_ptr_nonnull(strstr(a.head, "\r\nX-Request-Id: lid\r\n"));
    answer_fini(&a);
    client_close(fd);
    worker_wait_logged(w, "workload=2.5 ");
    ck_assert_int_eq(worker_join(w), VW_OK);
    control_stop(c);
    model_stop(m);
}
END_TEST

Suite *locale_suite(void);

Suite *locale_suite(void)
{
    Suite *suite = suite_create("locale");
    TCase *tc = tcase_create("locale");

    tcase_add_test(tc, a_host_with_another_locale_gets_the_same_numbers_and_names);
    suite_add_tcase(suite, tc);
    return suite;
}
