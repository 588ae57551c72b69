/* Shared by the two files of the control plane only. */
#ifndef SIM_CONTROL_PARTS_H
#define SIM_CONTROL_PARTS_H

#include "sim_ca.h"
#include "sim_control.h"
#include "sim_fleet.h"
#include "sim_key.h"
#include "sim_server.h"
#include "sim_view.h"

struct sim_control {
    const struct sim_control_options *options;
    const struct sim_common *common;
    struct sim_key *key;
    struct vwi_text public_pem, signed_url, signature; /* signature belongs to signed_url: it is constant for a worker */
    struct sim_ca *ca;
    long long garble; /* so many certificates to come are none */
    struct sim_faults faults;
    struct sim_fleet fleet;
    struct sim_server *server;
    char url[64];
    int record_fd;
    double started;
    unsigned long long refused_keys, refused_bodies, refused_tokens;
};

struct sim_view sim_control_view(const struct sim_control *control);

extern const struct sim_route sim_control_routes[];
extern const size_t sim_control_route_count;

#endif
