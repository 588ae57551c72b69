/*
 * The rows. A row's path names its scope by its prefix, and offsets are within the struct that the scope fills: vwi_config, for
 * handlers[] vwi_handler_conf, for its benchmark vwi_benchmark_conf, for lanes.* vwi_lane_conf.
 */
#include "core/config_table.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/conf.h"
#include "base/vwi.h"
#include "core/config.h"
#include "core/preset.h"
#include "core/priority.h"
#include "core/route.h"

#define PLACE(type, member) offsetof(struct type, member), sizeof(((struct type *)NULL)->member)
#define CONFIG(member) PLACE(vwi_config, member)
#define HANDLER(member) PLACE(vwi_handler_conf, member)
#define BENCHMARK(member) PLACE(vwi_benchmark_conf, member)
#define LANE(member) PLACE(vwi_lane_conf, member)
#define BY_HAND VWI_KEY_NOWHERE, 0
#define ANY -INFINITY, INFINITY
#define FROM(least) least, INFINITY
#define RANGE(least, most) least, most

/* path, type, unit, default, range, environment, place, text */
#define ROW(path, type, unit, initial, range, env, place, text) \
    { path, VWI_KEY_##type, unit, initial, range, env, place, text, 0, NULL, NULL }
#define RULE(path, type, initial, env, place, text, flags, problem) \
    { path, VWI_KEY_##type, "", initial, ANY, env, place, text, flags, NULL, problem }
#define CHOICE(path, initial, place, text, choices) \
    { path, VWI_KEY_STRING, "", initial, ANY, NULL, place, text, 0, choices, NULL }
#define PART(path, type, text) { path, VWI_KEY_##type, "", NULL, ANY, NULL, BY_HAND, text, 0, NULL, NULL }
#define LATER(path, type, text) { path, VWI_KEY_##type, "", NULL, ANY, NULL, BY_HAND, text, VWI_KEY_LATER, NULL, NULL }

static const struct vwi_config_key keys[] = {
    RULE("modelServerUrl", STRING, "http://127.0.0.1", "MODEL_SERVER_URL", CONFIG(model.url),
         "The model server: http://HOST[:PORT], or unix:/path for a socket. A port in it wins over the default of "
         "modelServerPort; one that differs from a modelServerPort that was set is an error.", 0, vwi_config_model_problem),
    ROW("modelServerPort", INTEGER, "port", "8000", RANGE(1, 65535), "MODEL_SERVER_PORT", CONFIG(model.port),
        "Port of the model server."),
    ROW("workerPort", INTEGER, "port", "3000", RANGE(0, 65535), "WORKER_PORT", CONFIG(front.port),
        "Port the worker listens on; 0 takes any free one, which is said once it listens."),
    RULE("bindAddress", STRING, NULL, NULL, CONFIG(front.bind_address),
         "Address to listen on; by default all of them, IPv6 and IPv4, falling back to IPv4 alone.", 0, NULL),
    RULE("advertisedUrl", STRING, NULL, NULL, CONFIG(auth.advertised_url),
         "The url this worker is reached by from outside, which signed requests must name; by default "
         "http(s)://PUBLIC_IPADDR:VAST_TCP_PORT_<workerPort> where both are set.", 0, vwi_config_address_problem),
    RULE("modelLogFile", STRING_OR_LIST, NULL, "MODEL_LOG", CONFIG(ready.log_files),
         "The model server's log, one file or several, in which the patterns of logActionConfig are looked for.", 0,
         vwi_config_nonempty_problem),
    RULE("modelHealthcheckPath", STRING, NULL, "MODEL_HEALTH_ENDPOINT", CONFIG(ready.health_path),
         "Path at the model server that answers 200 while it is well; without it nothing is probed.", 0, vwi_config_path_problem),
    PART("logActionConfig", OBJECT,
         "What lines of the model's log mean: texts that are looked for anywhere in a line, case matters; one between slashes is "
         "a POSIX extended regular expression. See docs/readiness.md."),
    CHOICE("logActionConfig.preset", NULL, CONFIG(ready.preset),
           "The patterns of a known model server, one of " VWI_PRESET_NAMES ". Those of the lists below are added to them.", VWI_PRESET_NAMES),
    RULE("logActionConfig.onLoad", STRINGS, NULL, "MODEL_LOAD_LOG_MSG", CONFIG(ready.on_load),
         "The model is loaded: benchmark, then ready.", 0, vwi_config_nonempty_problem),
    RULE("logActionConfig.onError", STRINGS, NULL, "MODEL_ERROR_LOG_MSGS", CONFIG(ready.on_error),
         "The model has failed: state error, with the pattern as its text.", 0, vwi_config_nonempty_problem),
    RULE("logActionConfig.onInfo", STRINGS, NULL, "MODEL_INFO_LOG_MSGS", CONFIG(ready.on_info),
         "Progress: the line is copied to the worker's own log.", 0, vwi_config_nonempty_problem),
    CHOICE("errorPolicy", NULL, BY_HAND,
           "What ends the state error: \"probe\", a model that answers its health path again; \"sticky\", nothing but a restart. "
           "By default \"probe\" where modelHealthcheckPath is set, else \"sticky\".", "probe sticky"),
    ROW("maxPerf", NUMBER, "units/s", "0", FROM(0), NULL, CONFIG(ready.max_perf),
        "Fixes the reported capacity and skips measuring it; 0 measures."),
    ROW("liveCapacity", BOOL, "", "true", ANY, NULL, CONFIG(ready.live_capacity),
        "Whether traffic corrects the capacity that a benchmark measured: slowly, while there is more to do than can be done, and "
        "never below half or above twice of it."),
    ROW("hangFactor", NUMBER, "times", "10", FROM(0), NULL, CONFIG(ready.hang_factor),
        "A model that owes answers and sends no byte for so many times its usual worst, and at least half a minute, is taken for "
        "hanging; 0 never does."),
    PART("handlers", OBJECTS,
         "What is served; without any, one handler \"/*\" for every method, parallel, each request weighing 100."),
    RULE("handlers[].route", STRING, NULL, NULL, HANDLER(route),
         "An exact path (\"/v1/embeddings\"), or a prefix (\"/v1/*\": matches /v1/x and /v1/, not /v1). Exact wins over the "
         "longest prefix.", VWI_KEY_REQUIRED, vwi_route_problem),
    RULE("handlers[].methods", STRINGS, "POST", NULL, HANDLER(methods),
         "Methods taken; [\"*\"] is any, HEAD is taken where GET is, OPTIONS only where it is "
         "listed.", 0, vwi_config_method_problem),
    CHOICE("handlers[].auth", "vast", BY_HAND,
           "Who may call: \"vast\", requests the platform signed; \"bearer\", those with a key of this worker's own "
           "(bearerKeysFile); \"none\", anybody.", "vast bearer none"),
    PART("handlers[].workloadCalculator", WORKLOAD,
         "Units of work in a request: a number, a plugin's name, or an object with plugin, field, count or bytes; by default "
         "100, which also stands in for a workload that fails, is not finite or is negative."),
    RULE("handlers[].workloadCalculator.plugin", STRING, NULL, NULL, BY_HAND, "The plugin that weighs the payload.", 0,
         vwi_config_plugin_problem),
    PART("handlers[].workloadCalculator.options", FREE_OBJECT, "Handed to that plugin."),
    RULE("handlers[].workloadCalculator.field", STRING, NULL, NULL, BY_HAND,
         "JSON pointer to a number in the payload (\"/max_tokens\").", 0, vwi_config_pointer_problem),
    ROW("handlers[].workloadCalculator.default", NUMBER, "units", NULL, FROM(0), NULL, BY_HAND,
        "Stands in where field finds no number."),
    RULE("handlers[].workloadCalculator.count", STRING, NULL, NULL, BY_HAND,
         "JSON pointer to a list in the payload, whose length counts (\"/input\").", 0, vwi_config_pointer_problem),
    ROW("handlers[].workloadCalculator.bytes", INTEGER, "bytes", NULL, FROM(1), NULL, BY_HAND,
        "So many bytes of body are one unit."),
    PART("handlers[].requestParser", NAME_OR_OBJECT,
         "What makes the model's request out of the payload: \"unwrap\" (payload.input where that is an object), a plugin's "
         "name, or an object; by default the payload goes on as it is."),
    RULE("handlers[].requestParser.plugin", STRING, NULL, NULL, BY_HAND, "The plugin that parses the payload.", VWI_KEY_REQUIRED,
         vwi_config_plugin_problem),
    PART("handlers[].requestParser.options", FREE_OBJECT, "Handed to that plugin."),
    ROW("handlers[].allowParallelRequests", BOOL, "", "false", ANY, NULL, HANDLER(parallel),
        "Whether the model server takes several of these at once; if not, they wait their turn in a lane."),
    ROW("handlers[].maxConcurrency", INTEGER, "requests", NULL, RANGE(0, 1000000), NULL, BY_HAND,
        "Most requests at the model at once, 0 for no limit; only for parallel handlers, which then have a lane of their own "
        "unless they name one. By default no limit."),
    RULE("handlers[].lane", STRING, NULL, NULL, BY_HAND,
         "The queue to wait in; by default \"serial\" for handlers that are not parallel, \"parallel\" for the others.", 0,
         vwi_config_lane_problem),
    { "handlers[].maxQueueTime", VWI_KEY_SECONDS, "seconds", "30", FROM(0), NULL, HANDLER(max_queue_time_s),
      "Longest wait, as predicted on arrival and as it then happens; 0 refuses whatever cannot start now, null checks neither.",
      VWI_KEY_NULLABLE, NULL, NULL },
    ROW("handlers[].maxQueueLength", INTEGER, "requests", NULL, RANGE(0, 10000000), NULL, BY_HAND,
        "Most requests that wait in the handler's lane, 1000 by default; two different limits for one lane are an error."),
    RULE("handlers[].targetPath", STRING, NULL, NULL, HANDLER(target_path),
         "Path at the model server, by default the route; a final * keeps what the request has under the prefix.", 0,
         vwi_config_target_problem),
    ROW("handlers[].control", BOOL, "", "false", ANY, NULL, HANDLER(control),
        "A request that is no work: it never queues and never counts as load."),
    PART("handlers[].timeouts", OBJECT, "Timeouts of this handler, by default those of the whole worker."),
    ROW("handlers[].timeouts.connect", SECONDS, "seconds", NULL, FROM(0), NULL, HANDLER(timeouts.connect_s),
        "As timeouts.connect."),
    ROW("handlers[].timeouts.firstByte", SECONDS, "seconds", NULL, FROM(0), NULL, HANDLER(timeouts.first_byte_s),
        "As timeouts.firstByte."),
    ROW("handlers[].timeouts.idle", SECONDS, "seconds", NULL, FROM(0), NULL, HANDLER(timeouts.idle_s), "As timeouts.idle."),
    ROW("handlers[].timeouts.total", SECONDS, "seconds", NULL, FROM(0), NULL, HANDLER(timeouts.total_s), "As timeouts.total."),
    ROW("handlers[].retry", BOOL, "", "false", ANY, NULL, HANDLER(retry),
        "Whether POST and PATCH may be sent to the model again when its connection breaks before an answer."),
    ROW("handlers[].requireJson", BOOL, "", "false", ANY, NULL, HANDLER(require_json),
        "Turns a success that is neither JSON nor a stream into 502, because the platform's client would resend it without end."),
    ROW("handlers[].forwardAuthorization", BOOL, "", "false", ANY, NULL, HANDLER(forward_authorization),
        "Whether the client's Authorization header goes on to the model, for a model that checks keys itself."),
    RULE("handlers[].benchmark", OBJECT, NULL, NULL, BY_HAND,
         "Measures capacity with this handler once the model is loaded; at most one handler has it. Needs dataset or "
         "datasetFile, not both; neither where the workloadCalculator is a plugin that offers samples.", VWI_KEY_APART, NULL),
    PART("handlers[].benchmark.dataset", FREE_LIST, "Payloads to send, any JSON values."),
    RULE("handlers[].benchmark.datasetFile", STRING, NULL, NULL, BENCHMARK(dataset_file),
         "A file of payloads: JSON Lines, or one JSON list.", 0, NULL),
    ROW("handlers[].benchmark.runs", INTEGER, "rounds", "8", RANGE(1, 1000), NULL, BENCHMARK(runs),
        "Rounds; the median one counts."),
    ROW("handlers[].benchmark.concurrency", INTEGER, "requests", "10", RANGE(1, 10000), NULL, BENCHMARK(concurrency),
        "Requests at once in a round, as far as the handler's lane allows."),
    ROW("handlers[].benchmark.warmup", BOOL, "", "true", ANY, NULL, BENCHMARK(warmup),
        "Whether one request goes ahead that is not measured."),
    ROW("handlers[].benchmark.timeout", SECONDS, "seconds", "600", FROM(0), NULL, BENCHMARK(timeout_s),
        "Longest time for all of it; 0 for no limit."),
    ROW("handlers[].priority", INTEGER, "points", "0", RANGE(-VWI_PRIORITY_MAX, VWI_PRIORITY_MAX), NULL, HANDLER(priority),
        "Which waiting request of a lane goes first: a point is worth one second of waiting, so that of two requests the one with more "
        "points goes first unless the other came earlier by more seconds than that. A bearer key's own priority wins over it."),
    PART("handlers[].cancel", OBJECT,
         "How the model server is told to stop a request that ended here before it did, because its client left or its time was up: a call "
         "over a connection of its own. The request's slot is free only when the call is answered, with any status, or grace is over; "
         "absent, it is free at once."),
    RULE("handlers[].cancel.method", STRING, "POST", NULL, HANDLER(cancel.method), "Method of the call.", 0, vwi_config_verb_problem),
    RULE("handlers[].cancel.path", STRING, NULL, NULL, HANDLER(cancel.path), "Path at the model server; must be there.", 0,
         vwi_config_path_problem),
    ROW("handlers[].cancel.grace", SECONDS, "seconds", "10", RANGE(0.1, 3600), NULL, HANDLER(cancel.grace_s),
        "How long the answer is waited for."),
    PART("handlers[].heartbeat", OBJECT,
         "Bytes for a client that waits, in the queue or for the model's first byte, so that gateways that close silent connections stay "
         "open; an empty object takes the defaults, absent there are none. The first one makes the status 200: a later failure is an error "
         "event or a JSON error in the body."),
    ROW("handlers[].heartbeat.after", SECONDS, "seconds", "30", FROM(0.1), NULL, HANDLER(heartbeat.after_s),
        "How long a request waits before the first one."),
    ROW("handlers[].heartbeat.every", SECONDS, "seconds", "15", FROM(0.1), NULL, HANDLER(heartbeat.every_s), "Between two of them."),
    RULE("handlers[].upgrade", STRINGS, NULL, NULL, HANDLER(upgrade),
         "Protocols that a connection may switch to, passed both ways as a tunnel that holds its slot while it lives: [\"websocket\"]. "
         "Needs the method GET.", 0, vwi_config_upgrade_problem),
    ROW("handlers[].drainTimeout", SECONDS, "seconds", NULL, FROM(0), NULL, HANDLER(drain_s),
        "As drainTimeout, for the requests of this handler; it may be longer or shorter."),
    PART("lanes", MAP, "Queues that handlers may share, by name; a name that no handler uses is warned about."),
    ROW("lanes.*.maxConcurrency", INTEGER, "requests", NULL, RANGE(0, 1000000), NULL, LANE(max_concurrency),
        "Most requests of the lane at the model at once, 0 for no limit; by default 1 if a handler in it is not parallel, else "
        "0."),
    ROW("lanes.*.maxQueueLength", INTEGER, "requests", "1000", RANGE(0, 10000000), NULL, LANE(max_queue_length),
        "Most requests that wait in the lane; the next one is refused."),
    RULE("pluginPath", STRINGS, NULL, NULL, CONFIG(plugin_path),
         "Directories to look for plugins in, after those of --plugin-path and VASTWORKER_PLUGIN_PATH and before the one they "
         "are installed in.", 0, vwi_config_nonempty_problem),
    ROW("unsecured", BOOL, "", "false", ANY, "UNSECURED", CONFIG(auth.unsecured),
        "Serves without checking signatures; for tests."),
    ROW("strictUrl", BOOL, "", "true", ANY, NULL, CONFIG(auth.strict_url),
        "Whether the url in a signed request must be the advertised one; otherwise a signature made for any worker is taken."),
    RULE("publicKeyFile", STRING, NULL, NULL, CONFIG(auth.public_key_file),
         "PEM file of the key that requests are signed with; by default it is fetched from REPORT_ADDR.", 0, NULL),
    RULE("bearerKeysFile", STRING, NULL, NULL, CONFIG(auth.bearer_keys_file),
         "Keys for handlers with auth \"bearer\", one a line, with blanks and priority=N behind a key that has one; blank lines and "
         "those that begin with # are skipped. Those of VASTWORKER_BEARER_KEYS count too. Read again when it changes.", 0, vwi_config_nonempty_problem),
    ROW("jsonMaxDepth", INTEGER, "levels", "512", RANGE(1, 10000), NULL, CONFIG(auth.json_max_depth),
        "Deepest nesting of a request's JSON."),
    PART("tls", OBJECT, "Serving HTTPS: docs/tls.md."),
    ROW("tls.enabled", BOOL, "", NULL, ANY, NULL, CONFIG(tls.enabled),
        "Whether clients speak HTTPS; USE_SSL wins over it. By default true on the platform, else false."),
    RULE("tls.certFile", STRING, "/etc/instance.crt", NULL, CONFIG(tls.cert_file),
         "PEM file of the certificate and, after it, those of its issuers. Read again when it or keyFile changes.", 0,
         vwi_config_nonempty_problem),
    RULE("tls.keyFile", STRING, "/etc/instance.key", NULL, CONFIG(tls.key_file),
         "PEM file of the certificate's private key, without a passphrase.", 0, vwi_config_nonempty_problem),
    RULE("tls.certSignUrl", STRING, "https://console.vast.ai/api/v0/sign_cert/", NULL, CONFIG(tls.sign_url),
         "Where a certificate is obtained on the platform while there is no certFile.", 0, vwi_config_address_problem),
    PART("gpu", OBJECT, "Watching the GPUs through NVIDIA's driver library: docs/gpu.md."),
    ROW("gpu.enabled", BOOL, "", "true", ANY, NULL, CONFIG(gpu.enabled),
        "Whether they are watched; where there is no such library nothing is, and nothing is said."),
    ROW("gpu.interval", SECONDS, "seconds", "5", RANGE(0.1, 3600), NULL, CONFIG(gpu.interval_s), "Between two looks."),
    RULE("gpu.libraryPath", STRING, VWI_NVML_LIBRARY, NULL, CONFIG(gpu.library_path),
         "The library NVML: a path, or a name that the loader looks for.", 0, vwi_config_nonempty_problem),
    PART("limits", OBJECT, "Bounds on what clients may take."),
    ROW("limits.maxBodyBytes", INTEGER, "bytes", "1073741824", RANGE(1, 9007199254740992), NULL, CONFIG(front.max_body_bytes),
        "Largest request body."),
    ROW("limits.maxBufferedBytes", INTEGER, "bytes", "2147483648", RANGE(1, 9007199254740992), NULL,
        CONFIG(front.max_buffered_bytes), "Memory for the bodies of all requests together."),
    ROW("limits.maxHeaderBytes", INTEGER, "bytes", "65536", RANGE(1024, 16777216), NULL, CONFIG(front.max_header_bytes),
        "Largest request line and headers together."),
    ROW("limits.maxConnections", INTEGER, "connections", "10000", RANGE(1, 1000000), NULL, CONFIG(front.max_connections),
        "Most client connections at once."),
    ROW("limits.modelIdleConnections", INTEGER, "connections", "64", RANGE(0, 100000), NULL, CONFIG(model.idle_connections),
        "Most unused connections kept open to the model server."),
    PART("timeouts", OBJECT, "Longest waits; 0 switches one off."),
    ROW("timeouts.clientHeader", SECONDS, "seconds", "30", FROM(0), NULL, CONFIG(front.client_header_s),
        "For a request's headers to arrive."),
    ROW("timeouts.clientBody", SECONDS, "seconds", "60", FROM(0), NULL, CONFIG(front.client_body_s),
        "Between two pieces of a request's body."),
    ROW("timeouts.clientIdle", SECONDS, "seconds", "75", FROM(0), NULL, CONFIG(front.client_idle_s),
        "For the next request on a connection."),
    ROW("timeouts.connect", SECONDS, "seconds", "5", FROM(0), NULL, CONFIG(model.timeouts.connect_s),
        "To connect to the model server."),
    ROW("timeouts.firstByte", SECONDS, "seconds", "0", FROM(0), NULL, CONFIG(model.timeouts.first_byte_s),
        "For the model's answer to begin."),
    ROW("timeouts.idle", SECONDS, "seconds", "0", FROM(0), NULL, CONFIG(model.timeouts.idle_s),
        "Between two pieces of the model's answer."),
    ROW("timeouts.total", SECONDS, "seconds", "0", FROM(0), NULL, CONFIG(model.timeouts.total_s),
        "For the model's whole answer."),
    ROW("timeouts.load", SECONDS, "seconds", "1800", FROM(0), NULL, CONFIG(ready.load_s),
        "For the model to load; after it the state is error."),
    PART("supervise", OBJECT, "How a model process that vastworker-run starts itself (behind --) is looked after: docs/supervision.md."),
    CHOICE("supervise.restart", "always", CONFIG(supervise.restart),
           "Whether it is started again when it ends without having been asked to: always, only after another exit status than 0, or never. "
           "Where it is not, the worker ends as well.", "always on-failure never"),
    ROW("supervise.maxRestarts", INTEGER, "restarts", "5", RANGE(0, 100), NULL, CONFIG(supervise.max_restarts),
        "Most restarts within window; when one more would be needed, the worker ends with exit status 1. 0 for no limit."),
    ROW("supervise.window", SECONDS, "seconds", "600", FROM(1), NULL, CONFIG(supervise.window_s),
        "Restarts longer ago are forgotten, for the limit as for the back-off."),
    ROW("supervise.backoff", SECONDS, "seconds", "1", FROM(0), NULL, CONFIG(supervise.backoff_s),
        "Wait before a restart; it doubles with each further one within window."),
    ROW("supervise.maxBackoff", SECONDS, "seconds", "60", FROM(0), NULL, CONFIG(supervise.max_backoff_s), "Longest such wait."),
    ROW("supervise.grace", SECONDS, "seconds", "10", FROM(0), NULL, CONFIG(supervise.grace_s),
        "Time between SIGTERM and SIGKILL when it is stopped."),
    RULE("supervise.logFile", STRING, NULL, NULL, CONFIG(supervise.log_file),
         "A file to which the lines of its output are copied, besides standard output; by default none.", 0, vwi_config_nonempty_problem),
    ROW("supervise.logFileBytes", INTEGER, "bytes", "10485760", RANGE(65536, 9007199254740992), NULL, CONFIG(supervise.log_file_bytes),
        "Size at which that file becomes logFile.1, the one before it logFile.2 and so on."),
    ROW("supervise.logFiles", INTEGER, "files", "5", RANGE(0, 100), NULL, CONFIG(supervise.log_files),
        "How many of these are kept."),
    PART("report", OBJECT, "How the control plane is told."),
    RULE("report.version", STRING, "1.1.0", NULL, CONFIG(report.version),
         "Version of the protocol that reports name, which the platform may compare.", 0, NULL),
    ROW("report.legacyDeletions", BOOL, "", "false", ANY, NULL, CONFIG(report.legacy_deletions),
        "Reports finished requests in the older form, one call for successes and one for failures."),
    ROW("drainTimeout", SECONDS, "seconds", "30", FROM(0), NULL, CONFIG(drain_s),
        "Time to finish accepted requests when the worker stops."),
    RULE("stateDir", STRING, NULL, NULL, CONFIG(ready.state_dir),
         "Directory for what is worth keeping over a restart (the benchmark's result, requests in flight); by default "
         "$WORKSPACE_DIR/.vastworker, else $XDG_STATE_HOME/vastworker, else nothing is kept.", 0, NULL),
    ROW("sessionPort", INTEGER, "port", NULL, RANGE(0, 65535), "WORKER_HTTP_PORT", CONFIG(session.port),
        "Port on 127.0.0.1, always plain HTTP, on which the model server can end a session; by default workerPort + 1, 0 for none."),
    ROW("maxSessions", INTEGER, "sessions", "10", RANGE(0, 1000000), NULL, CONFIG(session.max), "Most sessions at once; 0 for no limit."),
    ROW("maxSessionLifetime", SECONDS, "seconds", "3600", FROM(0), NULL, CONFIG(session.max_lifetime_s),
        "Most time that a session may have left to live, however often it is used; 0 for no limit."),
    LATER("adminAddress", STRING, "An address of its own for what operators look at."),
    RULE("updateFile", STRING, "/.force_update", NULL, CONFIG(update_file),
         "The empty file that POST /pyworker/update creates; the platform's start script looks for it.", 0, vwi_config_nonempty_problem),
};

static const struct vwi_config_variable variables[] = {
    { "CONTAINER_ID", "The worker's number at the platform. Set: platform mode. Not set: local mode." },
    { "MASTER_TOKEN",
      "The secret that reports carry and that /pyworker/update and /drain ask for; without it those two refuse." },
    { "VASTWORKER_BEARER_KEYS", "Keys for handlers with auth \"bearer\", separated by commas, beside those of bearerKeysFile." },
    { "REPORT_ADDR", "Addresses of the control plane, separated by commas, asked in turn. Platform mode: https://run.vast.ai." },
    { "PUBLIC_IPADDR", "The machine's address from outside, for the advertised url." },
    { "VAST_TCP_PORT_<workerPort>", "The port outside that leads to workerPort, for the advertised url." },
    { "USE_SSL", "Whether TLS is served, over tls.enabled: only the text true asks for it. Platform mode: true." },
    { "VASTWORKER_PLUGIN_PATH", "Directories to look for plugins in, separated by colons, before those of pluginPath." },
    { "ROTATE_MODEL_LOG", "Whether a modelLogFile that is there at the start is moved to the end of FILE.old first, so that a load line of "
                          "the previous run is not read: only the text true asks for it." },
    { "WORKSPACE_DIR, XDG_STATE_HOME", "Where stateDir is by default." },
};

const struct vwi_config_key *vwi_config_keys(size_t *ret_count)
{
    *ret_count = VWI_ARRAY_LEN(keys);
    return keys;
}

const struct vwi_config_variable *vwi_config_variables(size_t *ret_count)
{
    *ret_count = VWI_ARRAY_LEN(variables);
    return variables;
}

const char *vwi_config_key_name(const struct vwi_config_key *key, const char *scope)
{
    const char *name = key->path;
    size_t len = strlen(scope);

    if (len) {
        if (strncmp(name, scope, len) != 0 || name[len] != '.')
            return NULL;
        name += len + 1;
    }
    return strpbrk(name, ".[") ? NULL : name;
}

const struct vwi_config_key *vwi_config_key_find(const char *scope, const char *name, size_t len)
{
    const char *own;
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(keys); i++) {
        own = vwi_config_key_name(&keys[i], scope);
        if (own && strlen(own) == len && memcmp(own, name, len) == 0)
            return &keys[i];
    }
    return NULL;
}

#define DISTANCE_BYTES 64

static size_t fold(const char *name, char out[DISTANCE_BYTES])
{
    size_t len = 0;

    for (; *name && len < DISTANCE_BYTES; name++)
        if (*name != '_' && *name != '-')
            out[len++] = (char)tolower((unsigned char)*name);
    return len;
}

unsigned vwi_config_distance(const char *a, const char *b)
{
    char x[DISTANCE_BYTES], y[DISTANCE_BYTES];
    unsigned row[DISTANCE_BYTES + 1], diagonal, above, best;
    size_t n = fold(a, x), m = fold(b, y), i, j;

    for (j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (i = 0; i < n; i++) {
        diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (j = 0; j < m; j++) {
            above = row[j + 1];
            best = diagonal + (x[i] != y[j]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j] + 1 < best)
                best = row[j] + 1;
            diagonal = above;
            row[j + 1] = best;
        }
    }
    return row[m];
}

const struct vwi_config_key *vwi_config_key_nearest(const char *scope, const char *name)
{
    const struct vwi_config_key *near = NULL, *elsewhere = NULL;
    unsigned distance, least = UINT32_MAX;
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(keys); i++) {
        const char *own = vwi_config_key_name(&keys[i], scope);
        const char *leaf = strrchr(keys[i].path, '.');

        if (!own) {
            if (!elsewhere && vwi_config_distance(name, leaf ? leaf + 1 : keys[i].path) == 0)
                elsewhere = &keys[i];
            continue;
        }
        distance = vwi_config_distance(name, own);
        if (distance < least && (distance <= 2 || !(keys[i].flags & VWI_KEY_LATER))) {
            least = distance;
            near = &keys[i];
        }
    }
    return elsewhere && least > 2 ? elsewhere : near;
}
