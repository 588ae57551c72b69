/* The presets against lines that the servers said, taken from their logs, and against lines that look like them. */
#include <check.h>
#include <stdint.h>
#include <string.h>

#include "base/vwi.h"
#include "core/preset.h"

static struct vwi_patterns *compile(const char *name)
{
    const struct vwi_preset *preset = vwi_preset_find(name);
    struct vwi_strings lists[VWI_PATTERN_KINDS];
    struct vwi_patterns *p = NULL;
    int kind;

    ck_assert_ptr_nonnull(preset);
    for (kind = 0; kind < VWI_PATTERN_KINDS; kind++) {
        lists[kind].items = (char **)(uintptr_t)preset->patterns[kind];
        for (lists[kind].count = 0; preset->patterns[kind][lists[kind].count]; lists[kind].count++)
            ;
    }
    ck_assert_int_eq(vwi_patterns_create(&lists[0], &lists[1], &lists[2], &p, NULL), VW_OK);
    return p;
}

static const struct {
    const char *preset, *line;
    int kind; /* VWI_PATTERN_KINDS: none */
} cases[] = {
    { "vllm", "INFO:     Application startup complete.", VWI_PATTERN_LOAD },
    { "vllm", "INFO:     Waiting for application startup.", VWI_PATTERN_KINDS },
    { "vllm", "RuntimeError: Engine core initialization failed. See root cause above.", VWI_PATTERN_ERROR },
    { "vllm", "(EngineCore pid=12) INFO 08-20 02:34:11 [default_loader.py:268] Loading weights took 3.21 seconds", VWI_PATTERN_INFO },
    { "tgi", "{\"timestamp\":\"2024-09-03T02:47:53Z\",\"level\":\"INFO\",\"message\":\"Connected\",\"target\":\"text_generation_router::server\"}",
      VWI_PATTERN_LOAD },
    { "tgi", "2024-12-10T21:49:50.317182Z  INFO text_generation_router::server: router/src/server.rs:2402: Connected", VWI_PATTERN_LOAD },
    { "tgi", "2024-08-11T08:32:59.35 INFO text_generation_router::server: router/src/server.rs:1618: Warming up model", VWI_PATTERN_KINDS },
    { "tgi", "Error: ShardCannotStart", VWI_PATTERN_ERROR },
    { "llama.cpp", "main: HTTP server is listening, hostname: 127.0.0.1, port: 8080, http threads: 3", VWI_PATTERN_KINDS },
    { "llama.cpp", "main: loading model", VWI_PATTERN_KINDS },
    { "llama.cpp", "main: model loaded", VWI_PATTERN_LOAD },
    { "llama.cpp", "main: server is listening on http://127.0.0.1:8080 - starting the main loop", VWI_PATTERN_LOAD },
    { "llama.cpp", "0.05.583.301 I srv          main: server is listening on http://127.0.0.1:8080", VWI_PATTERN_LOAD },
    { "llama.cpp", "E srv  llama_server: exiting due to model loading error", VWI_PATTERN_ERROR },
    { "llama.cpp", "E couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18091", VWI_PATTERN_ERROR },
    { "tei", "2025-02-25T11:40:09.111182Z  INFO text_embeddings_router::http::server: router/src/http/server.rs:1813: Ready", VWI_PATTERN_LOAD },
    { "tei",
      "\x1b[2m2026-06-14T12:15:08.134310Z\x1b[0m \x1b[32m INFO\x1b[0m \x1b[2mtext_embeddings_router::http::server\x1b[0m\x1b[2m:\x1b[0m "
      "\x1b[2mrouter/src/http/server.rs\x1b[0m\x1b[2m:\x1b[0m\x1b[2m1881:\x1b[0m Ready", VWI_PATTERN_LOAD },
    { "tei", "{\"level\":\"INFO\",\"message\":\"Ready\",\"target\":\"text_embeddings_router::http::server\"}", VWI_PATTERN_LOAD },
    { "tei", "2025-02-25T11:40:09.111174Z  INFO text_embeddings_router::http::server: router/src/http/server.rs:1812: Starting HTTP server: 0.0.0.0:80",
      VWI_PATTERN_KINDS },
    { "tei", "2026-06-14T10:09:53.752184Z ERROR text_embeddings_backend: backends/src/lib.rs:388: Could not start ORT backend: no onnx", VWI_PATTERN_KINDS },
    { "tei", "    Could not start backend: Could not start a suitable backend", VWI_PATTERN_ERROR },
    { "tei", "2026-06-14T10:09:55.334030Z  INFO text_embeddings_router: router/src/lib.rs:289: Warming up model", VWI_PATTERN_INFO },
    { "comfyui", "To see the GUI go to: http://127.0.0.1:8188", VWI_PATTERN_LOAD },
    { "comfyui", "[ERROR] Provisioning Script failed", VWI_PATTERN_ERROR },
    { "sglang", "[2026-10-01 00:02:00] INFO The server is fired up and ready to roll!", VWI_PATTERN_LOAD },
    { "sglang", "[2025-03-29 18:56:25 TP0] Scheduler hit an exception: Traceback (most recent call last):", VWI_PATTERN_ERROR },
    { "sglang", "[01:38:57] Load weight end. elapsed=0.38 s, type=EmbeddingGemmaModel, avail mem=286.63 GB", VWI_PATTERN_INFO },
    { "ollama", "time=2024-11-08T01:14:14.096+05:30 level=INFO source=server.go:626 msg=\"llama runner started in 2.52 seconds\"", VWI_PATTERN_LOAD },
    { "ollama", "time=2024-11-08T01:14:14.096+05:30 level=INFO source=server.go:588 msg=\"waiting for llama runner to start responding\"",
      VWI_PATTERN_KINDS },
    { "ollama", "Error: pull model manifest: file does not exist", VWI_PATTERN_ERROR },
};

START_TEST(a_preset_reads_the_lines_of_its_server)
{
    struct vwi_patterns *p = compile(cases[_i].preset);
    struct vwi_pattern_hits hits;
    int kind;

    vwi_patterns_match(p, (struct vwi_span){ cases[_i].line, strlen(cases[_i].line) }, &hits);
    for (kind = 0; kind < VWI_PATTERN_KINDS; kind++)
        ck_assert_msg((hits.text[kind] != NULL) == (kind == cases[_i].kind), "%s as %s", cases[_i].line,
                      vwi_pattern_kind_name((enum vwi_pattern_kind)kind));
    vwi_patterns_destroy(p);
}
END_TEST

START_TEST(every_preset_is_named_tested_and_can_load)
{
    size_t count, i, j;
    const struct vwi_preset *presets = vwi_presets(&count);
    const char *names = VWI_PRESET_NAMES;

    for (i = 0; i < count; i++) {
        size_t len = strlen(presets[i].name);

        ck_assert_int_eq(strncmp(names, presets[i].name, len), 0);
        ck_assert(names[len] == (i + 1 < count ? ' ' : '\0'));
        names += len + 1;
        ck_assert_ptr_nonnull(presets[i].patterns[VWI_PATTERN_LOAD][0]);
        ck_assert_ptr_nonnull(presets[i].patterns[VWI_PATTERN_ERROR][0]);
        for (j = 0; j < VWI_ARRAY_LEN(cases); j++)
            if (cases[j].kind == VWI_PATTERN_LOAD && strcmp(cases[j].preset, presets[i].name) == 0)
                break;
        ck_assert_uint_lt(j, VWI_ARRAY_LEN(cases));
    }
    ck_assert_ptr_null(vwi_preset_find("vLLM"));
}
END_TEST

Suite *preset_suite(void);

Suite *preset_suite(void)
{
    Suite *s = suite_create("preset");
    TCase *tc = tcase_create("preset");

    tcase_add_loop_test(tc, a_preset_reads_the_lines_of_its_server, 0, (int)VWI_ARRAY_LEN(cases));
    tcase_add_test(tc, every_preset_is_named_tested_and_can_load);
    suite_add_tcase(s, tc);
    return s;
}
