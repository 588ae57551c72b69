/*
 * Answers are a function of the question alone, so a test may compare two of them.
 * Shapes are those of the OpenAI API and of the usual rerank servers; the words mean nothing.
 */
#include "sim_ask.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/vwi.h"

#define DIMENSIONS 8
#define TOKENS_MAX 1000000
#define INPUTS_MAX 100000

static const char *const words[] = { "the", "river",  "bends",  "slowly", "past",   "a",     "quiet",   "mill",
                                     "and", "nobody", "counts", "its",    "stones", "until", "morning", "comes" };

/* FNV-1a: stable over versions and machines. */
static uint64_t hash_bytes(uint64_t h, const char *p, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        h = (h ^ (unsigned char)p[i]) * 1099511628211ull;
    return h;
}

static uint64_t hash_json(const json_t *value)
{
    const uint64_t start = 14695981039346656037ull;
    char *text;
    uint64_t h;

    if (json_is_string(value))
        return hash_bytes(start, json_string_value(value), json_string_length(value));
    text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    h = text ? hash_bytes(start, text, strlen(text)) : start;
    free(text);
    return h;
}

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

/* Next word in *at, letters and digits; 0 at the end. */
static size_t next_word(const char **at)
{
    const char *p = *at, *end;

    while (*p && !isalnum((unsigned char)*p) && (unsigned char)*p < 0x80)
        p++;
    for (end = p; *end && (isalnum((unsigned char)*end) || (unsigned char)*end >= 0x80);)
        end++;
    *at = p;
    return (size_t)(end - p);
}

/* Words stand for tokens; a list of token numbers counts itself. */
static long long count_tokens(const json_t *value)
{
    const char *at = json_string_value(value);
    long long count = 0;
    size_t len, i;

    if (!at) {
        for (i = 0; i < json_array_size(value); i++) {
            const json_t *item = json_array_get(value, i);

            count += json_is_integer(item)  ? 1
                     : json_is_object(item) ? count_tokens(json_object_get(item, "content"))
                                            : count_tokens(item);
        }
        return count;
    }
    while ((len = next_word(&at)) > 0) {
        at += len;
        count++;
    }
    return count;
}

static bool is_token_list(const json_t *value) { return json_array_size(value) > 0 && json_is_integer(json_array_get(value, 0)); }

static vw_err check_input(const json_t *input, vw_error_t *why)
{
    size_t i;

    if (json_is_string(input) || is_token_list(input))
        return VW_OK;
    if (!json_is_array(input) || json_array_size(input) == 0 || json_array_size(input) > INPUTS_MAX)
        return vwi_fail(why, VW_E_PARSE, "input: expected a string or a list of 1 to %d strings", INPUTS_MAX);
    for (i = 0; i < json_array_size(input); i++)
        if (!json_is_string(json_array_get(input, i)) && !is_token_list(json_array_get(input, i)))
            return vwi_fail(why, VW_E_PARSE, "input[%zu]: expected a string", i);
    return VW_OK;
}

static const char *document_text(const json_t *document)
{
    return json_string_value(json_is_object(document) ? json_object_get(document, "text") : document);
}

static vw_err check_rerank(const json_t *body, vw_error_t *why)
{
    const json_t *documents = json_object_get(body, "documents"), *top = json_object_get(body, "top_n");
    size_t i;

    if (!json_is_string(json_object_get(body, "query")))
        return vwi_fail(why, VW_E_PARSE, "query: expected a string");
    if (!json_is_array(documents) || json_array_size(documents) == 0 || json_array_size(documents) > INPUTS_MAX)
        return vwi_fail(why, VW_E_PARSE, "documents: expected a list of 1 to %d texts", INPUTS_MAX);
    for (i = 0; i < json_array_size(documents); i++)
        if (!document_text(json_array_get(documents, i)))
            return vwi_fail(why, VW_E_PARSE, "documents[%zu]: expected a string, or an object with text", i);
    if (top && !json_is_null(top) && (!json_is_integer(top) || json_integer_value(top) < 1))
        return vwi_fail(why, VW_E_PARSE, "top_n: expected a whole number >= 1");
    return VW_OK;
}

static vw_err check_flag(const json_t *object, const char *key, bool *ret, vw_error_t *why)
{
    const json_t *value = json_object_get(object, key);

    if (value && !json_is_null(value) && !json_is_boolean(value))
        return vwi_fail(why, VW_E_PARSE, "%s: expected true or false", key);
    *ret = json_is_true(value);
    return VW_OK;
}

static vw_err check_generation(struct sim_ask *ask, long long default_tokens, vw_error_t *why)
{
    const json_t *body = ask->body, *prompt = json_object_get(body, ask->kind == SIM_ASK_CHAT ? "messages" : "prompt");
    const json_t *max = json_object_get(body, "max_tokens");

    if (ask->kind == SIM_ASK_CHAT && (!json_is_array(prompt) || !json_is_object(json_array_get(prompt, 0))))
        return vwi_fail(why, VW_E_PARSE, "messages: expected a list of messages");
    if (ask->kind == SIM_ASK_COMPLETION && !json_is_string(prompt) && json_array_size(prompt) == 0)
        return vwi_fail(why, VW_E_PARSE, "prompt: expected a string");
    if (ask->kind == SIM_ASK_CHAT && (!max || json_is_null(max)))
        max = json_object_get(body, "max_completion_tokens");
    ask->tokens = default_tokens;
    if (max && !json_is_null(max)) {
        if (!json_is_integer(max) || json_integer_value(max) < 1 || json_integer_value(max) > TOKENS_MAX)
            return vwi_fail(why, VW_E_PARSE, "max_tokens: expected a whole number from 1 to %d", TOKENS_MAX);
        ask->tokens = json_integer_value(max);
    }
    ask->prompt_tokens = count_tokens(prompt);
    ask->seed = hash_json(prompt);
    if (check_flag(body, "stream", &ask->stream, why) != VW_OK)
        return VW_E_PARSE;
    return check_flag(json_object_get(body, "stream_options"), "include_usage", &ask->include_usage, why);
}

vw_err sim_ask_parse_take(enum sim_ask_kind kind, json_t *body, long long default_tokens, struct sim_ask *ret, vw_error_t *why)
{
    vw_err err = VW_OK;

    *ret = (struct sim_ask){ .kind = kind, .body = body };
    if (!json_is_object(body))
        err = vwi_fail(why, VW_E_PARSE, "expected a JSON object");
    else if (kind == SIM_ASK_EMBEDDINGS)
        err = check_input(json_object_get(body, "input"), why);
    else if (kind == SIM_ASK_RERANK)
        err = check_rerank(body, why);
    else
        err = check_generation(ret, default_tokens, why);
    if (err != VW_OK)
        sim_ask_fini(ret);
    return err;
}

void sim_ask_fini(struct sim_ask *ask)
{
    json_decref(ask->body);
    ask->body = NULL;
}

/* A unit vector in a direction that only the text decides. */
static json_t *embed(const json_t *text)
{
    double v[DIMENSIONS], norm = 0;
    uint64_t h = hash_json(text);
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < DIMENSIONS; i++) {
        h = mix(h);
        v[i] = (double)(h >> 11) / (double)(1ull << 52) - 1.0;
        norm += v[i] * v[i];
    }
    for (i = 0; i < DIMENSIONS; i++)
        json_array_append_new(list, json_real(v[i] / sqrt(norm)));
    return list;
}

static json_t *answer_embeddings(const struct sim_ask *ask, const char *model)
{
    const json_t *input = json_object_get(ask->body, "input");
    bool one = json_is_string(input) || is_token_list(input);
    size_t i, count = one ? 1 : json_array_size(input);
    json_int_t tokens = count_tokens(input);
    json_t *data = json_array();

    for (i = 0; i < count; i++)
        json_array_append_new(data, json_pack("{s:s,s:I,s:o}", "object", "embedding", "index", (json_int_t)i, "embedding",
                                              embed(one ? input : json_array_get(input, i))));
    return json_pack("{s:s,s:o,s:s,s:{s:I,s:I}}", "object", "list", "data", data, "model", model, "usage", "prompt_tokens",
                     tokens, "total_tokens", tokens);
}

/* How many of the query's words the document has, and a little of its hash so that ties are rare and stable. */
static double relevance(const char *query, const char *document)
{
    uint64_t h = mix(hash_bytes(14695981039346656037ull, document, strlen(document)));
    unsigned found = 0, all = 0;
    size_t len, other;

    for (; (len = next_word(&query)) > 0; query += len) {
        const char *at = document;

        all++;
        for (; (other = next_word(&at)) > 0; at += other) {
            if (other == len && memcmp(at, query, len) == 0) {
                found++;
                break;
            }
        }
    }
    return 0.98 * (all ? (double)found / all : 0) + 0.01 * (double)(h >> 11) / (double)(1ull << 53);
}

struct scored {
    double score;
    size_t index;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->index < y->index ? -1 : 1;
}

static json_t *answer_rerank(const struct sim_ask *ask, const char *model)
{
    const char *query = json_string_value(json_object_get(ask->body, "query"));
    const json_t *documents = json_object_get(ask->body, "documents"), *top = json_object_get(ask->body, "top_n");
    size_t i, count = json_array_size(documents), shown = count;
    struct scored *scored = vwi_alloc(count * sizeof *scored);
    json_int_t tokens = count_tokens(json_object_get(ask->body, "query"));
    json_t *results = json_array();

    if (json_is_integer(top) && json_integer_value(top) < (json_int_t)count)
        shown = (size_t)json_integer_value(top);
    for (i = 0; scored && i < count; i++) {
        const json_t *document = json_array_get(documents, i);

        scored[i] = (struct scored){ relevance(query, document_text(document)), i };
        tokens += count_tokens(json_is_object(document) ? json_object_get(document, "text") : document);
    }
    if (scored)
        qsort(scored, count, sizeof *scored, by_score);
    for (i = 0; scored && i < shown; i++)
        json_array_append_new(results, json_pack("{s:I,s:f,s:{s:s}}", "index", (json_int_t)scored[i].index, "relevance_score",
                                                 scored[i].score, "document", "text",
                                                 document_text(json_array_get(documents, scored[i].index))));
    vwi_free(scored);
    return json_pack("{s:s,s:o,s:{s:I}}", "model", model, "results", results, "usage", "total_tokens", tokens);
}

static const char *word_at(const struct sim_ask *ask, long long nth)
{
    return words[(ask->seed + (uint64_t)nth * 7) % VWI_ARRAY_LEN(words)];
}

static json_t *usage_json(const struct sim_ask *ask)
{
    return json_pack("{s:I,s:I,s:I}", "prompt_tokens", (json_int_t)ask->prompt_tokens, "completion_tokens",
                     (json_int_t)ask->tokens, "total_tokens", (json_int_t)(ask->prompt_tokens + ask->tokens));
}

static json_t *answer_generation(const struct sim_ask *ask, const char *model)
{
    bool chat = ask->kind == SIM_ASK_CHAT;
    struct vwi_text text = VWI_TEXT_INIT, id = VWI_TEXT_INIT;
    json_t *choice, *answer = NULL;
    long long i;

    vwi_text_addf(&id, "%s-%lld", chat ? "chatcmpl" : "cmpl", ask->number);
    for (i = 0; i < ask->tokens; i++)
        vwi_text_addf(&text, " %s", word_at(ask, i));
    if (text.failed || id.failed)
        goto out;
    choice = chat ? json_pack("{s:i,s:{s:s,s:s},s:s}", "index", 0, "message", "role", "assistant", "content", text.p,
                              "finish_reason", "length")
                  : json_pack("{s:i,s:s,s:n,s:s}", "index", 0, "text", text.p, "logprobs", "finish_reason", "length");
    answer = json_pack("{s:s,s:s,s:I,s:s,s:[o],s:o}", "id", id.p, "object", chat ? "chat.completion" : "text_completion",
                       "created", (json_int_t)ask->created, "model", model, "choices", choice, "usage", usage_json(ask));
out:
    vwi_text_fini(&text);
    vwi_text_fini(&id);
    return answer;
}

json_t *sim_ask_answer(const struct sim_ask *ask, const char *model)
{
    if (ask->kind == SIM_ASK_EMBEDDINGS)
        return answer_embeddings(ask, model);
    if (ask->kind == SIM_ASK_RERANK)
        return answer_rerank(ask, model);
    return answer_generation(ask, model);
}

static void begin_chunk(const struct sim_ask *ask, const char *model, struct vwi_text *ret)
{
    bool chat = ask->kind == SIM_ASK_CHAT;

    vwi_text_addf(ret, "data: {\"id\":\"%s-%lld\",\"object\":\"%s\",\"created\":%lld,\"model\":", chat ? "chatcmpl" : "cmpl",
                  ask->number, chat ? "chat.completion.chunk" : "text_completion", (long long)ask->created);
    vwi_text_add_json(ret, model, strlen(model));
}

void sim_ask_add_token(const struct sim_ask *ask, const char *model, long long nth, struct vwi_text *ret)
{
    const char *finish = nth + 1 == ask->tokens ? "\"length\"" : "null";

    begin_chunk(ask, model, ret);
    if (ask->kind == SIM_ASK_CHAT)
        vwi_text_addf(ret, ",\"choices\":[{\"index\":0,\"delta\":{%s\"content\":\" %s\"},\"finish_reason\":%s}]}\n\n",
                      nth == 0 ? "\"role\":\"assistant\"," : "", word_at(ask, nth), finish);
    else
        vwi_text_addf(ret, ",\"choices\":[{\"index\":0,\"text\":\" %s\",\"logprobs\":null,\"finish_reason\":%s}]}\n\n",
                      word_at(ask, nth), finish);
}

void sim_ask_add_end(const struct sim_ask *ask, const char *model, struct vwi_text *ret)
{
    if (ask->include_usage) {
        begin_chunk(ask, model, ret);
        vwi_text_addf(ret,
                      ",\"choices\":[],\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld}}\n\n",
                      ask->prompt_tokens, ask->tokens, ask->prompt_tokens + ask->tokens);
    }
    vwi_text_adds(ret, "data: [DONE]\n\n");
}
