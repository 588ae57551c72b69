/* A worker inside your own program. cc embed.c $(pkg-config --cflags --libs vastworker) && ./a.out worker.json */
#include <signal.h>
#include <stdio.h>
#include <vastworker/vastworker.h>

static vw_worker_t *worker;

static void on_term(int number) { (void)number; vw_worker_drain(worker); }

int main(int argc, char **argv)
{
    vw_worker_options_t options = VW_WORKER_OPTIONS_INIT;
    vw_error_t why = { VW_OK, "" };

    options.config_path = argc > 1 ? argv[1] : NULL;
    if (vw_worker_create(&options, &worker, &why) != VW_OK)
        return fprintf(stderr, "%s\n", why.text), 1;
    signal(SIGTERM, on_term);
    if (vw_worker_run(worker) != VW_OK) /* serves until drained; your own work runs in other threads */
        return 1;
    vw_worker_destroy(worker);
    return 0;
}
