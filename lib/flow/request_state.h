/* Where a request stands. One table; nothing but vwi_request_state_allows decides who may follow whom. */
#ifndef VWI_FLOW_REQUEST_STATE_H
#define VWI_FLOW_REQUEST_STATE_H

#include <stdbool.h>

enum vwi_request_state {
    VWI_REQUEST_JUDGING,
    VWI_REQUEST_WAITING,   /* counted, waits for its turn */
    VWI_REQUEST_RUNNING,   /* at the model, nothing answered yet */
    VWI_REQUEST_ANSWERING, /* the client has seen a head */
    VWI_REQUEST_SETTLED,   /* booked; only the client's connection is left */
    VWI_REQUEST_STATES
};

const char *vwi_request_state_name(enum vwi_request_state state);
bool vwi_request_state_allows(enum vwi_request_state from, enum vwi_request_state to);

#endif
