/* The certificate, and client connections with TLS on real sockets: what a peer may do well or badly, and what must not change. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/text.h"
#include "certs.h"
#include "io/tls.h"
#include "scratch.h"
#include "site.h"

#define GET "GET /g HTTP/1.1\r\nHost: a\r\n\r\n"

static struct site site;
static struct vwi_tls *tls;
static SSL_CTX *client_ctx;
static char dir[64], cert_path[96], key_path[96], other_path[96];
static struct vwi_text said; /* what was logged */

static void on_log(void *arg, vw_log_level_t level, const char *line)
{
    (void)arg, (void)level;
    vwi_text_addf(&said, "%s\n", line);
}

static const struct vwi_log log_here = { .level = VW_LOG_INFO, .fn = on_log, .arg = NULL };

static void set_up_files(void)
{
    snprintf(dir, sizeof dir, "/tmp/vastworker-tls-XXXXXX");
    scratch_make(dir);
    snprintf(cert_path, sizeof cert_path, "%s/a.crt", dir);
    snprintf(key_path, sizeof key_path, "%s/a.key", dir);
    snprintf(other_path, sizeof other_path, "%s/b.pem", dir);
    cert_write_pair(cert_path, key_path, "first", 30);
    vwi_text_clear(&said);
}

static void tear_down_files(void)
{
    vwi_text_fini(&said);
    scratch_remove(dir);
}

static void open_front(void)
{
    vw_error_t why = { VW_OK, "" };

    site_open(&site);
    ck_assert_msg(vwi_tls_create(site.loop, cert_path, key_path, &log_here, &tls, &why) == VW_OK, "%s", why.text);
    ck_assert_int_eq(vwi_front_use_tls(site.front, tls, &why), VW_OK);
    client_ctx = SSL_CTX_new(TLS_client_method());
}

static void set_up(void)
{
    set_up_files();
    site_prepare(&site);
    open_front();
}

static void close_front(void)
{
    vwi_front_destroy(site.front);
    vwi_loop_run_burials(site.loop);
    vwi_tls_destroy(tls);
    vwi_loop_destroy(site.loop);
    SSL_CTX_free(client_ctx);
}

static void tear_down(void)
{
    close_front();
    tear_down_files();
}

/* ---- a client that gives the loop a turn where it would wait ---- */

static SSL *begin(int fd)
{
    SSL *ssl = SSL_new(client_ctx);

    SSL_set_fd(ssl, fd);
    SSL_set_connect_state(ssl);
    evutil_make_socket_nonblocking(fd);
    return ssl;
}

static bool wants(SSL *ssl, int rc)
{
    int why = SSL_get_error(ssl, rc);

    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

/* 1, or what SSL_get_error says. */
static int shake(SSL *ssl)
{
    int rc;

    ERR_clear_error();
    while ((rc = SSL_do_handshake(ssl)) != 1 && wants(ssl, rc))
        site_turn(&site);
    return rc == 1 ? 1 : -SSL_get_error(ssl, rc);
}

static SSL *open_tls(void)
{
    SSL *ssl = begin(site_connect(&site));

    ck_assert_int_eq(shake(ssl), 1);
    return ssl;
}

static void drop(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);

    SSL_free(ssl);
    close(fd);
}

static void say_bytes(SSL *ssl, const char *data, size_t len)
{
    int rc;

    while (len) {
        rc = SSL_write(ssl, data, len > 16384 ? 16384 : (int)len);
        ck_assert(rc > 0 || wants(ssl, rc));
        if (rc <= 0)
            site_turn(&site);
        data += rc > 0 ? rc : 0;
        len -= rc > 0 ? (size_t)rc : 0;
    }
}

static void say(SSL *ssl, const char *text) { say_bytes(ssl, text, strlen(text)); }

/* As SSL_read, but waits; 0 for close_notify, -1 for a connection that ended without. */
static int hear(SSL *ssl, char *to, int len)
{
    int rc;

    ERR_clear_error();
    while ((rc = SSL_read(ssl, to, len)) <= 0 && wants(ssl, rc))
        site_turn(&site);
    return rc > 0 ? rc : SSL_get_error(ssl, rc) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

/* One reply that is not chunked, whole; its body. */
static char *hear_reply(SSL *ssl, int status)
{
    static char text[65536];
    size_t len = 0, want = 0;
    char line[40], *body = NULL;

    while (!body || len < want) {
        int n = hear(ssl, text + len, body ? (int)(want - len) : 1);

        ck_assert_int_gt(n, 0);
        len += (size_t)n;
        text[len] = '\0';
        if (body || !(body = strstr(text, "\r\n\r\n")))
            continue;
        body += 4;
        want = len + strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10);
        ck_assert_uint_lt(want, sizeof text);
    }
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    ck_assert_msg(strncmp(text, line, strlen(line)) == 0, "%s", text);
    return body;
}

static void ask(SSL *ssl, const char *request, const char *body)
{
    say(ssl, request);
    ck_assert_str_eq(hear_reply(ssl, 200), body);
}

static const char *name_of(SSL *ssl)
{
    static char name[64];
    X509 *cert = SSL_get1_peer_certificate(ssl);

    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof name);
    X509_free(cert);
    return name;
}

/* ---- files ---- */

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    fputs(text, f);
    fclose(f);
}

static void spoil(int how)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    switch (how) {
    case 0:
        unlink(cert_path);
        break;
    case 1:
        unlink(key_path);
        break;
    case 2:
        write_text(cert_path, "nothing\n");
        break;
    case 3:
        write_text(key_path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        break;
    case 4:
        cert_write_key(key_path, key, NULL);
        break;
    case 5:
        cert_write_key(key_path, key, "secret");
        break;
    case 6: {
        FILE *f = fopen(cert_path, "a");

        fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", f);
        fclose(f);
        break;
    }
    default:
        write_text(cert_path, "");
        break;
    }
    EVP_PKEY_free(key);
}

static const struct {
    const char *name, *problem;
} spoils[] = {
    { "tls.certFile", "No such file" },
    { "tls.keyFile", "No such file" },
    { "tls.certFile", "no certificate in PEM form" },
    { "tls.keyFile", "no private key in PEM form" },
    { "tls.keyFile", "not the key of the certificate in" },
    { "tls.keyFile", "without a passphrase" },
    { "tls.certFile", "what follows certificate 1 is none" },
    { "tls.certFile", "no certificate in PEM form" },
};

START_TEST(a_pair_that_is_none_is_refused_with_its_name_and_a_remedy)
{
    struct vwi_loop *loop = NULL;
    vw_error_t why = { VW_OK, "" };

    spoil(_i);
    ck_assert_int_eq(vwi_loop_create(&loop, &why), VW_OK);
    ck_assert_int_eq(vwi_tls_create(loop, cert_path, key_path, &log_here, &tls, &why), VW_E_CONFIG);
    ck_assert_msg(strncmp(why.text, spoils[_i].name, strlen(spoils[_i].name)) == 0, "%s", why.text);
    ck_assert_msg(strstr(why.text, spoils[_i].problem) && strstr(why.text, "Remedy: ") && strstr(why.text, dir), "%s", why.text);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    vwi_loop_destroy(loop);
}
END_TEST

START_TEST(a_certificate_that_has_ended_is_served_with_a_warning)
{
    vw_error_t why = { VW_OK, "" };
    struct vwi_loop *loop = NULL;

    cert_write_pair(cert_path, key_path, "old", -1);
    ck_assert_int_eq(vwi_loop_create(&loop, &why), VW_OK);
    ck_assert_int_eq(vwi_tls_create(loop, cert_path, key_path, &log_here, &tls, &why), VW_OK);
    ck_assert_ptr_nonnull(strstr(said.p, "the certificate ended on"));
    vwi_tls_destroy(tls);
    vwi_loop_destroy(loop);
}
END_TEST

START_TEST(issuers_in_the_file_are_sent_along)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *issuer = cert_make(key, "issuer", 30);
    SSL *ssl;

    cert_write(cert_path, "a", issuer);
    site_prepare(&site);
    open_front();
    ssl = open_tls();
    ck_assert_int_eq(sk_X509_num(SSL_get_peer_cert_chain(ssl)), 2);
    ck_assert_str_eq(name_of(ssl), "first");
    drop(ssl);
    close_front();
    X509_free(issuer);
    EVP_PKEY_free(key);
}
END_TEST

START_TEST(changed_files_are_taken_at_the_second_look_and_open_connections_live_on)
{
    SSL *old = open_tls(), *fresh;

    cert_write_pair(cert_path, key_path, "second", 30);
    vwi_tls_look(tls);
    fresh = open_tls();
    ck_assert_str_eq(name_of(fresh), "first"); /* it may be half of a change */
    drop(fresh);
    vwi_tls_look(tls);
    fresh = open_tls();
    ck_assert_str_eq(name_of(fresh), "second");
    ask(fresh, GET, "GET /g [] ");
    ask(old, GET, "GET /g [] ");
    ck_assert_str_eq(name_of(old), "first");
    vwi_tls_look(tls);
    ck_assert_ptr_nonnull(strstr(said.p, "read again"));
    ck_assert_ptr_null(strstr(strstr(said.p, "read again") + 1, "read again"));
    drop(old);
    drop(fresh);
}
END_TEST

START_TEST(a_change_that_is_no_pair_is_said_once_and_the_old_one_serves)
{
    SSL *ssl;
    int i;

    spoil(_i);
    for (i = 0; i < 5; i++)
        vwi_tls_look(tls);
    ck_assert_ptr_nonnull(strstr(said.p, "serving with the ones before"));
    ck_assert_ptr_null(strstr(strstr(said.p, "serving with") + 1, "serving with"));
    ssl = open_tls();
    ck_assert_str_eq(name_of(ssl), "first");
    ask(ssl, GET, "GET /g [] ");
    drop(ssl);
    cert_write_pair(cert_path, key_path, "third", 30); /* mended */
    vwi_tls_look(tls);
    vwi_tls_look(tls);
    ssl = open_tls();
    ck_assert_str_eq(name_of(ssl), "third");
    drop(ssl);
}
END_TEST

/* ---- handshakes ---- */

START_TEST(versions_1_2_and_1_3_are_spoken)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    SSL *ssl;

    SSL_CTX_set_min_proto_version(client_ctx, versions[_i]);
    SSL_CTX_set_max_proto_version(client_ctx, versions[_i]);
    ssl = open_tls();
    ask(ssl, GET, "GET /g [] ");
    ask(ssl, "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "POST /p [] hi");
    ck_assert_int_eq(SSL_get_cipher_bits(ssl, NULL) >= 128, 1);
    drop(ssl);
}
END_TEST

static const struct {
    int most;
    const char *ciphers;
} weak[] = {
    { TLS1_1_VERSION, "ALL:@SECLEVEL=0" },
    { TLS1_2_VERSION, "AES128-GCM-SHA256" },           /* no forward secrecy */
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256" },   /* not authenticated encryption */
    { TLS1_2_VERSION, "DHE-RSA-AES128-GCM-SHA256" },
};

START_TEST(what_is_weak_is_refused)
{
    SSL *ssl;

    SSL_CTX_set_min_proto_version(client_ctx, 0);
    SSL_CTX_set_max_proto_version(client_ctx, weak[_i].most);
    ck_assert_int_eq(SSL_CTX_set_cipher_list(client_ctx, weak[_i].ciphers), 1);
    ssl = begin(site_connect(&site));
    ck_assert_int_eq(shake(ssl), -SSL_ERROR_SSL);
    drop(ssl);
    ssl = begin(site_connect(&site));
    SSL_set_max_proto_version(ssl, TLS1_3_VERSION);
    ck_assert_int_eq(shake(ssl), 1);
    drop(ssl);
}
END_TEST

static const struct {
    const char *offer; /* length-prefixed */
    const char *chosen; /* NULL: refused */
} offers[] = {
    { "\x02h2\x08http/1.1", "http/1.1" },
    { "\x08http/1.1", "http/1.1" },
    { "\x02h2", NULL },
    { "\x08http/1.0\x02h2", NULL },
};

START_TEST(http_1_1_is_the_only_protocol)
{
    SSL *ssl = begin(site_connect(&site));
    const unsigned char *chosen;
    unsigned len;

    ck_assert_int_eq(SSL_set_alpn_protos(ssl, (const unsigned char *)offers[_i].offer, (unsigned)strlen(offers[_i].offer)), 0);
    if (!offers[_i].chosen) {
        ck_assert_int_eq(shake(ssl), -SSL_ERROR_SSL);
    } else {
        ck_assert_int_eq(shake(ssl), 1);
        SSL_get0_alpn_selected(ssl, &chosen, &len);
        ck_assert_uint_eq(len, strlen(offers[_i].chosen));
        ck_assert_mem_eq(chosen, offers[_i].chosen, len);
    }
    drop(ssl);
}
END_TEST

/* The client's flight by the byte; all of ours comes back through the same memory. */
START_TEST(bytes_may_come_one_at_a_time)
{
    int fd = site_connect(&site), rc;
    SSL *ssl = SSL_new(client_ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    char byte, buffer[4096], text[4096];
    size_t len = 0;
    bool asked = false;

    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    while (len < 10 || memcmp(text + len - 10, "GET /g [] ", 10) != 0) {
        ssize_t n;

        if (!asked && SSL_do_handshake(ssl) == 1) {
            asked = true;
            ck_assert_int_eq(SSL_write(ssl, GET, sizeof GET - 1), sizeof GET - 1);
        }
        while (BIO_read(out, &byte, 1) == 1) {
            site_send(&site, fd, &byte, 1);
            site_turn(&site);
        }
        while ((n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
            BIO_write(in, buffer, (int)n);
        ck_assert(n < 0 && errno == EAGAIN);
        rc = asked ? SSL_read(ssl, text + len, (int)(sizeof text - len)) : 0;
        len += rc > 0 ? (size_t)rc : 0;
        if (asked && rc <= 0)
            site_turn(&site);
    }
    SSL_free(ssl);
    close(fd);
}
END_TEST

static const char *const plain[] = { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n", "post / HTTP/1.0\r\n\r\n" };

START_TEST(plain_http_is_told_so)
{
    int fd = site_connect(&site);

    site_say(&site, fd, plain[_i]);
    site_expect(&site, fd, 400, "Connection: close\r\n", "bad_request");
    site_expect_end(&site, fd);
    ck_assert_int_eq(site.requests, 0);
}
END_TEST

START_TEST(what_is_neither_is_closed)
{
    int fd = site_connect(&site);

    site_send(&site, fd, "\x16\x03\x01\x00\x05hello world and more", 25);
    site_drain(&site, fd); /* an alert, or a reset */
    ck_assert_int_eq(site.requests, 0);
}
END_TEST

START_TEST(a_client_may_vanish_within_the_handshake)
{
    SSL *ssl = begin(site_connect(&site));
    int i;

    for (i = 0; i <= _i / 2; i++) {
        SSL_do_handshake(ssl);
        site_turn(&site);
    }
    if (_i % 2)
        site_reset(SSL_get_fd(ssl));
    else
        close(SSL_get_fd(ssl));
    SSL_free(ssl);
    while (vwi_front_stats(site.front).connections || !vwi_front_stats(site.front).accepted)
        site_turn(&site);
    ssl = open_tls();
    ask(ssl, GET, "GET /g [] ");
    drop(ssl);
}
END_TEST

START_TEST(a_handshake_that_never_ends_is_closed_after_the_time_for_a_head)
{
    SSL *ssl;
    int fd;

    close_front();
    site.conf.client_header_s = 0.05;
    open_front();
    ssl = begin(site_connect(&site));
    SSL_do_handshake(ssl); /* half of it, or nothing at all */
    fd = _i ? site_connect(&site) : SSL_get_fd(ssl);
    site_drain(&site, fd);
    if (_i)
        drop(ssl);
    else
        SSL_free(ssl);
}
END_TEST

START_TEST(many_handshakes_at_once_all_come_through)
{
    static SSL *links[60];
    size_t i, done = 0;

    for (i = 0; i < VWI_ARRAY_LEN(links); i++)
        links[i] = begin(site_connect(&site));
    while (done < VWI_ARRAY_LEN(links)) {
        for (i = done = 0; i < VWI_ARRAY_LEN(links); i++)
            done += SSL_do_handshake(links[i]) == 1;
        if (done < VWI_ARRAY_LEN(links))
            site_turn(&site);
    }
    for (i = 0; i < VWI_ARRAY_LEN(links); i++)
        ask(links[i], GET, "GET /g [] ");
    for (i = 0; i < VWI_ARRAY_LEN(links); i++)
        drop(links[i]);
}
END_TEST

START_TEST(a_connection_too_many_is_told_so_through_tls)
{
    SSL *first, *second;

    close_front();
    site.conf.max_connections = 1;
    open_front();
    first = open_tls();
    second = open_tls();
    ck_assert_str_eq(hear_reply(second, 503), "too_many_connections");
    ck_assert_int_eq(hear(second, (char[1]){ 0 }, 1), 0); /* in good order */
    ask(first, GET, "GET /g [] ");
    drop(second);
    drop(first);
}
END_TEST

/* ---- bytes ---- */

/* A record is what SSL_read gives at most. */
START_TEST(head_and_body_of_a_small_reply_are_one_record)
{
    SSL *ssl = open_tls();
    char text[4096];
    int n;

    say(ssl, GET);
    n = hear(ssl, text, sizeof text - 1);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_ptr_nonnull(strstr(text, "GET /g [] "));
    drop(ssl);
}
END_TEST

START_TEST(requests_sent_ahead_are_all_answered)
{
    struct vwi_text t = VWI_TEXT_INIT;
    SSL *ssl = open_tls();
    char want[40];
    int i;

    for (i = 0; i < 500; i++)
        vwi_text_addf(&t, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
    say_bytes(ssl, t.p, t.len); /* more than one record: what is left in the last is not announced by the kernel */
    for (i = 0; i < 500; i++) {
        snprintf(want, sizeof want, "GET /%d [] ", i);
        ck_assert_str_eq(hear_reply(ssl, 200), want);
    }
    vwi_text_fini(&t);
    drop(ssl);
}
END_TEST

static void fill(char *to, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        to[i] = (char)('a' + i * 7919 % 26);
}

START_TEST(a_large_body_comes_back_whole_through_a_slow_reader)
{
    size_t len = 8u << 20, got = 0, skip = 0;
    char *data = malloc(len), *back = malloc(len + 4096), head[100];
    SSL *ssl = open_tls();
    int turns;

    fill(data, len);
    snprintf(head, sizeof head, "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", len);
    say(ssl, head);
    say_bytes(ssl, data, len);
    while (!skip || got < skip + len) {
        int n = hear(ssl, back + got, 5000);

        ck_assert_int_gt(n, 0);
        got += (size_t)n;
        if (!skip && got > 1000) {
            char *at = memmem(back, got, "POST /p [] ", 11);

            ck_assert_ptr_nonnull(at);
            skip = (size_t)(at + 11 - back);
        }
        for (turns = 0; turns < 2 && got % 3 == 0; turns++)
            vwi_loop_turn(site.loop, false);
    }
    ck_assert_mem_eq(back + skip, data, len);
    free(data);
    free(back);
    drop(ssl);
}
END_TEST

START_TEST(records_of_one_byte_and_key_updates_are_taken_in_their_turn)
{
    static const char request[] = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n";
    SSL *ssl = open_tls();
    char body[301];
    int i;

    say(ssl, request);
    fill(body, 300);
    body[300] = '\0';
    for (i = 0; i < 300; i++) {
        if (SSL_version(ssl) == TLS1_3_VERSION)
            ck_assert_int_eq(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        say_bytes(ssl, body + i, 1);
    }
    ck_assert_str_eq(hear_reply(ssl, 200) + strlen("POST /p [] "), body);
    drop(ssl);
}
END_TEST

START_TEST(renegotiation_is_refused)
{
    SSL *ssl;
    char byte;

    SSL_CTX_set_max_proto_version(client_ctx, TLS1_2_VERSION);
    ssl = open_tls();
    ck_assert_int_eq(SSL_renegotiate(ssl), 1);
    ck_assert_int_le(shake(ssl), 1);
    ck_assert_int_le(SSL_read(ssl, &byte, 1), 0);
    drop(ssl);
}
END_TEST

START_TEST(a_session_is_resumed_by_ticket)
{
    SSL *ssl = open_tls(), *again;
    SSL_SESSION *session;

    ask(ssl, GET, "GET /g [] ");
    session = SSL_get1_session(ssl);
    ck_assert(SSL_SESSION_has_ticket(session));
    SSL_shutdown(ssl);
    drop(ssl);
    again = begin(site_connect(&site));
    SSL_set_session(again, session);
    ck_assert_int_eq(shake(again), 1);
    ck_assert(SSL_session_reused(again));
    ask(again, GET, "GET /g [] ");
    SSL_SESSION_free(session);
    drop(again);
}
END_TEST

/* ---- leaving ---- */

/* close_notify, FIN without it, RST: the client has gone while its request is with the user. */
START_TEST(a_client_that_leaves_is_noticed)
{
    SSL *ssl = open_tls();

    say(ssl, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    site_turn_until_kept(&site, 1);
    if (_i == 0)
        SSL_shutdown(ssl);
    else if (_i == 1)
        shutdown(SSL_get_fd(ssl), SHUT_WR);
    else
        site_reset(SSL_get_fd(ssl));
    site_turn_until_done(&site, 0);
    ck_assert(site.kept[0].gone);
    if (_i == 2)
        SSL_free(ssl);
    else
        drop(ssl);
}
END_TEST

START_TEST(a_client_that_sent_far_ahead_and_left_is_noticed)
{
    static char junk[100000]; /* more than is read ahead, less than the kernel keeps: a FIN must get through */
    SSL *ssl = open_tls();

    say(ssl, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    site_turn_until_kept(&site, 1);
    memset(junk, 'x', sizeof junk);
    say_bytes(ssl, junk, sizeof junk);
    while (vwi_front_stats(site.front).bytes_in < 65536)
        site_turn(&site);
    shutdown(SSL_get_fd(ssl), SHUT_WR);
    site_turn_until_done(&site, 0);
    ck_assert(site.kept[0].gone);
    drop(ssl);
}
END_TEST

START_TEST(a_reply_that_closes_ends_in_good_order)
{
    SSL *ssl = open_tls();
    char text[2048];
    int n, len = 0;

    say(ssl, _i ? "GET /chunked HTTP/1.0\r\n\r\n" : "GET /close HTTP/1.1\r\nHost: a\r\n\r\n");
    while ((n = hear(ssl, text + len, (int)sizeof text - len)) > 0)
        len += n;
    ck_assert_int_eq(n, 0);
    ck_assert_ptr_nonnull(memmem(text, (size_t)len, _i ? "hello world" : "bye", 3));
    drop(ssl);
}
END_TEST

START_TEST(a_reply_that_is_cut_does_not)
{
    SSL *ssl = open_tls();
    char text[2048];
    int n;

    say(ssl, _i ? "GET /keep HTTP/1.0\r\n\r\n" : "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    site_turn_until_kept(&site, 1);
    vwi_exchange_head(site.kept[0].ex, 200, NULL, -1);
    vwi_exchange_write(site.kept[0].ex, "half", 4);
    ck_assert_int_gt(hear(ssl, text, sizeof text), 0);
    vwi_exchange_abort(site.kept[0].ex);
    while ((n = hear(ssl, text, sizeof text)) > 0)
        continue;
    ck_assert_int_eq(n, -1);
    drop(ssl);
}
END_TEST

START_TEST(an_idle_connection_is_ended_in_good_order)
{
    SSL *ssl;

    close_front();
    site.conf.client_idle_s = _i ? 0.05 : 0;
    open_front();
    ssl = open_tls();
    ask(ssl, GET, "GET /g [] ");
    if (!_i)
        vwi_front_stop_accepting(site.front);
    ck_assert_int_eq(hear(ssl, (char[1]){ 0 }, 1), 0);
    drop(ssl);
}
END_TEST

START_TEST(a_front_that_is_held_serves_once_it_has_a_certificate)
{
    SSL *ssl;
    int fd;

    close_front();
    site_open(&site);
    vwi_front_hold(site.front);
    fd = site_connect(&site);
    vwi_loop_turn(site.loop, false);
    ck_assert_uint_eq(vwi_front_stats(site.front).accepted, 0);
    ck_assert_int_eq(vwi_tls_create(site.loop, cert_path, key_path, &log_here, &tls, NULL), VW_OK);
    ck_assert_int_eq(vwi_front_use_tls(site.front, tls, NULL), VW_OK);
    client_ctx = SSL_CTX_new(TLS_client_method());
    ssl = begin(fd);
    ck_assert_int_eq(shake(ssl), 1);
    ask(ssl, GET, "GET /g [] ");
    drop(ssl);
}
END_TEST

Suite *tls_suite(void);
Suite *tls_suite(void)
{
    Suite *s = suite_create("tls");
    TCase *files = tcase_create("files"), *links = tcase_create("links");

    tcase_add_checked_fixture(files, set_up_files, tear_down_files);
    tcase_add_loop_test(files, a_pair_that_is_none_is_refused_with_its_name_and_a_remedy, 0, VWI_ARRAY_LEN(spoils));
    tcase_add_test(files, a_certificate_that_has_ended_is_served_with_a_warning);
    tcase_add_test(files, issuers_in_the_file_are_sent_along);
    suite_add_tcase(s, files);
    tcase_set_timeout(links, 60);
    tcase_add_checked_fixture(links, set_up, tear_down);
    tcase_add_test(links, changed_files_are_taken_at_the_second_look_and_open_connections_live_on);
    tcase_add_loop_test(links, a_change_that_is_no_pair_is_said_once_and_the_old_one_serves, 0, VWI_ARRAY_LEN(spoils));
    tcase_add_loop_test(links, versions_1_2_and_1_3_are_spoken, 0, 2);
    tcase_add_loop_test(links, what_is_weak_is_refused, 0, VWI_ARRAY_LEN(weak));
    tcase_add_loop_test(links, http_1_1_is_the_only_protocol, 0, VWI_ARRAY_LEN(offers));
    tcase_add_test(links, bytes_may_come_one_at_a_time);
    tcase_add_loop_test(links, plain_http_is_told_so, 0, VWI_ARRAY_LEN(plain));
    tcase_add_test(links, what_is_neither_is_closed);
    tcase_add_loop_test(links, a_client_may_vanish_within_the_handshake, 0, 4);
    tcase_add_loop_test(links, a_handshake_that_never_ends_is_closed_after_the_time_for_a_head, 0, 2);
    tcase_add_test(links, many_handshakes_at_once_all_come_through);
    tcase_add_test(links, a_connection_too_many_is_told_so_through_tls);
    tcase_add_test(links, head_and_body_of_a_small_reply_are_one_record);
    tcase_add_test(links, requests_sent_ahead_are_all_answered);
    tcase_add_test(links, a_large_body_comes_back_whole_through_a_slow_reader);
    tcase_add_test(links, records_of_one_byte_and_key_updates_are_taken_in_their_turn);
    tcase_add_test(links, renegotiation_is_refused);
    tcase_add_test(links, a_session_is_resumed_by_ticket);
    tcase_add_loop_test(links, a_client_that_leaves_is_noticed, 0, 3);
    tcase_add_test(links, a_client_that_sent_far_ahead_and_left_is_noticed);
    tcase_add_loop_test(links, a_reply_that_closes_ends_in_good_order, 0, 2);
    tcase_add_loop_test(links, a_reply_that_is_cut_does_not, 0, 2);
    tcase_add_loop_test(links, an_idle_connection_is_ended_in_good_order, 0, 2);
    tcase_add_test(links, a_front_that_is_held_serves_once_it_has_a_certificate);
    suite_add_tcase(s, links);
    return s;
}
