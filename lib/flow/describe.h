/* What a worker with this configuration would do, in sentences; for --check. */
#ifndef VWI_FLOW_DESCRIBE_H
#define VWI_FLOW_DESCRIBE_H

#include "base/text.h"
#include "core/config.h"
#include "flow/handler.h"
#include "flow/supervise.h"

/* until: when the certificate that is loaded ends; NULL: none is. */
void vwi_describe(const struct vwi_config *config, const struct vwi_handler *handlers, unsigned port, const char *until,
                  const struct vwi_supervise *supervise, struct vwi_text *out);

#endif
