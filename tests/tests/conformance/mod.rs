//! What holds over every transport. The root says which one it is.

mod listener_command;
mod listener_disk;
mod listener_kill;
mod listener_order;
mod listener_program;
mod storm;
mod worker_ends;
mod worker_forks;
mod worker_life;
mod worker_pressure;
mod worker_records;
