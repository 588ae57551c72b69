#include "io/machine.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/vwi.h"
#include "io/file.h"

#define MAX_GPUS 64
#define MAX_INFORMATION 4096

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

static size_t list_folder(const char *folder, char names[MAX_GPUS][64])
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    size_t count = 0;

    while (dir && count < MAX_GPUS && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && strlen(entry->d_name) < sizeof names[0])
            memcpy(names[count++], entry->d_name, strlen(entry->d_name) + 1);
    if (dir)
        closedir(dir);
    qsort(names, count, sizeof names[0], by_name);
    return count;
}

/* "Model: \t\t NVIDIA H100 80GB HBM3" */
static void add_model(const char *information, struct vwi_text *out)
{
    static const char mark[] = "Model:";
    const char *at = strstr(information, mark);

    if (!at)
        return;
    at += sizeof mark - 1;
    at += strspn(at, " \t");
    vwi_text_add(out, at, strcspn(at, "\r\n"));
    vwi_text_add(out, "\n", 1);
}

void vwi_machine_gpus(const char *folder, struct vwi_text *out)
{
    char names[MAX_GPUS][64];
    size_t count = list_folder(folder, names), i;

    for (i = 0; i < count; i++) {
        struct vwi_text information = VWI_TEXT_INIT, path = VWI_TEXT_INIT;

        vwi_text_addf(&path, "%s/%s/information", folder, names[i]);
        if (!path.failed && vwi_file_read(path.p, MAX_INFORMATION, &information, NULL) == VW_OK && information.p)
            add_model(information.p, out);
        vwi_text_fini(&information);
        vwi_text_fini(&path);
    }
}
