/*
 * What outlives the process: a record for each request that the control plane expects to hear of, from its start until its deletion was
 * acknowledged, in memory the caller gives (a mapped file). A process that is killed leaves it as it is, and the next one reads it.
 * A record is a few plain stores and always either there or not: the last store is the one that makes it count.
 */
#ifndef VWI_CORE_JOURNAL_H
#define VWI_CORE_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "core/deletion.h"

#define VWI_JOURNAL_RECORDS 4096 /* of a worker; tests take fewer */

struct vwi_journal;

/* What the memory held before. Of all but KEPT nothing is left. */
enum vwi_journal_found {
    VWI_JOURNAL_NEW,          /* zeros */
    VWI_JOURNAL_KEPT,         /* a journal of this worker */
    VWI_JOURNAL_OF_ANOTHER,   /* of another worker id */
    VWI_JOURNAL_OTHER_LAYOUT, /* of another version, size or kind of machine */
    VWI_JOURNAL_FOREIGN       /* no journal at all, or a damaged one */
};

size_t vwi_journal_bytes(size_t records);
/* region: borrowed until destroy, aligned as for uint64_t; bytes: from vwi_journal_bytes(), with at least one record. */
vw_err vwi_journal_create(void *region, size_t bytes, long long worker_id, struct vwi_journal **ret, enum vwi_journal_found *ret_found,
                          vw_error_t *why);
void vwi_journal_destroy(struct vwi_journal *j); /* what is in the region stays; NULL is fine */

/*
 * Once, before anything is recorded: calls fn for each record of the earlier process, oldest first, with what is to be told of it. What was
 * in flight then has failed, at now_s; what was settled is told as it was. All of them stay until they are released.
 */
size_t vwi_journal_recover(struct vwi_journal *j, double now_s, void (*fn)(void *arg, const struct vwi_deletion *deletion), void *arg);

/* A request started. Returns its ticket, never 0. When no record is free the oldest is dropped and counted: the newest win. */
uint64_t vwi_journal_acquire(struct vwi_journal *j, long long request_idx, double entered_s);
/* A ticket of 0 or of a record that was dropped does nothing. */
void vwi_journal_run(struct vwi_journal *j, uint64_t ticket, double started_s);
void vwi_journal_settle(struct vwi_journal *j, uint64_t ticket, const struct vwi_deletion *deletion); /* its status, success and times */
void vwi_journal_release(struct vwi_journal *j, uint64_t ticket);

size_t vwi_journal_count(const struct vwi_journal *j);
uint64_t vwi_journal_dropped(const struct vwi_journal *j);
uint64_t vwi_journal_damaged(const struct vwi_journal *j); /* records found that were none of ours */

#endif
