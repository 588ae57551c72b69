/*
 * What the holder of MASTER_TOKEN may ask for: POST /drain and POST /pyworker/update. Without a token set both are refused (the
 * platform's own worker would then take them from anybody). They serve in every state; what the body says does not matter.
 */
#ifndef VWI_FLOW_MASTER_H
#define VWI_FLOW_MASTER_H

#include <stdbool.h>

#include "base/text.h"
#include "flow/request.h"
#include "io/exchange.h"

struct vwi_master {
    const struct vwi_desk *desk;
    const char *token; /* secret; "": none is set */
    const char *update_file;
    void (*on_drain)(void *arg); /* called behind the answer, each time */
    void *arg;

    struct {
        bool warned;
        int64_t warned_ms;
        uint64_t unsaid; /* refusals since the last one that was logged */
    } own;
};

/* Of a POST to path. True: it was one of the two, and is answered. Fill all but own of a zeroed struct. */
bool vwi_master_serve(struct vwi_master *master, struct vwi_span path, struct vwi_exchange *ex);

#endif
