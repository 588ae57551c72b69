/* What a client may ask of the model server and what it gets: parsing and deterministic answers; pure. */
#ifndef SIM_ASK_H
#define SIM_ASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <vastworker/err.h>

#include "base/text.h"

enum sim_ask_kind { SIM_ASK_EMBEDDINGS, SIM_ASK_COMPLETION, SIM_ASK_CHAT, SIM_ASK_RERANK };

struct sim_ask {
    enum sim_ask_kind kind;
    json_t *body; /* owned */
    bool stream, include_usage;
    long long tokens, prompt_tokens; /* tokens to generate; 0 for embeddings and rerank */
    uint64_t seed;                   /* from the prompt: the same prompt gets the same words */
    long long number;                /* of the request, for ids */
    double created;                  /* epoch seconds */
};

/* body: transferred. Unset max_tokens: default_tokens. VW_E_PARSE names the field. */
vw_err sim_ask_parse_take(enum sim_ask_kind kind, json_t *body, long long default_tokens, struct sim_ask *ret, vw_error_t *why);
void sim_ask_fini(struct sim_ask *ask);

json_t *sim_ask_answer(const struct sim_ask *ask, const char *model); /* new; the whole answer */
/* One server-sent event with the nth token; the last one carries finish_reason. */
void sim_ask_add_token(const struct sim_ask *ask, const char *model, long long nth, struct vwi_text *ret);
void sim_ask_add_end(const struct sim_ask *ask, const char *model, struct vwi_text *ret); /* usage if asked for, and [DONE] */

#endif
