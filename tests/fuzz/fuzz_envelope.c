/* The envelope in all its forms, and the same bytes in jansson's eyes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_no(const char *complaint)
{
    if (complaint) {
        fprintf(stderr, "%s\n", complaint);
        abort();
    }
}

static void try_plain_forms(struct vwi_span in, const struct vwi_envelope_rules *rules)
{
    struct vwi_text out = VWI_TEXT_INIT;
    struct vwi_envelope e;

    vwi_auth_data_parse(in, rules, &e, &out);
    vwi_envelope_fini(&e);
    vwi_auth_data_from_query(in, rules, &e, &out);
    vwi_envelope_fini(&e);
    vwi_query_without_auth(in, &out);
    vwi_text_fini(&out);
}

/* A body that is still arriving. */
static void try_peek(struct vwi_span in, const struct vwi_envelope_rules *rules)
{
    struct vwi_envelope early;
    size_t cut;

    for (cut = 0; cut <= in.len; cut += 1 + in.len / 8) {
        if (vwi_envelope_peek((struct vwi_span){ in.p, cut }, rules, &early) == VWI_PEEK_AUTH &&
            early.auth.raw.p + early.auth.raw.len > in.p + cut)
            expect_no("peek read beyond its bytes");
        vwi_envelope_fini(&early);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = size && size < 8192 ? malloc(size) : NULL; /* of this very size, so that a sanitizer sees every step beyond */
    struct vwi_span in = { copy, size };
    int partial;

    if (!copy)
        return 0;
    memcpy(copy, data, size);
    for (partial = 0; partial < 2; partial++) {
        struct vwi_envelope_rules rules = { .max_depth = 16, .partial = partial };

        expect_no(oracle_check_envelope(copy, size, partial));
        try_plain_forms(in, &rules);
        try_peek(in, &rules);
    }
    free(copy);
    return 0;
}
