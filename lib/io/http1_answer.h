/*
 * The model server's side of HTTP/1.1: bytes in, one answer out. Knows no socket.
 * The odd thing: the bytes of a call are the parser's to move about, so that the pieces of a chunked body that arrived
 * together are handed over together.
 */
#ifndef VWI_IO_HTTP1_ANSWER_H
#define VWI_IO_HTTP1_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define VWI_ANSWER_HEAD_BYTES (64u * 1024)
#define VWI_ANSWER_FIELDS 256u
#define VWI_ANSWER_INTERIMS 1000u /* in one answer */

struct vwi_answer {
    int status;
    bool chunked;           /* framing of the answer, for the streaming rule */
    int64_t content_length; /* -1: unknown. For HEAD and 304 what the header says, though no body follows */
    const struct vwi_span *names, *values; /* headers as sent, borrowed for the call */
    size_t header_count;
};

enum vwi_answer_result {
    VWI_ANSWER_MORE,    /* all bytes used, the answer goes on */
    VWI_ANSWER_DONE,    /* the answer ended; bytes behind it are not used */
    VWI_ANSWER_STOPPED, /* a callback said stop */
    VWI_ANSWER_BROKEN   /* not an answer we can relay; the reason is a static clause */
};

struct vwi_http1_answer_events { /* false: stop, the parser is not fed again before the next begin */
    bool (*on_head)(void *arg, const struct vwi_answer *answer); /* the final head, once */
    /* Optional: an interim answer (1xx) other than 100, which answers an Expect, and 101. */
    bool (*on_interim)(void *arg, const struct vwi_answer *answer);
    /* Optional: the fields behind the last chunk (RFC 9112 7.1.2), once where there are any; before the on_body of the same feed.
     * Only names, values and header_count are filled. */
    bool (*on_trailers)(void *arg, const struct vwi_answer *answer);
    bool (*on_body)(void *arg, const char *data, size_t len); /* at most once a feed, never empty */
};

struct vwi_http1_answer;

/* events: borrowed until destroy. NULL only when out of memory. */
struct vwi_http1_answer *vwi_http1_answer_create(const struct vwi_http1_answer_events *events, void *arg);
void vwi_http1_answer_destroy(struct vwi_http1_answer *a);

/* Before the first byte of each answer. upgrade: a 101 is welcome, and all that follows it is body, up to the end. */
void vwi_http1_answer_begin(struct vwi_http1_answer *a, bool head_request, bool upgrade);
enum vwi_answer_result vwi_http1_answer_feed(struct vwi_http1_answer *a, char *data, size_t len, size_t *ret_used,
                                             const char **ret_reason);
enum vwi_answer_result vwi_http1_answer_eof(struct vwi_http1_answer *a, const char **ret_reason); /* DONE or BROKEN */

bool vwi_http1_answer_complete(const struct vwi_http1_answer *a);   /* inside on_head and on_body: nothing follows */
bool vwi_http1_answer_interim(const struct vwi_http1_answer *a);    /* a 1xx came and nothing after it yet */
bool vwi_http1_answer_keep_alive(const struct vwi_http1_answer *a); /* after the head: the sender keeps the connection */

#endif
