/* What /delete_requests/ is to be told: a bounded ring in order of settling. Entries are known by serial, not by request_idx. */
#ifndef VWI_CORE_DELETION_H
#define VWI_CORE_DELETION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vastworker/err.h>

enum vwi_deletion_status { VWI_DELETION_SUCCESS, VWI_DELETION_ERROR, VWI_DELETION_CANCELLED, VWI_DELETION_REJECTED };

struct vwi_deletion {
    uint64_t serial; /* given by the ring, from 1, without gaps */
    long long request_idx;
    enum vwi_deletion_status status;
    bool success;
    double entered_s, started_s, completed_s; /* epoch; 0.0: never happened */
    uint64_t ticket;                          /* of its record in the journal; 0: none */
};

struct vwi_deletions;

vw_err vwi_deletions_create(size_t max, struct vwi_deletions **ret);
void vwi_deletions_destroy(struct vwi_deletions *ring);
/* Copied. When max are there the oldest is dropped and counted; when memory is short, up to 64 of the oldest. */
void vwi_deletions_add(struct vwi_deletions *ring, const struct vwi_deletion *deletion);
size_t vwi_deletions_peek(const struct vwi_deletions *ring, size_t max, struct vwi_deletion *ret); /* oldest first */
const struct vwi_deletion *vwi_deletions_nth(const struct vwi_deletions *ring, size_t nth); /* 0: the oldest; NULL: not so many */
void vwi_deletions_drop(struct vwi_deletions *ring, uint64_t serial);                              /* up to and including */
size_t vwi_deletions_count(const struct vwi_deletions *ring);
uint64_t vwi_deletions_dropped(const struct vwi_deletions *ring); /* lost, never told */

#endif
