/*
 * Three actors around a real worker: a client, a model server and a control plane, each on loopback sockets.
 * The model and the control plane run on threads of their own; everything a test waits for is an event with a generous limit.
 */
#ifndef VWS_ACTORS_H
#define VWS_ACTORS_H

#include <check.h>
#include <jansson.h>
#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vastworker/vastworker.h>

#define PATIENCE_S 40 /* how long an event may take before a test gives up; never how long it should take */

/* ---- model: what it does is in the path ----
 * /echo          200, JSON: method, target, headers (object, lower case), body (text)
 * /head          200, text: the request's head as it came
 * /mirror        200, the request's body, Content-Type and Content-Encoding; 304 if it has If-None-Match
 * /status/NNN    that status, {"status": NNN}
 * /hold          waits for a permit, then 200 {"held": n}
 * /stream/N      SSE, N events, each after a permit, the first line "data: 1"
 * /flood         200, chunked, as fast as the reader takes it, until it goes
 * /size/N        200, N bytes, Content-Length
 * /cut           head and half a body, then closed
 * /cut-stream    SSE head and one event, then closed
 * /vanish        closed without an answer
 * /reset         RST without an answer
 * /tunnel        101, then every byte comes back, until the other side goes
 * /text          200 text/plain
 * /type/T        200 "{}" of content type T
 * /empty         204, no type and no length
 * /until-close   200, no length, closed at the end
 * /raw           the bytes of the request's body as they are, then closed; /raw-held: after a permit
 * /health        200, or what model_health() set; counted as a probe, not as a request
 * anything else  200 {"ok": true}
 */
struct model;
struct model *model_start(void);
struct model *model_start_at(uint16_t port); /* 0: any */
uint16_t model_port(const struct model *m);
void model_stop(struct model *m);
void model_permit(struct model *m, unsigned n);
void model_health(struct model *m, int status);
unsigned model_requests(struct model *m);
void model_wait_requests(struct model *m, unsigned n);    /* n requests have arrived in all */
void model_wait_gone(struct model *m, unsigned n);        /* n times the other side closed before the answer was whole */
void model_wait_flood_stalled(struct model *m);           /* /flood could send nothing for a while */
uint64_t model_flooded(struct model *m);                  /* bytes sent by /flood */
unsigned model_connections(struct model *m);              /* accepted in all */
char *model_seen(struct model *m, unsigned nth);          /* target of the nth request; to be freed */
char *model_body(struct model *m, unsigned nth);          /* its body as text; to be freed */
unsigned model_most_at_once(struct model *m);             /* requests being answered at the same time */
void model_wait_probes(struct model *m, unsigned n);      /* /health was asked for n times in all */
unsigned model_probes(struct model *m);

/* ---- control plane ---- */
struct control;
struct control *control_start(void);
uint16_t control_port(const struct control *c);
void control_stop(struct control *c);
void control_fail(struct control *c, int status, unsigned times); /* the next answers, any path; times 0: for ever, status 0: never */
/* Reports and deletions whose body has this text are answered so, until the text is NULL. */
void control_fail_on(struct control *c, const char *text, int status);
void control_rotate_key(struct control *c);                       /* another key is served and signs from now on */
void control_withhold_key(struct control *c, bool withhold);      /* /pubkey/ answers 503 */
/* Waits until a report satisfies test(); returns it (new reference). */
json_t *control_wait_report(struct control *c, bool (*test)(const json_t *report, void *arg), void *arg);
json_t *control_wait_state(struct control *c, bool ready); /* ready: loadtime > 0 and max_perf > 0 */
void control_wait_deletions(struct control *c, unsigned n);
json_t *control_deletions(struct control *c);        /* list of all entries, new reference */
double control_sum(struct control *c, const char *field); /* over all accepted reports */
json_t *control_last_report(struct control *c);      /* new reference; NULL: none yet */
unsigned control_reports(struct control *c);
void control_hold(struct control *c, bool hold);       /* reports and deletions wait, untaken and unanswered, until let go */
void control_wait_held(struct control *c, unsigned n); /* so many wait for an answer now */
void control_down(struct control *c);                  /* nobody listens any more; what was taken is kept */
void control_up(struct control *c);                    /* listens on the same port again */
void control_wait_refused(struct control *c, unsigned n); /* so many reports and deletions were answered as control_fail() says */
void control_lose(struct control *c, unsigned n);      /* the next n are taken, but their answers are lost: the connection closes */
/* Called with each body of reports and deletions, one after the other, on threads of the control plane. Bodies are not kept any more. */
typedef void (*control_tap_fn)(void *arg, const char *path, const json_t *body, bool acknowledged);
void control_tap(struct control *c, control_tap_fn fn, void *arg);
unsigned control_taken(struct control *c);             /* bodies in all */
json_t *control_refused_bodies(struct control *c);        /* what these said; new reference */
unsigned control_keys_sent(struct control *c);         /* how often the key was handed out */
/* Bodies taken so far on "/worker_status/" or "/delete_requests/", as they came; new reference. */
json_t *control_bodies(struct control *c, const char *path);
json_t *control_wait_bodies(struct control *c, const char *path, unsigned n);

/* ---- client ---- */
struct answer {
    int status;
    char *head; /* with the status line */
    char *body; /* de-chunked, NUL-terminated */
    size_t len;
    bool cut;   /* the connection ended before the framing said so */
};

int client_connect(uint16_t port);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const char *data, size_t len);
struct answer client_read(int fd);        /* one whole answer */
struct answer client_read_to_head(int fd);/* an answer to HEAD */
void client_read_until(int fd, const char *text, char *buffer, size_t size); /* reads on until text was seen */
void client_close(int fd);                /* FIN */
void client_reset(int fd);                /* RST */
bool client_is_closed(int fd);            /* waits for the other side to close */
void answer_fini(struct answer *a);
/* header of an answer, lower-case name; "" when absent. Static per call. */
const char *answer_header(const struct answer *a, const char *name);
const char *answer_reason(const struct answer *a);
/* One request on its own connection. headers: complete lines or "". body NULL: none. */
struct answer client_call(uint16_t port, const char *method, const char *path, const char *headers, const char *body);
struct answer client_post(uint16_t port, const char *path, const char *body);
void client_send_post(int fd, const char *path, const char *body);
/* An answer that is read, judged and its connection closed: the nth of /hold; a 429, whose Retry-After is returned. */
void client_expect_held(int fd, int nth);
long client_expect_limited(int fd, const char *reason);
double client_metric(uint16_t port, const char *name); /* "vastworker_queued{lane=\"a\"}"; it has to be there */
json_t *client_health(uint16_t port);                  /* of /health, whatever its status; new reference */

/* ---- envelopes: signed by the control plane's key ---- */
#define URL "http://127.0.0.1:41234" /* what workers in scenes advertise */
char *sign(struct control *c, const char *url);  /* base64, to be freed */
/* {"auth_data":...,"session_id":null,"payload":PAYLOAD}, to be freed; c NULL: a signature of no one */
char *envelope(struct control *c, long request_idx, const char *payload);
char *envelope_signed(const char *signature, long request_idx, const char *payload); /* by one of sign(c, URL), which costs a millisecond */
struct answer client_envelope(uint16_t port, struct control *c, const char *path, long request_idx, const char *payload);

/* ---- worker ---- */
struct worker;
void worker_driven(void); /* workers started from now on wait for vw_worker_set_state(READY) */
void worker_command(const char *const *command); /* of the model process, for workers started from now on; borrowed */
/* config: worker.json with ' for ". model and control may be NULL. Environment of the platform is set when control is given. */
struct worker *worker_start(struct model *m, struct control *c, const char *config);
struct worker *worker_start_ready(struct model *m, struct control *c, const char *config);
uint16_t worker_port(const struct worker *w);
vw_worker_t *worker_handle(struct worker *w);
vw_status_t worker_status(struct worker *w);
void worker_wait_state(struct worker *w, vw_state_t state);
void worker_wait(struct worker *w, bool (*test)(const vw_status_t *status, void *arg), void *arg);
void worker_wait_in_flight(struct worker *w, unsigned n);
vw_err worker_finish(struct worker *w); /* drains, waits for run to return, destroys; checks that nothing is left in flight */
vw_err worker_join(struct worker *w);   /* waits for run to return and destroys, without asking for it */
void worker_setenv(const char *name, const char *value); /* for workers started from now on, over what the actors set; NULL: unset */
bool worker_logged(struct worker *w, const char *text);
unsigned worker_count_logged(struct worker *w, const char *text);
void worker_wait_logged(struct worker *w, const char *text);
bool worker_log_matches(struct worker *w, const regex_t *regex); /* the whole log, compiled with REG_NOSUB */
unsigned long worker_logged_number(struct worker *w, const char *before); /* behind a text that was logged */

/* ---- programs: processes of their own, with nothing in their environment but what is given ---- */
#define RUN VWT_BUILD "/vastworker-run"
#define SIM VWT_BUILD "/vastworker-sim"
struct program;
/* Lists end with NULL; environment: "NAME=value". Both outputs are kept. */
struct program *program_start(const char *const *arguments, const char *const *environment);
void program_signal(struct program *p, int number);
long program_cpu_ticks(const struct program *p); /* of CPU time so far, user and kernel; 100 a second */
size_t program_peak_bytes(const struct program *p); /* the most that it ever held resident */
void program_wait_said(struct program *p, const char *text); /* on either output */
uint16_t program_port(struct program *p, const char *before); /* waits for this text and a number behind it, on either output */
int program_wait(struct program *p);                          /* for its end: the exit status, or minus the signal */
const char *program_out(const struct program *p);             /* whole after program_wait(), borrowed */
const char *program_err(const struct program *p);
void program_free(struct program *p);                         /* kills it if it still runs */

/* A shell command line (printf), at most PATIENCE_S seconds long; what it said on standard output, to be freed. */
char *shell(int *ret_status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool has_program(const char *name); /* found on PATH; says so once where it is not, so that a skipped scene is seen */

/* ---- odds ---- */
void step_clock(double seconds); /* the worker's wall clock, in this process, is set forward, or back */
void skip_time(double seconds);  /* it has gone by all at once, says the worker's monotonic clock; timers do not hear of it */
unsigned open_descriptors(void); /* of this process */
void scene_init(void); /* once, before the tests are forked: keys */
char *quoted(const char *text); /* ' to ", to be freed */
char *temp_dir(void);           /* to be freed; removed at exit of the test's process */
char *temp_file(const char *name, const char *text); /* its path, to be freed; ' for " in the text; NULL: not created */
void append_file(const char *path, const char *text);
/* Nobody listens on it now, and nobody is given it by the kernel, which hands out those from 32768 on: it stays free while a server is down. */
uint16_t free_port(void);
bool port_is_free(uint16_t port); /* nobody holds it */
bool port_is_open(uint16_t port); /* somebody listens on it */
void nap(void);           /* 2 ms, for polling where nothing tells */
double patience(void);    /* when to give up such polling: compare with now_s() */
double now_s(void);
json_t *parse_json(const char *text);

#endif
