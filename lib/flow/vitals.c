#include "flow/vitals.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"

#define LOOK_MS 1000

static void tell_silence(struct vwi_vitals *vitals, enum vwi_pulse_news news, size_t waiting, double now_s)
{
    char text[160];

    snprintf(text, sizeof text, "The model server has sent no byte for %.0f s, with %zu requests waiting for it; its worst so far was %.1f s",
             vwi_pulse_silence_s(&vitals->pulse, now_s), waiting, vwi_pulse_worst_s(&vitals->pulse));
    vwi_startup_silence(vitals->desk->startup, news == VWI_PULSE_HUNG, text);
}

static void look_at_pulse(struct vwi_vitals *vitals, double now_s)
{
    size_t waiting = vwi_desk_awaiting(vitals->desk);
    bool serves = vwi_state_serves(vwi_startup_view(vitals->desk->startup).state);
    enum vwi_pulse_news news = vwi_pulse_look(&vitals->pulse, waiting, vwi_upstream_received(vitals->desk->upstream), serves, now_s);

    if (news == VWI_PULSE_AGAIN)
        vwi_startup_progress(vitals->desk->startup);
    else if (news != VWI_PULSE_NONE)
        tell_silence(vitals, news, waiting, now_s);
}

/* More is there to do than can be done: somebody waits for a turn, or as many are at the model as when it was measured. */
static bool is_saturated(const struct vwi_vitals *vitals)
{
    const struct vwi_queue *queue = vitals->desk->queue;

    return vwi_queue_waiting(queue) > 0 || vwi_queue_running(queue) >= vitals->many;
}

static uint64_t count_served(const struct vwi_ledger_stats *stats)
{
    uint64_t served = 0;
    size_t i;

    for (i = 0; i < stats->row_count; i++)
        served += stats->rows[i].outcomes[VWI_OUTCOME_SERVED];
    return served;
}

static void look_at_capacity(struct vwi_vitals *vitals, double now_s)
{
    struct vwi_ready_view ready = vwi_startup_view(vitals->desk->startup);
    struct vwi_ledger_stats stats = vwi_ledger_stats(vitals->desk->ledger);

    if (ready.measured != vitals->capacity.measured)
        vwi_capacity_init(&vitals->capacity, ready.measured);
    if (vwi_capacity_look(&vitals->capacity, vwi_state_serves(ready.state) && is_saturated(vitals), stats.served, count_served(&stats), now_s))
        vwi_startup_live(vitals->desk->startup, vitals->capacity.live);
}

static void on_look(void *arg)
{
    struct vwi_vitals *vitals = arg;
    double now_s = (double)vwi_mono_us() / 1e6;

    vwi_timer_start(&vitals->timer, LOOK_MS);
    look_at_pulse(vitals, now_s);
    if (vitals->conf->live_capacity && vitals->many)
        look_at_capacity(vitals, now_s);
}

vw_err vwi_vitals_init(struct vwi_vitals *vitals, vw_error_t *why)
{
    vwi_pulse_init(&vitals->pulse, vitals->conf->hang_factor);
    if (vwi_timer_init(&vitals->timer, vitals->desk->loop, on_look, vitals) != VW_OK)
        return vwi_fail(why, VW_E_NOMEM, "vitals: out of memory");
    return VW_OK;
}

void vwi_vitals_start(struct vwi_vitals *vitals) { vwi_timer_start(&vitals->timer, LOOK_MS); }
void vwi_vitals_fini(struct vwi_vitals *vitals) { vwi_timer_fini(&vitals->timer); }
