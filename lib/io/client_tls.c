/*
 * What is different about a client connection with TLS. The rest of the connection does not know: it reads and sends as ever, and asks
 * here only where c->tls is set.
 * The odd thing: before the handshake is over nothing can be sent, so "armed" then means that the write event will be added.
 */
#include <errno.h>

#include "base/vwi.h"
#include "io/client.h"

/* In the next turn of the loop, so that others get theirs. A timeout of the read event itself would take it out of epoll. */
static void read_soon(struct vwi_client *c)
{
    if (vwi_list_empty(&c->front->again))
        vwi_timer_start(&c->front->next_turn, 0);
    vwi_list_del(&c->again_node);
    vwi_list_add(&c->front->again, &c->again_node);
}

void vwi_client_next_turn(void *arg)
{
    struct vwi_front *front = arg;

    while (!vwi_list_empty(&front->again)) {
        struct vwi_client *c = VWI_CONTAINER(front->again.next, struct vwi_client, again_node);

        vwi_list_del(&c->again_node);
        if (vwi_list_empty(&c->paused_node))
            event_active(&c->rd, EV_READ, 1);
    }
}

void vwi_client_look_again(struct vwi_client *c)
{
    if (c->state != VWI_CLIENT_CLOSED && c->tls && vwi_tls_link_more(c->tls) && vwi_list_empty(&c->paused_node))
        read_soon(c);
}

bool vwi_client_arm(struct vwi_client *c)
{
    if ((!c->tls || c->secure) && event_add(&c->wr, NULL) != 0)
        return false;
    c->armed = true;
    return true;
}

/* What was queued meanwhile may go. */
static void let_go(struct vwi_client *c)
{
    if (c->armed && event_add(&c->wr, NULL) != 0)
        c->lost = true;
}

/* Answered in plain text, once its request can be told from a handshake. */
static void refuse_plain(struct vwi_client *c)
{
    vwi_tls_link_destroy(c->tls);
    c->tls = NULL;
    if (c->state == VWI_CLIENT_LINGER)
        let_go(c);
    else
        vwi_client_refuse(c, 400, "bad_request", "this port speaks HTTPS, and a plain HTTP request came; use https:// in the url");
}

/* A full socket: reading on would only find the same again. */
static void wait_to_write(struct vwi_client *c)
{
    event_del(&c->rd);
    vwi_list_del(&c->paused_node);
    vwi_list_add(&c->front->paused, &c->paused_node); /* looked at by the tick, as all that are not read */
    if (event_add(&c->wr, NULL) != 0)
        c->lost = true;
}

bool vwi_client_handshake(struct vwi_client *c)
{
    switch (vwi_tls_link_handshake(c->tls)) {
    case VWI_TLS_UP:
        c->secure = true;
        let_go(c);
        return true;
    case VWI_TLS_PLAIN:
        refuse_plain(c);
        return true;
    case VWI_TLS_WANTS_READ:
        break;
    case VWI_TLS_LATER:
        read_soon(c);
        break;
    case VWI_TLS_WANTS_WRITE:
        wait_to_write(c);
        break;
    case VWI_TLS_BROKEN:
        vwi_log_debug(c->front->log, "client %s fd %d: no TLS handshake: %s", c->peer, c->fd, vwi_tls_link_problem(c->tls));
        c->gone = true;
        break;
    }
    return false;
}

bool vwi_client_handshake_write(struct vwi_client *c)
{
    if (c->secure)
        return false;
    event_del(&c->wr);
    vwi_list_del(&c->paused_node);
    if (event_add(&c->rd, NULL) != 0)
        c->lost = true;
    read_soon(c);
    return true;
}

ssize_t vwi_client_send_tls(struct vwi_client *c, const struct iovec *parts, int count)
{
    if (c->secure)
        return vwi_tls_link_send(c->tls, parts, count);
    errno = EAGAIN;
    return -1;
}

bool vwi_client_shutdown(struct vwi_client *c)
{
    if (c->tls && !vwi_tls_link_end(c->tls) && (c->armed || vwi_client_arm(c)))
        return false;
    shutdown(c->fd, SHUT_WR);
    return true;
}

/* A reply that was broken off must not look as if it had ended. */
void vwi_client_end_tls(struct vwi_client *c)
{
    bool within = c->state == VWI_CLIENT_BUSY || c->state == VWI_CLIENT_BLOCKED;

    if (!within && !c->lost && !c->shut && !vwi_client_backlog(c))
        (void)vwi_tls_link_end(c->tls);
    vwi_list_del(&c->again_node);
    vwi_tls_link_destroy(c->tls);
    c->tls = NULL;
}
