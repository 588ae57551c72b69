/* The table of reason.h, made readable by value and by code. */
#include "core/reason.h"

#include <string.h>

struct row {
    const char *code, *type, *message;
    int status;
};

static const struct row rows[VWI_REASON_COUNT] = {
    [VWI_REASON_NONE] = { "", "", "", 0 },
#define ROW(symbol, code, status, type, message) [VWI_REASON_##symbol] = { code, type, message, status },
    VWI_REASON_LIST(ROW)
#undef ROW
};

static const struct row *row_of(enum vwi_reason reason)
{
    return &rows[(unsigned)reason < VWI_REASON_COUNT ? reason : VWI_REASON_INTERNAL];
}

const char *vwi_reason_code(enum vwi_reason reason) { return row_of(reason)->code; }
int vwi_reason_status(enum vwi_reason reason) { return row_of(reason)->status; }
const char *vwi_reason_type(enum vwi_reason reason) { return row_of(reason)->type; }
const char *vwi_reason_message(enum vwi_reason reason) { return row_of(reason)->message; }

enum vwi_reason vwi_reason_find(const char *code)
{
    unsigned i;

    for (i = VWI_REASON_NONE + 1; i < VWI_REASON_COUNT; i++) {
        if (strcmp(rows[i].code, code) == 0)
            return (enum vwi_reason)i;
    }
    return VWI_REASON_NONE;
}
