#include "core/capacity.h"

#include <math.h>
#include <string.h>

void vwi_capacity_init(struct vwi_capacity *c, double measured)
{
    memset(c, 0, sizeof *c);
    c->measured = measured;
}

static void begin_stretch(struct vwi_capacity *c, double work, uint64_t requests, double now_s)
{
    c->since_s = now_s;
    c->since_work = work;
    c->since_requests = requests;
}

static void correct(struct vwi_capacity *c, double rate)
{
    double present = c->live > 0 ? c->live : c->measured, next = present + VWI_CAPACITY_STEP * (rate - present);

    c->live = fmin(fmax(next, c->measured * VWI_CAPACITY_LEAST), c->measured * VWI_CAPACITY_MOST);
}

bool vwi_capacity_look(struct vwi_capacity *c, bool saturated, double work, uint64_t requests, double now_s)
{
    bool went_on = c->saturated && saturated;

    c->saturated = saturated;
    if (!went_on || c->measured <= 0) {
        begin_stretch(c, work, requests, now_s);
        return false;
    }
    if (now_s - c->since_s < VWI_CAPACITY_STRETCH_S || requests - c->since_requests < VWI_CAPACITY_STRETCH_REQUESTS)
        return false;
    correct(c, (work - c->since_work) / (now_s - c->since_s));
    begin_stretch(c, work, requests, now_s);
    return true;
}
