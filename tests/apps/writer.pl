# Perl: print, printf, syswrite, warn, a log file, a pipe and a child.
use strict;
use warnings;
use IO::Handle;

open(my $log, '>', 'perl.log') or die "perl.log: $!";
$| = 1;
for my $line (0 .. 199) {
    print "print $line\n";
    printf "printf %05d\n", $line;
    print STDERR "stderr $line\n";
    warn "warn $line\n";
    syswrite(STDOUT, "syswrite $line\n");
    print $log "log $line\n";
}
$log->flush;
system('echo from a child');
open(my $cat, '|-', 'cat') or die "cat: $!";
print $cat "through cat\n";
close($cat);
my $text = `echo read back`;
print "read: $text";
my $child = fork();
if ($child == 0) { print "from a forked child\n"; exit 0; }
waitpid($child, 0);
print $log "the end\n";
exit 6;
