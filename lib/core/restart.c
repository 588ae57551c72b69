/* The back-off is no state of its own: it follows from how many restarts lie within the window. */
#include "core/restart.h"

#include <math.h>
#include <string.h>

void vwi_restart_init(struct vwi_restart *r, const struct vwi_supervise_conf *conf)
{
    memset(r, 0, sizeof *r);
    r->conf = conf;
}

static void forget_old(struct vwi_restart *r, double now_s)
{
    while (r->count > 0 && r->at_s[(r->next + VWI_RESTART_MOST - r->count) % VWI_RESTART_MOST] <= now_s - r->conf->window_s)
        r->count--;
}

static void remember(struct vwi_restart *r, double at_s)
{
    r->at_s[r->next] = at_s;
    r->next = (r->next + 1) % VWI_RESTART_MOST;
    if (r->count < VWI_RESTART_MOST)
        r->count++;
}

static bool is_wanted(const struct vwi_restart *r, bool clean)
{
    return strcmp(r->conf->restart, "always") == 0 || (strcmp(r->conf->restart, "on-failure") == 0 && !clean);
}

struct vwi_restart_verdict vwi_restart_ended(struct vwi_restart *r, bool clean, double now_s)
{
    struct vwi_restart_verdict verdict = { .again = false };

    forget_old(r, now_s);
    if (!is_wanted(r, clean))
        return verdict;
    verdict.nth = r->count;
    verdict.limited = r->conf->max_restarts > 0 && r->count >= r->conf->max_restarts;
    if (verdict.limited)
        return verdict;
    verdict.again = true;
    verdict.nth = r->count + 1;
    verdict.wait_s = fmin(ldexp(r->conf->backoff_s, (int)r->count), r->conf->max_backoff_s);
    remember(r, now_s + verdict.wait_s);
    return verdict;
}
