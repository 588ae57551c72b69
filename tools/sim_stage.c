/*
 * The floor under the servers. The odd thing: the one static variable of the tool is here, because a signal handler
 * has no argument through which it could know its loop.
 */
#include "sim_stage.h"

#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"
#include "sim_file.h"

const struct sim_option sim_common_options[] = {
    { "ready-file", SIM_TEXT, offsetof(struct sim_common, ready_file), "FILE", 0, 0,
      "write FILE, with the lines that give the addresses, once all is listening" },
    { "env", SIM_TEXT, offsetof(struct sim_common, env_file), "FILE", 0, 0,
      "write FILE, export lines for a shell, once all is listening" },
    { "quiet", SIM_FLAG, offsetof(struct sim_common, quiet), NULL, 0, 0,
      "no line for each event; the addresses are still printed" },
};
const size_t sim_common_option_count = VWI_ARRAY_LEN(sim_common_options);

static _Atomic(struct vwi_loop *) signalled_loop;

static void on_unix_signal(int number)
{
    struct vwi_loop *loop = atomic_load(&signalled_loop);

    if (loop)
        vwi_loop_signal(loop, number == SIGINT ? SIM_SIGNAL_INT : SIM_SIGNAL_TERM);
}

static void on_loop_signal(void *arg, unsigned bits)
{
    struct sim_stage *stage = arg;

    if (stage->on_signal)
        stage->on_signal(stage->arg, bits);
    else
        sim_stage_stop(stage, SIM_EXIT_OK);
}

static void catch_signals(struct sim_stage *stage)
{
    struct sigaction action = { .sa_handler = on_unix_signal, .sa_flags = SA_RESTART };

    sigemptyset(&action.sa_mask);
    atomic_store(&signalled_loop, stage->loop);
    vwi_loop_on_signal(stage->loop, on_loop_signal, stage);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

/* Many clients are the point of a test: take what the system allows. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void remove_files(const struct sim_stage *stage)
{
    if (stage->common->ready_file)
        sim_file_remove(stage->common->ready_file);
    if (stage->common->env_file)
        sim_file_remove(stage->common->env_file);
}

vw_err sim_stage_init(struct sim_stage *stage, const struct sim_common *common, vw_error_t *why)
{
    vw_err err;

    *stage = (struct sim_stage){ .common = common, .log = { .level = VW_LOG_WARN }, .lines = VWI_TEXT_INIT };
    setvbuf(stdout, NULL, _IOLBF, 0);
    raise_file_limit();
    remove_files(stage); /* what an earlier run left must not be taken for ours */
    err = vwi_loop_create(&stage->loop, why);
    if (err == VW_OK)
        catch_signals(stage);
    return err;
}

void sim_stage_fini(struct sim_stage *stage)
{
    if (stage->opened)
        remove_files(stage);
    atomic_store(&signalled_loop, NULL);
    vwi_loop_destroy(stage->loop);
    vwi_text_fini(&stage->lines);
    while (stage->export_count)
        vwi_free(stage->exports[--stage->export_count]);
}

vw_err sim_stage_announce(struct sim_stage *stage, const char *what, const char *value, vw_error_t *why)
{
    printf("%s %s\n", what, value);
    fflush(stdout);
    return vwi_text_addf(&stage->lines, "%s %s\n", what, value) ? VW_OK : vwi_fail(why, VW_E_NOMEM, "out of memory");
}

vw_err sim_stage_export(struct sim_stage *stage, vw_error_t *why, const char *name, const char *fmt, ...)
{
    char value[1024];
    struct vwi_text line = VWI_TEXT_INIT;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    if (stage->export_count == SIM_EXPORTS_MAX || !vwi_text_addf(&line, "%s=%s", name, value))
        return vwi_fail(why, VW_E_NOMEM, "environment: no room");
    stage->exports[stage->export_count++] = line.p;
    return VW_OK;
}

/* export NAME='value', with a quote inside as '\'' */
static void write_exports(const struct sim_stage *stage, struct vwi_text *ret)
{
    size_t i;

    for (i = 0; i < stage->export_count; i++) {
        const char *value = strchr(stage->exports[i], '=') + 1, *p;

        vwi_text_addf(ret, "export %.*s='", (int)(value - stage->exports[i]) - 1, stage->exports[i]);
        for (p = value; *p; p++)
            vwi_text_add(ret, *p == '\'' ? "'\\''" : p, *p == '\'' ? 4 : 1);
        vwi_text_adds(ret, "'\n");
    }
}

vw_err sim_stage_print_exports(struct sim_stage *stage, vw_error_t *why)
{
    struct vwi_text text = VWI_TEXT_INIT;
    vw_err err = VW_OK;

    write_exports(stage, &text);
    if (text.failed)
        err = vwi_fail(why, VW_E_NOMEM, "out of memory");
    else
        fputs(text.p ? text.p : "", stdout);
    fflush(stdout);
    vwi_text_fini(&text);
    return err;
}

vw_err sim_stage_open(struct sim_stage *stage, vw_error_t *why)
{
    struct vwi_text text = VWI_TEXT_INIT;
    vw_err err = VW_OK;

    stage->opened = true;
    write_exports(stage, &text);
    if (text.failed)
        err = vwi_fail(why, VW_E_NOMEM, "out of memory");
    if (err == VW_OK && stage->common->env_file) /* it has the token in it: for the owner only */
        err = sim_file_write(stage->common->env_file, 0600, text.p ? text.p : "", text.len, why);
    if (err == VW_OK && stage->common->ready_file)
        err = sim_file_write(stage->common->ready_file, 0644, stage->lines.p, stage->lines.len, why);
    vwi_text_fini(&text);
    return err;
}

int sim_stage_run(struct sim_stage *stage)
{
    if (vwi_loop_run(stage->loop) != VW_OK)
        return SIM_EXIT_FAILED;
    return stage->exit_code;
}

void sim_stage_stop(struct sim_stage *stage, int exit_code)
{
    stage->exit_code = exit_code;
    vwi_loop_stop(stage->loop);
}

void sim_say(const struct sim_common *common, const char *fmt, ...)
{
    struct timeval now;
    struct tm local;
    char text[1024];
    va_list ap;

    if (common->quiet)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    vwi_text_blank_controls(text, strlen(text)); /* texts of a worker end up here: keep the terminal safe and the line one */
    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &local);
    printf("%02d:%02d:%02d.%03d %s\n", local.tm_hour, local.tm_min, local.tm_sec, (int)(now.tv_usec / 1000), text);
    fflush(stdout);
}

int sim_complain(const char *command, const vw_error_t *why)
{
    sim_cli_refuse(command, "%s", why->text[0] ? why->text : "failed without a reason");
    return why->code == VW_E_CONFIG || why->code == VW_E_ARG ? SIM_EXIT_USAGE : SIM_EXIT_FAILED;
}
