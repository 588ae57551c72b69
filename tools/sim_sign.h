/* `vastworker-sim sign`: a signed envelope on one line, for curl. */
#ifndef SIM_SIGN_H
#define SIM_SIGN_H

int sim_sign_main(int argc, char **argv);

#endif
