/* nginx as the model server, curl as the client: coded bodies, ranges, conditions and connections as real peers make them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "actors.h"

/* keepalive_requests: nginx closes each connection after its third answer. */
static const char conf[] =
    "error_log stderr; pid nginx.pid; daemon off; master_process off;\n"
    "events { worker_connections 256; }\n"
    "http {\n"
    "  access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n"
    "  types { application/json json; text/event-stream events; application/octet-stream bin; }\n"
    "  keepalive_requests 3; gzip on; gzip_types *; gzip_min_length 1; client_max_body_size 0;\n"
    "  server {\n"
    "    listen 127.0.0.1:%u; root www;\n"
    "    location /cost { alias www/; add_trailer X-Cost 7; }\n"
    "    location /up { proxy_pass http://127.0.0.1:%u/taken; }\n"
    "    location /small { client_max_body_size 1k; proxy_pass http://127.0.0.1:%u/taken; }\n"
    "    location /taken { return 200 \"$http_content_length\"; }\n"
    "  }\n"
    "}\n";

static bool present; /* without both programs each test is empty */
static char *dir;
static unsigned port;
static struct program *nginx;
static struct worker *w;

/* Runs a script beside the files, with $W and $N for worker and nginx; what it must print. */
static void expect(const char *wanted, const char *script)
{
    int status;
    char *out;

    if (!present)
        return;
    out = shell(&status, "cd %s && W=http://127.0.0.1:%u && N=http://127.0.0.1:%u && %s", dir, worker_port(w), port, script);
    ck_assert_int_eq(status, 0);
    ck_assert_str_eq(out, wanted);
    free(out);
}

static void write_files(void)
{
    char path[500];
    int status;
    FILE *f;

    snprintf(path, sizeof path, "%s/nginx.conf", dir);
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fprintf(f, conf, port, port, port);
    fclose(f);
    free(shell(&status, "cd %s && mkdir www && seq -s , 1 20000 > www/text.json && printf 'data: 1\\n\\ndata: 2' > www/open.events && "
                        "head -c 67108864 /dev/urandom > www/big.bin && head -c 8000000 www/big.bin > www/part.bin && chmod -R a+rX .", dir));
    ck_assert_int_eq(status, 0);
}

static void look(void) { present = has_program("nginx") && has_program("curl"); }

static void setup(void)
{
    char config[600], line[600];

    if (!present)
        return;
    port = free_port();
    dir = temp_dir();
    write_files();
    snprintf(line, sizeof line, "PATH=$PATH:/usr/sbin; exec nginx -e stderr -p %s -c nginx.conf", dir);
    nginx = program_start((const char *const[]){ "/bin/sh", "-c", line, NULL }, NULL);
    snprintf(config, sizeof config, "{'modelServerUrl': 'http://127.0.0.1:%u', 'handlers': [{'route': '/*', 'methods': ['*'], 'auth': 'none', "
                                    "'allowParallelRequests': true}]}", port);
    w = worker_start_ready(NULL, NULL, config);
}

static void teardown(void)
{
    if (!present)
        return;
    ck_assert_int_eq(worker_finish(w), VW_OK);
    program_free(nginx);
    free(dir);
}

START_TEST(coded_bodies_pass_untouched)
{
    expect("1\n", "curl -sS --compressed -D head -o got $W/text.json && cmp got www/text.json && grep -ci 'content-encoding: gzip' head");
    expect("", "curl -sS -H 'Accept-Encoding: gzip' -o got $W/text.json && curl -sS -H 'Accept-Encoding: gzip' -o direct $N/text.json && "
               "cmp got direct");
    expect("0\n", "curl -sS -D head -o got $W/text.json && cmp got www/text.json && { grep -ci content-encoding head || true; }");
    /* nginx sends chunks, which a client of HTTP/1.0 does not know */
    expect("0\n", "curl -sS --http1.0 --compressed -D head -o got $W/text.json && cmp got www/text.json && "
                  "{ grep -ci transfer-encoding head || true; }");
    expect("", "curl -sS --compressed -o got $W/open.events && cmp got www/open.events"); /* nothing is added to what is coded */
}
END_TEST

START_TEST(connections_that_nginx_closes_cost_no_request)
{
    expect(" 1 200 1\n 29 200 0\n", "curl -sS -o got -w '%{http_code} %{num_connects}\\n' \"$W/text.json?[1-30]\" | sort -r | uniq -c | tr -s ' '");
    expect(" 1 200 1\n 29 200 0\n", "curl -sS -o got -d x -w '%{http_code} %{num_connects}\\n' \"$W/taken?[1-30]\" | sort -r | uniq -c | tr -s ' '");
    expect(" 200 200\n", "curl -sS -Z --parallel-max 16 -o /dev/null -w '%{http_code}\\n' \"$W/text.json?[1-200]\" | uniq -c | tr -s ' '");
}
END_TEST

START_TEST(conditions_and_heads_leave_the_connection_in_step)
{
    expect("304 1 0\n304 0 0\n", "E=$(curl -sSI $W/text.json | tr -d '\\r' | sed -n 's/^ETag: //p') && "
                                 "curl -sS -o 1 -o 2 -w '%{http_code} %{num_connects} %{size_download}\\n' -H \"If-None-Match: $E\" "
                                 "$W/text.json $W/text.json");
    expect("200\n", "curl -sS -o got -w '%{http_code}\\n' -H 'If-None-Match: \"x\"' $W/text.json && cmp got www/text.json");
    expect("2\n", "curl -sSI -w '%{num_connects}' $W/big.bin $W/big.bin | grep -c '^Content-Length: 67108864'");
    expect("200 1\n200 0\n", "curl -sSI -o 1 -w '%{http_code} %{num_connects}\\n' $W/big.bin --next -sS -o got -w '%{http_code} %{num_connects}\\n' "
                             "$W/part.bin && cmp got www/part.bin");
}
END_TEST

START_TEST(ranges_come_as_asked)
{
    expect("206", "curl -sS -r 100-1099 -o got -w '%{http_code}' $W/big.bin && tail -c +101 www/big.bin | head -c 1000 | cmp - got");
    expect("", "head -c 5000000 www/part.bin > got && curl -sS -C - -o got $W/part.bin && cmp got www/part.bin");
    expect("206 2\n", "curl -sS -r 0-4,10-14 -o got -w '%{http_code} ' $W/big.bin && grep -ac '^Content-Range: bytes ' got");
    expect("416", "curl -sS -r 99999999- -o got -w '%{http_code}' $W/big.bin");
}
END_TEST

START_TEST(large_files_pass_both_ways)
{
    expect("", "curl -sS $W/big.bin | cmp - www/big.bin");
    expect("", "curl -sS --http1.0 $W/big.bin | cmp - www/big.bin");
    expect("8000000", "curl -sS -T www/part.bin $W/up");
    expect("8000000", "curl -sS -H Expect: -T www/part.bin $W/up");
    expect("413", "curl -sS -o got -w '%{http_code}' -T www/part.bin $W/small"); /* nginx does not read it */
}
END_TEST

START_TEST(trailers_of_nginx_reach_who_knows_chunks)
{
    expect("0\nX-Cost: 7\n\n", "curl -sS --raw $W/cost/text.json | tail -n 3 | tr -d '\\r'");
    expect("0\n", "curl -sS --http1.0 -D head -o got $W/cost/text.json && cmp got www/text.json && { grep -ci X-Cost head || true; }");
}
END_TEST

Suite *nginx_suite(void);

Suite *nginx_suite(void)
{
    Suite *s = suite_create("nginx");
    TCase *tc = tcase_create("nginx");

    tcase_add_unchecked_fixture(tc, look, NULL);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, coded_bodies_pass_untouched);
    tcase_add_test(tc, connections_that_nginx_closes_cost_no_request);
    tcase_add_test(tc, conditions_and_heads_leave_the_connection_in_step);
    tcase_add_test(tc, ranges_come_as_asked);
    tcase_add_test(tc, large_files_pass_both_ways);
    tcase_add_test(tc, trailers_of_nginx_reach_who_knows_chunks);
    suite_add_tcase(s, tc);
    return s;
}
