/* Requests to a model on loopback: reuse, the retry rule, framings, failures and deadlines, cancel, backpressure. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "io/upstream.h"
#include "model_stub.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define OK_HEAD OK "Content-Length: 2\r\n\r\n"
#define OK_ANSWER OK_HEAD "ok"

struct rig {
    struct vwi_loop *loop;
    struct stub stub;
    struct vwi_model_conf conf;
    struct vwi_upstream *up;
    const char *answer; /* what the model says; NULL: nothing */
};

struct call {
    struct rig *rig;
    struct vwi_lease *lease;
    int heads, bodies, lulls, ends, status;
    bool complete, sending, cancel_at_head, cancel_at_body, pause_at_body, quiet;
    int64_t length;
    struct vwi_text headers, body;
    size_t bytes;
    enum vwi_upstream_result result;
    char text[256];
    struct call *next_call; /* sent from on_end */
};

static char localhost[] = "127.0.0.1", authority[] = "model:1";

static void answer(struct stub *stub, struct stub_conn *conn)
{
    struct rig *rig = stub->user;

    if (rig->answer)
        stub_say(conn, rig->answer);
}

static void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    ck_assert_int_eq(vwi_loop_create(&rig->loop, NULL), VW_OK);
    stub_init(&rig->stub, rig->loop, NULL, 0, 64);
    rig->stub.user = rig;
    rig->stub.on_request = answer;
    rig->answer = OK_ANSWER;
    rig->conf = (struct vwi_model_conf){ .host = localhost, .port = rig->stub.port, .authority = authority,
                                         .idle_connections = 4 };
}

static void rig_start(struct rig *rig)
{
    vw_error_t why = { 0 };

    ck_assert_msg(vwi_upstream_create(rig->loop, &rig->conf, NULL, &rig->up, &why) == VW_OK, "%s", why.text);
}

static void rig_fini(struct rig *rig)
{
    vwi_upstream_destroy(rig->up);
    stub_fini(&rig->stub);
    vwi_loop_destroy(rig->loop);
}

#define UNTIL(rig, cond) \
    while (!(cond)) \
    vwi_loop_turn((rig)->loop, true)

static void send_call(struct rig *rig, struct call *call, const char *method, const char *body, bool retry);

static void on_head(void *arg, const struct vwi_answer *head)
{
    struct call *call = arg;
    size_t i;

    ck_assert(!call->sending && !call->quiet);
    call->heads++;
    call->status = head->status;
    call->length = head->content_length;
    call->complete = vwi_lease_complete(call->lease);
    for (i = 0; i < head->header_count; i++)
        vwi_text_addf(&call->headers, "%.*s;", (int)head->names[i].len, head->names[i].p);
    if (call->cancel_at_head) {
        vwi_lease_cancel(call->lease);
        call->quiet = true;
    }
}

static void on_body(void *arg, const char *data, size_t len)
{
    struct call *call = arg;

    ck_assert(!call->sending && !call->quiet);
    call->bodies++;
    call->bytes += len;
    call->complete = vwi_lease_complete(call->lease);
    if (call->body.len < 1000)
        vwi_text_add(&call->body, data, len);
    if (call->pause_at_body) {
        call->pause_at_body = false;
        vwi_lease_pause(call->lease);
    }
    if (call->cancel_at_body) {
        vwi_lease_cancel(call->lease);
        call->quiet = true;
    }
}

static void on_end(void *arg, enum vwi_upstream_result result, const char *text)
{
    struct call *call = arg;

    ck_assert(!call->sending && !call->quiet);
    call->ends++;
    call->result = result;
    snprintf(call->text, sizeof call->text, "%s", text);
    vwi_lease_cancel(call->lease); /* legal and without effect */
    if (call->next_call)
        send_call(call->rig, call->next_call, "POST", "next", false);
}

static void on_lull(void *arg)
{
    struct call *call = arg;

    ck_assert(!call->sending && !call->quiet);
    call->lulls++;
}

static const struct vwi_lease_events lease_events = { .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_lull = on_lull };

static void send_with(struct rig *rig, struct call *call, const struct vwi_upstream_request *request)
{
    call->rig = rig;
    call->sending = true;
    call->lease = vwi_upstream_send(rig->up, request, &lease_events, call);
    call->sending = false;
}

static void send_call(struct rig *rig, struct call *call, const char *method, const char *body, bool retry)
{
    struct vwi_upstream_request request = {
        .method = { method, strlen(method) }, .target = { "/x?y=1", 6 }, .headers = "X-A: 1\r\n",
        .body = { body, body ? strlen(body) : 0 }, .retry = retry,
    };

    send_with(rig, call, &request);
    ck_assert_ptr_nonnull(call->lease);
}

static void finish(struct rig *rig, struct call *call)
{
    UNTIL(rig, call->ends);
    ck_assert_int_eq(call->ends, 1);
    ck_assert_str_ne(call->text, "");
}

static void call_fini(struct call *call)
{
    vwi_text_fini(&call->headers);
    vwi_text_fini(&call->body);
    memset(call, 0, sizeof *call);
}

static void exchange(struct rig *rig, struct call *call, const char *method, const char *body)
{
    call_fini(call);
    send_call(rig, call, method, body, false);
    finish(rig, call);
}

static void check_counts(struct rig *rig, unsigned active, unsigned idle)
{
    unsigned a, i;

    vwi_upstream_counts(rig->up, &a, &i);
    ck_assert_uint_eq(a, active);
    ck_assert_uint_eq(i, idle);
}

static unsigned idle_count(struct rig *rig)
{
    unsigned active, idle;

    vwi_upstream_counts(rig->up, &active, &idle);
    return idle;
}

START_TEST(request_goes_out_as_given_and_the_answer_comes_back)
{
    struct vwi_upstream_request empty = { .method = { "POST", 4 }, .target = { "/", 1 }, .has_body = true };
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig_start(&rig);
    exchange(&rig, &call, "GET", NULL);
    ck_assert_str_eq(rig.stub.last.p, "GET /x?y=1 HTTP/1.1\r\nHost: model:1\r\nX-A: 1\r\n\r\n");
    ck_assert_int_eq(call.result, VWI_UPSTREAM_OK);
    ck_assert_int_eq(call.status, 200);
    ck_assert_str_eq(call.headers.p, "Content-Length;");
    ck_assert_str_eq(call.body.p, "ok");
    ck_assert(call.complete);
    ck_assert_int_eq(call.lulls, 0);
    exchange(&rig, &call, "POST", "abc");
    ck_assert_str_eq(rig.stub.last.p, "POST /x?y=1 HTTP/1.1\r\nHost: model:1\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc");
    call_fini(&call);
    send_with(&rig, &call, &empty);
    finish(&rig, &call);
    ck_assert_str_eq(rig.stub.last.p, "POST / HTTP/1.1\r\nHost: model:1\r\nContent-Length: 0\r\n\r\n");
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

START_TEST(connections_are_kept_and_reused)
{
    struct call call = { 0 }, next = { 0 };
    struct rig rig;
    int i;

    rig_init(&rig);
    rig_start(&rig);
    for (i = 0; i < 5; i++)
        exchange(&rig, &call, "POST", "body");
    call_fini(&call);
    call.next_call = &next;
    send_call(&rig, &call, "GET", NULL, false);
    check_counts(&rig, 1, 1);
    vwi_loop_run_burials(rig.loop);
    check_counts(&rig, 1, 0);
    finish(&rig, &next);
    ck_assert_int_eq(rig.stub.accepted, 1);
    ck_assert_int_eq(rig.stub.requests, 7);
    check_counts(&rig, 0, 1);
    call_fini(&call);
    call_fini(&next);
    rig_fini(&rig);
}
END_TEST

START_TEST(idle_connections_are_bounded)
{
    struct call calls[7] = { 0 };
    struct rig rig;
    size_t i;

    rig_init(&rig);
    rig_start(&rig);
    for (i = 0; i < 7; i++)
        send_call(&rig, &calls[i], "GET", NULL, false);
    check_counts(&rig, 7, 0);
    for (i = 0; i < 7; i++) {
        finish(&rig, &calls[i]);
        ck_assert_int_eq(calls[i].result, VWI_UPSTREAM_OK);
        call_fini(&calls[i]);
    }
    check_counts(&rig, 0, 4);
    UNTIL(&rig, rig.stub.left == 3);
    rig_fini(&rig);
}
END_TEST

START_TEST(requests_go_out_after_the_turn_and_a_cancelled_one_never)
{
    struct call calls[40] = { 0 };
    struct rig rig;
    unsigned active, idle;
    size_t i;

    rig_init(&rig);
    rig_start(&rig);
    send_call(&rig, &calls[0], "POST", "a", false);
    vwi_lease_cancel(calls[0].lease);
    vwi_loop_run_burials(rig.loop);
    check_counts(&rig, 0, 0);
    for (i = 1; i < 40; i++)
        send_call(&rig, &calls[i], "POST", "a", false);
    vwi_lease_cancel(calls[39].lease); /* of the last seven, which wait */
    vwi_upstream_counts(rig.up, &active, &idle);
    ck_assert_uint_eq(active, 38);
    for (i = 1; i < 39; i++) {
        finish(&rig, &calls[i]);
        ck_assert_int_eq(calls[i].result, VWI_UPSTREAM_OK);
        call_fini(&calls[i]);
    }
    ck_assert_int_eq(calls[0].ends + calls[39].ends, 0);
    ck_assert_int_eq(rig.stub.requests, 38);
    ck_assert_int_eq(rig.stub.accepted, 38);
    rig_fini(&rig);
}
END_TEST

START_TEST(dead_pooled_connection_is_replaced_before_anything_is_sent)
{
    struct call calls[2] = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig_start(&rig);
    send_call(&rig, &calls[0], "POST", "a", false);
    send_call(&rig, &calls[1], "POST", "a", false);
    finish(&rig, &calls[0]);
    finish(&rig, &calls[1]);
    check_counts(&rig, 0, 2);
    stub_close_all(&rig.stub); /* both are dead, and the loop has not turned since */
    call_fini(&calls[0]);
    send_call(&rig, &calls[0], "POST", "b", false);
    finish(&rig, &calls[0]);
    ck_assert_int_eq(calls[0].result, VWI_UPSTREAM_OK);
    ck_assert_int_eq(rig.stub.accepted, 3);
    ck_assert_int_eq(rig.stub.requests, 3);
    check_counts(&rig, 0, 1);
    call_fini(&calls[0]);
    call_fini(&calls[1]);
    rig_fini(&rig);
}
END_TEST

START_TEST(idle_connection_is_dropped_when_the_model_closes_it)
{
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig_start(&rig);
    exchange(&rig, &call, "GET", NULL);
    stub_close_all(&rig.stub);
    UNTIL(&rig, idle_count(&rig) == 0);
    exchange(&rig, &call, "GET", NULL);
    stub_say(VWI_CONTAINER(rig.stub.conns.next, struct stub_conn, node), "HTTP/1.1 408 unasked\r\n\r\n");
    UNTIL(&rig, idle_count(&rig) == 0);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

START_TEST(idle_connection_is_closed_when_its_time_is_over)
{
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig.answer = OK "Keep-Alive: timeout=2\r\nContent-Length: 0\r\n\r\n";
    rig_start(&rig);
    exchange(&rig, &call, "GET", NULL);
    check_counts(&rig, 0, 1);
    UNTIL(&rig, rig.stub.left == 1);
    check_counts(&rig, 0, 0);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

/* Each connection answers its first request and breaks at the second, or never answers at all. */
static void answer_once(struct stub *stub, struct stub_conn *conn)
{
    (void)stub;
    if (conn->requests == 1)
        stub_say(conn, OK_ANSWER);
    else
        stub_close(conn);
}

static void reset_at_once(struct stub *stub, struct stub_conn *conn)
{
    if (stub->requests == 1)
        stub_say(conn, OK_ANSWER);
    else
        stub_reset(conn);
}

static const struct {
    const char *method;
    bool retry;
    void (*on_request)(struct stub *stub, struct stub_conn *conn);
    enum vwi_upstream_result result;
    int requests, accepted;
} retries[] = {
    { "POST", false, answer_once, VWI_UPSTREAM_RESET, 2, 1 },
    { "PATCH", false, answer_once, VWI_UPSTREAM_RESET, 2, 1 },
    { "POST", true, answer_once, VWI_UPSTREAM_OK, 3, 2 },
    { "GET", false, answer_once, VWI_UPSTREAM_OK, 3, 2 },
    { "PUT", false, answer_once, VWI_UPSTREAM_OK, 3, 2 },
    { "DELETE", false, reset_at_once, VWI_UPSTREAM_RESET, 3, 2 },
    { "POST", true, reset_at_once, VWI_UPSTREAM_RESET, 3, 2 },
    { "POST", false, reset_at_once, VWI_UPSTREAM_RESET, 2, 1 },
};

START_TEST(request_goes_out_again_at_most_once_and_only_when_allowed)
{
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig.stub.on_request = retries[_i].on_request;
    rig_start(&rig);
    exchange(&rig, &call, "POST", "first");
    ck_assert_int_eq(call.result, VWI_UPSTREAM_OK);
    call_fini(&call);
    send_call(&rig, &call, retries[_i].method, "body", retries[_i].retry);
    finish(&rig, &call);
    ck_assert_int_eq(call.result, retries[_i].result);
    ck_assert_int_eq(rig.stub.requests, retries[_i].requests);
    ck_assert_int_eq(rig.stub.accepted, retries[_i].accepted);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

static void break_after_interim(struct stub *stub, struct stub_conn *conn)
{
    (void)stub;
    stub_say(conn, conn->requests == 1 ? OK_ANSWER : "HTTP/1.1 100 Continue\r\n\r\n");
    if (conn->requests == 2)
        stub_close(conn);
}

START_TEST(request_is_not_sent_again_once_the_model_spoke)
{
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig.stub.on_request = break_after_interim;
    rig_start(&rig);
    exchange(&rig, &call, "GET", NULL);
    exchange(&rig, &call, "GET", NULL);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_RESET);
    ck_assert_int_eq(rig.stub.requests, 2);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

static const struct {
    const char *method, *answer;
    bool close; /* the model closes behind it */
    enum vwi_upstream_result result;
    int status;
    const char *body;
    unsigned idle;
} answers[] = {
    { "GET", OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", false, VWI_UPSTREAM_OK, 200, "abcde",
      1 },
    { "GET", OK "\r\nto the end", true, VWI_UPSTREAM_OK, 200, "to the end", 0 },
    { "HEAD", OK "Content-Length: 100\r\n\r\n", false, VWI_UPSTREAM_OK, 200, "", 1 },
    { "GET", "HTTP/1.1 204 No Content\r\n\r\n", false, VWI_UPSTREAM_OK, 204, "", 1 },
    { "GET", "HTTP/1.1 100 Continue\r\n\r\n" OK_ANSWER, false, VWI_UPSTREAM_OK, 200, "ok", 1 },
    { "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false, VWI_UPSTREAM_OK, 200, "ok", 0 },
    { "GET", OK "Connection: close\r\nContent-Length: 2\r\n\r\nok", false, VWI_UPSTREAM_OK, 200, "ok", 0 },
    { "GET", OK "Keep-Alive: timeout=1, max=9\r\nContent-Length: 2\r\n\r\nok", false, VWI_UPSTREAM_OK, 200, "ok", 0 },
    { "GET", OK "Keep-Alive: max=9, timeout=5\r\nContent-Length: 2\r\n\r\nok", false, VWI_UPSTREAM_OK, 200, "ok", 1 },
    { "GET", OK_ANSWER "garbage", false, VWI_UPSTREAM_OK, 200, "ok", 0 },
    { "GET", OK_HEAD "o", true, VWI_UPSTREAM_RESET, 200, "o", 0 },
    { "GET", OK "Transfer-Encoding: chunked\r\n\r\n3\r\nab", true, VWI_UPSTREAM_RESET, 200, "ab", 0 },
    { "GET", "", true, VWI_UPSTREAM_RESET, 0, "", 0 },
    { "GET", "HTTP/1.1 200", true, VWI_UPSTREAM_RESET, 0, "", 0 },
    { "GET", "nonsense\r\n\r\n", false, VWI_UPSTREAM_RESET, 0, "", 0 },
    { "GET", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", false, VWI_UPSTREAM_RESET, 0, "", 0 },
};

static void say_and_close(struct stub *stub, struct stub_conn *conn)
{
    answer(stub, conn);
    stub_close(conn);
}

START_TEST(answer_framings_and_breaks)
{
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig.answer = answers[_i].answer;
    rig.stub.on_request = answers[_i].close ? say_and_close : answer;
    rig_start(&rig);
    exchange(&rig, &call, answers[_i].method, NULL);
    ck_assert_int_eq(call.result, answers[_i].result);
    ck_assert_int_eq(call.status, answers[_i].status);
    ck_assert_str_eq(call.body.p ? call.body.p : "", answers[_i].body);
    check_counts(&rig, 0, answers[_i].idle);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

START_TEST(oversized_head_is_a_reset_with_a_reason)
{
    struct vwi_text text = VWI_TEXT_INIT;
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    vwi_text_addf(&text, OK "A: %0100000d\r\n\r\n", 1);
    rig.answer = text.p;
    rig_start(&rig);
    exchange(&rig, &call, "GET", NULL);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_RESET);
    ck_assert_str_eq(call.text, "not a valid answer: head too large");
    vwi_text_fini(&text);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

START_TEST(unfit_request_line_is_not_sent)
{
    struct vwi_upstream_request request = { .method = { "GET", 3 }, .target = { "/a b\r\nX: y", 10 } };
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig_start(&rig);
    send_with(&rig, &call, &request);
    finish(&rig, &call);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_RESET);
    ck_assert_int_eq(rig.stub.accepted, 0);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

START_TEST(refused_connection_is_unreachable_with_its_address)
{
    struct call call = { 0 };
    char text[64];
    struct rig rig;

    rig_init(&rig);
    rig_start(&rig);
    stub_fini(&rig.stub);
    exchange(&rig, &call, "POST", "x");
    ck_assert_int_eq(call.result, VWI_UPSTREAM_UNREACHABLE);
    snprintf(text, sizeof text, "127.0.0.1:%u: connection refused", rig.conf.port);
    ck_assert_str_eq(call.text, text);
    check_counts(&rig, 0, 0);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

START_TEST(unix_socket_is_spoken_to)
{
    char dir[] = "/tmp/vwtXXXXXX", path[64];
    struct call call = { 0 };
    struct rig rig;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/model.sock", dir);
    rig_init(&rig);
    rig.conf.unix_path = path;
    rig_start(&rig);
    exchange(&rig, &call, "GET", NULL);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_UNREACHABLE);
    ck_assert_ptr_nonnull(strstr(call.text, "/model.sock: no such file"));
    stub_fini(&rig.stub);
    stub_init(&rig.stub, rig.loop, path, 0, 8);
    rig.stub.user = &rig;
    rig.stub.on_request = answer;
    exchange(&rig, &call, "GET", NULL);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_OK);
    exchange(&rig, &call, "POST", "again");
    ck_assert_int_eq(rig.stub.accepted, 1);
    call_fini(&call);
    rig_fini(&rig);
    unlink(path);
    rmdir(dir);
}
END_TEST

START_TEST(too_long_unix_path_is_a_configuration_error)
{
    char path[200] = "/";
    vw_error_t why = { 0 };
    struct rig rig;

    rig_init(&rig);
    memset(path, 'x', sizeof path - 1);
    rig.conf.unix_path = path;
    ck_assert_int_eq(vwi_upstream_create(rig.loop, &rig.conf, NULL, &rig.up, &why), VW_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(why.text, "unix path"));
    rig_fini(&rig);
}
END_TEST

START_TEST(names_are_resolved_and_all_addresses_tried)
{
    char name[] = "localhost";
    struct call calls[2] = { 0 };
    uint16_t port;
    struct rig rig;

    rig_init(&rig);
    rig.conf.host = name;
    rig_start(&rig);
    send_call(&rig, &calls[0], "GET", NULL, false); /* both wait for one lookup */
    send_call(&rig, &calls[1], "GET", NULL, false);
    finish(&rig, &calls[0]);
    finish(&rig, &calls[1]);
    ck_assert_int_eq(calls[0].result, VWI_UPSTREAM_OK);
    ck_assert_int_eq(calls[1].result, VWI_UPSTREAM_OK);
    port = rig.stub.port;
    stub_fini(&rig.stub);
    exchange(&rig, &calls[0], "GET", NULL);
    ck_assert_int_eq(calls[0].result, VWI_UPSTREAM_UNREACHABLE);
    ck_assert_ptr_nonnull(strstr(calls[0].text, "refused"));
    stub_init(&rig.stub, rig.loop, NULL, port, 8);
    rig.stub.user = &rig;
    rig.stub.on_request = answer;
    exchange(&rig, &calls[0], "GET", NULL);
    ck_assert_int_eq(calls[0].result, VWI_UPSTREAM_OK);
    call_fini(&calls[0]);
    call_fini(&calls[1]);
    rig_fini(&rig);
}
END_TEST

START_TEST(unknown_name_is_unreachable)
{
    char name[] = "not..a.name";
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig.conf.host = name;
    rig_start(&rig);
    exchange(&rig, &call, "GET", NULL);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_UNREACHABLE);
    ck_assert_ptr_nonnull(strstr(call.text, "not..a.name: name not resolved: "));
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

START_TEST(lookup_may_be_left_behind)
{
    char name[] = "localhost";
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig.conf.host = name;
    rig_start(&rig);
    send_call(&rig, &call, "GET", NULL, false);
    vwi_lease_cancel(call.lease);
    ck_assert_int_eq(call.ends, 0);
    vwi_upstream_destroy(rig.up);
    rig.up = NULL;
    vwi_loop_turn(rig.loop, false); /* what the thread posted before it knew */
    rig_fini(&rig);
}
END_TEST

/* Fills the queue of a listener nobody accepts from. */
static int fill(const struct sockaddr *address, socklen_t len, int fds[], int max)
{
    int count = 0;

    while (count < max) {
        fds[count] = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(fds[count++], address, len) != 0)
            break;
    }
    return count;
}

static void close_all(int fds[], int count)
{
    while (count)
        close(fds[--count]);
}

START_TEST(connect_has_a_deadline)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct call call = { 0 };
    int fds[8], count;
    struct rig rig;

    rig_init(&rig);
    stub_fini(&rig.stub);
    stub_init(&rig.stub, rig.loop, NULL, 0, 0);
    stub_deafen(&rig.stub);
    in.sin_port = htons(rig.stub.port);
    count = fill((struct sockaddr *)&in, sizeof in, fds, 8);
    rig.conf.port = rig.stub.port;
    rig.conf.timeouts.connect_s = 0.2;
    rig_start(&rig);
    exchange(&rig, &call, "GET", NULL);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_TIMEOUT);
    ck_assert_str_eq(call.text, "not connected within 0.2 s");
    check_counts(&rig, 0, 0);
    close_all(fds, count);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

START_TEST(busy_unix_listener_is_tried_again_until_the_deadline)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    char dir[] = "/tmp/vwtXXXXXX";
    struct call call = { 0 };
    int fds[8], count;
    struct rig rig;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(un.sun_path, sizeof un.sun_path, "%s/s", dir);
    rig_init(&rig);
    stub_fini(&rig.stub);
    stub_init(&rig.stub, rig.loop, un.sun_path, 0, 0);
    rig.stub.user = &rig;
    rig.stub.on_request = answer;
    stub_deafen(&rig.stub);
    count = fill((struct sockaddr *)&un, sizeof un, fds, 8);
    rig.conf.unix_path = un.sun_path;
    rig.conf.timeouts.connect_s = 0.2;
    rig_start(&rig);
    exchange(&rig, &call, "GET", NULL);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_TIMEOUT);
    rig.conf.timeouts.connect_s = 0;
    call_fini(&call);
    send_call(&rig, &call, "GET", NULL, false);
    stub_accept(&rig.stub);
    finish(&rig, &call);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_OK);
    close_all(fds, count);
    call_fini(&call);
    rig_fini(&rig);
    unlink(un.sun_path);
    rmdir(dir);
}
END_TEST

static const struct {
    struct vwi_timeouts_conf timeouts;
    const char *answer, *text;
} deadlines[] = {
    { { .first_byte_s = 0.2 }, NULL, "no first byte within 0.2 s" },
    { { .first_byte_s = 0.2 }, "HTTP/1.1 102 Processing\r\n\r\n", "no first byte within 0.2 s" },
    { { .idle_s = 0.2 }, OK_HEAD, "no byte for 0.2 s" },
    { { .idle_s = 0.2 }, "HTTP/1.1", "no byte for 0.2 s" },
    { { .total_s = 0.3, .idle_s = 5, .first_byte_s = 0.1 }, OK_HEAD "o", "not finished within 0.3 s" },
    { { .total_s = 0.2 }, NULL, "not finished within 0.2 s" },
};

START_TEST(deadlines_end_a_lease_and_are_named)
{
    struct vwi_upstream_request request = { .method = { "GET", 3 }, .target = { "/", 1 }, .timeouts = &deadlines[_i].timeouts };
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig.answer = deadlines[_i].answer;
    rig_start(&rig);
    send_with(&rig, &call, &request);
    finish(&rig, &call);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_TIMEOUT);
    ck_assert_str_eq(call.text, deadlines[_i].text);
    UNTIL(&rig, rig.stub.left == 1);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

static void say_nothing(struct stub *stub, struct stub_conn *conn)
{
    (void)stub;
    event_del(conn->read_ev);
}

START_TEST(model_that_takes_no_byte_of_the_request_is_idle)
{
    static const struct vwi_timeouts_conf timeouts = { .idle_s = 0.2 };
    struct vwi_upstream_request request = { .method = { "POST", 4 }, .target = { "/", 1 }, .timeouts = &timeouts };
    char *body = calloc(1, 32 << 20);
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig.stub.at_head = true;
    rig.stub.on_request = say_nothing;
    rig_start(&rig);
    request.body = (struct vwi_span){ body, 32 << 20 };
    send_with(&rig, &call, &request);
    finish(&rig, &call);
    ck_assert_str_eq(call.text, "no byte for 0.2 s");
    free(body);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

START_TEST(cancel_closes_the_model_connection_and_is_silent)
{
    struct call waiting = { 0 }, at_head = { .cancel_at_head = true }, at_body = { .cancel_at_body = true };
    struct rig rig;

    rig_init(&rig);
    rig_start(&rig);
    rig.answer = NULL;
    send_call(&rig, &waiting, "POST", "x", false);
    UNTIL(&rig, rig.stub.requests == 1);
    vwi_lease_cancel(waiting.lease);
    waiting.quiet = true;
    UNTIL(&rig, rig.stub.left == 1);
    rig.answer = OK_ANSWER;
    send_call(&rig, &at_head, "POST", "x", false);
    send_call(&rig, &at_body, "POST", "x", false);
    UNTIL(&rig, rig.stub.left == 3);
    ck_assert_int_eq(at_head.heads, 1);
    ck_assert_int_eq(at_body.bodies, 1);
    ck_assert_int_eq(waiting.ends + at_head.ends + at_body.ends, 0);
    check_counts(&rig, 0, 0);
    call_fini(&waiting);
    call_fini(&at_head);
    call_fini(&at_body);
    rig_fini(&rig);
}
END_TEST

START_TEST(cancel_before_a_failure_is_told_is_silent)
{
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig_start(&rig);
    stub_fini(&rig.stub);
    send_call(&rig, &call, "GET", NULL, false);
    vwi_lease_cancel(call.lease);
    call.quiet = true;
    vwi_loop_turn(rig.loop, false);
    rig_fini(&rig);
}
END_TEST

#define BIG_BYTES ((size_t)24 << 20)

static void resume_now(void *arg)
{
    struct call *call = arg;

    ck_assert_uint_le(call->bytes, 64 * 1024); /* what one read brings */
    call->quiet = false;
    vwi_lease_resume(call->lease);
}

static void say_big(struct stub *stub, struct stub_conn *conn)
{
    char *big = calloc(1, BIG_BYTES), head[80];

    (void)stub;
    snprintf(head, sizeof head, OK "Content-Length: %zu\r\n\r\n", BIG_BYTES);
    stub_say(conn, head);
    stub_say_bytes(conn, big, BIG_BYTES);
    free(big);
}

static void pause_first_body(void *arg, const char *data, size_t len)
{
    struct call *call = arg;
    bool first = call->pause_at_body;

    on_body(arg, data, len);
    call->quiet = first; /* nothing may come until resume */
}

START_TEST(paused_lease_holds_the_model_back)
{
    static const struct vwi_lease_events events = { .on_head = on_head, .on_body = pause_first_body, .on_end = on_end };
    static const struct vwi_timeouts_conf timeouts = { .idle_s = 0.1 }; /* does not run while paused */
    struct vwi_upstream_request request = { .method = { "GET", 3 }, .target = { "/", 1 }, .timeouts = &timeouts };
    struct call call = { .pause_at_body = true };
    struct vwi_timer timer = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig.stub.on_request = say_big;
    rig_start(&rig);
    call.rig = &rig;
    call.lease = vwi_upstream_send(rig.up, &request, &events, &call);
    ck_assert_int_eq(vwi_timer_init(&timer, rig.loop, resume_now, &call), VW_OK);
    UNTIL(&rig, call.bodies == 1);
    vwi_timer_start(&timer, 300);
    finish(&rig, &call);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_OK);
    ck_assert_uint_eq(call.bytes, BIG_BYTES);
    check_counts(&rig, 0, 1);
    vwi_timer_fini(&timer);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

static void say_and_stop_listening(struct stub *stub, struct stub_conn *conn)
{
    event_del(conn->read_ev);
    answer(stub, conn);
}

START_TEST(answer_before_the_request_was_taken_is_fine)
{
    char *body = malloc(BIG_BYTES + 1);
    struct call call = { 0 };
    struct rig rig;

    memset(body, 'x', BIG_BYTES);
    body[BIG_BYTES] = '\0';
    rig_init(&rig);
    rig.stub.at_head = true;
    rig.stub.on_request = say_and_stop_listening;
    rig.answer = "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig";
    rig_start(&rig);
    exchange(&rig, &call, "POST", body);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_OK);
    ck_assert_int_eq(call.status, 413);
    ck_assert_str_eq(call.body.p, "big");
    ck_assert_uint_lt(rig.stub.received, BIG_BYTES);
    check_counts(&rig, 0, 0);
    free(body);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

static void say_head_then_finish(struct stub *stub, struct stub_conn *conn)
{
    stub_say(conn, OK_HEAD "o");
    stub->at_head = false;
    conn->head_told = false; /* called again when the body is there */
    if (stub->requests == 2)
        stub_say(conn, "k");
}

START_TEST(body_goes_on_under_an_answer_that_accepts_it)
{
    char *body = malloc(BIG_BYTES + 1);
    struct call call = { 0 };
    struct rig rig;

    memset(body, 'x', BIG_BYTES);
    body[BIG_BYTES] = '\0';
    rig_init(&rig);
    rig.stub.at_head = true;
    rig.stub.on_request = say_head_then_finish;
    rig_start(&rig);
    exchange(&rig, &call, "POST", body);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_OK);
    ck_assert_uint_gt(rig.stub.received, BIG_BYTES);
    free(body);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

static void say_head_only(struct stub *stub, struct stub_conn *conn)
{
    (void)stub;
    stub_say(conn, OK_HEAD);
}

START_TEST(lull_follows_a_read_that_did_not_end_the_answer)
{
    struct call call = { 0 };
    struct rig rig;

    rig_init(&rig);
    rig.stub.on_request = say_head_only;
    rig_start(&rig);
    send_call(&rig, &call, "GET", NULL, false);
    UNTIL(&rig, call.lulls == 1);
    ck_assert_int_eq(call.heads, 1);
    ck_assert(!call.complete);
    stub_say(VWI_CONTAINER(rig.stub.conns.next, struct stub_conn, node), "ok");
    finish(&rig, &call);
    ck_assert_int_eq(call.lulls, 1);
    ck_assert(call.complete);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

START_TEST(stray_bytes_and_breaks_while_paused_wait_for_resume)
{
    struct call call = { .pause_at_body = true };
    struct rig rig;

    rig_init(&rig);
    rig.answer = OK_HEAD "o";
    rig.stub.on_request = say_and_close;
    rig_start(&rig);
    send_call(&rig, &call, "GET", NULL, false);
    UNTIL(&rig, call.bodies == 1);
    ck_assert_int_eq(call.ends, 0);
    vwi_lease_resume(call.lease);
    finish(&rig, &call);
    ck_assert_int_eq(call.result, VWI_UPSTREAM_RESET);
    call_fini(&call);
    rig_fini(&rig);
}
END_TEST

START_TEST(send_survives_each_failed_allocation)
{
    char name[] = "localhost";
    struct call call = { 0 };
    unsigned nth;
    bool ok = false;

    for (nth = 0; !ok; nth++) {
        struct rig rig;
        vw_err err;

        ck_assert_uint_lt(nth, 100);
        rig_init(&rig);
        if (_i)
            rig.conf.host = name;
        vwi_mem_fail_nth(nth);
        err = vwi_upstream_create(rig.loop, &rig.conf, NULL, &rig.up, NULL);
        if (err == VW_OK) {
            struct vwi_upstream_request request = { .method = { "GET", 3 }, .target = { "/", 1 } };

            send_with(&rig, &call, &request);
            vwi_loop_run_burials(rig.loop); /* the end of the turn, when the request goes out */
        }
        vwi_mem_fail_never();
        ck_assert(err == VW_OK || err == VW_E_NOMEM);
        if (call.lease) {
            finish(&rig, &call);
            ok = call.result == VWI_UPSTREAM_OK;
            if (!ok)
                ck_assert_int_eq(call.result, VWI_UPSTREAM_UNREACHABLE);
        }
        call_fini(&call);
        rig_fini(&rig);
    }
    ck_assert_uint_gt(nth, 4);
}
END_TEST

Suite *upstream_suite(void);

Suite *upstream_suite(void)
{
    Suite *s = suite_create("upstream");
    TCase *tc = tcase_create("upstream");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, request_goes_out_as_given_and_the_answer_comes_back);
    tcase_add_test(tc, connections_are_kept_and_reused);
    tcase_add_test(tc, idle_connections_are_bounded);
    tcase_add_test(tc, requests_go_out_after_the_turn_and_a_cancelled_one_never);
    tcase_add_test(tc, dead_pooled_connection_is_replaced_before_anything_is_sent);
    tcase_add_test(tc, idle_connection_is_dropped_when_the_model_closes_it);
    tcase_add_test(tc, idle_connection_is_closed_when_its_time_is_over);
    tcase_add_loop_test(tc, request_goes_out_again_at_most_once_and_only_when_allowed, 0, (int)VWI_ARRAY_LEN(retries));
    tcase_add_test(tc, request_is_not_sent_again_once_the_model_spoke);
    tcase_add_loop_test(tc, answer_framings_and_breaks, 0, (int)VWI_ARRAY_LEN(answers));
    tcase_add_test(tc, oversized_head_is_a_reset_with_a_reason);
    tcase_add_test(tc, unfit_request_line_is_not_sent);
    tcase_add_test(tc, refused_connection_is_unreachable_with_its_address);
    tcase_add_test(tc, unix_socket_is_spoken_to);
    tcase_add_test(tc, too_long_unix_path_is_a_configuration_error);
    tcase_add_test(tc, names_are_resolved_and_all_addresses_tried);
    tcase_add_test(tc, unknown_name_is_unreachable);
    tcase_add_test(tc, lookup_may_be_left_behind);
    tcase_add_test(tc, connect_has_a_deadline);
    tcase_add_test(tc, busy_unix_listener_is_tried_again_until_the_deadline);
    tcase_add_loop_test(tc, deadlines_end_a_lease_and_are_named, 0, (int)VWI_ARRAY_LEN(deadlines));
    tcase_add_test(tc, model_that_takes_no_byte_of_the_request_is_idle);
    tcase_add_test(tc, cancel_closes_the_model_connection_and_is_silent);
    tcase_add_test(tc, cancel_before_a_failure_is_told_is_silent);
    tcase_add_test(tc, paused_lease_holds_the_model_back);
    tcase_add_test(tc, answer_before_the_request_was_taken_is_fine);
    tcase_add_test(tc, body_goes_on_under_an_answer_that_accepts_it);
    tcase_add_test(tc, lull_follows_a_read_that_did_not_end_the_answer);
    tcase_add_test(tc, stray_bytes_and_breaks_while_paused_wait_for_resume);
    tcase_add_loop_test(tc, send_survives_each_failed_allocation, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}
