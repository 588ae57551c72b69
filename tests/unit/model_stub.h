/* A model server for unit tests, on the loop of the test: takes whole requests, says what the test wants, byte for byte. */
#ifndef VWT_MODEL_STUB_H
#define VWT_MODEL_STUB_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/text.h"
#include "io/loop.h"

struct stub_conn {
    struct stub *stub;
    struct vwi_list node;
    struct event *read_ev, *write_ev;
    int fd;
    int requests;        /* on this connection */
    struct vwi_text in;  /* the request so far */
    struct vwi_text out; /* not yet taken by the kernel */
    size_t out_at;
    bool head_told;
};

struct stub {
    struct vwi_loop *loop;
    struct event *listener;
    int fd;
    uint16_t port;
    struct vwi_list conns;
    int accepted, requests, left; /* left: connections the other side closed */
    size_t received;              /* bytes of all requests */
    bool at_head;                 /* on_request as soon as the head is there */
    struct vwi_text last;         /* the last request */
    void *user;
    void (*on_request)(struct stub *stub, struct stub_conn *conn);
};

void stub_init(struct stub *stub, struct vwi_loop *loop, const char *unix_path, uint16_t port, int backlog);
void stub_fini(struct stub *stub);
void stub_deafen(struct stub *stub); /* stop accepting */
void stub_accept(struct stub *stub); /* again */

void stub_say(struct stub_conn *conn, const char *text);
void stub_say_bytes(struct stub_conn *conn, const char *data, size_t len);
void stub_close(struct stub_conn *conn); /* FIN, after what the kernel has taken */
void stub_reset(struct stub_conn *conn); /* RST */
void stub_close_all(struct stub *stub);

#endif
