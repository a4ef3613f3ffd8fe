//! `fleetlog top` in a terminal: it shows the fleet, survives what happens to its listener and to
//! its screen, and gives the terminal back however it ends.

mod screen;
mod terminal;
mod view;
