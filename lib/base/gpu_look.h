/*
 * One look at the GPUs, as io/nvml takes it and core/gpu judges it: plain data, so that neither has to know the other.
 */
#ifndef VWI_BASE_GPU_LOOK_H
#define VWI_BASE_GPU_LOOK_H

#include <stdint.h>

#define VWI_GPUS 32u     /* more are counted, not looked at */
#define VWI_GPU_XIDS 16u /* of one GPU in one look; more are counted */
#define VWI_GPU_NAME 96
#define VWI_GPU_SAID 96

enum vwi_gpu_answer {
    VWI_GPU_ANSWERS,
    VWI_GPU_LOST,        /* not reachable any more */
    VWI_GPU_NEEDS_RESET, /* there, but not to be used before a reset */
    VWI_GPU_FAILS,       /* some other failure where a GPU that is well gives none */
};

/* Which values were to be had. */
enum vwi_gpu_has {
    VWI_GPU_HAS_MEMORY = 1u << 0,
    VWI_GPU_HAS_UTILIZATION = 1u << 1,
    VWI_GPU_HAS_TEMPERATURE = 1u << 2,
    VWI_GPU_HAS_THROTTLE = 1u << 3,
    VWI_GPU_HAS_CORRECTED = 1u << 4,
    VWI_GPU_HAS_UNCORRECTED = 1u << 5,
};

/* Why clocks are lower than they could be; the driver's own bits. Idleness and clocks that somebody set are not among them. */
enum vwi_gpu_throttle {
    VWI_GPU_SW_POWER_CAP = 1u << 2,
    VWI_GPU_HW_SLOWDOWN = 1u << 3,
    VWI_GPU_SYNC_BOOST = 1u << 4,
    VWI_GPU_SW_THERMAL = 1u << 5,
    VWI_GPU_HW_THERMAL = 1u << 6,
    VWI_GPU_HW_POWER_BRAKE = 1u << 7,
};

struct vwi_gpu_reading {
    unsigned index;                 /* as the driver counts them now */
    char name[VWI_GPU_NAME], uuid[VWI_GPU_NAME]; /* "" where not to be had */
    enum vwi_gpu_answer answer;
    char said[VWI_GPU_SAID];        /* what the driver calls a failure; "" when it answers */
    unsigned has;                   /* bits of enum vwi_gpu_has */
    uint64_t memory_used, memory_total; /* bytes */
    double utilization;             /* 0 to 1 */
    unsigned temperature_c;
    uint64_t throttle;              /* bits of enum vwi_gpu_throttle, and others */
    uint64_t corrected, uncorrected; /* ECC errors since the driver was loaded */
    unsigned xid_count;             /* since the last look */
    uint32_t xids[VWI_GPU_XIDS];
    uint64_t xids_over;             /* for which there was no room */
};

enum vwi_gpu_outcome {
    VWI_GPU_ABSENT,  /* no library or no driver here, and there will be none: the last look */
    VWI_GPU_TROUBLE, /* it is there and cannot be used: trouble says why */
    VWI_GPU_SEEN,
};

struct vwi_gpu_look {
    enum vwi_gpu_outcome outcome;
    char trouble[256];
    unsigned listed;  /* by the driver */
    unsigned count;   /* of gpus[] */
    uint64_t strays;  /* Xids of a GPU that is not in the list */
    struct vwi_gpu_reading gpus[VWI_GPUS];
};

#endif
