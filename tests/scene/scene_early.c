/* Envelopes that are judged while they arrive: a large one as soon as its auth_data is complete, any one that is no JSON at once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors.h"

#define MIB (1024u * 1024)
#define HANDLERS "{'handlers': [{'route': '/echo'}, " SIZE("/size", "vast") ", " SIZE("/open", "none") "]}"
#define SIZE(route, auth) \
    "{'route': '" route "', 'targetPath': '/echo', 'auth': '" auth "', 'workloadCalculator': {'count': '/input'}}"
#define UNSECURED "{'unsecured': true, 'handlers': [" SIZE("/size", "vast") "]}"
#define RECEIVED "vastworker_workload_total{kind=\"received\"}"

static struct model *m;
static struct control *c;
static struct worker *w;

static void setup(void)
{
    m = model_start();
    c = control_start();
    w = worker_start_ready(m, c, HANDLERS);
}

static void setup_unsecured(void)
{
    m = model_start();
    c = control_start();
    w = worker_start_ready(m, c, UNSECURED);
}

static void teardown(void)
{
    ck_assert_int_eq(worker_finish(w), VW_OK);
    control_stop(c);
    model_stop(m);
}

/* An envelope with `size` bytes of image in its payload; signed by the control plane, or by no one. */
static char *big(bool signed_well, bool payload_first, size_t size)
{
    char *signature = signed_well ? sign(c, URL) : strdup("AAAA"), *text = malloc(size + 4000), *image = malloc(size + 1), auth[3000];

    memset(image, 'A', size);
    image[size] = '\0';
    snprintf(auth, sizeof auth, "\"auth_data\": {\"cost\": 1, \"endpoint\": \"e\", \"reqnum\": 1, \"request_idx\": 5, \"signature\": \"%s\", "
             "\"url\": \"" URL "\"}", signature);
    if (payload_first)
        snprintf(text, size + 4000, "{\"payload\": {\"image\": \"%s\"}, %s}", image, auth);
    else
        snprintf(text, size + 4000, "{%s, \"session_id\": null, \"payload\": {\"image\": \"%s\"}}", auth, image);
    free(signature);
    free(image);
    return text;
}

static void send_head(int fd, const char *path, const char *body, bool chunked)
{
    char head[300];

    if (chunked)
        snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", path, strlen(body));
    else
        snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", path, strlen(body));
    client_send(fd, head);
}

static struct answer send_whole(const char *path, const char *body, bool chunked)
{
    int fd = client_connect(worker_port(w));
    struct answer a;

    send_head(fd, path, body, chunked);
    client_send(fd, body);
    if (chunked)
        client_send(fd, "\r\n0\r\n\r\n");
    a = client_read(fd);
    ck_assert_int_eq(a.status, 200);
    client_close(fd);
    return a;
}

static void expect(int fd, int status, const char *reason, bool kept)
{
    struct answer a = client_read(fd);

    ck_assert_int_eq(a.status, status);
    ck_assert_str_eq(answer_reason(&a), reason);
    ck_assert_str_eq(answer_header(&a, "connection"), kept ? "" : "close"); /* an unread rest would be in the way */
    answer_fini(&a);
    ck_assert(kept || client_is_closed(fd));
    client_close(fd);
}

/* The client waits with the rest, so an answer proves that it was not waited for. */
START_TEST(a_large_envelope_of_no_one_is_refused_before_the_rest_has_come)
{
    char *body = big(false, false, 2 * MIB);
    int fd = client_connect(worker_port(w)), chunked = _i;

    send_head(fd, "/echo", body, chunked);
    client_send_bytes(fd, body, chunked ? MIB + 1000 : 1000); /* in chunks its size is not known before */
    expect(fd, 401, "bad_signature", false);
    free(body);
}
END_TEST

START_TEST(a_large_envelope_that_is_signed_arrives_whole)
{
    char *body = big(true, _i & 1, 3 * MIB);
    struct answer a = send_whole("/echo", body, _i & 2);
    json_t *echo = parse_json(a.body);

    ck_assert_uint_eq(strlen(json_string_value(json_object_get(echo, "body"))), 3 * MIB + strlen("{\"image\": \"\"}"));
    json_decref(echo);
    answer_fini(&a);
    free(body);
}
END_TEST

/* The workload stands behind an image, or would. */
static double weigh_behind_image(const char *path, bool chunked, const char *before, const char *after)
{
    double received = client_metric(worker_port(w), RECEIVED);
    struct answer a;
    char *body = NULL;

    ck_assert_int_gt(asprintf(&body, "%s\"image\": \"%*s\"%s", before, (int)(3 * MIB), "", after), 0);
    a = send_whole(path, body, chunked);
    answer_fini(&a);
    free(body);
    return client_metric(worker_port(w), RECEIVED) - received;
}

START_TEST(what_stands_behind_an_image_is_weighed)
{
    char *signature = sign(c, URL), *before = NULL;

    ck_assert_int_gt(asprintf(&before, "{\"auth_data\": {\"cost\": 1, \"endpoint\": \"e\", \"reqnum\": 1, \"request_idx\": 5, \"signature\": "
                              "\"%s\", \"url\": \"" URL "\"}, \"payload\": {", signature), 0);
    ck_assert_double_eq(weigh_behind_image("/size", _i, before, ", \"input\": [1, 2, 3]}}"), 3);
    ck_assert_double_eq(weigh_behind_image("/size", _i, before, "}}"), 100);
    ck_assert_double_eq(weigh_behind_image("/open", _i, "{", ", \"input\": [1, [2, 3]]}"), 2);
    ck_assert_double_eq(weigh_behind_image("/open", _i, "{\"input\": [1], ", ", \"input\": [1, \"b\", {}, 0, 5]}"), 5);
    ck_assert_double_eq(weigh_behind_image("/open", _i, "{", ", \"input\": [1]"), 100); /* is no JSON */
    ck_assert_double_eq(weigh_behind_image("/open", _i, "{{", ", \"input\": [1]}"), 100);
    free(before);
    free(signature);
}
END_TEST

/* Of the list, the scanner has counted the entries while they came. */
START_TEST(a_long_list_weighs_what_it_has)
{
    static const char *const entries[] = { ", [1, {\"c\": [2, 3]}]", ", \"a, b\"", ", 1" };
    enum { ENTRIES = 200000, ENTRY_BYTES = 24 };
    char *list = malloc((size_t)ENTRIES * ENTRY_BYTES + 100), *at = list;
    int i;

    at = stpcpy(at, ", \"input\": [1");
    for (i = 1; i < ENTRIES; i++)
        at = stpcpy(at, entries[i % 3]);
    stpcpy(at, "], \"more\": [1, 2]}");
    ck_assert_double_eq(weigh_behind_image("/open", _i, "{", list), ENTRIES);
    free(list);
}
END_TEST

START_TEST(what_stands_behind_an_image_is_weighed_in_any_form_where_nothing_is_signed)
{
    ck_assert_double_eq(weigh_behind_image("/size", _i, "{\"payload\": {", ", \"input\": [1, 2, 3]}}"), 3);
    ck_assert_double_eq(weigh_behind_image("/size", _i, "{\"auth_data\": {\"cost\": 1}, \"payload\": {", ", \"input\": [1, 2, 3]}}"), 3);
    ck_assert_double_eq(weigh_behind_image("/size", _i, "{", ", \"input\": [1, 2]}"), 2);
    ck_assert_double_eq(weigh_behind_image("/size", _i, "{", ", \"input\": [1, 2]"), 100);
    ck_assert_double_eq(weigh_behind_image("/size", _i, "{{", ", \"input\": [1, 2]}"), 100);
}
END_TEST

START_TEST(an_envelope_that_is_no_json_is_refused_before_the_rest_has_come)
{
    static const char *const wrong[] = { "{\"auth_data\": {\"cost\" 1", "{,", "\xef\xbb\xbf{}", "{\"payload\": {\"a\": \"\xff" };
    int fd = client_connect(worker_port(w));

    client_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n");
    client_send(fd, wrong[_i]);
    expect(fd, 422, "invalid_json", false);
}
END_TEST

/* The order of verdicts: what is malformed is said before what is not allowed, where the whole body is looked at first. */
START_TEST(an_envelope_that_is_not_large_or_begins_with_its_payload_is_judged_at_its_end)
{
    char *body = big(false, _i, _i ? 2 * MIB : 100000);
    int fd = client_connect(worker_port(w));

    body[strlen(body) - 1] = ']';
    send_head(fd, "/echo", body, false);
    client_send(fd, body);
    expect(fd, 422, "invalid_json", true);
    free(body);
}
END_TEST

START_TEST(a_client_that_leaves_while_its_envelope_arrives_is_booked_nowhere)
{
    char *body = big(true, false, 2 * MIB);
    int fd = client_connect(worker_port(w));
    struct answer a;

    send_head(fd, "/echo", body, false);
    client_send_bytes(fd, body, MIB);
    if (_i)
        client_reset(fd);
    else
        client_close(fd);
    a = client_envelope(worker_port(w), c, "/size", 8, "{'input': [1, 2, 3]}");
    ck_assert_int_eq(a.status, 200);
    answer_fini(&a);
    control_wait_deletions(c, 1);
    ck_assert_uint_eq(worker_status(w).cancelled, 0);
    ck_assert_uint_eq(worker_status(w).received, 1);
    free(body);
}
END_TEST

Suite *early_suite(void);
Suite *early_suite(void)
{
    Suite *suite = suite_create("early");
    TCase *t = tcase_create("early");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, a_large_envelope_of_no_one_is_refused_before_the_rest_has_come, 0, 2);
    tcase_add_loop_test(t, a_large_envelope_that_is_signed_arrives_whole, 0, 4);
    tcase_add_loop_test(t, what_stands_behind_an_image_is_weighed, 0, 2); /* with its length, in chunks */
    tcase_add_loop_test(t, a_long_list_weighs_what_it_has, 0, 2);
    tcase_add_loop_test(t, an_envelope_that_is_no_json_is_refused_before_the_rest_has_come, 0, 4);
    tcase_add_loop_test(t, an_envelope_that_is_not_large_or_begins_with_its_payload_is_judged_at_its_end, 0, 2);
    tcase_add_loop_test(t, a_client_that_leaves_while_its_envelope_arrives_is_booked_nowhere, 0, 2);
    suite_add_tcase(suite, t);
    t = tcase_create("unsecured");
    tcase_add_checked_fixture(t, setup_unsecured, teardown);
    tcase_add_loop_test(t, what_stands_behind_an_image_is_weighed_in_any_form_where_nothing_is_signed, 0, 2);
    suite_add_tcase(suite, t);
    return suite;
}
