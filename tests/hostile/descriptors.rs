//! Descriptor numbers that change their meaning: a private file under a number that was a log's must never leak.

use super::situations;

situations! { "descriptors":
    glibc "gcc" =>
        recycled_after_close recycled_after_close_range recycled_after_system_call recycled_after_fclose
        recycled_after_close_range_of_libc recycled_after_closefrom recycled_after_a_failed_freopen
        recycled_stdout reopened_stdout duplicate_over_stdout_by_system_call duplicates_in_all_ways
        very_high_descriptors reopened_by_name pipe_on_descriptor_one socket_pair_on_descriptor_one
        closes_everything number_of_descriptors_is_the_same closed_at_exec read_only_and_closed_streams
        two_threads_share_the_numbers;
    musl "musl-gcc" =>
        recycled_after_close recycled_after_close_range recycled_after_system_call recycled_after_fclose
        recycled_after_close_range_of_libc recycled_after_closefrom recycled_after_a_failed_freopen
        recycled_stdout reopened_stdout duplicate_over_stdout_by_system_call duplicates_in_all_ways
        very_high_descriptors reopened_by_name pipe_on_descriptor_one socket_pair_on_descriptor_one
        closes_everything number_of_descriptors_is_the_same closed_at_exec read_only_and_closed_streams
        two_threads_share_the_numbers;
}
