/* `vastworker-sim all`: control plane and model in one process, with the environment a worker needs to meet them. */
#ifndef SIM_ALL_H
#define SIM_ALL_H

int sim_all_main(int argc, char **argv);

#endif
