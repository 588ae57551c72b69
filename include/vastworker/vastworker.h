/* All of the library's interface but the plugin one (vastworker/plugin.h). */
#ifndef VASTWORKER_VASTWORKER_H
#define VASTWORKER_VASTWORKER_H

#include <vastworker/err.h>
#include <vastworker/log.h>
#include <vastworker/status.h>
#include <vastworker/version.h>
#include <vastworker/worker.h>

#endif
