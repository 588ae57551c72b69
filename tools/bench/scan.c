/*
 * What reading a body costs: bytes a second of processor time for large ones, nanoseconds for the envelope of 567 bytes.
 * Best of several rounds, whole and in the pieces in which a socket hands it over. `scan envelope N` reads the small one N times.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/envelope.h"
#include "core/payload.h"

#define BIG ((size_t)10 << 20)
#define ROUNDS 15

static const struct vwi_envelope_rules rules = { .max_depth = 512 };

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* An envelope around `head`, about size bytes of `unit`, and `tail`. */
static struct vwi_text envelope(const char *head, const char *unit, const char *last, const char *tail, size_t size)
{
    struct vwi_text t = VWI_TEXT_INIT;
    size_t unit_len = strlen(unit);

    vwi_text_addf(&t, "{\"auth_data\": {\"signature\": \"%0344d\", \"cost\": \"100.0\", \"endpoint\": \"my-endpoint\", \"reqnum\": 12, "
                      "\"url\": \"http://203.0.113.7:41234\", \"request_idx\": 5}, \"payload\": %s", 0, head);
    while (t.len + unit_len + strlen(last) + strlen(tail) + 1 <= size)
        vwi_text_add(&t, unit, unit_len);
    vwi_text_adds(&t, last);
    vwi_text_adds(&t, tail);
    if (!vwi_text_adds(&t, "}"))
        exit(1);
    return t;
}

static struct vwi_envelope parse(struct vwi_span body)
{
    struct vwi_text answer = VWI_TEXT_INIT;
    struct vwi_envelope e;

    if (vwi_envelope_parse(body, &rules, &e, &answer) != VWI_ENVELOPE_OK) {
        fprintf(stderr, "scan: refused: %s\n", answer.p);
        exit(1);
    }
    return e;
}

static void measure_small(int times)
{
    struct vwi_text t = envelope("{\"model\": \"bench\", \"input\": [\"", "x", "\"", "]}", 567);
    double from = cpu_s();
    int i;

    for (i = 0; i < times; i++) {
        struct vwi_envelope e = parse((struct vwi_span){ t.p, t.len });

        vwi_envelope_fini(&e);
    }
    printf("%-34s %8.0f ns\n", "envelope of 567 bytes", (cpu_s() - from) / times * 1e9);
    vwi_text_fini(&t);
}

enum { WHOLE, VALID, COUNT, KINDS };
static const char *const kinds[KINDS] = { "envelope whole", "plain JSON whole", "count /input" };

static double once(int kind, struct vwi_span body, struct vwi_span payload)
{
    struct vwi_span value = { NULL, 0 };
    double from = cpu_s();
    bool good = true;

    switch (kind) {
    case WHOLE: parse(body); break;
    case VALID: good = vwi_json_valid(body, 512); break;
    default: good = vwi_payload_find(payload, "/input", &value) == VWI_KIND_ARRAY && vwi_payload_count(value) > 0; break;
    }
    if (!good)
        exit(1);
    return cpu_s() - from;
}

static void measure_big(const char *name, const char *unit, const char *last)
{
    struct vwi_text t = envelope("{\"model\": \"bench\", \"input\": [", unit, last, "]}", BIG);
    struct vwi_span body = { t.p, t.len };
    struct vwi_envelope e = parse(body);
    int kind, round;

    for (kind = 0; kind < KINDS; kind++) {
        double best = 1e9;

        for (round = 0; round < ROUNDS; round++) {
            double s = once(kind, body, e.payload);

            best = s < best ? s : best;
        }
        printf("%-16s %-17s %8.2f ms %8.2f GB/s\n", name, kinds[kind], best * 1e3, (double)t.len / best / 1e9);
    }
    vwi_envelope_fini(&e);
    vwi_text_fini(&t);
}

/* One string of base64, all of it. */
static void measure_image(void)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *unit = malloc(BIG);
    size_t i, len = BIG - 1024;

    if (!unit)
        exit(1);
    for (i = 0; i < len; i++)
        unit[i] = set[i * 2654435761u >> 13 & 63];
    unit[0] = '"';
    unit[len] = '\0';
    measure_big("base64", unit, "\"");
    free(unit);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "envelope") == 0) {
        measure_small((int)strtol(argv[2], NULL, 10));
        return 0;
    }
    measure_small(200000);
    measure_image();
    measure_big("token ids", "15496, 995, 11, 318, 257, 40230, 7, ", "1");
    measure_big("short strings", "\"hello\", \"what is this\", \"a\", \"short word\", ", "\"\"");
    measure_big("vectors", "-0.018392, 0.92e-3, 1.5, 0.33333333, ", "1");
    measure_big("objects", "{\"role\": \"user\", \"content\": \"caf\\u00e9 \xc3\xa9\\n\", \"n\": null}, ", "{}");
    measure_big("prose", "\"A line of prose that someone \\\"wrote\\\", with \xe2\x80\x9cquotes\xe2\x80\x9d in it.\\nAnd a second.\", ", "\"\"");
    return 0;
}
