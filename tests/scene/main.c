/* Runs every suite of tests/scene; the list is generated from the file names. */
#include <stdlib.h>

#include "actors.h"

#define SUITE(name) Suite *name##_suite(void);
#include "scene_suites.h"
#undef SUITE

int main(void)
{
    SRunner *runner = srunner_create(NULL);
    int failed;

    scene_init();
#define SUITE(name) srunner_add_suite(runner, name##_suite());
#include "scene_suites.h"
#undef SUITE
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
