/* A front with one user and blocking-looking clients, all in one thread: a client that waits turns the loop. */
#ifndef TESTS_UNIT_SITE_H
#define TESTS_UNIT_SITE_H

#include <check.h>

#include "base/conf.h"
#include "base/vwi.h"
#include "io/front.h"
#include "io/loop.h"

#define SITE_EXCHANGES 64

struct site_exchange {
    struct vwi_exchange *ex;
    int done, drained;
    bool gone;
};

struct site {
    struct vwi_loop *loop;
    struct vwi_front *front;
    struct vwi_front_conf conf;
    int requests;                /* on_request calls */
    struct site_exchange kept[SITE_EXCHANGES]; /* requests to /keep..., in order of arrival */
    int kept_count;
};

/*
 * The user: "/keep..." is bound and left to the test; "/close" is answered with Connection: close; "/none" with 204;
 * "/chunked" and "/length" are streamed at once; all others are echoed: "METHOD target [header X-Echo] body".
 */
void site_prepare(struct site *site); /* conf with generous limits, to be changed before site_open() */
void site_open(struct site *site);
void site_close(struct site *site);   /* safe when the front was destroyed already */
void site_turn(struct site *site);    /* one turn of the loop; waits for an event */
void site_turn_until_kept(struct site *site, int count);
void site_turn_until_done(struct site *site, int index);

int site_connect(struct site *site);
void site_send(struct site *site, int fd, const char *data, size_t len);
void site_say(struct site *site, int fd, const char *text);
/* Reads exactly the next reply and compares: status, a part of the head (or NULL), the body. Chunked bodies are decoded. */
void site_expect(struct site *site, int fd, int status, const char *in_head, const char *body);
void site_expect_head_only(struct site *site, int fd, int status, const char *in_head); /* the reply to a HEAD */
void site_expect_text(struct site *site, int fd, const char *text);
void site_expect_end(struct site *site, int fd); /* FIN, and nothing before it */
size_t site_drain(struct site *site, int fd);    /* reads to the end; returns the count */
void site_reset(int fd);                         /* closes with an RST */

#endif
