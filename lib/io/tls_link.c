/*
 * The odd things: OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE, and a guest library may not ask its host to
 * ignore that; so sockets are behind a BIO of ours, which also tells when the kernel has no more. And a handshake costs up to a
 * millisecond of signing, so a turn of the loop has room for a few and the others wait for the next.
 */
#include "io/tls_link.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "base/mem.h"
#include "io/tls_parts.h"

#define HANDSHAKES_PER_TURN 8
#define READS_PER_TURN 32 /* records, which may hold one byte each */

struct vwi_tls_link {
    struct vwi_tls *tls;
    SSL *ssl;
    int fd;
    bool seen;    /* the first byte was looked at */
    bool drained; /* the kernel had no more at the last look */
    bool more;    /* ... but we have */
    bool ended;   /* the peer has said so */
    bool owes;    /* a record is with the kernel in part */
    bool broken;
    const char *problem;
};

/* ---- sockets, as OpenSSL sees them ---- */

static int bio_write(BIO *bio, const char *data, int len)
{
    const struct vwi_tls_link *link = BIO_get_data(bio);
    ssize_t n;

    BIO_clear_retry_flags(bio);
    do {
        n = send(link->fd, data, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        BIO_set_retry_write(bio);
    return (int)n;
}

static int bio_read(BIO *bio, char *data, int len)
{
    struct vwi_tls_link *link = BIO_get_data(bio);
    ssize_t n;

    BIO_clear_retry_flags(bio);
    do {
        n = recv(link->fd, data, (size_t)len, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        link->drained = true;
        BIO_set_retry_read(bio);
    }
    return (int)n;
}

static long bio_ctrl(BIO *bio, int what, long number, void *p)
{
    (void)bio, (void)number, (void)p;
    return what == BIO_CTRL_FLUSH; /* nothing is kept back; anything else it does not know */
}

BIO_METHOD *vwi_tls_link_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "vastworker socket");

    if (method && BIO_meth_set_write(method, bio_write) == 1 && BIO_meth_set_read(method, bio_read) == 1 &&
        BIO_meth_set_ctrl(method, bio_ctrl) == 1)
        return method;
    BIO_meth_free(method);
    return NULL;
}

struct vwi_tls_link *vwi_tls_link_create(struct vwi_tls *tls, int fd)
{
    struct vwi_tls_link *link = vwi_zalloc(sizeof *link);
    BIO *bio = NULL;

    if (!link)
        return NULL;
    link->tls = tls;
    link->fd = fd;
    link->ssl = SSL_new(tls->ctx);
    bio = link->ssl ? BIO_new(tls->method) : NULL;
    if (!bio) {
        vwi_tls_link_destroy(link);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_data(bio, link);
    BIO_set_init(bio, 1);
    SSL_set_bio(link->ssl, bio, bio);
    SSL_set_accept_state(link->ssl);
    return link;
}

void vwi_tls_link_destroy(struct vwi_tls_link *link)
{
    if (!link)
        return;
    SSL_free(link->ssl);
    vwi_free(link);
}

/* ---- what went wrong ---- */

static const char *queued_problem(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return reason ? reason : "the connection ended";
}

/* A call came back with rc <= 0: SSL_ERROR_WANT_READ, _WRITE or _ZERO_RETURN, else it is broken. */
static int ask_why(struct vwi_tls_link *link, int rc)
{
    int why = SSL_get_error(link->ssl, rc);

    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return why;
    if (why == SSL_ERROR_ZERO_RETURN) {
        link->ended = true;
        return why;
    }
    link->broken = true;
    link->problem = queued_problem();
    return why;
}

/* ---- handshake ---- */

static void on_turn_over(void *arg)
{
    struct vwi_tls *tls = arg;

    tls->counting = false;
    tls->busy = 0;
}

static bool has_turn(struct vwi_tls *tls)
{
    if (!tls->counting)
        vwi_loop_bury(tls->loop, &tls->turn, on_turn_over, tls);
    tls->counting = true;
    return ++tls->busy <= HANDSHAKES_PER_TURN;
}

/* A record begins with a type from 20 to 23 (RFC 8446 5.1), a request line with a letter (RFC 9110 9.1). */
static enum vwi_tls_step look_at_first_byte(struct vwi_tls_link *link)
{
    char first;
    ssize_t n = recv(link->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return VWI_TLS_WANTS_READ;
    if (n <= 0) {
        link->broken = true;
        link->problem = "the connection ended";
        return VWI_TLS_BROKEN;
    }
    if ((first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z'))
        return VWI_TLS_PLAIN;
    link->seen = true;
    return VWI_TLS_UP;
}

enum vwi_tls_step vwi_tls_link_handshake(struct vwi_tls_link *link)
{
    enum vwi_tls_step step = link->seen ? VWI_TLS_UP : look_at_first_byte(link);
    int rc;

    if (step != VWI_TLS_UP)
        return step;
    if (!has_turn(link->tls))
        return VWI_TLS_LATER;
    ERR_clear_error();
    link->drained = false;
    rc = SSL_do_handshake(link->ssl);
    if (rc == 1)
        return VWI_TLS_UP;
    switch (ask_why(link, rc)) {
    case SSL_ERROR_WANT_READ:
        return link->drained ? VWI_TLS_WANTS_READ : VWI_TLS_LATER;
    case SSL_ERROR_WANT_WRITE:
        return VWI_TLS_WANTS_WRITE;
    default:
        return VWI_TLS_BROKEN;
    }
}

const char *vwi_tls_link_problem(const struct vwi_tls_link *link) { return link->problem ? link->problem : "it is well"; }

/* ---- bytes ---- */

static ssize_t no_bytes(const struct vwi_tls_link *link)
{
    if (link->broken || !link->ended) {
        errno = link->broken ? ECONNRESET : EAGAIN;
        return -1;
    }
    return 0;
}

/* As many records as are there and fit. OpenSSL comes back after each message that is not for us, so that no peer can keep it busy. */
ssize_t vwi_tls_link_recv(struct vwi_tls_link *link, void *buf, size_t len)
{
    size_t total = 0, n;
    int i;

    link->more = false;
    if (link->broken || link->ended)
        return no_bytes(link);
    for (i = 0; i < READS_PER_TURN && total < len; i++) {
        ERR_clear_error();
        link->drained = false;
        n = 0;
        if (SSL_read_ex(link->ssl, (char *)buf + total, len - total, &n) == 1)
            total += n;
        else if (ask_why(link, 0) != SSL_ERROR_WANT_READ || link->drained)
            break;
        if (!SSL_has_pending(link->ssl))
            break;
    }
    link->more = link->ended || link->broken || (!link->drained && SSL_has_pending(link->ssl));
    return total ? (ssize_t)total : no_bytes(link);
}

bool vwi_tls_link_more(const struct vwi_tls_link *link) { return link->more; }
bool vwi_tls_link_owes(const struct vwi_tls_link *link) { return link->owes; }

/* The next record's worth of parts from `done` on, copied together only where it comes from several. */
static size_t gather(const struct vwi_tls_link *link, const struct iovec *parts, int count, size_t done, const char **ret)
{
    size_t len = 0;
    int i;

    *ret = link->tls->scratch;
    for (i = 0; i < count && len < VWI_TLS_RECORD_BYTES; i++) {
        size_t left = parts[i].iov_len, room = VWI_TLS_RECORD_BYTES - len;
        const char *from = parts[i].iov_base;

        if (done >= left) {
            done -= left;
            continue;
        }
        from += done;
        left -= done;
        done = 0;
        if (len == 0 && (left >= room || i + 1 == count)) {
            *ret = from;
            return left < room ? left : room;
        }
        left = left < room ? left : room;
        memcpy(link->tls->scratch + len, from, left);
        len += left;
    }
    return len;
}

ssize_t vwi_tls_link_send(struct vwi_tls_link *link, const struct iovec *parts, int count)
{
    size_t done = 0, len, n;
    const char *from;

    while (!link->broken && (len = gather(link, parts, count, done, &from)) > 0) {
        ERR_clear_error();
        n = 0;
        link->owes = SSL_write_ex(link->ssl, from, len, &n) != 1;
        if (link->owes) {
            if (ask_why(link, 0) == SSL_ERROR_WANT_WRITE)
                break;
            link->broken = true; /* wants to read: we do not renegotiate */
        }
        done += n;
    }
    if (done || !link->broken) {
        errno = EAGAIN;
        return done ? (ssize_t)done : -1;
    }
    errno = ECONNRESET;
    return -1;
}

bool vwi_tls_link_end(struct vwi_tls_link *link)
{
    int rc;

    if (link->broken || !SSL_is_init_finished(link->ssl))
        return true;
    ERR_clear_error();
    rc = SSL_shutdown(link->ssl);
    return rc >= 0 || ask_why(link, rc) != SSL_ERROR_WANT_WRITE;
}
