/* /metrics of a worker that has served, refused and failed: what Prometheus' own linter says, that it stays bounded, and only goes up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors.h"

#define CONFIG "{'maxPerf': 1000, 'handlers': [" \
               "{'route': '/m/*', 'targetPath': '/*', 'methods': ['*'], 'auth': 'none', 'allowParallelRequests': true, " \
               "'workloadCalculator': 'completions'}, " \
               "{'route': '/v1/embeddings', 'workloadCalculator': 'embeddings', 'requestParser': 'unwrap'}, " \
               "{'route': '/one', 'targetPath': '/hold', 'lane': 'o', 'auth': 'none', 'maxQueueTime': 0}]}"
#define PROMTOOL "build/promtool/promtool"

static struct model *m;
static struct control *c;
static struct worker *w;

static void setup(void)
{
    m = model_start();
    c = control_start();
    w = worker_start_ready(m, c, CONFIG);
}

static void teardown(void)
{
    ck_assert_int_eq(worker_finish(w), VW_OK);
    control_stop(c);
    model_stop(m);
}

static void post(const char *path, const char *body)
{
    struct answer a = client_post(worker_port(w), path, body);

    answer_fini(&a);
}

static void raw(const char *text)
{
    int fd = client_connect(worker_port(w));
    struct answer a;

    client_send(fd, text);
    a = client_read(fd);
    answer_fini(&a);
    client_close(fd);
}

/* Some of everything. */
static void use(void)
{
    struct answer a = client_envelope(worker_port(w), c, "/v1/embeddings", 1, "{'input': ['a', 'b']}");

    answer_fini(&a);
    post("/m/x", "{\"max_tokens\": 5}");
    post("/m/status/500", "{}");
    post("/m/vanish", "{}");
    post("/m/stream/0", "{}");
    post("/v1/embeddings", "{\"payload\": {}}");
    post("/nowhere", "{}");
    post("/drain", "");
    raw("GARBAGE\r\n\r\n");
}

static char *scrape(void)
{
    struct answer a = client_call(worker_port(w), "GET", "/metrics", "", NULL);
    char *text = strdup(a.body);

    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    return text;
}

START_TEST(promtool_has_nothing_to_say_about_them)
{
    char *text, *path, *out;
    int status;

    if (access(PROMTOOL, X_OK) != 0) {
        printf("skipped: promtool is not in build/promtool (tools/check/promtool brings it)\n");
        return;
    }
    use();
    text = scrape();
    path = temp_file("metrics.txt", text);
    out = shell(&status, PROMTOOL " check metrics <%s 2>&1", path);
    ck_assert_msg(status == 0 && !*out, "%s", out);
    free(out);
    free(path);
    free(text);
}
END_TEST

static unsigned count_series(const char *text)
{
    unsigned n = 0;

    for (; *text; text = strchr(text, '\n') + 1)
        n += *text != '#';
    return n;
}

/* Whoever can reach the port must not be able to fill a monitoring system. */
START_TEST(what_clients_make_up_adds_no_series)
{
    static const char *const methods[] = { "GET", "PUT", "DELETE", "PATCH", "REPORT", "PROPFIND", "NONSENSE" };
    char *before, *after, text[400];
    unsigned i;

    use();
    raw("PUT /one HTTP/1.1\r\nHost: w\r\nContent-Length: 0\r\n\r\n");
    raw("GET /../ HTTP/1.1\r\nHost: w\r\n\r\n");
    before = scrape();
    for (i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "%s /made-up/%u?x=%u HTTP/1.1\r\nHost: w%u\r\nX-Request-Id: id-%u\r\nUser-Agent: a%u\r\n\r\n", methods[i % 7], i, i, i,
                 i, i);
        raw(text);
        snprintf(text, sizeof text, "GET /m/x/%u HTTP/1.1\r\nHost: w\r\n\r\n", i);
        raw(text);
        snprintf(text, sizeof text, "/session/made-up-%u", i);
        post(text, "{}");
    }
    after = scrape();
    ck_assert_uint_eq(count_series(after), count_series(before));
    ck_assert_ptr_null(strstr(after, "made-up"));
    free(before);
    free(after);
}
END_TEST

/* The value of the same series in another scrape; -1: it is not there. */
static double value_in(const char *text, const char *series, size_t len)
{
    for (; text && *text; text = strchr(text, '\n') + 1)
        if (strncmp(text, series, len) == 0 && text[len] == ' ')
            return strtod(text + len, NULL);
    return -1;
}

START_TEST(counters_only_go_up)
{
    char *before, *after, *line, *save = NULL;
    unsigned counters = 0;

    use();
    before = scrape();
    use();
    after = scrape();
    for (line = strtok_r(before, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        size_t len = strcspn(line, " "), name = strcspn(line, "{ ");

        if (*line == '#' || !((name > 6 && strncmp(line + name - 6, "_total", 6) == 0) || (name > 6 && strncmp(line + name - 6, "_count", 6) == 0)))
            continue;
        counters++;
        ck_assert_msg(value_in(after, line, len) >= strtod(line + len, NULL), "%s", line);
    }
    ck_assert_uint_gt(counters, 20);
    free(before);
    free(after);
}
END_TEST

Suite *metrics_suite(void);

Suite *metrics_suite(void)
{
    Suite *s = suite_create("metrics");
    TCase *tc = tcase_create("metrics");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, promtool_has_nothing_to_say_about_them);
    tcase_add_test(tc, what_clients_make_up_adds_no_series);
    tcase_add_test(tc, counters_only_go_up);
    suite_add_tcase(s, tc);
    return s;
}
