/*
 * What the looks at the GPUs come to: which are well, which are lost, what has to be said. Looks in, news and texts out; it touches
 * nothing. The table of Xids and every sentence a reader sees are in gpu.c; docs/gpu.md is the page for people.
 */
#ifndef VWI_CORE_GPU_H
#define VWI_CORE_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/gpu_look.h"
#include "base/text.h"

#define VWI_GPU_SENTENCE 256
#define VWI_GPU_KINDS 16u         /* of Xids that are counted apart for one GPU; the rest is "other" */
#define VWI_GPU_HUNG_S 5.0        /* the library owes an answer for so long: a finding */
#define VWI_GPU_HUNG_START_S 30.0 /* the same while it starts, since it may have to wake the GPUs up */
#define VWI_GPU_REPEAT_S 600.0    /* what goes on is said again after so long, at the earliest */

enum vwi_gpu_news {
    VWI_GPU_NEWS_FOUND,   /* what is watched; once */
    VWI_GPU_NEWS_ABSENT,  /* nothing is to be watched */
    VWI_GPU_NEWS_TROUBLE, /* the library cannot be used, or does not answer */
    VWI_GPU_NEWS_WELL,    /* that is over */
    VWI_GPU_NEWS_GONE,    /* a GPU is lost: an error of the worker */
    VWI_GPU_NEWS_BROKEN,  /* an Xid after which a GPU has to be reset: an error of the worker; said for each one */
    VWI_GPU_NEWS_FAILS,   /* a GPU does not answer; a finding */
    VWI_GPU_NEWS_BACK,    /* a GPU that was lost or did not answer does */
    VWI_GPU_NEWS_FAULT,   /* an Xid that says nothing against the GPU, ECC errors, a slowdown: a line, at most now and then */
};

typedef void (*vwi_gpu_news_fn)(void *arg, enum vwi_gpu_news news, const char *text);

struct vwi_gpu_kind {
    uint32_t xid;
    uint64_t count;
};

/* What is known of one GPU. */
struct vwi_gpu {
    struct vwi_gpu_reading now; /* the last; index is the one it was first seen with */
    bool lost, broken, seen;        /* seen: in the look that is being judged */
    char finding[VWI_GPU_SENTENCE]; /* why it is lost, broken or does not answer; "" */
    size_t kind_count;
    struct vwi_gpu_kind kinds[VWI_GPU_KINDS];
    uint64_t other_xids;
    double xid_said_s, ecc_said_s, slow_said_s; /* 0: never */
};

struct vwi_gpus {
    bool there; /* there is a library */
    bool found; /* and it has said what GPUs it sees */
    char trouble[VWI_GPU_SENTENCE];
    bool hung;  /* trouble is that it does not answer */
    unsigned unlisted; /* beyond VWI_GPUS */
    uint64_t strays;   /* Xids of no GPU that is known */
    size_t count;
    struct vwi_gpu items[VWI_GPUS];
};

/* Zero it once. now_s: any monotonic clock in seconds, above 0, the same one in every call. fn is called for what is new. */
void vwi_gpus_judge(struct vwi_gpus *g, const struct vwi_gpu_look *look, double now_s, vwi_gpu_news_fn fn, void *arg);
/* Between looks: call is what the library is in for waited_s; NULL: in none. */
void vwi_gpus_wait(struct vwi_gpus *g, const char *call, double waited_s, vwi_gpu_news_fn fn, void *arg);

const char *vwi_gpus_lost(const struct vwi_gpus *g); /* why the first of those that are lost is; NULL: none is */
bool vwi_gpus_ask_anew(const struct vwi_gpus *g);    /* only a library that is started anew can tell better */
bool vwi_gpu_is_up(const struct vwi_gpus *g, const struct vwi_gpu *gpu);
bool vwi_gpu_xid_is_fatal(uint32_t xid);

/* Words for bits of enum vwi_gpu_throttle: the nth, NULL behind the last. */
const char *vwi_gpu_throttle_name(size_t nth, uint64_t *ret_bit);

/* The members "gpus" and "nvml" of /health, each begun with ", "; nothing where there is no library. */
void vwi_gpus_add_health(const struct vwi_gpus *g, struct vwi_text *out);

#endif
