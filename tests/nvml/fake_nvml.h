/*
 * A stand-in for NVIDIA's management library, told what to do through one exported struct: fake_nvml. Who opens the same file in the
 * same process has the same struct. As with the real one, a GPU that was lost stays lost to whoever held it until the library is
 * started anew.
 */
#ifndef VWT_FAKE_NVML_H
#define VWT_FAKE_NVML_H

#include <stdatomic.h>

#define FAKE_GPUS 40
#define FAKE_XIDS 64

enum fake_hang { FAKE_HANGS_NOT, FAKE_HANGS_IN_MEMORY, FAKE_HANGS_IN_INIT };

struct fake_nvml {
    atomic_uint gpus;              /* how many there are; 2 */
    atomic_int init_code;          /* what nvmlInit_v2 answers */
    atomic_int hang;               /* enum fake_hang; ends when it is set back */
    atomic_int hanging;            /* calls that hang now */
    atomic_ulong lost;             /* bits of GPUs that are lost */
    atomic_ulong unlisted;         /* of those that are not even counted any more */
    atomic_ulong denied;           /* of those that are counted and belong to others */
    atomic_ulong failing, needy;   /* of those that answer with an unknown error; that need a reset */
    atomic_uint temperature, utilization;
    atomic_ullong throttle, corrected, uncorrected, used;
    atomic_uint inits, shutdowns, looks; /* calls: looks at memory */
    atomic_uint xid_head, xid_tail;
    struct { unsigned gpu; unsigned xid; } xids[FAKE_XIDS]; /* from tail to head; a gpu that is none: a stray */
};

#endif
