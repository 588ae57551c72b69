#include "core/failover.h"

#include "core/backoff.h"

/* 408, 425 and 429 mean "later", as a 5xx does; any other 4xx means that what was said is wrong, which another try does not mend. */
enum vwi_failover_verdict vwi_failover_judge(long status)
{
    if (status >= 200 && status < 400)
        return VWI_FAILOVER_GOOD;
    if (status >= 400 && status < 500 && status != 408 && status != 425 && status != 429)
        return VWI_FAILOVER_REFUSED;
    return VWI_FAILOVER_FAILED;
}

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* What this line has against it. */
static int64_t unwanted_until_ms(const struct vwi_failover_address *a, unsigned line)
{
    return later(a->rests_until_ms[line], a->refused_until_ms[line]);
}

static int64_t due_ms(const struct vwi_failover_address *a, unsigned line) { return later(a->aside_until_ms, unwanted_until_ms(a, line)); }

static bool in_order(const struct vwi_failover_address *a, unsigned line, int64_t now_ms)
{
    return !a->never[line] && !a->failures && unwanted_until_ms(a, line) <= now_ms;
}

int64_t vwi_failover_pick(const struct vwi_failover *f, unsigned line, int64_t now_ms, size_t *ret_at)
{
    int64_t soonest_ms = INT64_MAX;
    size_t i, first = 0;

    for (i = 0; i < f->count; i++) {
        const struct vwi_failover_address *a = &f->addresses[i];

        if (in_order(a, line, now_ms)) {
            *ret_at = i;
            return 0;
        }
        if (!a->never[line] && due_ms(a, line) < soonest_ms) {
            soonest_ms = due_ms(a, line);
            first = i;
        }
    }
    if (soonest_ms > now_ms)
        return soonest_ms - now_ms;
    *ret_at = first;
    return 0;
}

bool vwi_failover_has_other(const struct vwi_failover *f, unsigned line, int64_t now_ms, size_t at)
{
    size_t i;

    for (i = 0; i < f->count; i++)
        if (i != at && (in_order(&f->addresses[i], line, now_ms) || (f->hurry && !f->addresses[i].never[line])))
            return true;
    return false;
}

bool vwi_failover_suspect(const struct vwi_failover *f, unsigned line, int64_t now_ms, size_t *ret_at)
{
    size_t i;

    for (i = 0; i < f->count; i++) {
        const struct vwi_failover_address *a = &f->addresses[i];

        if (a->failures && !a->never[line] && due_ms(a, line) <= now_ms && vwi_failover_has_other(f, line, now_ms, i)) {
            *ret_at = i;
            return true;
        }
    }
    return false;
}

static int64_t pause_ms(struct vwi_failover *f, unsigned failures, int64_t first_ms, int64_t max_ms, long asked_s)
{
    int64_t asked_ms = asked_s > VWI_FAILOVER_ASKED_MAX_MS / 1000 ? VWI_FAILOVER_ASKED_MAX_MS : (int64_t)asked_s * 1000;

    if (f->hurry)
        return vwi_backoff_ms(1, VWI_FAILOVER_FIRST_MS, VWI_FAILOVER_FIRST_MS, f->seed++);
    return later(vwi_backoff_ms(failures, first_ms, max_ms, f->seed++), asked_ms);
}

static unsigned one_more(unsigned count) { return count < 1000 ? count + 1 : count; }

/* It answers this line. If that had failed as well, it was the address; else it may be what the other asks for, who stays careful. */
static void forgive(struct vwi_failover_address *a, unsigned line)
{
    unsigned other;

    a->failures = 0;
    a->aside_until_ms = 0;
    for (other = 0; a->own_failures[line] && other < VWI_FAILOVER_LINES; other++) {
        a->rests_until_ms[other] = 0;
        if (other != line)
            a->own_failures[other] = 0;
    }
    a->own_failures[line] = 0;
}

void vwi_failover_note(struct vwi_failover *f, unsigned line, size_t at, enum vwi_failover_verdict verdict, long asked_s, int64_t now_ms)
{
    struct vwi_failover_address *a = &f->addresses[at];

    if (verdict == VWI_FAILOVER_FAILED) {
        a->failures = one_more(a->failures);
        a->own_failures[line] = one_more(a->own_failures[line]);
        a->rests_until_ms[line] = now_ms + pause_ms(f, a->own_failures[line], VWI_FAILOVER_FIRST_MS, VWI_FAILOVER_MAX_MS, 0);
        a->aside_until_ms = now_ms + pause_ms(f, a->failures, VWI_FAILOVER_FIRST_MS, VWI_FAILOVER_MAX_MS, asked_s);
        return;
    }
    forgive(a, line);
    if (verdict == VWI_FAILOVER_GOOD) {
        a->refusals[line] = 0;
        a->refused_until_ms[line] = 0;
        return;
    }
    a->refusals[line] = one_more(a->refusals[line]);
    a->refused_until_ms[line] = now_ms + pause_ms(f, a->refusals[line], VWI_FAILOVER_REFUSED_FIRST_MS, VWI_FAILOVER_REFUSED_MAX_MS, 0);
}

static void end_pauses(struct vwi_failover *f, unsigned line)
{
    size_t i;

    for (i = 0; i < f->count; i++)
        f->addresses[i].aside_until_ms = f->addresses[i].rests_until_ms[line] = f->addresses[i].refused_until_ms[line] = 0;
}

void vwi_failover_wake(struct vwi_failover *f, unsigned line, int64_t now_ms)
{
    size_t i;

    for (i = 0; i < f->count; i++)
        if (in_order(&f->addresses[i], line, now_ms))
            return;
    end_pauses(f, line);
}

void vwi_failover_hurry(struct vwi_failover *f)
{
    unsigned line;

    f->hurry = true;
    for (line = 0; line < VWI_FAILOVER_LINES; line++)
        end_pauses(f, line);
}
