#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fleetlog::foreign::fuzzing::syslog(bytes));
