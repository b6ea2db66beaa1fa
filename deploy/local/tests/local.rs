//! Deploys to this machine: real processes, real sockets on loopback.

mod local {
    mod effects;
    mod refusals;
    mod scene;
    mod switch;
}
