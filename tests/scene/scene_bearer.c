/* Handlers with auth "bearer": who gets in, what others are told, and keys that change while the worker runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors.h"

#define HANDLERS "'handlers': [{'route': '/echo', 'methods': ['GET', 'POST'], 'auth': 'bearer', 'allowParallelRequests': true}, " \
                 "{'route': '/open', 'targetPath': '/echo', 'methods': ['GET'], 'auth': 'none', 'allowParallelRequests': true}]"

static struct model *m;
static char *keys;

static void setup(void)
{
    m = model_start();
    keys = temp_file("keys", "# ours\nalpha-1\n\nbeta-2\n");
}

static void teardown(void)
{
    free(keys);
    model_stop(m);
}

static struct worker *start(const char *more)
{
    char *config = NULL;
    struct worker *w;

    ck_assert_int_gt(asprintf(&config, "{'bearerKeysFile': '%s', %s" HANDLERS "}", keys, more), 0);
    w = worker_start_ready(m, NULL, config);
    free(config);
    return w;
}

/* As an editor does it: a new file in the old one's place. */
static void replace(const char *text)
{
    char *other = temp_file("keys.new", text);

    ck_assert_int_eq(rename(other, keys), 0);
    free(other);
}

static int ask(struct worker *w, const char *key)
{
    char headers[200];
    struct answer a;
    int status;

    snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", key);
    a = client_call(worker_port(w), "GET", "/echo", headers, NULL);
    status = a.status;
    ck_assert_str_eq(answer_reason(&a), status == 200 ? "" : "bad_key");
    answer_fini(&a);
    return status;
}

static void wait_until(struct worker *w, const char *key, int status)
{
    double until = patience();

    while (ask(w, key) != status) {
        ck_assert_msg(now_s() < until, "the answer to %s never became %d", key, status);
        nap();
    }
}

static void expect(struct answer a, int status, const char *reason, const char *challenge)
{
    ck_assert_msg(a.status == status, "expected %d, got %d: %s", status, a.status, a.body);
    ck_assert_str_eq(answer_reason(&a), reason);
    ck_assert_str_eq(answer_header(&a, "www-authenticate"), challenge);
    answer_fini(&a);
}

#define BARE "Bearer realm=\"vastworker\""

START_TEST(one_of_the_keys_opens_the_door)
{
    struct worker *w = start("");
    uint16_t port = worker_port(w);

    ck_assert_int_eq(ask(w, "alpha-1"), 200);
    ck_assert_int_eq(ask(w, "beta-2"), 200);
    ck_assert_uint_eq(model_requests(m), 2);
    expect(client_call(port, "GET", "/echo", "Authorization: Bearer alpha-12\r\n", NULL), 401, "bad_key", BARE ", error=\"invalid_token\"");
    expect(client_call(port, "GET", "/echo", "", NULL), 401, "no_credentials", BARE);
    expect(client_call(port, "GET", "/echo", "Authorization: Basic YWxwaGEtMQ==\r\n", NULL), 401, "no_credentials", BARE);
    expect(client_call(port, "GET", "/echo", "Authorization: alpha-1\r\n", NULL), 401, "no_credentials", BARE);
    expect(client_call(port, "GET", "/echo?api_key=alpha-1", "", NULL), 401, "no_credentials", BARE);
    expect(client_call(port, "POST", "/echo", "", "{\"auth_data\": {}, \"payload\": {}}"), 401, "no_credentials", BARE);
    expect(client_call(port, "PUT", "/echo", "", NULL), 405, "method_not_allowed", "");
    ck_assert_uint_eq(model_requests(m), 2);
    expect(client_call(port, "GET", "/open", "", NULL), 200, "", "");
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_refusal_does_not_wait_for_the_body)
{
    struct worker *w = start("");
    int fd = client_connect(worker_port(w));

    client_send(fd, "POST /echo HTTP/1.1\r\nHost: w\r\nAuthorization: Bearer wrong\r\nContent-Length: 10000000\r\n\r\n");
    expect(client_read(fd), 401, "bad_key", BARE ", error=\"invalid_token\"");
    client_close(fd);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(the_body_is_the_models_and_the_key_is_not)
{
    struct worker *w = start("");
    struct answer a = client_call(worker_port(w), "POST", "/echo?api_key=alpha-1&n=1", "Authorization: Bearer alpha-1\r\n",
                                  "{\"auth_data\": 1, \"payload\": 2}");
    json_t *echo = parse_json(a.body);

    ck_assert_str_eq(json_string_value(json_object_get(echo, "body")), "{\"auth_data\": 1, \"payload\": 2}");
    ck_assert_str_eq(json_string_value(json_object_get(echo, "target")), "/echo?n=1");
    ck_assert_ptr_null(strstr(a.body, "alpha-1"));
    json_decref(echo);
    answer_fini(&a);
    ck_assert(!worker_logged(w, "alpha-1") && !worker_logged(w, "beta-2"));
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(keys_apply_where_the_worker_is_unsecured)
{
    struct worker *w = start("'unsecured': true, ");

    ck_assert_int_eq(ask(w, "alpha-1"), 200);
    ck_assert_int_eq(ask(w, "wrong"), 401);
    expect(client_post(worker_port(w), "/echo", "{\"payload\": {}}"), 401, "no_credentials", BARE);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(keys_of_the_environment_count_beside_those_of_the_file)
{
    struct worker *w;

    worker_setenv("VASTWORKER_BEARER_KEYS", "gamma-3, delta-4");
    w = start("");
    ck_assert_int_eq(ask(w, "alpha-1"), 200);
    ck_assert_int_eq(ask(w, "gamma-3"), 200);
    ck_assert_int_eq(ask(w, "delta-4"), 200);
    replace("epsilon-5\n");
    wait_until(w, "alpha-1", 401);
    ck_assert_int_eq(ask(w, "epsilon-5"), 200);
    ck_assert_int_eq(ask(w, "gamma-3"), 200);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(keys_of_the_environment_are_enough)
{
    struct worker *w;

    worker_setenv("VASTWORKER_BEARER_KEYS", "gamma-3");
    w = worker_start_ready(m, NULL, "{" HANDLERS "}");
    ck_assert_int_eq(ask(w, "gamma-3"), 200);
    ck_assert_int_eq(ask(w, "alpha-1"), 401);
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

START_TEST(a_file_that_changes_is_read_again)
{
    struct worker *w = start("");

    append_file(keys, "gamma-3\n");
    wait_until(w, "gamma-3", 200);
    ck_assert_int_eq(ask(w, "alpha-1"), 200);
    replace("gamma-3\n");
    wait_until(w, "alpha-1", 401);
    ck_assert_int_eq(ask(w, "gamma-3"), 200);
    ck_assert(worker_logged(w, "has changed: 1 bearer keys"));
    ck_assert(!worker_logged(w, "gamma-3"));
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

static const char *const unusable[] = { "", "# all gone\n", "two words\n", "alpha-1 priority=high\n", NULL };

START_TEST(a_file_that_cannot_be_used_leaves_the_keys)
{
    struct worker *w = start("");

    if (unusable[_i])
        replace(unusable[_i]);
    else
        unlink(keys);
    worker_wait_logged(w, "the keys stay as they were");
    ck_assert_int_eq(ask(w, "alpha-1"), 200);
    ck_assert_int_eq(ask(w, "two"), 401);
    replace("gamma-3\n");
    wait_until(w, "gamma-3", 200);
    ck_assert_int_eq(ask(w, "alpha-1"), 401);
    ck_assert_uint_eq(worker_count_logged(w, "the keys stay as they were"), 1);
    ck_assert(!worker_logged(w, "two words"));
    ck_assert_int_eq(worker_finish(w), VW_OK);
}
END_TEST

/* ---- what is no configuration ---- */

static const struct {
    const char *file, *variable, *sentence;
} refused[] = {
    { NULL, NULL, "handlers[0].auth: \"bearer\" needs keys: set bearerKeysFile, or VASTWORKER_BEARER_KEYS" },
    { "", NULL, "there is no key in it" },
    { "# none\n", "VASTWORKER_BEARER_KEYS=hush", "there is no key in it" },
    { "hush\nhush hush\n", NULL, "line 2: a key is 1 to 1024 visible ASCII characters" },
    { "hush priority=1001\n", NULL, "line 1: a key is 1 to 1024 visible ASCII characters without spaces; behind it may stand priority=N" },
    { NULL, "VASTWORKER_BEARER_KEYS=,", "VASTWORKER_BEARER_KEYS: there is no key in it" },
    { NULL, "VASTWORKER_BEARER_KEYS=hush,hush hush", "VASTWORKER_BEARER_KEYS: entry 2: " },
};

START_TEST(a_door_without_keys_is_no_configuration)
{
    char *text = NULL, *line = NULL, *path;
    struct program *p;

    if (refused[_i].file) {
        replace(refused[_i].file);
        ck_assert_int_gt(asprintf(&line, "'bearerKeysFile': '%s', ", keys), 0);
    }
    ck_assert_int_gt(asprintf(&text, "{'workerPort': 0, %s" HANDLERS "}", line ? line : ""), 0);
    path = temp_file("worker.json", text);
    p = program_start((const char *const[]){ RUN, "--check", "--config", path, NULL }, (const char *const[]){ refused[_i].variable, NULL });
    ck_assert_int_eq(program_wait(p), 2);
    ck_assert_msg(strstr(program_err(p), refused[_i].sentence) != NULL, "%s", program_err(p));
    ck_assert_ptr_null(strstr(program_err(p), "hush"));
    program_free(p);
    free(path);
    free(text);
    free(line);
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
    char *text = NULL, *path;
    struct program *p;

    ck_assert_int_gt(asprintf(&text, "{'bearerKeysFile': '/nonexistent/keys', " HANDLERS "}"), 0);
    path = temp_file("worker.json", text);
    p = program_start((const char *const[]){ RUN, "--config", path, NULL }, (const char *const[]){ "VASTWORKER_BEARER_KEYS=k", NULL });
    ck_assert_int_eq(program_wait(p), 2);
    ck_assert_ptr_nonnull(strstr(program_err(p), "bearerKeysFile: /nonexistent/keys: No such file"));
    program_free(p);
    free(path);
    free(text);
}
END_TEST

Suite *bearer_suite(void);

Suite *bearer_suite(void)
{
    Suite *s = suite_create("bearer");
    TCase *tc = tcase_create("bearer");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, one_of_the_keys_opens_the_door);
    tcase_add_test(tc, a_refusal_does_not_wait_for_the_body);
    tcase_add_test(tc, the_body_is_the_models_and_the_key_is_not);
    tcase_add_test(tc, keys_apply_where_the_worker_is_unsecured);
    tcase_add_test(tc, keys_of_the_environment_count_beside_those_of_the_file);
    tcase_add_test(tc, keys_of_the_environment_are_enough);
    tcase_add_test(tc, a_file_that_changes_is_read_again);
    tcase_add_loop_test(tc, a_file_that_cannot_be_used_leaves_the_keys, 0, sizeof unusable / sizeof unusable[0]);
    tcase_add_loop_test(tc, a_door_without_keys_is_no_configuration, 0, sizeof refused / sizeof refused[0]);
    tcase_add_test(tc, a_file_that_is_not_there_is_named);
    suite_add_tcase(s, tc);
    return s;
}
