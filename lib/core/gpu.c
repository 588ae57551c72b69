/*
 * A GPU is known by its UUID and keeps the index it was first seen with, since the driver counts anew once one is gone. The odd
 * thing: Xid 79 counts as lost at once, although the same look may still have got values from the driver; the next one, of a library
 * that was started anew, tells.
 */
#include "core/gpu.h"

#include <stdio.h>
#include <string.h>

#include "base/vwi.h"

#define XID_OFF_THE_BUS 79u

/* After these NVIDIA's catalogue asks for a reset of the GPU or of the machine; what it means for the reader of an error_msg. */
static const struct fatal {
    uint32_t xid;
    const char *words;
} fatals[] = {
    { 46, "the GPU stopped processing" },
    { 48, "an uncorrectable memory error" },
    { 62, "its microcontroller halted" },
    { 64, "a bad memory row could not be retired" },
    { 74, "an NVLink error" },
    { XID_OFF_THE_BUS, "the GPU has fallen off the bus" },
    { 95, "an uncontained memory error" },
    { 119, "its system processor does not answer" },
    { 120, "its system processor failed" },
    { 140, "an unrecovered memory error" },
    { 143, "the GPU could not be initialised" },
};

static const struct word {
    uint64_t bit;
    const char *name;
    bool said; /* worth a line: it is not the ordinary way of running at full power */
} words[] = {
    { VWI_GPU_SW_POWER_CAP, "sw_power_cap", false },
    { VWI_GPU_HW_SLOWDOWN, "hw_slowdown", true },
    { VWI_GPU_SYNC_BOOST, "sync_boost", false },
    { VWI_GPU_SW_THERMAL, "sw_thermal_slowdown", true },
    { VWI_GPU_HW_THERMAL, "hw_thermal_slowdown", true },
    { VWI_GPU_HW_POWER_BRAKE, "hw_power_brake_slowdown", true },
};

struct desk {
    struct vwi_gpus *g;
    double now_s;
    vwi_gpu_news_fn fn;
    void *arg;
};

static const struct fatal *find_fatal(uint32_t xid)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(fatals); i++)
        if (fatals[i].xid == xid)
            return &fatals[i];
    return NULL;
}

bool vwi_gpu_xid_is_fatal(uint32_t xid) { return find_fatal(xid) != NULL; }

const char *vwi_gpu_throttle_name(size_t nth, uint64_t *ret_bit)
{
    if (nth >= VWI_ARRAY_LEN(words))
        return NULL;
    *ret_bit = words[nth].bit;
    return words[nth].name;
}

static void tell(const struct desk *desk, enum vwi_gpu_news news, const char *text) { desk->fn(desk->arg, news, text); }

/* "GPU 0 (NVIDIA H100)" */
static void name_it(const struct vwi_gpu *gpu, char name[VWI_GPU_NAME + 32])
{
    if (gpu->now.name[0])
        snprintf(name, VWI_GPU_NAME + 32, "GPU %u (%s)", gpu->now.index, gpu->now.name);
    else
        snprintf(name, VWI_GPU_NAME + 32, "GPU %u", gpu->now.index);
}

/* True: it may be said again. */
static bool is_due(const struct desk *desk, double *said_s)
{
    if (*said_s > 0 && desk->now_s - *said_s < VWI_GPU_REPEAT_S)
        return false;
    *said_s = desk->now_s;
    return true;
}

/* ---- lost, failing, and back ---- */

static void find_fault(const struct desk *desk, struct vwi_gpu *gpu, enum vwi_gpu_news news, const char *what, const char *source)
{
    char name[VWI_GPU_NAME + 32];

    name_it(gpu, name);
    snprintf(gpu->finding, sizeof gpu->finding, "%s %s (%s)", name, what, source);
    tell(desk, news, gpu->finding);
}

static void lose(const struct desk *desk, struct vwi_gpu *gpu, const char *what, const char *source)
{
    if (gpu->lost)
        return;
    gpu->lost = true;
    find_fault(desk, gpu, VWI_GPU_NEWS_GONE, what, source);
}

static void recover(const struct desk *desk, struct vwi_gpu *gpu)
{
    char text[VWI_GPU_SENTENCE], name[VWI_GPU_NAME + 32];

    if (!gpu->lost && (gpu->broken || !gpu->finding[0]))
        return;
    gpu->lost = gpu->broken = false;
    gpu->finding[0] = '\0';
    name_it(gpu, name);
    snprintf(text, sizeof text, "%s answers again", name);
    tell(desk, VWI_GPU_NEWS_BACK, text);
}

static void judge_answer(const struct desk *desk, struct vwi_gpu *gpu)
{
    char source[VWI_GPU_SAID + 16];

    snprintf(source, sizeof source, "NVML: %s", gpu->now.said);
    switch (gpu->now.answer) {
    case VWI_GPU_ANSWERS:
        recover(desk, gpu);
        break;
    case VWI_GPU_LOST:
        lose(desk, gpu, "has fallen off the bus", source);
        break;
    case VWI_GPU_NEEDS_RESET:
        lose(desk, gpu, "has to be reset", source);
        break;
    case VWI_GPU_FAILS:
        if (!gpu->finding[0])
            find_fault(desk, gpu, VWI_GPU_NEWS_FAILS, "does not answer", source);
        break;
    }
}

/* ---- Xids ---- */

/* True: the first of its kind. */
static bool count_xid(struct vwi_gpu *gpu, uint32_t xid)
{
    size_t i = 0;

    while (i < gpu->kind_count && gpu->kinds[i].xid != xid)
        i++;
    if (i == VWI_GPU_KINDS) {
        gpu->other_xids++;
        return false;
    }
    if (i == gpu->kind_count)
        gpu->kinds[gpu->kind_count++] = (struct vwi_gpu_kind){ xid, 0 };
    return ++gpu->kinds[i].count == 1;
}

static void break_it(const struct desk *desk, struct vwi_gpu *gpu, const struct fatal *fatal)
{
    char source[128];

    if (gpu->lost)
        return;
    gpu->broken = true;
    snprintf(source, sizeof source, "Xid %u: %s", fatal->xid, fatal->words);
    find_fault(desk, gpu, VWI_GPU_NEWS_BROKEN, "has to be reset", source);
}

static void judge_xid(const struct desk *desk, struct vwi_gpu *gpu, uint32_t xid)
{
    const struct fatal *fatal = find_fatal(xid);
    char text[VWI_GPU_SENTENCE], name[VWI_GPU_NAME + 32];
    bool first = count_xid(gpu, xid);

    if (xid == XID_OFF_THE_BUS) {
        lose(desk, gpu, "has fallen off the bus", "Xid 79");
    } else if (fatal) {
        break_it(desk, gpu, fatal);
    } else if (is_due(desk, &gpu->xid_said_s) || first) {
        name_it(gpu, name);
        snprintf(text, sizeof text, "%s: Xid %u; it says nothing against the GPU", name, xid);
        tell(desk, VWI_GPU_NEWS_FAULT, text);
    }
}

/* True: one of them was 79, and what else the look says of this GPU is older. */
static bool judge_xids(const struct desk *desk, struct vwi_gpu *gpu, const struct vwi_gpu_reading *r)
{
    bool gone = false;
    unsigned i;

    for (i = 0; i < r->xid_count && i < VWI_GPU_XIDS; i++) {
        judge_xid(desk, gpu, r->xids[i]);
        gone = gone || r->xids[i] == XID_OFF_THE_BUS;
    }
    gpu->other_xids += r->xids_over;
    return gone;
}

/* ---- values ---- */

static void judge_values(const struct desk *desk, struct vwi_gpu *gpu, uint64_t uncorrected_before)
{
    const struct vwi_gpu_reading *now = &gpu->now;
    char text[VWI_GPU_SENTENCE], name[VWI_GPU_NAME + 32];
    size_t i;

    name_it(gpu, name);
    if ((now->has & VWI_GPU_HAS_UNCORRECTED) && now->uncorrected > uncorrected_before && is_due(desk, &gpu->ecc_said_s)) {
        snprintf(text, sizeof text, "%s: %llu uncorrected ECC errors", name, (unsigned long long)now->uncorrected);
        tell(desk, VWI_GPU_NEWS_FAULT, text);
    }
    for (i = 0; i < VWI_ARRAY_LEN(words) && (now->has & VWI_GPU_HAS_THROTTLE); i++)
        if (words[i].said && (now->throttle & words[i].bit) && is_due(desk, &gpu->slow_said_s)) {
            if (now->has & VWI_GPU_HAS_TEMPERATURE)
                snprintf(text, sizeof text, "%s is slowed down: %s at %u degrees Celsius", name, words[i].name, now->temperature_c);
            else
                snprintf(text, sizeof text, "%s is slowed down: %s", name, words[i].name);
            tell(desk, VWI_GPU_NEWS_FAULT, text);
        }
}

/* ---- who is who ---- */

static struct vwi_gpu *find_index(struct vwi_gpus *g, unsigned index)
{
    size_t i;

    for (i = 0; i < g->count; i++)
        if (g->items[i].now.index == index)
            return &g->items[i];
    return NULL;
}

static struct vwi_gpu *find_known(struct vwi_gpus *g, const struct vwi_gpu_reading *r)
{
    struct vwi_gpu *namesake = find_index(g, r->index);
    size_t i;

    for (i = 0; i < g->count && r->uuid[0]; i++)
        if (strcmp(g->items[i].now.uuid, r->uuid) == 0)
            return &g->items[i];
    if (namesake && r->uuid[0] && namesake->now.uuid[0])
        return NULL;
    return namesake; /* one of the two did not say who it is */
}

/* A GPU that was not there before: with its own index, or where that is another's label, with the next free one. */
static struct vwi_gpu *meet(struct vwi_gpus *g, const struct vwi_gpu_reading *r)
{
    struct vwi_gpu *gpu;
    unsigned index = r->index;

    while (find_index(g, index))
        index++;
    if (g->count == VWI_GPUS)
        return NULL;
    gpu = &g->items[g->count++];
    gpu->now.index = index;
    return gpu;
}

/* What is not told this time stays as it was, so that a lost GPU keeps its name. */
static void take_in(struct vwi_gpu *gpu, const struct vwi_gpu_reading *r)
{
    struct vwi_gpu_reading now = *r;

    now.index = gpu->now.index;
    if (!now.name[0])
        memcpy(now.name, gpu->now.name, sizeof now.name);
    if (!now.uuid[0])
        memcpy(now.uuid, gpu->now.uuid, sizeof now.uuid);
    gpu->now = now;
}

static void judge_one(const struct desk *desk, const struct vwi_gpu_reading *r)
{
    struct vwi_gpu *gpu = find_known(desk->g, r);
    uint64_t uncorrected_before;

    if (!gpu)
        gpu = meet(desk->g, r);
    if (!gpu) {
        desk->g->unlisted++;
        return;
    }
    uncorrected_before = gpu->now.uncorrected;
    take_in(gpu, r);
    gpu->seen = true;
    if (!judge_xids(desk, gpu, r))
        judge_answer(desk, gpu);
    judge_values(desk, gpu, uncorrected_before);
}

static void say_found(const struct desk *desk, const struct vwi_gpu_look *look)
{
    char text[VWI_GPU_SENTENCE], more[64] = "";

    if (desk->g->found)
        return;
    desk->g->found = true;
    if (!look->listed) {
        tell(desk, VWI_GPU_NEWS_ABSENT, "the driver lists no GPU");
        return;
    }
    if (look->listed > look->count)
        snprintf(more, sizeof more, ", of which %u are not looked at", look->listed - look->count);
    snprintf(text, sizeof text, "%u GPU%s watched%s%s%s", look->listed, look->listed == 1 ? " is" : "s are", more,
             look->count && look->gpus[0].name[0] ? ": " : "", look->count ? look->gpus[0].name : "");
    tell(desk, VWI_GPU_NEWS_FOUND, text);
}

/* ---- looks ---- */

static void be_in_trouble(const struct desk *desk, const char *text, bool hung)
{
    if (strcmp(desk->g->trouble, text) == 0)
        return;
    snprintf(desk->g->trouble, sizeof desk->g->trouble, "%s", text);
    desk->g->hung = hung;
    tell(desk, VWI_GPU_NEWS_TROUBLE, text);
}

static void be_well(const struct desk *desk)
{
    if (!desk->g->trouble[0])
        return;
    desk->g->trouble[0] = '\0';
    desk->g->hung = false;
    tell(desk, VWI_GPU_NEWS_WELL, "NVML answers again");
}

static void judge_all(const struct desk *desk, const struct vwi_gpu_look *look)
{
    struct vwi_gpus *g = desk->g;
    size_t i;

    for (i = 0; i < g->count; i++)
        g->items[i].seen = false;
    g->unlisted = look->listed - look->count;
    g->strays += look->strays;
    for (i = 0; i < look->count; i++)
        judge_one(desk, &look->gpus[i]);
    for (i = 0; i < g->count; i++)
        if (!g->items[i].seen) {
            g->items[i].now.has = 0;
            lose(desk, &g->items[i], "has fallen off the bus", "the driver lists it no more");
        }
}

void vwi_gpus_judge(struct vwi_gpus *g, const struct vwi_gpu_look *look, double now_s, vwi_gpu_news_fn fn, void *arg)
{
    const struct desk desk = { g, now_s, fn, arg };
    char text[VWI_GPU_SENTENCE];

    switch (look->outcome) {
    case VWI_GPU_ABSENT:
        g->there = g->hung = false;
        g->trouble[0] = '\0';
        tell(&desk, VWI_GPU_NEWS_ABSENT, look->trouble);
        return;
    case VWI_GPU_TROUBLE:
        snprintf(text, sizeof text, "NVML cannot be used, GPUs are not watched: %.180s", look->trouble);
        be_in_trouble(&desk, text, false);
        break;
    case VWI_GPU_SEEN:
        be_well(&desk);
        say_found(&desk, look);
        judge_all(&desk, look);
        break;
    }
    g->there = true;
}

void vwi_gpus_wait(struct vwi_gpus *g, const char *call, double waited_s, vwi_gpu_news_fn fn, void *arg)
{
    const struct desk desk = { g, 0, fn, arg };
    bool starts = call && strcmp(call, "nvmlInit") == 0;
    char text[VWI_GPU_SENTENCE];

    if (!call || g->hung || waited_s < (starts ? VWI_GPU_HUNG_START_S : VWI_GPU_HUNG_S))
        return;
    snprintf(text, sizeof text, "NVML has not answered for %.0f s (%s): the driver may hang", waited_s, call);
    g->there = true;
    be_in_trouble(&desk, text, true);
}

const char *vwi_gpus_lost(const struct vwi_gpus *g)
{
    size_t i;

    for (i = 0; i < g->count; i++)
        if (g->items[i].lost)
            return g->items[i].finding;
    return NULL;
}

bool vwi_gpus_ask_anew(const struct vwi_gpus *g)
{
    size_t i;

    for (i = 0; i < g->count; i++)
        if (g->items[i].lost || g->items[i].now.answer != VWI_GPU_ANSWERS)
            return true;
    return false;
}

bool vwi_gpu_is_up(const struct vwi_gpus *g, const struct vwi_gpu *gpu)
{
    return !g->trouble[0] && !gpu->lost && gpu->now.answer == VWI_GPU_ANSWERS;
}
