/* Which fields of a model's answer go on to the client, and what they say about its body. */
#ifndef VWI_IO_ANSWER_FIELDS_H
#define VWI_IO_ANSWER_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "io/http1_answer.h"

struct vwi_answer_traits {
    bool dated;    /* has a Date */
    bool accel;    /* has an X-Accel-Buffering */
    bool events;   /* text/event-stream */
    bool lines;    /* that, or JSON lines */
    bool coded;    /* has a content coding: nothing can be added to the body */
};

/* Adds the lines of a final head: all but hop-by-hop fields (RFC 9110 7.6.1) and what the exchange writes itself. False: no memory. */
bool vwi_answer_fields_head(struct vwi_text *t, const struct vwi_answer *answer, struct vwi_answer_traits *ret_traits);

#endif
