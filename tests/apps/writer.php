<?php
// PHP: echo, print, fwrite to both streams, error_log, a log file, a child.
ini_set('error_log', '/dev/stderr');
$log = fopen('php.log', 'w');
for ($line = 0; $line < 200; $line++) {
    echo "echo $line\n";
    print("print $line\n");
    fwrite(STDOUT, "fwrite to stdout $line\n");
    fwrite(STDERR, "fwrite to stderr $line\n");
    fwrite($log, "log $line\n");
    file_put_contents('php.log', "appended $line\n", FILE_APPEND);
    fseek($log, 0, SEEK_END);
}
fclose($log);
flush();
system('echo from a child');
file_put_contents('php://stderr', "through php://stderr\n");
file_put_contents('php://stdout', "through php://stdout\n");
exit(8);
