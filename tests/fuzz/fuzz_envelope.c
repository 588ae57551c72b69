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

static bool same_place(struct vwi_span a, const char *a_body, struct vwi_span b, const char *b_body)
{
    return (!a.p && !b.p) || (a.p && b.p && a.len == b.len && a.p - a_body == b.p - b_body);
}

static bool same_text(struct vwi_span a, struct vwi_span b) { return a.len == b.len && (!a.len || memcmp(a.p, b.p, a.len) == 0); }

static bool same(const struct vwi_envelope *a, const char *a_body, const struct vwi_envelope *b, const char *b_body)
{
    return a->has_session == b->has_session && same_text(a->session_id, b->session_id) && a->auth.present == b->auth.present &&
           a->auth.has == b->auth.has && same_text(a->auth.url, b->auth.url) && same_text(a->auth.signature, b->auth.signature) &&
           a->auth.request_idx == b->auth.request_idx && same_place(a->payload, a_body, b->payload, b_body) &&
           same_place(a->auth.raw, a_body, b->auth.raw, b_body);
}

/* In pieces, the body being elsewhere with each one: the same verdict, the same places, the same answer. */
static void try_pieces(struct vwi_span in, const struct vwi_envelope_rules *rules, size_t step)
{
    struct vwi_text whole_answer = VWI_TEXT_INIT, answer = VWI_TEXT_INIT;
    struct vwi_envelope whole, fed, early;
    enum vwi_envelope_verdict expected = vwi_envelope_parse(in, rules, &whole, &whole_answer), verdict;
    struct vwi_envelope_feed f;
    char *body = malloc(1), *moved;
    enum vwi_envelope_fed told;
    bool bad = false;
    size_t len;

    vwi_envelope_feed_init(&f, rules);
    for (len = step < in.len ? step : in.len; !bad && len < in.len; len = in.len - len < step ? in.len : len + step) {
        moved = malloc(len ? len : 1);
        memcpy(moved, in.p, len);
        free(body);
        body = moved;
        while ((told = vwi_envelope_feed(&f, body, len)) == VWI_FED_AUTH) {
            vwi_envelope_feed_auth(&f, body, &early);
            vwi_envelope_fini(&early);
        }
        bad = told == VWI_FED_BAD;
    }
    if (bad && expected != VWI_ENVELOPE_INVALID_JSON)
        expect_no("a piece was refused that the whole has");
    moved = malloc(in.len);
    memcpy(moved, in.p, in.len);
    free(body);
    verdict = vwi_envelope_feed_end(&f, moved, in.len, &fed, &answer);
    if (verdict != expected || !same_text((struct vwi_span){ answer.p, answer.len }, (struct vwi_span){ whole_answer.p, whole_answer.len }))
        expect_no("the pieces got another verdict than the whole");
    if (verdict == VWI_ENVELOPE_OK && !same(&fed, moved, &whole, in.p))
        expect_no("the pieces have other members than the whole");
    vwi_envelope_feed_fini(&f);
    vwi_envelope_fini(&fed);
    vwi_envelope_fini(&whole);
    vwi_text_fini(&answer);
    vwi_text_fini(&whole_answer);
    free(moved);
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
        try_pieces(in, &rules, 1 + size % 7);
        try_pieces(in, &rules, 1 + (size * 31 + data[0]) % size);
    }
    free(copy);
    return 0;
}
