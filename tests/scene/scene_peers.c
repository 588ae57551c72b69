/* Programs that others wrote, as clients: what the blocking client of the actors is too polite, too slow or too simple for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"
#include "neighbour.h"

static struct model *m;
static struct worker *w;
static struct neighbour next_door;

static void setup(void)
{
    m = model_start();
    w = worker_start_ready(m, NULL, "{'handlers': [" OPEN_HANDLER "]}");
    next_door = neighbour_begin(worker_port(w));
}

static void teardown(void)
{
    neighbour_serve(&next_door, "afterwards");
    neighbour_wait_alone(&next_door);
    neighbour_end(&next_door);
    ck_assert_int_eq(worker_finish(w), VW_OK);
    model_stop(m);
}

/* status by its place: it is written while out is made */
static void expect_said(char *out, const int *status, const char *text)
{
    ck_assert_int_eq(*status, 0);
    ck_assert_msg(strcmp(out, text) == 0, "it said: %s", out);
    free(out);
}

START_TEST(curl_speaks_both_versions_with_bodies_of_every_kind)
{
    char *dir = temp_dir(), at[64];
    int status;

    if (has_program("curl")) {
        snprintf(at, sizeof at, "http://127.0.0.1:%u/m", worker_port(w));
        expect_said(shell(&status, "head -c 3000000 /dev/zero >%s/in; curl -sS -w '%%{http_code} %%{num_connects}\\n' --data-binary @%s/in -o %s/1 %s/x "
                          "--next -sS -w '%%{http_code} %%{num_connects}\\n' -T - -o %s/2 %s/x <%s/in", dir, dir, dir, at, dir, at, dir),
                    &status, "200 1\n200 0\n"); /* with 100-continue by its own rules, then chunked, over one connection */
        expect_said(shell(&status, "curl -sS0 -w '%%{http_code} %%{http_version}\\n' -o /dev/null %s/stream/0", at), &status, "200 1.1\n");
        expect_said(shell(&status, "curl -sSI %s/size/77 | grep -ci '^content-length: 77'", at), &status, "1\n");
        expect_said(shell(&status, "curl -sS -o /dev/null -w '%%{http_code}\\n' -X BREW %s/x", at), &status, "501\n");
    }
    free(dir);
}
END_TEST

/* One that knows HTTP/2 and says so first, and one that knows only that. */
START_TEST(curl_falls_back_from_http2_and_is_told_where_it_cannot)
{
    char at[64];
    int status;

    if (!has_program("curl"))
        return;
    snprintf(at, sizeof at, "http://127.0.0.1:%u/m", worker_port(w));
    expect_said(shell(&status, "curl -sS --http2 -w '%%{http_code} %%{http_version}\\n' -o /dev/null %s/x", at), &status, "200 1.1\n");
    expect_said(shell(&status, "curl -s --http2-prior-knowledge %s/x || echo no", at), &status, "no\n");
}
END_TEST

START_TEST(s_client_on_a_plain_port_is_told_in_plain_http)
{
    int status;
    char *out;

    if (!has_program("openssl"))
        return;
    out = shell(&status, "openssl s_client -connect 127.0.0.1:%u </dev/null 2>&1 || echo no", worker_port(w));
    ck_assert_msg(strstr(out, "wrong version number") && strstr(out, "no\n"), "%s", out); /* the record that begins with HTTP/1.1 400 */
    free(out);
}
END_TEST

static void expect_no_errors(char *out, const int *status)
{
    ck_assert_int_eq(*status, 0);
    ck_assert_msg(strstr(out, "requests in ") && !strstr(out, "Socket errors") && !strstr(out, "Non-2xx"), "%s", out);
    ck_assert_msg(!strstr(out, " 0 requests in "), "%s", out);
    free(out);
}

/* Kept connections, as many requests as go, ended in the middle of them: no socket error, no refusal, nothing left behind. */
START_TEST(a_flood_of_wrk_over_kept_connections_has_no_errors)
{
    int status;

    if (!has_program("wrk"))
        return;
    expect_no_errors(shell(&status, "wrk -t2 -c64 -d2 --timeout 30 http://127.0.0.1:%u/m/x", worker_port(w)), &status);
    neighbour_serve(&next_door, "between two floods");
    expect_no_errors(shell(&status, "wrk -t1 -c32 -d1 --timeout 30 -H 'Connection: close' http://127.0.0.1:%u/health", worker_port(w)), &status);
}
END_TEST

#define NODE \
    "const http = require('http'), port = Number(process.argv[2]);\n" \
    "const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });\n" \
    "const call = (o, body) => new Promise((ok, bad) => {\n" \
    "  const rq = http.request({ port, agent, ...o }, (rs) => {\n" \
    "    let text = ''; rs.setEncoding('utf8'); rs.on('data', (d) => { text += d; if (o.leave) rq.destroy(); });\n" \
    "    rs.on('end', () => ok([rs.statusCode, rq.reusedSocket, text])); rs.on('error', () => ok(['left'])); });\n" \
    "  rq.on('error', (e) => ok([e.code])); rq.on('continue', () => { rq.end(body); });\n" \
    "  if (o.expect) rq.flushHeaders(); else rq.end(body); });\n" \
    "(async () => {\n" \
    "  const say = (r) => console.log(r.slice(0, 2).join(' '));\n" \
    "  say(await call({ path: '/m/x' }));\n" \
    "  say(await call({ path: '/m/echo', method: 'POST', headers: { 'Transfer-Encoding': 'chunked' } }, 'x'.repeat(200000)));\n" \
    "  const e = await call({ path: '/m/echo', method: 'PUT', expect: true, headers: { Expect: '100-continue', 'Content-Length': 5 } }, 'hello');\n" \
    "  say(e); console.log(JSON.parse(e[2]).body);\n" \
    "  say(await call({ path: '/m/size/9', method: 'HEAD' }));\n" \
    "  say(await call({ path: '/m/empty' }));\n" \
    "  say(await call({ path: '/m/flood', leave: true }));\n" \
    "  const bad = await call({ path: '/none' });\n" \
    "  say(bad); console.log(JSON.parse(bad[2]).error.code);\n" \
    "  agent.destroy();\n" \
    "})();\n"

START_TEST(nodes_client_reads_every_answer_by_its_strict_rules)
{
    char *script;
    int status;

    if (!has_program("node"))
        return;
    script = temp_file("client.js", NULL);
    append_file(script, NODE);
    expect_said(shell(&status, "node %s %u", script, worker_port(w)), &status,
                "200 false\n200 true\n200 true\nhello\n200 true\n204 true\nleft\n404 false\nno_route\n");
    model_wait_gone(m, 1);
    free(script);
}
END_TEST

Suite *peers_suite(void);

Suite *peers_suite(void)
{
    Suite *s = suite_create("peers");
    TCase *tc = tcase_create("peers");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, curl_speaks_both_versions_with_bodies_of_every_kind);
    tcase_add_test(tc, curl_falls_back_from_http2_and_is_told_where_it_cannot);
    tcase_add_test(tc, s_client_on_a_plain_port_is_told_in_plain_http);
    tcase_add_test(tc, a_flood_of_wrk_over_kept_connections_has_no_errors);
    tcase_add_test(tc, nodes_client_reads_every_answer_by_its_strict_rules);
    suite_add_tcase(s, tc);
    return s;
}
