/*
 * One client connection and the exchange on it, and the front they belong to: private to front, client and exchange.
 * The loop calls a connection's own event callbacks; everything that may call the user runs from vwi_client_settle(), so
 * the exchange calls never call back: outside of those callbacks they only ask for a settle at the end of the turn.
 */
#ifndef VWI_IO_CLIENT_H
#define VWI_IO_CLIENT_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/list.h"
#include "io/front.h"
#include "io/http1.h"
#include "io/request_id.h"
#include "io/tls_link.h"

#define VWI_CLIENT_SCRATCH_BYTES (64u * 1024)

enum vwi_client_state {
    VWI_CLIENT_IDLE,    /* between requests, no byte of the next one */
    VWI_CLIENT_HEAD,    /* fresh, or within a head */
    VWI_CLIENT_BODY,    /* within a body that is being read, the exchange being with the user or not */
    VWI_CLIENT_BUSY,    /* the exchange is with the user; all bytes so far went to the kernel */
    VWI_CLIENT_BLOCKED, /* the same, but the kernel refused bytes */
    VWI_CLIENT_LINGER,  /* reply sent, waiting for the client to read it and leave */
    VWI_CLIENT_CLOSED,  /* freed at the end of the turn */
    VWI_CLIENT_STATES
};

enum vwi_exchange_phase {
    VWI_EXCHANGE_NONE,  /* no request, or on_done was given */
    VWI_EXCHANGE_OPEN,  /* no reply begun */
    VWI_EXCHANGE_BEGUN, /* head given */
    VWI_EXCHANGE_ENDED  /* nothing more will come from the user */
};

struct vwi_exchange {
    const struct vwi_exchange_events *events; /* NULL: not bound */
    void *user;
    enum vwi_exchange_phase phase;
    int64_t left;     /* announced and not yet written; -1: length unknown */
    bool mute;        /* the reply has no body: HEAD, 204, 304 */
    bool chunked, keep_alive;
    bool dated;       /* the user's headers have a Date */
    bool was_high;    /* backlog was at the high mark and not at the low one since */
    bool drained;     /* on_drained is due */
    bool cut;         /* aborted by the user */
    bool reading;     /* the user wants more of the body */
    bool fresh;       /* some of it, or its end, has arrived since the last on_body */
};

struct vwi_client {
    struct vwi_exchange ex;
    struct vwi_front *front;
    struct vwi_list node;        /* in front->states[state] */
    struct vwi_list paused_node; /* in front->paused while not reading */
    struct vwi_list again_node;  /* in front->again: to be read without the kernel's word */
    int64_t since_ms;            /* when the state was entered or last renewed; only where it has a timeout */
    struct event rd, wr;
    struct vwi_burial later;
    int fd;
    enum vwi_client_state state;
    bool inside, later_pending;  /* settling now; asked for at the end of the turn */
    bool armed;                  /* wr is added: bytes may only be queued */
    bool gone, lost, shut;       /* FIN or RST seen; bytes could not be sent; our side is shut down */
    struct vwi_http1 http;
    char *out;                   /* bytes the kernel has not taken */
    size_t out_at, out_len, out_cap;
    size_t discarded;            /* while lingering */
    struct vwi_tls_link *tls;    /* NULL: plain */
    bool secure;                 /* its handshake is over */
    char peer[46];
    struct vwi_span id;          /* of the present request; empty: not named yet. Lies in its head or in made_id */
    char made_id[VWI_REQUEST_ID_MADE];
    struct vwi_exchange_figures figures; /* of the present request */
};

struct vwi_front {
    struct vwi_loop *loop;
    const struct vwi_log *log;
    struct vwi_front_events events;
    void *arg;
    struct vwi_list states[VWI_CLIENT_STATES]; /* oldest first */
    int64_t timeout_ms[VWI_CLIENT_STATES];     /* 0: none */
    struct vwi_list paused;
    struct vwi_http1_budget budget;
    struct vwi_http1_conf http;
    struct vwi_front_stats stats;
    struct vwi_text head; /* the reply head being built */
    time_t date_s;
    char date[96];        /* "Date: ...\r\n" of date_s */
    char *scratch;
    struct vwi_tls *tls;  /* of new connections; NULL: they are plain */
    struct vwi_list again;
    struct vwi_timer next_turn;
    struct vwi_request_ids ids;
    struct event listener;
    int listen_fd;
    uint16_t port;
    uint32_t max_connections;
    struct vwi_timer tick;
    int64_t tick_ms;
    bool ticking, stopping, accept_paused, accept_warned, held, destroyed;
    struct vwi_burial burial;
};

/* client.c */
bool vwi_client_open(struct vwi_front *front, int fd, const char *peer); /* fd: transferred; false: closed again */
void vwi_client_close(struct vwi_client *c);  /* at once; the struct lives until the end of the turn */
void vwi_client_go(struct vwi_client *c, enum vwi_client_state to);
void vwi_client_settle(struct vwi_client *c); /* does all that is due; may call the user */
void vwi_client_touch(struct vwi_client *c);  /* settle soon, unless settling now */
void vwi_client_retire(struct vwi_client *c); /* the front is leaving: closes it where no request is under way or waits to be read */
void vwi_client_expire(struct vwi_client *c); /* its state's time is over */
void vwi_client_refuse(struct vwi_client *c, int status, const char *reason, const char *message);
void vwi_client_end_exchange(struct vwi_client *c); /* on_done, if one is due */
void vwi_client_read_body(struct vwi_client *c);    /* reads on or stops, as the exchange's user wants it now */

void vwi_client_name_request(struct vwi_client *c); /* once its head is there, or will never be */

/* client_send.c */
enum { VWI_LENGTH_NONE = -2, VWI_LENGTH_CHUNKED = -1 };
struct vwi_span vwi_client_build_head(struct vwi_client *c, int status, const char *headers, int64_t length, bool keep_alive);
void vwi_client_send(struct vwi_client *c, const struct iovec *parts, int count); /* at most 3; what is held goes first */
void vwi_client_hold(struct vwi_client *c, const char *data, size_t len);         /* goes out with the next send or settle */
void vwi_client_flush(struct vwi_client *c);
size_t vwi_client_backlog(const struct vwi_client *c);
const char *vwi_client_phrase(int status); /* "" for one that is not known */

/* client_tls.c: what differs where c->tls is set. */
bool vwi_client_handshake(struct vwi_client *c);       /* goes on with it; true: read on */
bool vwi_client_handshake_write(struct vwi_client *c); /* the socket is writable. False: there was no handshake under way */
void vwi_client_next_turn(void *front);                /* reads those in front->again */
void vwi_client_look_again(struct vwi_client *c);      /* bytes may have come with others that the kernel will not announce */
ssize_t vwi_client_send_tls(struct vwi_client *c, const struct iovec *parts, int count);
bool vwi_client_arm(struct vwi_client *c);             /* watch for room to write; during a handshake, once it is over */
bool vwi_client_shutdown(struct vwi_client *c);        /* our side is done; false: there is no room to say so, try again */
void vwi_client_end_tls(struct vwi_client *c);         /* before the socket is closed */

static inline ssize_t vwi_client_recv(struct vwi_client *c, void *buf, size_t len)
{
    return c->tls ? vwi_tls_link_recv(c->tls, buf, len) : recv(c->fd, buf, len, MSG_DONTWAIT);
}

#endif
