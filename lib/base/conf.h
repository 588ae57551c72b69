/*
 * Configuration slices: plain data, frozen after loading. core/config fills them, each room reads its own.
 * Strings are owned by struct vwi_config (core/config.h) and live as long as it does. Seconds may have fractions; 0 = off.
 */
#ifndef VWI_BASE_CONF_H
#define VWI_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vwi_strings {
    char **items;
    size_t count;
};

struct vwi_timeouts_conf {
    double connect_s, first_byte_s, idle_s, total_s;
};

/* Where the model server is. */
struct vwi_model_conf {
    char *url;       /* as configured: http://HOST[:PORT] or unix:/path */
    char *host;      /* name or address without brackets; NULL when unix_path is set */
    uint16_t port;
    char *unix_path; /* absolute path, else NULL */
    char *authority; /* what goes into Host: */
    int idle_connections;
    struct vwi_timeouts_conf timeouts;
};

/* Listener, limits and client deadlines. */
struct vwi_front_conf {
    char *bind_address; /* NULL: all, IPv6 and IPv4, falling back to IPv4 alone */
    uint16_t port;      /* 0: any */
    uint64_t max_body_bytes, max_buffered_bytes;
    uint32_t max_header_bytes, max_connections;
    double client_header_s, client_body_s, client_idle_s;
};

/* The certificate clients are shown. */
struct vwi_tls_conf {
    bool enabled;
    char *cert_file, *key_file; /* PEM */
    char *sign_url;             /* where the platform signs one for us */
};

enum vwi_workload_kind { VWI_WORKLOAD_CONSTANT, VWI_WORKLOAD_PLUGIN, VWI_WORKLOAD_FIELD, VWI_WORKLOAD_COUNT, VWI_WORKLOAD_BYTES };

struct vwi_workload_conf {
    enum vwi_workload_kind kind;
    double value;       /* the constant, the field's default, or bytes per unit */
    char *pointer;      /* JSON pointer into the payload (field, count) */
    char *plugin;       /* plugin name */
    char *options_json; /* plugin options as JSON text; NULL: {} */
};

enum vwi_auth_kind { VWI_AUTH_VAST, VWI_AUTH_BEARER, VWI_AUTH_NONE };

struct vwi_benchmark_conf {
    char **dataset; /* each a payload as JSON text; none: the workload's plugin offers samples */
    size_t dataset_count;
    char *dataset_file; /* where they were read from; NULL: the configuration itself */
    unsigned runs, concurrency;
    bool warmup;
    double timeout_s;
};

/* Bytes for a client that waits. */
struct vwi_heartbeat_conf {
    bool enabled;
    double after_s, every_s;
};

/* How the model server is told to stop what nobody waits for any more. */
struct vwi_cancel_conf {
    char *method, *path; /* path NULL: it is not told */
    double grace_s;
};

struct vwi_handler_conf {
    char *route; /* "/v1/embeddings" or "/v1/...*" */
    struct vwi_strings methods;
    enum vwi_auth_kind auth;
    struct vwi_workload_conf workload;
    char *parser; /* NULL, "unwrap" or a plugin name */
    char *parser_options_json;
    bool parallel;
    size_t lane;             /* index into lanes */
    bool has_max_queue_time; /* false: null in the file, neither check */
    double max_queue_time_s; /* 0: refuse whatever cannot start now */
    int priority;
    char *target_path;       /* NULL: same as route; "/api/...*" keeps the rest */
    bool control;            /* never queues, never counts */
    bool require_json;
    bool retry;
    bool forward_authorization; /* the client's Authorization goes on to the model */
    struct vwi_strings upgrade;        /* "websocket" or nothing */
    struct vwi_timeouts_conf timeouts; /* the global ones, overridden */
    struct vwi_heartbeat_conf heartbeat;
    double drain_s;                    /* the global one, overridden: for its requests once a drain has begun */
    struct vwi_cancel_conf cancel;
    struct vwi_benchmark_conf *benchmark; /* NULL: none; at most one handler has it */
};

struct vwi_lane_conf {
    char *name;
    unsigned max_concurrency;  /* 0: no limit */
    unsigned max_queue_length;
};

struct vwi_handlers_conf {
    struct vwi_handler_conf *items;
    size_t count;
    struct vwi_lane_conf *lanes;
    size_t lane_count;
};

/* Sessions, and the port on which the model server can end one. */
struct vwi_session_conf {
    unsigned max;          /* 0: no limit */
    double max_lifetime_s; /* most time left to live; 0: no limit */
    uint16_t port;         /* loopback only; 0: any */
    bool listens, port_set; /* set: by somebody, who wants to know when it cannot be had */
};

struct vwi_auth_conf {
    bool unsecured;
    bool strict_url;
    char *public_key_file; /* NULL: fetched from the first report address that answers */
    char *advertised_url;  /* NULL: the url check is off */
    int json_max_depth;
    char *bearer_keys_file; /* one key a line, perhaps with a priority; NULL: none */
    char *bearer_keys;      /* secret; separated by commas; NULL: none. Never logged or printed */
};

struct vwi_report_conf {
    bool platform;          /* CONTAINER_ID was set */
    bool enabled;           /* there is at least one address */
    long long worker_id;
    char *mtoken;           /* secret; "" when unset. Never logged */
    struct vwi_strings addresses; /* trailing slashes stripped */
    char *version;          /* protocol version, "1.1.0" */
    bool legacy_deletions;
};

/* The model process, where it is ours to start. */
struct vwi_supervise_conf {
    char *restart;         /* "always", "on-failure" or "never" */
    unsigned max_restarts; /* within window; 0: no limit */
    double window_s;
    double backoff_s, max_backoff_s; /* before the first of them; each waits twice as long as the one before, up to the latter */
    double grace_s;        /* between SIGTERM and SIGKILL; 0: SIGKILL at once */
    char *log_file;        /* a copy of its output; NULL: none */
    uint64_t log_file_bytes;
    unsigned log_files;    /* kept besides it */
};

struct vwi_ready_conf {
    struct vwi_strings log_files, on_load, on_error, on_info; /* patterns: those of the preset first */
    char *preset;      /* NULL: none */
    bool rotate_log;   /* log files are set aside before they are read */
    char *health_path; /* NULL: no probe */
    bool sticky;       /* errorPolicy */
    double load_s;     /* load timeout */
    double hang_factor; /* of the usual worst silence; 0: never judged */
    bool live_capacity; /* traffic corrects what was measured */
    double max_perf;   /* > 0: fixes capacity, no measuring */
    char *state_dir;   /* may be NULL */
};

#define VWI_NVML_LIBRARY "libnvidia-ml.so.1"

/* Watching the GPUs. */
struct vwi_gpu_conf {
    bool enabled;
    double interval_s;
    char *library_path; /* of NVML; a name without '/' is looked for by the loader */
};

#endif
