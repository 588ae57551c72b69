/*
 * regcomp and regexec of libc, compiled in the C locale so that a byte is a character whatever the host program has set. They take
 * microseconds for a line that does not match, so a literal that every match must hold is looked for first. The odd things: "\/" is
 * undefined in POSIX, so it becomes "/" before libc sees it; and glibc keeps each state that a line ever led to, so an expression is
 * compiled again now and then, which lets go of them.
 */
#include "core/regex.h"

#include <locale.h>
#include <regex.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define REFRESH_BYTES (32u * 1024) /* of lines, between two compilations */

struct vwi_regex {
    regex_t compiled;
    size_t fed;         /* bytes of lines since it was compiled */
    size_t literal_len; /* 0: none is known */
    char literal[VWI_REGEX_TEXT_MAX]; /* part of every match */
    char text[VWI_REGEX_TEXT_MAX + 1];
};

/* Behind the ] of a bracket expression that begins at p ("[" of it). The end of the text where it has none. */
static const char *skip_bracket(const char *p, const char *end)
{
    p++;
    if (p < end && *p == '^')
        p++;
    if (p < end && *p == ']')
        p++;
    while (p < end && *p != ']') {
        if (*p == '[' && p + 1 < end && strchr(".=:", p[1])) {
            char kind = p[1];

            for (p += 2; p + 1 < end && !(p[0] == kind && p[1] == ']'); p++)
                ;
            p = p + 1 < end ? p + 2 : end;
        } else {
            p++;
        }
    }
    return p < end ? p + 1 : end;
}

/* The } of a count that begins at p; p where none does. */
static const char *end_of_count(const char *p, const char *end)
{
    const char *at = p + 1;

    if (*p != '{')
        return p;
    while (at < end && (*at == ',' || (*at >= '0' && *at <= '9')))
        at++;
    return at < end && *at == '}' ? at : p;
}

struct repeat {
    unsigned times; /* libc writes counted repetitions out, and x+ as xx* */
    bool optional, again;
};

/* What the quantifier from p to last asks for. */
static struct repeat read_repeat(const char *p, const char *last)
{
    struct repeat ret = { 1, strchr("*?", *p) != NULL, strchr("*+", *p) != NULL };
    unsigned number = 0, most = 0;

    if (*p != '{') {
        ret.times += *p == '+';
        return ret;
    }
    for (p++; p < last; p++) {
        if (*p == ',') {
            ret.optional = number == 0;
            number = 0;
        } else {
            number = number > VWI_REGEX_PARTS_MAX ? number : number * 10 + (unsigned)(*p - '0');
        }
        if (number > most)
            most = number;
    }
    ret.optional |= most == 0;
    ret.again = most > 1 || last[-1] == ',';
    ret.times = most ? most : 1;
    return ret;
}

/* An expression, or a group of it, as far as it was read. */
struct extent {
    unsigned before, last;         /* parts; of what a quantifier would take */
    bool last_empty, branch_empty; /* may match nothing: the last; all before it since the last | */
    bool last_holds, holds;        /* an anchor, or a branch without parts: the last; any before it */
    bool bare;                     /* nothing since the last | */
    bool empty;                    /* a branch that has ended may match nothing */
};

static const struct extent nothing = { .last_empty = true, .branch_empty = true, .bare = true };

static void add_part(struct extent *e, bool anchor)
{
    e->before += e->last;
    e->branch_empty &= e->last_empty;
    e->holds |= e->last_holds;
    e->last = 1;
    e->last_empty = e->last_holds = anchor;
    e->bare = false;
}

static void end_branch(struct extent *e)
{
    e->holds |= e->bare;
    e->empty |= e->branch_empty && e->last_empty;
    add_part(e, false);
    e->last_empty = e->branch_empty = e->bare = true;
}

static void end_group(struct extent *outer, struct extent *e)
{
    end_branch(e);
    outer->last = e->before + e->last;
    outer->last_empty = e->empty;
    outer->last_holds = e->holds;
}

/*
 * NULL, or what cannot be taken though libc might. It would grow without measure, or libc would take years for it: of ((a?)*|b?|c?){30}
 * it follows each way through what matches nothing, and beside an anchor it does so for each context.
 */
static const char *find_excess(const char *p, const char *end)
{
    struct extent level[VWI_REGEX_TEXT_MAX + 1] = { nothing };
    unsigned depth = 0;

    for (; p < end; p++) {
        struct extent *at = &level[depth];
        const char *last = end_of_count(p, end);

        if (*p == '\\' && p + 1 < end && p[1] >= '1' && p[1] <= '9')
            return "has a back-reference, which is not supported";
        if (last > p || strchr("*?+", *p)) {
            struct repeat by = read_repeat(p, last);

            if (by.again && at->last_empty)
                return "repeats what may match nothing, as (a*)+ does: let each round match at least one byte";
            if (by.again && at->last_holds)
                return "repeats an anchor or an empty alternative, as (a$|b)+ and (a(|b))+ do";
            at->last *= by.times;
            at->last_empty |= by.optional;
        } else if (*p == '(') {
            add_part(at, false);
            level[++depth] = nothing;
        } else if (*p == ')' && depth) {
            end_group(&level[--depth], at);
        } else if (*p == '|') {
            end_branch(at);
        } else {
            add_part(at, strchr("^$", *p) || (*p == '\\' && p + 1 < end && strchr("<>bB`'", p[1])));
        }
        if (level[depth].before + level[depth].last > VWI_REGEX_PARTS_MAX)
            return "has more than 1000 parts, repetitions counted";
        if (*p == '[')
            p = skip_bracket(p, end) - 1;
        else if (*p == '\\')
            p++;
        else
            p = last;
    }
    return NULL;
}

/* Behind the ) of a group that begins at p. */
static const char *skip_group(const char *p, const char *end)
{
    unsigned depth = 0;

    while (p < end) {
        if (*p == '[') {
            p = skip_bracket(p, end);
            continue;
        }
        if (*p == '\\')
            p++;
        else if (*p == '(')
            depth++;
        else if (*p == ')' && --depth == 0)
            return p + 1;
        p++;
    }
    return end;
}

static bool is_plain(char c) { return !strchr("\\[](){}.*+?^$|", c); }

/*
 * Finds the longest run of plain characters outside groups into out; its length. A quantifier takes the character before it out of
 * the run; an alternation outside groups leaves nothing that must be there.
 */
static size_t find_literal(const char *p, const char *end, char *out)
{
    char run[VWI_REGEX_TEXT_MAX];
    size_t len = 0, best = 0;

    while (p <= end) {
        bool plain = p < end && is_plain(*p);
        bool escaped = p + 1 < end && *p == '\\' && !is_plain(p[1]);

        if (p < end && *p == '|')
            return 0;
        if (plain || escaped) {
            p += escaped;
            if (p + 1 == end || !strchr("*?{+", p[1])) {
                run[len++] = *p++;
                continue;
            }
        }
        if (len > best)
            memcpy(out, run, best = len);
        len = 0;
        if (p >= end)
            break;
        if (plain || escaped)
            p++; /* may be there not at all, or again */
        else if (*p == '[')
            p = skip_bracket(p, end);
        else if (*p == '(')
            p = skip_group(p, end);
        else if (*p == '{')
            for (; p < end && *p != '}'; p++)
                ;
        else
            p += *p == '\\' && p + 1 < end ? 2 : 1;
    }
    return best;
}

static vw_err compile(const char *text, regex_t *ret, vw_error_t *why)
{
    locale_t bytes = newlocale(LC_ALL_MASK, "C", (locale_t)0), before;
    char words[160];
    int code;

    if (!bytes)
        return vwi_fail(why, VW_E_NOMEM, "out of memory");
    before = uselocale(bytes);
    code = regcomp(ret, text, REG_EXTENDED | REG_NOSUB);
    uselocale(before);
    freelocale(bytes);
    if (code == 0)
        return VW_OK;
    if (code == REG_ESPACE)
        return vwi_fail(why, VW_E_NOMEM, "out of memory");
    regerror(code, NULL, words, sizeof words);
    return vwi_fail(why, VW_E_CONFIG, "is not a POSIX extended regular expression: %s", words);
}

/* "\/" becomes "/"; out is ended by a NUL. */
static size_t unescape(struct vwi_span text, char *out)
{
    size_t i, len = 0;

    for (i = 0; i < text.len; i++) {
        if (text.p[i] == '\\' && i + 1 < text.len) {
            i++;
            if (text.p[i] != '/')
                out[len++] = '\\';
        }
        out[len++] = text.p[i];
    }
    out[len] = '\0';
    return len;
}

vw_err vwi_regex_create(struct vwi_span text, struct vwi_regex **ret, vw_error_t *why)
{
    struct vwi_regex *regex;
    const char *excess;
    size_t len;
    vw_err err;

    if (!text.len)
        return vwi_fail(why, VW_E_CONFIG, "is an empty regular expression, which would match every line");
    if (text.len > VWI_REGEX_TEXT_MAX)
        return vwi_fail(why, VW_E_CONFIG, "is a regular expression of more than %d bytes", VWI_REGEX_TEXT_MAX);
    regex = vwi_zalloc(sizeof *regex);
    if (!regex)
        return vwi_fail(why, VW_E_NOMEM, "out of memory");
    len = unescape(text, regex->text);
    excess = find_excess(regex->text, regex->text + len);
    err = excess ? vwi_fail(why, VW_E_CONFIG, "%s", excess) : compile(regex->text, &regex->compiled, why);
    if (err != VW_OK) {
        vwi_free(regex);
        return err;
    }
    regex->literal_len = find_literal(regex->text, regex->text + len, regex->literal);
    *ret = regex;
    return VW_OK;
}

void vwi_regex_destroy(struct vwi_regex *regex)
{
    if (!regex)
        return;
    regfree(&regex->compiled);
    vwi_free(regex);
}

/* Keeps the old one where memory is short. */
static void refresh(struct vwi_regex *regex)
{
    regex_t fresh;

    regex->fed = 0;
    if (compile(regex->text, &fresh, NULL) != VW_OK)
        return;
    regfree(&regex->compiled);
    regex->compiled = fresh;
}

/* False: the literal is not there, even if a NUL stands for a space in it. */
static bool may_hold(const struct vwi_regex *regex, struct vwi_span line)
{
    if (memmem(line.p, line.len, regex->literal, regex->literal_len))
        return true;
    return memchr(regex->literal, ' ', regex->literal_len) && memchr(line.p, '\0', line.len);
}

bool vwi_regex_match(struct vwi_regex *regex, struct vwi_span line)
{
    bool cut = line.len > VWI_REGEX_LINE_MAX;
    size_t i, len = cut ? VWI_REGEX_LINE_MAX : line.len;
    char text[VWI_REGEX_LINE_MAX + 1];

    if (regex->literal_len && !may_hold(regex, (struct vwi_span){ line.p, len }))
        return false;
    if (regex->fed > REFRESH_BYTES)
        refresh(regex);
    regex->fed += len;
    for (i = 0; i < len; i++)
        text[i] = line.p[i] ? line.p[i] : ' ';
    text[len] = '\0';
    return regexec(&regex->compiled, text, 0, NULL, cut ? REG_NOTEOL : 0) == 0;
}
