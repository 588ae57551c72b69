/*
 * One pass over argv against tables of options.
 * The odd thing: `all` shows the options of two servers at once, so a name may belong to two groups; then only the
 * prefixed form is taken and the refusal says so.
 */
#include "sim_cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vwi.h"

#define PROGRAM "vastworker-sim"
#define NAME_MAX_LEN 63
#define HELP_COLUMN 30

struct found {
    const struct sim_option *option;
    const struct sim_options *group;
    unsigned homonyms; /* groups that know the bare name */
};

int sim_cli_refuse(const char *command, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, PROGRAM "%s%s: ", command ? " " : "", command ? command : "");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return SIM_EXIT_USAGE;
}

static void print_option(const struct sim_option *option, const char *prefix)
{
    int width = printf("  --%s%s%s%s%s", prefix ? prefix : "", prefix ? "-" : "", option->name, option->value ? " " : "",
                       option->value ? option->value : "");
    const char *text = option->help;

    if (width >= HELP_COLUMN - 1) {
        putchar('\n');
        width = 0;
    }
    while (text) {
        const char *end = strchr(text, '\n');
        int len = end ? (int)(end - text) : (int)strlen(text);

        printf("%*s%.*s\n", HELP_COLUMN - width, "", len, text);
        width = 0;
        text = end ? end + 1 : NULL;
    }
}

static struct found find_option(const struct sim_usage *usage, const char *name)
{
    struct found found = { NULL, NULL, 0 };
    size_t g, i;

    for (g = 0; g < usage->group_count; g++) {
        const struct sim_options *group = &usage->groups[g];
        size_t len = group->prefix ? strlen(group->prefix) : 0;

        for (i = 0; i < group->count; i++) {
            const struct sim_option *option = &group->items[i];

            if (len && strncmp(name, group->prefix, len) == 0 && name[len] == '-' && strcmp(name + len + 1, option->name) == 0)
                return (struct found){ option, group, 1 };
            if (strcmp(name, option->name) != 0)
                continue;
            if (!found.homonyms++)
                found.option = option, found.group = group;
        }
    }
    return found;
}

static void print_help(const struct sim_usage *usage)
{
    size_t g, i;

    printf("Usage: " PROGRAM " %s %s\n\n%s\n", usage->command, usage->synopsis, usage->about);
    for (g = 0; g < usage->group_count; g++) {
        const struct sim_options *group = &usage->groups[g];

        printf("\n%s:\n", group->title);
        for (i = 0; i < group->count; i++) {
            bool shared = group->prefix && find_option(usage, group->items[i].name).homonyms > 1;

            print_option(&group->items[i], shared ? group->prefix : NULL);
        }
    }
    printf("  --help                      this text\n");
    if (usage->notes)
        printf("\n%s\n", usage->notes);
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* Edits between two names; one row of the usual table is enough. */
static size_t edits(const char *a, const char *b)
{
    size_t row[NAME_MAX_LEN + 1], la = strlen(a), lb = strlen(b), i, j;

    if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN)
        return NAME_MAX_LEN;
    for (j = 0; j <= lb; j++)
        row[j] = j;
    for (i = 1; i <= la; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (j = 1; j <= lb; j++) {
            size_t above = row[j];

            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));
            diagonal = above;
        }
    }
    return row[lb];
}

static int refuse_unknown(const struct sim_usage *usage, const char *name)
{
    const char *nearest = NULL;
    size_t best = 4, g, i;

    for (g = 0; g < usage->group_count; g++) {
        for (i = 0; i < usage->groups[g].count; i++) {
            size_t distance = edits(name, usage->groups[g].items[i].name);

            if (distance < best) {
                best = distance;
                nearest = usage->groups[g].items[i].name;
            }
        }
    }
    if (nearest)
        return sim_cli_refuse(usage->command, "unknown option --%s; did you mean --%s?", name, nearest);
    return sim_cli_refuse(usage->command, "unknown option --%s; " PROGRAM " %s --help lists them", name, usage->command);
}

static int refuse_number(const struct sim_usage *usage, const struct sim_option *option, const char *text)
{
    const char *what = option->kind == SIM_WHOLE ? "whole number" : "number";

    return sim_cli_refuse(usage->command, "--%s: expected a %s from %.15g to %.15g, got \"%s\"", option->name, what, option->min,
                          option->max, text);
}

static int store(const struct sim_usage *usage, const struct found *found, const char *text)
{
    const struct sim_option *option = found->option;
    char *field = (char *)found->group->target + option->offset, *end = NULL;
    struct sim_texts *texts = (void *)field;
    double number;

    switch (option->kind) {
    case SIM_FLAG: *(bool *)(void *)field = true; return SIM_CLI_GO;
    case SIM_TEXT: *(const char **)(void *)field = text; return SIM_CLI_GO;
    case SIM_TEXTS:
        if (texts->count == SIM_TEXTS_MAX)
            return sim_cli_refuse(usage->command, "--%s: at most %d times", option->name, SIM_TEXTS_MAX);
        texts->items[texts->count++] = text;
        return SIM_CLI_GO;
    case SIM_WHOLE:
    case SIM_REAL: break;
    }
    errno = 0;
    number = strtod(text, &end);
    if (errno || end == text || *end || !isfinite(number) || number < option->min || number > option->max ||
        strspn(text, "+-0123456789.eE") != strlen(text) || (option->kind == SIM_WHOLE && number != floor(number)))
        return refuse_number(usage, option, text);
    if (option->kind == SIM_WHOLE)
        *(long long *)(void *)field = (long long)number;
    else
        *(double *)(void *)field = number;
    return SIM_CLI_GO;
}

/* One option at argv[*at]; moves *at over a value that stands apart. */
static int take_option(const struct sim_usage *usage, int argc, char **argv, int *at)
{
    const char *text = argv[*at] + 2, *value = strchr(text, '=');
    char name[NAME_MAX_LEN + 1];
    size_t len = value ? (size_t)(value - text) : strlen(text);
    struct found found;

    if (len > NAME_MAX_LEN)
        len = NAME_MAX_LEN;
    memcpy(name, text, len);
    name[len] = '\0';
    if (strcmp(name, "help") == 0) {
        print_help(usage);
        return SIM_EXIT_OK;
    }
    found = find_option(usage, name);
    if (!found.option)
        return refuse_unknown(usage, name);
    if (found.homonyms > 1)
        return sim_cli_refuse(usage->command, "--%s could be for either server; say --control-%s or --model-%s", name, name,
                              name);
    if (found.option->kind == SIM_FLAG) {
        if (value)
            return sim_cli_refuse(usage->command, "--%s takes no value", name);
        return store(usage, &found, NULL);
    }
    if (value)
        return store(usage, &found, value + 1);
    if (*at + 1 >= argc)
        return sim_cli_refuse(usage->command, "--%s needs a value: --%s %s", name, name, found.option->value);
    *at += 1;
    return store(usage, &found, argv[*at]);
}

int sim_cli_parse(const struct sim_usage *usage, int argc, char **argv, char ***ret_rest)
{
    int i, rc;

    if (ret_rest)
        *ret_rest = NULL;
    for (i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0 && usage->takes_command) {
            if (i + 1 == argc)
                return sim_cli_refuse(usage->command, "a command must follow --");
            *ret_rest = argv + i + 1;
            return SIM_CLI_GO;
        }
        if (strcmp(argv[i], "-h") == 0) {
            print_help(usage);
            return SIM_EXIT_OK;
        }
        if (strncmp(argv[i], "--", 2) != 0 || !argv[i][2])
            return sim_cli_refuse(usage->command, "unexpected argument \"%s\"%s", argv[i],
                                  usage->takes_command ? "; a command to run stands after --" : "");
        rc = take_option(usage, argc, argv, &i);
        if (rc != SIM_CLI_GO)
            return rc;
    }
    return SIM_CLI_GO;
}
