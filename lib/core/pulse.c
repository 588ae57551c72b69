/* A silence begins with the last byte, or when something begins to wait, and ends with the next byte. */
#include "core/pulse.h"

#include <math.h>
#include <string.h>

void vwi_pulse_init(struct vwi_pulse *p, double factor)
{
    memset(p, 0, sizeof *p);
    p->factor = factor;
}

static void learn(struct vwi_pulse *p, double silence_s)
{
    p->learnt++;
    p->worst[0] = fmax(p->worst[0], silence_s);
    if (++p->lately < VWI_PULSE_KEPT)
        return;
    p->lately = 0;
    p->worst[1] = p->worst[0];
    p->worst[0] = 0;
}

static enum vwi_pulse_news begin_anew(struct vwi_pulse *p, double now_s)
{
    enum vwi_pulse_news news = p->told == VWI_PULSE_NONE ? VWI_PULSE_NONE : VWI_PULSE_AGAIN;

    p->told = VWI_PULSE_NONE;
    p->since_s = now_s;
    return news;
}

static enum vwi_pulse_news judge(struct vwi_pulse *p, bool heard, double now_s)
{
    double limit_s = fmax(p->factor * vwi_pulse_worst_s(p), VWI_PULSE_FLOOR_S), silence_s = now_s - p->since_s;

    if (!heard || p->factor <= 0 || p->learnt < VWI_PULSE_LEARN)
        return VWI_PULSE_NONE;
    if (p->told == VWI_PULSE_NONE && silence_s > limit_s)
        return p->told = VWI_PULSE_SILENT;
    if (p->told == VWI_PULSE_SILENT && silence_s > 2 * limit_s)
        return p->told = VWI_PULSE_HUNG;
    return VWI_PULSE_NONE;
}

enum vwi_pulse_news vwi_pulse_look(struct vwi_pulse *p, size_t waiting, uint64_t bytes, bool heard, double now_s)
{
    bool waited = p->waiting;
    uint64_t before = p->bytes;

    p->waiting = waiting > 0;
    p->bytes = bytes;
    if (bytes != before) {
        if (waited)
            learn(p, now_s - p->since_s);
        return begin_anew(p, now_s);
    }
    if (!waiting || !waited)
        return begin_anew(p, now_s);
    return judge(p, heard, now_s);
}

double vwi_pulse_silence_s(const struct vwi_pulse *p, double now_s) { return p->waiting ? fmax(now_s - p->since_s, 0) : 0; }
double vwi_pulse_worst_s(const struct vwi_pulse *p) { return p->learnt < VWI_PULSE_LEARN ? 0 : fmax(p->worst[0], p->worst[1]); }
