/*
 * One request at the model: parse, wait for a slot, work, answer whole or token by token.
 * The odd thing: a client that leaves ends the job from inside any write, so the job is buried and not freed there,
 * and `over` is looked at after each write.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "sim_model_parts.h"

#define TOKENS_A_TURN 64 /* with --token-ms 0: other clients get their turn in between */

struct job {
    struct sim_model *model;
    struct sim_call *call;
    struct sim_ask ask;
    struct vwi_timer timer;
    struct vwi_list node; /* in model->waiting */
    struct vwi_burial burial;
    long long sent; /* tokens */
    bool running, waiting, streaming, blocked, over;
};

static void free_job(void *arg) { vwi_free(arg); }

static void start(struct job *job, bool from_queue);

static void start_next(struct sim_model *model)
{
    struct job *job;

    if (vwi_list_empty(&model->waiting) || model->closing)
        return;
    job = VWI_CONTAINER(model->waiting.next, struct job, node);
    vwi_list_del(&job->node);
    model->waiting_count--;
    job->waiting = false;
    start(job, true);
}

static void on_gone(void *user)
{
    struct job *job = user;
    struct sim_model *model = job->model;

    job->over = true;
    vwi_timer_fini(&job->timer);
    sim_ask_fini(&job->ask);
    if (job->waiting) {
        vwi_list_del(&job->node);
        model->waiting_count--;
    }
    vwi_loop_bury(model->stage->loop, &job->burial, free_job, job);
    if (job->running) {
        model->running--;
        start_next(model);
    }
}

static void answer_whole(struct job *job)
{
    job->model->tokens += (unsigned long long)job->ask.tokens;
    sim_call_reply_json_take(job->call, 200, sim_ask_answer(&job->ask, job->model->options->name));
}

/* A rule that strikes in the middle of a stream. */
static bool strikes(struct job *job)
{
    const struct sim_fault *fault = &job->call->fault;

    if (!fault->after_tokens || job->sent < fault->after_tokens)
        return false;
    if (fault->reset)
        sim_call_cut(job->call);
    return true; /* stalled: no timer is set any more */
}

static void send_tokens(struct job *job)
{
    long long n, limit = job->model->options->token_ms ? 1 : TOKENS_A_TURN;
    const char *name = job->model->options->name;
    struct vwi_text text = VWI_TEXT_INIT;

    for (n = 0; n < limit && job->sent < job->ask.tokens; n++) {
        sim_ask_add_token(&job->ask, name, job->sent++, &text);
        job->model->tokens++;
        if (job->call->fault.after_tokens == job->sent)
            break;
    }
    if (job->sent == job->ask.tokens && job->call->fault.after_tokens != job->sent)
        sim_ask_add_end(&job->ask, name, &text);
    if (text.failed)
        sim_call_cut(job->call);
    else
        vwi_exchange_write(job->call->ex, text.p, text.len);
    vwi_text_fini(&text);
}

static void stream(struct job *job)
{
    if (!job->streaming) {
        job->streaming = true;
        sim_call_stream(job->call, 200, "text/event-stream; charset=utf-8");
    }
    if (!job->over)
        send_tokens(job);
    if (job->over || strikes(job))
        return;
    if (job->sent == job->ask.tokens)
        vwi_exchange_end(job->call->ex);
    else if (vwi_exchange_backlog(job->call->ex) > VWI_EXCHANGE_HIGH_BYTES)
        job->blocked = true;
    else
        vwi_timer_start(&job->timer, job->model->options->token_ms);
}

static void on_drained(void *user)
{
    struct job *job = user;

    if (!job->blocked)
        return;
    job->blocked = false;
    vwi_timer_start(&job->timer, 0);
}

static void on_time(void *arg)
{
    struct job *job = arg;

    if (job->ask.stream)
        stream(job);
    else
        answer_whole(job);
}

/* On the timer also when there is nothing to wait for, if it streams (it may end inside the first write) or comes from
 * the queue (one answer would call the next, as deep as the queue is long). */
static void start(struct job *job, bool from_queue)
{
    const struct sim_model_options *options = job->model->options;
    long long work_ms = options->latency_ms;

    job->running = true;
    job->model->running++;
    if (!job->ask.stream)
        work_ms += options->token_ms * job->ask.tokens;
    if (work_ms > 0 || job->ask.stream || from_queue)
        vwi_timer_start(&job->timer, work_ms);
    else
        answer_whole(job);
}

static bool fails_by_rate(struct sim_model *model)
{
    model->fail_due += model->options->fail_rate;
    if (model->fail_due < 1 - 1e-9)
        return false;
    model->fail_due -= 1;
    return true;
}

void sim_job_begin(struct sim_model *model, struct sim_call *call, enum sim_ask_kind kind)
{
    vw_error_t why = { 0 };
    struct job *job = NULL;
    json_t *body;

    if (!model->loaded) {
        sim_call_refuse(call, 503, "the model is still loading");
        return;
    }
    if (fails_by_rate(model)) {
        sim_call_refuse(call, (int)model->options->fail_status, "failed by --fail-rate");
        return;
    }
    body = sim_call_body_json(call);
    if (!body)
        return;
    job = vwi_zalloc(sizeof *job);
    if (!job || vwi_timer_init(&job->timer, model->stage->loop, on_time, job) != VW_OK) {
        json_decref(body);
        vwi_free(job);
        sim_call_refuse(call, 500, "out of memory");
        return;
    }
    if (sim_ask_parse_take(kind, body, model->options->default_tokens, &job->ask, &why) != VW_OK) {
        vwi_timer_fini(&job->timer);
        vwi_free(job);
        sim_call_refuse(call, 400, "%s", why.text);
        return;
    }
    job->model = model;
    job->call = call;
    job->ask.number = (long long)++model->next_number;
    job->ask.created = vwi_wall_s();
    vwi_list_init(&job->node);
    call->user = job;
    call->on_gone = on_gone;
    call->on_drained = on_drained;
    if (model->options->concurrency && model->running >= (unsigned long long)model->options->concurrency) {
        job->waiting = true;
        model->waiting_count++;
        vwi_list_add(&model->waiting, &job->node);
        return;
    }
    start(job, false);
}
