//! Log files that move, grow, shrink and are written in unusual ways.

use super::situations;

situations! { "files":
    glibc "gcc" =>
        rotated_by_rename rotated_by_another_process copied_and_truncated several_files hundreds_of_files
        relative_and_other_paths deleted_while_open recycled_inodes fopen_in_all_modes
        direct_and_synchronous written_at_offsets opened_for_reading_only mapped_without_being_a_log;
    musl "musl-gcc" =>
        rotated_by_rename rotated_by_another_process copied_and_truncated several_files hundreds_of_files
        relative_and_other_paths deleted_while_open recycled_inodes fopen_in_all_modes
        direct_and_synchronous written_at_offsets opened_for_reading_only mapped_without_being_a_log;
}
