/* The error list turned into names and texts, and the first-cause rule. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

const char *vw_err_name(vw_err err)
{
    switch (err) {
#define ROW(name, number, text) \
    case name: return #name;
        VW_ERR_LIST(ROW)
#undef ROW
    }
    return "unknown error";
}

const char *vw_err_text(vw_err err)
{
    switch (err) {
#define ROW(name, number, text) \
    case name: return text;
        VW_ERR_LIST(ROW)
#undef ROW
    }
    return "unknown error";
}

vw_err vwi_fail(vw_error_t *why, vw_err code, const char *fmt, ...)
{
    va_list ap;

    if (!why || why->code != VW_OK)
        return code;
    why->code = code;
    va_start(ap, fmt);
    vsnprintf(why->text, sizeof why->text, fmt, ap);
    va_end(ap);
    return code;
}
