/* Goes over to the process group of a child of its own, as a leader of a group may, prints the child's number and stays. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    pid_t other = fork();

    if (other == 0)
        for (;;)
            pause();
    if (other < 0 || setpgid(other, other) != 0 || setpgid(0, other) != 0)
        return 2;
    printf("%ld\n", (long)other);
    fflush(stdout);
    for (;;)
        pause();
}
