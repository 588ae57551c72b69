/* Requests are read by length only; a test that wants nonsense says it itself. */
#include "model_stub.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/vwi.h"

static void drop(struct stub_conn *conn)
{
    vwi_list_del(&conn->node);
    event_free(conn->read_ev);
    event_free(conn->write_ev);
    close(conn->fd);
    vwi_text_fini(&conn->in);
    vwi_text_fini(&conn->out);
    free(conn);
}

void stub_close(struct stub_conn *conn) { drop(conn); }

void stub_reset(struct stub_conn *conn)
{
    struct linger linger = { 1, 0 };

    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    drop(conn);
}

void stub_close_all(struct stub *stub)
{
    while (!vwi_list_empty(&stub->conns))
        drop(VWI_CONTAINER(stub->conns.next, struct stub_conn, node));
}

static void flush(struct stub_conn *conn)
{
    while (conn->out_at < conn->out.len) {
        ssize_t n = send(conn->fd, conn->out.p + conn->out_at, conn->out.len - conn->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN) {
            event_add(conn->write_ev, NULL);
            return;
        }
        if (n < 0)
            return;
        conn->out_at += (size_t)n;
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    flush(arg);
}

void stub_say_bytes(struct stub_conn *conn, const char *data, size_t len)
{
    vwi_text_add(&conn->out, data, len);
    flush(conn);
}

void stub_say(struct stub_conn *conn, const char *text) { stub_say_bytes(conn, text, strlen(text)); }

/* Bytes of the request that is wanted whole, 0 while its head is not there. */
static size_t request_size(const struct vwi_text *in)
{
    const char *end = in->p ? strstr(in->p, "\r\n\r\n") : NULL, *length;

    if (!end)
        return 0;
    length = strstr(in->p, "Content-Length: ");
    return (size_t)(end + 4 - in->p) + (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct stub_conn *conn = arg;
    struct stub *stub = conn->stub;
    static const size_t most = 1 << 20;
    ssize_t n;
    size_t size;

    (void)what;
    vwi_text_reserve(&conn->in, most);
    n = recv(fd, conn->in.p + conn->in.len, most, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        stub->left++;
        drop(conn);
        return;
    }
    conn->in.len += (size_t)n;
    conn->in.p[conn->in.len] = '\0';
    stub->received += (size_t)n;
    size = request_size(&conn->in);
    if (!size || conn->head_told || (!stub->at_head && conn->in.len < size))
        return;
    ck_assert_uint_le(conn->in.len, size); /* one at a time: nobody pipelines to a model */
    conn->head_told = stub->at_head;
    vwi_text_clear(&stub->last);
    vwi_text_add(&stub->last, conn->in.p, conn->in.len);
    if (!stub->at_head)
        vwi_text_clear(&conn->in);
    stub->requests++;
    conn->requests++;
    stub->on_request(stub, conn);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct stub *stub = arg;
    struct stub_conn *conn = calloc(1, sizeof *conn);
    struct event_base *base = vwi_loop_base(stub->loop);
    int small = 64 * 1024;

    (void)what;
    conn->stub = stub;
    conn->fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    ck_assert_int_ge(conn->fd, 0);
    setsockopt(conn->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    conn->read_ev = event_new(base, conn->fd, EV_READ | EV_PERSIST, on_readable, conn);
    conn->write_ev = event_new(base, conn->fd, EV_WRITE, on_writable, conn);
    event_add(conn->read_ev, NULL);
    vwi_list_add(&stub->conns, &conn->node);
    stub->accepted++;
}

void stub_deafen(struct stub *stub) { event_del(stub->listener); }
void stub_accept(struct stub *stub) { event_add(stub->listener, NULL); }

void stub_init(struct stub *stub, struct vwi_loop *loop, const char *unix_path, uint16_t port, int backlog)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    socklen_t len = sizeof in;
    int one = 1;

    memset(stub, 0, sizeof *stub);
    vwi_list_init(&stub->conns);
    stub->loop = loop;
    stub->fd = socket(unix_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (unix_path) {
        memcpy(un.sun_path, unix_path, strlen(unix_path) + 1);
        ck_assert_int_eq(bind(stub->fd, (struct sockaddr *)&un, sizeof un), 0);
    } else {
        setsockopt(stub->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        ck_assert_int_eq(bind(stub->fd, (struct sockaddr *)&in, sizeof in), 0);
        getsockname(stub->fd, (struct sockaddr *)&in, &len);
        stub->port = ntohs(in.sin_port);
    }
    ck_assert_int_eq(listen(stub->fd, backlog), 0);
    stub->listener = event_new(vwi_loop_base(loop), stub->fd, EV_READ | EV_PERSIST, on_accept, stub);
    event_add(stub->listener, NULL);
}

void stub_fini(struct stub *stub)
{
    if (!stub->listener)
        return;
    stub_close_all(stub);
    event_free(stub->listener);
    stub->listener = NULL;
    close(stub->fd);
    vwi_text_fini(&stub->last);
}
