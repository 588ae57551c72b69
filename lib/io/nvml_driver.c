/*
 * What a driver does not have, it does not show: every symbol but the first few may be missing, every value may be refused. The odd
 * thing: the library stays mapped for good (RTLD_NODELETE), since it may have left destructors with the thread that used it.
 */
#include "io/nvml_driver.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/vwi.h"

#define EVENTS_AT_ONCE 64
#define EVENT_XID 0x8ull

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NO_PERMISSION = 4, DRIVER_NOT_LOADED = 9, NO_FUNCTION = 13, GPU_IS_LOST = 15, RESET_REQUIRED = 16 };
enum { SENSOR_GPU = 0, ECC_CORRECTED = 0, ECC_UNCORRECTED = 1, ECC_VOLATILE = 0 };

struct memory {
    unsigned long long total, free, used;
};

struct utilization {
    unsigned gpu, memory; /* per cent */
};

struct event {
    void *device;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance; /* not of the first version, which leaves them alone */
};

struct calls {
    int (*init)(void);
    int (*count)(unsigned *count);
    int (*by_index)(unsigned index, void **device);
    int (*shutdown)(void);
    const char *(*error)(int code);
    int (*name)(void *device, char *name, unsigned size);
    int (*uuid)(void *device, char *uuid, unsigned size);
    int (*memory)(void *device, struct memory *memory);
    int (*utilization)(void *device, struct utilization *utilization);
    int (*temperature)(void *device, int sensor, unsigned *celsius);
    int (*throttle)(void *device, unsigned long long *reasons);
    int (*ecc)(void *device, int kind, int counter, unsigned long long *count);
    int (*set_create)(void **set);
    int (*set_register)(void *device, unsigned long long types, void *set);
    int (*set_wait)(void *set, struct event *event, unsigned timeout_ms);
    int (*set_free)(void *set);
};

#define CALL(member) offsetof(struct calls, member)
static const struct symbol {
    const char *name, *other; /* other: a name it had or has elsewhere; NULL: none */
    size_t at;
    bool needed;
} symbols[] = {
    { "nvmlInit_v2", NULL, CALL(init), true },
    { "nvmlDeviceGetCount_v2", NULL, CALL(count), true },
    { "nvmlDeviceGetHandleByIndex_v2", NULL, CALL(by_index), true },
    { "nvmlShutdown", NULL, CALL(shutdown), true },
    { "nvmlErrorString", NULL, CALL(error), false },
    { "nvmlDeviceGetName", NULL, CALL(name), false },
    { "nvmlDeviceGetUUID", NULL, CALL(uuid), false },
    { "nvmlDeviceGetMemoryInfo", NULL, CALL(memory), false },
    { "nvmlDeviceGetUtilizationRates", NULL, CALL(utilization), false },
    { "nvmlDeviceGetTemperature", NULL, CALL(temperature), false },
    { "nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetCurrentClocksEventReasons", CALL(throttle), false },
    { "nvmlDeviceGetTotalEccErrors", NULL, CALL(ecc), false },
    { "nvmlEventSetCreate", NULL, CALL(set_create), false },
    { "nvmlDeviceRegisterEvents", NULL, CALL(set_register), false },
    { "nvmlEventSetWait_v2", "nvmlEventSetWait", CALL(set_wait), false },
    { "nvmlEventSetFree", NULL, CALL(set_free), false },
};

struct device {
    unsigned index;
    void *handle; /* NULL: it was not to be had, and code says why */
    int code;
    char name[VWI_GPU_NAME], uuid[VWI_GPU_NAME];
    unsigned xid_count;
    uint32_t xids[VWI_GPU_XIDS];
    uint64_t xids_over;
};

struct vwi_nvml_driver {
    char *library;
    struct vwi_nvml_beat *beat;
    void *dl;
    struct calls calls;
    bool started, was_started; /* now; ever */
    void *events;              /* NULL: none are told */
    unsigned listed, count, before_count;
    uint64_t strays;
    struct device devices[VWI_GPUS], before[VWI_GPUS]; /* before: those of the last start */
};

/* ---- calls that may not come back ---- */

static void begin(struct vwi_nvml_driver *d, const char *call)
{
    atomic_store(&d->beat->call, call);
    atomic_store(&d->beat->since_us, vwi_mono_us());
}

static int end(struct vwi_nvml_driver *d, int code)
{
    atomic_store(&d->beat->since_us, 0);
    return code;
}

#define ASK(d, text, member, ...) \
    ((d)->calls.member ? (begin(d, text), end(d, (d)->calls.member(__VA_ARGS__))) : NO_FUNCTION)

static void say(const struct vwi_nvml_driver *d, int code, char said[VWI_GPU_SAID])
{
    const char *text = d->calls.error ? d->calls.error(code) : NULL; /* a table, no call of the driver */

    if (text)
        snprintf(said, VWI_GPU_SAID, "%s", text);
    else
        snprintf(said, VWI_GPU_SAID, "error %d", code);
}

/* ---- opening ---- */

static bool find_symbols(struct vwi_nvml_driver *d, struct vwi_gpu_look *ret)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(symbols); i++) {
        void *at = dlsym(d->dl, symbols[i].name);

        if (!at && symbols[i].other)
            at = dlsym(d->dl, symbols[i].other);
        if (!at && symbols[i].needed) {
            snprintf(ret->trouble, sizeof ret->trouble, "%s has no %s: it is too old, or another library", d->library, symbols[i].name);
            return false;
        }
        memcpy((char *)&d->calls + symbols[i].at, &at, sizeof at);
    }
    return true;
}

static bool open_library(struct vwi_nvml_driver *d, struct vwi_gpu_look *ret)
{
    const char *text;

    begin(d, "dlopen");
    d->dl = dlopen(d->library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    end(d, SUCCESS);
    if (!d->dl) {
        text = dlerror();
        ret->outcome = VWI_GPU_ABSENT;
        snprintf(ret->trouble, sizeof ret->trouble, "%s", text ? text : d->library);
        return false;
    }
    if (find_symbols(d, ret))
        return true;
    dlclose(d->dl);
    d->dl = NULL;
    return false;
}

/* ---- starting ---- */

static void watch_events(struct vwi_nvml_driver *d)
{
    unsigned i, watched = 0;

    if (!d->calls.set_wait || !d->calls.set_free || ASK(d, "nvmlEventSetCreate", set_create, &d->events) != SUCCESS) {
        d->events = NULL;
        return;
    }
    for (i = 0; i < d->count; i++)
        watched += d->devices[i].handle &&
                   ASK(d, "nvmlDeviceRegisterEvents", set_register, d->devices[i].handle, EVENT_XID, d->events) == SUCCESS;
    if (watched)
        return;
    ASK(d, "nvmlEventSetFree", set_free, d->events);
    d->events = NULL;
}

static struct device *find_heir(struct vwi_nvml_driver *d, const struct device *old)
{
    unsigned i;

    for (i = 0; i < d->count; i++)
        if (d->devices[i].uuid[0] ? strcmp(d->devices[i].uuid, old->uuid) == 0 : d->devices[i].index == old->index)
            return &d->devices[i];
    return NULL;
}

/* A GPU that was started anew keeps the Xids that were not told yet. */
static void hand_down_xids(struct vwi_nvml_driver *d)
{
    unsigned i;

    for (i = 0; i < d->before_count; i++) {
        const struct device *old = &d->before[i];
        struct device *heir = find_heir(d, old);

        if (heir && old->xid_count + old->xids_over > 0) {
            heir->xid_count = old->xid_count;
            heir->xids_over = old->xids_over;
            memcpy(heir->xids, old->xids, sizeof heir->xids);
        } else {
            d->strays += old->xid_count + old->xids_over;
        }
    }
}

/* False: it is counted and not ours, as the others of a machine are in a container. */
static bool meet_device(struct vwi_nvml_driver *d, unsigned index, struct device *device)
{
    memset(device, 0, sizeof *device);
    device->index = index;
    device->code = ASK(d, "nvmlDeviceGetHandleByIndex", by_index, index, &device->handle);
    if (device->code != SUCCESS) {
        device->handle = NULL;
        return device->code != NO_PERMISSION;
    }
    if (ASK(d, "nvmlDeviceGetName", name, device->handle, device->name, sizeof device->name) != SUCCESS)
        device->name[0] = '\0';
    if (ASK(d, "nvmlDeviceGetUUID", uuid, device->handle, device->uuid, sizeof device->uuid) != SUCCESS)
        device->uuid[0] = '\0';
    device->name[sizeof device->name - 1] = device->uuid[sizeof device->uuid - 1] = '\0';
    return true;
}

static void list_devices(struct vwi_nvml_driver *d, unsigned counted)
{
    unsigned i;

    memcpy(d->before, d->devices, sizeof d->before);
    d->before_count = d->count;
    d->listed = counted;
    d->count = 0;
    for (i = 0; i < counted && d->count < VWI_GPUS; i++)
        if (meet_device(d, i, &d->devices[d->count]))
            d->count++;
        else
            d->listed--;
    hand_down_xids(d);
}

static bool start(struct vwi_nvml_driver *d, struct vwi_gpu_look *ret)
{
    const char *call = "nvmlInit";
    char said[VWI_GPU_SAID];
    unsigned counted = 0;
    int code = ASK(d, "nvmlInit", init);

    if (code == SUCCESS) {
        d->started = true;
        call = "nvmlDeviceGetCount";
        code = ASK(d, "nvmlDeviceGetCount", count, &counted);
    }
    if (code != SUCCESS) {
        say(d, code, said);
        ret->outcome = code == DRIVER_NOT_LOADED && !d->was_started ? VWI_GPU_ABSENT : VWI_GPU_TROUBLE;
        snprintf(ret->trouble, sizeof ret->trouble, "%s: %s", call, said);
        return false;
    }
    d->was_started = true;
    list_devices(d, counted);
    watch_events(d);
    return true;
}

static void shut_down(struct vwi_nvml_driver *d)
{
    if (d->events)
        ASK(d, "nvmlEventSetFree", set_free, d->events);
    d->events = NULL;
    if (d->started)
        ASK(d, "nvmlShutdown", shutdown);
    d->started = false;
}

/* ---- looking ---- */

static bool is_refusal(int code) { return code == NOT_SUPPORTED || code == NO_PERMISSION || code == NO_FUNCTION; }

/* What one call said: whether there is a value, and what a failure tells of the GPU. */
static bool take(const struct vwi_nvml_driver *d, int code, bool sure, struct vwi_gpu_reading *r)
{
    enum vwi_gpu_answer answer = code == GPU_IS_LOST ? VWI_GPU_LOST : code == RESET_REQUIRED ? VWI_GPU_NEEDS_RESET : VWI_GPU_FAILS;

    if (code == SUCCESS)
        return true;
    if (r->answer == VWI_GPU_ANSWERS && !is_refusal(code) && (sure || answer != VWI_GPU_FAILS)) {
        r->answer = answer;
        say(d, code, r->said);
    }
    return false;
}

static void read_ecc(struct vwi_nvml_driver *d, void *handle, struct vwi_gpu_reading *r)
{
    unsigned long long count = 0;

    if (take(d, ASK(d, "nvmlDeviceGetTotalEccErrors", ecc, handle, ECC_CORRECTED, ECC_VOLATILE, &count), false, r)) {
        r->has |= VWI_GPU_HAS_CORRECTED;
        r->corrected = count;
    }
    if (take(d, ASK(d, "nvmlDeviceGetTotalEccErrors", ecc, handle, ECC_UNCORRECTED, ECC_VOLATILE, &count), false, r)) {
        r->has |= VWI_GPU_HAS_UNCORRECTED;
        r->uncorrected = count;
    }
}

static void read_values(struct vwi_nvml_driver *d, void *handle, struct vwi_gpu_reading *r)
{
    struct memory memory = { 0, 0, 0 };
    struct utilization utilization = { 0, 0 };
    unsigned long long reasons = 0;

    if (take(d, ASK(d, "nvmlDeviceGetMemoryInfo", memory, handle, &memory), true, r)) {
        r->has |= VWI_GPU_HAS_MEMORY;
        r->memory_used = memory.used;
        r->memory_total = memory.total;
    }
    if (take(d, ASK(d, "nvmlDeviceGetUtilizationRates", utilization, handle, &utilization), false, r)) {
        r->has |= VWI_GPU_HAS_UTILIZATION;
        r->utilization = utilization.gpu / 100.0;
    }
    if (take(d, ASK(d, "nvmlDeviceGetTemperature", temperature, handle, SENSOR_GPU, &r->temperature_c), false, r))
        r->has |= VWI_GPU_HAS_TEMPERATURE;
    if (take(d, ASK(d, "nvmlDeviceGetCurrentClocksThrottleReasons", throttle, handle, &reasons), false, r)) {
        r->has |= VWI_GPU_HAS_THROTTLE;
        r->throttle = reasons;
    }
    read_ecc(d, handle, r);
}

static void read_device(struct vwi_nvml_driver *d, struct device *device, struct vwi_gpu_reading *r)
{
    r->index = device->index;
    memcpy(r->name, device->name, sizeof r->name);
    memcpy(r->uuid, device->uuid, sizeof r->uuid);
    if (take(d, device->code, true, r))
        read_values(d, device->handle, r);
    else if (r->answer == VWI_GPU_ANSWERS) {
        r->answer = VWI_GPU_FAILS; /* it is listed, and may not be touched */
        say(d, device->code, r->said);
    }
    r->xid_count = device->xid_count;
    memcpy(r->xids, device->xids, sizeof r->xids);
    r->xids_over = device->xids_over;
    device->xid_count = 0;
    device->xids_over = 0;
}

void vwi_nvml_driver_look(struct vwi_nvml_driver *d, bool renew, struct vwi_gpu_look *ret)
{
    unsigned i;

    memset(ret, 0, sizeof *ret);
    ret->outcome = VWI_GPU_TROUBLE;
    (void)vwi_nvml_driver_has_news(d);
    if (renew)
        shut_down(d);
    if (!d->dl && !open_library(d, ret))
        return;
    if (!d->started && !start(d, ret)) {
        shut_down(d);
        return;
    }
    ret->outcome = VWI_GPU_SEEN;
    ret->listed = d->listed;
    ret->count = d->count;
    ret->strays = d->strays;
    d->strays = 0;
    for (i = 0; i < d->count; i++)
        read_device(d, &d->devices[i], &ret->gpus[i]);
}

/* ---- Xids ---- */

static void keep_xid(struct vwi_nvml_driver *d, const struct event *event)
{
    unsigned i = 0;
    struct device *device;

    while (i < d->count && (!d->devices[i].handle || d->devices[i].handle != event->device))
        i++;
    if (i == d->count) {
        d->strays++;
        return;
    }
    device = &d->devices[i];
    if (device->xid_count < VWI_GPU_XIDS)
        device->xids[device->xid_count++] = (uint32_t)event->data;
    else
        device->xids_over++;
}

bool vwi_nvml_driver_has_news(struct vwi_nvml_driver *d)
{
    struct event event = { 0 };
    unsigned kept = 0;
    int code = SUCCESS;

    /* 1 ms: to some versions 0 means for ever */
    while (d->events && kept < EVENTS_AT_ONCE && (code = ASK(d, "nvmlEventSetWait", set_wait, d->events, &event, 1)) == SUCCESS) {
        if (event.type & EVENT_XID)
            keep_xid(d, &event);
        kept++;
    }
    return kept > 0 || code == GPU_IS_LOST;
}

/* ---- making ---- */

struct vwi_nvml_driver *vwi_nvml_driver_create(const char *library, struct vwi_nvml_beat *beat)
{
    struct vwi_nvml_driver *d = vwi_zalloc(sizeof *d);

    if (!d)
        return NULL;
    d->beat = beat;
    d->library = vwi_strdup(library);
    if (d->library)
        return d;
    vwi_free(d);
    return NULL;
}

void vwi_nvml_driver_close(struct vwi_nvml_driver *d)
{
    if (!d)
        return;
    shut_down(d);
    if (d->dl)
        dlclose(d->dl);
    vwi_free(d->library);
    vwi_free(d);
}
