/* HTTPS as clients meet it: curl, openssl s_client, and raw sockets for what no client does. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "actors.h"
#include "certs.h"
#include "sink.h"

static struct model *m;
static struct worker *w;
static char *dir, cert[300], key[300];

#define HANDLERS "'handlers': [{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true}]"

static struct worker *start(struct model *server, const char *more)
{
    char config[1500];

    snprintf(config, sizeof config, "{'tls': {'enabled': true, 'certFile': '%s', 'keyFile': '%s'}, %s " HANDLERS "}", cert, key, more);
    return worker_start_ready(server, NULL, config);
}

static void setup(void)
{
    worker_setenv("USE_SSL", NULL);
    dir = temp_dir();
    snprintf(cert, sizeof cert, "%s/instance.crt", dir);
    snprintf(key, sizeof key, "%s/instance.key", dir);
    cert_write_pair(cert, key, "first", 30);
    m = model_start();
    w = start(m, "'timeouts': {'clientHeader': 3},");
}

static void teardown(void)
{
    ck_assert_int_eq(worker_finish(w), VW_OK);
    model_stop(m);
    free(dir);
}

static void expect_said(const char *out, const char *text) { ck_assert_msg(strstr(out, text) != NULL, "no \"%s\" in: %s", text, out); }

START_TEST(curl_is_served_over_one_connection)
{
    int status;
    char *out = shell(&status, "curl -sS --cacert %s -w ' %%{http_version} %%{num_connects} %%{ssl_verify_result}\\n' https://localhost:%u/m/status/201 "
                      "https://localhost:%u/m/size/3000000 -o %s/1 -o %s/2", cert, worker_port(w), worker_port(w), dir, dir);

    ck_assert_int_eq(status, 0);
    ck_assert_str_eq(out, " 1.1 1 0\n 1.1 0 0\n");
    free(out);
}
END_TEST

START_TEST(the_model_learns_that_the_client_spoke_tls)
{
    int status;
    char *out = shell(&status, "curl -sS --cacert %s https://localhost:%u/m/head", cert, worker_port(w));

    ck_assert_int_eq(status, 0);
    expect_said(out, "\r\nX-Forwarded-Proto: https\r\n");
    free(out);
}
END_TEST

START_TEST(bodies_of_any_size_pass_both_ways)
{
    struct sink *s = sink_start();
    char config[1500];
    struct worker *up;
    int status;
    char *out;

    out = shell(&status, "curl -sS --cacert %s https://localhost:%u/m/size/20000000 | wc -c", cert, worker_port(w));
    ck_assert_int_eq(strtol(out, NULL, 10), 20000000);
    free(out);
    out = shell(&status, "curl -sS --limit-rate 4M --cacert %s https://localhost:%u/m/size/3000000 | wc -c", cert, worker_port(w));
    ck_assert_int_eq(strtol(out, NULL, 10), 3000000);
    free(out);
    snprintf(config, sizeof config, "http://127.0.0.1:%u", sink_port(s));
    worker_setenv("MODEL_SERVER_URL", config);
    snprintf(config, sizeof config, "{'tls': {'enabled': true, 'certFile': '%s', 'keyFile': '%s'}, " HANDLERS "}", cert, key);
    up = worker_start_ready(NULL, NULL, config);
    out = shell(&status, "head -c 30000000 /dev/zero | curl -sS --cacert %s -T - https://localhost:%u/m/sink", cert, worker_port(up));
    expect_said(out, "\"bytes\": 30000000");
    expect_said(out, "\"framing\": \"chunked\"");
    free(out);
    out = shell(&status, "head -c 30000000 /dev/zero > %s/body; curl -sS --cacert %s -T %s/body https://localhost:%u/m/sink; rm %s/body", dir, cert,
                dir, worker_port(up), dir);
    expect_said(out, "\"framing\": \"30000000\"");
    free(out);
    ck_assert_int_eq(worker_finish(up), VW_OK);
    sink_stop(s);
}
END_TEST

START_TEST(versions_and_protocols_are_todays)
{
    static const struct {
        const char *options, *said;
        bool good;
    } cases[] = {
        { "-tls1_3", "TLSv1.3", true },
        { "-tls1_2", "TLSv1.2", true },
        { "-tls1_1 -cipher DEFAULT@SECLEVEL=0", "Cipher is (NONE)", false },
        { "-tls1_2 -cipher AES128-SHA", "Cipher is (NONE)", false },
        { "-alpn h2,http/1.1", "ALPN protocol: http/1.1", true },
        { "-alpn http/1.1", "ALPN protocol: http/1.1", true },
    };
    int status;
    char *out = shell(&status, "printf 'GET /m/x HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' | openssl s_client -ign_eof -connect "
                      "127.0.0.1:%u -CAfile %s %s 2>&1 || true", worker_port(w), cert, cases[_i].options);

    expect_said(out, cases[_i].said);
    ck_assert_int_eq(strstr(out, "HTTP/1.1 200 OK") != NULL, cases[_i].good);
    free(out);
}
END_TEST

/* ---- a client of our own, for what must be seen from within ---- */

struct secure {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

static struct secure dial_to(struct worker *one)
{
    struct secure s = { SSL_CTX_new(TLS_client_method()), NULL, client_connect(worker_port(one)) };

    s.ssl = SSL_new(s.ctx);
    SSL_set_fd(s.ssl, s.fd);
    ck_assert_int_eq(SSL_connect(s.ssl), 1);
    return s;
}

static struct secure dial(void) { return dial_to(w); }

static void hang_up(struct secure *s)
{
    SSL_free(s->ssl);
    SSL_CTX_free(s->ctx);
    close(s->fd);
}

static void ask(struct secure *s)
{
    static const char request[] = "GET /m/x HTTP/1.1\r\nHost: x\r\n\r\n";
    char got[2000] = "";
    int len = 0, n;

    ck_assert_int_eq(SSL_write(s->ssl, request, sizeof request - 1), sizeof request - 1);
    while (!strstr(got, "{\"ok\": true}")) {
        n = SSL_read(s->ssl, got + len, (int)sizeof got - 1 - len);
        ck_assert_msg(n > 0, "the connection ended after: %s", got);
        got[len += n] = '\0';
    }
    ck_assert_msg(strncmp(got, "HTTP/1.1 200", 12) == 0, "%s", got);
}

static bool shows(struct secure *s, const char *name)
{
    X509 *peer = SSL_get1_peer_certificate(s->ssl);
    char common[100] = "";

    X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, common, sizeof common);
    X509_free(peer);
    return strcmp(common, name) == 0;
}

START_TEST(a_changed_pair_is_taken_and_open_connections_live_on)
{
    struct secure old = dial(), now;

    ck_assert(shows(&old, "first"));
    ask(&old);
    cert_write_pair(cert, key, "second", 30);
    worker_wait_logged(w, "the certificate was read again");
    now = dial();
    ck_assert(shows(&now, "second"));
    ask(&now);
    hang_up(&now);
    ask(&old);
    cert_write_pair(cert, key, "third", 30);
    unlink(key); /* no pair any more: the old one goes on serving */
    worker_wait_logged(w, "cannot be used; serving with the ones before");
    now = dial();
    ck_assert(shows(&now, "second"));
    ask(&now);
    hang_up(&now);
    ask(&old);
    hang_up(&old);
}
END_TEST

START_TEST(a_plain_request_is_told_where_it_went_wrong)
{
    struct answer a = client_call(worker_port(w), "GET", "/m/x", "", NULL);

    ck_assert_int_eq(a.status, 400);
    ck_assert_str_eq(answer_reason(&a), "bad_request");
    ck_assert_ptr_nonnull(strstr(a.body, "HTTPS"));
    answer_fini(&a);
}
END_TEST

/* Silence, half a hello, garbage, a reset in the middle: each is over soon, and a neighbour notices nothing. */
START_TEST(a_handshake_that_does_not_end_is_given_up)
{
    static const char hello[] = "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", garbage[] = "\x17\x03\x03\x00\x05hello\x00\x01";
    struct secure neighbour = dial();
    int fd = client_connect(worker_port(w));

    ask(&neighbour);
    if (_i == 1 || _i == 3)
        client_send_bytes(fd, hello, sizeof hello - 1);
    else if (_i == 2)
        client_send_bytes(fd, garbage, sizeof garbage - 1);
    if (_i == 3) {
        client_reset(fd);
    } else {
        char rest[200];

        while (recv(fd, rest, sizeof rest, 0) > 0) /* an alert may come before the end */
            continue;
        close(fd);
    }
    ask(&neighbour);
    hang_up(&neighbour);
}
END_TEST

START_TEST(a_client_that_sends_byte_by_byte_is_served)
{
    struct secure s = { SSL_CTX_new(TLS_client_method()), NULL, client_connect(worker_port(w)) };
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    static const char request[] = "GET /m/x HTTP/1.1\r\nHost: x\r\n\r\n";
    char byte, piece[4000], got[4000] = "";
    size_t len = 0;
    bool asked = false;

    s.ssl = SSL_new(s.ctx);
    SSL_set_bio(s.ssl, in, out);
    SSL_set_connect_state(s.ssl);
    while (!strstr(got, "{\"ok\": true}")) {
        int n;

        if (!SSL_is_init_finished(s.ssl))
            SSL_do_handshake(s.ssl);
        while (asked && (n = SSL_read(s.ssl, got + len, (int)(sizeof got - 1 - len))) > 0)
            len += (size_t)n; /* of each record that has come */
        if (SSL_is_init_finished(s.ssl) && !asked)
            asked = SSL_write(s.ssl, request, sizeof request - 1) > 0;
        while (BIO_read(out, &byte, 1) == 1)
            client_send_bytes(s.fd, &byte, 1);
        if (!strstr(got, "{\"ok\": true}")) {
            ssize_t came = recv(s.fd, piece, sizeof piece, 0);

            ck_assert_int_gt(came, 0);
            BIO_write(in, piece, (int)came);
        }
    }
    hang_up(&s);
}
END_TEST

static bool served_one(const vw_status_t *status, void *arg) { return (void)arg, status->served == 1 && status->in_flight == 0; }

START_TEST(a_tunnel_passes_both_ways)
{
    static const char request[] = "GET /m/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    static char piece[100000], back[sizeof piece];
    char config[1500], head[1000] = "";
    struct sink *model = sink_start();
    struct worker *up;
    struct secure s;
    int i, len, n;

    snprintf(config, sizeof config, "http://127.0.0.1:%u", sink_port(model));
    worker_setenv("MODEL_SERVER_URL", config);
    snprintf(config, sizeof config, "{'tls': {'enabled': true, 'certFile': '%s', 'keyFile': '%s'}, 'handlers': [{'route': '/m/*', "
             "'targetPath': '/*', 'methods': ['GET'], 'auth': 'none', 'upgrade': ['websocket']}]}", cert, key);
    up = worker_start_ready(NULL, NULL, config);
    s = dial_to(up);
    SSL_write(s.ssl, request, sizeof request - 1);
    for (len = 0; !strstr(head, "\r\n\r\n"); len += n) {
        n = SSL_read(s.ssl, head + len, 1); /* and not what comes behind it */
        ck_assert_int_eq(n, 1);
    }
    ck_assert_msg(strncmp(head, "HTTP/1.1 101 ", 13) == 0, "%s", head);
    for (i = 0; i < 20; i++) {
        memset(piece, 'a' + i, sizeof piece);
        ck_assert_int_eq(SSL_write(s.ssl, piece, sizeof piece), sizeof piece);
        for (len = 0; len < (int)sizeof back; len += n) {
            n = SSL_read(s.ssl, back + len, (int)sizeof back - len);
            ck_assert_int_gt(n, 0);
        }
        ck_assert_int_eq(memcmp(piece, back, sizeof piece), 0);
    }
    hang_up(&s);
    sink_wait_gone(model, 1);
    worker_wait(up, served_one, NULL);
    ck_assert_int_eq(worker_finish(up), VW_OK);
    sink_stop(model);
}
END_TEST

static bool cancelled_one(const vw_status_t *status, void *arg) { return (void)arg, status->cancelled == 1 && status->in_flight == 0; }

START_TEST(a_client_that_leaves_without_a_word_ends_the_models_work)
{
    struct secure s = dial();
    static const char request[] = "GET /m/hold HTTP/1.1\r\nHost: x\r\n\r\n";

    SSL_write(s.ssl, request, sizeof request - 1);
    model_wait_requests(m, 1);
    hang_up(&s); /* FIN without close_notify */
    model_wait_gone(m, 1);
    worker_wait(w, cancelled_one, NULL);
}
END_TEST

START_TEST(the_platform_signs_a_certificate_where_there_is_none)
{
    struct program *sim = program_start((const char *const[]){ SIM, "all", "--worker-port", "0", NULL }, NULL), *run;
    unsigned control = program_port(sim, "control http://127.0.0.1:"), model = program_port(sim, "model http://127.0.0.1:");
    char *config, text[700], address[100], server[100], *out;
    int status;

    snprintf(text, sizeof text, "{'tls': {'certFile': '%s/new.crt', 'keyFile': '%s/new.key', 'certSignUrl': 'http://127.0.0.1:%u/api/v0/sign_cert/'}, "
             "'workerPort': 0, 'advertisedUrl': 'https://127.0.0.1:1', 'stateDir': '%s', " HANDLERS "}", dir, dir, control, dir);
    config = temp_file("worker.json", text);
    snprintf(address, sizeof address, "REPORT_ADDR=http://127.0.0.1:%u", control);
    snprintf(server, sizeof server, "MODEL_SERVER_URL=http://127.0.0.1:%u", model);
    run = program_start((const char *const[]){ RUN, "--config", config, NULL }, (const char *const[]){ "CONTAINER_ID=7", address, server, NULL });
    program_wait_said(run, " -> ready");
    out = shell(&status, "curl -sS http://127.0.0.1:%u/sim/ca > %s/ca.crt && curl -sS --cacert %s/ca.crt https://127.0.0.1:%u/health && "
                "stat -c %%a %s/new.key && openssl x509 -in %s/new.crt -noout -text", control, dir, dir,
                program_port(run, "listening on port "), dir, dir);
    ck_assert_int_eq(status, 0);
    expect_said(out, "\"status\":");
    expect_said(out, "\n600\n");
    program_signal(run, SIGTERM);
    ck_assert_int_eq(program_wait(run), 0);
    program_signal(sim, SIGTERM);
    program_wait(sim);
    program_free(run);
    program_free(sim);
    free(out);
    free(config);
}
END_TEST

Suite *tls_suite(void);
Suite *tls_suite(void)
{
    Suite *suite = suite_create("tls");
    TCase *t = tcase_create("tls");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, curl_is_served_over_one_connection);
    tcase_add_test(t, the_model_learns_that_the_client_spoke_tls);
    tcase_add_test(t, bodies_of_any_size_pass_both_ways);
    tcase_add_loop_test(t, versions_and_protocols_are_todays, 0, 6);
    tcase_add_test(t, a_changed_pair_is_taken_and_open_connections_live_on);
    tcase_add_test(t, a_plain_request_is_told_where_it_went_wrong);
    tcase_add_loop_test(t, a_handshake_that_does_not_end_is_given_up, 0, 4);
    tcase_add_test(t, a_client_that_sends_byte_by_byte_is_served);
    tcase_add_test(t, a_tunnel_passes_both_ways);
    tcase_add_test(t, a_client_that_leaves_without_a_word_ends_the_models_work);
    tcase_add_test(t, the_platform_signs_a_certificate_where_there_is_none);
    suite_add_tcase(suite, t);
    return suite;
}
