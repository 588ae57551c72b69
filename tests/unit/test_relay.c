/* A model's answer on its way to a client, over real sockets: what is dropped, when the head goes, how it ends, who waits. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "io/front.h"
#include "io/relay.h"
#include "model_stub.h"

struct rig {
    struct vwi_loop *loop;
    struct stub stub;
    struct vwi_model_conf model;
    struct vwi_upstream *up;
    struct vwi_front_conf front_conf;
    struct vwi_front *front;
    const char *answer;

    /* the user of the exchange */
    struct vwi_exchange *ex;
    struct vwi_relay *relay;
    struct vwi_relay_end end;
    char text[200];
    int ends, dones;
    bool gone, veto, forget; /* forget: no memory left right after on_head */
    int fail_nth;            /* allocation of vwi_relay_start, and of the turn's end behind it, that fails; -1: none */
    struct vwi_burial spared;
    size_t most_backlog;

    /* the client */
    int fd;
    struct event *read_ev;
    struct vwi_text got; /* the first bytes */
    size_t bytes;
    bool eof;
};

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

#define UNTIL(rig, cond) \
    while (!(cond)) \
    vwi_loop_turn((rig)->loop, true)

static void on_client_readable(evutil_socket_t fd, short what, void *arg)
{
    static char buffer[1 << 16];
    struct rig *rig = arg;
    ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);

    (void)what;
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        rig->eof = true;
        event_del(rig->read_ev);
        return;
    }
    rig->bytes += (size_t)n;
    if (rig->got.len < 4096)
        vwi_text_add(&rig->got, buffer, (size_t)n);
}

static bool on_head(void *arg, const struct vwi_answer *answer)
{
    struct rig *rig = arg;

    ck_assert_int_ge(answer->status, 200);
    if (rig->forget)
        vwi_mem_fail_nth(0);
    if (!rig->veto)
        return true;
    rig->relay = NULL;
    vwi_exchange_reply(rig->ex, 502, NULL, "vetoed", 6);
    return false;
}

static void on_end(void *arg, const struct vwi_relay_end *end)
{
    struct rig *rig = arg;

    rig->ends++;
    rig->end = *end;
    snprintf(rig->text, sizeof rig->text, "%s", end->text);
    rig->relay = NULL;
    if (!end->head_relayed)
        vwi_exchange_reply(rig->ex, end->result == VWI_UPSTREAM_TIMEOUT ? 504 : 502, NULL, "failed", 6);
}

static void on_drained(void *user)
{
    struct rig *rig = user;

    if (rig->relay)
        vwi_relay_drained(rig->relay);
}

static void on_done(void *user, bool gone)
{
    struct rig *rig = user;

    rig->dones++;
    rig->gone = gone;
    rig->ex = NULL;
    vwi_relay_cancel(rig->relay);
    rig->relay = NULL;
}

static void spare(void *arg)
{
    (void)arg;
    vwi_mem_fail_never();
}

static void on_request(void *arg, struct vwi_exchange *ex)
{
    static const struct vwi_exchange_events exchange_events = { .on_drained = on_drained, .on_done = on_done };
    static const struct vwi_relay_events relay_events = { on_head, on_end };
    struct rig *rig = arg;
    struct vwi_upstream_request request = {
        .method = vwi_exchange_method(ex), .target = vwi_exchange_target(ex), .body = vwi_exchange_body(ex),
    };

    rig->ex = ex;
    vwi_exchange_bind(ex, &exchange_events, rig);
    if (rig->fail_nth >= 0)
        vwi_mem_fail_nth((unsigned)rig->fail_nth);
    rig->relay = vwi_relay_start(rig->up, &request, ex, "X-Extra: 1\r\n", &relay_events, rig);
    if (rig->relay) {
        vwi_loop_bury(rig->loop, &rig->spared, spare, NULL);
        return;
    }
    vwi_mem_fail_never();
    vwi_exchange_reply(ex, 500, NULL, "failed", 6);
}

static void on_refuse(void *arg, int status, const char *reason, const char *message, struct vwi_text *headers,
                      struct vwi_text *body)
{
    (void)arg, (void)status, (void)reason, (void)message, (void)headers, (void)body;
    ck_abort_msg("the front refused the request");
}

static void answer(struct stub *stub, struct stub_conn *conn)
{
    struct rig *rig = stub->user;

    if (rig->answer)
        stub_say(conn, rig->answer);
}

static void say_and_close(struct stub *stub, struct stub_conn *conn)
{
    answer(stub, conn);
    stub_close(conn);
}

static void rig_init(struct rig *rig, const char *model_answer)
{
    static const struct vwi_front_events events = { .on_request = on_request, .on_refuse = on_refuse };
    static char host[] = "127.0.0.1", authority[] = "model";
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    vw_error_t why = { 0 };

    memset(rig, 0, sizeof *rig);
    rig->answer = model_answer;
    rig->fail_nth = -1;
    ck_assert_int_eq(vwi_loop_create(&rig->loop, NULL), VW_OK);
    stub_init(&rig->stub, rig->loop, NULL, 0, 8);
    rig->stub.user = rig;
    rig->stub.on_request = answer;
    rig->model = (struct vwi_model_conf){ .host = host, .port = rig->stub.port, .authority = authority, .idle_connections = 4 };
    ck_assert_int_eq(vwi_upstream_create(rig->loop, &rig->model, NULL, &rig->up, &why), VW_OK);
    rig->front_conf = (struct vwi_front_conf){ .bind_address = host, .max_body_bytes = 1 << 20, .max_buffered_bytes = 1 << 24,
                                               .max_header_bytes = 1 << 16, .max_connections = 10 };
    ck_assert_msg(vwi_front_create(rig->loop, &rig->front_conf, &events, rig, NULL, &rig->front, &why) == VW_OK, "%s", why.text);
    rig->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    in.sin_port = htons(vwi_front_port(rig->front));
    ck_assert_int_eq(connect(rig->fd, (struct sockaddr *)&in, sizeof in), 0);
    rig->read_ev = event_new(vwi_loop_base(rig->loop), rig->fd, EV_READ | EV_PERSIST, on_client_readable, rig);
    event_add(rig->read_ev, NULL);
}

static void rig_fini(struct rig *rig)
{
    if (rig->read_ev)
        event_free(rig->read_ev);
    if (rig->fd >= 0)
        close(rig->fd);
    vwi_front_destroy(rig->front);
    vwi_upstream_destroy(rig->up);
    stub_fini(&rig->stub);
    vwi_loop_destroy(rig->loop);
    vwi_text_fini(&rig->got);
}

static void ask(struct rig *rig, const char *method, const char *version)
{
    char text[200];
    int n = snprintf(text, sizeof text, "%s /v1/x?y HTTP/%s\r\nHost: worker\r\n\r\n", method, version);

    ck_assert_int_eq(send(rig->fd, text, (size_t)n, 0), n);
}

static bool has(struct rig *rig, const char *part) { return rig->got.p && strstr(rig->got.p, part); }

static int count(struct rig *rig, const char *part)
{
    const char *p = rig->got.p;
    int n = 0;

    while (p && (p = strstr(p, part))) {
        n++;
        p++;
    }
    return n;
}

static struct stub_conn *model_conn(struct rig *rig)
{
    return VWI_CONTAINER(rig->stub.conns.next, struct stub_conn, node);
}

START_TEST(answer_is_relayed_without_hop_by_hop_headers)
{
    struct rig rig;

    rig_init(&rig, "HTTP/1.1 201 Made\r\nDate: yesterday\r\nServer: llama\r\nX-Kept:  a  b \r\nKeep-Alive: timeout=9\r\nTE: x\r\n"
                   "Connection: keep-alive, X-Listed\r\nX-Listed: 1\r\nProxy-Authenticate: x\r\nTrailer: y\r\nUpgrade: h2c\r\n"
                   "Proxy-Connection: z\r\nContent-Type: text/plain; charset=x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
                   "Content-Length: 4\r\n\r\nbody");
    ask(&rig, "GET", "1.1");
    UNTIL(&rig, rig.dones && has(&rig, "body"));
    ck_assert_int_eq(rig.ends, 1);
    ck_assert_int_eq(rig.end.result, VWI_UPSTREAM_OK);
    ck_assert_int_eq(rig.end.status, 201);
    ck_assert(rig.end.head_relayed);
    ck_assert_uint_eq(rig.end.bytes, 4);
    ck_assert(!rig.gone);
    ck_assert(has(&rig, "HTTP/1.1 201 "));
    ck_assert(has(&rig, "Server: llama\r\nX-Kept: a  b\r\nContent-Type: text/plain; charset=x\r\nSet-Cookie: a\r\n"
                        "Set-Cookie: b\r\nX-Extra: 1\r\n"));
    ck_assert(has(&rig, "Content-Length: 4\r\n"));
    ck_assert(has(&rig, "\r\n\r\nbody"));
    ck_assert(has(&rig, "Date: yesterday\r\nServer"));
    ck_assert_int_eq(count(&rig, "Date: "), 1);
    ck_assert(!has(&rig, "X-Listed") && !has(&rig, "timeout=9") && !has(&rig, "TE:") && !has(&rig, "Proxy-") &&
              !has(&rig, "Trailer") && !has(&rig, "Upgrade"));
    rig_fini(&rig);
}
END_TEST

static const struct {
    const char *method, *version, *answer;
    bool close; /* the model closes behind it */
    const char *wanted, *not_wanted;
} framings[] = {
    { "GET", "1.1", OK CHUNKED "\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", false,
      "Content-Length: 5\r\n", "Transfer-Encoding" },
    { "GET", "1.1", OK CHUNKED "\r\n0\r\n\r\n", false, "Content-Length: 0\r\n", "Transfer-Encoding" },
    { "GET", "1.1", OK "\r\nto the end", true, "Transfer-Encoding: chunked\r\n", "Content-Length" },
    { "GET", "1.0", OK "\r\nto the end", true, "\r\n\r\nto the end", "Transfer-Encoding" },
    { "HEAD", "1.1", OK "Content-Length: 77\r\n\r\n", false, "Content-Length: 77\r\n", "Transfer-Encoding" },
    { "GET", "1.1", "HTTP/1.1 204 No Content\r\n\r\n", false, "HTTP/1.1 204", "Content-Length" },
    { "GET", "1.1", "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", false, "ETag: x\r\n", "Transfer-Encoding" },
    { "GET", "1.1", "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nsick", false, "\r\n\r\nsick", "Transfer-Encoding" },
};

START_TEST(framing_fits_the_client)
{
    struct rig rig;

    rig_init(&rig, framings[_i].answer);
    if (framings[_i].close)
        rig.stub.on_request = say_and_close;
    ask(&rig, framings[_i].method, framings[_i].version);
    UNTIL(&rig, rig.dones && has(&rig, framings[_i].wanted));
    ck_assert_int_eq(rig.end.result, VWI_UPSTREAM_OK);
    ck_assert(!has(&rig, framings[_i].not_wanted));
    rig_fini(&rig);
}
END_TEST

START_TEST(streamed_answer_goes_piece_by_piece)
{
    struct rig rig;

    rig_init(&rig, OK "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    ask(&rig, "GET", "1.1");
    UNTIL(&rig, has(&rig, "Transfer-Encoding: chunked\r\n\r\n")); /* before the first chunk */
    stub_say(model_conn(&rig), "6\r\ndata: \r\n2\r\n1\n\r\n");
    UNTIL(&rig, has(&rig, "8\r\ndata: 1\n\r\n")); /* what came together goes together */
    stub_say(model_conn(&rig), "1\r\n\n\r\n");
    UNTIL(&rig, has(&rig, "1\r\n\n\r\n"));
    ck_assert_int_eq(rig.dones, 0);
    stub_say(model_conn(&rig), "0\r\n\r\n");
    UNTIL(&rig, rig.dones && has(&rig, "\r\n0\r\n\r\n"));
    ck_assert_uint_eq(rig.end.bytes, 9);
    rig_fini(&rig);
}
END_TEST

START_TEST(answer_without_a_date_gets_one)
{
    struct rig rig;

    rig_init(&rig, _i ? OK CHUNKED "\r\n1\r\nx\r\n" : OK "Content-Length: 1\r\n\r\nx");
    ask(&rig, "GET", "1.1");
    UNTIL(&rig, has(&rig, "x"));
    ck_assert_int_eq(count(&rig, "\r\nDate: "), 1);
    rig_fini(&rig);
}
END_TEST

#define SSE "Content-Type: text/event-stream\r\n"
#define NDJSON "Content-Type: application/x-ndjson; charset=utf-8\r\n"
#define NO_BUFFERING "X-Accel-Buffering: no\r\n"

/* What goes out with its length needs no word about buffering. */
static const struct {
    const char *method, *answer;
    int times;
} bufferings[] = {
    { "GET", OK SSE CHUNKED "\r\n1\r\n:", 1 },
    { "GET", OK CHUNKED "\r\n1\r\n:", 1 },
    { "GET", OK "\r\n:", 1 },
    { "GET", OK CHUNKED "x-accel-Buffering: yes\r\n\r\n1\r\n:", 0 },
    { "GET", OK "Content-Length: 2\r\n\r\n:", 0 },
    { "GET", OK SSE CHUNKED "\r\n2\r\n:\n\r\n0\r\n\r\n", 0 },
    { "HEAD", OK SSE CHUNKED "X: :\r\n\r\n", 0 },
};

START_TEST(streams_ask_proxies_not_to_hold_them_back)
{
    struct rig rig;

    rig_init(&rig, bufferings[_i].answer);
    ask(&rig, bufferings[_i].method, "1.1");
    UNTIL(&rig, has(&rig, "\r\n\r\n") && (bufferings[_i].method[0] == 'H' || has(&rig, "\n:")));
    ck_assert_int_eq(count(&rig, NO_BUFFERING), bufferings[_i].times);
    rig_fini(&rig);
}
END_TEST

static const struct {
    const char *version, *answer, *more; /* more: said once the client has the head */
    const char *tail;
} last_lines[] = {
    { "1.1", OK SSE CHUNKED "\r\n7\r\ndata: a\r\n0\r\n\r\n", NULL, "Content-Length: 8\r\n\r\ndata: a\n" },
    { "1.0", OK SSE CHUNKED "\r\n7\r\ndata: a\r\n0\r\n\r\n", NULL, "Content-Length: 8\r\nConnection: close\r\n\r\ndata: a\n" },
    { "1.1", OK NDJSON CHUNKED "\r\n2\r\n{}\r\n", "0\r\n\r\n", "2\r\n{}\r\n1\r\n\n\r\n0\r\n\r\n" },
    { "1.0", OK NDJSON CHUNKED "\r\n2\r\n{}\r\n", "0\r\n\r\n", "\r\n\r\n{}\n" },
    { "1.1", OK SSE CHUNKED "\r\n9\r\ndata: a\n\n\r\n", "0\r\n\r\n", "data: a\n\n\r\n0\r\n\r\n" },
    { "1.1", OK SSE CHUNKED "\r\n9\r\ndata: a\n\n\r\n0\r\n\r\n", NULL, "Content-Length: 9\r\n\r\ndata: a\n\n" },
    { "1.1", OK SSE CHUNKED "Content-Encoding: gzip\r\n\r\n2\r\nzz\r\n", "0\r\n\r\n", "2\r\nzz\r\n0\r\n\r\n" },
    { "1.1", OK SSE "Content-Length: 7\r\n\r\ndata: a", NULL, "Content-Length: 8\r\n\r\ndata: a\n" },
    { "1.1", OK SSE "Content-Length: 9\r\n\r\ndata: a\n\n", NULL, "Content-Length: 9\r\n\r\ndata: a\n\n" },
    { "1.1", OK SSE "Content-Length: 16\r\n\r\ndata: a\n\n", "data: b", "7\r\ndata: b\r\n1\r\n\n\r\n0\r\n\r\n" },
    { "1.0", OK SSE "Content-Length: 16\r\n\r\ndata: a\n\n", "data: b", "\r\n\r\ndata: a\n\ndata: b\n" },
    { "1.1", OK SSE "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nzz", NULL, "Content-Length: 2\r\n\r\nzz" },
    { "1.1", OK NDJSON "Content-Length: 2\r\n\r\n{}", NULL, "Content-Length: 2\r\n\r\n{}" },
    { "1.1", OK CHUNKED "\r\n2\r\n{}\r\n", "0\r\n\r\n", "2\r\n{}\r\n0\r\n\r\n" },
};

static bool ends_with(struct rig *rig, const char *tail)
{
    size_t len = strlen(tail);

    return rig->got.len >= len && strcmp(rig->got.p + rig->got.len - len, tail) == 0;
}

START_TEST(last_line_of_a_stream_has_its_end)
{
    struct rig rig;

    rig_init(&rig, last_lines[_i].answer);
    ask(&rig, "GET", last_lines[_i].version);
    if (last_lines[_i].more) {
        UNTIL(&rig, has(&rig, "\r\n\r\n"));
        stub_say(model_conn(&rig), last_lines[_i].more);
    }
    UNTIL(&rig, rig.dones && ends_with(&rig, last_lines[_i].tail));
    ck_assert_int_eq(rig.end.result, VWI_UPSTREAM_OK);
    rig_fini(&rig);
}
END_TEST

#define HINTS "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 9\r\n\r\n"

START_TEST(interim_answers_reach_clients_that_know_them)
{
    bool old = _i;
    struct rig rig;

    rig_init(&rig, "HTTP/1.1 100 Continue\r\n\r\n" HINTS "HTTP/1.1 102 Processing\r\n\r\n");
    ask(&rig, "GET", old ? "1.0" : "1.1");
    if (!old) {
        UNTIL(&rig, has(&rig, "HTTP/1.1 102 Processing\r\n\r\n")); /* before the model has more to say */
        ck_assert_str_eq(rig.got.p, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
    } else {
        UNTIL(&rig, rig.stub.requests == 1);
    }
    stub_say(model_conn(&rig), HINTS OK "Content-Length: 2\r\n\r\nok");
    UNTIL(&rig, rig.dones && has(&rig, "\r\n\r\nok"));
    ck_assert_int_eq(count(&rig, "HTTP/1.1 103 "), old ? 0 : 2);
    ck_assert_int_eq(count(&rig, "HTTP/1.1 100 "), 0);
    ck_assert_int_eq(rig.end.status, 200);
    rig_fini(&rig);
}
END_TEST

#define HINTS_MANY 900

static void say_many_hints(struct stub *stub, struct stub_conn *conn)
{
    char *hints = malloc(8500);
    int i;

    (void)stub;
    snprintf(hints, 8500, "HTTP/1.1 103 Early Hints\r\nLink: %08000d\r\n\r\n", 0);
    for (i = 0; i < HINTS_MANY; i++)
        stub_say(conn, hints);
    stub_say(conn, OK "Content-Length: 2\r\n\r\nok");
    free(hints);
}

START_TEST(interim_answers_do_not_pile_up_for_a_client_that_does_not_read)
{
    struct rig rig;

    rig_init(&rig, NULL);
    rig.stub.on_request = say_many_hints;
    event_del(rig.read_ev);
    ask(&rig, "GET", "1.1");
    UNTIL(&rig, rig.ends == 1);
    if (rig.ex)
        ck_assert_uint_lt(vwi_exchange_backlog(rig.ex), 10000);
    event_add(rig.read_ev, NULL);
    UNTIL(&rig, rig.dones);
    ck_assert_int_eq(rig.end.result, VWI_UPSTREAM_OK);
    ck_assert(!rig.gone);
    rig_fini(&rig);
}
END_TEST

START_TEST(protocol_that_is_switched_unasked_is_no_answer)
{
    struct rig rig;

    rig_init(&rig, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nbytes");
    ask(&rig, "GET", "1.1");
    UNTIL(&rig, rig.dones && has(&rig, "failed"));
    ck_assert(!rig.end.head_relayed);
    ck_assert_str_eq(rig.text, "not a valid answer: 101 Switching Protocols, which was not asked for");
    rig_fini(&rig);
}
END_TEST

#define TRAILED(trailers) OK CHUNKED "Trailer: Digest\r\n\r\n3\r\nabc\r\n0\r\n" trailers "\r\n"
#define LATE_BUT_LENGTH \
    "Host: x\r\nContent-Type: a/b\r\nContent-Encoding: gzip\r\nSet-Cookie: a\r\n" \
    "Authorization: b\r\nTrailer: c\r\nConnection: close\r\nIf-Match: d\r\nCache-Control: e\r\nX-Vastworker-Reason: internal\r\n"

static const struct {
    const char *version, *answer, *more, *tail;
} trailed[] = {
    { "1.1", TRAILED("Digest: d\r\nX-Cost:  7 \r\n"), NULL, "\r\n\r\n3\r\nabc\r\n0\r\nDigest: d\r\nX-Cost: 7\r\n\r\n" },
    { "1.0", TRAILED("Digest: d\r\n"), NULL, "Content-Length: 3\r\nConnection: close\r\n\r\nabc" },
    { "1.1", TRAILED("Host: x\r\n"), NULL, "Content-Length: 3\r\n\r\nabc" },
    { "1.1", OK CHUNKED "\r\n3\r\nabc\r\n", "0\r\n", "\r\n3\r\nabc\r\n0\r\nX: 1\r\n\r\n" },
    { "1.1", OK CHUNKED "\r\n0\r\nX: 1\r\n\r\n", NULL, "\r\n\r\n0\r\nX: 1\r\n\r\n" },
    { "1.1", OK SSE CHUNKED "\r\n1\r\n:\r\n0\r\nX: 1\r\n\r\n", NULL, "1\r\n:\r\n1\r\n\n\r\n0\r\nX: 1\r\n\r\n" },
};

START_TEST(trailers_go_behind_the_chunks)
{
    struct rig rig;

    rig_init(&rig, trailed[_i].answer);
    ask(&rig, "GET", trailed[_i].version);
    if (trailed[_i].more) {
        UNTIL(&rig, has(&rig, "abc"));
        stub_say(model_conn(&rig), trailed[_i].more);
        stub_say(model_conn(&rig), LATE_BUT_LENGTH "X: 1\r\n\r\n");
    }
    UNTIL(&rig, rig.dones && ends_with(&rig, trailed[_i].tail));
    ck_assert(!has(&rig, "Trailer"));
    ck_assert_int_eq(rig.end.result, VWI_UPSTREAM_OK);
    rig_fini(&rig);
}
END_TEST

START_TEST(long_trailers_are_dropped)
{
    struct vwi_text text = VWI_TEXT_INIT;
    struct rig rig;

    vwi_text_addf(&text, OK CHUNKED "\r\n3\r\nabc\r\n0\r\nX: 1\r\nY: %0*d\r\n\r\n", 9000, 0);
    rig_init(&rig, text.p);
    ask(&rig, "GET", "1.1");
    UNTIL(&rig, rig.dones && has(&rig, "abc"));
    ck_assert(!has(&rig, "X: 1"));
    ck_assert_int_eq(rig.end.result, VWI_UPSTREAM_OK);
    vwi_text_fini(&text);
    rig_fini(&rig);
}
END_TEST

START_TEST(break_after_the_head_is_a_visible_cut)
{
    struct rig rig;

    rig_init(&rig, OK "Content-Length: 10\r\n\r\nhalf");
    rig.stub.on_request = say_and_close;
    ask(&rig, "GET", "1.1");
    UNTIL(&rig, rig.dones && rig.eof);
    ck_assert(has(&rig, "\r\n\r\nhalf"));
    ck_assert_int_eq(rig.ends, 1);
    ck_assert_int_eq(rig.end.result, VWI_UPSTREAM_RESET);
    ck_assert(rig.end.head_relayed);
    ck_assert_uint_eq(rig.end.bytes, 4);
    rig_fini(&rig);
}
END_TEST

#define ERROR_EVENT(code, message) \
    "\n\nevent: error\ndata: {\"error\":{\"code\":\"" code "\",\"message\":\"" message "\",\"type\":\"server_error\"}}\n\n"
#define RESET_EVENT ERROR_EVENT("model_reset", "closed before the end of the answer")
#define TIMEOUT_EVENT ERROR_EVENT("model_timeout", "no byte for 0.2 s")

/* The error is an event of its own, whatever was cut off before it. */
static const struct {
    const char *version, *answer, *begin, *tail;
    bool hangs;
} broken_streams[] = {
    { "1.1", OK "content-type: Text/Event-Stream; charset=utf-8\r\n" CHUNKED "\r\n4\r\ndata\r\n", "4\r\ndata\r\n",
      RESET_EVENT "\r\n0\r\n\r\n", false },
    { "1.1", OK SSE CHUNKED "\r\n4\r\ndata\r\n", "4\r\ndata\r\n", TIMEOUT_EVENT "\r\n0\r\n\r\n", true },
    { "1.1", OK SSE CHUNKED "\r\n9\r\ndata: a\n\n\r\n", "data: a\n\n\r\n", RESET_EVENT "\r\n0\r\n\r\n", false },
    { "1.1", OK SSE CHUNKED "\r\n", "\r\n\r\n", RESET_EVENT "\r\n0\r\n\r\n", false },
    { "1.0", OK SSE CHUNKED "\r\n4\r\ndata\r\n", "\r\n\r\ndata\n\n", RESET_EVENT, false },
    { "1.1", OK SSE "Content-Length: 100\r\n\r\ndata: 1\n", "8\r\ndata: 1\n\r\n", RESET_EVENT "\r\n0\r\n\r\n", false },
};

START_TEST(event_stream_that_breaks_ends_with_an_error_event)
{
    struct rig rig;

    rig_init(&rig, broken_streams[_i].answer);
    if (broken_streams[_i].hangs)
        rig.model.timeouts.idle_s = 0.2;
    else
        rig.stub.on_request = say_and_close;
    ask(&rig, "GET", broken_streams[_i].version);
    UNTIL(&rig, rig.dones && ends_with(&rig, broken_streams[_i].tail));
    ck_assert(has(&rig, broken_streams[_i].begin));
    ck_assert_int_eq(rig.end.result, broken_streams[_i].hangs ? VWI_UPSTREAM_TIMEOUT : VWI_UPSTREAM_RESET);
    ck_assert(!rig.gone);
    rig_fini(&rig);
}
END_TEST

/* Nothing can be said behind a coded body, half a JSON line, or less than was announced. */
static const char *const cut_streams[] = {
    OK SSE CHUNKED "Content-Encoding: gzip\r\n\r\n2\r\nzz\r\n",
    OK NDJSON CHUNKED "\r\n2\r\n{}\r\n",
    OK SSE "Content-Encoding: gzip\r\nContent-Length: 100\r\n\r\nzz",
    OK NDJSON "Content-Length: 100\r\n\r\n{}\n",
};

START_TEST(other_streams_that_break_are_cut)
{
    struct rig rig;

    rig_init(&rig, cut_streams[_i]);
    rig.stub.on_request = say_and_close;
    ask(&rig, "GET", "1.1");
    UNTIL(&rig, rig.dones && rig.eof);
    ck_assert(rig.end.head_relayed);
    ck_assert(!has(&rig, "event: error") && !has(&rig, "\r\n0\r\n\r\n"));
    rig_fini(&rig);
}
END_TEST

START_TEST(failure_before_the_head_is_left_to_the_user)
{
    struct rig rig;

    rig_init(&rig, _i ? OK "Content-Le" : NULL);
    rig.stub.on_request = say_and_close;
    if (_i == 2)
        rig.answer = OK CHUNKED "\r\nnonsense\r\n";
    ask(&rig, "POST", "1.1");
    UNTIL(&rig, rig.dones && has(&rig, "failed"));
    ck_assert(has(&rig, "HTTP/1.1 502 "));
    ck_assert(!rig.end.head_relayed);
    ck_assert_int_eq(rig.end.result, VWI_UPSTREAM_RESET);
    rig_fini(&rig);
}
END_TEST

START_TEST(veto_stops_the_relay_and_the_user_replies)
{
    struct rig rig;

    rig_init(&rig, OK "Content-Length: 10\r\n\r\nhalf");
    rig.veto = true;
    ask(&rig, "GET", "1.1");
    UNTIL(&rig, rig.dones && has(&rig, "vetoed") && rig.stub.left == 1);
    ck_assert_int_eq(rig.ends, 0);
    ck_assert(!has(&rig, "half"));
    rig_fini(&rig);
}
END_TEST

START_TEST(client_that_leaves_frees_the_model_at_once)
{
    struct rig rig;

    rig_init(&rig, _i ? OK CHUNKED "\r\n1\r\nx\r\n" : NULL);
    ask(&rig, "POST", "1.1");
    UNTIL(&rig, rig.stub.requests == 1 && (!_i || has(&rig, "\r\n\r\n")));
    event_free(rig.read_ev);
    rig.read_ev = NULL;
    close(rig.fd);
    rig.fd = -1;
    UNTIL(&rig, rig.stub.left == 1);
    ck_assert_int_eq(rig.dones, 1);
    ck_assert(rig.gone);
    ck_assert_int_eq(rig.ends, 0);
    rig_fini(&rig);
}
END_TEST

#define BIG_BYTES ((size_t)24 << 20)

static void say_big(struct stub *stub, struct stub_conn *conn)
{
    char *big = calloc(1, BIG_BYTES), head[80];

    (void)stub;
    snprintf(head, sizeof head, OK "Content-Length: %zu\r\n\r\n", BIG_BYTES);
    stub_say(conn, head);
    stub_say_bytes(conn, big, BIG_BYTES);
    free(big);
}

START_TEST(slow_client_holds_the_model_back)
{
    struct rig rig;
    size_t head;

    rig_init(&rig, NULL);
    rig.stub.on_request = say_big;
    event_del(rig.read_ev); /* the client does not read */
    ask(&rig, "GET", "1.1");
    UNTIL(&rig, rig.ex && vwi_exchange_backlog(rig.ex) >= VWI_EXCHANGE_HIGH_BYTES);
    event_add(rig.read_ev, NULL);
    while (!rig.dones) { /* Invariant: never more than the high mark and one read */
        if (rig.ex && vwi_exchange_backlog(rig.ex) > rig.most_backlog)
            rig.most_backlog = vwi_exchange_backlog(rig.ex);
        vwi_loop_turn(rig.loop, true);
    }
    ck_assert_uint_le(rig.most_backlog, VWI_EXCHANGE_HIGH_BYTES + 64 * 1024);
    head = (size_t)(strstr(rig.got.p, "\r\n\r\n") + 4 - rig.got.p);
    UNTIL(&rig, rig.bytes >= head + BIG_BYTES);
    ck_assert_uint_eq(rig.bytes, head + BIG_BYTES);
    ck_assert_int_eq(rig.end.result, VWI_UPSTREAM_OK);
    ck_assert_uint_eq(rig.end.bytes, BIG_BYTES);
    rig_fini(&rig);
}
END_TEST

START_TEST(no_memory_for_the_head_is_left_to_the_user)
{
    struct rig rig;

    rig_init(&rig, OK "Content-Length: 2\r\n\r\nok");
    rig.forget = true;
    ask(&rig, "GET", "1.1");
    UNTIL(&rig, rig.dones && has(&rig, "failed"));
    ck_assert(!rig.end.head_relayed);
    ck_assert_str_eq(rig.text, "out of memory");
    rig_fini(&rig);
}
END_TEST

START_TEST(start_survives_each_failed_allocation)
{
    bool ok = false;
    int nth;

    for (nth = 0; !ok; nth++) {
        struct rig rig;

        ck_assert_int_lt(nth, 20);
        rig_init(&rig, OK "Content-Length: 2\r\n\r\nok");
        rig.fail_nth = nth;
        ask(&rig, "GET", "1.1");
        UNTIL(&rig, rig.dones && (has(&rig, "failed") || has(&rig, "\r\n\r\nok")));
        ok = has(&rig, "\r\n\r\nok");
        rig_fini(&rig);
    }
    ck_assert_int_gt(nth, 3);
}
END_TEST

START_TEST(next_request_on_the_same_connections_is_relayed)
{
    struct rig rig;
    int i;

    rig_init(&rig, OK "Content-Length: 2\r\n\r\nok");
    for (i = 1; i <= 3; i++) {
        ask(&rig, "POST", "1.1");
        UNTIL(&rig, rig.dones == i && count(&rig, "\r\n\r\nok") == i);
    }
    ck_assert_int_eq(rig.stub.accepted, 1);
    rig_fini(&rig);
}
END_TEST

Suite *relay_suite(void);

Suite *relay_suite(void)
{
    Suite *s = suite_create("relay");
    TCase *tc = tcase_create("relay");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, answer_is_relayed_without_hop_by_hop_headers);
    tcase_add_loop_test(tc, framing_fits_the_client, 0, (int)VWI_ARRAY_LEN(framings));
    tcase_add_test(tc, streamed_answer_goes_piece_by_piece);
    tcase_add_test(tc, break_after_the_head_is_a_visible_cut);
    tcase_add_loop_test(tc, answer_without_a_date_gets_one, 0, 2);
    tcase_add_loop_test(tc, streams_ask_proxies_not_to_hold_them_back, 0, (int)VWI_ARRAY_LEN(bufferings));
    tcase_add_loop_test(tc, last_line_of_a_stream_has_its_end, 0, (int)VWI_ARRAY_LEN(last_lines));
    tcase_add_loop_test(tc, interim_answers_reach_clients_that_know_them, 0, 2);
    tcase_add_test(tc, interim_answers_do_not_pile_up_for_a_client_that_does_not_read);
    tcase_add_test(tc, protocol_that_is_switched_unasked_is_no_answer);
    tcase_add_loop_test(tc, trailers_go_behind_the_chunks, 0, (int)VWI_ARRAY_LEN(trailed));
    tcase_add_test(tc, long_trailers_are_dropped);
    tcase_add_loop_test(tc, event_stream_that_breaks_ends_with_an_error_event, 0, (int)VWI_ARRAY_LEN(broken_streams));
    tcase_add_loop_test(tc, other_streams_that_break_are_cut, 0, (int)VWI_ARRAY_LEN(cut_streams));
    tcase_add_loop_test(tc, failure_before_the_head_is_left_to_the_user, 0, 3);
    tcase_add_test(tc, veto_stops_the_relay_and_the_user_replies);
    tcase_add_loop_test(tc, client_that_leaves_frees_the_model_at_once, 0, 2);
    tcase_add_test(tc, slow_client_holds_the_model_back);
    tcase_add_test(tc, no_memory_for_the_head_is_left_to_the_user);
    tcase_add_test(tc, start_survives_each_failed_allocation);
    tcase_add_test(tc, next_request_on_the_same_connections_is_relayed);
    suite_add_tcase(s, tc);
    return s;
}
