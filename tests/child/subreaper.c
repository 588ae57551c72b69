/* Becomes the program behind it, as one that orphans are left to: what process 1 of a container is, without a container. */
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 2 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return 2;
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 2;
}
