/*
 * Evidence is latched as it comes; after each event the state is derived anew from all of it, and go() checks the step against
 * the table. The odd thing: no event names a state. A load line while ready, a probe while draining or a late benchmark simply
 * change nothing that decide() looks at.
 */
#include "core/ready.h"

#include <stddef.h>
#include <string.h>

#include "base/vwi.h"

enum fault {
    FAULT_NONE, FAULT_LOG, FAULT_PROBE, FAULT_BENCH, FAULT_KEY, FAULT_LOAD, FAULT_HUNG, FAULT_GPU_LOST, FAULT_GPU_BROKEN, FAULT_OTHER, FAULT_ENDED
};

/* What looks bad and is not judged yet. */
enum charge { CHARGE_NONE, CHARGE_LOG, CHARGE_SILENCE };

#define LEISURE_S 1.0 /* who was cleared of a charge is not probed in haste again so soon: each request may print a traceback */

#define STEP(name) VWI_BIT(VWI_STATE_##name)

static const struct row {
    const char *name;
    unsigned next; /* who may follow */
    bool serves;
    const char *reason;
} rows[] = {
    [VWI_STATE_STARTING] = { "starting", STEP(LOADING) | STEP(BENCHMARKING) | STEP(READY) | STEP(DRAINING) | STEP(ERROR), false,
                             "starting: not listening yet" },
    [VWI_STATE_LOADING] = { "loading", STEP(BENCHMARKING) | STEP(READY) | STEP(DRAINING) | STEP(ERROR), false, NULL },
    [VWI_STATE_BENCHMARKING] = { "benchmarking", STEP(LOADING) | STEP(READY) | STEP(DRAINING) | STEP(ERROR), false,
                                 "the model is up, its capacity is being measured" },
    [VWI_STATE_READY] = { "ready", STEP(LOADING) | STEP(DEGRADED) | STEP(DRAINING) | STEP(ERROR), true, "serving" },
    [VWI_STATE_DEGRADED] = { "degraded", STEP(LOADING) | STEP(READY) | STEP(DRAINING) | STEP(ERROR), true,
                             "serving, but the model server failed its last probe" },
    [VWI_STATE_DRAINING] = { "draining", 0, false, "finishing accepted requests, taking no new ones" },
    [VWI_STATE_ERROR] = { "error", STEP(STARTING) | STEP(LOADING) | STEP(BENCHMARKING) | STEP(READY) | STEP(DRAINING), false,
                          NULL },
};
_Static_assert(VWI_ARRAY_LEN(rows) == VWI_STATES, "one row per state");

const char *vwi_state_name(enum vwi_state state)
{
    return (unsigned)state < VWI_STATES ? rows[state].name : "unknown";
}

bool vwi_state_serves(enum vwi_state state)
{
    return (unsigned)state < VWI_STATES && rows[state].serves;
}

bool vwi_state_may_follow(enum vwi_state from, enum vwi_state to)
{
    return (unsigned)from < VWI_STATES && (unsigned)to < VWI_STATES && (rows[from].next & VWI_BIT(to)) != 0;
}

static bool probed(const struct vwi_ready *r) { return r->needs.health || r->needs.port; }

/* The model is up as far as anything configured can tell. */
static bool is_up(const struct vwi_ready *r)
{
    return (!r->needs.log || r->log) && (!probed(r) || r->health);
}

static bool lacks_score(const struct vwi_ready *r)
{
    return r->needs.benchmark && r->needs.max_perf <= 0 && r->score <= 0;
}

/* What the control plane has to send us first. */
static bool is_trusted(const struct vwi_ready *r)
{
    return (!r->needs.key || r->key) && (!r->needs.certificate || r->certificate);
}

static enum vwi_state decide(const struct vwi_ready *r)
{
    if (r->fault != FAULT_NONE)
        return VWI_STATE_ERROR;
    if (!r->listening)
        return VWI_STATE_STARTING;
    if (!is_up(r))
        return VWI_STATE_LOADING;
    if (lacks_score(r))
        return VWI_STATE_BENCHMARKING; /* beside a key that is still awaited */
    if (!is_trusted(r))
        return VWI_STATE_LOADING;
    return r->suspect ? VWI_STATE_DEGRADED : VWI_STATE_READY;
}

static const char *loading_reason(const struct vwi_ready *r)
{
    if (r->needs.log && !r->log)
        return "waiting for the load line in the model's log";
    if (r->needs.health && !r->health)
        return "waiting for the model server's first good health probe";
    if (r->needs.port && !r->health)
        return "waiting for the model server's port to accept connections";
    if (r->needs.certificate && !r->certificate)
        return "waiting for a TLS certificate to be signed";
    return "waiting for the public key of the control plane";
}

/* Cut at the limit, but never inside a UTF-8 character. */
static void keep_text(char kept[VWI_READY_TEXT], const char *text)
{
    size_t len = text ? strlen(text) : 0;

    if (!len) {
        text = "unspecified error"; /* an empty error_msg would be no error to the platform */
        len = strlen(text);
    }
    if (len >= VWI_READY_TEXT) {
        len = VWI_READY_TEXT - 1;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    memmove(kept, text, len);
    kept[len] = '\0';
}

/* Waiting for a key, or for the model to load, says nothing against the model. */
static bool has_verdict(const struct vwi_ready *r) { return r->fault != FAULT_NONE && r->fault != FAULT_KEY && r->fault != FAULT_LOAD; }

/* The first cause stays until it clears; waiting gives way to news about the model itself. */
static unsigned fail(struct vwi_ready *r, enum fault fault, const char *text)
{
    if (has_verdict(r))
        return 0;
    r->fault = fault;
    if (fault != FAULT_KEY)
        r->charge = CHARGE_NONE;
    keep_text(r->error, text);
    return VWI_READY_CHANGED;
}

/* A GPU's fault is the cause of whatever else was seen to fail. */
static unsigned blame_gpu(struct vwi_ready *r, enum fault fault, const char *text)
{
    bool again = r->fault == (int)fault;

    if (r->fault == FAULT_GPU_LOST && (!again || strcmp(r->error, text) == 0))
        return 0;
    r->good = r->bad = 0;
    r->fell = false;
    if (again && fault == FAULT_GPU_BROKEN)
        return 0; /* the first one's text stays */
    r->fault = FAULT_NONE;
    if (fault == FAULT_GPU_LOST)
        r->log = r->health = false; /* no process survives the loss of its GPU */
    return fail(r, fault, text);
}

static void clear(struct vwi_ready *r)
{
    r->fault = FAULT_NONE;
    r->charge = CHARGE_NONE;
    r->error[0] = '\0';
    r->suspect = false;
}

/* Not an error yet: the next probes tell. One charge at a time. */
static unsigned charge(struct vwi_ready *r, enum charge what, const char *text, double now_s)
{
    if (r->charge != CHARGE_NONE || r->fault != FAULT_NONE)
        return 0;
    r->charge = what;
    r->hasty = r->cleared_s <= 0 || now_s - r->cleared_s >= LEISURE_S;
    r->good = r->bad = 0;
    r->suspect = rows[r->state].serves;
    keep_text(r->charged, text);
    return r->hasty ? VWI_READY_PROBE_NOW : 0;
}

static void drop_charge(struct vwi_ready *r, double now_s)
{
    r->charge = CHARGE_NONE;
    r->suspect = false;
    r->cleared_s = now_s;
}

/* One bad request's traceback does not condemn a worker whose probes stay good. */
static unsigned on_log_error(struct vwi_ready *r, const char *text, double now_s)
{
    bool judged = !r->needs.sticky && (r->needs.model || probed(r));

    return judged && r->fault == FAULT_NONE ? charge(r, CHARGE_LOG, text, now_s) : fail(r, FAULT_LOG, text);
}

static void on_progress(struct vwi_ready *r, double now_s)
{
    if (r->charge == CHARGE_SILENCE)
        drop_charge(r, now_s);
    if (r->fault == FAULT_HUNG)
        clear(r);
}

/* Whatever else was wrong, this is news; but without its GPU no other process will do better. */
static unsigned on_ended(struct vwi_ready *r, const char *text)
{
    keep_text(r->ended, text);
    r->log = r->health = r->measuring = false;
    if (r->fault == FAULT_GPU_LOST)
        return 0;
    clear(r);
    return fail(r, FAULT_ENDED, text);
}

/* A process that ended meanwhile is not there because its GPU is. */
static unsigned on_gpu_back(struct vwi_ready *r)
{
    if (r->fault != FAULT_GPU_LOST)
        return VWI_READY_PROBE_NOW;
    clear(r);
    return r->ended[0] ? fail(r, FAULT_ENDED, r->ended) : VWI_READY_PROBE_NOW;
}

/* Waiting for a key, or for a GPU, has nothing to do with it. */
static unsigned on_started(struct vwi_ready *r)
{
    if (r->fault != FAULT_KEY && r->fault != FAULT_GPU_LOST)
        clear(r);
    r->ended[0] = '\0';
    r->log = r->health = false;
    r->again = true;
    return VWI_READY_PROBE_NOW;
}

static unsigned on_loaded(struct vwi_ready *r)
{
    if (r->ended[0])
        return 0; /* says a log file, late */
    r->log = true;
    if (has_verdict(r) && r->fault != FAULT_GPU_LOST && !r->needs.sticky) {
        clear(r);          /* the model was loaded again: gather the rest anew */
        r->health = false;
    }
    return probed(r) && !r->health ? VWI_READY_PROBE_NOW : 0;
}

/* What good probes end. */
static bool is_forgivable(const struct vwi_ready *r)
{
    switch (r->fault) {
    case FAULT_NONE:
    case FAULT_KEY:
    case FAULT_LOAD:
    case FAULT_HUNG:
    case FAULT_GPU_LOST:
        return false;
    case FAULT_GPU_BROKEN:
        return !r->needs.sticky && r->fell;
    default:
        return !r->needs.sticky;
    }
}

static void on_good(struct vwi_ready *r, double now_s)
{
    bool patient = rows[r->state].serves || r->charge == CHARGE_LOG || (r->fault != FAULT_NONE && r->fault != FAULT_KEY);

    r->bad = 0;
    if (r->ended[0])
        return; /* somebody else listens there */
    if (++r->good < (patient ? VWI_READY_RISE : 1))
        return;
    r->health = true;
    if (r->charge == CHARGE_LOG)
        drop_charge(r, now_s);
    r->suspect = r->charge != CHARGE_NONE && rows[r->state].serves; /* a model that answers its health path may hang all the same */
    if (is_forgivable(r))
        clear(r);
}

static unsigned convict(struct vwi_ready *r)
{
    enum fault fault = r->charge == CHARGE_LOG ? FAULT_LOG : FAULT_HUNG;

    if (r->bad < VWI_READY_FALL)
        return 0;
    r->health = false;
    return fail(r, fault, r->charged);
}

static unsigned on_bad(struct vwi_ready *r, const char *text)
{
    r->good = 0;
    if (r->charge != CHARGE_NONE) {
        r->bad++;
        return convict(r);
    }
    if (r->state == VWI_STATE_BENCHMARKING)
        return 0; /* a busy model may be slow to answer; the benchmark itself tells whether it lives */
    r->bad++;
    if (rows[r->state].serves)
        r->suspect = true;
    if (r->bad < VWI_READY_FALL)
        return 0;
    r->health = false;
    r->fell = true;
    return rows[r->state].serves ? fail(r, FAULT_PROBE, text) : 0;
}

static unsigned on_score(struct vwi_ready *r, double score)
{
    bool news = r->loadtime_s > 0 && score > 0 && score != r->score; /* a difference is news even by one bit */

    r->measuring = false;
    if (score > 0) {
        r->score = score;
        r->live = 0;
    }
    return news ? VWI_READY_CHANGED : 0;
}

static unsigned on_load_timeout(struct vwi_ready *r)
{
    char text[VWI_READY_TEXT];

    if ((r->loadtime_s > 0 && !r->again) || r->state != VWI_STATE_LOADING)
        return 0; /* the benchmark has a limit of its own */
    snprintf(text, sizeof text, "Model not ready within %g s: %s", r->needs.load_s, loading_reason(r));
    return fail(r, FAULT_LOAD, text);
}

/* Only a difference that is worth a line: a hundredth. */
static unsigned on_live(struct vwi_ready *r, double score)
{
    bool news = r->score > 0 && (score > 0) != (r->live > 0);

    if (r->live > 0 && score > 0)
        news = score > r->live * 1.01 || score < r->live * 0.99;
    if (news)
        r->live = score;
    return news ? VWI_READY_CHANGED : 0;
}

static unsigned note(struct vwi_ready *r, enum vwi_ready_event event, const char *text, double score, double now_s)
{
    switch (event) {
    case VWI_READY_LISTENING:
        r->listening = true;
        return VWI_READY_PROBE_NOW;
    case VWI_READY_LOG_LOADED:
        return on_loaded(r);
    case VWI_READY_UNLOADED:
        r->log = r->health = false;
        return VWI_READY_PROBE_NOW;
    case VWI_READY_LOG_ERROR:
        return on_log_error(r, text, now_s);
    case VWI_READY_PROBE_GOOD:
        on_good(r, now_s);
        return 0;
    case VWI_READY_PROBE_BAD:
        return on_bad(r, text);
    case VWI_READY_BENCH_DONE:
        return on_score(r, score);
    case VWI_READY_BENCH_FAILED:
        r->measuring = false;
        return fail(r, FAULT_BENCH, text);
    case VWI_READY_KEY_PRESENT:
        r->key = true;
        if (r->fault == FAULT_KEY)
            clear(r);
        return 0;
    case VWI_READY_KEY_LOST:
        r->key = false;
        return 0;
    case VWI_READY_KEY_FAILED:
        return r->fault == FAULT_NONE ? fail(r, FAULT_KEY, text) : 0;
    case VWI_READY_CERTIFICATE:
        r->certificate = true;
        return 0;
    case VWI_READY_LOAD_TIMEOUT:
        return on_load_timeout(r);
    case VWI_READY_SILENCE:
        return rows[r->state].serves ? charge(r, CHARGE_SILENCE, text, now_s) : 0;
    case VWI_READY_HUNG:
        return rows[r->state].serves ? fail(r, FAULT_HUNG, text) : 0;
    case VWI_READY_PROGRESS:
        on_progress(r, now_s);
        return 0;
    case VWI_READY_LIVE:
        return on_live(r, score);
    case VWI_READY_GPU_LOST:
        return blame_gpu(r, FAULT_GPU_LOST, text);
    case VWI_READY_GPU_BACK:
        return on_gpu_back(r);
    case VWI_READY_GPU_BROKEN:
        return blame_gpu(r, FAULT_GPU_BROKEN, text);
    case VWI_READY_FAILED:
        r->log = r->health = false; /* whatever comes next has to load again */
        return fail(r, FAULT_OTHER, text);
    case VWI_READY_ENDED:
        return on_ended(r, text);
    case VWI_READY_STARTED:
        return on_started(r);
    case VWI_READY_DRAIN:
    case VWI_READY_EVENTS:
        break;
    }
    return 0;
}

static unsigned go(struct vwi_ready *r, enum vwi_state to, double now_s)
{
    unsigned wishes = VWI_READY_CHANGED;

    if (to == r->state || !VWI_EXPECT(vwi_state_may_follow(r->state, to)))
        return 0;
    r->state = to;
    r->since_s = now_s;
    if (!rows[to].serves)
        r->suspect = false;
    if (!rows[to].serves && r->charge == CHARGE_SILENCE)
        r->charge = CHARGE_NONE; /* the model is another one when it serves again */
    if (to == VWI_STATE_BENCHMARKING && !r->measuring) {
        r->measuring = true;
        wishes |= VWI_READY_MEASURE;
    }
    if (to == VWI_STATE_READY)
        r->again = false;
    if (to == VWI_STATE_READY && r->loadtime_s <= 0) {
        r->loadtime_s = now_s - r->start_s;
        if (r->loadtime_s < 0.001)
            r->loadtime_s = 0.001; /* 0 would mean "not yet" to the platform */
    }
    if (to == VWI_STATE_ERROR && r->fault != FAULT_KEY) {
        r->good = r->bad = 0;
        wishes |= r->needs.sticky ? 0 : VWI_READY_PROBE_NOW;
    }
    return wishes;
}

void vwi_ready_init(struct vwi_ready *r, const struct vwi_ready_needs *needs, double now_s)
{
    memset(r, 0, sizeof *r);
    r->needs = *needs;
    r->start_s = r->since_s = now_s;
}

unsigned vwi_ready_feed(struct vwi_ready *r, enum vwi_ready_event event, const char *text, double score, double now_s)
{
    unsigned wishes;

    if (r->state == VWI_STATE_DRAINING)
        return 0;
    if (event == VWI_READY_DRAIN)
        return go(r, VWI_STATE_DRAINING, now_s);
    wishes = note(r, event, text, score, now_s);
    if (r->fault == FAULT_LOAD && !r->needs.sticky && is_up(r) && is_trusted(r))
        clear(r); /* late, but here */
    return wishes | go(r, decide(r), now_s);
}

struct vwi_ready_view vwi_ready_view(const struct vwi_ready *r)
{
    double capacity = r->needs.max_perf > 0 ? r->needs.max_perf : r->live > 0 ? r->live : r->score;
    struct vwi_ready_view view = { 0 };

    view.state = r->state;
    view.name = rows[r->state].name;
    view.reason = rows[r->state].reason;
    if (!view.reason)
        view.reason = r->state == VWI_STATE_LOADING ? loading_reason(r) : r->error;
    if (r->state == VWI_STATE_DEGRADED && r->charge != CHARGE_NONE)
        view.reason = r->charge == CHARGE_LOG ? "serving, but the model's log shows an error; probing" : r->charged;
    view.measured = r->score;
    view.since_s = r->since_s;
    view.loadtime_s = r->loadtime_s;
    view.capacity_known = capacity > 0;
    if (!view.capacity_known && r->needs.platform)
        capacity = VWI_READY_UNKNOWN_PERF;
    view.max_perf = r->loadtime_s > 0 && (rows[r->state].serves || r->state == VWI_STATE_ERROR) ? capacity : 0;
    view.error_msg = r->state == VWI_STATE_ERROR ? r->error : "";
    return view;
}

int64_t vwi_ready_probe_gap_ms(const struct vwi_ready *r)
{
    /* Where only the port was asked for and errors are final, nothing a later probe says would matter. */
    int64_t slow = r->needs.health || !r->needs.sticky ? 10000 : 0;

    if (r->ended[0] && r->state != VWI_STATE_DRAINING)
        return 0;
    if (r->charge != CHARGE_NONE && r->state != VWI_STATE_DRAINING)
        return r->charge == CHARGE_LOG && r->hasty ? VWI_READY_CHARGED_MS : 1000;
    switch (r->state) {
    case VWI_STATE_ERROR:
        if (r->fault != FAULT_KEY)
            return r->needs.sticky ? 0 : r->fault == FAULT_BENCH ? 30000 : 1000; /* two good ones measure again: not too often */
        /* fall through */
    case VWI_STATE_LOADING:
    case VWI_STATE_BENCHMARKING:
        return !probed(r) ? 0 : r->health ? slow : 100;
    case VWI_STATE_READY:
    case VWI_STATE_DEGRADED:
        return slow;
    default:
        return 0;
    }
}
