#include "fake_nvml.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, TIMEOUT = 10, LOST = 15, NEEDS_RESET = 16, MISMATCH = 18, UNKNOWN = 999 };

struct device {
    unsigned number; /* for good; an index counts only those that are listed */
    bool was_lost;
};

struct memory {
    unsigned long long total, free, used;
};

struct utilization {
    unsigned gpu, memory;
};

struct event {
    void *device;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
};

EXPORT struct fake_nvml fake_nvml = { .gpus = 2, .temperature = 61, .utilization = 75, .used = 3u << 20 };

static struct device devices[FAKE_GPUS];
static atomic_bool started;

/* Prototypes, since the real header is not there to have them. */
EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT const char *nvmlErrorString(int code);
EXPORT int nvmlDeviceGetCount_v2(unsigned *count);
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
EXPORT int nvmlDeviceGetName(void *device, char *name, unsigned size);
EXPORT int nvmlDeviceGetUUID(void *device, char *uuid, unsigned size);
EXPORT int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory);
EXPORT int nvmlDeviceGetUtilizationRates(void *device, struct utilization *utilization);
EXPORT int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius);
EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *reasons);
EXPORT int nvmlDeviceGetTotalEccErrors(void *device, int kind, int counter, unsigned long long *count);
EXPORT int nvmlEventSetCreate(void **set);
EXPORT int nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set);
EXPORT int nvmlEventSetWait_v2(void *set, struct event *event, unsigned timeout_ms);
EXPORT int nvmlEventSetFree(void *set);

static void hang_in(int where)
{
    const struct timespec ts = { 0, 1000000 };

    if (fake_nvml.hang != where)
        return;
    fake_nvml.hanging++;
    while (fake_nvml.hang == where)
        nanosleep(&ts, NULL);
    fake_nvml.hanging--;
}

static bool has(unsigned long bits, unsigned number) { return number < 8 * sizeof bits && (bits >> number & 1); }

/* What any call for this GPU answers first. */
static int reach(const struct device *device)
{
    struct device *own = &devices[device->number];

    if (!started)
        return UNINITIALIZED;
    if (has(fake_nvml.lost, device->number) || has(fake_nvml.unlisted, device->number))
        own->was_lost = true;
    if (own->was_lost)
        return LOST;
    if (has(fake_nvml.needy, device->number))
        return NEEDS_RESET;
    return has(fake_nvml.failing, device->number) ? UNKNOWN : OK;
}

int nvmlInit_v2(void)
{
    const char *hang = getenv("FAKE_NVML_HANG"); /* for processes of their own */
    unsigned i;

    fake_nvml.inits++;
    if (hang)
        fake_nvml.hang = FAKE_HANGS_IN_MEMORY;
    hang_in(FAKE_HANGS_IN_INIT);
    if (fake_nvml.init_code != OK)
        return fake_nvml.init_code;
    for (i = 0; i < FAKE_GPUS; i++)
        devices[i] = (struct device){ i, false };
    started = true;
    return OK;
}

int nvmlShutdown(void)
{
    fake_nvml.shutdowns++;
    started = false;
    return OK;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    unsigned i;

    for (i = *count = 0; i < fake_nvml.gpus; i++)
        *count += !has(fake_nvml.unlisted, i);
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    unsigned i, nth = 0;

    for (i = 0; i < fake_nvml.gpus; i++) {
        if (has(fake_nvml.unlisted, i) || nth++ != index)
            continue;
        *device = &devices[i];
        if (has(fake_nvml.denied, i))
            return NO_PERMISSION;
        return has(fake_nvml.lost, i) ? LOST : OK;
    }
    return INVALID;
}

int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory)
{
    int code;

    fake_nvml.looks++;
    hang_in(FAKE_HANGS_IN_MEMORY);
    code = reach(device);
    if (code == OK)
        *memory = (struct memory){ 80ull << 30, (80ull << 30) - fake_nvml.used, fake_nvml.used };
    return code;
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius)
{
    int code = sensor == 0 ? reach(device) : INVALID;

    if (code == OK)
        *celsius = fake_nvml.temperature;
    return code;
}

#ifndef OLD_DRIVER

static int event_set;

const char *nvmlErrorString(int code)
{
    switch (code) {
    case LOST:
        return "GPU is lost";
    case NEEDS_RESET:
        return "GPU requires reset";
    case MISMATCH:
        return "Driver/library version mismatch";
    case 9:
        return "Driver Not Loaded";
    default:
        return "Unknown Error";
    }
}

int nvmlDeviceGetName(void *device, char *name, unsigned size)
{
    snprintf(name, size, "NVIDIA H100");
    return reach(device);
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned size)
{
    snprintf(uuid, size, "GPU-%08u", ((struct device *)device)->number);
    return reach(device) == LOST ? LOST : OK;
}

/* A MIG slice has none; the last GPU stands for one. */
int nvmlDeviceGetUtilizationRates(void *device, struct utilization *utilization)
{
    int code = reach(device);

    utilization->gpu = fake_nvml.utilization;
    return code == OK && ((struct device *)device)->number == FAKE_GPUS - 1 ? NOT_SUPPORTED : code;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *reasons)
{
    *reasons = fake_nvml.throttle;
    return reach(device);
}

int nvmlDeviceGetTotalEccErrors(void *device, int kind, int counter, unsigned long long *count)
{
    if (counter != 0)
        return INVALID;
    *count = kind ? fake_nvml.uncorrected : fake_nvml.corrected;
    return reach(device);
}

int nvmlEventSetCreate(void **set)
{
    *set = &event_set;
    return OK;
}

int nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set)
{
    return set == (void *)&event_set && types == 8 ? reach(device) : INVALID;
}

int nvmlEventSetWait_v2(void *set, struct event *event, unsigned timeout_ms)
{
    unsigned at = fake_nvml.xid_tail;

    if (set != (void *)&event_set || timeout_ms == 0)
        return INVALID;
    if (at == fake_nvml.xid_head)
        return TIMEOUT;
    memset(event, 0, sizeof *event);
    event->type = 8;
    event->data = fake_nvml.xids[at % FAKE_XIDS].xid;
    event->device = fake_nvml.xids[at % FAKE_XIDS].gpu < FAKE_GPUS ? &devices[fake_nvml.xids[at % FAKE_XIDS].gpu] : NULL;
    fake_nvml.xid_tail = at + 1;
    return OK;
}

/* What was not waited for is gone. */
int nvmlEventSetFree(void *set)
{
    fake_nvml.xid_tail = fake_nvml.xid_head;
    return set == (void *)&event_set ? OK : INVALID;
}

#endif
