//! Too little of something: stack, descriptors, file size, memory.

use super::situations;

situations! { "limits":
    glibc "gcc" =>
        small_stacks small_signal_stack no_more_descriptors started_without_descriptors no_file_size
        log_reaches_its_size out_of_memory started_with_little_memory memory_pressure;
    musl "musl-gcc" =>
        small_stacks small_signal_stack no_more_descriptors started_without_descriptors no_file_size
        log_reaches_its_size out_of_memory started_with_little_memory memory_pressure;
}
