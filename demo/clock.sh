#!/bin/sh
# A clock: the time on stdout once per second, and now and then an error on stderr.
# It ends by itself after TICKS lines, 5 unless told otherwise; 0 means that it never ends.
ticks=${TICKS:-5}
tick=0
while [ "$ticks" -eq 0 ] || [ "$tick" -lt "$ticks" ]; do
    tick=$((tick + 1))
    date '+%H:%M:%S'
    if [ $((tick % 3)) -eq 0 ]; then
        echo "error: the clock struck $tick and nobody listened" >&2
    fi
    sleep 1
done
