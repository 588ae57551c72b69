/*
 * Where each line comes from stands beside it: "platform" is what the platform's own workers look for, a path is a file in the
 * engine's public sources, "seen" is a log of a run.
 */
#include "core/preset.h"

#include <string.h>

#include "base/vwi.h"

static const struct vwi_preset presets[] = {
    { "vllm",
      {
          [VWI_PATTERN_LOAD] = { "Application startup complete." },                    /* platform; uvicorn says it */
          [VWI_PATTERN_ERROR] = { "INFO exited: vllm",                                 /* platform; supervisord says it */
                                  "RuntimeError: Engine",                              /* platform; "Engine core initialization failed" */
                                  "Traceback (most recent call last):" },              /* platform */
          [VWI_PATTERN_INFO] = { "\"message\":\"Download",                             /* platform */
                                 "Loading weights took" },                             /* vllm/model_executor/model_loader */
      } },
    { "tgi",
      {
          [VWI_PATTERN_LOAD] = { "\"message\":\"Connected\",\"target\":\"text_generation_router\"",         /* platform */
                                 "\"message\":\"Connected\",\"target\":\"text_generation_router::server\"", /* platform */
                                 "/text_generation_router.* Connected$/" },            /* seen, without --json-output; router/src/server.rs */
          [VWI_PATTERN_ERROR] = { "Error: WebserverFailed",                            /* platform; launcher/src/main.rs, enum LauncherError */
                                  "Error: DownloadError",                              /* platform */
                                  "Error: ShardCannotStart",                           /* platform */
                                  "Error: ShardDisconnected", "Error: ShardFailed", "Error: WebserverCannotStart",
                                  "Error: NotEnoughCUDADevices", "Error: ArgumentValidation" }, /* the rest of that enum */
          [VWI_PATTERN_INFO] = { "\"message\":\"Download" },                           /* platform */
      } },
    { "llama.cpp",
      {
          /* Not "HTTP server is listening", which older builds say before they load the model. */
          [VWI_PATTERN_LOAD] = { "main: model loaded",                                 /* platform; tools/server/server.cpp */
                                 "server is listening on http" },                      /* seen; tools/server/server.cpp */
          [VWI_PATTERN_ERROR] = { "failed to load model",                              /* seen */
                                  "couldn't bind HTTP server socket",                  /* seen */
                                  "error: invalid argument",                           /* seen */
                                  "exiting due to model loading error",                /* tools/server/server.cpp */
                                  "exiting due to HTTP server error" },                /* tools/server/server.cpp */
          [VWI_PATTERN_INFO] = { NULL },
      } },
    { "tei",
      {
          [VWI_PATTERN_LOAD] = { "/text_embeddings_router.* Ready$/",                  /* seen; router/src/http/server.rs and grpc/server.rs */
                                 "\"message\":\"Ready\",\"target\":\"text_embeddings_router" }, /* the same with --json-output */
          /* Not "Could not start ... backend": another backend is tried then. */
          [VWI_PATTERN_ERROR] = { "Could not start a suitable backend",                /* backends/src/lib.rs */
                                  "Error: Could not create backend",                   /* router/src/lib.rs */
                                  "Error: Model backend is not healthy",               /* router/src/lib.rs */
                                  "Error: Could not download model artifacts" },       /* router/src/lib.rs */
          [VWI_PATTERN_INFO] = { "Model artifacts downloaded",                         /* seen; core/src/download.rs */
                                 "Starting model backend", "Warming up model" },       /* seen; router/src/lib.rs */
      } },
    { "comfyui",
      {
          [VWI_PATTERN_LOAD] = { "To see the GUI go to: " },                           /* platform; server.py */
          [VWI_PATTERN_ERROR] = { "MetadataIncompleteBuffer",                          /* platform; a model file that is cut off */
                                  "Value not in list: ",                               /* platform; a workflow asks for a file that is not there */
                                  "[ERROR] Provisioning Script failed" },              /* platform */
          [VWI_PATTERN_INFO] = { "\"message\":\"Download" },                           /* platform */
      } },
    { "sglang",
      {
          [VWI_PATTERN_LOAD] = { "The server is fired up and ready to roll!" },        /* python/sglang/srt/entrypoints/http_server.py */
          [VWI_PATTERN_ERROR] = { "Scheduler hit an exception",                        /* python/sglang/srt/managers/scheduler.py */
                                  "Received sigquit from a child process",             /* python/sglang/srt/entrypoints/engine.py */
                                  "Initialization failed. warmup error" },             /* python/sglang/srt/entrypoints/http_server.py */
          [VWI_PATTERN_INFO] = { "Load weight begin", "Load weight end" },             /* python/sglang/srt/model_executor/model_runner.py */
      } },
    { "ollama",
      {
          [VWI_PATTERN_LOAD] = { "llama runner started" },                             /* platform; llm/server.go */
          [VWI_PATTERN_ERROR] = { "Error: pull model manifest:",                       /* platform */
                                  "stalled; retrying",                                 /* platform; a download that hardly moves */
                                  "error loading llama server" },                      /* server/sched.go */
          [VWI_PATTERN_INFO] = { NULL },
      } },
};

const struct vwi_preset *vwi_presets(size_t *ret_count)
{
    *ret_count = VWI_ARRAY_LEN(presets);
    return presets;
}

const struct vwi_preset *vwi_preset_find(const char *name)
{
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(presets); i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}
