//! Processes that forbid themselves system calls, or only ask whether they could.

use super::situations;

situations! { "sandboxes":
    glibc "gcc" =>
        strict allow_list_by_prctl allow_list_by_system_call long_time_in_a_sandbox only_asks_for_sandboxes
        memory_deny_write_execute no_time_stamp_counter no_new_privileges;
    musl "musl-gcc" =>
        strict allow_list_by_prctl allow_list_by_system_call long_time_in_a_sandbox only_asks_for_sandboxes
        memory_deny_write_execute no_time_stamp_counter no_new_privileges;
}
