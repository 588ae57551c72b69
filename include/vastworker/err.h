/* Error codes and the caller-owned error text. One row per code; names and texts grow from it. */
#ifndef VASTWORKER_ERR_H
#define VASTWORKER_ERR_H

#include <vastworker/export.h>

#define VW_ERR_LIST(X)                                       \
    X(VW_OK, 0, "ok")                                        \
    X(VW_E_NOMEM, -1, "out of memory")                       \
    X(VW_E_ARG, -2, "argument out of contract")              \
    X(VW_E_CONFIG, -3, "configuration refused")              \
    X(VW_E_ENVELOPE, -4, "request envelope is malformed")    \
    X(VW_E_SIGNATURE, -5, "signature does not verify")       \
    X(VW_E_BUSY, -6, "no room before the deadline")          \
    X(VW_E_STATE, -7, "not allowed in this state")           \
    X(VW_E_ABI, -8, "plugin built for another interface")    \
    X(VW_E_IO, -9, "the system refused an operation")        \
    X(VW_E_PARSE, -10, "text could not be parsed")

typedef enum vw_err {
#define VW_ERR_ENUM(name, number, text) name = number,
    VW_ERR_LIST(VW_ERR_ENUM)
#undef VW_ERR_ENUM
} vw_err;

/* One line that names the field or peer and the remedy; never a secret. Zero it before use. */
typedef struct vw_error {
    vw_err code;
    char text[1024];
} vw_error_t;

#ifdef __cplusplus
extern "C" {
#endif
/* "VW_E_CONFIG" and "configuration refused"; "unknown error" for others. Static; any thread. */
VW_API const char *vw_err_name(vw_err err);
VW_API const char *vw_err_text(vw_err err);
#ifdef __cplusplus
}
#endif

#endif
