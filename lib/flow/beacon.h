/* The last words of a worker that could not start: every address is told once (protocol.md 1.5), with a loop of its own. */
#ifndef VWI_FLOW_BEACON_H
#define VWI_FLOW_BEACON_H

#include "base/conf.h"
#include "base/log.h"

/* Blocks until every address has answered or failed, at most about 10 s. */
void vwi_beacon_send(const struct vwi_report_conf *conf, const char *url, const char *error_msg, const struct vwi_log *log);

#endif
