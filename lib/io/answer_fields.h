/* Which fields of a model's answer go on to the client, and what they say about its body. */
#ifndef VWI_IO_ANSWER_FIELDS_H
#define VWI_IO_ANSWER_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "io/http1_answer.h"

#define VWI_TRAILERS_BYTES 8192u /* longer trailers are dropped whole */

struct vwi_answer_traits {
    bool dated;    /* has a Date */
    bool accel;    /* has an X-Accel-Buffering */
    bool events;   /* text/event-stream */
    bool lines;    /* that, or JSON lines */
    bool coded;    /* has a content coding: nothing can be added to the body */
};

/* *ret_json: application/json or another +json. */
void vwi_answer_traits(const struct vwi_answer *answer, struct vwi_answer_traits *ret, bool *ret_json);
/* Adds the lines of a head: all but hop-by-hop fields (RFC 9110 7.6.1) and what the exchange writes itself. False: no memory. */
bool vwi_answer_fields_head(struct vwi_text *t, const struct vwi_answer *answer, struct vwi_answer_traits *ret_traits);
/* Adds those that may stand behind a body (RFC 9110 6.5.1); none when they are too long. */
bool vwi_answer_fields_trailers(struct vwi_text *t, const struct vwi_answer *trailers);

#endif
