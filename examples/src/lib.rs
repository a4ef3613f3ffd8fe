//! Programs that show how fleetlog is used; each checks its own output.
