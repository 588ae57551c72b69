#include "flow/request_state.h"

#include "base/vwi.h"

static const struct {
    const char *name;
    unsigned next; /* bits of the states that may follow */
} rows[] = {
    [VWI_REQUEST_JUDGING] = { "judging", VWI_BIT(VWI_REQUEST_WAITING) | VWI_BIT(VWI_REQUEST_RUNNING) | VWI_BIT(VWI_REQUEST_SETTLED) },
    [VWI_REQUEST_WAITING] = { "waiting", VWI_BIT(VWI_REQUEST_RUNNING) | VWI_BIT(VWI_REQUEST_SETTLED) },
    [VWI_REQUEST_RUNNING] = { "running", VWI_BIT(VWI_REQUEST_ANSWERING) | VWI_BIT(VWI_REQUEST_SETTLED) },
    [VWI_REQUEST_ANSWERING] = { "answering", VWI_BIT(VWI_REQUEST_SETTLED) },
    [VWI_REQUEST_SETTLED] = { "settled", 0 },
};
_Static_assert(VWI_ARRAY_LEN(rows) == VWI_REQUEST_STATES, "one row per state");

const char *vwi_request_state_name(enum vwi_request_state state)
{
    return state < VWI_REQUEST_STATES ? rows[state].name : "unknown";
}

bool vwi_request_state_allows(enum vwi_request_state from, enum vwi_request_state to)
{
    return from < VWI_REQUEST_STATES && to < VWI_REQUEST_STATES && (rows[from].next & VWI_BIT(to));
}
