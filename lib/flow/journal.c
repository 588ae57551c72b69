#include "flow/journal.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "io/file.h"
#include "io/mapped.h"

struct vwi_journal_file {
    struct vwi_mapped *mapped;
    struct vwi_journal *journal;
};

static void say_found(const struct vwi_log *log, const char *path, enum vwi_journal_found found, const struct vwi_journal *journal)
{
    if (found == VWI_JOURNAL_OF_ANOTHER)
        vwi_log_warn(log, "journal: %s is of another CONTAINER_ID and begins anew; nothing in it is reported", path);
    if (found == VWI_JOURNAL_OTHER_LAYOUT)
        vwi_log_warn(log, "journal: %s is of another version of the worker and begins anew; nothing in it is reported", path);
    if (found == VWI_JOURNAL_FOREIGN)
        vwi_log_warn(log, "journal: %s is no journal, or damaged, and begins anew", path);
    if (vwi_journal_damaged(journal))
        vwi_log_warn(log, "journal: %s had %" PRIu64 " damaged records, which are not reported", path, vwi_journal_damaged(journal));
}

static vw_err open_at(struct vwi_journal_file *file, const char *state_dir, const char *path, long long worker_id, const struct vwi_log *log,
                      vw_error_t *why)
{
    size_t bytes = vwi_journal_bytes(VWI_JOURNAL_RECORDS);
    enum vwi_journal_found found;
    vw_err err = vwi_dir_make(state_dir, 0755, why);

    if (err == VW_OK)
        err = vwi_mapped_open(path, bytes, &file->mapped, why);
    if (err == VW_OK)
        err = vwi_journal_create(vwi_mapped_memory(file->mapped), bytes, worker_id, &file->journal, &found, why);
    if (err == VW_OK)
        say_found(log, path, found, file->journal);
    return err;
}

struct vwi_journal_file *vwi_journal_file_open(const char *state_dir, long long worker_id, struct vwi_ledger *ledger,
                                               const struct vwi_log *log)
{
    struct vwi_journal_file *file = vwi_zalloc(sizeof *file);
    struct vwi_text path = VWI_TEXT_INIT;
    vw_error_t why = { VW_OK, "out of memory" };
    vw_err err = VW_E_NOMEM;
    size_t recovered;

    if (file && vwi_text_addf(&path, "%s/journal", state_dir))
        err = open_at(file, state_dir, path.p, worker_id, log, &why);
    vwi_text_fini(&path);
    if (err != VW_OK) {
        vwi_log_warn(log, "journal: %s; the worker runs without one, so what is in flight when it is killed is never reported", why.text);
        vwi_journal_file_close(file);
        return NULL;
    }
    recovered = vwi_ledger_keep_journal(ledger, file->journal, vwi_wall_s());
    if (recovered)
        vwi_log_info(log, "journal: %zu requests of an earlier process were not reported as finished; that is made up for now", recovered);
    return file;
}

void vwi_journal_file_close(struct vwi_journal_file *file)
{
    if (!file)
        return;
    vwi_journal_destroy(file->journal);
    vwi_mapped_close(file->mapped);
    vwi_free(file);
}
