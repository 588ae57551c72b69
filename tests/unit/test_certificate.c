/* The story of the certificate against the simulator's control plane, with short waits. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/vwi.h"
#include "certs.h"
#include "flow/certificate.h"
#include "io/file.h"
#include "io/tls.h"
#include "scratch.h"
#include "sim_client.h"

static struct sim_proc sim;
static struct vwi_loop *loop;
static struct vwi_courier *courier;
static struct vwi_certificate *certificate;
static struct vwi_tls_conf conf;
static char dir[64], cert_path[96], key_path[96], sign_url[96];
static struct vwi_text said;
static bool there;
static char failed[1024];

static void on_log(void *arg, vw_log_level_t level, const char *line)
{
    (void)arg, (void)level;
    vwi_text_addf(&said, "%s\n", line);
}

static const struct vwi_log log_here = { .level = VW_LOG_INFO, .fn = on_log };

static void on_there(void *arg)
{
    (void)arg;
    there = true;
    vwi_loop_stop(loop);
}

static void on_failed(void *arg, const char *text)
{
    (void)arg;
    snprintf(failed, sizeof failed, "%s", text);
    vwi_loop_stop(loop);
}

static void set_up(void)
{
    static const char *const args[] = { "control", "--quiet", NULL };
    static const struct vwi_certificate_events events = { on_there, on_failed };
    struct vwi_certificate_setup setup = { .conf = &conf, .worker_id = 777, .log = &log_here, .first_wait_ms = 1 };

    sim_proc_start(&sim, args);
    snprintf(dir, sizeof dir, "/tmp/vastworker-certificate-XXXXXX");
    scratch_make(dir);
    snprintf(cert_path, sizeof cert_path, "%s/i.crt", dir);
    snprintf(key_path, sizeof key_path, "%s/i.key", dir);
    snprintf(sign_url, sizeof sign_url, "http://127.0.0.1:%d/api/v0/sign_cert/", sim.port);
    conf = (struct vwi_tls_conf){ true, cert_path, key_path, sign_url };
    ck_assert_int_eq(vwi_loop_create(&loop, NULL), VW_OK);
    ck_assert_int_eq(vwi_courier_create(loop, "test", &courier, NULL), VW_OK);
    setup.loop = loop;
    setup.courier = courier;
    ck_assert_int_eq(vwi_certificate_create(&setup, &events, NULL, &certificate, NULL), VW_OK);
}

static void tear_down(void)
{
    vwi_certificate_destroy(certificate);
    vwi_courier_destroy(courier);
    vwi_loop_destroy(loop);
    vwi_text_fini(&said);
    sim_proc_stop(&sim);
    scratch_remove(dir);
}

static void behave(const char *rule) { ck_assert_int_eq(sim_post(sim.port, "/sim/behave", rule, NULL), 200); }

static void run(void)
{
    vwi_certificate_start(certificate);
    ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
}

static unsigned mode_of(const char *path)
{
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_mode & 0777u;
}

static unsigned count(const char *text)
{
    const char *at = said.p;
    unsigned n = 0;

    for (; at && (at = strstr(at, text)); at++)
        n++;
    return n;
}

static void expect_pair(void)
{
    vw_error_t why = { VW_OK, "" };
    struct vwi_tls *tls = NULL;

    ck_assert_msg(there && !failed[0], "%s", failed);
    ck_assert_uint_eq(mode_of(cert_path), 0600);
    ck_assert(!vwi_certificate_is_missing(&conf));
    ck_assert_msg(vwi_tls_create(loop, cert_path, key_path, &log_here, &tls, &why) == VW_OK, "%s", why.text);
    vwi_tls_destroy(tls);
}

START_TEST(a_certificate_is_obtained_and_kept)
{
    ck_assert(vwi_certificate_is_missing(&conf));
    run();
    expect_pair();
    ck_assert_uint_eq(mode_of(key_path), 0600);
    ck_assert_uint_eq(count("warn"), 0);
    ck_assert_uint_eq(count("PRIVATE"), 0);
}
END_TEST

static const char *const troubles[] = {
    "{\"path\": \"/api/v0/sign_cert/\", \"fail\": 500, \"times\": 4}",
    "{\"path\": \"/api/v0/sign_cert/\", \"reset\": true, \"times\": 4}",
    "{\"garble\": 4}",
};

START_TEST(four_failures_are_forgiven)
{
    behave(troubles[_i]);
    run();
    expect_pair();
    ck_assert_uint_eq(count("asking again in"), 4);
    ck_assert_uint_eq(count("(try 4 of 5); asking again in 0.008 s"), 1);
}
END_TEST

static const struct {
    const char *rule, *text;
} failures[] = {
    { "{\"path\": \"/api/v0/sign_cert/\", \"fail\": 500}", "answered 500" },
    { "{\"path\": \"/api/v0/sign_cert/\", \"fail\": 404}", "answered 404" },
    { "{\"garble\": 100}", "sent no certificate in PEM form" },
};

START_TEST(five_are_not)
{
    struct vwi_text key = VWI_TEXT_INIT;

    behave(failures[_i].rule);
    run();
    ck_assert(!there);
    ck_assert_msg(strstr(failed, "no TLS certificate after 5 tries") && strstr(failed, failures[_i].text) && strstr(failed, sign_url) &&
                      strstr(failed, "Remedy: "),
                  "%s", failed);
    ck_assert_uint_eq(count("asking again in"), 4);
    ck_assert(vwi_certificate_is_missing(&conf));
    ck_assert_int_eq(vwi_file_read(key_path, 10000, &key, NULL), VW_OK); /* for the next start */
    vwi_text_fini(&key);
}
END_TEST

START_TEST(a_key_that_is_there_is_used)
{
    struct vwi_text before = VWI_TEXT_INIT, after = VWI_TEXT_INIT;
    EVP_PKEY *key = EVP_EC_gen("P-256");

    cert_write_key(key_path, key, NULL);
    EVP_PKEY_free(key);
    ck_assert_int_eq(vwi_file_read(key_path, 10000, &before, NULL), VW_OK);
    run();
    expect_pair();
    ck_assert_int_eq(vwi_file_read(key_path, 10000, &after, NULL), VW_OK);
    ck_assert_str_eq(before.p, after.p);
    vwi_text_fini(&before);
    vwi_text_fini(&after);
}
END_TEST

START_TEST(a_key_file_that_is_no_key_is_left_alone)
{
    struct vwi_text after = VWI_TEXT_INIT;

    ck_assert_int_eq(vwi_file_write(key_path, "mine\n", 5, 0600, NULL), VW_OK);
    run();
    ck_assert_msg(strstr(failed, "tls.keyFile: ") && strstr(failed, "no private key") && strstr(failed, "Remedy: "), "%s", failed);
    ck_assert_int_eq(vwi_file_read(key_path, 10000, &after, NULL), VW_OK);
    ck_assert_str_eq(after.p, "mine\n");
    vwi_text_fini(&after);
}
END_TEST

START_TEST(a_place_that_cannot_be_written_is_said_at_once)
{
    conf.key_file = _i ? key_path : (char[]){ "/nowhere/at/all.key" };
    conf.cert_file = _i ? (char[]){ "/nowhere/at/all.crt" } : cert_path;
    run();
    ck_assert_msg(strstr(failed, _i ? "tls.certFile: /nowhere" : "tls.keyFile: /nowhere") && strstr(failed, "No such file"), "%s", failed);
    ck_assert_uint_eq(count("asking again"), 0);
}
END_TEST

static void on_stop_time(void *arg)
{
    (void)arg;
    vwi_loop_stop(loop);
}

/* Within a call that is not answered, or within a wait. */
START_TEST(it_can_be_stopped)
{
    struct vwi_timer end = { 0 };

    behave(_i ? "{\"path\": \"/api/v0/sign_cert/\", \"stall\": true}" : troubles[0]);
    ck_assert_int_eq(vwi_timer_init(&end, loop, on_stop_time, NULL), VW_OK);
    vwi_certificate_start(certificate);
    vwi_certificate_stop(certificate);
    vwi_certificate_start(certificate);
    vwi_timer_start(&end, 300);
    if (_i) {
        ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
        vwi_certificate_stop(certificate);
        vwi_timer_start(&end, 50);
    } else {
        vwi_certificate_stop(certificate);
    }
    ck_assert_int_eq(vwi_loop_run(loop), VW_OK);
    ck_assert(!there && !failed[0]);
    vwi_timer_fini(&end);
}
END_TEST

Suite *certificate_suite(void);
Suite *certificate_suite(void)
{
    Suite *s = suite_create("certificate");
    TCase *t = tcase_create("certificate");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_certificate_is_obtained_and_kept);
    tcase_add_loop_test(t, four_failures_are_forgiven, 0, VWI_ARRAY_LEN(troubles));
    tcase_add_loop_test(t, five_are_not, 0, VWI_ARRAY_LEN(failures));
    tcase_add_test(t, a_key_that_is_there_is_used);
    tcase_add_test(t, a_key_file_that_is_no_key_is_left_alone);
    tcase_add_loop_test(t, a_place_that_cannot_be_written_is_said_at_once, 0, 2);
    tcase_add_loop_test(t, it_can_be_stopped, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
