/* Any method, any bytes, any coding: what is not ours to read passes as it is. Real clients: curl, Node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"

#define OPEN "{'handlers': [{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true}, " \
             "{'route': '/get', 'methods': ['GET'], 'auth': 'none'}, " \
             "{'route': '/some/*', 'targetPath': '/*', 'methods': ['PUT', 'OPTIONS'], 'auth': 'none'}]}"

static struct model *m;
static struct worker *w;

static void setup(void)
{
    m = model_start();
    w = worker_start_ready(m, NULL, OPEN);
}

static void teardown(void)
{
    ck_assert_int_eq(worker_finish(w), VW_OK);
    model_stop(m);
}

static const char *text_of(const json_t *json, const char *key) { return json_string_value(json_object_get(json, key)); }

static const struct {
    const char *method, *body; /* NULL: none, and no length */
} calls[] = {
    { "GET", NULL },     { "GET", "a body" }, { "POST", "{}" },    { "POST", "" },    { "PUT", "new" },    { "PATCH", "change" },
    { "DELETE", NULL },  { "DELETE", "why" }, { "OPTIONS", NULL }, { "OPTIONS", "x" }, { "TRACE", NULL }, { "PROPFIND", "<a/>" },
    { "REPORT", "<a/>" }, { "M-SEARCH", NULL },
};

START_TEST(a_prefix_route_takes_any_method_along)
{
    struct answer a = client_call(worker_port(w), calls[_i].method, "/m/echo?x=%201&y", "X-Mine: 1\r\n", calls[_i].body);
    json_t *echo, *headers;

    ck_assert_msg(a.status == 200, "%s: %d %s", calls[_i].method, a.status, a.body);
    echo = parse_json(a.body);
    headers = json_object_get(echo, "headers");
    ck_assert_str_eq(text_of(echo, "method"), calls[_i].method);
    ck_assert_str_eq(text_of(echo, "target"), "/echo?x=%201&y");
    ck_assert_str_eq(text_of(echo, "body"), calls[_i].body ? calls[_i].body : "");
    ck_assert_str_eq(text_of(headers, "x-mine"), "1");
    ck_assert_int_eq(json_object_get(headers, "content-length") != NULL, calls[_i].body != NULL);
    json_decref(echo);
    answer_fini(&a);
}
END_TEST

START_TEST(methods_that_are_not_listed_stay_out)
{
    static const struct {
        const char *method, *path;
        int status;
    } cases[] = { { "OPTIONS", "/get", 405 }, { "HEAD", "/get", 200 },          { "POST", "/get", 405 },
                  { "PUT", "/some/echo", 200 }, { "OPTIONS", "/some/echo", 200 }, { "DELETE", "/some/echo", 405 } };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer a = client_call(worker_port(w), cases[i].method, cases[i].path, "", NULL);

        ck_assert_msg(a.status == cases[i].status, "%s %s: %d", cases[i].method, cases[i].path, a.status);
        if (a.status == 405)
            ck_assert_str_eq(answer_header(&a, "allow"), strcmp(cases[i].path, "/get") == 0 ? "GET, HEAD" : "PUT, OPTIONS");
        answer_fini(&a);
    }
}
END_TEST

#define ALL_BYTES (256 * 1024)

START_TEST(every_byte_passes_both_ways)
{
    char *bytes = malloc(ALL_BYTES), head[300];
    int fd = client_connect(worker_port(w)), i, round;
    struct answer a;

    for (i = 0; i < ALL_BYTES; i++)
        bytes[i] = (char)(i ^ (i >> 8));
    for (round = 0; round < 2; round++) { /* whole, and streamed */
        size_t len = round ? ALL_BYTES : 1024;

        snprintf(head, sizeof head, "POST /m/mirror HTTP/1.1\r\nHost: w\r\nContent-Type: image/png; a=\"b c\"\r\nContent-Encoding: gzip\r\n"
                                    "Accept-Encoding: br;q=1.0, gzip\r\nContent-Length: %zu\r\n\r\n", len);
        client_send(fd, head);
        client_send_bytes(fd, bytes, len);
        a = client_read(fd);
        ck_assert_int_eq(a.status, 200);
        ck_assert_str_eq(answer_header(&a, "content-type"), "image/png; a=\"b c\"");
        ck_assert_str_eq(answer_header(&a, "content-encoding"), "gzip"); /* which it is not: nobody looked */
        ck_assert_uint_eq(a.len, len);
        ck_assert(memcmp(a.body, bytes, len) == 0);
        answer_fini(&a);
    }
    client_close(fd);
    free(bytes);
}
END_TEST

START_TEST(an_answer_keeps_its_headers)
{
    struct answer a = client_call(worker_port(w), "GET", "/m/mirror", "", NULL);

    ck_assert_ptr_nonnull(strstr(a.head, "\r\nETag: \"v1\"\r\n"));
    ck_assert_ptr_nonnull(strstr(a.head, "\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"));
    ck_assert_ptr_null(strstr(a.head, "the-models-own"));
    answer_fini(&a);
    a = client_call(worker_port(w), "GET", "/m/mirror", "If-None-Match: \"v1\"\r\n", NULL);
    ck_assert_int_eq(a.status, 304);
    ck_assert_ptr_nonnull(strstr(a.head, "\r\nETag: \"v1\"\r\n"));
    ck_assert_uint_eq(a.len, 0);
    answer_fini(&a);
    a = client_call(worker_port(w), "GET", "/m/empty", "", NULL);
    ck_assert_int_eq(a.status, 204);
    ck_assert_str_eq(answer_header(&a, "content-length"), ""); /* RFC 9110 8.6 */
    ck_assert_str_eq(answer_header(&a, "transfer-encoding"), "");
    answer_fini(&a);
}
END_TEST

/* ---- real clients ---- */

static void expect_shell(int status, char *out, const char *expected)
{
    ck_assert_int_eq(status, 0);
    ck_assert_str_eq(out, expected);
    free(out);
}

START_TEST(curl_uploads_a_form_and_a_compressed_file)
{
    char *dir = temp_dir(), *out;
    int status;

    if (!has_program("curl")) {
        free(dir);
        return;
    }
    out = shell(&status, "head -c 300000 /dev/urandom > %s/file && curl -sS -F model=whisper-1 -F 'file=@%s/file;type=audio/mpeg' "
                "http://127.0.0.1:%u/m/mirror -o %s/form -w '%%{content_type}' | cut -d= -f1", dir, dir, worker_port(w), dir);
    expect_shell(status, out, "multipart/form-data; boundary\n");
    /* The file, byte for byte, within the form that came back. */
    out = shell(&status, "python3 -c \"import sys; f, g = open('%s/file', 'rb').read(), open('%s/form', 'rb').read(); "
                "print(f in g, b'name=\\\"model\\\"\\r\\n\\r\\nwhisper-1\\r\\n' in g)\"", dir, dir);
    expect_shell(status, out, "True True\n");
    out = shell(&status, "gzip -c %s/file | curl -sS -H 'Content-Encoding: gzip' --data-binary @- http://127.0.0.1:%u/m/mirror | gunzip | "
                "cmp - %s/file && gzip -c %s/file | curl -sS --compressed -H 'Content-Encoding: gzip' -T - http://127.0.0.1:%u/m/mirror | "
                "cmp - %s/file && echo same", dir, worker_port(w), dir, dir, worker_port(w), dir);
    expect_shell(status, out, "same\n");
    free(dir);
}
END_TEST

START_TEST(curl_keeps_its_connection_over_answers_without_a_body)
{
    char *out, base[40];
    int status;

    if (!has_program("curl"))
        return;
    snprintf(base, sizeof base, "http://127.0.0.1:%u/m", worker_port(w));
    out = shell(&status, "curl -sSI %s/size/1000 %s/empty %s/mirror -w '%%{http_code} %%{num_connects}\\n' -o /dev/null -o /dev/null -o /dev/null",
                base, base, base);
    expect_shell(status, out, "200 1\n204 0\n200 0\n");
    out = shell(&status, "curl -sS -H 'If-None-Match: \"v1\"' %s/mirror %s/mirror -w '%%{http_code} %%{num_connects}\\n'", base, base);
    expect_shell(status, out, "304 1\n304 0\n");
    out = shell(&status, "curl -sS -X DELETE %s/echo -o /dev/null -w '%%{http_code} '; curl -sS -T /etc/hostname %s/mirror | cmp - /etc/hostname && echo same",
                base, base);
    expect_shell(status, out, "200 same\n");
}
END_TEST

START_TEST(nodes_clients_are_served)
{
    int status;
    char *out;

    if (!has_program("node"))
        return;
    out = shell(&status, "node tests/npm/http_client.mjs %u", worker_port(w));
    expect_shell(status, out, "http client: all well\n");
}
END_TEST

Suite *verbatim_suite(void);

Suite *verbatim_suite(void)
{
    Suite *s = suite_create("verbatim");
    TCase *tc = tcase_create("verbatim");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_prefix_route_takes_any_method_along, 0, sizeof calls / sizeof calls[0]);
    tcase_add_test(tc, methods_that_are_not_listed_stay_out);
    tcase_add_test(tc, every_byte_passes_both_ways);
    tcase_add_test(tc, an_answer_keeps_its_headers);
    tcase_add_test(tc, curl_uploads_a_form_and_a_compressed_file);
    tcase_add_test(tc, curl_keeps_its_connection_over_answers_without_a_body);
    tcase_add_test(tc, nodes_clients_are_served);
    suite_add_tcase(s, tc);
    return s;
}
