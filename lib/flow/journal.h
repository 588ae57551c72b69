/* stateDir/journal: opened where reports are sent, read once at the start, kept until the end. Without one the worker runs on. */
#ifndef VWI_FLOW_JOURNAL_H
#define VWI_FLOW_JOURNAL_H

#include "base/log.h"
#include "core/ledger.h"

struct vwi_journal_file;

/* Gives it to the ledger, which becomes the borrower of it until it is destroyed. NULL: there is none, and the log says why. */
struct vwi_journal_file *vwi_journal_file_open(const char *state_dir, long long worker_id, struct vwi_ledger *ledger,
                                               const struct vwi_log *log);
void vwi_journal_file_close(struct vwi_journal_file *file); /* after the ledger; NULL is fine */

#endif
