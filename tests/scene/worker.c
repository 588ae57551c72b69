/* The worker under test, in this process on a thread of its own, so that the sanitizers see all of it. */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "actors.h"

struct worker {
    vw_worker_t *handle;
    pthread_t thread;
    vw_err result;
    pthread_mutex_t lock;
    char *log;
    size_t len;
};

char *quoted(const char *text)
{
    char *copy = strdup(text), *at;

    for (at = copy; *at; at++)
        if (*at == '\'')
            *at = '"';
    return copy;
}

json_t *parse_json(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

    ck_assert_msg(json != NULL, "not JSON: %s", text);
    return json;
}

static char temp_path[64];

static void remove_temp(void)
{
    DIR *dir = opendir(temp_path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char path[400];

        snprintf(path, sizeof path, "%s/%s", temp_path, entry->d_name);
        unlink(path);
    }
    if (dir)
        closedir(dir);
    rmdir(temp_path);
}

char *temp_dir(void)
{
    if (!temp_path[0]) {
        snprintf(temp_path, sizeof temp_path, "/tmp/vastworker-scene-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(temp_path));
        atexit(remove_temp);
    }
    return strdup(temp_path);
}

void append_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "a");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

char *temp_file(const char *name, const char *text)
{
    char *dir = temp_dir(), *path = NULL, *content;

    ck_assert_int_gt(asprintf(&path, "%s/%s", dir, name), 0);
    free(dir);
    unlink(path);
    if (text) {
        content = quoted(text);
        append_file(path, content);
        free(content);
    }
    return path;
}

bool port_is_free(uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_free = bind(fd, (struct sockaddr *)&at, sizeof at) == 0;

    close(fd);
    return is_free;
}

uint16_t free_port(void)
{
    uint16_t port;

    do {
        ck_assert_int_eq(getrandom(&port, sizeof port, 0), sizeof port);
        port = (uint16_t)(12000 + port % 20000);
    } while (!port_is_free(port));
    return port;
}

static void on_log(void *arg, vw_log_level_t level, const char *line)
{
    struct worker *w = arg;
    size_t len = strlen(line);

    (void)level;
    pthread_mutex_lock(&w->lock);
    w->log = realloc(w->log, w->len + len + 2);
    memcpy(w->log + w->len, line, len);
    w->len += len;
    w->log[w->len++] = '\n';
    w->log[w->len] = '\0';
    pthread_mutex_unlock(&w->lock);
}

bool worker_logged(struct worker *w, const char *text)
{
    bool found;

    pthread_mutex_lock(&w->lock);
    found = w->log && strstr(w->log, text);
    pthread_mutex_unlock(&w->lock);
    return found;
}

bool worker_log_matches(struct worker *w, const regex_t *regex)
{
    bool found;

    pthread_mutex_lock(&w->lock);
    found = w->log && regexec(regex, w->log, 0, NULL, 0) == 0;
    pthread_mutex_unlock(&w->lock);
    return found;
}

unsigned worker_count_logged(struct worker *w, const char *text)
{
    const char *at;
    unsigned n = 0;

    pthread_mutex_lock(&w->lock);
    for (at = w->log; at && (at = strstr(at, text)); at += strlen(text))
        n++;
    pthread_mutex_unlock(&w->lock);
    return n;
}

unsigned long worker_logged_number(struct worker *w, const char *before)
{
    unsigned long number;
    const char *at;

    pthread_mutex_lock(&w->lock);
    at = w->log ? strstr(w->log, before) : NULL;
    ck_assert_ptr_nonnull(at);
    number = strtoul(at + strlen(before), NULL, 10);
    pthread_mutex_unlock(&w->lock);
    return number;
}

void nap(void)
{
    struct timespec ts = { 0, 2000000 };

    nanosleep(&ts, NULL);
}

double now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static _Atomic double clock_step;
static _Atomic int64_t skipped_us;

/* In place of base/clock's (the linker's --wrap), for this program's worker alone. */
double __real_vwi_wall_s(void);
double __wrap_vwi_wall_s(void);

double __wrap_vwi_wall_s(void) { return __real_vwi_wall_s() + clock_step; }
void step_clock(double seconds) { clock_step = seconds; }

int64_t __real_vwi_mono_us(void);
int64_t __wrap_vwi_mono_us(void);

int64_t __wrap_vwi_mono_us(void) { return __real_vwi_mono_us() + skipped_us; }
void skip_time(double seconds) { skipped_us += (int64_t)(seconds * 1e6); }

unsigned open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 3; /* ".", "..", and this one */
}

double patience(void) { return now_s() + PATIENCE_S; }

void worker_wait_logged(struct worker *w, const char *text)
{
    double until = patience();

    while (!worker_logged(w, text)) {
        ck_assert_msg(now_s() < until, "the worker never said \"%s\"; its log:\n%s", text, w->log);
        nap();
    }
}

static void *run(void *arg)
{
    struct worker *w = arg;

    w->result = vw_worker_run(w->handle);
    return NULL;
}

static void set_environment(struct model *m, struct control *c)
{
    char text[128];

    setenv("USE_SSL", "false", 1);
    if (m) {
        snprintf(text, sizeof text, "http://127.0.0.1:%u", model_port(m));
        setenv("MODEL_SERVER_URL", text, 1);
    }
    if (!c)
        return;
    setenv("CONTAINER_ID", "777", 1);
    setenv("MASTER_TOKEN", "mtoken-secret", 1);
    setenv("PUBLIC_IPADDR", "127.0.0.1", 1);
    setenv("VAST_TCP_PORT_3000", "41234", 1);
    setenv("WORKER_PORT", "3000", 1);
    snprintf(text, sizeof text, "http://127.0.0.1:%u", control_port(c));
    setenv("REPORT_ADDR", text, 1);
}

#define MAX_SETTINGS 16

static struct {
    const char *name;
    char *value;
} settings[MAX_SETTINGS];

static bool driven;

void worker_driven(void) { driven = true; }

static const char *const *model_command;

void worker_command(const char *const *command) { model_command = command; }

/* A test is a process of its own, so these are forgotten with it. */
void worker_setenv(const char *name, const char *value)
{
    size_t i = 0;

    while (i < MAX_SETTINGS && settings[i].name && strcmp(settings[i].name, name) != 0)
        i++;
    ck_assert_uint_lt(i, MAX_SETTINGS);
    free(settings[i].value);
    settings[i].name = name;
    settings[i].value = value ? strdup(value) : NULL;
}

static void apply_settings(void)
{
    size_t i;

    for (i = 0; i < MAX_SETTINGS && settings[i].name; i++) {
        if (settings[i].value)
            setenv(settings[i].name, settings[i].value, 1);
        else
            unsetenv(settings[i].name);
    }
}

/* workerPort is 0 (any free one), whatever the environment says about the mapped port. */
static char *write_config(const char *config, bool platform)
{
    char *dir = temp_dir(), *path = NULL, *json = quoted(config);
    static unsigned count;
    FILE *f;

    ck_assert_int_gt(asprintf(&path, "%s/worker-%u.json", dir, count++), 0);
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(json[0], '{');
    fprintf(f, "{\"workerPort\": 0%s%s", platform ? ", \"advertisedUrl\": \"" URL "\"" : "", json[1] == '}' ? "" : ", ");
    fputs(json + 1, f);
    fclose(f);
    free(json);
    free(dir);
    return path;
}

static void print_problem(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "configuration: %s\n", line);
}

struct worker *worker_start(struct model *m, struct control *c, const char *config)
{
    vw_worker_options_t options = VW_WORKER_OPTIONS_INIT;
    struct worker *w = calloc(1, sizeof *w);
    vw_error_t why = { VW_OK, "" };
    char *path;
    vw_err err;

    pthread_mutex_init(&w->lock, NULL);
    set_environment(m, c);
    if (c)
        unsetenv("WORKER_PORT");
    apply_settings();
    path = write_config(config, c != NULL);
    options.config_path = path;
    options.plugin_path = VWT_BUILD "/plugins";
    options.driven = driven;
    options.model_command = model_command;
    options.log_level = VW_LOG_DEBUG;
    options.log_fn = on_log;
    options.log_arg = w;
    options.problem_fn = print_problem;
    err = vw_worker_create(&options, &w->handle, &why);
    ck_assert_msg(err == VW_OK, "the worker was not created: %s", why.text);
    free(path);
    ck_assert_int_eq(pthread_create(&w->thread, NULL, run, w), 0);
    return w;
}

vw_worker_t *worker_handle(struct worker *w) { return w->handle; }

vw_status_t worker_status(struct worker *w)
{
    vw_status_t status = VW_STATUS_INIT;

    ck_assert_int_eq(vw_worker_status(w->handle, &status), VW_OK);
    return status;
}

uint16_t worker_port(const struct worker *w)
{
    vw_status_t status = VW_STATUS_INIT;

    ck_assert_int_eq(vw_worker_status(w->handle, &status), VW_OK);
    return status.port;
}

void worker_wait(struct worker *w, bool (*test)(const vw_status_t *status, void *arg), void *arg)
{
    double until = patience();
    vw_status_t status;

    for (;;) {
        status = worker_status(w);
        if (test(&status, arg))
            return;
        ck_assert_msg(now_s() < until, "the worker is %s (%s), in flight %u; its log:\n%s", vw_state_name(status.state), status.reason,
                      status.in_flight, w->log);
        nap();
    }
}

static bool in_state(const vw_status_t *status, void *arg) { return status->state == *(vw_state_t *)arg; }
static bool has_in_flight(const vw_status_t *status, void *arg) { return status->in_flight == *(unsigned *)arg; }

void worker_wait_state(struct worker *w, vw_state_t state) { worker_wait(w, in_state, &state); }
void worker_wait_in_flight(struct worker *w, unsigned n) { worker_wait(w, has_in_flight, &n); }

struct worker *worker_start_ready(struct model *m, struct control *c, const char *config)
{
    struct worker *w = worker_start(m, c, config);

    worker_wait_state(w, VW_STATE_READY);
    return w;
}

vw_err worker_join(struct worker *w)
{
    vw_status_t status;
    vw_err result;

    pthread_join(w->thread, NULL);
    result = w->result;
    status = worker_status(w);
    ck_assert_msg(status.in_flight == 0, "%u requests were left in flight", status.in_flight);
    vw_worker_destroy(w->handle);
    pthread_mutex_destroy(&w->lock);
    free(w->log);
    free(w);
    return result;
}

vw_err worker_finish(struct worker *w)
{
    vw_worker_drain(w->handle);
    return worker_join(w);
}
