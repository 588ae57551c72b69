/* Ending requests whose time is over, for a drain: which they are, and what is said about them. */
#ifndef VWI_FLOW_CUT_H
#define VWI_FLOW_CUT_H

#include <stddef.h>

#include "flow/request.h"

/* Those whose bodies are still to come: 503, none of them was counted. */
void vwi_desk_refuse_unjudged(struct vwi_desk *desk);

/* Nothing is left that a client of a control handler could ask about: they take no more, and what they have taken goes on. */
void vwi_desk_last_call(struct vwi_desk *desk);

/*
 * Cut what is left: model connections closed, booked as errored. A client whose answer was not begun gets 503 draining, a reader of
 * events an error event and a proper end, any other a cut that it can see. Each is named in the log, up to a number, then counted.
 * Returns how many they were.
 */
size_t vwi_desk_cut(struct vwi_desk *desk); /* all; from then on nothing is started any more, control handlers included */
/* Only those whose handler gives them no more than this since the drain began. Clients that were answered in time, but have not read
 * it all, are cut as well. */
size_t vwi_desk_cut_overdue(struct vwi_desk *desk, double since_s);

/* When the next of them is over, in seconds since the drain began; a moment from now where cut ones have yet to read why, and others
 * go on. Below 0: no request is left that may go on. */
double vwi_desk_next_cut(const struct vwi_desk *desk, double since_s);
/* How long the handlers' requests may take at most. Control handlers serve as long as any other request may go on. */
double vwi_desk_longest_drain(const struct vwi_desk *desk);

#endif
